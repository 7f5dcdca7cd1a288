/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.h: tokens that are found in text as a whole, before anything else looks at it: the
 * leftmost, of those the longest, with the options of Hugging Face's AddedToken (lstrip, rstrip,
 * single_word, normalized). */
#ifndef GRAFT_TEXT_ADDED_TOKENS_H
#define GRAFT_TEXT_ADDED_TOKENS_H

#include "formats/tokenizer.h"

struct added_tokens {
    const struct tokenizer_spec *spec; /* borrowed */
    uint32_t *ids;                     /* by first byte, then longest first */
    uint32_t first[257];               /* ids of first byte b: ids[first[b]] .. ids[first[b + 1]] */
    int only;                          /* the byte that all of them begin with, -1: not one byte */
    bool any_space; /* one of them holds or takes whitespace: text has no safe borders */
};
/* The tokens with TOKEN_ADDED whose TOKEN_NORMALIZED is as asked; special ones only if `special`.
 */
enum err added_tokens_init(struct errctx *e, const struct tokenizer_spec *spec, bool normalized,
                           bool special, struct added_tokens *a) MUST_USE;
void added_tokens_fini(struct added_tokens *a);

/* The next one in text[at..n): its range, whitespace it takes included, and id. False when there is
 * none. */
bool added_tokens_next(const struct added_tokens *a, const uint8_t *text, size_t n, size_t at,
                       size_t *from, size_t *to, uint32_t *id);

#endif
