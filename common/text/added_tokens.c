/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.c: see added_tokens.h. */
#include "common/text/added_tokens.h"
#include <string.h>
#include "common/text/unicode_class.h"
#include "common/text/utf8.h"

static size_t length(const struct tokenizer_spec *s, uint32_t id)
{
    return (size_t)(s->start[id + 1] - s->start[id]);
}

/* Insertion by (first byte, longest first, lower id): there are few of them. */
static void insert(struct added_tokens *a, size_t count, uint32_t id)
{
    const struct tokenizer_spec *s = a->spec;
    size_t i = count;

    for (; i > 0; i--) {
        uint32_t other = a->ids[i - 1];
        uint8_t mine = s->bytes[s->start[id]], theirs = s->bytes[s->start[other]];
        if (theirs < mine || (theirs == mine && length(s, other) >= length(s, id))) break;
        a->ids[i] = other;
    }
    a->ids[i] = id;
}

static bool has_space(const uint8_t *s, size_t n)
{
    size_t len;

    for (size_t i = 0; i < n; i += len)
        if (unicode_class_of(utf8_decode(s + i, &len)) & UNICODE_SPACE) return true;
    return false;
}

enum err added_tokens_init(struct errctx *e, const struct tokenizer_spec *spec, bool normalized,
                           bool special, struct added_tokens *a)
{
    size_t count = 0, capacity = 0;

    memset(a, 0, sizeof *a);
    a->spec = spec;
    for (int64_t id = 0; id < spec->vocab; id++) {
        const uint8_t *bytes = spec->bytes + spec->start[id];
        size_t n = length(spec, (uint32_t)id);
        uint8_t flags = spec->flags[id];
        if (!(flags & TOKEN_ADDED) || !(flags & TOKEN_NORMALIZED) == normalized || n == 0) continue;
        if ((flags & TOKEN_SPECIAL) && !special) continue;
        if (utf8_valid_prefix(bytes, n) < n)
            return err_set(e, ERR_INPUT, "added token %lld is not UTF-8", (long long)id);
        TRY(mem_grow(e, &a->ids, &capacity, count + 1, sizeof *a->ids, "added tokens"));
        insert(a, count++, (uint32_t)id);
        a->any_space |= has_space(bytes, n) || (flags & (TOKEN_LSTRIP | TOKEN_RSTRIP));
    }
    a->only = count > 0 ? spec->bytes[spec->start[a->ids[0]]] : -1;
    for (size_t i = 0; i < count; i++)
        if (spec->bytes[spec->start[a->ids[i]]] != a->only) a->only = -1;
    for (size_t i = 0; i < count; i++)
        a->first[spec->bytes[spec->start[a->ids[i]]] + 1] = (uint32_t)i + 1;
    for (int b = 0; b < 256; b++)
        if (a->first[b + 1] < a->first[b]) a->first[b + 1] = a->first[b];
    return ERR_OK;
}

void added_tokens_fini(struct added_tokens *a)
{
    mem_free(a->ids);
    a->ids = NULL;
}

/* \w of regular expressions, near enough: letters, numbers, the underscore. */
static bool is_word(const uint8_t *s)
{
    size_t len;
    uint32_t c = utf8_decode(s, &len);

    return c == '_' || (unicode_class_of(c) & (UNICODE_LETTER | UNICODE_NUMBER));
}

static size_t back(const uint8_t *s, size_t p)
{
    do p--;
    while (p > 0 && (s[p] & 0xc0) == 0x80);
    return p;
}

static bool stands_alone(const uint8_t *s, size_t n, size_t from, size_t to)
{
    if (from > 0 && is_word(s + back(s, from))) return false;
    return to == n || !is_word(s + to);
}

static bool match_at(const struct added_tokens *a, const uint8_t *s, size_t n, size_t p, size_t *to,
                     uint32_t *id)
{
    for (uint32_t i = a->first[s[p]]; i < a->first[s[p] + 1]; i++) {
        uint32_t token = a->ids[i];
        size_t len = length(a->spec, token);
        if (len > n - p || memcmp(s + p, a->spec->bytes + a->spec->start[token], len) != 0)
            continue;
        if ((a->spec->flags[token] & TOKEN_SINGLE_WORD) && !stands_alone(s, n, p, p + len))
            continue;
        *to = p + len;
        *id = token;
        return true;
    }
    return false;
}

/* The first place >= p where one may begin, or n. */
static inline size_t candidate(const struct added_tokens *a, const uint8_t *s, size_t n, size_t p)
{
    if (a->only >= 0) {
        const uint8_t *at = p < n ? memchr(s + p, a->only, n - p) : NULL;
        return at != NULL ? (size_t)(at - s) : n;
    }
    while (p < n && a->first[s[p]] == a->first[s[p] + 1]) p++;
    return p;
}

bool added_tokens_next(const struct added_tokens *a, const uint8_t *text, size_t n, size_t at,
                       size_t *from, size_t *to, uint32_t *id)
{
    size_t p, len;

    if (a->ids == NULL) return false;
    p = candidate(a, text, n, at);
    while (p < n && !match_at(a, text, n, p, to, id)) p = candidate(a, text, n, p + 1);
    if (p == n) return false;
    *from = p;
    if (a->spec->flags[*id] & TOKEN_LSTRIP)
        while (*from > at &&
               (unicode_class_of(utf8_decode(text + back(text, *from), &len)) & UNICODE_SPACE))
            *from = back(text, *from);
    if (a->spec->flags[*id] & TOKEN_RSTRIP)
        while (*to < n && (unicode_class_of(utf8_decode(text + *to, &len)) & UNICODE_SPACE))
            *to += len;
    return true;
}
