/* SPDX-License-Identifier: Apache-2.0 */
/* undump.c: makes a stream from its text. What graft dump wrote comes back with the same id.
 *
 *     graft dump a.tokens | jq -c 'select(.row == null or (.row.ids | length) > 8)' |
 *         graft undump --edited -o b.tokens
 *
 * The text is common/flow/text_twin.h's. */
#include "common/flow/stage.h"
#include "common/flow/text_twin.h"

struct opts {
    struct common common;
    bool edited;
};
static struct opts opts = {.common = COMMON};

static const struct opt table[] = {
    {"edited", 0, OPT_FLAG, offsetof(struct opts, edited), NULL,
     "the text was changed: do not hold it to the id in its end line"},
    OPT_END};

static struct opt_set sets[] = {{"Reading", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stream_writer_cfg cfg = stage_writer_cfg(&opts.common);
    struct stream_summary s = {0};
    struct stage stage;
    if (operands->count > 1) return err_set(e, ERR_USAGE, "one text at a time");
    const char *path = operands->count ? operands->items[0] : NULL;
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK) r = undump(e, &stage.run, path, opts.common.output, &cfg, opts.edited, &s);
    stage.rows_written = s.rows;
    stage.bytes_written = s.compressed;
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "undump",
                           .summary = "make a stream from its text",
                           .synopsis = "[-o FILE] [--edited] [FILE]",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
