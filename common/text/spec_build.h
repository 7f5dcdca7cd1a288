/* SPDX-License-Identifier: Apache-2.0 */
/* spec_build.h: what importers of tokenizers share: tokens gathered in any order into the tables of
 * a specification, operations from a template of JSON, and the ways in which other programs write
 * the bytes of tokens. */
#ifndef GRAFT_TEXT_SPEC_BUILD_H
#define GRAFT_TEXT_SPEC_BUILD_H

#include <jansson.h>
#include "formats/tokenizer.h"

struct spec_build { /* zero-initialised; spec_build_fini */
    struct bytes text;
    struct spec_token {
        size_t from, n; /* in text */
        float score;
        uint8_t flags;
        bool there;
    } * tokens;
    size_t count, capacity; /* ids */
    uint32_t *merges;       /* pairs of ids */
    size_t merges_count, merges_capacity;
};
void spec_build_fini(struct spec_build *b);

/* Ids may come in any order; ERR_INPUT when one comes twice or is beyond what a vocabulary may
 * have. */
enum err spec_build_token(struct errctx *e, struct spec_build *b, int64_t id, const void *bytes,
                          size_t n, uint8_t flags, float score) MUST_USE;
enum err spec_build_merge(struct errctx *e, struct spec_build *b, uint32_t left,
                          uint32_t right) MUST_USE;
/* Fills the tables of *s (initialised); ids that nobody has become TOKEN_UNUSED. */
enum err spec_build_finish(struct errctx *e, struct spec_build *b, bool scores,
                           struct tokenizer_spec *s) MUST_USE;

/* ops[key] = the JSON value, whose reference is taken; NULL is memory that is short. */
enum err spec_build_ops(struct errctx *e, struct tokenizer_spec *s, const char *key,
                        json_t *json) MUST_USE;
/* Appends an operation, whose reference is taken, to a list. */
enum err spec_build_append(struct errctx *e, struct mp_value *list, json_t *op) MUST_USE;

/* The bytes that a token of a byte-level model is written for (GPT-2's alphabet), appended to *out;
 * false when it has other characters. */
bool spec_build_byte_level(struct errctx *e, const char *text, size_t n, struct bytes *out);
/* U+2581 as U+0020. */
enum err spec_build_spaces(struct errctx *e, const char *text, size_t n,
                           struct bytes *out) MUST_USE;
/* Whether some byte that UTF-8 uses has no token of its own. */
bool spec_build_lacks_bytes(const struct spec_build *b);
/* "<0xNN>": the byte, or -1. */
int spec_build_byte(const char *text, size_t n);

#endif
