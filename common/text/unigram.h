/* SPDX-License-Identifier: Apache-2.0 */
/* unigram.h: the unigram language model of one piece (Kudo 2018): of all ways to cut it into tokens
 * the one whose scores (log probabilities) add up to most.
 *
 *   best[i] = max over tokens that end at i of best[begin] + score     (Viterbi)
 *
 * A character that no token covers alone may be unknown, at the lowest score less 10; neighbours
 * that are unknown are one unknown token, or the tokens of their bytes (byte_fallback). Of equal
 * sums the one found first stays, that whose last token begins first. The tokens are a trie, so
 * that a place costs its longest token at most: a piece of n bytes costs O(n). */
#ifndef GRAFT_TEXT_UNIGRAM_H
#define GRAFT_TEXT_UNIGRAM_H

#include <stdbool.h>
#include "formats/tokenizer.h"

struct unigram; /* immutable, shared by threads; borrows the specification */
enum err unigram_new(struct errctx *e, const struct tokenizer_spec *spec,
                     struct unigram **out) MUST_USE;
void unigram_free(struct unigram *u);

struct unigram_scratch { /* zero-initialised; one per thread */
    struct unigram_node *nodes;
    size_t capacity;
};
void unigram_scratch_fini(struct unigram_scratch *s);

/* ids of piece[0..n), valid UTF-8, n >= 1, into ids (room for n); *count. */
enum err unigram_encode(struct errctx *e, const struct unigram *u, struct unigram_scratch *s,
                        const uint8_t *piece, size_t n, uint32_t *ids, size_t *count) MUST_USE;

#endif
