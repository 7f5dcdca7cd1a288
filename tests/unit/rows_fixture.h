/* SPDX-License-Identifier: Apache-2.0 */
/* rows_fixture.h: small tokens streams for tests: a row is a number, and the rest of it follows
 * from that.
 *
 *   value U64     the number
 *   doc U64       number / 4: rows are cuts of documents
 *   ids U16 ragged   number, number + 1, ...: rows_fixture_length(number) of them, 0 to 63
 *
 * Everything fails the running test when something is wrong; what is read is checked to be such
 * rows. */
#ifndef GRAFT_TESTS_ROWS_FIXTURE_H
#define GRAFT_TESTS_ROWS_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/stream.h"

void rows_fixture_begin(struct stream_begin *b);
int64_t rows_fixture_length(uint64_t value);

/* Calls fn for these rows, up to 100 at a time. */
typedef void rows_fixture_fn(void *ctx, const struct stream_rows *rows);
void rows_fixture_each(const uint64_t *values, int64_t n, rows_fixture_fn *fn, void *ctx);

/* A writer without threads; one for the rows, from beginning to end (record_bytes 0: the default).
 */
struct stream_writer *rows_fixture_writer(const char *path, size_t record_bytes);
void rows_fixture_write(const char *path, const uint64_t *values, int64_t n, size_t record_bytes);

/* The numbers of a stream that is complete, as new memory. */
uint64_t *rows_fixture_read(const char *path, int64_t *count);

/* A random number of a test, by two coordinates. */
uint32_t rows_fixture_random(uint32_t i, uint32_t lane);

#endif
