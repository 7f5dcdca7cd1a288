/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_methods.c: see jinja_methods.h. */
#include "common/text/jinja_methods.h"
#include <string.h>
#include "common/text/jinja_parts.h"
#include "common/text/jinja_text.h"

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

static const struct jinja_entry string_methods[] = {
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
static const struct jinja_entry dict_methods[] = {
    {"items", M_ITEMS, 0, {0}},
    {"keys", M_KEYS, 0, {0}},
    {"values", M_VALUES, 0, {0}},
    {"get", M_GET, 1, {"key", "default"}},
};
static const struct jinja_entry list_methods[] = {
    {"index", M_INDEX, 1, {"value"}},
    {"count", M_COUNT, 1, {"value"}},
};

static const struct jinja_entry *find_method(const struct jinja_value *v, const char *name)
{
    if (v->type == JINJA_STRING)
        return jinja_entry_find(string_methods, ARRAY_LEN(string_methods), name);
    if (v->type == JINJA_DICT) return jinja_entry_find(dict_methods, ARRAY_LEN(dict_methods), name);
    return jinja_is_list(v) ? jinja_entry_find(list_methods, ARRAY_LEN(list_methods), name) : NULL;
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
            TRY(jinja_must_string(r, &arg->as.list->items[i], "startswith or endswith", &what));
            holds = stands_at(s, what, end);
        }
    } else {
        TRY(jinja_must_string(r, arg, "startswith or endswith", &what));
        holds = stands_at(s, what, end);
    }
    *out = JINJA_TRUTH(holds);
    return ERR_OK;
}

static enum err remove_side(struct jinja_run *r, const struct jinja_string *s,
                            const struct jinja_value *arg, bool end, struct jinja_value *out)
{
    const struct jinja_string *what;

    TRY(jinja_must_string(r, arg, "removeprefix or removesuffix", &what));
    if (!stands_at(s, what, end)) return jinja_cut(r, s, 0, s->n, out);
    return end ? jinja_cut(r, s, 0, s->n - what->n, out) : jinja_cut(r, s, what->n, s->n, out);
}

static enum err string_method(struct jinja_run *r, enum method which, const struct jinja_value *v,
                              const struct jinja_value *arg[JINJA_ARGS], struct jinja_value *out)
{
    const struct jinja_string *s = v->as.s, *what, *to;
    struct jinja_value items;
    int64_t n;
    bool holds;

    switch (which) {
    case M_STRIP:
    case M_LSTRIP:
    case M_RSTRIP:
        TRY(jinja_want_string(r, arg[0], "strip", &what));
        return jinja_strip(r, s, what,
                           which == M_LSTRIP   ? JINJA_LEFT
                           : which == M_RSTRIP ? JINJA_RIGHT
                                               : JINJA_LEFT | JINJA_RIGHT,
                           out);
    case M_SPLIT:
    case M_RSPLIT:
        TRY(jinja_want_string(r, arg[0], "split", &what));
        TRY(jinja_want_int(r, arg[1], "split", -1, &n));
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
        TRY(jinja_must_string(r, arg[0], "replace", &what));
        TRY(jinja_must_string(r, arg[1], "replace", &to));
        TRY(jinja_want_int(r, arg[2], "replace", -1, &n));
        return jinja_replace(r, s, what, to, n, out);
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
        TRY(jinja_must_string(r, arg[0], "find or count", &what));
        TRY(which == M_COUNT ? jinja_count(r, s, what, &n)
                             : jinja_find(r, s, what, which == M_RFIND, &n));
        *out = JINJA_NUMBER(n);
        return ERR_OK;
    case M_JOIN:
        TRY(jinja_items(r, arg[0], &items));
        for (size_t i = 0; i < items.as.list->count; i++)
            TRY(jinja_must_string(r, &items.as.list->items[i], "join", &what));
        return jinja_join(r, items.as.list, s, out);
    default:
        TRY(jinja_is_all(r, s, which == M_ISDIGIT ? JINJA_ALL_DIGITS : JINJA_ALL_SPACE, &holds));
        *out = JINJA_TRUTH(holds);
        return ERR_OK;
    }
}

static enum err dict_method(struct jinja_run *r, enum method which, const struct jinja_value *v,
                            const struct jinja_value *arg[JINJA_ARGS], struct jinja_value *out)
{
    if (which == M_ITEMS) return jinja_dict_items(r, v, out);
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
                            const struct jinja_value *arg[JINJA_ARGS], struct jinja_value *out)
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
    const struct jinja_entry *m = find_method(v, name);
    const struct jinja_value *arg[JINJA_ARGS];

    if (m == NULL)
        return jinja_fail(r, "method '%s' of %s is not supported", name, jinja_type_name(v));
    TRY(jinja_bind(r, m, args, arg));
    if (v->type == JINJA_STRING) return string_method(r, (enum method)m->what, v, arg, out);
    return v->type == JINJA_DICT ? dict_method(r, (enum method)m->what, v, arg, out)
                                 : list_method(r, (enum method)m->what, v, arg, out);
}
