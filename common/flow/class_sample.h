/* SPDX-License-Identifier: Apache-2.0 */
/* class_sample.h: so many documents of each class, for learning from few examples.
 *
 * A document has the key Philox(seed, RNG_SAMPLE; doc); of each class those with the N smallest
 * keys are taken, with all their cuts, in the order of the input. So a smaller sample is part of a
 * larger one of the same seed, and what else the stream holds or in which order it stands changes
 * nothing. Of a document that is there twice the first is taken. With several labels a document
 * counts for each of them, and is taken when one of them wants it; rows without the label are not.
 * A stream without a column `doc` is taken by row, whose key is that of its number.
 *
 * In one pass: rows that are among the smallest as far as is known are kept, in memory and then in
 * TMPDIR. Ownership: _new/_free. One thread. */
#ifndef GRAFT_FLOW_CLASS_SAMPLE_H
#define GRAFT_FLOW_CLASS_SAMPLE_H

#include "common/base/attr.h"
#include "common/base/rng.h"
#include "common/flow/rowpack.h"
#include "formats/labels.h"

struct class_sample;
/* task: the label, NULL for the only one; name: of the stream, for messages. */
enum err class_sample_new(struct errctx *e, const struct stream_begin *begin, const char *name,
                          const char *task, struct rng_key key, int64_t per_class, int64_t memory,
                          struct class_sample **out) MUST_USE;
void class_sample_free(struct class_sample *s);
enum err class_sample_add(struct errctx *e, struct class_sample *s,
                          const struct stream_rows *rows) MUST_USE;
/* After the last: settles which they are, and how much class_sample_write will put out. Warns of
 * classes that have fewer. */
enum err class_sample_settle(struct errctx *e, struct class_sample *s,
                             struct stream_expect *expect) MUST_USE;
enum err class_sample_write(struct errctx *e, struct class_sample *s,
                            struct stream_writer *w) MUST_USE;

#endif
