/* SPDX-License-Identifier: Apache-2.0 */
/* common_opts.h: the options that mean the same in every program, one table each, so that a program
 * splices only what it honours: {"Common", common_output, &opts.common}. */
#ifndef GRAFT_BASE_COMMON_OPTS_H
#define GRAFT_BASE_COMMON_OPTS_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/opts.h"

struct common {
    const char *output; /* NULL: stdout */
    int64_t threads;    /* 0: common_thread_count takes what this process may use */
    int64_t level;
    int64_t seed;
    const char *log;
    bool json, plan, quiet, verbose;
    bool progress; /* no option: the progress to show is that of reading */
};
#define COMMON         ((struct common){.level = OPT_UNSET})
#define COMMON_READING ((struct common){.level = OPT_UNSET, .progress = true})

extern const struct opt common_output[];  /* -o FILE */
extern const struct opt common_threads[]; /* -j N */
extern const struct opt common_level[];   /* -z N */
extern const struct opt common_seed[];    /* --seed N, recorded */
extern const struct opt common_log[];     /* --log FILE */
extern const struct opt common_json[];    /* --json */
extern const struct opt common_plan[];    /* --plan */
extern const struct opt common_chatter[]; /* -q -v */

/* Threads to use: -j, or the processors of this process. */
int common_thread_count(const struct common *o);

/* ERR_USAGE when `written`, the file of --option (may be NULL), is one of those that the run uses:
 * `used` or operands. For outputs that are not made of their input, as a stream is that replaces
 * it. */
enum err common_check_overwrite(struct errctx *e, const char *option, const char *written,
                                const char *const *used, size_t count,
                                const struct opt_list *operands) MUST_USE;

#endif
