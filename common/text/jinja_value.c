/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_value.c: see jinja_value.h. */
#include "common/text/jinja_value.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "common/text/utf8.h"

enum { DEPTH_LIMIT = 100 };
#define STEPS_LIMIT ((uint64_t)1 << 26)

enum err jinja_fail(struct jinja_run *r, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *p = text; *p != 0; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) *p = ' ';
    return err_set(r->e, ERR_INPUT, "line %d: %s", r->line, text);
}

enum err jinja_spend(struct jinja_run *r, size_t work)
{
    r->steps += work + 1;
    return r->steps > STEPS_LIMIT
               ? jinja_fail(r, "it takes more than %llu steps", (unsigned long long)STEPS_LIMIT)
               : ERR_OK;
}

/* ------------------------------------------------------------------ strings */

enum err jinja_put(struct jinja_run *r, struct jinja_builder *b, const char *s,
                   const uint16_t *marks, size_t n)
{
    if (n == 0) return ERR_OK;
    TRY(jinja_spend(r, n / 64));
    if (b->capacity - b->n < n) {
        size_t capacity = b->capacity * 2 + n + 64;
        char *grown;
        uint16_t *grown_marks;
        TRY(jinja_new(r->e, &r->memory, &grown, capacity, 1));
        if (b->n > 0) memcpy(grown, b->s, b->n);
        b->s = grown;
        if (b->marks != NULL) {
            TRY(jinja_new(r->e, &r->memory, &grown_marks, capacity, sizeof *marks));
            memcpy(grown_marks, b->marks, b->n * sizeof *marks);
            b->marks = grown_marks;
        }
        b->capacity = capacity;
    }
    if (marks != NULL && b->marks == NULL)
        TRY(jinja_new(r->e, &r->memory, &b->marks, b->capacity, sizeof *marks));
    memcpy(b->s + b->n, s, n);
    if (marks != NULL) memcpy(b->marks + b->n, marks, n * sizeof *marks);
    b->n += n;
    return ERR_OK;
}

enum err jinja_put_text(struct jinja_run *r, struct jinja_builder *b, const char *text)
{
    return jinja_put(r, b, text, NULL, strlen(text));
}

enum err jinja_string_view(struct jinja_run *r, const char *s, const uint16_t *marks, size_t n,
                           struct jinja_value *out)
{
    struct jinja_string *made;

    TRY(jinja_new(r->e, &r->memory, &made, 1, sizeof *made));
    *made = (struct jinja_string){n > 0 ? s : "", marks, n};
    *out = (struct jinja_value){.type = JINJA_STRING, .as.s = made};
    return ERR_OK;
}

enum err jinja_built(struct jinja_run *r, const struct jinja_builder *b, struct jinja_value *out)
{
    return jinja_string_view(r, b->s, b->marks, b->n, out);
}

enum err jinja_text(struct jinja_run *r, const char *literal, struct jinja_value *out)
{
    return jinja_string_view(r, literal, NULL, strlen(literal), out);
}

enum err jinja_cut(struct jinja_run *r, const struct jinja_string *s, size_t from, size_t to,
                   struct jinja_value *out)
{
    return jinja_string_view(r, s->s + from, s->marks != NULL ? s->marks + from : NULL, to - from,
                             out);
}

/* ------------------------------------------------------------------ lists and dicts */

enum err jinja_list_new(struct jinja_run *r, enum jinja_type type, struct jinja_value *out)
{
    *out = JINJA_VALUE(type);
    return jinja_new(r->e, &r->memory, &out->as.list, 1, sizeof *out->as.list);
}

enum err jinja_list_add(struct jinja_run *r, struct jinja_list *l, struct jinja_value v)
{
    TRY(jinja_spend(r, 0));
    if (l->count == l->capacity) {
        struct jinja_value *grown;
        size_t capacity = l->capacity * 2 + 4;
        TRY(jinja_new(r->e, &r->memory, &grown, capacity, sizeof *grown));
        if (l->count > 0) memcpy(grown, l->items, l->count * sizeof *grown);
        l->items = grown;
        l->capacity = capacity;
    }
    l->items[l->count++] = v;
    return ERR_OK;
}

