/* SPDX-License-Identifier: Apache-2.0 */
/* scales.h: tensors of type NF4_DQ, whose blocks cannot be read without the tensor of scales before
 * them, as NF4, which can: for readers of tensors that want values. */
#ifndef GRAFT_FORMATS_SCALES_H
#define GRAFT_FORMATS_SCALES_H

#include "formats/stream.h"

/* The scales read last, and a piece made of them. Zeroed before the first piece. */
struct scales {
    float *numbers;
    uint8_t *blocks;
    size_t numbers_capacity, blocks_capacity;
};
void scales_fini(struct scales *s);
/* Every piece of a stream of tensors goes through here: of scales it keeps a copy; one of NF4_DQ it
 * changes to NF4, *dtype and data of *p, which stay until the next call. */
enum err scales_apply(struct errctx *e, struct scales *s, const struct stream_begin *b,
                      struct stream_tensor_piece *p, enum dtype *dtype) MUST_USE;

#endif
