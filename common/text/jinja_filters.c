/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_filters.c: see jinja_filters.h. Each table says what a name takes; a call that gives
 * something else is refused before anything is done. */
#include "common/text/jinja_filters.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/text/jinja_text.h"
#include "common/text/utf8.h"

enum { MOST_ARGS = 4 };

struct entry {
    const char *name;
    int what, least; /* arguments that must be there */
    const char *args[MOST_ARGS];
};

enum filter {
    F_TRIM,
    F_LENGTH,
    F_TOJSON,
    F_JOIN,
    F_LIST,
    F_DEFAULT,
    F_UPPER,
    F_LOWER,
    F_TITLE,
    F_CAPITALIZE,
    F_STRING,
    F_REPLACE,
    F_FIRST,
    F_LAST,
    F_INT,
    F_FLOAT,
    F_ABS,
    F_REVERSE,
    F_MAP,
    F_SELECT,
    F_REJECT,
    F_SELECTATTR,
    F_REJECTATTR,
    F_ITEMS,
    F_DICTSORT,
    F_INDENT,
};

static const struct entry filters[] = {
    {"trim", F_TRIM, 0, {"chars"}},
    {"length", F_LENGTH, 0, {0}},
    {"count", F_LENGTH, 0, {0}},
    {"tojson", F_TOJSON, 0, {"ensure_ascii", "indent", "separators", "sort_keys"}},
    {"join", F_JOIN, 0, {"d", "attribute"}},
    {"list", F_LIST, 0, {0}},
    {"default", F_DEFAULT, 0, {"default_value", "boolean"}},
    {"d", F_DEFAULT, 0, {"default_value", "boolean"}},
    {"upper", F_UPPER, 0, {0}},
    {"lower", F_LOWER, 0, {0}},
    {"title", F_TITLE, 0, {0}},
    {"capitalize", F_CAPITALIZE, 0, {0}},
    {"string", F_STRING, 0, {0}},
    {"safe", F_STRING, 0, {0}},
    {"replace", F_REPLACE, 2, {"old", "new", "count"}},
    {"first", F_FIRST, 0, {0}},
    {"last", F_LAST, 0, {0}},
    {"int", F_INT, 0, {"default"}},
    {"float", F_FLOAT, 0, {"default"}},
    {"abs", F_ABS, 0, {0}},
    {"reverse", F_REVERSE, 0, {0}},
    {"map", F_MAP, 0, {"filter", "attribute", "default"}},
    {"select", F_SELECT, 0, {"test", "argument"}},
    {"reject", F_REJECT, 0, {"test", "argument"}},
    {"selectattr", F_SELECTATTR, 1, {"attribute", "test", "argument"}},
    {"rejectattr", F_REJECTATTR, 1, {"attribute", "test", "argument"}},
    {"items", F_ITEMS, 0, {0}},
    {"dictsort", F_DICTSORT, 0, {0}},
    {"indent", F_INDENT, 0, {"width", "first", "blank"}},
};

enum test {
    T_DEFINED,
    T_UNDEFINED,
    T_NONE,
    T_STRING,
    T_NUMBER,
    T_INTEGER,
    T_FLOAT,
    T_BOOLEAN,
    T_TRUE,
    T_FALSE,
    T_MAPPING,
    T_ITERABLE,
    T_SEQUENCE,
    T_CALLABLE,
    T_EVEN,
    T_ODD,
    T_DIVISIBLE,
    T_EQ,
    T_NE,
    T_LT,
    T_LE,
    T_GT,
    T_GE,
    T_IN,
    T_LOWER,
    T_UPPER,
};

static const struct entry tests[] = {
    {"defined", T_DEFINED, 0, {0}},
    {"undefined", T_UNDEFINED, 0, {0}},
    {"none", T_NONE, 0, {0}},
    {"string", T_STRING, 0, {0}},
    {"number", T_NUMBER, 0, {0}},
    {"integer", T_INTEGER, 0, {0}},
    {"float", T_FLOAT, 0, {0}},
    {"boolean", T_BOOLEAN, 0, {0}},
    {"true", T_TRUE, 0, {0}},
    {"false", T_FALSE, 0, {0}},
    {"mapping", T_MAPPING, 0, {0}},
    {"iterable", T_ITERABLE, 0, {0}},
    {"sequence", T_SEQUENCE, 0, {0}},
    {"callable", T_CALLABLE, 0, {0}},
    {"even", T_EVEN, 0, {0}},
    {"odd", T_ODD, 0, {0}},
    {"lower", T_LOWER, 0, {0}},
    {"upper", T_UPPER, 0, {0}},
    {"eq", T_EQ, 1, {"other"}},
    {"equalto", T_EQ, 1, {"other"}},
    {"ne", T_NE, 1, {"other"}},
    {"lt", T_LT, 1, {"other"}},
    {"lessthan", T_LT, 1, {"other"}},
    {"le", T_LE, 1, {"other"}},
    {"gt", T_GT, 1, {"other"}},
    {"greaterthan", T_GT, 1, {"other"}},
    {"ge", T_GE, 1, {"other"}},
    {"in", T_IN, 1, {"seq"}},
    {"==", T_EQ, 1, {"other"}},
    {"!=", T_NE, 1, {"other"}},
    {"<", T_LT, 1, {"other"}},
    {"<=", T_LE, 1, {"other"}},
    {">", T_GT, 1, {"other"}},
    {">=", T_GE, 1, {"other"}},
    {"divisibleby", T_DIVISIBLE, 1, {"num"}},
};

