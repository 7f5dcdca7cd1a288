/* SPDX-License-Identifier: Apache-2.0 */
/* import_vocab_files.h: tokenizers out of the files that came before tokenizer.json: they become
 * what tokenizer.json would say of them. */
#ifndef GRAFT_TEXT_IMPORT_VOCAB_FILES_H
#define GRAFT_TEXT_IMPORT_VOCAB_FILES_H

#include "formats/tokenizer.h"

/* BERT's vocab.txt, a token per line in the order of ids; `side`, tokenizer_config.json, may say
 * do_lower_case, strip_accents, tokenize_chinese_chars. */
enum err import_vocab_txt(struct errctx *e, const char *data, size_t n, const char *side,
                          size_t side_n, struct tokenizer_spec *out) MUST_USE;

/* GPT-2's vocab.json (token: id) and merges.txt (a pair per line, the first may be a comment). */
enum err import_merges(struct errctx *e, const char *vocab, size_t vocab_n, const char *merges,
                       size_t merges_n, struct tokenizer_spec *out) MUST_USE;

#endif
