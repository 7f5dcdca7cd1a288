/* SPDX-License-Identifier: Apache-2.0 */
/* common_opts.c: the tables of the common options, and what needs no more than their values. */
#include "common/base/common_opts.h"

#include "common/base/io.h"
#include "common/base/pool.h"

#define COMMON_FIELD(f) offsetof(struct common, f)

const struct opt common_output[] = {
    {"output", 'o', OPT_STRING, COMMON_FIELD(output), "FILE",
     "write to this file, complete or not at all, instead of standard output",
     OPT_UNRECORDED | OPT_PATH},
    OPT_END};

const struct opt common_threads[] = {{"threads", 'j', OPT_INT, COMMON_FIELD(threads), "N",
                                      "threads (default: the processors this process may use)",
                                      OPT_UNRECORDED | OPT_NO_DEFAULT, 0, 1024},
                                     OPT_END};

const struct opt common_level[] = {
    {"level", 'z', OPT_INT, COMMON_FIELD(level), "N",
     "compression level; 0 stores almost plainly (default: 1 for tokens, 0 for what is not)",
     OPT_UNRECORDED, 0, 22},
    OPT_END};

const struct opt common_seed[] = {{"seed", 0, OPT_INT, COMMON_FIELD(seed), "N",
                                   "the random numbers: the same seed, the same result"},
                                  OPT_END};

const struct opt common_log[] = {{"log", 0, OPT_STRING, COMMON_FIELD(log), "FILE",
                                  "write metrics here as JSON lines", OPT_UNRECORDED | OPT_PATH},
                                 OPT_END};

const struct opt common_json[] = {{"json", 0, OPT_FLAG, COMMON_FIELD(json), NULL,
                                   "print JSON lines instead of text", OPT_UNRECORDED},
                                  OPT_END};

const struct opt common_plan[] = {{"plan", 0, OPT_FLAG, COMMON_FIELD(plan), NULL,
                                   "print what is needed of memory, and do nothing",
                                   OPT_UNRECORDED},
                                  OPT_END};

const struct opt common_chatter[] = {{"quiet", 'q', OPT_FLAG, COMMON_FIELD(quiet), NULL,
                                      "no warnings and no progress", OPT_UNRECORDED},
                                     {"verbose", 'v', OPT_FLAG, COMMON_FIELD(verbose), NULL,
                                      "say more, and account for the run at the end",
                                      OPT_UNRECORDED},
                                     OPT_END};

int common_thread_count(const struct common *o)
{
    return o->threads > 0 ? (int)o->threads : pool_processors();
}

enum err common_check_overwrite(struct errctx *e, const char *option, const char *written,
                                const char *const *used, size_t count,
                                const struct opt_list *operands)
{
    for (size_t i = 0; written && i < count + operands->count; i++) {
        const char *other = i < count ? used[i] : operands->items[i - count];
        if (io_same_file(written, other))
            return err_set(e, ERR_USAGE, "%s '%s' would overwrite a file this run uses", option,
                           other);
    }
    return ERR_OK;
}
