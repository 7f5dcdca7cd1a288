/* SPDX-License-Identifier: Apache-2.0 */
/* sum.c: prints a checksum of what streams hold, free of order, framing and division into files.
 *
 *     graft sum all.tokens; graft sum shards/0*.tokens    # twice the same when nothing was lost
 *
 * The sum is common/flow/checksum.c. */
#include <inttypes.h>

#include "common/flow/checksum.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    bool tensors;
};
static struct opts opts = {.common = COMMON_READING};

static const struct opt table[] = {{"tensors", 't', OPT_FLAG, offsetof(struct opts, tensors), NULL,
                                    "also print the digest of each tensor", OPT_UNRECORDED},
                                   OPT_END};

static struct opt_set sets[] = {{"Printing", table, &opts},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_json, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* Names of kinds, digits and counts need no escaping; names of tensors are printed by people's
 * choice only. */
static void print(const struct sum *s, const struct stream_begin *b)
{
    char text[33];
    for (int64_t i = 0; opts.tensors && i < b->tensors_count; i++)
        printf("%s  %s\n", id_format(s->digests[i], text), b->tensors[i].name);
    if (opts.common.json)
        printf("{\"sum\":\"%s\",\"kind\":\"%s\",\"rows\":%" PRId64 ",\"tensors\":%" PRId64
               ",\"bytes\":%" PRIu64 "}\n",
               sum_format(s, text), stream_kind_name(b->kind), s->rows, s->tensors, s->bytes);
    else
        printf("%s  %s, %" PRId64 " %s, %" PRIu64 " bytes\n", sum_format(s, text),
               stream_kind_name(b->kind), b->columns_count ? s->rows : s->tensors,
               b->columns_count ? "rows" : "tensors", s->bytes);
}

static enum err work(struct errctx *e, struct stage *stage)
{
    enum stream_event event = STREAM_EVENT_ROWS;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    struct sum s;
    if (stage->begin.tensors_count && stage->operands->count > 1)
        return err_set(e, ERR_INPUT, "streams of kind %s are summed one at a time",
                       stream_kind_name(stage->begin.kind));
    TRY(sum_init(e, &stage->begin, stream_reader_name(stage->input), &s));
    enum err r = ERR_OK;
    while (r == ERR_OK && event != STREAM_EVENT_END) {
        r = stage_next(e, stage, &event, &rows, &piece);
        if (r == ERR_OK && event == STREAM_EVENT_ROWS) r = sum_rows(e, &s, &rows);
        if (r == ERR_OK && event == STREAM_EVENT_TENSOR) sum_tensor(&s, &piece);
    }
    if (r == ERR_OK) print(&s, &stage->begin);
    sum_fini(&s);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    if (opts.tensors && opts.common.json)
        return err_set(e, ERR_USAGE, "--tensors is for text, not for --json");
    enum err r = stage_open(e, &stage, p, operands, &opts.common, STREAM_ANY);
    if (r == ERR_OK) r = work(e, &stage);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {.name = "sum",
                           .summary = "print checksums of what streams hold",
                           .synopsis = "[-t] [--json] [FILE ...]",
                           .needs_input = true,
                           .sets = sets,
                           .run = run};
    return prog_main(&p, argc, argv);
}
