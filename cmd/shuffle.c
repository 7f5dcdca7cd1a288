/* SPDX-License-Identifier: Apache-2.0 */
/* shuffle.c: the rows of streams in random order, in bounded memory.
 *
 *     graft shuffle --epochs 3 --seed 1 data/train.tokens | graft pretrain ...
 *
 * The order and the work are common/flow/shuffling.c. */
#include "common/flow/shuffling.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    struct shuffling_cfg shuffle;
};
static struct opts opts = {.common = COMMON_READING, .shuffle = SHUFFLING_CFG};

static struct opt_set sets[] = {{"Shuffling", shuffling_opts, &opts.shuffle},
                                {"Common", common_output, &opts.common},
                                {"Common", common_seed, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err read_rows(struct errctx *e, struct stage *stage, struct shuffling *s)
{
    for (;;) {
        enum stream_event event;
        struct stream_rows rows;
        struct stream_tensor_piece piece;
        TRY(stage_next(e, stage, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) return ERR_OK;
        TRY(shuffling_add(e, s, &rows));
    }
}

static enum err work(struct errctx *e, struct stage *stage)
{
    struct shuffling *s = NULL;
    uint64_t need;
    TRY(shuffling_need(e, stage->operands->items, stage->operands->count, &need));
    enum err r =
        shuffling_new(e, &opts.shuffle, &stage->begin, stream_reader_name(stage->input), need, &s);
    if (r == ERR_OK) r = stage_output_check(e, stage);
    if (r == ERR_OK) r = read_rows(e, stage, s);
    if (r == ERR_OK) {
        stage->begin.expect = shuffling_expect(s);
        r = stage_output(e, stage, &stage->begin);
    }
    if (r == ERR_OK) r = shuffling_write(e, s, stage->output);
    shuffling_free(s);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    opts.shuffle.seed = opts.common.seed;
    enum err r = stage_open(e, &stage, p, operands, &opts.common, STREAM_ANY);
    if (r == ERR_OK) r = work(e, &stage);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "shuffle",
        .summary = "put the rows of a stream in random order",
        .synopsis = "[OPTION ...] [FILE ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