struct jinja_value *jinja_dict_find(const struct jinja_list *dict, const char *key, size_t n)
{
    for (size_t i = 0; i < dict->count; i += 2) {
        const struct jinja_value *k = &dict->items[i];
        if (k->type == JINJA_STRING && k->as.s->n == n && memcmp(k->as.s->s, key, n) == 0)
            return &dict->items[i + 1];
    }
    return NULL;
}

enum err jinja_dict_set(struct jinja_run *r, struct jinja_list *dict, struct jinja_value key,
                        struct jinja_value v)
{
    struct jinja_value *there;

    if (key.type != JINJA_STRING) return jinja_fail(r, "a dict's key that is not a string");
    TRY(jinja_spend(r, dict->count / 16));
    there = jinja_dict_find(dict, key.as.s->s, key.as.s->n);
    if (there != NULL) {
        *there = v;
        return ERR_OK;
    }
    TRY(jinja_list_add(r, dict, key));
    return jinja_list_add(r, dict, v);
}

static enum err string_of_json(struct jinja_run *r, const json_t *json, uint16_t mark,
                               struct jinja_value *out)
{
    size_t n = json_string_length(json);
    uint16_t *marks = NULL;

    TRY(jinja_spend(r, n / 64));
    if (mark != 0) {
        TRY(jinja_new(r->e, &r->memory, &marks, n, sizeof *marks));
        for (size_t i = 0; i < n; i++) marks[i] = mark;
    }
    return jinja_string_view(r, json_string_value(json), marks, n, out);
}

enum err jinja_of_json(struct jinja_run *r, const json_t *json, uint16_t mark, bool drop,
                       struct jinja_value *out)
{
    if (json_is_string(json)) return string_of_json(r, json, mark, out);
    if (json_is_integer(json)) {
        *out = JINJA_NUMBER(json_integer_value(json));
    } else if (json_is_real(json)) {
        *out = (struct jinja_value){.type = JINJA_FLOAT, .as.d = json_real_value(json)};
    } else if (json_is_boolean(json)) {
        *out = JINJA_TRUTH(json_is_true(json));
    } else if (json_is_array(json)) {
        TRY(jinja_list_new(r, JINJA_LIST, out));
        for (size_t i = 0; i < json_array_size(json); i++) {
            struct jinja_value v;
            TRY(jinja_of_json(r, json_array_get(json, i), mark, false, &v));
            TRY(jinja_list_add(r, out->as.list, v));
        }
    } else if (json_is_object(json)) {
        const char *key;
        json_t *member;
        TRY(jinja_list_new(r, JINJA_DICT, out));
        json_object_foreach((json_t *)(uintptr_t)json, key, member)
        {
            struct jinja_value k, v;
            if (drop && json_is_null(member)) continue;
            TRY(jinja_string_view(r, key, NULL, strlen(key), &k));
            TRY(jinja_of_json(r, member, mark, false, &v));
            TRY(jinja_list_add(r, out->as.list, k));
            TRY(jinja_list_add(r, out->as.list, v));
        }
    } else {
        *out = JINJA_VALUE(JINJA_NONE);
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ what values are to each other
 */

const char *jinja_type_name(const struct jinja_value *v)
{
    static const char *const names[] = {"undefined", "None",        "a bool",  "an int",
                                        "a float",   "a string",    "a list",  "a tuple",
                                        "a dict",    "a namespace", "a macro", "a function"};

    return names[v->type];
}

bool jinja_truth(const struct jinja_value *v)
{
    switch (v->type) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v->as.b;
    case JINJA_INT:
        return v->as.i != 0;
    case JINJA_FLOAT:
        return v->as.d != 0;
    case JINJA_STRING:
        return v->as.s->n > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT:
        return v->as.list->count > 0;
    default:
        return true;
    }
}

bool jinja_is_number(const struct jinja_value *v)
{
    return v->type == JINJA_BOOL || v->type == JINJA_INT || v->type == JINJA_FLOAT;
}

double jinja_real(const struct jinja_value *v)
{
    if (v->type == JINJA_FLOAT) return v->as.d;
    return v->type == JINJA_BOOL ? v->as.b : (double)v->as.i;
}

static int64_t whole(const struct jinja_value *v)
{
    return v->type == JINJA_BOOL ? v->as.b : v->as.i;
}

static int order_of_strings(const struct jinja_string *a, const struct jinja_string *b)
{
    /* the order of UTF-8 bytes is that of characters */
    int order = memcmp(a->s, b->s, a->n < b->n ? a->n : b->n);

    return order != 0 ? order : (a->n > b->n) - (a->n < b->n);
}

static int order_of_numbers(const struct jinja_value *a, const struct jinja_value *b)
{
    if (a->type == JINJA_FLOAT || b->type == JINJA_FLOAT) {
        double x = jinja_real(a), y = jinja_real(b);
        return (x > y) - (x < y);
    }
    return (whole(a) > whole(b)) - (whole(a) < whole(b));
}

static enum err equal_lists(struct jinja_run *r, const struct jinja_list *a,
                            const struct jinja_list *b, bool *out)
{
    *out = a->count == b->count;
    for (size_t i = 0; i < a->count && *out; i++)
        TRY(jinja_equal(r, &a->items[i], &b->items[i], out));
    return ERR_OK;
}

static enum err equal_dicts(struct jinja_run *r, const struct jinja_list *a,
                            const struct jinja_list *b, bool *out)
{
    *out = a->count == b->count;
    for (size_t i = 0; i < a->count && *out; i += 2) {
        const struct jinja_string *key = a->items[i].as.s;
        const struct jinja_value *other = jinja_dict_find(b, key->s, key->n);
        *out = other != NULL;
        TRY(jinja_spend(r, b->count / 16));
        if (other != NULL) TRY(jinja_equal(r, &a->items[i + 1], other, out));
    }
    return ERR_OK;
}

enum err jinja_equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b,
                     bool *out)
{
    TRY(jinja_spend(r, 0));
    *out = false;
    if (jinja_is_number(a) && jinja_is_number(b)) {
        *out = order_of_numbers(a, b) == 0;
        return ERR_OK;
    }
    if (a->type != b->type) return ERR_OK;
    switch (a->type) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        *out = true;
        return ERR_OK;
    case JINJA_STRING:
        *out = a->as.s->n == b->as.s->n && memcmp(a->as.s->s, b->as.s->s, a->as.s->n) == 0;
        return jinja_spend(r, a->as.s->n / 64);
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT: {
        if (++r->depth > DEPTH_LIMIT) return jinja_fail(r, "values are nested too deep");
        enum err code = a->type == JINJA_DICT ? equal_dicts(r, a->as.list, b->as.list, out)
                                              : equal_lists(r, a->as.list, b->as.list, out);
        r->depth--;
        return code;
    }
    default:
        *out = a->as.list == b->as.list;
        return ERR_OK;
    }
}

