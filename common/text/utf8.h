/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h: checked UTF-8 (RFC 3629): validation with the place of the first fault, decoding of what
 * has been validated, counting, and replacement of faults by U+FFFD.
 *
 * Everything behind the readers of text works on validated bytes, so that the decoder needs no
 * checks. Categories, case and normal forms are utf8proc's, not ours. */
#ifndef GRAFT_TEXT_UTF8_H
#define GRAFT_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/mem.h"

/* Length of the longest valid prefix of s[0..n); n when all of it is valid. */
size_t utf8_valid_prefix(const uint8_t *s, size_t n);

/* At a fault (s[0..n) begins with one): bytes of its maximal subpart, at least 1 (Unicode 15,
 * section 3.9, the practice that Python, Rust and web browsers follow). *incomplete: more bytes
 * could make it valid. */
size_t utf8_fault_length(const uint8_t *s, size_t n, bool *incomplete);

/* Characters of valid text. */
size_t utf8_count(const uint8_t *s, size_t n);

/* Appends s[0..n) with each fault replaced by U+FFFD. */
enum err utf8_append_replaced(struct errctx *e, const uint8_t *s, size_t n,
                              struct bytes *out) MUST_USE;

/* As Python's str.isspace(), by which str.strip() and str.split() go. */
bool utf8_is_space(uint32_t c);

/* The character at s (valid text), its length in *len. */
static inline uint32_t utf8_decode(const uint8_t *s, size_t *len)
{
    uint32_t c = s[0];
    if (c < 0x80) {
        *len = 1;
        return c;
    }
    if (c < 0xe0) {
        *len = 2;
        return (c & 0x1f) << 6 | (s[1] & 0x3fu);
    }
    if (c < 0xf0) {
        *len = 3;
        return (c & 0x0f) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
    }
    *len = 4;
    return (c & 0x07) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}

/* Writes c to out (4 bytes of room); returns the length. */
static inline size_t utf8_encode(uint32_t c, uint8_t *out)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

#endif
