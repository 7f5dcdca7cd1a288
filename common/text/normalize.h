/* SPDX-License-Identifier: Apache-2.0 */
/* normalize.h: the operations on text that come before it is cut, as an ordered list, with the way
 * back: for every byte of the result the offset in the original at which its character (or cluster)
 * ends.
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

enum { NORMALIZER_MAX_OPS = 8 };

struct normalizer {
    int ops[NORMALIZER_MAX_OPS];
    int count; /* 0: the identity */
};
/* From the list "normalizer" of a specification. */
enum err normalizer_init(struct errctx *e, const struct mp_value *ops,
                         struct normalizer *n) MUST_USE;

/* Text with the way back; zero-initialised, reused from call to call, one per thread. */
struct normalized {
    struct bytes text, spare;
    uint64_t *end, *spare_end; /* per byte of text: where its origin ends */
    size_t end_capacity, spare_capacity;
};
void normalized_fini(struct normalized *n);

/* The normal form of valid UTF-8 text[0..n) into *out. */
enum err normalizer_apply(struct errctx *e, const struct normalizer *z, const uint8_t *text,
                          size_t n, struct normalized *out) MUST_USE;

#endif
