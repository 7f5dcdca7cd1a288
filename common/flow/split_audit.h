/* SPDX-License-Identifier: Apache-2.0 */
/* split_audit.h: what a split should be looked at for before something is learned from it:
 * documents that it holds twice, in one part or in two, or with two labels; and classes of which
 * the part to train on has no example.
 *
 * Documents are known by their hash. In bounded memory: when there are more than it may hold, those
 * whose hash lies in the upper half are forgotten and no longer looked at, and so on; what is
 * counted among the rest stands for the whole, and is said to be "about" so many.
 *
 * Ownership: _new/_free. One thread. */
#ifndef GRAFT_FLOW_SPLIT_AUDIT_H
#define GRAFT_FLOW_SPLIT_AUDIT_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/labels.h"

/* Documents up to which counts are exact: of rows with labels or groups; of others, where a text
 * that is there twice does no harm. */
enum { SPLIT_AUDIT_LABELLED = 1 << 20, SPLIT_AUDIT_PLAIN = 1 << 16 };

struct split_audit;
/* names: of the parts, which stay the caller's; train: the number of the one to train on.
 * documents: to be held at most, a power of two. */
enum err split_audit_new(struct errctx *e, const struct stream_begin *begin,
                         const char *const *names, size_t parts, size_t train, size_t documents,
                         struct split_audit **out) MUST_USE;
void split_audit_free(struct split_audit *a);
/* Rows [from, to) go to a part. */
enum err split_audit_add(struct errctx *e, struct split_audit *a, size_t part,
                         const struct stream_rows *rows, int64_t from, int64_t to) MUST_USE;

struct split_counts {    /* of documents */
    uint64_t all, twice; /* more than once in one part or several */
    uint64_t across;     /* of those: in two parts */
    uint64_t labelled;   /* of those: with two labels */
    bool exact;
};
void split_audit_counts(const struct split_audit *a, struct split_counts *out);
/* Warns of documents that stand there twice. */
void split_audit_warn(const struct split_audit *a);
/* ERR_INPUT: a class that other parts have, and the one to train on has not. */
enum err split_audit_check(struct errctx *e, const struct split_audit *a) MUST_USE;

#endif
