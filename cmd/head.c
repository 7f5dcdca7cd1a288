/* SPDX-License-Identifier: Apache-2.0 */
/* head.c: passes on the first rows of a stream, and reads its input to the end all the same, so
 * that what is recorded of it is the whole and no producer dies.
 *
 *     graft head -n 100 data/train.tokens | graft dump */
#include "common/flow/stage.h"

struct opts {
    struct common common;
    int64_t rows;
    bool drain;
};
static struct opts opts = {.common = COMMON, .rows = 10, .drain = true};

static const struct opt table[] = {
    {"rows", 'n', OPT_INT, offsetof(struct opts, rows), "N", "rows to pass on", 0, 0, 9e18},
    {"drain", 0, OPT_FLAG, offsetof(struct opts, drain), NULL,
     "read the input to its end; without, the lineage holds a digest of the rows that were read"},
    OPT_END};

static struct opt_set sets[] = {{"Choosing", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* Copies rows until there are enough; *enough is false when the input has ended before. */
static enum err pass_on(struct errctx *e, struct stage *stage, bool *enough)
{
    enum stream_event event = STREAM_EVENT_ROWS;
    struct stream_rows rows;
    int64_t left = opts.rows;
    while (left > 0) {
        TRY(stage_next(e, stage, &event, &rows, NULL));
        if (event == STREAM_EVENT_END) break;
        int64_t n = rows.n < left ? rows.n : left;
        TRY(stream_writer_rows(e, stage->output, &rows, 0, n));
        left -= n;
    }
    *enough = event != STREAM_EVENT_END;
    return ERR_OK;
}

static enum err work(struct errctx *e, struct stage *stage)
{
    bool enough;
    if (stage->begin.tensors_count)
        return err_set(e, ERR_INPUT, "'%s': a stream of kind %s has no rows",
                       stream_reader_name(stage->input), stream_kind_name(stage->begin.kind));
    /* The hint about tokens holds for all rows only. */
    if (stage->operands->count > 1 || stage->begin.expect.rows < 0 ||
        stage->begin.expect.rows > opts.rows) {
        bool cut = stage->begin.expect.rows > opts.rows;
        stage->begin.expect = (struct stream_expect){cut ? opts.rows : -1, -1};
    }
    TRY(stage_output(e, stage, &stage->begin));
    TRY(pass_on(e, stage, &enough));
    if (!enough) return ERR_OK;
    if (opts.drain) return stage_drain(e, stage, false);
    return stream_reader_stop_at(e, stage->input, opts.rows - stage->rows_before);
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
    const struct prog p = {.name = "head",
                           .summary = "pass on the first rows of a stream",
                           .synopsis = "[-n N] [-o FILE] [--no-drain] [FILE ...]",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
