/* SPDX-License-Identifier: Apache-2.0 */
/* sampling.h: random rows of a stream, without replacement, in the order of the input, in one pass.
 *
 * The idea: row i gets the key Philox(seed, RNG_SAMPLE; i), 64 random bits. `fraction` passes on
 * the rows whose key lies below that part of all keys; `rows` keeps the N rows of the smallest
 * keys. So a smaller sample is part of a larger one of the same seed, and streams whose rows
 * correspond (tokens and the features made from them) give samples that correspond.
 *
 * For N rows of an input whose length is not known, a histogram of all keys so far bounds the Nth
 * smallest from above; rows below the bound are kept, in memory and then in TMPDIR:
 * about N (1 + ln(rows / N)) of them.
 *
 * `per_class` takes documents by class: class_sample.h.
 *
 * Ownership: sampling_new/_free. One thread. */
#ifndef GRAFT_FLOW_SAMPLING_H
#define GRAFT_FLOW_SAMPLING_H

#include <math.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/opts.h"
#include "formats/stream.h"

struct sampling_cfg {
    int64_t seed;
    int64_t rows;      /* OPT_UNSET: not by rows */
    double fraction;   /* NaN: not by fraction */
    int64_t per_class; /* documents; OPT_UNSET: not by class */
    const char *task;  /* the label of the classes, NULL: the only one */
    int64_t memory;    /* bytes for rows that may have to go again */
};
#define SAMPLING_CFG                                                                               \
    ((struct sampling_cfg){                                                                        \
        .rows = OPT_UNSET, .fraction = NAN, .per_class = OPT_UNSET, .memory = (int64_t)1 << 30})
extern const struct opt sampling_opts[];

struct sampling;

/* ERR_USAGE unless cfg says one of rows, fraction and per_class. */
enum err sampling_cfg_check(struct errctx *e, const struct sampling_cfg *cfg) MUST_USE;
/* name: of the input, for messages. */
enum err sampling_new(struct errctx *e, const struct sampling_cfg *cfg,
                      const struct stream_begin *begin, const char *name,
                      struct sampling **out) MUST_USE;
void sampling_free(struct sampling *s);

/* Takes rows in; by fraction, passes the chosen ones on to w at once (otherwise w is not used and
 * may be NULL). */
enum err sampling_add(struct errctx *e, struct sampling *s, const struct stream_rows *rows,
                      struct stream_writer *w) MUST_USE;

/* Not by fraction, after the last: settles which they are, and how much sampling_write will put
 * out. */
enum err sampling_settle(struct errctx *e, struct sampling *s,
                         struct stream_expect *expect) MUST_USE;
enum err sampling_write(struct errctx *e, struct sampling *s, struct stream_writer *w) MUST_USE;

#endif
