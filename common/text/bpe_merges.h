/* SPDX-License-Identifier: Apache-2.0 */
/* bpe_merges.h: the merges that byte-pair encoding learns from counted words.
 *
 *   repeat: take the pair of neighbours with the highest count; make it a token;
 *           replace it in every word
 *
 * Ties: of pairs with equal counts the one whose (left bytes, right bytes) is lexicographically
 * greater. The result depends on the counts only, not on the order of words.
 *
 * The idea: a pair's places are all known in the step in which the newer of its two tokens is made,
 * and after that its count can only fall. So the words of each pair are gathered once, by counting
 * sort, into one arena; pairs below min_count are forgotten at once; and the heap of pairs needs no
 * updates but lowering an entry when it comes up. */
#ifndef GRAFT_TEXT_BPE_MERGES_H
#define GRAFT_TEXT_BPE_MERGES_H

#include "common/text/word_count.h"

struct merge_list {
    /* Tokens 0..255 are the bytes by value; token 256 + k is made by merge k. */
    uint32_t *pairs; /* left, right per merge */
    size_t count;
};
void merge_list_fini(struct merge_list *m);

/* At most `want` merges of pairs that occur at least min_count (>= 1) times. Frees the table's
 * slots on the way. */
enum err bpe_merges_learn(struct errctx *e, struct word_table *words, size_t want,
                          uint64_t min_count, struct merge_list *out) MUST_USE;

#endif
