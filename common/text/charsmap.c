/* SPDX-License-Identifier: Apache-2.0 */
/* charsmap.c: see charsmap.h. Nothing of the blob is believed: every step stays in its bounds. */
#include "common/text/charsmap.h"
#include <string.h>
#include <utf8proc.h>
#include "common/base/mem.h"
#include "common/text/utf8.h"

enum { GRAPHEME_LIMIT = 6 }; /* bytes from which on a grapheme is rewritten by character */

enum err charsmap_init(struct errctx *e, const void *blob, size_t n, struct charsmap *c)
{
    const uint8_t *bytes = blob;
    uint32_t size;

    memset(c, 0, sizeof *c);
    if (n < 4) return err_set(e, ERR_INPUT, "charsmap: %zu bytes are none", n);
    memcpy(&size, bytes, 4);
    if (size < 4 || size % 4 != 0 || size > n - 4)
        return err_set(e, ERR_INPUT, "charsmap: a trie of %u bytes in %zu", size, n);
    c->units_count = size / 4;
    c->texts_len = n - 4 - size;
    TRY(mem_new(e, &c->units, c->units_count, sizeof *c->units, "charsmap"));
    memcpy(c->units, bytes + 4, size);
    TRY(mem_new(e, &c->texts, c->texts_len + 1, 1, "charsmap"));
    memcpy(c->texts, bytes + 4 + size, c->texts_len);
    return ERR_OK;
}

void charsmap_fini(struct charsmap *c)
{
    mem_free(c->units);
    mem_free(c->texts);
    memset(c, 0, sizeof *c);
}

static inline uint32_t distance(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The first or the longest string of the table that s[0..n) begins with: its length, 0 for none. */
static size_t find(const struct charsmap *c, const uint8_t *s, size_t n, bool first, uint32_t *text)
{
    size_t at = distance(c->units[0]), found = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t unit;
        at ^= s[i];
        if (at >= c->units_count || s[i] == 0) break;
        unit = c->units[at];
        if ((unit & (1u << 31 | 0xff)) != s[i]) break;
        at ^= distance(unit);
        if (at >= c->units_count) break;
        if (!(unit >> 8 & 1)) continue;
        *text = c->units[at] & 0x7fffffff;
        found = i + 1;
        if (first) break;
    }
    return found;
}

static bool lookup(const struct charsmap *c, const uint8_t *s, size_t n, bool first, size_t *taken,
                   const char **to, size_t *len)
{
    uint32_t text;

    *taken = find(c, s, n, first, &text);
    if (*taken == 0 || text > c->texts_len) return false;
    *to = c->texts + text;
    *len = strlen(*to);
    return utf8_valid_prefix((const uint8_t *)*to, *len) == *len;
}

static size_t grapheme(const uint8_t *s, size_t n)
{
    size_t at, len;
    utf8proc_int32_t state = 0, c = (utf8proc_int32_t)utf8_decode(s, &at);

    for (; at < n; at += len) {
        utf8proc_int32_t next = (utf8proc_int32_t)utf8_decode(s + at, &len);
        if (utf8proc_grapheme_break_stateful(c, next, &state)) break;
        c = next;
    }
    return at;
}

size_t charsmap_step(const struct charsmap *c, bool graphemes, const uint8_t *s, size_t n,
                     size_t *rest, const char **to, size_t *len)
{
    size_t taken, character;
    bool ascii = s[0] < 0x80 && s[0] != '\r' && (n == 1 || s[1] < 0x80);

    (void)utf8_decode(s, &character);
    if (graphemes && *rest == 0) {
        *rest = ascii ? 1 : grapheme(s, n);
        if (*rest < GRAPHEME_LIMIT && lookup(c, s, *rest, true, &taken, to, len)) {
            taken = *rest;
            *rest = 0;
            return taken;
        }
    }
    *rest -= graphemes ? character : 0;
    if (lookup(c, s, graphemes ? character : n, graphemes, &taken, to, len))
        return graphemes ? character : taken;
    *to = NULL;
    return character;
}
