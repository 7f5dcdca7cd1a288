/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_source.c: see tokenizer_source.h. */
#include "common/convert/tokenizer_source.h"

#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/base/io.h"
#include "common/text/import_gguf_tokenizer.h"
#include "common/text/import_llama2c.h"
#include "common/text/import_sentencepiece.h"
#include "common/text/import_tokenizer_json.h"
#include "common/text/import_vocab_files.h"
#include "common/text/tokenizer_run.h"
#include "formats/gguf.h"

#define FILE_LIMIT ((size_t)1 << 30)

static enum err read_file(struct errctx *e, struct run *run, const char *path, struct bytes *data)
{
    XXH128_canonical_t content;
    size_t slot = 0;
    if (run) TRY(run_input_open(e, run, "input", path, &slot));
    TRY(io_slurp(e, path, FILE_LIMIT, data));
    if (!run) return ERR_OK;
    XXH128_canonicalFromHash(&content, XXH3_128bits(data->data, data->len));
    return run_input_done(e, run, slot, content.digest, NULL, -1, false);
}

/* A file beside `path`, if it is there. */
static enum err read_beside(struct errctx *e, struct run *run, const char *path, const char *name,
                            struct bytes *data)
{
    const char *slash = strrchr(path, '/');
    char *beside;
    enum err r = ERR_OK;
    TRY(mem_printf(e, &beside, "%.*s%s", slash ? (int)(slash - path + 1) : 0, path, name));
    if (access(beside, F_OK) == 0) r = read_file(e, run, beside, data);
    mem_free(beside);
    return r;
}

/* chat_template.jinja, where newer folders keep what stood in tokenizer_config.json. */
static enum err read_chat_template(struct errctx *e, struct run *run, const char *path,
                                   struct tokenizer_spec *s, uint64_t *bytes)
{
    struct bytes source = {0};
    enum err r = read_beside(e, run, path, "chat_template.jinja", &source);
    if (r == ERR_OK && source.len > 0 && memchr(source.data, 0, source.len) != NULL)
        r = err_set(e, ERR_INPUT, "chat_template.jinja is not a text");
    if (r == ERR_OK && source.data != NULL) r = bytes_append(e, &source, "", 1);
    if (r == ERR_OK && source.data != NULL) {
        *bytes += source.len - 1;
        r = mp_set_string(e, &s->ops, "chat_template", (const char *)source.data);
    }
    bytes_fini(&source);
    if (r != ERR_OK) tokenizer_spec_fini(s);
    return r;
}

/* The tokenizer in a GGUF file's keys, with its chat template. */
static enum err of_keys(struct errctx *e, const struct mp_value *meta, struct tokenizer_spec *out)
{
    const struct mp_value *chat = mp_get(meta, "tokenizer.chat_template");
    TRY(import_gguf_tokenizer(e, meta, out));
    if (!chat || chat->type != MP_STRING) return ERR_OK;
    if (mp_set_string(e, &out->ops, "chat_template", chat->as.bytes.data) != ERR_OK)
        tokenizer_spec_fini(out);
    return e->code;
}

static enum err convert_gguf(struct errctx *e, const char *path, struct tokenizer_spec *out)
{
    struct tensor_file f;
    TRY(gguf_open(e, path, &f));
    (void)!of_keys(e, &f.meta, out);
    tensor_file_close(&f);
    return e->code;
}

/* merges.txt has its vocabulary beside it. */
static enum err convert_merges(struct errctx *e, struct run *run, const char *path,
                               const struct bytes *data, struct tokenizer_spec *out,
                               uint64_t *bytes)
{
    struct bytes vocab = {0};
    enum err r = read_beside(e, run, path, "vocab.json", &vocab);
    if (r == ERR_OK && !vocab.data) r = read_beside(e, run, path, "encoder.json", &vocab);
    if (r == ERR_OK && !vocab.data) r = err_set(e, ERR_INPUT, "there is no vocab.json beside it");
    if (r == ERR_OK)
        r = import_merges(e, (const char *)vocab.data, vocab.len, (const char *)data->data,
                          data->len, out);
    *bytes += vocab.len;
    bytes_fini(&vocab);
    return r;
}

static enum err convert(struct errctx *e, struct run *run, const char *path, enum source_kind kind,
                        const struct import_tiktoken_cfg *tiktoken, const struct bytes *data,
                        struct tokenizer_spec *out, uint64_t *bytes)
{
    const char *text = (const char *)data->data;
    struct bytes side = {0};
    if (kind == SOURCE_TIKTOKEN) return import_tiktoken(e, text, data->len, tiktoken, out);
    if (kind == SOURCE_SENTENCEPIECE) return import_sentencepiece(e, text, data->len, out);
    if (kind == SOURCE_LLAMA2C_TOKENIZER) return import_llama2c(e, text, data->len, out);
    if (kind == SOURCE_GGUF_TOKENIZER) return convert_gguf(e, path, out);
    if (kind == SOURCE_MERGES) return convert_merges(e, run, path, data, out, bytes);
    enum err r = read_beside(e, run, path, "tokenizer_config.json", &side);
    if (r == ERR_OK && !side.data) r = read_beside(e, run, path, "special_tokens_map.json", &side);
    if (r == ERR_OK)
        r = (kind == SOURCE_VOCAB_TXT ? import_vocab_txt : import_tokenizer_json)(
            e, text, data->len, (const char *)side.data, side.len, out);
    *bytes += side.len;
    bytes_fini(&side);
    return r == ERR_OK ? read_chat_template(e, run, path, out, bytes) : r;
}

/* What cannot run is not handed out. */
static enum err try_it(struct errctx *e, struct tokenizer_spec *s)
{
    struct tokenizer *t;
    if (tokenizer_spec_tidy(e, s) == ERR_OK && tokenizer_new(e, s, &t) == ERR_OK)
        tokenizer_free(t);
    else
        tokenizer_spec_fini(s);
    return e->code;
}

enum err tokenizer_source_keys(struct errctx *e, const struct mp_value *meta,
                               struct tokenizer_spec *out)
{
    TRY(of_keys(e, meta, out));
    return try_it(e, out);
}

enum err tokenizer_source_load(struct errctx *e, struct run *run, const char *path,
                               enum source_kind kind, const struct import_tiktoken_cfg *tiktoken,
                               struct tokenizer_spec *out, uint64_t *bytes)
{
    struct bytes data = {0};
    if (read_file(e, run, path, &data) == ERR_OK &&
        convert(e, run, path, kind, tiktoken, &data, out, bytes) != ERR_OK)
        (void)err_prefix(e, "'%s'", path);
    *bytes += data.len;
    bytes_fini(&data);
    TRY(e->code);
    if (try_it(e, out) == ERR_INPUT) (void)err_prefix(e, "'%s'", path);
    return e->code;
}
