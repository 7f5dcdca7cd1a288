/* SPDX-License-Identifier: Apache-2.0 */
/* detokenize.c: a stream of tokens in, the text of its documents out: what tokenize did, undone. */
#include <unistd.h>

#include "common/base/io.h"
#include "common/flow/stage.h"
#include "common/text/decode_rows.h"

struct opts {
    struct common common;
    const char *tokenizer, *model;
    bool lines, null, special;
};
static struct opts opts = {.common = COMMON};

static const struct opt table[] = {
    {"tokenizer", 't', OPT_STRING, offsetof(struct opts, tokenizer), "FILE", "tokenizer to use",
     OPT_PATH},
    {"model", 'm', OPT_STRING, offsetof(struct opts, model), "FILE", "model whose tokenizer to use",
     OPT_PATH},
    {"lines", 'l', OPT_FLAG, offsetof(struct opts, lines), NULL,
     "a newline behind each document (default: texts end to end)"},
    {"null", '0', OPT_FLAG, offsetof(struct opts, null), NULL, "a NUL byte behind each document"},
    {"special", 0, OPT_FLAG, offsetof(struct opts, special), NULL, "spell out special tokens"},
    OPT_END};

static struct opt_set sets[] = {{"Text", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err copy_text(struct errctx *e, struct stage *stage, struct row_decoder *d,
                          struct outfile *out, struct bytes *text)
{
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    enum stream_event event = STREAM_EVENT_ROWS;

    while (event != STREAM_EVENT_END) {
        text->len = 0;
        TRY(stage_next(e, stage, &event, &rows, &piece));
        for (int64_t i = 0; event == STREAM_EVENT_ROWS && i < rows.n; i++)
            if (row_decoder_row(e, d, &rows, i, text) != ERR_OK)
                return err_prefix(e, "'%s'", stream_reader_name(stage->input));
        if (event == STREAM_EVENT_END) TRY(row_decoder_finish(e, d, text));
        TRY(outfile_write(e, out, text->data, text->len));
    }
    return ERR_OK;
}

static enum err detokenize(struct errctx *e, struct stage *stage, const struct tokenizer_spec *s)
{
    const char *name = opts.tokenizer ? opts.tokenizer : opts.model;
    struct row_decoder d = {0};
    struct bytes text = {0};
    struct tokenizer *t;
    struct outfile out;
    enum err r;

    TRY(tokenizer_new(e, s, &t));
    r = row_decoder_init(e, &d, t, &stage->begin, stream_reader_name(stage->input), name);
    d.special = opts.special;
    if (opts.lines || opts.null) d.separator = opts.lines ? '\n' : 0;
    if (r == ERR_OK) r = outfile_open(e, opts.common.output, &out);
    if (r == ERR_OK) {
        r = copy_text(e, stage, &d, &out, &text);
        if (r == ERR_OK)
            r = outfile_commit(e, &out);
        else
            outfile_abort(&out);
    }
    bytes_fini(&text);
    row_decoder_fini(&d);
    tokenizer_free(t);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage = {0};
    struct tokenizer_spec s;
    enum err r = ERR_OK;

    if ((opts.tokenizer == NULL) == (opts.model == NULL))
        return err_set(e, ERR_USAGE, "give one of -t TOKENIZER and -m MODEL");
    if (opts.lines && opts.null) return err_set(e, ERR_USAGE, "give one of --lines and --null");
    opts.common.progress =
        opts.common.output || !isatty(STDOUT_FILENO); /* there the text shows it */
    r = stage_open(e, &stage, p, operands, &opts.common, STREAM_TOKENS);
    if (r == ERR_OK)
        r = tokenizer_spec_load(e, NULL, opts.tokenizer ? opts.tokenizer : opts.model, &s);
    if (r == ERR_OK) {
        r = detokenize(e, &stage, &s);
        tokenizer_spec_fini(&s);
    }
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog p = {.name = "detokenize",
                                  .summary = "turn tokens back into text",
                                  .synopsis = "-t TOKENIZER | -m MODEL [OPTION ...] [FILE ...]",
                                  .needs_input = true,
                                  .sets = sets,
                                  .run = run};
    return prog_main(&p, argc, argv);
}
