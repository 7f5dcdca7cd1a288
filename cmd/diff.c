/* SPDX-License-Identifier: Apache-2.0 */
/* diff.c: compares two streams: rows in their order, tensors by name.
 *
 *     graft diff --tolerance 1e-6 a.model b.model
 *
 * The comparing is common/flow/differences.c. */
#include "common/flow/differences.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    double tolerance;
    bool all;
};
static struct opts opts = {.common = COMMON_READING};

static const struct opt table[] = {{"tolerance", 't', OPT_REAL, offsetof(struct opts, tolerance),
                                    "X", "floats that are no further apart are equal", 0, 0, 1e300},
                                   {"all", 'a', OPT_FLAG, offsetof(struct opts, all), NULL,
                                    "print the tensors that are equal, too"},
                                   OPT_END};

static struct opt_set sets[] = {{"Comparing", table, &opts},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_json, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err compare(struct errctx *e, const struct opt_list *operands)
{
    struct stream_reader_cfg cfg = stage_reader_cfg(&opts.common, STREAM_ANY);
    struct diff d;
    const char *a = operands->items[0], *b = operands->items[1];
    TRY(diff_streams(e, a, b, &cfg, opts.tolerance, &d));
    enum err r = opts.common.json    ? diff_print_json(e, &d, stdout)
                 : opts.common.quiet ? ERR_OK
                                     : diff_print(e, &d, a, b, opts.all, stdout);
    /* The difference has been printed: the status is all that is left to say. */
    if (r == ERR_OK && d.differs) r = err_set(e, ERR_NO, "%s", "");
    diff_fini(&d);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    if (operands->count != 2) return err_set(e, ERR_USAGE, "two streams are compared");
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK) r = compare(e, operands);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "diff",
                           .summary = "compare two streams",
                           .synopsis = "[-a] [-t X] [--json] A B",
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
