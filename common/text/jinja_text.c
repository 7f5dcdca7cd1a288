/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_text.c: see jinja_text.h. Reference: the string methods of Python 3. */
#include "common/text/jinja_text.h"
#include <string.h>
#include <utf8proc.h>
#include "common/text/utf8.h"

static uint32_t char_at(const struct jinja_string *s, size_t at, size_t *len)
{
    return utf8_decode((const uint8_t *)s->s + at, len);
}

/* The character that ends at `end`. */
static uint32_t char_before(const struct jinja_string *s, size_t end, size_t *len)
{
    size_t at = end - 1;

    while (at > 0 && ((uint8_t)s->s[at] & 0xc0) == 0x80) at--;
    return char_at(s, at, len);
}

static bool is_among(uint32_t c, const struct jinja_string *chars)
{
    size_t len;

    if (chars == NULL) return utf8_is_space(c);
    for (size_t i = 0; i < chars->n; i += len)
        if (char_at(chars, i, &len) == c) return true;
    return false;
}

enum err jinja_strip(struct jinja_run *r, const struct jinja_string *s,
                     const struct jinja_string *chars, int sides, struct jinja_value *out)
{
    size_t from = 0, to = s->n, len;

    if (sides & JINJA_LEFT)
        while (from < to && is_among(char_at(s, from, &len), chars)) from += len;
    if (sides & JINJA_RIGHT)
        while (to > from && is_among(char_before(s, to, &len), chars)) to -= len;
    TRY(jinja_spend(r, (s->n - (to - from)) / 16 * (chars != NULL ? chars->n + 1 : 1)));
    return jinja_cut(r, s, from, to, out);
}

/* ------------------------------------------------------------------ case */

static enum err recase_char(struct jinja_run *r, uint32_t c, bool upper, uint32_t *out)
{
    if (c < 0x80) {
        *out = upper && c >= 'a' && c <= 'z' ? c - 32 : !upper && c >= 'A' && c <= 'Z' ? c + 32 : c;
        return ERR_OK;
    }
    *out = c;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    if (upper ? category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT
              : c == 0x130 || c == 0x3a3)
        return jinja_fail(r, "the %s case of U+%04X is not supported", upper ? "upper" : "lower",
                          c);
    if (!upper) *out = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    return ERR_OK;
}

static bool is_cased(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);

    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

/* Whether a word begins behind c, in Jinja's filter `title`. */
static bool ends_word(uint32_t c)
{
    return utf8_is_space(c) || (c < 0x80 && strchr("-([{<", (int)c) != NULL && c != 0);
}

enum err jinja_recase(struct jinja_run *r, const struct jinja_string *s, enum jinja_case way,
                      struct jinja_value *out)
{
    struct jinja_builder b = {0};
    bool begins = true;
    size_t len;

    TRY(jinja_spend(r, s->n / 8));
    for (size_t i = 0; i < s->n; i += len) {
        uint32_t c = char_at(s, i, &len), made;
        uint8_t text[4];
        uint16_t marks[4];
        bool upper = way == JINJA_UPPER || (way != JINJA_LOWER && begins);
        TRY(recase_char(r, c, upper, &made));
        size_t n = utf8_encode(made, text);
        for (size_t k = 0; k < n; k++) marks[k] = s->marks != NULL ? s->marks[i] : 0;
        TRY(jinja_put(r, &b, (const char *)text, s->marks != NULL ? marks : NULL, n));
        begins = way == JINJA_TITLE          ? !is_cased(c)
                 : way == JINJA_TITLE_FILTER ? ends_word(c)
                                             : false;
    }
    return jinja_built(r, &b, out);
}

/* ------------------------------------------------------------------ parts */

static enum err add_cut(struct jinja_run *r, const struct jinja_string *s, size_t from, size_t to,
                        struct jinja_value *list)
{
    struct jinja_value part;

    TRY(jinja_cut(r, s, from, to, &part));
    return jinja_list_add(r, list->as.list, part);
}

