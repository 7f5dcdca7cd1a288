/* SPDX-License-Identifier: Apache-2.0 */
/* content.h: the id of a stream: XXH3-128 of its begin, its columns or tensors, and its counts.
 *
 *   id = H(BODY,
 *          per column [H(lengths as u64 LE)] H(data) | per tensor in order of name H(data),
 *          rows, tensors, bytes)
 *
 * Each column has a running hash of its own, so the id does not know where rows were cut into
 * records. A digest of the first k rows is the id of the stream that ends there. */
#ifndef GRAFT_FORMATS_CONTENT_H
#define GRAFT_FORMATS_CONTENT_H

#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/stream.h"

struct content;

/* `begin` and `body` (its encoded BODY) must outlive it. */
enum err content_new(struct errctx *e, const struct stream_begin *begin, const struct bytes *body,
                     struct content **out) MUST_USE;
void content_free(struct content *c);
/* Back to the state of content_new. */
void content_reset(struct content *c);
/* *to becomes as *from (both made for equal begins). */
void content_assign(struct content *to, const struct content *from);

void content_rows(struct content *c, const struct stream_rows *rows, int64_t from, int64_t to);
/* Bytes of tensor t, in order of begin; `last` closes it. Tensors without elements are closed by
 * themselves. */
void content_tensor(struct content *c, int64_t t, const void *data, size_t n, bool last);

/* The id of what was given so far, and of that with rows [from, to) of `rows` added (NULL:
 * nothing). */
void content_id(struct content *c, const struct stream_rows *rows, int64_t from, int64_t to,
                uint8_t id[16]);

int64_t content_rows_count(const struct content *c);
uint64_t content_bytes(const struct content *c);

#endif
