/* SPDX-License-Identifier: Apache-2.0 */
/* mixing.h: one stream drawn from several by weight.
 *
 * The idea: what is drawn at random stays near its share. Source i of weight w[i] (of sum 1) has
 * after t tokens (or rows) of output, t[i] of them its own, the credit
 *
 *   d[i] = w[i] (t + H) - t[i]          H = 64Ki tokens, or 64 rows
 *
 * and the next row comes from a source drawn with probability d[i] / sum of d, negative ones
 * counting as 0. At first that is w[i]; a source that is ahead is drawn less often, one that is H
 * ahead not at all. So at any place of the output every source has had its share to within about H,
 * whatever the lengths of its rows, and there is no fixed pattern. Arithmetic is in integers; the
 * draws are Philox(seed, RNG_MIX; number of the draw).
 *
 * What happens when a source is used up is said by `stop`; what is then left of the others is read
 * to the end, unseen. */
#ifndef GRAFT_FLOW_MIXING_H
#define GRAFT_FLOW_MIXING_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/opts.h"
#include "formats/stream.h"

enum mixing_by { MIXING_BY_TOKENS, MIXING_BY_ROWS };
enum mixing_stop { MIXING_STOP_FIRST, MIXING_STOP_ALL };

struct mixing_cfg {
    int64_t seed;
    int by;               /* enum mixing_by */
    int stop;             /* enum mixing_stop */
    int64_t rows, tokens; /* end of the output; OPT_UNSET: none */
};
#define MIXING_CFG ((struct mixing_cfg){.rows = OPT_UNSET, .tokens = OPT_UNSET})
extern const struct opt mixing_opts[];

struct mixing_source {
    char *path;
    double weight;
    struct stream_reader *reader;
    int64_t rows, tokens; /* taken from it */
    /* private to mixing_run */
    struct stream_rows view;
    int64_t at; /* next row of the view */
    int64_t share, credit;
    bool ended;
};

struct mixing_sources {
    struct mixing_source *items;
    size_t count;
};

/* Operands FILE:WEIGHT, else ERR_USAGE. mixing_sources_close also after a failure. */
enum err mixing_sources_parse(struct errctx *e, const struct opt_list *operands,
                              struct mixing_sources *m) MUST_USE;
/* Opens them in order, sees that their begins agree, and records the weights in `run`. */
enum err mixing_sources_open(struct errctx *e, struct mixing_sources *m, struct run *run,
                             const struct stream_reader_cfg *cfg) MUST_USE;
void mixing_sources_close(struct mixing_sources *m);

/* How much will come out, as far as the sources' own hints say. */
struct stream_expect mixing_expect(const struct mixing_cfg *cfg, const struct mixing_sources *m);

/* Draws until the end that cfg demands, then drains the readers. Adds to *bytes what was read. */
enum err mixing_run(struct errctx *e, const struct mixing_cfg *cfg, struct mixing_sources *m,
                    struct stream_writer *w, uint64_t *bytes) MUST_USE;

#endif
