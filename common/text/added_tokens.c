/* SPDX-License-Identifier: Apache-2.0 */
/* added_tokens.c: see added_tokens.h. */
#include "common/text/added_tokens.h"
#include <string.h>
#include "common/text/unicode_class.h"
#include "common/text/utf8.h"

/* Insertion by (first byte, longest first, lower id): there are few of them. */
static void insert(struct added_tokens *a, struct added_token t)
{
    size_t i = a->count++;

    for (; i > 0; i--) {
        const struct added_token *other = &a->tokens[i - 1];
        uint8_t mine = a->text.data[t.from], theirs = a->text.data[other->from];
        if (theirs < mine || (theirs == mine && other->n >= t.n)) break;
        a->tokens[i] = *other;
    }
    a->tokens[i] = t;
}

static bool has_space(const uint8_t *s, size_t n)
{
    size_t len;

    for (size_t i = 0; i < n; i += len)
        if (unicode_class_of(utf8_decode(s + i, &len)) & UNICODE_SPACE) return true;
    return false;
}

/* What is matched for a token goes behind the others' text. */
static enum err add_text(struct errctx *e, struct added_tokens *a, uint32_t id,
                         const struct normalizer *normalizer, struct normalized *scratch,
                         struct added_token *t)
{
    const uint8_t *bytes = a->spec->bytes + a->spec->start[id];
    size_t n = (size_t)(a->spec->start[id + 1] - a->spec->start[id]);

    if (utf8_valid_prefix(bytes, n) < n)
        return err_set(e, ERR_INPUT, "added token %u is not UTF-8", id);
    if (normalizer != NULL) {
        TRY(normalizer_apply(e, normalizer, bytes, n, NORMALIZER_WHOLE, scratch));
        bytes = scratch->data;
        n = scratch->n;
    }
    *t = (struct added_token){id, a->text.len, n};
    return bytes_append(e, &a->text, bytes, n);
}

static enum err gather(struct errctx *e, struct added_tokens *a,
                       const struct normalizer *normalizer, bool special,
                       struct normalized *scratch)
{
    const struct tokenizer_spec *spec = a->spec;
    size_t capacity = 0;

    for (int64_t id = 0; id < spec->vocab; id++) {
        struct added_token t = {0};
        uint8_t flags = spec->flags[id];
        if (!(flags & TOKEN_ADDED) || !(flags & TOKEN_NORMALIZED) == (normalizer != NULL)) continue;
        if ((flags & TOKEN_SPECIAL) && !special) continue;
        TRY(add_text(e, a, (uint32_t)id, normalizer, scratch, &t));
        if (t.n == 0) continue;
        TRY(mem_grow(e, &a->tokens, &capacity, a->count + 1, sizeof *a->tokens, "added tokens"));
        insert(a, t);
        a->any_space |=
            has_space(a->text.data + t.from, t.n) || (flags & (TOKEN_LSTRIP | TOKEN_RSTRIP));
    }
    return ERR_OK;
}

enum err added_tokens_init(struct errctx *e, const struct tokenizer_spec *spec,
                           const struct normalizer *normalizer, bool special,
                           struct added_tokens *a)
{
    struct normalized scratch = {0};
    enum err code;

    memset(a, 0, sizeof *a);
    a->spec = spec;
    code = gather(e, a, normalizer, special, &scratch);
    normalized_fini(&scratch);
    TRY(code);
    a->only = a->count > 0 ? a->text.data[a->tokens[0].from] : -1;
    for (size_t i = 0; i < a->count; i++) {
        uint8_t byte = a->text.data[a->tokens[i].from];
        if (byte != a->only) a->only = -1;
        a->first[byte + 1] = (uint32_t)i + 1;
    }
    for (int b = 0; b < 256; b++)
        if (a->first[b + 1] < a->first[b]) a->first[b + 1] = a->first[b];
    return ERR_OK;
}

void added_tokens_fini(struct added_tokens *a)
{
    mem_free(a->tokens);
    a->tokens = NULL;
    bytes_fini(&a->text);
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

/* The longest token that s[p..n) begins with; NULL: none. */
static const struct added_token *match_at(const struct added_tokens *a, const uint8_t *s, size_t n,
                                          size_t p)
{
    for (uint32_t i = a->first[s[p]]; i < a->first[s[p] + 1]; i++) {
        const struct added_token *t = &a->tokens[i];
        if (t->n <= n - p && memcmp(s + p, a->text.data + t->from, t->n) == 0) return t;
    }
    return NULL;
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
    const struct added_token *t;
    size_t p, len;

    if (a->tokens == NULL) return false;
    for (p = candidate(a, text, n, at); p < n; p = candidate(a, text, n, p)) {
        t = match_at(a, text, n, p);
        if (t != NULL &&
            (!(a->spec->flags[t->id] & TOKEN_SINGLE_WORD) || stands_alone(text, n, p, p + t->n)))
            break;
        p += t == NULL ? 1 : t->n; /* what cannot stand there is passed over as a whole */
    }
    if (p >= n) return false;
    *to = p + t->n;
    *id = t->id;
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
