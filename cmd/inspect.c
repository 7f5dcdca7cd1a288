/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.c: says what streams are: kind, counts, id, columns or tensors, settings. Of files it
 * reads only the first and the last frames.
 *
 *     graft inspect base.model */
#include "common/flow/describe.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    bool all;
};
static struct opts opts = {.common = COMMON};

static const struct opt table[] = {{"all", 'a', OPT_FLAG, offsetof(struct opts, all), NULL,
                                    "do not cut long lists and texts short", OPT_UNRECORDED},
                                   OPT_END};

static struct opt_set sets[] = {{"Printing", table, &opts},
                                {"Common", common_json, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err inspect(struct errctx *e, struct stage *stage, const char *path)
{
    struct stream_begin begin;
    struct stream_summary summary;
    struct lineage lineage;
    TRY(stream_glance(e, path, &begin, &summary, &lineage));
    stage->bytes_read += summary.compressed;
    struct describe d = {path ? path : "-", &begin, &summary, &lineage};
    enum err r = opts.common.json ? describe_print_json(e, &d, stdout)
                                  : describe_print(e, &d, opts.all, stdout);
    stream_begin_fini(&begin);
    lineage_fini(&lineage);
    return r;
}

static enum err inspect_all(struct errctx *e, struct stage *stage, const struct opt_list *operands)
{
    if (operands->count == 0) return inspect(e, stage, NULL);
    for (size_t i = 0; i < operands->count; i++) TRY(inspect(e, stage, operands->items[i]));
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK) r = inspect_all(e, &stage, operands);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "inspect",
                           .summary = "say what a stream is",
                           .synopsis = "[-a] [--json] [FILE ...]",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
