/* SPDX-License-Identifier: Apache-2.0 */
/* source_kind.h: what a file or folder of another program is, from its first bytes and its name. */
#ifndef GRAFT_CONVERT_SOURCE_KIND_H
#define GRAFT_CONVERT_SOURCE_KIND_H

#include <stdbool.h>
#include "common/base/attr.h"
#include "common/base/err.h"

enum source_kind {
    SOURCE_AUTO,
    SOURCE_FOLDER, /* of transformers or sentence-transformers */
    SOURCE_GGUF,
    SOURCE_LLAMA2C,
    SOURCE_TIKTOKEN, /* tokenizers from here on */
    SOURCE_TOKENIZER_JSON,
    SOURCE_SENTENCEPIECE,
    SOURCE_VOCAB_TXT,
    SOURCE_MERGES,
    SOURCE_GGUF_TOKENIZER, /* the tokenizer of a GGUF file, which may have no tensors */
    SOURCE_LLAMA2C_TOKENIZER,
};
#define SOURCE_KINDS                                                                               \
    "auto|folder|gguf|llama2c|tiktoken|tokenizer_json|sentencepiece|vocab_txt|merges|gguf_"        \
    "tokenizer|llama2c_tokenizer"

bool source_is_model(enum source_kind kind);
/* SOURCE_AUTO becomes what `path` is. ERR_INPUT says what it is and what to do, ERR_IO why it
 * cannot be read. */
enum err source_kind_find(struct errctx *e, const char *path, enum source_kind *kind) MUST_USE;

#endif