enum method {
    M_STRIP,
    M_LSTRIP,
    M_RSTRIP,
    M_SPLIT,
    M_RSPLIT,
    M_SPLITLINES,
    M_STARTSWITH,
    M_ENDSWITH,
    M_REPLACE,
    M_UPPER,
    M_LOWER,
    M_TITLE,
    M_CAPITALIZE,
    M_FIND,
    M_RFIND,
    M_COUNT,
    M_JOIN,
    M_REMOVEPREFIX,
    M_REMOVESUFFIX,
    M_ISDIGIT,
    M_ISSPACE,
    M_ITEMS,
    M_KEYS,
    M_VALUES,
    M_GET,
    M_INDEX,
};

static const struct entry string_methods[] = {
    {"strip", M_STRIP, 0, {"chars"}},
    {"lstrip", M_LSTRIP, 0, {"chars"}},
    {"rstrip", M_RSTRIP, 0, {"chars"}},
    {"split", M_SPLIT, 0, {"sep", "maxsplit"}},
    {"rsplit", M_RSPLIT, 0, {"sep", "maxsplit"}},
    {"splitlines", M_SPLITLINES, 0, {"keepends"}},
    {"startswith", M_STARTSWITH, 1, {"prefix"}},
    {"endswith", M_ENDSWITH, 1, {"suffix"}},
    {"replace", M_REPLACE, 2, {"old", "new", "count"}},
    {"upper", M_UPPER, 0, {0}},
    {"lower", M_LOWER, 0, {0}},
    {"title", M_TITLE, 0, {0}},
    {"capitalize", M_CAPITALIZE, 0, {0}},
    {"find", M_FIND, 1, {"sub"}},
    {"rfind", M_RFIND, 1, {"sub"}},
    {"count", M_COUNT, 1, {"sub"}},
    {"join", M_JOIN, 1, {"iterable"}},
    {"removeprefix", M_REMOVEPREFIX, 1, {"prefix"}},
    {"removesuffix", M_REMOVESUFFIX, 1, {"suffix"}},
    {"isdigit", M_ISDIGIT, 0, {0}},
    {"isspace", M_ISSPACE, 0, {0}},
};
static const struct entry dict_methods[] = {
    {"items", M_ITEMS, 0, {0}},
    {"keys", M_KEYS, 0, {0}},
    {"values", M_VALUES, 0, {0}},
    {"get", M_GET, 1, {"key", "default"}},
};
static const struct entry list_methods[] = {
    {"index", M_INDEX, 1, {"value"}},
    {"count", M_COUNT, 1, {"value"}},
};

/* ------------------------------------------------------------------ arguments */

