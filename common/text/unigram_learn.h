/* SPDX-License-Identifier: Apache-2.0 */
/* unigram_learn.h: the pieces of a Unigram model, learned from counted words (Kudo 2018, as
 * SentencePiece's trainer does it).
 *
 *   seed: characters, and substrings that occur more than once and go on in more than one way,
 *         found in a suffix array; their scores are frequency times length
 *   repeat: twice { expected counts of all pieces over all ways to cut all words;
 *                   score = digamma(count) - digamma(sum) }
 *           leave out the pieces without which the words lose least likelihood, a quarter at most
 *   until there are 1.1 times as many as wanted; the best of these are the result
 *
 * The words are summed up in a fixed number of parts, in their order: the result depends neither on
 * threads nor on the order in which words were counted. Characters beyond all but 5 in 10,000 get
 * no piece: byte fallback is for them. */
#ifndef GRAFT_TEXT_UNIGRAM_LEARN_H
#define GRAFT_TEXT_UNIGRAM_LEARN_H

#include "common/base/pool.h"
#include "common/text/word_count.h"

struct unigram_pieces { /* best first */
    struct unigram_piece {
        const uint8_t *bytes; /* into text */
        uint32_t n;
        uint32_t characters;
        double score;
    } * items;
    size_t count;
    struct bytes text;
};
void unigram_pieces_fini(struct unigram_pieces *p);

/* At most `want` pieces; substrings that occur less than min_count times are none. */
enum err unigram_learn(struct errctx *e, const struct word_table *words, size_t want,
                       uint64_t min_count, struct pool *pool, struct unigram_pieces *out) MUST_USE;

#endif
