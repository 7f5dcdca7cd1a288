/* SPDX-License-Identifier: Apache-2.0 */
/* export_tokenizer_json.h: a tokenizer as tokenizer.json, the file of Hugging Face's tokenizers,
 * and what stands beside it: import_tokenizer_json.h backwards.
 *
 * What is written is read again and must be the same tokenizer, or what differs is named and
 * nothing is written. Two things may differ, and no ids do by them: SentencePiece's BPE, which has
 * scores, becomes merges in the order of the scores; a token without use has no text there.
 *
 * The roles of special tokens and the chat template are not in tokenizer.json but beside it, in
 * tokenizer_config.json and chat_template.jinja. */
#ifndef GRAFT_TEXT_EXPORT_TOKENIZER_JSON_H
#define GRAFT_TEXT_EXPORT_TOKENIZER_JSON_H

#include <jansson.h>
#include "formats/tokenizer.h"

/* New references. ERR_INPUT says what tokenizer.json cannot hold. */
enum err export_tokenizer_json(struct errctx *e, const struct tokenizer_spec *s,
                               json_t **out) MUST_USE;
/* `types`: rows of this tokenizer's model have token types. */
enum err export_tokenizer_config(struct errctx *e, const struct tokenizer_spec *s, bool types,
                                 json_t **out) MUST_USE;

#endif
