/* SPDX-License-Identifier: Apache-2.0 */
/* rowpack.h: one row of a stream as one run of bytes, so that rows of any kind can be hashed, kept,
 * spilled and moved without knowing their columns.
 *
 *   packed = u32 elements per ragged column, then the cells of all columns in order (little-endian)
 *
 * Equal rows have equal packed bytes and the other way round. A packed row says nothing of its own
 * length: whoever keeps it keeps that, too. At most 4 GiB per row.
 *
 * Ownership: _init/_fini. The cells that rowpack_view sets point into the packed bytes. */
#ifndef GRAFT_FLOW_ROWPACK_H
#define GRAFT_FLOW_ROWPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/stream.h"

struct rowpack {
    int64_t columns, ragged;
    size_t *element_bytes; /* bytes of one element; of the whole cell for fixed columns */
    bool *is_ragged;
    const void **cells; /* set by rowpack_view, as stream_writer_row takes them */
    int64_t *elements;
};

/* ERR_INPUT when the kind has no columns (a model, a tokenizer): nothing there to put into another
 * order. */
enum err rowpack_init(struct errctx *e, const struct stream_begin *begin, const char *name,
                      struct rowpack *p) MUST_USE;
void rowpack_fini(struct rowpack *p);

/* Bytes that row i of rows takes. ERR_INPUT over 4 GiB. */
enum err rowpack_size(struct errctx *e, const struct rowpack *p, const struct stream_rows *rows,
                      int64_t i, uint32_t *size) MUST_USE;
/* Bytes of its cells alone, as a stream counts them. */
uint64_t rowpack_raw_bytes(const struct rowpack *p, const struct stream_rows *rows, int64_t i);
/* Writes them; `out` has room for rowpack_size. */
void rowpack_put(const struct rowpack *p, const struct stream_rows *rows, int64_t i, uint8_t *out);
/* Sets p->cells and p->elements to the cells of a packed row. */
void rowpack_view(struct rowpack *p, const uint8_t *packed);

/* The ragged column whose elements are tokens (`ids` of a tokens stream), -1 for other kinds: what
 * hints count. */
int64_t rowpack_tokens_column(const struct stream_begin *begin);

#endif
