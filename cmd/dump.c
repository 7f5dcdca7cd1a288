/* SPDX-License-Identifier: Apache-2.0 */
/* dump.c: writes a stream as text, one JSON line per row or piece of a tensor, so that grep, jq and
 * diff work on it.
 *
 *     graft dump a.tokens | head -n 3 | jq .
 *
 * The text is common/flow/text_twin.h's. */
#include <unistd.h>

#include "common/flow/stage.h"
#include "common/flow/text_twin.h"

static struct common common = COMMON;

static struct opt_set sets[] = {
    {"Common", common_threads, &common}, {"Common", common_chatter, &common}, OPT_SET_END};

static enum err work(struct errctx *e, struct stage *stage)
{
    enum stream_event event = STREAM_EVENT_ROWS;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    TRY(dump_begin(e, &stage->begin, stdout));
    for (;;) {
        TRY(stage_next(e, stage, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) break;
        if (event == STREAM_EVENT_ROWS) TRY(dump_rows(e, &stage->begin, &rows, stdout));
        if (event == STREAM_EVENT_TENSOR) TRY(dump_tensor(e, &stage->begin, &piece, stdout));
    }
    return dump_end(e, stream_reader_summary(stage->input), stream_reader_lineage(stage->input),
                    stdout);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    if (operands->count > 1)
        return err_set(e, ERR_USAGE, "one stream at a time (graft cat A B | graft dump)");
    common.progress = !isatty(STDOUT_FILENO); /* there the text shows it */
    enum err r = stage_open(e, &stage, p, operands, &common, STREAM_ANY);
    if (r == ERR_OK) r = work(e, &stage);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "dump",
                           .summary = "write a stream as text",
                           .synopsis = "[FILE]",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
