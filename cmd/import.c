/* SPDX-License-Identifier: Apache-2.0 */
/* import.c: files of other programs in, graft's streams out. So far: tokenizers as others keep
 * them. */
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/base/io.h"
#include "common/flow/stage.h"
#include "common/text/import_tiktoken.h"
#include "common/text/import_tokenizer_json.h"
#include "common/text/tokenizer_run.h"

#define FILE_LIMIT ((size_t)1 << 30)
static const char *const patterns[] = {NULL, "gpt2", "cl100k", "llama3", "o200k"};

struct opts {
    struct common common;
    int format, pattern;
    struct opt_list special;
};
static struct opts opts = {.common = COMMON};

static const struct opt table[] = {
    {"format", 0, OPT_CHOICE, offsetof(struct opts, format), "auto|tiktoken|tokenizer_json",
     "what the file is; auto goes by its name"},
    {"pattern", 0, OPT_CHOICE, offsetof(struct opts, pattern), "auto|gpt2|cl100k|llama3|o200k",
     "how text is cut into words; auto goes by the size of the vocabulary"},
    {"special", 0, OPT_LIST, offsetof(struct opts, special), "[ROLE=]TOKEN",
     "a special token behind the others; ROLE is bos, eos, unk, pad, cls, sep or mask (default: by "
     "size)"},
    OPT_END};

static struct opt_set sets[] = {{"Importing", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* The forms of files: an option of this name, and the names of files that have it. */
enum format { AUTO, TIKTOKEN, TOKENIZER_JSON };
static const struct {
    const char *ending;
    enum format format;
} endings[] = {{".tiktoken", TIKTOKEN}, {"tokenizer.json", TOKENIZER_JSON}};

static bool ends_with(const char *path, const char *ending)
{
    size_t n = strlen(path), k = strlen(ending);
    return n >= k && strcmp(path + n - k, ending) == 0;
}

static enum err find_format(struct errctx *e, const char *path, enum format *out)
{
    *out = (enum format)opts.format;
    for (size_t i = 0; *out == AUTO && i < ARRAY_LEN(endings); i++)
        if (ends_with(path, endings[i].ending)) *out = endings[i].format;
    if (*out != AUTO) return ERR_OK;
    if (access(path, R_OK) != 0) return err_errno(e, "cannot open '%s'", path);
    return err_set(e, ERR_USAGE, "'%s': its name does not tell what it is (--format says it)",
                   path);
}

/* Reads the file, as an input of the run. */
static enum err read_file(struct errctx *e, struct stage *stage, const char *path,
                          struct bytes *data)
{
    XXH128_canonical_t content;
    size_t slot;

    TRY(run_input_open(e, &stage->run, "input", path, &slot));
    TRY(io_slurp(e, path, FILE_LIMIT, data));
    stage->bytes_read += data->len;
    XXH128_canonicalFromHash(&content, XXH3_128bits(data->data, data->len));
    return run_input_done(e, &stage->run, slot, content.digest, NULL, -1, false);
}

static enum err write_tokenizer(struct errctx *e, struct stage *stage,
                                const struct tokenizer_spec *s)
{
    struct stream_begin begin;
    struct tokenizer *t;
    enum err r;

    TRY(tokenizer_new(e, s, &t)); /* what cannot run is not written */
    tokenizer_free(t);
    TRY(tokenizer_spec_begin(e, s, &begin));
    r = stage_output(e, stage, &begin);
    if (r == ERR_OK) r = tokenizer_spec_write(e, s, stage->output, 0);
    stream_begin_fini(&begin);
    return r;
}

/* A file beside `path`, if it is there. */
static enum err read_beside(struct errctx *e, struct stage *stage, const char *path,
                            const char *name, struct bytes *data)
{
    const char *slash = strrchr(path, '/');
    char *beside;
    enum err r = ERR_OK;

    TRY(mem_printf(e, &beside, "%.*s%s", slash == NULL ? 0 : (int)(slash - path + 1), path, name));
    if (access(beside, F_OK) == 0) r = read_file(e, stage, beside, data);
    mem_free(beside);
    return r;
}

static enum err convert(struct errctx *e, struct stage *stage, const char *path, enum format format,
                        const struct bytes *data, struct tokenizer_spec *s)
{
    struct import_tiktoken_cfg cfg = {.pattern = patterns[opts.pattern], .special = &opts.special};
    const char *text = (const char *)data->data;
    struct bytes side = {0};
    enum err r;

    if (format == TIKTOKEN) return import_tiktoken(e, text, data->len, &cfg, s);
    r = read_beside(e, stage, path, "tokenizer_config.json", &side);
    if (r == ERR_OK && side.data == NULL)
        r = read_beside(e, stage, path, "special_tokens_map.json", &side);
    if (r == ERR_OK)
        r = import_tokenizer_json(e, text, data->len, (const char *)side.data, side.len, s);
    bytes_fini(&side);
    return r;
}

static enum err import(struct errctx *e, struct stage *stage, const char *path, enum format format)
{
    struct tokenizer_spec s;
    struct bytes data = {0};
    enum err r = read_file(e, stage, path, &data);

    if (r == ERR_OK) {
        r = convert(e, stage, path, format, &data, &s);
        if (r != ERR_OK) err_prefix(e, "'%s'", path);
    }
    bytes_fini(&data);
    if (r != ERR_OK) return r;
    r = write_tokenizer(e, stage, &s);
    tokenizer_spec_fini(&s);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    enum format format;
    enum err r;

    if (operands->count != 1) return err_set(e, ERR_USAGE, "give one file to import");
    TRY(find_format(e, operands->items[0], &format));
    r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK) r = import(e, &stage, operands->items[0], format);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog p = {.name = "import",
                                  .summary = "bring in tokenizers and models of other formats",
                                  .synopsis = "[OPTION ...] FILE",
                                  .sets = sets,
                                  .run = run};
    return prog_main(&p, argc, argv);
}