enum err jinja_compare(struct jinja_run *r, const struct jinja_value *a,
                       const struct jinja_value *b, int *out)
{
    if (jinja_is_number(a) && jinja_is_number(b))
        *out = order_of_numbers(a, b);
    else if (a->type == JINJA_STRING && b->type == JINJA_STRING)
        *out = order_of_strings(a->as.s, b->as.s);
    else
        return jinja_fail(r, "%s and %s have no order", jinja_type_name(a), jinja_type_name(b));
    return ERR_OK;
}

enum err jinja_contains(struct jinja_run *r, const struct jinja_value *where,
                        const struct jinja_value *what, bool *out)
{
    *out = false;
    if (where->type == JINJA_STRING && what->type == JINJA_STRING) {
        TRY(jinja_spend(r, where->as.s->n / 16));
        *out = what->as.s->n == 0 ||
               memmem(where->as.s->s, where->as.s->n, what->as.s->s, what->as.s->n) != NULL;
        return ERR_OK;
    }
    if (where->type == JINJA_UNDEFINED) return ERR_OK;
    if (where->type != JINJA_LIST && where->type != JINJA_TUPLE && where->type != JINJA_DICT)
        return jinja_fail(r, "'in' %s", jinja_type_name(where));
    for (size_t i = 0; i < where->as.list->count && !*out; i += where->type == JINJA_DICT ? 2 : 1)
        TRY(jinja_equal(r, &where->as.list->items[i], what, out));
    return ERR_OK;
}

/* ------------------------------------------------------------------ as text */

