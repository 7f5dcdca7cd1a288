/* SPDX-License-Identifier: Apache-2.0 */
/* shuffle.c: the rows of streams in random order, in bounded memory.
 *
 *     graft shuffle --epochs 3 --seed 1 data/train.tokens | graft pretrain ...
 *
 * The order and the work are common/flow/shuffling.c. */
#include "cmd/cmd.h"
#include "common/flow/shuffling.h"

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

static enum err read_rows(struct errctx *e, struct cmd *c, struct shuffling *s)
{
    for (;;) {
        enum stream_event event;
        struct stream_rows rows;
        struct stream_tensor_piece piece;
        TRY(cmd_next(e, c, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) return ERR_OK;
        TRY(shuffling_add(e, s, &rows));
    }
}

static enum err work(struct errctx *e, struct cmd *c)
{
    struct shuffling *s = NULL;
    uint64_t need;
    TRY(shuffling_need(e, c->operands->items, c->operands->count, &need));
    enum err r = shuffling_new(e, &opts.shuffle, &c->begin, stream_reader_name(c->input), need, &s);
    if (r == ERR_OK) r = cmd_output_check(e, c);
    if (r == ERR_OK) r = read_rows(e, c, s);
    if (r == ERR_OK) {
        c->begin.expect = shuffling_expect(s);
        r = cmd_output(e, c, &c->begin);
    }
    if (r == ERR_OK) r = shuffling_write(e, s, c->output);
    shuffling_free(s);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct cmd c;
    opts.shuffle.seed = opts.common.seed;
    enum err r = cmd_open(e, &c, p, operands, &opts.common, STREAM_ANY);
    if (r == ERR_OK) r = work(e, &c);
    return cmd_close(e, &c, r);
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
