/* SPDX-License-Identifier: Apache-2.0 */
/* tokenize.c: text in, a stream of tokens out: a row per document, or per cut of one. */
#include <inttypes.h>
#include <string.h>

#include "common/flow/stage.h"
#include "common/text/chat_documents.h"
#include "common/text/documents_count.h"
#include "common/text/encode_documents.h"

struct opts {
    struct common common;
    struct documents_cfg documents;
    struct chat_cfg chat;
    struct labelling_cfg labels;
    const char *tokenizer, *model, *prompt, *completion, *between;
    int64_t length;
    bool special, truncate;
};
static struct opts opts = {.common = COMMON, .documents = DOCUMENTS_CFG};

static const struct opt table[] = {
    {"tokenizer", 't', OPT_STRING, offsetof(struct opts, tokenizer), "FILE", "tokenizer to use",
     OPT_PATH},
    {"model", 'm', OPT_STRING, offsetof(struct opts, model), "FILE", "model whose tokenizer to use",
     OPT_PATH},
    {"length", 0, OPT_INT, offsetof(struct opts, length), "N",
     "cut documents into rows of at most this many ids (default: whole documents)", OPT_NO_DEFAULT,
     0, 1 << 30},
    {"truncate", 0, OPT_FLAG, offsetof(struct opts, truncate), NULL,
     "pairs that are longer than --length: shorten the longer text, else it is an error"},
    {"parse-special", 0, OPT_FLAG, offsetof(struct opts, special), NULL,
     "special tokens spelled out in the text become their ids, else they are text"},
    OPT_END};

static const struct opt completion_table[] = {
    {"prompt", 0, OPT_STRING, offsetof(struct opts, prompt), "FIELD",
     "field or column of what is to be completed, which is not scored"},
    {"completion", 0, OPT_STRING, offsetof(struct opts, completion), "FIELD",
     "field or column of what completes it, which is"},
    {"between", 0, OPT_STRING, offsetof(struct opts, between), "TEXT",
     "what stands between the two (default: nothing)"},
    OPT_END};

static struct opt_set sets[] = {{"Tokens", table, &opts},
                                {"Labels", labelling_opts, &opts.labels},
                                {"Completions", completion_table, &opts},
                                {"Conversations", chat_opts, &opts.chat},
                                {"Text", documents_opts, &opts.documents},
                                {"Text", documents_pair_opts, &opts.documents},
                                {"Text", documents_keep_opts, &opts.documents},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* What a user should see of the run, once. */
static enum err account(struct errctx *e, const struct encoder *x, struct labelling *labels)
{
    struct encode_counts n;

    encoder_counts(x, &n);
    if (n.taken == 0) prog_warn("there are no documents in the input");
    if (n.shortened > 0)
        prog_warn("%" PRIu64 " of %" PRIu64 " pairs were shortened to --length %" PRId64,
                  n.shortened, n.documents, opts.length);
    if (opts.chat.on && chat_silent(opts.documents.chat) > 0)
        prog_warn("in %" PRIu64 " of %" PRIu64 " conversations the assistant says nothing",
                  chat_silent(opts.documents.chat), n.documents);
    prog_note("%" PRIu64 " documents, %" PRIu64 " bytes of text, %" PRIu64 " ids", n.documents,
              n.bytes, n.ids);
    return labels != NULL ? labelling_finish(e, labels) : ERR_OK;
}

static enum err encode(struct errctx *e, struct stage *stage, const struct encode_cfg *cfg,
                       const struct opt_list *operands)
{
    struct encoder *x;
    struct documents *d = NULL;
    enum err r;

    TRY(encoder_new(e, cfg, &x));
    opts.documents.progress = true;
    opts.documents.before_block = encoder_drain;
    opts.documents.before_block_ctx = x;
    r = documents_open(e, &stage->run, &opts.documents, operands, &d);
    if (r == ERR_OK) r = encoder_run(e, x, d);
    if (r == ERR_OK) {
        stage->bytes_read = documents_bytes(d);
        r = account(e, x, cfg->labelling);
    }
    documents_close(d);
    encoder_free(x);
    return r;
}

static enum err make_rows(struct errctx *e, const struct tokenizer_spec *s,
                          struct labelling *labels, struct rows_cfg *rows)
{
    TRY(rows_cfg_init(e, s, opts.length, opts.documents.keep != NULL, rows));
    if (opts.completion)
        TRY(rows_cfg_completion(e, rows));
    else if (opts.documents.pair)
        TRY(rows_cfg_pairs(e, rows, opts.truncate));
    if (opts.chat.on) TRY(rows_cfg_chat(e, rows));
    if (labels == NULL) return ERR_OK;
    rows->group = labelling_has_group(labels);
    rows->labels = labelling_labels(labels);
    return labelling_collect(e, labels, &opts.documents);
}

/* A document is a row when it is not cut and there is something around it: an empty one has that,
 * too. */
static int64_t expected_rows(const struct rows_cfg *rows, const struct labelling *labels,
                             const struct opt_list *operands)
{
    if ((opts.length != 0 && !rows->pair) || rows->after_count == 0) return -1;
    return labels != NULL ? labelling_documents(labels)
                          : documents_count(&opts.documents, operands);
}

static enum err tokenize(struct errctx *e, struct stage *stage, const struct tokenizer_spec *s,
                         struct labelling *labels, const struct opt_list *operands)
{
    struct rows_cfg rows;
    struct encode_cfg cfg = {.rows = &rows,
                             .special = opts.special || opts.chat.on,
                             .threads = common_thread_count(&opts.common),
                             .labelling = labels};
    struct tokenizer *t;
    struct stream_begin begin;
    enum err r;

