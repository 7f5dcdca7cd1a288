/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.h: tokens that are found in text as a whole, before anything else looks at it: the
 * leftmost, of those the longest, with the options of Hugging Face's AddedToken (lstrip, rstrip,
 * single_word, normalized). */
#ifndef GRAFT_TEXT_ADDED_TOKENS_H
#define GRAFT_TEXT_ADDED_TOKENS_H

#include "common/text/normalize.h"
#include "formats/tokenizer.h"

struct added_token {
    uint32_t id;
    size_t from, n; /* what is matched, in `text` */
};

struct added_tokens {
    const struct tokenizer_spec *spec; /* borrowed */
    struct bytes text;
    struct added_token *tokens; /* by first byte, then longest first */
    size_t count;
    uint32_t first[257]; /* of first byte b: tokens[first[b]] .. tokens[first[b + 1]] */
    int only;            /* the byte that all of them begin with, -1: not one byte */
    bool any_space;      /* one of them holds or takes whitespace: text has no safe borders */
};
/* The tokens with TOKEN_ADDED; special ones only if `special`. With a normaliser those with
 * TOKEN_NORMALIZED, as it makes them, else those without. */
enum err added_tokens_init(struct errctx *e, const struct tokenizer_spec *spec,
                           const struct normalizer *normalizer, bool special,
                           struct added_tokens *a) MUST_USE;
void added_tokens_fini(struct added_tokens *a);

/* The next one in text[at..n): its range, whitespace it takes included, and id. False when there is
 * none. */
bool added_tokens_next(const struct added_tokens *a, const uint8_t *text, size_t n, size_t at,
                       size_t *from, size_t *to, uint32_t *id);

#endif