static void turn_around(struct jinja_list *l)
{
    for (size_t i = 0, k = l->count; i + 1 < k; i++) {
        struct jinja_value v = l->items[i];
        l->items[i] = l->items[--k];
        l->items[k] = v;
    }
}

static enum err split_spaces(struct jinja_run *r, const struct jinja_string *s, int64_t most,
                             struct jinja_value *out)
{
    size_t at = 0, len;

    for (;;) {
        while (at < s->n && utf8_is_space(char_at(s, at, &len))) at += len;
        if (at == s->n) return ERR_OK;
        size_t from = at;
        if (most >= 0 && (int64_t)out->as.list->count == most) {
            at = s->n;
            while (at > from && utf8_is_space(char_before(s, at, &len))) at -= len;
            return add_cut(r, s, from, at, out);
        }
        while (at < s->n && !utf8_is_space(char_at(s, at, &len))) at += len;
        TRY(add_cut(r, s, from, at, out));
    }
}

static const char *find_last(const char *s, size_t n, const struct jinja_string *what)
{
    for (size_t at = n; at >= what->n; at--)
        if (memcmp(s + at - what->n, what->s, what->n) == 0) return s + at - what->n;
    return NULL;
}

static enum err split_right(struct jinja_run *r, const struct jinja_string *s,
                            const struct jinja_string *separator, int64_t most,
                            struct jinja_value *out)
{
    size_t end = s->n;
    const char *at;

    for (; most != 0 && (at = find_last(s->s, end, separator)) != NULL; most--) {
        TRY(add_cut(r, s, (size_t)(at - s->s) + separator->n, end, out));
        end = (size_t)(at - s->s);
    }
    TRY(add_cut(r, s, 0, end, out));
    turn_around(out->as.list);
    return ERR_OK;
}

enum err jinja_split(struct jinja_run *r, const struct jinja_string *s,
                     const struct jinja_string *separator, int64_t most, bool right,
                     struct jinja_value *out)
{
    size_t from = 0;
    const char *at;

    TRY(jinja_spend(r, s->n / 8));
    TRY(jinja_list_new(r, JINJA_LIST, out));
    if (separator == NULL && right && most >= 0)
        return jinja_fail(r, "rsplit at white space so many times is not supported");
    if (separator == NULL) return split_spaces(r, s, most, out);
    if (separator->n == 0) return jinja_fail(r, "split at an empty separator");
    if (right) return split_right(r, s, separator, most, out);
    for (; most != 0 && (at = memmem(s->s + from, s->n - from, separator->s, separator->n)) != NULL;
         most--) {
        TRY(add_cut(r, s, from, (size_t)(at - s->s), out));
        from = (size_t)(at - s->s) + separator->n;
    }
    return add_cut(r, s, from, s->n, out);
}

