/* SPDX-License-Identifier: Apache-2.0 */
/* export_merges.h: the merges of a BPE tokenizer as tokenizer.json and merges.txt have them: pairs
 * of tokens in the order of their ranks.
 *
 * SentencePiece's BPE has scores instead, and joins whatever two tokens make a token. Every way in
 * which a token can be cut in two is a merge then, in the order of the scores. Of neighbours that
 * are the same token SentencePiece joins the leftmost; ranks are made so that they say the same. */
#ifndef GRAFT_TEXT_EXPORT_MERGES_H
#define GRAFT_TEXT_EXPORT_MERGES_H

#include <jansson.h>
#include <stdbool.h>
#include "common/text/export_parts.h"

struct merge_pairs {
    uint32_t *pairs; /* left, right */
    size_t count;
};
/* The merges of the specification, or those that its scores stand for. Free with mem_free. */
enum err export_merge_pairs(struct errctx *e, const struct tokenizer_spec *s,
                            struct merge_pairs *out) MUST_USE;

/* Appends them to *list as texts, "a b", or [a, b] where one has a space. `vocab`: token -> id. */
enum err export_merges(struct errctx *e, const struct export_parts *p, const json_t *vocab,
                       json_t *list) MUST_USE;

#endif
