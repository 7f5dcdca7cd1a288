/* SPDX-License-Identifier: Apache-2.0 */
/* sample.c: random rows of streams, without replacement, in the order of the input.
 *
 *     graft sample -n 1000 data/train.tokens -o small.tokens
 *
 * The choice is common/flow/sampling.c. */
#include "common/flow/sampling.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    struct sampling_cfg sample;
};
static struct opts opts = {.common = COMMON_READING, .sample = SAMPLING_CFG};

static struct opt_set sets[] = {{"Sampling", sampling_opts, &opts.sample},
                                {"Common", common_output, &opts.common},
                                {"Common", common_seed, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err read_rows(struct errctx *e, struct stage *stage, struct sampling *s)
{
    for (;;) {
        enum stream_event event;
        struct stream_rows rows;
        struct stream_tensor_piece piece;
        TRY(stage_next(e, stage, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) return ERR_OK;
        TRY(sampling_add(e, s, &rows, stage->output));
    }
}

/* So many rows, or documents of each class: which they are is known at the end. */
static enum err by_rows(struct errctx *e, struct stage *stage, struct sampling *s)
{
    TRY(stage_output_check(e, stage));
    TRY(read_rows(e, stage, s));
    TRY(sampling_settle(e, s, &stage->begin.expect));
    TRY(stage_output(e, stage, &stage->begin));
    return sampling_write(e, s, stage->output);
}

/* A fraction: each row is passed on, or not, as it comes. */
static enum err by_fraction(struct errctx *e, struct stage *stage, struct sampling *s)
{
    stage->begin.expect = (struct stream_expect){-1, -1};
    TRY(stage_output(e, stage, &stage->begin));
    return read_rows(e, stage, s);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    struct sampling *s = NULL;
    opts.sample.seed = opts.common.seed;
    TRY(sampling_cfg_check(e, &opts.sample));
    if (!isnan(opts.sample.fraction) && opts_given(sets, "memory"))
        return err_set(e, ERR_USAGE, "--memory changes nothing with --fraction: no rows are held");
    enum err r = stage_open(e, &stage, p, operands, &opts.common, STREAM_ANY);
    if (r == ERR_OK)
        r = sampling_new(e, &opts.sample, &stage.begin, stream_reader_name(stage.input), &s);
    if (r == ERR_OK)
        r = isnan(opts.sample.fraction) ? by_rows(e, &stage, s) : by_fraction(e, &stage, s);
    sampling_free(s);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "sample",
        .summary = "draw random rows of a stream",
        .synopsis = "{-n N | --fraction F | --per-class N} [OPTION ...] [FILE ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
