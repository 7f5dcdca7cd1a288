/* SPDX-License-Identifier: Apache-2.0 */
/* cat.c: joins streams of rows under one begin and one end.
 *
 *     graft cat data/train-*.tokens | graft pretrain ...
 *
 * Frames that were checked go over as they are; -z compresses anew. */
#include <inttypes.h>

#include "common/flow/join.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    int64_t segments;
};
static struct opts opts = {.common = COMMON_READING};

static const struct opt table[] = {{"segments", 0, OPT_INT, offsetof(struct opts, segments), "N",
                                    "fail unless the inputs have exactly N segments together",
                                    OPT_NO_DEFAULT, 1, 1e15},
                                   OPT_END};

static struct opt_set sets[] = {{"Joining", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err work(struct errctx *e, struct stage *stage)
{
    int64_t segments = 0;
    bool more = true;
    TRY(join_expect(e, stage->operands, &stage->begin, &stage->begin.expect));
    TRY(stage_output(e, stage, &stage->begin));
    while (more) {
        TRY(stream_copy(e, stage->input, stage->output));
        segments += stream_reader_summary(stage->input)->segments;
        TRY(stage_next_input(e, stage, &more));
    }
    if (opts.segments > 0 && segments != opts.segments)
        return err_set(e, ERR_INPUT, "%" PRId64 " segments came, %" PRId64 " were demanded",
                       segments, opts.segments);
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    enum err r = stage_open(e, &stage, p, operands, &opts.common, STREAM_ANY);
    if (r == ERR_OK) r = work(e, &stage);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "cat",
                           .summary = "join streams",
                           .synopsis = "[-o FILE] [-z N] [--segments N] [FILE ...]",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
