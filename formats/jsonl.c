/* SPDX-License-Identifier: Apache-2.0 */
/* jsonl.c: see jsonl.h. */
#include "formats/jsonl.h"
#include <stdio.h>
#include <string.h>

enum err jsonl_parse(struct errctx *e, const char *data, size_t n, uint64_t line, json_t **out)
{
    json_error_t error;

    *out = json_loadb(data, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (*out == NULL)
        return err_set(
            e, json_error_code(&error) == json_error_out_of_memory ? ERR_MEMORY : ERR_INPUT,
            "line %llu, column %d: %s", (unsigned long long)line, error.column, error.text);
    if (json_is_object(*out)) return ERR_OK;
    json_decref(*out);
    *out = NULL;
    return err_set(e, ERR_INPUT, "line %llu: not a JSON object", (unsigned long long)line);
}

enum err jsonl_string(struct errctx *e, const json_t *object, const char *key, uint64_t line,
                      const char **text, size_t *n)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_string(value)) {
        *text = json_string_value(value);
        *n = json_string_length(value);
        return ERR_OK;
    }
    if (value != NULL)
        return err_set(e, ERR_INPUT, "line %llu: field '%s' is not a string",
                       (unsigned long long)line, key);
    return jsonl_missing(e, object, key, line);
}

enum err jsonl_missing(struct errctx *e, const json_t *object, const char *key, uint64_t line)
{
    char there[256] = "";
    size_t len = 0;

    for (void *i = json_object_iter((json_t *)(uintptr_t)object);
         i != NULL && len < sizeof there - 1;
         i = json_object_iter_next((json_t *)(uintptr_t)object, i)) {
        int wrote = snprintf(there + len, sizeof there - len, "%s%s", len > 0 ? ", " : "",
                             json_object_iter_key(i));
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    return err_set(e, ERR_INPUT, "line %llu: no field '%s' (there are: %s)",
                   (unsigned long long)line, key, there);
}

/* ------------------------------------------------------------------ without numbers */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n && is_digit(s[i])) i++;
    return i;
}

/* Length of the number at s, 0 when it is none (RFC 8259, section 6). */
static size_t number_length(const char *s, size_t n)
{
    size_t i = n > 0 && s[0] == '-', k = digits(s + i, n - i);

    if (k == 0 || (k > 1 && s[i] == '0')) return 0;
    i += k;
    if (i < n && s[i] == '.') {
        k = digits(s + i + 1, n - i - 1);
        if (k == 0) return 0;
        i += 1 + k;
    }
    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        size_t sign = i + 1 < n && (s[i + 1] == '+' || s[i + 1] == '-');
        k = digits(s + i + 1 + sign, n - i - 1 - sign);
        if (k == 0) return 0;
        i += 1 + sign + k;
    }
    return i;
}

/* Behind the string whose quote is at `at`; n when it does not end. */
static size_t behind_string(const char *s, size_t n, size_t at)
{
    for (at++; at < n && s[at] != '"'; at++) at += s[at] == '\\';
    return at < n ? at + 1 : n;
}

/* Every number becomes 0 and spaces: what stands behind it keeps its column. */
static void blank_numbers(char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = s[i] == '-' || is_digit(s[i]) ? number_length(s + i, n - i) : 0;
        if (k > 0) {
            memset(s + i, ' ', k);
            s[i] = '0';
            i += k;
        } else {
            i = s[i] == '"' ? behind_string(s, n, i) : i + 1;
        }
    }
}

enum err jsonl_parse_texts(struct errctx *e, const char *data, size_t n, uint64_t line,
                           struct bytes *scratch, json_t **out)
{
    scratch->len = 0;
    TRY(bytes_append(e, scratch, data, n));
    blank_numbers((char *)scratch->data, n);
    return jsonl_parse(e, (const char *)scratch->data, n, line, out);
}

/* ------------------------------------------------------------------ members as written */

static const char *behind_spaces(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n')) s++;
    return s;
}

static const char *behind_value(const char *s, const char *end)
{
    int depth = 0;

    do {
        if (*s == '"') {
            s += behind_string(s, (size_t)(end - s), 0);
            continue;
        }
        depth += (*s == '{' || *s == '[') - (*s == '}' || *s == ']');
        s++;
    } while (s < end && (depth > 0 || (*s != ',' && *s != '}' && *s != ']')));
    return s;
}

bool jsonl_next(const char *data, size_t n, const char **at, struct jsonl_member *m)
{
    const char *end = data + n, *s = *at;

    if (s == NULL) s = behind_spaces(data, end) + 1; /* the brace */
    s = behind_spaces(s, end);
    if (s < end && *s == ',') s = behind_spaces(s + 1, end);
    if (s >= end || *s != '"') return false;
    m->key = s;
    m->key_n = behind_string(s, (size_t)(end - s), 0);
    s = behind_spaces(s + m->key_n, end);
    m->value = behind_spaces(s + 1, end); /* behind the colon */
    *at = behind_value(m->value, end);
    m->value_n = (size_t)(*at - m->value);
    return true;
}

bool jsonl_item(const char *data, size_t n, const char **at, const char **item, size_t *item_n)
{
    const char *end = data + n, *s = *at;

    if (s == NULL) s = behind_spaces(data, end) + 1; /* the bracket */
    s = behind_spaces(s, end);
    if (s < end && *s == ',') s = behind_spaces(s + 1, end);
    if (s >= end || *s == ']') return false;
    *item = s;
    *at = behind_value(s, end);
    *item_n = (size_t)(*at - s);
    while (*item_n > 0 && behind_spaces(*at - 1, *at) == *at) --*at, --*item_n;
    return true;
}

bool jsonl_key_is(const struct jsonl_member *m, const char *name)
{
    size_t n = m->key_n - 2;

    if (memchr(m->key, '\\', m->key_n) == NULL)
        return strlen(name) == n && memcmp(m->key + 1, name, n) == 0;
    json_error_t error;
    json_t *key = json_loadb(m->key, m->key_n, JSON_DECODE_ANY, &error);
    bool same = key != NULL && strcmp(json_string_value(key), name) == 0;
    json_decref(key);
    return same;
}

static enum err append_compact(struct errctx *e, const char *s, size_t n, struct bytes *out)
{
    for (size_t i = 0; i < n;) {
        size_t k = s[i] == '"' ? behind_string(s, n, i) - i : 1;
        bool space = behind_spaces(s + i, s + n) > s + i;
        if (!space) TRY(bytes_append(e, out, s + i, k));
        i += k;
    }
    return ERR_OK;
}

enum err jsonl_append(struct errctx *e, const struct jsonl_member *m, struct bytes *out)
{
    TRY(bytes_append(e, out, m->key, m->key_n));
    TRY(bytes_append(e, out, ":", 1));
    return append_compact(e, m->value, m->value_n, out);
}
