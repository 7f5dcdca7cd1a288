/* SPDX-License-Identifier: Apache-2.0 */
/* strata.h: a split by class: each class is divided in the same proportions.
 *
 * What is divided are units: documents, or groups of them. The units of a class are laid one after
 * another in the order of their hash u = Philox(seed, RNG_SPLIT; unit), each as long as it has
 * documents, all of them together 1 long; the line begins at a random place of its first unit, and
 * a unit goes where its beginning lies:
 *
 *     train                      val    test
 *     |---u---|---u---|---u---|---u--|---u---|      a class with five documents
 *
 * So a class with n documents has within one of n times its fraction in each part, and over many
 * classes, however small, the parts have their sizes. The class of a group is that of its first
 * row. Rows without a label are a class of their own; several labels count as one that is all of
 * them.
 *
 * Which part a unit goes to is known when all have been seen, so the rows are kept, in memory and
 * then in TMPDIR, beside some 40 bytes per unit. Ownership: _new/_free. One thread. */
#ifndef GRAFT_FLOW_STRATA_H
#define GRAFT_FLOW_STRATA_H

#include "common/base/attr.h"
#include "common/base/rng.h"
#include "common/flow/rowpack.h"
#include "formats/labels.h"

struct strata;
/* pack: of the rows; label: what their class is, a LABEL_CLASS or LABEL_CLASSES; both are borrowed.
 * memory: bytes of rows to be kept before they go to TMPDIR. */
enum err strata_new(struct errctx *e, const struct rowpack *pack, const struct label *label,
                    struct rng_key key, int64_t memory, struct strata **out) MUST_USE;
void strata_free(struct strata *s);

/* Row i, of the unit that has this hash; document: it is the first of one, not a further cut. */
enum err strata_add(struct errctx *e, struct strata *s, const struct stream_rows *rows, int64_t i,
                    uint64_t unit, bool document) MUST_USE;
/* After the last: which unit goes to which of `parts` parts, upto[k] being the sum of the fractions
 * of parts 0 to k. */
enum err strata_assign(struct errctx *e, struct strata *s, const double *upto,
                       size_t parts) MUST_USE;
/* Hands out the rows in their order, as many at once as go to one part. */
typedef enum err strata_fn(struct errctx *e, void *ctx, size_t part,
                           const struct stream_rows *rows);
enum err strata_write(struct errctx *e, struct strata *s, strata_fn *fn, void *ctx) MUST_USE;

#endif
