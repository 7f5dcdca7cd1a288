/* SPDX-License-Identifier: Apache-2.0 */
/* wordpiece.h: WordPiece of one word: the longest token that begins it, then the longest that
 * continues it (written with a prefix, "##"), to the end; a word with a gap, or with too many
 * characters, is unknown as a whole. Reference: Devlin et al. 2018, tokenization.py. */
#ifndef GRAFT_TEXT_WORDPIECE_H
#define GRAFT_TEXT_WORDPIECE_H

#include "common/text/vocab_map.h"

struct wordpiece { /* immutable, shared by threads */
    const struct vocab_map *vocab;
    uint32_t unknown;
    char prefix[16];
    size_t prefix_len;
    size_t max_chars;
};

/* Ids of word[0..n), valid UTF-8, into ids (room for n + 1); *count. `buffer` is scratch. */
enum err wordpiece_encode(struct errctx *e, const struct wordpiece *w, struct bytes *buffer,
                          const uint8_t *word, size_t n, uint32_t *ids, size_t *count) MUST_USE;

#endif
