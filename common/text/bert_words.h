/* SPDX-License-Identifier: Apache-2.0 */
/* bert_words.h: cuts raw text into what BERT's normaliser and pre-tokeniser treat each by itself:
 * words between whitespace, punctuation of ASCII, and ideographs, around which the normaliser puts
 * spaces. So the tokens of such a word can be remembered under its raw bytes, and most text is
 * never normalised at all.
 *
 * Exact because no operation of that normaliser looks across these borders: normal forms by
 * decomposition neither compose nor reorder beyond a character that is no mark, and all of them are
 * cut behind such ones or before one. Controls are no borders, for what they stand between is
 * joined when they go. */
#ifndef GRAFT_TEXT_BERT_WORDS_H
#define GRAFT_TEXT_BERT_WORDS_H

#include "common/text/pretokenize.h"

struct bert_words {
    bool usable; /* the operations are BERT's */
    bool ideographs, lowercase;
    uint8_t kind[256]; /* by byte */
};
void bert_words_init(const struct mp_value *normalizer, const struct mp_value *pretokenizer,
                     struct bert_words *w);

/* The next words of text[*at..n), at most `room`; their number, 0 at the end. *at moves on. */
size_t bert_words_next(const struct bert_words *w, const uint8_t *text, size_t n, size_t *at,
                       struct piece *out, size_t room);

#endif
