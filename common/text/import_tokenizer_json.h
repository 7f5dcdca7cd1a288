/* SPDX-License-Identifier: Apache-2.0 */
/* import_tokenizer_json.h: a tokenizer out of tokenizer.json, the file of Hugging Face's
 * tokenizers.
 *
 * Its parts become operations of our own; alphabets are undone (the bytes of byte-level models, the
 * mark U+2581 for a space), so that the same tokenizer from another file is the same. A part that
 * is not known is refused by its name: what is not understood cannot be run exactly. The roles of
 * special tokens (bos, pad, ..) stand in tokenizer_config.json or special_tokens_map.json beside
 * it; without those they are told by the usual names of such tokens. A chat template is that of
 * tokenizer_config.json.
 *
 * References: tokenizers, src/{normalizers,pre_tokenizers,models,processors,decoders}. */
#ifndef GRAFT_TEXT_IMPORT_TOKENIZER_JSON_H
#define GRAFT_TEXT_IMPORT_TOKENIZER_JSON_H

#include "formats/tokenizer.h"

/* `side`: the bytes of tokenizer_config.json or special_tokens_map.json, or NULL. */
enum err import_tokenizer_json(struct errctx *e, const char *data, size_t n, const char *side,
                               size_t side_n, struct tokenizer_spec *out) MUST_USE;

/* BERT's vocab.txt, a token per line in the order of ids; `side`, tokenizer_config.json, may say
 * do_lower_case, strip_accents, tokenize_chinese_chars. */
enum err import_vocab_txt(struct errctx *e, const char *data, size_t n, const char *side,
                          size_t side_n, struct tokenizer_spec *out) MUST_USE;

/* GPT-2's vocab.json (token: id) and merges.txt (a pair per line, the first may be a comment). */
enum err import_merges(struct errctx *e, const char *vocab, size_t vocab_n, const char *merges,
                       size_t merges_n, struct tokenizer_spec *out) MUST_USE;

#endif
