/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_parts.c: see jinja_parts.h. */
#include "common/text/jinja_parts.h"
#include "common/text/jinja_args.h"
#include "common/text/jinja_text.h"
#include "common/text/utf8.h"

bool jinja_is_list(const struct jinja_value *v)
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

int64_t jinja_length(const struct jinja_value *v)
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
    } else if ((jinja_is_list(v) || v->type == JINJA_STRING) && key->type == JINJA_INT) {
        n = jinja_length(v);
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

enum err jinja_item_path(struct jinja_run *r, const struct jinja_value *v,
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

    if (jinja_is_list(v)) {
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
    if (!jinja_is_list(v) && v->type != JINJA_STRING)
        return jinja_fail(r, "%s cannot be sliced", jinja_type_name(v));
    n = jinja_length(v);
    TRY(jinja_want_int(r, &parts[2], "[::]", 1, &step));
    if (step == 0) return jinja_fail(r, "a slice of step 0");
    TRY(jinja_want_int(r, &parts[0], "[:]", step > 0 ? 0 : n - 1, &from));
    TRY(jinja_want_int(r, &parts[1], "[:]", step > 0 ? n : -n - 1, &to));
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
    TRY(jinja_list_new(r, jinja_is_list(v) ? v->type : JINJA_LIST, out));
    while (step > 0 ? from < to : from > to) {
        TRY(jinja_list_add(r, out->as.list, items.as.list->items[from]));
        if (__builtin_add_overflow(from, step, &from)) break;
    }
    if (jinja_is_list(v)) return ERR_OK;
    for (size_t i = 0; i < out->as.list->count; i++)
        TRY(jinja_print(r, &out->as.list->items[i], &b));
    return jinja_built(r, &b, out);
}

enum err jinja_dict_items(struct jinja_run *r, const struct jinja_value *v, struct jinja_value *out)
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
