/* SPDX-License-Identifier: Apache-2.0 */
/* source_open.c: see source_open.h. */
#include "common/convert/source_open.h"

enum err source_open(struct errctx *e, struct model_source *s, const char *path,
                     enum source_kind kind)
{
    switch (kind) {
    case SOURCE_FOLDER:
        return hf_folder_open(e, s, path);
    case SOURCE_GGUF:
        return gguf_model_open(e, s, path);
    case SOURCE_LLAMA2C:
        return llama2c_model_open(e, s, path);
    case SOURCE_AUTO:
    case SOURCE_TIKTOKEN:
    case SOURCE_TOKENIZER_JSON:
    case SOURCE_SENTENCEPIECE:
    case SOURCE_VOCAB_TXT:
    case SOURCE_MERGES:
    case SOURCE_GGUF_TOKENIZER:
    case SOURCE_LLAMA2C_TOKENIZER:
        break;
    }
    return err_set(e, ERR_USAGE, "'%s' is no model", path);
}
