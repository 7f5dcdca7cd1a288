/* SPDX-License-Identifier: Apache-2.0 */
/* sharding.h: one stream divided into several files: by names and fractions, into so many equal
 * parts, by rows, or by bytes.
 *
 * A split goes by hash: u = Philox(seed, RNG_SPLIT; x) in [0, 1), where x is the row's `group`,
 * else its `doc`, else the XXH3 of the row; and the row goes to the first part whose fractions,
 * added up, exceed u (of P equal parts each has 1/P). So all cuts of a document, all copies of it,
 * and all documents of a group are on one side, now and in every later run over more data. Parts by
 * rows or bytes are the input in pieces, in order.
 *
 *   by split    DIR/NAME.tokens             otherwise    DIR/PREFIX-00000.tokens, ...-00001...
 *
 * With `stratify` a split divides each class in these proportions (strata.h).
 *
 * A split is looked at (split_audit.h): documents that it holds twice are said, and a class of
 * which the part to train on has no example is an error before any part appears: that called
 * "train", or of others the first, where it is only said.
 *
 * All parts are complete and on disk before the first gets its name. Each records in its lineage
 * which part it is. Ownership: sharding_new/_free; without sharding_finish, or when that fails, no
 * part appears. One thread. */
#ifndef GRAFT_FLOW_SHARDING_H
#define GRAFT_FLOW_SHARDING_H

#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/opts.h"
#include "formats/stream.h"

struct sharding_cfg {
    int64_t seed;
    const char *split;     /* "NAME=FRACTION,...", or NULL */
    int64_t parts;         /* so many, by the same hash; OPT_UNSET: not so */
    int64_t count, size;   /* rows, bytes of raw data per part; OPT_UNSET: not by that */
    const char *directory; /* made when it is not there */
    const char *prefix;
    const char *stratify; /* label whose classes are divided alike; NULL: by hash alone */
    int64_t memory;       /* bytes of rows that are kept for it before they go to TMPDIR */
    bool allow_untrained; /* classes without an example to train on are let be */
};
#define SHARDING_CFG                                                                               \
    ((struct sharding_cfg){.parts = OPT_UNSET,                                                     \
                           .count = OPT_UNSET,                                                     \
                           .size = OPT_UNSET,                                                      \
                           .prefix = "part",                                                       \
                           .memory = (int64_t)1 << 30})
extern const struct opt sharding_opts[];

struct sharding;

/* ERR_USAGE unless cfg says exactly one of split, parts, count and size, and where. */
enum err sharding_cfg_check(struct errctx *e, const struct sharding_cfg *cfg) MUST_USE;
/* `run` must outlive it. name: of the input, for messages. */
enum err sharding_new(struct errctx *e, const struct sharding_cfg *cfg, struct run *run,
                      const struct stream_begin *begin, const char *name,
                      const struct stream_writer_cfg *writer, struct sharding **out) MUST_USE;
void sharding_free(struct sharding *s);

enum err sharding_add(struct errctx *e, struct sharding *s,
                      const struct stream_rows *rows) MUST_USE;

/* After the end of the input: completes all parts, then puts them in place. Warns of empty ones.
 * Adds to *rows and *bytes what the files hold. */
enum err sharding_finish(struct errctx *e, struct sharding *s, int64_t *rows,
                         uint64_t *bytes) MUST_USE;

#endif
