/* SPDX-License-Identifier: Apache-2.0 */
/* import_gguf_tokenizer.h: the tokenizer in the keys of a GGUF file, by tokenizer.ggml.model:
 *
 *   gpt2         byte-level BPE, cut as tokenizer.ggml.pre names it
 *   llama, t5    SentencePiece's BPE, Unigram
 *   bert         WordPiece, always uncased, words marked where they begin instead of inside
 *
 * A pre-tokeniser that llama.cpp has and graft has not is refused by its name. Reference:
 * llama.cpp, src/llama-vocab.cpp. */
#ifndef GRAFT_TEXT_IMPORT_GGUF_TOKENIZER_H
#define GRAFT_TEXT_IMPORT_GGUF_TOKENIZER_H

#include "formats/tokenizer.h"

/* `meta`: the map of the file's keys. ERR_INPUT names the key that is missing or wrong. */
enum err import_gguf_tokenizer(struct errctx *e, const struct mp_value *meta,
                               struct tokenizer_spec *out) MUST_USE;
/* The other way: *out is the name in tokenizer.ggml.pre of these operations (a list) of a
 * byte-level model; NULL when there is none. */
enum err import_gguf_pre_of(struct errctx *e, const struct mp_value *pretokenizer,
                            bool ignore_merges, const char **out) MUST_USE;

#endif
