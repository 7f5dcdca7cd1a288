/* SPDX-License-Identifier: Apache-2.0 */
/* mix.c: one stream drawn from several by weight.
 *
 *     graft mix wiki.tokens:0.7 code.tokens:0.3 | graft pretrain ...
 *
 * The draws are common/flow/mixing.c. */
#include "common/flow/mixing.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    struct mixing_cfg mix;
};
static struct opts opts = {.common = COMMON, .mix = MIXING_CFG};

static struct opt_set sets[] = {{"Mixing", mixing_opts, &opts.mix},
                                {"Common", common_output, &opts.common},
                                {"Common", common_seed, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err work(struct errctx *e, struct stage *stage, struct mixing_sources *m)
{
    struct stream_reader_cfg cfg = stage_reader_cfg(&opts.common, STREAM_ANY);
    TRY(mixing_sources_open(e, m, &stage->run, &cfg));
    TRY(stream_begin_copy(e, stream_reader_begin(m->items[0].reader), &stage->begin));
    stage->begin.expect = mixing_expect(&opts.mix, m);
    TRY(stage_output(e, stage, &stage->begin));
    return mixing_run(e, &opts.mix, m, stage->output, &stage->bytes_read);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage = {0};
    struct mixing_sources m;
    opts.mix.seed = opts.common.seed;
    enum err r = mixing_sources_parse(e, operands, &m);
    if (r == ERR_OK) r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK) r = work(e, &stage, &m);
    mixing_sources_close(&m);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "mix",
        .summary = "draw rows from several streams by weight",
        .synopsis = "[OPTION ...] FILE:WEIGHT ...",
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
