/* SPDX-License-Identifier: Apache-2.0 */
/* record.h: rows, tensor and end records as bytes and back, checked. Used inside formats/; the
 * grammar is in stream.h.
 *
 * Parsing copies nothing: what it gives points into the frame. A record that has been parsed has
 * the columns of its begin with lengths that fit its data; whether it comes at the right moment is
 * the reader's to check. */
#ifndef GRAFT_FORMATS_RECORD_H
#define GRAFT_FORMATS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "formats/lineage.h"
#include "formats/stream.h"

/* Rows before each step-th data frame. The step doubles so that there are at most
 * RECORD_INDEX_LIMIT entries. */
enum { RECORD_INDEX_LIMIT = 64 << 10 };
struct record_index {
    struct bytes entries; /* u64 LE */
    int64_t step, frames; /* frames seen */
};
void record_index_init(struct record_index *x);
enum err record_index_add(struct errctx *e, struct record_index *x, uint64_t before) MUST_USE;
static inline void record_index_fini(struct record_index *x)
{
    bytes_fini(&x->entries);
}

struct record_cell {
    const uint8_t *lengths; /* u32 LE each; ragged columns only */
    size_t lengths_bytes;
    const uint8_t *data;
    size_t bytes;
};

enum record_type { RECORD_ROWS, RECORD_TENSOR, RECORD_END };

struct record {
    enum record_type type;
    size_t used;  /* bytes of it */
    int64_t rows; /* begun in it: 0 is a further piece of a row */
    bool more;    /* a further piece follows */
    int64_t first;
    const uint8_t *data; /* of a tensor */
    size_t bytes;
    int64_t tensor; /* as given: its name is that of begin.tensors[tensor] */
};

/* The record at data[0..n). cells: one per column of begin, filled for rows. `tensor`: the one that
 * must come next. */
enum err record_parse(struct errctx *e, const struct stream_begin *begin, int64_t tensor,
                      const uint8_t *data, size_t n, struct record *out,
                      struct record_cell *cells) MUST_USE;

/* Appends a rows record. */
enum err record_pack_rows(struct errctx *e, const struct stream_begin *begin, int64_t rows,
                          bool more, const struct record_cell *cells, struct bytes *out) MUST_USE;
enum err record_pack_tensor(struct errctx *e, const struct stream_field *f, int64_t first,
                            const void *data, size_t bytes, struct bytes *out) MUST_USE;

struct record_end {
    int64_t rows, tensors;
    uint64_t bytes;
    uint8_t id[16];
    struct record_index index;
    struct lineage lineage;
};
void record_end_fini(struct record_end *end);
enum err record_pack_end(struct errctx *e, const struct record_end *end,
                         struct bytes *out) MUST_USE;
/* All n bytes are the record. */
enum err record_end_decode(struct errctx *e, const uint8_t *data, size_t n,
                           struct record_end *out) MUST_USE;

#endif
