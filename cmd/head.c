/* SPDX-License-Identifier: Apache-2.0 */
/* head.c: passes on the first rows of a stream, and reads its input to the end all the same, so
 * that what is recorded of it is the whole and no producer dies.
 *
 *     graft head -n 100 data/train.tokens | graft dump */
#include "cmd/cmd.h"

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
static enum err pass_on(struct errctx *e, struct cmd *c, bool *enough)
{
    enum stream_event event = STREAM_EVENT_ROWS;
    struct stream_rows rows;
    int64_t left = opts.rows;
    while (left > 0) {
        TRY(cmd_next(e, c, &event, &rows, NULL));
        if (event == STREAM_EVENT_END) break;
        int64_t n = rows.n < left ? rows.n : left;
        TRY(stream_writer_rows(e, c->output, &rows, 0, n));
        left -= n;
    }
    *enough = event != STREAM_EVENT_END;
    return ERR_OK;
}

static enum err work(struct errctx *e, struct cmd *c)
{
    bool enough;
    if (c->begin.tensors_count)
        return err_set(e, ERR_INPUT, "'%s': a stream of kind %s has no rows",
                       stream_reader_name(c->input), stream_kind_name(c->begin.kind));
    /* The hint about tokens holds for all rows only. */
    if (c->operands->count > 1 || c->begin.expect.rows < 0 || c->begin.expect.rows > opts.rows) {
        bool cut = c->begin.expect.rows > opts.rows;
        c->begin.expect = (struct stream_expect){cut ? opts.rows : -1, -1};
    }
    TRY(cmd_output(e, c, &c->begin));
    TRY(pass_on(e, c, &enough));
    if (!enough) return ERR_OK;
    if (opts.drain) return cmd_drain(e, c, false);
    return stream_reader_stop_at(e, c->input, opts.rows - c->rows_before);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct cmd c;
    enum err r = cmd_open(e, &c, p, operands, &opts.common, STREAM_ANY);
    if (r == ERR_OK) r = work(e, &c);
    return cmd_close(e, &c, r);
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
