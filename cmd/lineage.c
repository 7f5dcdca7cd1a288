/* SPDX-License-Identifier: Apache-2.0 */
/* lineage.c: shows the steps that made a stream, from the text on, with every recorded option.
 *
 *     graft lineage base.model */
#include "common/flow/stage.h"

static struct common common = COMMON;

static struct opt_set sets[] = {
    {"Common", common_json, &common}, {"Common", common_chatter, &common}, OPT_SET_END};

static enum err show(struct errctx *e, struct stage *stage, const char *path)
{
    struct stream_begin begin;
    struct stream_summary summary;
    struct lineage lineage;
    TRY(stream_glance(e, path, &begin, &summary, &lineage));
    stage->bytes_read += summary.compressed;
    enum err r = lineage_print(e, &lineage, common.json, stdout);
    stream_begin_fini(&begin);
    lineage_fini(&lineage);
    return r;
}

static enum err show_all(struct errctx *e, struct stage *stage, const struct opt_list *operands)
{
    if (operands->count == 0) return show(e, stage, NULL);
    for (size_t i = 0; i < operands->count; i++) TRY(show(e, stage, operands->items[i]));
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    enum err r = stage_open_run(e, &stage, p, &common);
    if (r == ERR_OK) r = show_all(e, &stage, operands);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "lineage",
                           .summary = "show the steps that made a stream",
                           .synopsis = "[--json] [FILE ...]",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