    TRY(make_rows(e, s, labels, &rows));
    TRY(tokenizer_new(e, s, &t));
    r = rows_begin(e, s, &rows, &begin);
    if (r == ERR_OK) {
        begin.expect.rows = expected_rows(&rows, labels, operands);
        r = stage_output(e, stage, &begin);
        stream_begin_fini(&begin);
    }
    cfg.tokenizer = t;
    cfg.writer = stage->output;
    if (r == ERR_OK) r = encode(e, stage, &cfg, operands);
    tokenizer_free(t);
    return r;
}

static bool reads_stdin(const struct opt_list *operands)
{
    for (size_t i = 0; i < operands->count; i++)
        if (strcmp(operands->items[i], "-") == 0) return true;
    return operands->count == 0;
}

/* --prompt and --completion are the two texts of a record. */
static enum err check_completion(struct errctx *e)
{
    if ((opts.prompt == NULL) != (opts.completion == NULL))
        return err_set(e, ERR_USAGE, "--prompt and --completion go together");
    if (opts.prompt == NULL)
        return opts.between == NULL
                   ? ERR_OK
                   : err_set(e, ERR_USAGE, "--between is for --prompt and --completion");
    if (opts.documents.text || opts.documents.pair || opts.chat.on)
        return err_set(e, ERR_USAGE, "%s is not for --prompt and --completion",
                       opts.chat.on          ? "--chat"
                       : opts.documents.text ? "--text"
                                             : "--pair");
    opts.documents.text = opts.prompt;
    opts.documents.pair = opts.completion;
    opts.documents.between = opts.between != NULL ? opts.between : "";
    return ERR_OK;
}

static enum err check(struct errctx *e, const struct opt_list *operands)
{
    const char *from = opts.tokenizer != NULL ? opts.tokenizer : opts.model;

    if ((opts.tokenizer == NULL) == (opts.model == NULL))
        return err_set(e, ERR_USAGE, "give one of -t TOKENIZER and -m MODEL");
    if (opts.truncate && (opts.documents.pair == NULL || opts.length == 0))
        return err_set(e, ERR_USAGE, "--truncate is for pairs that have a --length");
    if (strcmp(from, "-") == 0 && reads_stdin(operands))
        return err_set(e, ERR_USAGE, "standard input cannot be both the tokenizer and the text");
    if (opts.chat.on && opts.special)
        return err_set(e, ERR_USAGE, "--parse-special: with --chat they always are");
    TRY(check_completion(e));
    return chat_cfg_check(e, &opts.chat, &opts.documents);
}

/* Labels, groups and completions may be missing or empty, which is accounted for. */
static enum err open_labels(struct errctx *e, struct stage *stage, const struct opt_list *operands,
                            struct labelling **labels)
{
    *labels = NULL;
    if (opts.labels.label == NULL && opts.labels.group == NULL && opts.prompt == NULL &&
        opts.labels.classes.count == 0 && opts.labels.separator == NULL && !opts.labels.strict)
        return ERR_OK;
    return labelling_new(e, &stage->run, &opts.labels, &opts.documents, operands, labels);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const char *from = opts.tokenizer != NULL ? opts.tokenizer : opts.model;
    struct stage stage;
    struct tokenizer_spec s;
    struct labelling *labels;
    enum err r = stage_open_run(e, &stage, p, &opts.common);

    if (r == ERR_OK) r = check(e, operands);
    if (r == ERR_OK) r = tokenizer_spec_load(e, &stage.run, from, &s);
    if (r == ERR_OK) {
        if (opts.chat.on) {
            opts.documents.otherwise = DOCUMENT_JSONL;
            r = chat_new(e, &stage.run, &opts.chat, &s, from, &opts.documents.chat);
        }
        if (r == ERR_OK) r = open_labels(e, &stage, operands, &labels);
        if (r == ERR_OK) {
            r = tokenize(e, &stage, &s, labels, operands);
            labelling_free(labels);
        }
        chat_free(opts.documents.chat);
        tokenizer_spec_fini(&s);
    }
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog p = {.name = "tokenize",
                                  .summary = "turn text into a stream of tokens",
                                  .synopsis = "-t TOKENIZER | -m MODEL [OPTION ...] [FILE ...]",
                                  .needs_input = true,
                                  .sets = sets,
                                  .run = run};
    return prog_main(&p, argc, argv);
}
