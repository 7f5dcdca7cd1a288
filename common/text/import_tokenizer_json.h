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

#include <jansson.h>
#include "formats/tokenizer.h"

/* `side`: the bytes of tokenizer_config.json or special_tokens_map.json, or NULL. */
enum err import_tokenizer_json(struct errctx *e, const char *data, size_t n, const char *side,
                               size_t side_n, struct tokenizer_spec *out) MUST_USE;

/* ------------------------------------------------------------------ for import_vocab_files.c */

/* An object; `what` is for messages; `ids`: its integers are ids. */
enum err import_tokenizer_parse(struct errctx *e, const char *data, size_t n, const char *what,
                                bool ids, json_t **out) MUST_USE;
/* What stands beside the file; *out is NULL for a side of NULL. */
enum err import_tokenizer_side(struct errctx *e, const char *side, size_t n, json_t **out) MUST_USE;
/* From the parsed file and what stands beside it (or NULL); both are let go of. */
enum err import_tokenizer_root(struct errctx *e, json_t *root, json_t *side,
                               struct tokenizer_spec *out) MUST_USE;

#endif
