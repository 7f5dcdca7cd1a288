/* SPDX-License-Identifier: Apache-2.0 */
/* import.c: files of other programs in, graft's streams out: models with their tokenizers, and
 * tokenizers alone.
 *
 *     graft import all-MiniLM-L6-v2/ -o minilm.model
 *     graft import --dry-run Qwen2.5-0.5B/
 *
 * What the files are is known to common/convert and formats. */
#include <string.h>

#include "common/convert/source_open.h"
#include "common/convert/tokenizer_source.h"
#include "common/flow/stage.h"

static const char *const patterns[] = {NULL, "gpt2", "cl100k", "llama3", "o200k"};

struct opts {
    struct common common;
    int format, pattern;
    struct opt_list special;
    const char *tokenizer;
    bool dry_run;
};
static struct opts opts = {.common = COMMON};

static const struct opt table[] = {
    {"format", 0, OPT_CHOICE, offsetof(struct opts, format), SOURCE_KINDS,
     "what the operand is; auto goes by its first bytes and its extension"},
    {"dry-run", 'n', OPT_FLAG, offsetof(struct opts, dry_run), NULL,
     "write nothing: say what a model is, what would be read, and all that is refused",
     OPT_UNRECORDED},
    {"tokenizer", 't', OPT_STRING, offsetof(struct opts, tokenizer), "FILE",
     "the model's tokenizer: a stream that holds one, instead of what comes with the model",
     OPT_PATH},
    OPT_END};
static const struct opt tiktoken_table[] = {
    {"pattern", 0, OPT_CHOICE, offsetof(struct opts, pattern), "auto|gpt2|cl100k|llama3|o200k",
     "how text is cut into words; auto goes by the size of the vocabulary"},
    {"special", 0, OPT_LIST, offsetof(struct opts, special), "[ROLE=]TOKEN",
     "a special token behind the others; ROLE is bos, eos, unk, pad, cls, sep or mask (default: by "
     "size)"},
    OPT_END};

static struct opt_set sets[] = {{"Importing", table, &opts},
                                {"Tokenizers of tiktoken", tiktoken_table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* ------------------------------------------------------------------ tokenizers */

static enum err import_tokenizer(struct errctx *e, struct stage *stage, const char *path,
                                 enum source_kind kind)
{
    const struct import_tiktoken_cfg cfg = {.pattern = patterns[opts.pattern],
                                            .special = &opts.special};
    struct tokenizer_spec s;
    struct stream_begin begin;
    if (opts.dry_run || opts.tokenizer)
        return err_set(e, ERR_USAGE, "'%s' is a tokenizer: --%s is for models", path,
                       opts.dry_run ? "dry-run" : "tokenizer");
    TRY(tokenizer_source_load(e, &stage->run, path, kind, &cfg, &s, &stage->bytes_read));
    if (tokenizer_spec_begin(e, &s, &begin) == ERR_OK) {
        if (stage_output(e, stage, &begin) == ERR_OK)
            (void)!tokenizer_spec_write(e, &s, stage->output, 0);
        stream_begin_fini(&begin);
    }
    tokenizer_spec_fini(&s);
    return e->code;
}

/* ------------------------------------------------------------------ models */

static enum err write_model(struct errctx *e, struct stage *stage, struct model_source *s)
{
    struct stream_begin begin;
    int64_t first = 0;
    TRY(model_source_begin(e, s, &begin, &first));
    enum err r = stage_output(e, stage, &begin);
    if (r == ERR_OK) r = model_source_write(e, s, stage->output, first);
    stream_begin_fini(&begin);
    return r;
}

static enum err report(struct errctx *e, const struct model_source *s, const char *path)
{
    TRY(model_source_report(e, s, stdout));
    if (s->findings.count == 0) return ERR_OK;
    return err_set(e, ERR_NO, "'%s' cannot be imported", path);
}

static enum err import_model(struct errctx *e, struct stage *stage, const char *path,
                             enum source_kind kind)
{
    struct model_source s;
    struct tokenizer_spec spec;
    enum err r = ERR_OK;
    model_source_init(&s, opts.dry_run ? NULL : &stage->run);
    if (opts.tokenizer) {
        r = tokenizer_spec_load(e, &stage->run, opts.tokenizer, &spec);
        if (r == ERR_OK) model_source_take_tokenizer(&s, &spec);
    }
    if (r == ERR_OK) r = source_open(e, &s, path, kind);
    if (r == ERR_OK) r = opts.dry_run ? report(e, &s, path) : write_model(e, stage, &s);
    if (r == ERR_INPUT && !strstr(e->message, path)) r = err_prefix(e, "'%s'", path);
    model_source_close(&s);
    return r;
}

static enum err check_options(struct errctx *e, const char *path, enum source_kind kind)
{
    for (const struct opt *o = tiktoken_table; o->name && kind != SOURCE_TIKTOKEN; o++)
        if (opts_given(sets, o->name))
            return err_set(e, ERR_USAGE, "'%s' is no vocabulary of tiktoken: --%s has no use", path,
                           o->name);
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    enum source_kind kind = (enum source_kind)opts.format;
    struct stage stage;
    if (operands->count != 1) return err_set(e, ERR_USAGE, "give one file or folder to import");
    const char *path = operands->items[0];
    TRY(source_kind_find(e, path, &kind));
    TRY(check_options(e, path, kind));
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK && !opts.dry_run) r = stage_output_check(e, &stage);
    if (r == ERR_OK)
        r = source_is_model(kind) ? import_model(e, &stage, path, kind)
                                  : import_tokenizer(e, &stage, path, kind);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog p = {.name = "import",
                                  .summary = "bring in models and tokenizers of other programs",
                                  .synopsis = "[OPTION ...] FILE|FOLDER",
                                  .sets = sets,
                                  .run = run};
    return prog_main(&p, argc, argv);
}
