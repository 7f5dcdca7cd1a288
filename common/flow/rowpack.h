/* SPDX-License-Identifier: Apache-2.0 */
/* rowpack.h: one row of a stream as one run of bytes, so that rows of any kind can be hashed, kept,
 * spilled and moved without knowing their columns.
 *
 *   packed = u32 elements per ragged column, then the cells of all columns in order (little-endian)
 *
 * Equal rows have equal packed bytes and the other way round. A packed row says nothing of its own
 * length: whoever keeps it keeps that, too. At most 4 GiB per row.
 *
 * Back into columns they go by way of a batch, so that whoever takes rows is asked once for many.
 *
 * Ownership: _init/_fini. */
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
/* Rows of packed bytes, in columns again. */
struct rowpack_batch {
    struct stream_rows rows; /* as stream_writer_rows takes them */
    size_t bytes;            /* of them all */
    uint8_t **data;          /* per column: rows.data may be written here */
    size_t *used, *capacity; /* bytes */
    int64_t **start;         /* the same for rows.start; ROWPACK_BATCH + 1 of them */
};
enum { ROWPACK_BATCH = 256, ROWPACK_BATCH_BYTES = 128 << 10 };

enum err rowpack_batch_init(struct errctx *e, const struct rowpack *p,
                            struct rowpack_batch *b) MUST_USE;
void rowpack_batch_fini(const struct rowpack *p, struct rowpack_batch *b);
/* Adds a packed row. When that makes the batch full (so many rows, or so many bytes), *full is
 * true: it is to be passed on and cleared. */
enum err rowpack_batch_add(struct errctx *e, const struct rowpack *p, struct rowpack_batch *b,
                           const uint8_t *packed, bool *full) MUST_USE;
/* Passes its rows on, and empties it. */
enum err rowpack_batch_put(struct errctx *e, struct rowpack_batch *b,
                           struct stream_writer *w) MUST_USE;

/* The ragged column whose elements are tokens (`ids` of a tokens stream), -1 for other kinds: what
 * hints count. */
int64_t rowpack_tokens_column(const struct stream_begin *begin);

#endif
