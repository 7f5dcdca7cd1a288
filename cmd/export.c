/* SPDX-License-Identifier: Apache-2.0 */
/* export.c: graft's models and tokenizers in the files of other programs.
 *
 *     graft export --to hf tuned.model -o tuned/
 *     graft export --to gguf --type q8_0 tuned.model -o tuned.gguf
 *     graft export --to tokenizer_json words.tokenizer -o tokenizer.json
 *
 * What those files are is known to common/convert and formats. */
#include <string.h>
#include <sys/stat.h>

#include "common/convert/model_export.h"
#include "common/convert/tokenizer_export.h"
#include "common/flow/stage.h"

struct opts {
    struct common common;
    int to, type;
    int64_t shard_size;
};
static struct opts opts = {.common = COMMON, .shard_size = (int64_t)50000000000};

static const enum dtype types[] = {DTYPE_NONE, DTYPE_F32,  DTYPE_F16, DTYPE_BF16,
                                   DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1};
enum { FIRST_OF_BLOCKS = 4 };

static const struct opt table[] = {
    {"to", 0, OPT_CHOICE, offsetof(struct opts, to),
     "hf|gguf|tokenizer_json|tiktoken|vocab_txt|merges",
     "what is written: a folder of transformers, a file of llama.cpp; or of the tokenizer alone: "
     "tokenizer.json, a file of tiktoken, a folder with vocab.txt, one with vocab.json and "
     "merges.txt"},
    {"type", 0, OPT_CHOICE, offsetof(struct opts, type), "keep|f32|f16|bf16|q8_0|q4_0|q4_1",
     "of the weights; keep leaves them as they are, but what is quantised becomes F32 in a folder; "
     "the last three are GGUF's"},
    {"shard-size", 0, OPT_INT, offsetof(struct opts, shard_size), "BYTES",
     "of a folder: the most in one file of weights, unless one tensor is larger", 0, 1, 9e18},
    OPT_END};

static struct opt_set sets[] = {{"Exporting", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

enum { TO_HF, TO_GGUF, TO_TOKENIZER_JSON };

static enum tokenizer_form form_of(int to)
{
    return (enum tokenizer_form)(FORM_TOKENIZER_JSON + to - TO_TOKENIZER_JSON);
}

static enum err check(struct errctx *e, const struct opt_list *operands)
{
    const bool tokenizer = opts.to > TO_GGUF;
    const bool folder =
        opts.to == TO_HF || (tokenizer && !tokenizer_form_is_file(form_of(opts.to)));
    if (operands->count > 1) return err_set(e, ERR_USAGE, "give one model or tokenizer to export");
    if (!opts.common.output && (folder || !tokenizer))
        return err_set(e, ERR_USAGE, "-o %s is missing", folder ? "FOLDER" : "FILE");
    if (opts.to != TO_HF && opts_given(sets, "shard-size"))
        return err_set(e, ERR_USAGE, "--shard-size is for folders of transformers");
    if (opts.to == TO_HF && opts.type >= FIRST_OF_BLOCKS)
        return err_set(e, ERR_USAGE, "--type %s: folders of transformers have no such weights",
                       dtype_name(types[opts.type]));
    return ERR_OK;
}

/* Of a model, or of a stream that is nothing else. */
static enum err export_tokenizer(struct errctx *e, struct stage *stage, const char *path)
{
    const enum tokenizer_form form = opts.to == TO_HF ? FORM_HF : form_of(opts.to);
    struct tokenizer_spec s;
    struct tokenizer_files files;
    const struct mp_value *model;
    TRY(tokenizer_spec_load(e, &stage->run, path, &s));
    model = mp_get(&s.ops, "model");
    const bool words = strcmp(mp_get(model, "op")->as.bytes.data, "wordpiece") == 0;
    enum err r = tokenizer_files_make(e, &s, form, words, &files);
    if (r == ERR_OK)
        r = tokenizer_files_write(e, &files, form, opts.common.output, &stage->bytes_written);
    tokenizer_files_fini(&files);
    tokenizer_spec_fini(&s);
    return r == ERR_INPUT ? err_prefix(e, "'%s'", path ? path : "standard input") : r;
}

static enum err export_model(struct errctx *e, struct stage *stage, const char *path)
{
    const struct export_cfg cfg = {opts.to == TO_HF ? EXPORT_HF : EXPORT_GGUF, types[opts.type],
                                   (uint64_t)opts.shard_size};
    struct model_export x = {0};
    enum err r = model_export_open(e, &stage->run, path, &cfg, &x);
    if (r == ERR_OK)
        r = cfg.to == EXPORT_HF ? model_export_folder(e, &x, opts.common.output)
                                : model_export_gguf(e, &x, opts.common.output);
    if (x.reader) stage->bytes_read += stream_reader_summary(x.reader)->compressed;
    model_export_close(&x);
    return r;
}

/* A file that is a tokenizer; a pipe is taken for a model. */
static enum err is_tokenizer(struct errctx *e, const char *path, bool *is)
{
    struct stat st;
    struct stream_begin begin;
    struct stream_summary summary;
    struct lineage lineage;
    *is = opts.to > TO_GGUF;
    if (opts.to != TO_HF || !path || stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return ERR_OK;
    TRY(stream_glance(e, path, &begin, &summary, &lineage));
    *is = begin.kind == STREAM_TOKENIZER;
    stream_begin_fini(&begin);
    lineage_fini(&lineage);
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    const char *path = operands->count ? operands->items[0] : NULL;
    bool tokenizer;
    TRY(check(e, operands));
    TRY(is_tokenizer(e, path, &tokenizer));
    if (tokenizer && (opts.type || opts_given(sets, "shard-size")))
        return err_set(e, ERR_USAGE, "a tokenizer has no weights: --%s is for models",
                       opts.type ? "type" : "shard-size");
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK)
        r = tokenizer ? export_tokenizer(e, &stage, path) : export_model(e, &stage, path);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog p = {.name = "export",
                                  .summary =
                                      "put models and tokenizers into the files of other programs",
                                  .synopsis = "[OPTION ...] -o FOLDER|FILE [FILE]",
                                  .needs_input = true,
                                  .sets = sets,
                                  .run = run};
    return prog_main(&p, argc, argv);
}
