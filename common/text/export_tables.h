/* SPDX-License-Identifier: Apache-2.0 */
/* export_tables.h: a tokenizer in the older files that hold a vocabulary and little else, where
 * that is all there is to it: vocab.txt of BERT, vocab.json and merges.txt of GPT-2, the ranks of
 * tiktoken. What their readers take for granted must be so: each file is read again and compared
 * (export_check.h). */
#ifndef GRAFT_TEXT_EXPORT_TABLES_H
#define GRAFT_TEXT_EXPORT_TABLES_H

#include <jansson.h>
#include "formats/tokenizer.h"

/* A token per line in *vocab, and tokenizer_config.json, which says what becomes of case. */
enum err export_vocab_txt(struct errctx *e, const struct tokenizer_spec *s, struct bytes *vocab,
                          json_t **config) MUST_USE;
enum err export_vocab_merges(struct errctx *e, const struct tokenizer_spec *s, json_t **vocab,
                             struct bytes *merges) MUST_USE;
/* "BASE64 RANK" per line. Neither special tokens nor how text is cut stands there: *hint gets the
 * options by which graft-import is told (mem_free), NULL where it knows them by the size. */
enum err export_tiktoken(struct errctx *e, const struct tokenizer_spec *s, struct bytes *ranks,
                         char **hint) MUST_USE;

#endif