/* The shortest digits that read back as the number, in Python's form. */
static void print_real(double x, char *out, size_t size)
{
    char digits[40];
    int exponent, precision = 0;

    if (!isfinite(x)) {
        snprintf(out, size, "%s", isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
        return;
    }
    do snprintf(digits, sizeof digits, "%.*e", precision++, x);
    while (strtod(digits, NULL) != x);
    exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        *strchr(digits, 'e') = 0;
        snprintf(out, size, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
    } else {
        int after = precision - 1 - exponent;
        snprintf(out, size, "%.*f", after > 1 ? after : 1, x);
    }
}

static enum err put_scalar(struct jinja_run *r, const struct jinja_value *v,
                           struct jinja_builder *b)
{
    char text[400];

    if (v->type == JINJA_NONE) return jinja_put_text(r, b, "None");
    if (v->type == JINJA_BOOL) return jinja_put_text(r, b, v->as.b ? "True" : "False");
    if (v->type == JINJA_INT)
        snprintf(text, sizeof text, "%lld", (long long)v->as.i);
    else
        print_real(v->as.d, text, sizeof text);
    return jinja_put_text(r, b, text);
}

static bool is_printable(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_ZS:
        return c == ' ';
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
        return false;
    default:
        return true;
    }
}

static enum err repr_string(struct jinja_run *r, const struct jinja_string *s,
                            struct jinja_builder *b)
{
    bool single = memchr(s->s, '\'', s->n) != NULL, doubled = memchr(s->s, '"', s->n) != NULL;
    char quote = single && !doubled ? '"' : '\'', text[16];
    size_t len;

    TRY(jinja_put(r, b, &quote, NULL, 1));
    for (size_t i = 0; i < s->n; i += len) {
        uint32_t c = utf8_decode((const uint8_t *)s->s + i, &len);
        text[0] = 0;
        if (c == '\\' || c == (uint32_t)quote)
            snprintf(text, sizeof text, "\\%c", (int)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (!is_printable(c))
            snprintf(text, sizeof text,
                     c < 0x100     ? "\\x%02x"
                     : c < 0x10000 ? "\\u%04x"
                                   : "\\U%08x",
                     c);
        if (text[0] != 0)
            TRY(jinja_put_text(r, b, text));
        else
            TRY(jinja_put(r, b, s->s + i, s->marks != NULL ? s->marks + i : NULL, len));
    }
    return jinja_put(r, b, &quote, NULL, 1);
}

static enum err repr_items(struct jinja_run *r, const struct jinja_value *v,
                           struct jinja_builder *b)
{
    const struct jinja_list *l = v->as.list;
    bool dict = v->type == JINJA_DICT;
    const char *around = dict ? "{}" : v->type == JINJA_LIST ? "[]" : "()";

    TRY(jinja_put(r, b, around, NULL, 1));
    for (size_t i = 0; i < l->count; i++) {
        if (i > 0) TRY(jinja_put_text(r, b, dict && i % 2 == 1 ? ": " : ", "));
        TRY(jinja_repr(r, &l->items[i], b));
    }
    if (v->type == JINJA_TUPLE && l->count == 1) TRY(jinja_put_text(r, b, ","));
    return jinja_put(r, b, around + 1, NULL, 1);
}

enum err jinja_repr(struct jinja_run *r, const struct jinja_value *v, struct jinja_builder *b)
{
    enum err code;

