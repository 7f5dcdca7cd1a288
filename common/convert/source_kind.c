/* SPDX-License-Identifier: Apache-2.0 */
/* source_kind.c: see source_kind.h. */
#include "common/convert/source_kind.h"

#include <string.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/text/import_llama2c.h"
#include "formats/tensor_file.h"

static const struct {
    const char *ending;
    enum source_kind kind;
} endings[] = {{".tiktoken", SOURCE_TIKTOKEN},
               {"tokenizer.json", SOURCE_TOKENIZER_JSON},
               {"vocab.txt", SOURCE_VOCAB_TXT},
               {"merges.txt", SOURCE_MERGES},
               {"vocab.bpe", SOURCE_MERGES}};

static bool ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), k = strlen(end);
    return n >= k && strcmp(path + n - k, end) == 0;
}

bool source_is_model(enum source_kind kind)
{
    return kind < SOURCE_TIKTOKEN;
}

static enum err refuse(struct errctx *e, const char *path, const uint8_t *head, size_t n)
{
    if (tensor_file_is_pickle(head, n)) return tensor_file_refuse_pickle(e, path);
    if (ends_with(path, ".safetensors"))
        return err_set(e, ERR_USAGE, "'%s': give the folder that it lies in, with its config.json",
                       path);
    return err_set(e, ERR_USAGE, "'%s': its name does not tell what it is (--format says it)",
                   path);
}

enum err source_kind_find(struct errctx *e, const char *path, enum source_kind *kind)
{
    struct stat st;
    struct infile in;
    uint8_t head[16];
    size_t got = 0;
    if (*kind != SOURCE_AUTO) return ERR_OK;
    if (stat(path, &st) != 0) return err_errno(e, "cannot open '%s'", path);
    if (S_ISDIR(st.st_mode)) {
        *kind = SOURCE_FOLDER;
        return ERR_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (ends_with(path, endings[i].ending)) *kind = endings[i].kind;
    if (*kind != SOURCE_AUTO) return ERR_OK;
    TRY(infile_open(e, path, &in));
    (void)!infile_read_full(e, &in, head, sizeof head, &got);
    infile_close(&in);
    TRY(e->code);
    if (got >= 4 && memcmp(head, "GGUF", 4) == 0) {
        static const uint8_t none[8];
        const bool tensors = got < 16 || memcmp(head + 8, none, sizeof none) != 0;
        *kind = tensors ? SOURCE_GGUF : SOURCE_GGUF_TOKENIZER;
        return ERR_OK;
    }
    if (got >= 1 && head[0] == '\n' && ends_with(path, ".model")) { /* the first field's key */
        *kind = SOURCE_SENTENCEPIECE;
        return ERR_OK;
    }
    if (ends_with(path, ".bin") && import_llama2c_looks_like(head, got)) {
        *kind = SOURCE_LLAMA2C_TOKENIZER;
        return ERR_OK;
    }
    if (ends_with(path, ".bin") && !tensor_file_is_pickle(head, got)) {
        *kind = SOURCE_LLAMA2C;
        return ERR_OK;
    }
    return refuse(e, path, head, got);
}