static bool ends_line(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

enum err jinja_lines(struct jinja_run *r, const struct jinja_string *s, bool keep,
                     struct jinja_value *out)
{
    size_t from = 0, len;

    TRY(jinja_spend(r, s->n / 8));
    TRY(jinja_list_new(r, JINJA_LIST, out));
    for (size_t i = 0; i < s->n; i += len) {
        uint32_t c = char_at(s, i, &len);
        if (!ends_line(c)) continue;
        if (c == '\r' && i + 1 < s->n && s->s[i + 1] == '\n') len = 2;
        TRY(add_cut(r, s, from, keep ? i + len : i, out));
        from = i + len;
    }
    return from < s->n ? add_cut(r, s, from, s->n, out) : ERR_OK;
}

static enum err put_cut(struct jinja_run *r, struct jinja_builder *b, const struct jinja_string *s,
                        size_t from, size_t to)
{
    return jinja_put(r, b, s->s + from, s->marks != NULL ? s->marks + from : NULL, to - from);
}

static enum err put_whole(struct jinja_run *r, struct jinja_builder *b,
                          const struct jinja_string *s)
{
    return put_cut(r, b, s, 0, s->n);
}

enum err jinja_replace(struct jinja_run *r, const struct jinja_string *s,
                       const struct jinja_string *from, const struct jinja_string *to, int64_t most,
                       struct jinja_value *out)
{
    struct jinja_builder b = {0};
    size_t at = 0;
    const char *found;

    TRY(jinja_spend(r, s->n / 8));
    if (from->n == 0) return jinja_fail(r, "replacing an empty string is not supported");
    for (; most != 0 && (found = memmem(s->s + at, s->n - at, from->s, from->n)) != NULL; most--) {
        TRY(put_cut(r, &b, s, at, (size_t)(found - s->s)));
        TRY(put_whole(r, &b, to));
        at = (size_t)(found - s->s) + from->n;
    }
    TRY(put_cut(r, &b, s, at, s->n));
    return jinja_built(r, &b, out);
}

enum err jinja_join(struct jinja_run *r, const struct jinja_list *items,
                    const struct jinja_string *between, struct jinja_value *out)
{
    struct jinja_builder b = {0};

    for (size_t i = 0; i < items->count; i++) {
        if (i > 0 && between != NULL) TRY(put_whole(r, &b, between));
        TRY(jinja_print(r, &items->items[i], &b));
    }
    return jinja_built(r, &b, out);
}

enum err jinja_indent(struct jinja_run *r, const struct jinja_string *s,
                      const struct jinja_string *by, bool first, bool blank,
                      struct jinja_value *out)
{
    struct jinja_builder b = {0};
    struct jinja_value lines;

    if (blank) return jinja_fail(r, "indent(blank=true) is not supported");
    TRY(jinja_lines(r, s, false, &lines));
    for (size_t i = 0; i < lines.as.list->count; i++) {
        const struct jinja_string *line = lines.as.list->items[i].as.s;
        if (i > 0) TRY(jinja_put_text(r, &b, "\n"));
        if (line->n > 0 ? i > 0 || first : i == 0 && first) TRY(put_whole(r, &b, by));
        TRY(put_whole(r, &b, line));
    }
    if (s->n == 0 && first) TRY(put_whole(r, &b, by));
    if (s->n > 0 && s->s[s->n - 1] == '\n') TRY(jinja_put_text(r, &b, "\n"));
    return jinja_built(r, &b, out);
}

/* ------------------------------------------------------------------ questions */

enum err jinja_find(struct jinja_run *r, const struct jinja_string *s,
                    const struct jinja_string *what, bool last, int64_t *out)
{
    const char *at = last           ? find_last(s->s, s->n, what)
                     : what->n == 0 ? s->s
                                    : memmem(s->s, s->n, what->s, what->n);

    *out = at == NULL ? -1 : (int64_t)utf8_count((const uint8_t *)s->s, (size_t)(at - s->s));
    return jinja_spend(r, s->n / 8);
}

enum err jinja_count(struct jinja_run *r, const struct jinja_string *s,
                     const struct jinja_string *what, int64_t *out)
{
    const char *at = s->s, *end = s->s + s->n;

    if (what->n == 0) return jinja_fail(r, "counting an empty string is not supported");
    for (*out = 0; (at = memmem(at, (size_t)(end - at), what->s, what->n)) != NULL; ++*out)
        at += what->n;
    return jinja_spend(r, s->n / 8);
}

enum err jinja_is_all(struct jinja_run *r, const struct jinja_string *s, enum jinja_class which,
                      bool *out)
{
    bool some = which == JINJA_ALL_SPACE || which == JINJA_ALL_DIGITS ? s->n > 0 : false;
    size_t len;

    *out = true;
    TRY(jinja_spend(r, s->n / 8));
    for (size_t i = 0; i < s->n && *out; i += len) {
        uint32_t c = char_at(s, i, &len);
        if (which == JINJA_ALL_SPACE) {
            *out = utf8_is_space(c);
        } else if (which == JINJA_ALL_DIGITS) {
            if (c >= 0x80) return jinja_fail(r, "digits beyond ASCII are not supported");
            *out = c >= '0' && c <= '9';
        } else if (is_cased(c)) {
            utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
            *out = k == (which == JINJA_ALL_LOWER ? UTF8PROC_CATEGORY_LL : UTF8PROC_CATEGORY_LU);
            some = true;
        }
    }
    *out &= some;
    return ERR_OK;
}
