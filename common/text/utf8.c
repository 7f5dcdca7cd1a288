/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.c: see utf8.h. One function, sequence(), holds the rules of well-formedness (RFC 3629,
 * section 4); runs of ASCII are skipped eight bytes at a time. */
#include "common/text/utf8.h"
#include <string.h>

/* Length of the valid sequence at s[0..n), or 0; *matched: bytes that a longest valid beginning
 * has. */
static size_t sequence(const uint8_t *s, size_t n, size_t *matched)
{
    uint8_t c = s[0], low = 0x80, high = 0xbf;
    size_t len;

    *matched = 1;
    if (c < 0x80) return 1;
    if (c < 0xc2) return 0;
    if (c < 0xe0) {
        len = 2;
    } else if (c < 0xf0) {
        len = 3;
        if (c == 0xe0) low = 0xa0;
        if (c == 0xed) high = 0x9f;
    } else if (c < 0xf5) {
        len = 4;
        if (c == 0xf0) low = 0x90;
        if (c == 0xf4) high = 0x8f;
    } else {
        return 0;
    }
    for (size_t i = 1; i < len; i++, low = 0x80, high = 0xbf) {
        if (i == n || s[i] < low || s[i] > high) return 0;
        *matched = i + 1;
    }
    return len;
}

size_t utf8_valid_prefix(const uint8_t *s, size_t n)
{
    size_t i = 0, matched;

    while (i < n) {
        uint64_t w;
        while (n - i >= sizeof w) {
            memcpy(&w, s + i, sizeof w);
            if (w & 0x8080808080808080u) break;
            i += sizeof w;
        }
        if (i == n) break;
        size_t len = sequence(s + i, n - i, &matched);
        if (len == 0) return i;
        i += len;
    }
    return n;
}

size_t utf8_fault_length(const uint8_t *s, size_t n, bool *incomplete)
{
    size_t matched;

    (void)sequence(s, n, &matched);
    *incomplete = matched == n && s[0] >= 0xc2 && s[0] < 0xf5;
    return matched;
}

size_t utf8_count(const uint8_t *s, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) count += (s[i] & 0xc0) != 0x80;
    return count;
}

enum err utf8_append_replaced(struct errctx *e, const uint8_t *s, size_t n, struct bytes *out)
{
    while (n > 0) {
        size_t good = utf8_valid_prefix(s, n);
        bool incomplete;
        TRY(bytes_append(e, out, s, good));
        s += good;
        n -= good;
        if (n == 0) break;
        size_t bad = utf8_fault_length(s, n, &incomplete);
        TRY(bytes_append(e, out, "\xef\xbf\xbd", 3));
        s += bad;
        n -= bad;
    }
    return ERR_OK;
}

bool utf8_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}
