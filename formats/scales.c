/* SPDX-License-Identifier: Apache-2.0 */
/* scales.c: see scales.h. The scales stand right before their tensor and are 1/8448 of it: they are
 * kept, whatever the size of the model. */
#include "formats/scales.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/quantise.h"

void scales_fini(struct scales *s)
{
    mem_free(s->numbers);
    mem_free(s->blocks);
    *s = (struct scales){0};
}

enum err scales_apply(struct errctx *e, struct scales *s, const struct stream_begin *b,
                      struct stream_tensor_piece *p, enum dtype *dtype)
{
    const int64_t n = p->elements / dtype_unit(DTYPE_NF4_DQ);
    *dtype = b->tensors[p->tensor].dtype;
    if (stream_begin_is_scales(b, p->tensor)) {
        TRY(mem_grow(e, &s->numbers, &s->numbers_capacity, (size_t)(p->first + p->elements),
                     sizeof *s->numbers, "scales"));
        memcpy(s->numbers + p->first, p->data, p->bytes);
    }
    if (*dtype != DTYPE_NF4_DQ) return ERR_OK;
    *dtype = DTYPE_NF4;
    TRY(mem_grow(e, &s->blocks, &s->blocks_capacity, dtype_offset(DTYPE_NF4, p->elements), 1,
                 "blocks"));
    quantise_restore(p->data, p->first / dtype_unit(DTYPE_NF4_DQ), n, s->numbers, s->blocks);
    p->data = s->blocks;
    p->bytes = dtype_offset(DTYPE_NF4, p->elements);
    return ERR_OK;
}
