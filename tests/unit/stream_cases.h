/* SPDX-License-Identifier: Apache-2.0 */
/* stream_cases.h: small streams of every kind whose content is a function of (row, column,
 * element), to write them in many ways and to know what must come back. */
#ifndef GRAFT_TESTS_STREAM_CASES_H
#define GRAFT_TESTS_STREAM_CASES_H

#include "formats/stream.h"

/* Columns or tensors typical of the kind, with ragged and fixed ones, a scalar and an empty one. */
void case_begin(struct stream_begin *b, enum stream_kind kind);

struct case_rows {
    struct stream_rows rows;
    uint8_t **data;
    int64_t **start;
};
/* Rows first .. first + n - 1. Every `long_every`-th row (0: none) has 3,000 elements in its first
 * ragged column. */
void case_rows_make(const struct stream_begin *b, int64_t first, int64_t n, int64_t long_every,
                    struct case_rows *out);
void case_rows_free(struct case_rows *c);

/* Bytes of tensor t. */
uint8_t *case_tensor_make(const struct stream_begin *b, int64_t t, size_t *bytes);

struct case_cfg {
    enum stream_kind kind;
    int64_t rows, long_every;
    int64_t batch; /* rows (or elements of a tensor) per call; 0: one row by stream_writer_row,
                      whole tensors */
    int level, threads;
    size_t record_bytes;
};
/* Writes the stream to path; *id gets its id. Fails the test on an error. */
void case_write(const char *path, const struct case_cfg *cfg, uint8_t id[16]);
/* Reads it back and compares every row or tensor; segments of cfg follow one another. */
void case_check(const char *path, const struct case_cfg *cfg, int64_t segments, int threads);
/* Reads everything, whatever it is. */
enum err case_read(struct errctx *e, const char *path, int threads) MUST_USE;

#endif
