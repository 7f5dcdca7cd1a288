/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_filters.c: see jinja_filters.h. */
#include "common/text/jinja_filters.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/text/jinja_parts.h"
#include "common/text/jinja_tests.h"
#include "common/text/jinja_text.h"

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

static const struct jinja_entry filters[] = {
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

int jinja_filter_find(const char *name)
{
    return jinja_entry_place(filters, ARRAY_LEN(filters), name);
}

/* By key, letters of either case alike. */
static enum err dict_sorted(struct jinja_run *r, const struct jinja_value *v,
                            struct jinja_value *out)
{
    struct jinja_value *items, *keys;

    TRY(jinja_dict_items(r, v, out));
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
                     const struct jinja_value *arg[JINJA_ARGS], struct jinja_value *out)
{
    struct jinja_json how = {.ascii = arg[0] != NULL && jinja_truth(arg[0]),
                             .sort = arg[3] != NULL && jinja_truth(arg[3]),
                             .comma = {", ", NULL, 2},
                             .colon = {": ", NULL, 2}};
    struct jinja_builder b = {0};

    TRY(jinja_want_int(r, arg[1], "tojson(indent=..)", -1, &how.indent));
    if (how.indent > 100) return jinja_fail(r, "tojson(indent=..) beyond 100");
    if (how.indent >= 0) how.comma.n = 1;
    if (arg[2] != NULL && arg[2]->type != JINJA_NONE) {
        const struct jinja_list *l = arg[2]->as.list;
        if (!jinja_is_list(arg[2]) || l->count != 2 || l->items[0].type != JINJA_STRING ||
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
                    const struct jinja_value *arg[JINJA_ARGS], struct jinja_value *out)
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
            TRY(jinja_item_path(r, &items.as.list->items[i], arg[1], &got));
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
        if (attribute != NULL) TRY(jinja_item_path(r, &items.as.list->items[i], attribute, &got));
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
                       const struct jinja_value *arg[JINJA_ARGS], struct jinja_value *out)
{
    static const char blanks[] = "                                ";
    struct jinja_string by = {blanks, NULL, 4};
    const struct jinja_string *s;
    int64_t width;

    TRY(jinja_as_text(r, v, &s));
    if (arg[0] != NULL && arg[0]->type == JINJA_STRING) {
        by = *arg[0]->as.s;
    } else {
        TRY(jinja_want_int(r, arg[0], "indent", 4, &width));
        if (width < 0 || width >= (int64_t)sizeof blanks)
            return jinja_fail(r, "indent by %lld is not supported", (long long)width);
        by.n = (size_t)width;
    }
    return jinja_indent(r, s, &by, arg[1] != NULL && jinja_truth(arg[1]),
                        arg[2] != NULL && jinja_truth(arg[2]), out);
}

static enum err join(struct jinja_run *r, const struct jinja_value *v,
                     const struct jinja_value *arg[JINJA_ARGS], struct jinja_value *out)
{
    const struct jinja_value *by_attribute[JINJA_ARGS] = {NULL, arg[1], NULL, NULL};
    const struct jinja_string *between;
    struct jinja_value items = *v;

    TRY(jinja_want_string(r, arg[0], "join", &between));
    if (arg[1] != NULL)
        TRY(map(r, v, by_attribute, &items));
    else
        TRY(jinja_items(r, v, &items));
    return jinja_join(r, items.as.list, between, out);
}

/* Filters of text, whatever value it is made of. */
static enum err text_filter(struct jinja_run *r, enum filter which, const struct jinja_value *v,
                            const struct jinja_value *arg[JINJA_ARGS], struct jinja_value *out)
{
    const struct jinja_string *s, *from, *to;
    int64_t most;

    TRY(jinja_as_text(r, v, &s));
    switch (which) {
    case F_TRIM:
        TRY(jinja_want_string(r, arg[0], "trim", &from));
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
        TRY(jinja_must_string(r, arg[0], "replace", &from));
        TRY(jinja_must_string(r, arg[1], "replace", &to));
        TRY(jinja_want_int(r, arg[2], "replace", -1, &most));
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
    const struct jinja_value *arg[JINJA_ARGS];
    enum filter which = (enum filter)filters[filter].what;

    TRY(jinja_bind(r, &filters[filter], args, arg));
    switch (which) {
    case F_LENGTH:
        if (v->type == JINJA_UNDEFINED) {
            *out = JINJA_NUMBER(0);
            return ERR_OK;
        }
        if (!jinja_is_list(v) && v->type != JINJA_STRING && v->type != JINJA_DICT)
            return jinja_fail(r, "length of %s", jinja_type_name(v));
        *out = JINJA_NUMBER(jinja_length(v));
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
        return jinja_dict_items(r, v, out);
    case F_DICTSORT:
        return dict_sorted(r, v, out);
    case F_INDENT:
        return indent(r, v, arg, out);
    default:
        return text_filter(r, which, v, arg, out);
    }
}
