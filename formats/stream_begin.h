/* SPDX-License-Identifier: Apache-2.0 */
/* stream_begin.h: what a begin record says, as bytes and back, and sizes that follow from it. Used
 * inside formats/, and by whoever walks over the cells of any stream. */
#ifndef GRAFT_FORMATS_STREAM_BEGIN_H
#define GRAFT_FORMATS_STREAM_BEGIN_H

#include "formats/stream.h"

static inline bool stream_field_ragged(const struct stream_field *f)
{
    return f->dims == 1 && f->shape[0] == -1;
}
/* Bytes of one cell of a fixed column, of one element of a ragged one. */
size_t stream_field_cell(const struct stream_field *f);
/* Elements of a tensor. */
int64_t stream_field_elements(const struct stream_field *f);
/* True for the kinds that are rows. */
bool stream_kind_has_rows(enum stream_kind kind);

/* Checks what could not be written or read: names, shapes, limits, columns or tensors as the kind
 * has them. ERR_INPUT. */
enum err stream_begin_check(struct errctx *e, const struct stream_begin *b) MUST_USE;
/* The BODY; the whole begin record around it. */
enum err stream_begin_encode_body(struct errctx *e, const struct stream_begin *b,
                                  struct bytes *out) MUST_USE;
enum err stream_begin_encode(struct errctx *e, const struct stream_begin *b,
                             const struct bytes *body, struct bytes *out) MUST_USE;
/* A begin record of n bytes, all of them; *body gets a copy of its BODY. */
enum err stream_begin_decode(struct errctx *e, const uint8_t *data, size_t n,
                             struct stream_begin *b, struct bytes *body) MUST_USE;
/* Indices of the tensors in order of name. */
enum err stream_begin_by_name(struct errctx *e, const struct stream_begin *b,
                              int64_t **order) MUST_USE;

#endif