static const struct entry *find_entry(const struct entry *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

static int entry_place(const struct entry *table, size_t n, const char *name)
{
    const struct entry *found = find_entry(table, n, name);

    return found == NULL ? -1 : (int)(found - table);
}

int jinja_filter_find(const char *name)
{
    return entry_place(filters, ARRAY_LEN(filters), name);
}

int jinja_test_find(const char *name)
{
    return entry_place(tests, ARRAY_LEN(tests), name);
}

/* The arguments in the order of the table, NULL where none is given. */
static enum err bind(struct jinja_run *r, const struct entry *x, const struct jinja_args *args,
                     const struct jinja_value *out[MOST_ARGS])
{
    for (size_t k = 0; k < MOST_ARGS; k++) out[k] = NULL;
    for (size_t i = 0; i < args->count; i++) {
        size_t k = 0;
        if (args->names[i] == NULL)
            k = i;
        else
            while (k < MOST_ARGS && x->args[k] != NULL && strcmp(x->args[k], args->names[i]) != 0)
                k++;
        if (k >= MOST_ARGS || x->args[k] == NULL) {
            if (args->names[i] != NULL)
                return jinja_fail(r, "'%s' with an argument '%s' is not supported", x->name,
                                  args->names[i]);
            return jinja_fail(r, "'%s' with %zu arguments is not supported", x->name, args->count);
        }
        if (out[k] != NULL) return jinja_fail(r, "'%s' has an argument twice", x->name);
        out[k] = &args->values[i];
    }
    for (int k = 0; k < x->least; k++)
        if (out[k] == NULL)
            return jinja_fail(r, "'%s' lacks an argument '%s'", x->name, x->args[k]);
    return ERR_OK;
}

static enum err want_string(struct jinja_run *r, const struct jinja_value *v, const char *what,
                            const struct jinja_string **out)
{
    *out = NULL;
    if (v == NULL || v->type == JINJA_NONE) return ERR_OK;
    if (v->type != JINJA_STRING)
        return jinja_fail(r, "'%s' of %s, where a string should be", what, jinja_type_name(v));
    *out = v->as.s;
    return ERR_OK;
}

static enum err must_string(struct jinja_run *r, const struct jinja_value *v, const char *what,
                            const struct jinja_string **out)
{
    TRY(want_string(r, v, what, out));
    return *out != NULL ? ERR_OK : jinja_fail(r, "'%s' of None, where a string should be", what);
}

static enum err want_int(struct jinja_run *r, const struct jinja_value *v, const char *what,
                         int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (v == NULL || v->type == JINJA_NONE) return ERR_OK;
    if (v->type != JINJA_INT && v->type != JINJA_BOOL)
        return jinja_fail(r, "'%s' with %s, where an int should be", what, jinja_type_name(v));
    *out = v->type == JINJA_BOOL ? v->as.b : v->as.i;
    return ERR_OK;
}

/* A filter's value as text: what str() makes of it. */
static enum err as_text(struct jinja_run *r, const struct jinja_value *v,
                        const struct jinja_string **out)
{
    struct jinja_builder b = {0};
    struct jinja_value made;

    if (v->type == JINJA_STRING) {
        *out = v->as.s;
        return ERR_OK;
    }
    TRY(jinja_print(r, v, &b));
    TRY(jinja_built(r, &b, &made));
    *out = made.as.s;
    return ERR_OK;
}

/* ------------------------------------------------------------------ parts of values */

static bool is_list(const struct jinja_value *v)
{
    return v->type == JINJA_LIST || v->type == JINJA_TUPLE;
}

/* The byte at which character i begins. */
static size_t byte_of(const struct jinja_string *s, int64_t i)
{
    size_t at = 0, len;

    for (; i > 0 && at < s->n; i--, at += len) (void)utf8_decode((const uint8_t *)s->s + at, &len);
    return at;
}

static int64_t length_of(const struct jinja_value *v)
{
    if (v->type == JINJA_STRING)
        return (int64_t)utf8_count((const uint8_t *)v->as.s->s, v->as.s->n);
    return (int64_t)v->as.list->count / (v->type == JINJA_DICT ? 2 : 1);
}

enum err jinja_item(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *key,
                    struct jinja_value *out)
{
    int64_t i, n;

    *out = JINJA_VALUE(JINJA_UNDEFINED);
    if (v->type == JINJA_UNDEFINED)
        return jinja_fail(r, "'%s' is undefined", v->as.s != NULL ? v->as.s->s : "it");
    if ((v->type == JINJA_DICT || v->type == JINJA_NAMESPACE) && key->type == JINJA_STRING) {
        TRY(jinja_spend(r, v->as.list->count / 16));
        const struct jinja_value *there = jinja_dict_find(v->as.list, key->as.s->s, key->as.s->n);
        if (there != NULL) *out = *there;
    } else if ((is_list(v) || v->type == JINJA_STRING) && key->type == JINJA_INT) {
        n = length_of(v);
        i = key->as.i < 0 ? key->as.i + n : key->as.i;
        if (i < 0 || i >= n) return ERR_OK;
        if (v->type == JINJA_STRING) {
            TRY(jinja_spend(r, v->as.s->n / 16));
            return jinja_cut(r, v->as.s, byte_of(v->as.s, i), byte_of(v->as.s, i + 1), out);
        }
        *out = v->as.list->items[i];
    }
    return ERR_OK;
}

/* The same along a.b.c, for filters that name an attribute. */
static enum err item_path(struct jinja_run *r, const struct jinja_value *v,
                          const struct jinja_value *path, struct jinja_value *out)
{
    struct jinja_string dot = {".", NULL, 1};
    struct jinja_value parts;

    *out = *v;
    if (path->type != JINJA_STRING) return jinja_item(r, v, path, out);
    TRY(jinja_split(r, path->as.s, &dot, -1, false, &parts));
    for (size_t i = 0; i < parts.as.list->count; i++) {
        struct jinja_value under = *out, key = parts.as.list->items[i];
        if (key.as.s->n > 0 && key.as.s->s[0] >= '0' && key.as.s->s[0] <= '9')
            return jinja_fail(r, "attributes by number are not supported");
        TRY(jinja_item(r, &under, &key, out));
    }
    return ERR_OK;
}

enum err jinja_items(struct jinja_run *r, const struct jinja_value *v, struct jinja_value *out)
{
    size_t len;

    if (is_list(v)) {
        *out = *v;
        return ERR_OK;
    }
    TRY(jinja_list_new(r, JINJA_LIST, out));
    if (v->type == JINJA_UNDEFINED) return ERR_OK;
    if (v->type == JINJA_DICT) {
        for (size_t i = 0; i < v->as.list->count; i += 2)
            TRY(jinja_list_add(r, out->as.list, v->as.list->items[i]));
    } else if (v->type == JINJA_STRING) {
        for (size_t i = 0; i < v->as.s->n; i += len) {
            struct jinja_value c;
            (void)utf8_decode((const uint8_t *)v->as.s->s + i, &len);
            TRY(jinja_cut(r, v->as.s, i, i + len, &c));
            TRY(jinja_list_add(r, out->as.list, c));
        }
    } else {
        return jinja_fail(r, "%s cannot be walked through", jinja_type_name(v));
    }
    return ERR_OK;
}

enum err jinja_slice(struct jinja_run *r, const struct jinja_value *v,
                     const struct jinja_value parts[3], struct jinja_value *out)
{
    struct jinja_value items;
    struct jinja_builder b = {0};
    int64_t n, step, from, to;

    if (v->type == JINJA_UNDEFINED)
        return jinja_fail(r, "'%s' is undefined", v->as.s != NULL ? v->as.s->s : "it");
    if (!is_list(v) && v->type != JINJA_STRING)
        return jinja_fail(r, "%s cannot be sliced", jinja_type_name(v));
    n = length_of(v);
    TRY(want_int(r, &parts[2], "[::]", 1, &step));
    if (step == 0) return jinja_fail(r, "a slice of step 0");
    TRY(want_int(r, &parts[0], "[:]", step > 0 ? 0 : n - 1, &from));
    TRY(want_int(r, &parts[1], "[:]", step > 0 ? n : -n - 1, &to));
    if (from < 0) from = from < -n ? (step > 0 ? 0 : -1) : from + n;
    if (to < 0) to = to < -n ? (step > 0 ? 0 : -1) : to + n;
    if (from > n - (step < 0)) from = n - (step < 0);
    if (to > n) to = n;
    if (v->type == JINJA_STRING && step == 1) {
        TRY(jinja_spend(r, v->as.s->n / 16));
        return jinja_cut(r, v->as.s, byte_of(v->as.s, from),
                         byte_of(v->as.s, to < from ? from : to), out);
    }
    TRY(jinja_items(r, v, &items));
    TRY(jinja_list_new(r, is_list(v) ? v->type : JINJA_LIST, out));
    while (step > 0 ? from < to : from > to) {
        TRY(jinja_list_add(r, out->as.list, items.as.list->items[from]));
        if (__builtin_add_overflow(from, step, &from)) break;
    }
    if (is_list(v)) return ERR_OK;
    for (size_t i = 0; i < out->as.list->count; i++)
        TRY(jinja_print(r, &out->as.list->items[i], &b));
    return jinja_built(r, &b, out);
}

/* ------------------------------------------------------------------ tests */

static enum err compare_test(struct jinja_run *r, enum test which, const struct jinja_value *v,
                             const struct jinja_value *other, bool *out)
{
    int order;

    if (which == T_EQ || which == T_NE) {
        TRY(jinja_equal(r, v, other, out));
        *out ^= which == T_NE;
        return ERR_OK;
    }
    if (which == T_IN) return jinja_contains(r, other, v, out);
    TRY(jinja_compare(r, v, other, &order));
    *out = which == T_LT   ? order < 0
           : which == T_LE ? order <= 0
           : which == T_GT ? order > 0
                           : order >= 0;
    return ERR_OK;
}

static enum err number_test(struct jinja_run *r, enum test which, const struct jinja_value *v,
                            const struct jinja_value *other, bool *out)
{
    int64_t x, by;

    TRY(want_int(r, v, "a test of numbers", 0, &x));
    TRY(want_int(r, other, "divisibleby", 2, &by));
    if (by == 0) return jinja_fail(r, "division by zero");
    *out = by == -1 || (x % by == 0) == (which != T_ODD);
    return ERR_OK;
}

enum err jinja_test(struct jinja_run *r, int test, const struct jinja_value *v,
                    const struct jinja_args *args, bool *out)
{
    const struct jinja_value *arg[MOST_ARGS];
    const struct jinja_string *s;
    enum jinja_type type = v->type;

    TRY(bind(r, &tests[test], args, arg));
    switch ((enum test)tests[test].what) {
    case T_DEFINED:
    case T_UNDEFINED:
        *out = (type == JINJA_UNDEFINED) == (tests[test].what == T_UNDEFINED);
        return ERR_OK;
    case T_NONE:
        *out = type == JINJA_NONE;
        return ERR_OK;
    case T_STRING:
        *out = type == JINJA_STRING;
        return ERR_OK;
    case T_NUMBER:
        *out = jinja_is_number(v);
        return ERR_OK;
    case T_INTEGER:
        *out = type == JINJA_INT;
        return ERR_OK;
    case T_FLOAT:
        *out = type == JINJA_FLOAT;
        return ERR_OK;
    case T_BOOLEAN:
        *out = type == JINJA_BOOL;
        return ERR_OK;
    case T_TRUE:
    case T_FALSE:
        *out = type == JINJA_BOOL && v->as.b == (tests[test].what == T_TRUE);
        return ERR_OK;
    case T_MAPPING:
        *out = type == JINJA_DICT;
        return ERR_OK;
    case T_ITERABLE:
    case T_SEQUENCE:
        *out = is_list(v) || type == JINJA_DICT || type == JINJA_STRING || type == JINJA_UNDEFINED;
        return ERR_OK;
    case T_CALLABLE:
        *out = type == JINJA_MACRO || type == JINJA_FUNCTION;
        return ERR_OK;
    case T_EVEN:
    case T_ODD:
    case T_DIVISIBLE:
        return number_test(r, (enum test)tests[test].what, v, arg[0], out);
    case T_LOWER:
    case T_UPPER:
        TRY(as_text(r, v, &s));
        return jinja_is_all(r, s, tests[test].what == T_LOWER ? JINJA_ALL_LOWER : JINJA_ALL_UPPER,
                            out);
    default:
        return compare_test(r, (enum test)tests[test].what, v, arg[0], out);
    }
}

/* ------------------------------------------------------------------ filters */

/* A list of [key, value] tuples. */
static enum err dict_items(struct jinja_run *r, const struct jinja_value *v,
                           struct jinja_value *out)
{
    TRY(jinja_list_new(r, JINJA_LIST, out));
    if (v->type == JINJA_UNDEFINED) return ERR_OK;
    if (v->type != JINJA_DICT) return jinja_fail(r, "items of %s", jinja_type_name(v));
    for (size_t i = 0; i < v->as.list->count; i += 2) {
        struct jinja_value pair;
        TRY(jinja_list_new(r, JINJA_TUPLE, &pair));
        TRY(jinja_list_add(r, pair.as.list, v->as.list->items[i]));
        TRY(jinja_list_add(r, pair.as.list, v->as.list->items[i + 1]));
        TRY(jinja_list_add(r, out->as.list, pair));
    }
    return ERR_OK;
}

/* By key, letters of either case alike. */
static enum err dict_sorted(struct jinja_run *r, const struct jinja_value *v,
                            struct jinja_value *out)
{
    struct jinja_value *items, *keys;

    TRY(dict_items(r, v, out));
    items = out->as.list->items;
    TRY(jinja_new(r->e, &r->memory, &keys, out->as.list->count, sizeof *keys));
    for (size_t i = 0; i < out->as.list->count; i++) {
        struct jinja_value pair = items[i], key;
        size_t at = i;
        TRY(jinja_recase(r, pair.as.list->items[0].as.s, JINJA_LOWER, &key));
        for (int order = 1; at > 0; at--) {
            TRY(jinja_spend(r, 0));
            TRY(jinja_compare(r, &keys[at - 1], &key, &order));
            if (order <= 0) break;
            items[at] = items[at - 1];
            keys[at] = keys[at - 1];
        }
        items[at] = pair;
        keys[at] = key;
    }
    return ERR_OK;
}

static enum err dump(struct jinja_run *r, const struct jinja_value *v,
                     const struct jinja_value *arg[MOST_ARGS], struct jinja_value *out)
{
    struct jinja_json how = {.ascii = arg[0] != NULL && jinja_truth(arg[0]),
                             .sort = arg[3] != NULL && jinja_truth(arg[3]),
                             .comma = {", ", NULL, 2},
                             .colon = {": ", NULL, 2}};
    struct jinja_builder b = {0};

    TRY(want_int(r, arg[1], "tojson(indent=..)", -1, &how.indent));
    if (how.indent > 100) return jinja_fail(r, "tojson(indent=..) beyond 100");
    if (how.indent >= 0) how.comma.n = 1;
    if (arg[2] != NULL && arg[2]->type != JINJA_NONE) {
        const struct jinja_list *l = arg[2]->as.list;
        if (!is_list(arg[2]) || l->count != 2 || l->items[0].type != JINJA_STRING ||
            l->items[1].type != JINJA_STRING)
            return jinja_fail(r, "tojson(separators=..) that are no two strings");
        how.comma = *l->items[0].as.s;
        how.colon = *l->items[1].as.s;
    }
    TRY(jinja_dump(r, v, &how, 0, &b));
    return jinja_built(r, &b, out);
}

static enum err to_number(struct jinja_run *r, const struct jinja_value *v, bool real,
                          const struct jinja_value *otherwise, struct jinja_value *out)
{
    char text[64], *end = text;
    double x = 0;

    if (v->type == JINJA_STRING) {
        struct jinja_value bare;
        TRY(jinja_strip(r, v->as.s, NULL, JINJA_LEFT | JINJA_RIGHT, &bare));
        if (bare.as.s->n >= sizeof text || memchr(bare.as.s->s, '_', bare.as.s->n) != NULL)
            return jinja_fail(r, "a number that is not supported");
        memcpy(text, bare.as.s->s, bare.as.s->n);
        text[bare.as.s->n] = 0;
        /* digits, and what a real number has; no hexadecimal, no infinity */
        if (strspn(text, "+-0123456789.eE") == strlen(text)) x = strtod(text, &end);
    } else if (jinja_is_number(v)) {
        x = jinja_real(v);
    }
    if (v->type == JINJA_STRING ? end == text || *end != 0 : !jinja_is_number(v)) {
        if (otherwise != NULL) {
            *out = *otherwise;
            return ERR_OK;
        }
        x = 0;
    }
    if (!isfinite(x) || (!real && fabs(x) >= 9007199254740992.0))
        return v->type == JINJA_INT && !real ? (*out = *v, ERR_OK)
                                             : jinja_fail(r, "a number that is too large");
    *out = real ? (struct jinja_value){.type = JINJA_FLOAT, .as.d = x} : JINJA_NUMBER((int64_t)x);
    return ERR_OK;
}

/* A name given to map, select and their like. */
static enum err named(struct jinja_run *r, const struct jinja_value *name, bool filter, int *out)
{
    char text[32];

    if (name->type != JINJA_STRING || name->as.s->n >= sizeof text)
        return jinja_fail(r, "a filter or test by %s", jinja_type_name(name));
    memcpy(text, name->as.s->s, name->as.s->n);
    text[name->as.s->n] = 0;
    *out = filter ? jinja_filter_find(text) : jinja_test_find(text);
    return *out >= 0 ? ERR_OK
                     : jinja_fail(r, "%s '%s' is not supported", filter ? "filter" : "test", text);
}

static enum err map(struct jinja_run *r, const struct jinja_value *v,
                    const struct jinja_value *arg[MOST_ARGS], struct jinja_value *out)
{
    const struct jinja_args none = {NULL, NULL, 0};
    struct jinja_value items;
    int filter = -1;

    if ((arg[0] == NULL) == (arg[1] == NULL) || (arg[2] != NULL && arg[1] == NULL))
        return jinja_fail(r, "map takes a filter's name or attribute=");
    if (arg[0] != NULL) TRY(named(r, arg[0], true, &filter));
    TRY(jinja_items(r, v, &items));
    TRY(jinja_list_new(r, JINJA_LIST, out));
    for (size_t i = 0; i < items.as.list->count; i++) {
        struct jinja_value got;
        if (filter >= 0)
            TRY(jinja_filter(r, filter, &items.as.list->items[i], &none, &got));
        else
            TRY(item_path(r, &items.as.list->items[i], arg[1], &got));
        if (got.type == JINJA_UNDEFINED && arg[2] != NULL) got = *arg[2];
        TRY(jinja_list_add(r, out->as.list, got));
    }
    return ERR_OK;
}

/* Items for which the test (or without one, they themselves) are `wanted`. */
static enum err select_items(struct jinja_run *r, const struct jinja_value *v,
                             const struct jinja_value *attribute, const struct jinja_value *name,
                             const struct jinja_value *argument, bool wanted,
                             struct jinja_value *out)
{
    struct jinja_value items, value = {0};
    const char *unnamed[1] = {NULL};
    struct jinja_args args = {&value, unnamed, argument != NULL};
    int test = -1;

    if (argument != NULL) value = *argument;
    if (name != NULL) TRY(named(r, name, false, &test));
    TRY(jinja_items(r, v, &items));
    TRY(jinja_list_new(r, JINJA_LIST, out));
    for (size_t i = 0; i < items.as.list->count; i++) {
        struct jinja_value got = items.as.list->items[i];
        bool holds;
        if (attribute != NULL) TRY(item_path(r, &items.as.list->items[i], attribute, &got));
        holds = jinja_truth(&got);
        if (test >= 0) TRY(jinja_test(r, test, &got, &args, &holds));
        if (holds == wanted) TRY(jinja_list_add(r, out->as.list, items.as.list->items[i]));
    }
    return ERR_OK;
}

static enum err reverse(struct jinja_run *r, const struct jinja_value *v, struct jinja_value *out)
{
    struct jinja_value parts[3] = {JINJA_VALUE(JINJA_NONE), JINJA_VALUE(JINJA_NONE),
                                   JINJA_NUMBER(-1)};
    struct jinja_value items = *v;

    if (v->type != JINJA_STRING) TRY(jinja_items(r, v, &items));
    return jinja_slice(r, &items, parts, out);
}

static enum err indent(struct jinja_run *r, const struct jinja_value *v,
                       const struct jinja_value *arg[MOST_ARGS], struct jinja_value *out)
{
    static const char blanks[] = "                                ";
    struct jinja_string by = {blanks, NULL, 4};
    const struct jinja_string *s;
    int64_t width;

    TRY(as_text(r, v, &s));
    if (arg[0] != NULL && arg[0]->type == JINJA_STRING) {
        by = *arg[0]->as.s;
    } else {
        TRY(want_int(r, arg[0], "indent", 4, &width));
        if (width < 0 || width >= (int64_t)sizeof blanks)
            return jinja_fail(r, "indent by %lld is not supported", (long long)width);
        by.n = (size_t)width;
    }
    return jinja_indent(r, s, &by, arg[1] != NULL && jinja_truth(arg[1]),
                        arg[2] != NULL && jinja_truth(arg[2]), out);
}

static enum err join(struct jinja_run *r, const struct jinja_value *v,
                     const struct jinja_value *arg[MOST_ARGS], struct jinja_value *out)
{
    const struct jinja_value *by_attribute[MOST_ARGS] = {NULL, arg[1], NULL, NULL};
    const struct jinja_string *between;
    struct jinja_value items = *v;

    TRY(want_string(r, arg[0], "join", &between));
    if (arg[1] != NULL)
        TRY(map(r, v, by_attribute, &items));
    else
        TRY(jinja_items(r, v, &items));
    return jinja_join(r, items.as.list, between, out);
}

/* Filters of text, whatever value it is made of. */
static enum err text_filter(struct jinja_run *r, enum filter which, const struct jinja_value *v,
                            const struct jinja_value *arg[MOST_ARGS], struct jinja_value *out)
{
    const struct jinja_string *s, *from, *to;
    int64_t most;

    TRY(as_text(r, v, &s));
    switch (which) {
    case F_TRIM:
        TRY(want_string(r, arg[0], "trim", &from));
        return jinja_strip(r, s, from, JINJA_LEFT | JINJA_RIGHT, out);
    case F_UPPER:
        return jinja_recase(r, s, JINJA_UPPER, out);
    case F_LOWER:
        return jinja_recase(r, s, JINJA_LOWER, out);
    case F_TITLE:
        return jinja_recase(r, s, JINJA_TITLE_FILTER, out);
    case F_CAPITALIZE:
        return jinja_recase(r, s, JINJA_CAPITAL, out);
    case F_REPLACE:
        TRY(must_string(r, arg[0], "replace", &from));
        TRY(must_string(r, arg[1], "replace", &to));
        TRY(want_int(r, arg[2], "replace", -1, &most));
        return jinja_replace(r, s, from, to, most, out);
    default:
        return jinja_string_view(r, s->s, s->marks, s->n, out);
    }
}

static enum err absolute(struct jinja_run *r, const struct jinja_value *v, struct jinja_value *out)
{
    if (!jinja_is_number(v) || (v->type == JINJA_INT && v->as.i == INT64_MIN))
        return jinja_fail(r, "abs of %s", jinja_type_name(v));
    *out = *v;
    if (v->type == JINJA_FLOAT)
        out->as.d = fabs(v->as.d);
    else
        *out = JINJA_NUMBER(v->type == JINJA_BOOL ? v->as.b : v->as.i < 0 ? -v->as.i : v->as.i);
    return ERR_OK;
}

static enum err end_item(struct jinja_run *r, const struct jinja_value *v, bool last,
                         struct jinja_value *out)
{
    struct jinja_value items, at;

    TRY(jinja_items(r, v, &items));
    at = JINJA_NUMBER(last ? -1 : 0);
    return jinja_item(r, &items, &at, out);
}

static enum err copy_items(struct jinja_run *r, const struct jinja_value *v,
                           struct jinja_value *out)
{
    struct jinja_value items;

    TRY(jinja_items(r, v, &items));
    TRY(jinja_list_new(r, JINJA_LIST, out));
    for (size_t i = 0; i < items.as.list->count; i++)
        TRY(jinja_list_add(r, out->as.list, items.as.list->items[i]));
    return ERR_OK;
}

enum err jinja_filter(struct jinja_run *r, int filter, const struct jinja_value *v,
                      const struct jinja_args *args, struct jinja_value *out)
{
    const struct jinja_value *arg[MOST_ARGS];
    enum filter which = (enum filter)filters[filter].what;

    TRY(bind(r, &filters[filter], args, arg));
    switch (which) {
    case F_LENGTH:
        if (v->type == JINJA_UNDEFINED) {
            *out = JINJA_NUMBER(0);
            return ERR_OK;
        }
        if (!is_list(v) && v->type != JINJA_STRING && v->type != JINJA_DICT)
            return jinja_fail(r, "length of %s", jinja_type_name(v));
        *out = JINJA_NUMBER(length_of(v));
        return jinja_spend(r, v->type == JINJA_STRING ? v->as.s->n / 16 : 0);
    case F_TOJSON:
        return dump(r, v, arg, out);
    case F_JOIN:
        return join(r, v, arg, out);
    case F_LIST:
        return copy_items(r, v, out);
    case F_DEFAULT:
        *out = *v;
        if (v->type == JINJA_UNDEFINED ||
            (arg[1] != NULL && jinja_truth(arg[1]) && !jinja_truth(v))) {
            if (arg[0] == NULL) return jinja_text(r, "", out);
            *out = *arg[0];
        }
        return ERR_OK;
    case F_FIRST:
    case F_LAST:
        return end_item(r, v, which == F_LAST, out);
    case F_INT:
    case F_FLOAT:
        return to_number(r, v, which == F_FLOAT, arg[0], out);
    case F_ABS:
        return absolute(r, v, out);
    case F_REVERSE:
        return reverse(r, v, out);
    case F_MAP:
        return map(r, v, arg, out);
    case F_SELECT:
    case F_REJECT:
        return select_items(r, v, NULL, arg[0], arg[1], which == F_SELECT, out);
    case F_SELECTATTR:
    case F_REJECTATTR:
        return select_items(r, v, arg[0], arg[1], arg[2], which == F_SELECTATTR, out);
    case F_ITEMS:
        return dict_items(r, v, out);
    case F_DICTSORT:
        return dict_sorted(r, v, out);
    case F_INDENT:
        return indent(r, v, arg, out);
    default:
        return text_filter(r, which, v, arg, out);
    }
}

/* ------------------------------------------------------------------ methods */

static const struct entry *find_method(const struct jinja_value *v, const char *name)
{
    if (v->type == JINJA_STRING) return find_entry(string_methods, ARRAY_LEN(string_methods), name);
    if (v->type == JINJA_DICT) return find_entry(dict_methods, ARRAY_LEN(dict_methods), name);
    return is_list(v) ? find_entry(list_methods, ARRAY_LEN(list_methods), name) : NULL;
}

bool jinja_has_method(const struct jinja_value *v, const char *name)
{
    return find_method(v, name) != NULL;
}

static bool stands_at(const struct jinja_string *s, const struct jinja_string *what, bool end)
{
    return s->n >= what->n && memcmp(end ? s->s + s->n - what->n : s->s, what->s, what->n) == 0;
}

/* startswith and endswith, of a string or any of a tuple. */
static enum err side_test(struct jinja_run *r, const struct jinja_string *s,
                          const struct jinja_value *arg, bool end, struct jinja_value *out)
{
    const struct jinja_string *what;
    bool holds = false;

    if (arg->type == JINJA_TUPLE) {
        for (size_t i = 0; i < arg->as.list->count && !holds; i++) {
            TRY(must_string(r, &arg->as.list->items[i], "startswith or endswith", &what));
            holds = stands_at(s, what, end);
        }
    } else {
        TRY(must_string(r, arg, "startswith or endswith", &what));
        holds = stands_at(s, what, end);
    }
    *out = JINJA_TRUTH(holds);
    return ERR_OK;
}

static enum err remove_side(struct jinja_run *r, const struct jinja_string *s,
                            const struct jinja_value *arg, bool end, struct jinja_value *out)
{
    const struct jinja_string *what;

    TRY(must_string(r, arg, "removeprefix or removesuffix", &what));
    if (!stands_at(s, what, end)) return jinja_cut(r, s, 0, s->n, out);
    return end ? jinja_cut(r, s, 0, s->n - what->n, out) : jinja_cut(r, s, what->n, s->n, out);
}

static enum err string_method(struct jinja_run *r, enum method which, const struct jinja_value *v,
                              const struct jinja_value *arg[MOST_ARGS], struct jinja_value *out)
{
    const struct jinja_string *s = v->as.s, *what;
    struct jinja_value items;
    int64_t n;
    bool holds;

    switch (which) {
    case M_STRIP:
    case M_LSTRIP:
    case M_RSTRIP:
        TRY(want_string(r, arg[0], "strip", &what));
        return jinja_strip(r, s, what,
                           which == M_LSTRIP   ? JINJA_LEFT
                           : which == M_RSTRIP ? JINJA_RIGHT
                                               : JINJA_LEFT | JINJA_RIGHT,
                           out);
    case M_SPLIT:
    case M_RSPLIT:
        TRY(want_string(r, arg[0], "split", &what));
        TRY(want_int(r, arg[1], "split", -1, &n));
        return jinja_split(r, s, what, n, which == M_RSPLIT, out);
    case M_SPLITLINES:
        return jinja_lines(r, s, arg[0] != NULL && jinja_truth(arg[0]), out);
    case M_STARTSWITH:
    case M_ENDSWITH:
        return side_test(r, s, arg[0], which == M_ENDSWITH, out);
    case M_REMOVEPREFIX:
    case M_REMOVESUFFIX:
        return remove_side(r, s, arg[0], which == M_REMOVESUFFIX, out);
    case M_REPLACE:
        return text_filter(r, F_REPLACE, v, arg, out);
    case M_UPPER:
        return jinja_recase(r, s, JINJA_UPPER, out);
    case M_LOWER:
        return jinja_recase(r, s, JINJA_LOWER, out);
    case M_TITLE:
        return jinja_recase(r, s, JINJA_TITLE, out);
    case M_CAPITALIZE:
        return jinja_recase(r, s, JINJA_CAPITAL, out);
    case M_FIND:
    case M_RFIND:
    case M_COUNT:
        TRY(must_string(r, arg[0], "find or count", &what));
        TRY(which == M_COUNT ? jinja_count(r, s, what, &n)
                             : jinja_find(r, s, what, which == M_RFIND, &n));
        *out = JINJA_NUMBER(n);
        return ERR_OK;
    case M_JOIN:
        TRY(jinja_items(r, arg[0], &items));
        for (size_t i = 0; i < items.as.list->count; i++)
            TRY(must_string(r, &items.as.list->items[i], "join", &what));
        return jinja_join(r, items.as.list, s, out);
    default:
        TRY(jinja_is_all(r, s, which == M_ISDIGIT ? JINJA_ALL_DIGITS : JINJA_ALL_SPACE, &holds));
        *out = JINJA_TRUTH(holds);
        return ERR_OK;
    }
}

static enum err dict_method(struct jinja_run *r, enum method which, const struct jinja_value *v,
                            const struct jinja_value *arg[MOST_ARGS], struct jinja_value *out)
{
    if (which == M_ITEMS) return dict_items(r, v, out);
    if (which == M_GET) {
        TRY(jinja_item(r, v, arg[0], out));
        if (out->type == JINJA_UNDEFINED) *out = arg[1] != NULL ? *arg[1] : JINJA_VALUE(JINJA_NONE);
        return ERR_OK;
    }
    TRY(jinja_list_new(r, JINJA_LIST, out));
    for (size_t i = which == M_VALUES; i < v->as.list->count; i += 2)
        TRY(jinja_list_add(r, out->as.list, v->as.list->items[i]));
    return ERR_OK;
}

static enum err list_method(struct jinja_run *r, enum method which, const struct jinja_value *v,
                            const struct jinja_value *arg[MOST_ARGS], struct jinja_value *out)
{
    int64_t n = 0;

    for (size_t i = 0; i < v->as.list->count; i++) {
        bool same;
        TRY(jinja_equal(r, &v->as.list->items[i], arg[0], &same));
        if (same && which == M_INDEX) {
            *out = JINJA_NUMBER((int64_t)i);
            return ERR_OK;
        }
        n += same;
    }
    *out = JINJA_NUMBER(n);
    return which == M_INDEX ? jinja_fail(r, "index: it is not in the list") : ERR_OK;
}

enum err jinja_method(struct jinja_run *r, const struct jinja_value *v, const char *name,
                      const struct jinja_args *args, struct jinja_value *out)
{
    const struct entry *m = find_method(v, name);
    const struct jinja_value *arg[MOST_ARGS];

    if (m == NULL)
        return jinja_fail(r, "method '%s' of %s is not supported", name, jinja_type_name(v));
    TRY(bind(r, m, args, arg));
    if (v->type == JINJA_STRING) return string_method(r, (enum method)m->what, v, arg, out);
    return v->type == JINJA_DICT ? dict_method(r, (enum method)m->what, v, arg, out)
                                 : list_method(r, (enum method)m->what, v, arg, out);
}
