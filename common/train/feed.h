/* SPDX-License-Identifier: Apache-2.0 */
/* feed.h: the rows of a token stream one at a time, counted and digested as they are used, so that
 * a run can say exactly which rows it has learned from, and can find its place in them again.
 *
 * The place is a row count with XXH3-128 over the used rows (for each its cells in column order,
 * ragged ones behind their length), which does not depend on how the stream was cut into records.
 * Rows are read once; there is no way back. */
#ifndef GRAFT_TRAIN_FEED_H
#define GRAFT_TRAIN_FEED_H

#include "common/base/opts.h"
#include "common/flow/row_source.h"
#include "formats/tokens.h"

struct feed {
    const struct row_source *source;
    struct tokens_layout layout;
    struct stream_rows rows; /* the record at hand */
    int64_t next;            /* in rows */
    int64_t used;            /* rows taken */
    int64_t tokens;          /* in them */
    bool ended;
    struct XXH3_state_s *digest;
};

/* The source is borrowed and must be a tokens stream. */
enum err feed_init(struct errctx *e, struct feed *f, const struct row_source *source) MUST_USE;
void feed_fini(struct feed *f);

/* Looks at the next row: *more is false after the last. The view lives until the next call. */
enum err feed_peek(struct errctx *e, struct feed *f, struct tokens_row *row, bool *more) MUST_USE;
/* Takes the row that feed_peek showed last. Its ordinal was f->used. */
void feed_take(struct feed *f, const struct tokens_row *row);
/* Digest of the rows taken. */
void feed_digest(const struct feed *f, uint8_t digest[16]);

/* Takes `rows` rows unseen: after it the digest must be the one given, or it is not the same
 * stream (ERR_INPUT). */
enum err feed_skip(struct errctx *e, struct feed *f, int64_t rows,
                   const uint8_t digest[16]) MUST_USE;

/* Sets begin->expect, that of the first operand, to what all of them say to expect. With `count`
 * files that do not say it are read and counted; what can be read only once is -1. */
enum err feed_expect(struct errctx *e, const struct opt_list *operands, int threads, bool count,
                     struct stream_begin *begin) MUST_USE;

/* Reads on to the end, so that the lineage is whole and no producer dies; or stops here. */
enum err feed_drain(struct errctx *e, struct feed *f, bool stop) MUST_USE;

#endif
