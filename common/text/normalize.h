/* SPDX-License-Identifier: Apache-2.0 */
/* normalize.h: the operations on text that come before it is cut, as an ordered list, with the way
 * back: for every byte of the result the offset in the original at which its character (or cluster)
 * ends.
 *
 * What has no use for an operation passes it uncopied: most text is in normal form and most
 * segments need a space in front of them, nothing else.
 *
 * Normal forms, categories and case are utf8proc's. The BERT operations are those of BertNormalizer
 * taken apart: clean_text, chinese_chars, strip_accents, lowercase. */
#ifndef GRAFT_TEXT_NORMALIZE_H
#define GRAFT_TEXT_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/mem.h"
#include "formats/msgpack.h"

enum { NORMALIZER_MAX_OPS = 16 };

struct normalizer {
    struct normalizer_op *ops[NORMALIZER_MAX_OPS];
    int count; /* 0: the identity */
};
/* From the list "normalizer" of a specification. Nothing to free after an error. */
enum err normalizer_init(struct errctx *e, const struct mp_value *ops,
                         struct normalizer *n) MUST_USE;
void normalizer_fini(struct normalizer *n);

/* Text with the way back; zero-initialised, reused from call to call, one per thread. */
struct normalized {
    const uint8_t *data; /* the result: text, or the original itself where nothing changed it */
    size_t n;
    /* Per byte where its origin ends; NULL: the result is the original behind `shift` bytes. */
    const uint64_t *ends;
    size_t shift;
    struct bytes text, spare;
    uint64_t *end, *spare_end;
    size_t end_capacity, spare_capacity;
    void *match; /* of expressions */
};
void normalized_fini(struct normalized *n);
/* Where in the original the first `to` bytes of the result end. */
static inline uint64_t normalized_end(const struct normalized *n, size_t to)
{
    if (n->ends != NULL) return to == 0 ? 0 : n->ends[to - 1];
    return to > n->shift ? to - n->shift : 0;
}

/* Whether a text may be cut where a letter or digit of ASCII stands before a space. */
bool normalizer_has_borders(const struct normalizer *n);

/* Where in a text a segment lies, for operations on its ends. */
struct normalizer_place {
    bool first;       /* it begins the text */
    bool left, right; /* its ends are no cuts inside running text */
};
#define NORMALIZER_WHOLE ((struct normalizer_place){true, true, true})

/* The normal form of valid UTF-8 text[0..n) into *out, which may point into the text. */
enum err normalizer_apply(struct errctx *e, const struct normalizer *z, const uint8_t *text,
                          size_t n, struct normalizer_place place, struct normalized *out) MUST_USE;

#endif