    switch (v->type) {
    case JINJA_UNDEFINED:
        return jinja_put_text(r, b, "Undefined");
    case JINJA_STRING:
        return repr_string(r, v->as.s, b);
    case JINJA_NONE:
    case JINJA_BOOL:
    case JINJA_INT:
    case JINJA_FLOAT:
        return put_scalar(r, v, b);
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT:
        if (++r->depth > DEPTH_LIMIT) return jinja_fail(r, "values are nested too deep");
        code = repr_items(r, v, b);
        r->depth--;
        return code;
    default:
        return jinja_fail(r, "%s has no text", jinja_type_name(v));
    }
}

enum err jinja_print(struct jinja_run *r, const struct jinja_value *v, struct jinja_builder *b)
{
    if (v->type == JINJA_UNDEFINED) return ERR_OK;
    if (v->type == JINJA_STRING) return jinja_put(r, b, v->as.s->s, v->as.s->marks, v->as.s->n);
    return jinja_repr(r, v, b);
}

/* ------------------------------------------------------------------ JSON */

/* The escape of a character, in text; nothing when it stands for itself. */
static void json_escape(uint32_t c, bool ascii, char text[16])
{
    static const char named[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    const char *at = c != 0 && c < 0x80 ? strchr(named, (int)c) : NULL;

    text[0] = 0;
    if (at != NULL)
        snprintf(text, 16, "\\%c", letters[at - named]);
    else if (c < 0x20 || (ascii && c >= 0x7f && c < 0x10000 && c != 0x7f))
        snprintf(text, 16, "\\u%04x", c);
    else if (ascii && c >= 0x10000)
        snprintf(text, 16, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                 0xdc00 + ((c - 0x10000) & 0x3ff));
}

static enum err dump_string(struct jinja_run *r, const struct jinja_string *s, bool ascii,
                            struct jinja_builder *b)
{
    char text[16];
    size_t len;

    TRY(jinja_put_text(r, b, "\""));
    for (size_t i = 0; i < s->n; i += len) {
        const uint16_t *marks = s->marks != NULL ? s->marks + i : NULL;
        uint16_t same[16];
        json_escape(utf8_decode((const uint8_t *)s->s + i, &len), ascii, text);
        for (size_t k = 0; k < ARRAY_LEN(same); k++) same[k] = marks != NULL ? *marks : 0;
        if (text[0] != 0)
            TRY(jinja_put(r, b, text, marks != NULL ? same : NULL, strlen(text)));
        else
            TRY(jinja_put(r, b, s->s + i, marks, len));
    }
    return jinja_put_text(r, b, "\"");
}

static enum err dump_line(struct jinja_run *r, const struct jinja_json *how, int level,
                          struct jinja_builder *b)
{
    if (how->indent < 0) return ERR_OK;
    TRY(jinja_put_text(r, b, "\n"));
    for (int64_t i = 0; i < how->indent * level; i++) TRY(jinja_put_text(r, b, " "));
    return ERR_OK;
}

/* Places of a dict's keys in their order (a list of numbers). */
static enum err sorted_keys(struct jinja_run *r, const struct jinja_list *dict, size_t **out)
{
    size_t n = dict->count / 2;

    TRY(jinja_new(r->e, &r->memory, out, n, sizeof **out));
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        TRY(jinja_spend(r, i));
        for (; at > 0 &&
               order_of_strings(dict->items[(*out)[at - 1] * 2].as.s, dict->items[i * 2].as.s) > 0;
             at--)
            (*out)[at] = (*out)[at - 1];
        (*out)[at] = i;
    }
    return ERR_OK;
}

static enum err dump_items(struct jinja_run *r, const struct jinja_value *v,
                           const struct jinja_json *how, int level, struct jinja_builder *b)
{
    const struct jinja_list *l = v->as.list;
    bool dict = v->type == JINJA_DICT;
    size_t n = dict ? l->count / 2 : l->count, *order = NULL;

    TRY(jinja_put_text(r, b, dict ? "{" : "["));
    if (dict && how->sort) TRY(sorted_keys(r, l, &order));
    for (size_t i = 0; i < n; i++) {
        size_t at = order != NULL ? order[i] : i;
        if (i > 0) TRY(jinja_put(r, b, how->comma.s, NULL, how->comma.n));
        TRY(dump_line(r, how, level + 1, b));
        if (dict) {
            TRY(dump_string(r, l->items[2 * at].as.s, how->ascii, b));
            TRY(jinja_put(r, b, how->colon.s, NULL, how->colon.n));
        }
        TRY(jinja_dump(r, &l->items[dict ? 2 * at + 1 : at], how, level + 1, b));
    }
    if (n > 0) TRY(dump_line(r, how, level, b));
    return jinja_put_text(r, b, dict ? "}" : "]");
}

enum err jinja_dump(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json *how,
                    int level, struct jinja_builder *b)
{
    TRY(jinja_spend(r, 0));
    if (level > DEPTH_LIMIT) return jinja_fail(r, "values are nested too deep");
    switch (v->type) {
    case JINJA_NONE:
        return jinja_put_text(r, b, "null");
    case JINJA_BOOL:
        return jinja_put_text(r, b, v->as.b ? "true" : "false");
    case JINJA_INT:
    case JINJA_FLOAT:
        return put_scalar(r, v, b);
    case JINJA_STRING:
        return dump_string(r, v->as.s, how->ascii, b);
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT:
        return dump_items(r, v, how, level, b);
    default:
        return jinja_fail(r, "tojson of %s", jinja_type_name(v));
    }
}
