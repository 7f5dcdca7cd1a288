/* SPDX-License-Identifier: Apache-2.0 */
/* labels.c: see labels.h. */
#include "formats/labels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/stream_begin.h"

static const char *const kind_names[] = {"class", "classes", "number", "tokens"};

const char *label_kind_name(enum label_kind kind)
{
    return kind_names[kind];
}

bool label_kind_find(const char *name, size_t n, enum label_kind *out)
{
    for (size_t k = 0; k < ARRAY_LEN(kind_names); k++)
        if (strlen(kind_names[k]) == n && memcmp(kind_names[k], name, n) == 0) {
            *out = (enum label_kind)k;
            return true;
        }
    return false;
}

static void classes_free(struct label *l)
{
    for (int64_t i = 0; i < l->classes_count; i++) mem_free(l->classes[i]);
    mem_free(l->classes);
    l->classes = NULL;
    l->classes_count = 0;
}

void labels_fini(struct labels *l)
{
    for (int64_t i = 0; i < l->count; i++) {
        classes_free(&l->items[i]);
        mem_free(l->items[i].name);
    }
    mem_free(l->items);
    *l = (struct labels){0};
}

/* ---- building ---- */

enum err labels_add(struct errctx *e, struct labels *l, const char *name, enum label_kind kind,
                    struct label **out)
{
    const size_t n = strlen(name);
    size_t capacity = (size_t)l->count;
    char *copy;

    *out = NULL;
    if (n == 0 || n > LABELS_MAX_NAME)
        return err_set(e, ERR_USAGE, "the name of a label has 1 to %d bytes, not %zu",
                       LABELS_MAX_NAME, n);
    for (int64_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].name, name) == 0)
            return err_set(e, ERR_USAGE, "the label '%s' stands twice", name);
    TRY(mem_grow(e, &l->items, &capacity, capacity + 1, sizeof *l->items, "labels"));
    TRY(mem_strdup(e, &copy, name));
    l->items[l->count] = (struct label){.name = copy, .kind = kind, .column = -1};
    *out = &l->items[l->count++];
    return ERR_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err check_class(struct errctx *e, const struct label *l, const char *name)
{
    if (*name == '\0') return err_set(e, ERR_INPUT, "label '%s': a class without a name", l->name);
    if (strpbrk(name, "\r\n") != NULL)
        return err_set(e, ERR_INPUT, "label '%s': the name of a class has a line break", l->name);
    return ERR_OK;
}

enum err label_set_classes(struct errctx *e, struct label *l, const char *const *names,
                           int64_t count)
{
    classes_free(l);
    TRY(mem_new(e, &l->classes, (size_t)count, sizeof *l->classes, "classes"));
    for (int64_t i = 0; i < count; i++) {
        TRY(check_class(e, l, names[i]));
        TRY(mem_strdup(e, &l->classes[i], names[i]));
        l->classes_count++;
    }
    qsort(l->classes, (size_t)count, sizeof *l->classes, compare_names);
    for (int64_t i = 1; i < count; i++)
        if (strcmp(l->classes[i - 1], l->classes[i]) == 0)
            return err_set(e, ERR_INPUT, "label '%s': the class '%s' stands twice", l->name,
                           l->classes[i]);
    return ERR_OK;
}

static enum err classes_to_meta(struct errctx *e, const struct label *l, struct mp_value *item)
{
    struct mp_value list, name;
    enum err r = ERR_OK;

    mp_array_init(&list);
    for (int64_t i = 0; i < l->classes_count && r == ERR_OK; i++) {
        r = mp_bytes(e, &name, MP_STRING, l->classes[i], strlen(l->classes[i]));
        if (r == ERR_OK) r = mp_append_take(e, &list, &name);
    }
    if (r == ERR_OK) return mp_set_take(e, item, "classes", &list);
    mp_fini(&list);
    return r;
}

static enum err label_to_meta(struct errctx *e, const struct label *l, struct mp_value *list)
{
    struct mp_value item;

    mp_map_init(&item);
    enum err r = mp_set_string(e, &item, "name", l->name);
    if (r == ERR_OK) r = mp_set_string(e, &item, "kind", label_kind_name(l->kind));
    if (r == ERR_OK && l->kind != LABEL_NUMBER) r = classes_to_meta(e, l, &item);
    if (r == ERR_OK) return mp_append_take(e, list, &item);
    mp_fini(&item);
    return r;
}

/* Of a million classes the message is about classes, not about a record. */
static enum err check_size(struct errctx *e, const struct labels *l)
{
    const struct label *most = &l->items[0];
    size_t bytes = 0;

    for (int64_t i = 0; i < l->count; i++) {
        const struct label *x = &l->items[i];
        bytes += strlen(x->name) + 64;
        for (int64_t c = 0; c < x->classes_count; c++) bytes += strlen(x->classes[c]) + 5;
        if (x->classes_count > most->classes_count) most = x;
    }
    if (bytes <= LABELS_LIMIT) return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "label '%s' has %lld classes: their names take more than the %d bytes that a "
                   "stream has for them (is it a number, or an id?)",
                   most->name, (long long)most->classes_count, LABELS_LIMIT);
}

enum err labels_to_meta(struct errctx *e, const struct labels *l, struct mp_value *meta)
{
    struct mp_value list;
    enum err r = ERR_OK;

    if (l->count > 0) TRY(check_size(e, l));
    mp_array_init(&list);
    for (int64_t i = 0; i < l->count && r == ERR_OK; i++) r = label_to_meta(e, &l->items[i], &list);
    if (r == ERR_OK) return mp_set_take(e, meta, "labels", &list);
    mp_fini(&list);
    return r;
}

static bool is_ragged(enum label_kind kind)
{
    return kind == LABEL_CLASSES || kind == LABEL_TOKENS;
}

enum err labels_declare(struct errctx *e, struct labels *l, struct stream_begin *b)
{
    static const int64_t ragged[] = {-1};

    for (int64_t i = 0; i < l->count; i++) {
        struct label *x = &l->items[i];
        char name[STREAM_MAX_NAME + 1] = LABELS_PREFIX;
        memcpy(name + sizeof LABELS_PREFIX - 1, x->name, strlen(x->name) + 1);
        x->column = b->columns_count;
        TRY(stream_begin_column(e, b, name, x->kind == LABEL_NUMBER ? DTYPE_F32 : DTYPE_I32,
                                is_ragged(x->kind), ragged));
    }
    return labels_to_meta(e, l, &b->meta);
}

/* ---- finding ---- */

static enum err classes_from_meta(struct errctx *e, const struct mp_value *item, struct label *l)
{
    const struct mp_value *list;

    TRY(mp_get_list(e, item, "classes", MP_ARRAY, &list));
    const size_t n = list->as.list.count;
    TRY(mem_new(e, &l->classes, n, sizeof *l->classes, "classes"));
    for (size_t i = 0; i < n; i++) {
        const struct mp_value *v = &list->as.list.items[i];
        if (v->type != MP_STRING || strlen(v->as.bytes.data) != v->as.bytes.len)
            return err_set(e, ERR_INPUT, "label '%s': class %zu is no name", l->name, i);
        TRY(check_class(e, l, v->as.bytes.data));
        if (i > 0 && strcmp(l->classes[i - 1], v->as.bytes.data) >= 0)
            return err_set(e, ERR_INPUT, "label '%s': class '%s' is not behind '%s' in order",
                           l->name, v->as.bytes.data, l->classes[i - 1]);
        TRY(mem_strdup(e, &l->classes[i], v->as.bytes.data));
        l->classes_count++;
    }
    return ERR_OK;
}

static enum err label_from_meta(struct errctx *e, const struct mp_value *item, struct labels *out)
{
    const char *name, *kind_text;
    enum label_kind kind;
    struct label *l;

    if (item->type != MP_MAP) return err_set(e, ERR_INPUT, "an entry is not a map");
    TRY(mp_get_string(e, item, "name", &name));
    TRY(mp_get_string(e, item, "kind", &kind_text));
    if (!label_kind_find(kind_text, strlen(kind_text), &kind))
        return err_set(e, ERR_INPUT, "label '%s' is of unknown kind '%s'", name, kind_text);
    if (labels_add(e, out, name, kind, &l) != ERR_OK) {
        if (e->code == ERR_USAGE) e->code = ERR_INPUT; /* the stream says it, not the user */
        return e->code;
    }
    const size_t keys = kind == LABEL_NUMBER ? 2 : 3;
    if (kind != LABEL_NUMBER) TRY(classes_from_meta(e, item, l));
    if (item->as.list.count != 2 * keys)
        return err_set(e, ERR_INPUT, "label '%s' has unknown keys", name);
    return ERR_OK;
}

static enum err read_meta(struct errctx *e, const struct mp_value *meta, struct labels *out)
{
    const struct mp_value *list;

    if (mp_get(meta, "labels") == NULL) return ERR_OK;
    TRY(mp_get_list(e, meta, "labels", MP_ARRAY, &list));
    for (size_t i = 0; i < list->as.list.count; i++)
        if (label_from_meta(e, &list->as.list.items[i], out) != ERR_OK)
            return err_prefix(e, "labels");
    return ERR_OK;
}

static bool is_column_of(const struct stream_field *f, const struct label *l)
{
    return strcmp(f->name + sizeof LABELS_PREFIX - 1, l->name) == 0 &&
           f->dtype == (l->kind == LABEL_NUMBER ? DTYPE_F32 : DTYPE_I32) &&
           (is_ragged(l->kind) ? stream_field_ragged(f) : f->dims == 0);
}

/* Each label has its column, in order, and no other column is called so. */
static enum err find_columns(struct errctx *e, const struct stream_begin *b, struct labels *l)
{
    int64_t next = 0;

    for (int64_t c = 0; c < b->columns_count; c++) {
        const struct stream_field *f = &b->columns[c];
        if (strncmp(f->name, LABELS_PREFIX, sizeof LABELS_PREFIX - 1) != 0) continue;
        if (next == l->count || !is_column_of(f, &l->items[next]))
            return err_set(e, ERR_INPUT, "column '%s' is not as 'labels' has it", f->name);
        l->items[next++].column = c;
    }
    if (next < l->count)
        return err_set(e, ERR_INPUT, "label '%s' has no column", l->items[next].name);
    return ERR_OK;
}

enum err labels_from_meta(struct errctx *e, const struct mp_value *meta, struct labels *out)
{
    *out = (struct labels){0};
    const enum err r = read_meta(e, meta, out);
    if (r != ERR_OK) labels_fini(out);
    return r;
}

enum err labels_from_begin(struct errctx *e, const struct stream_begin *b, struct labels *out)
{
    TRY(labels_from_meta(e, &b->meta, out));
    const enum err r = find_columns(e, b, out);
    if (r != ERR_OK) labels_fini(out);
    return r;
}

/* "a, b, c", as many as there is room for. */
static const char *list_names(const struct labels *l, char *out, size_t size)
{
    size_t at = 0;

    for (int64_t i = 0; i < l->count; i++) {
        const char *name = l->items[i].name, *comma = i > 0 ? ", " : "";
        if (at + strlen(name) + sizeof ", , ..." > size) {
            (void)snprintf(out + at, size - at, "%s...", comma);
            break;
        }
        at += (size_t)snprintf(out + at, size - at, "%s%s", comma, name);
    }
    return out;
}

enum err labels_find(struct errctx *e, const struct labels *l, const char *task, const char *name,
                     const struct label **out)
{
    char names[256];

    *out = NULL;
    if (l->count == 0)
        return err_set(e, ERR_INPUT, "'%s' has no labels (graft tokenize --label makes them)",
                       name);
    if (task == NULL && l->count == 1) {
        *out = &l->items[0];
        return ERR_OK;
    }
    for (int64_t i = 0; task != NULL && i < l->count; i++)
        if (strcmp(l->items[i].name, task) == 0) {
            *out = &l->items[i];
            return ERR_OK;
        }
    list_names(l, names, sizeof names);
    if (task == NULL)
        return err_set(e, ERR_USAGE, "'%s' has several labels, say which: --task %s", name, names);
    return err_set(e, ERR_USAGE, "'%s' has no label '%s' (there are: %s)", name, task, names);
}

int64_t label_class(const struct label *l, const char *name)
{
    if (l->classes_count == 0) return -1; /* no list to look in */
    const char *const *found =
        bsearch(&name, l->classes, (size_t)l->classes_count, sizeof *l->classes, compare_names);
    return found == NULL ? -1 : (int64_t)(found - (const char *const *)l->classes);
}

enum err label_map(struct errctx *e, const struct label *data, const char *data_name,
                   const struct label *known, const char *known_name, int32_t **map)
{
    *map = NULL;
    if (data->kind != known->kind)
        return err_set(e, ERR_INPUT, "label '%s' is of kind %s in '%s', of kind %s in '%s'",
                       data->name, label_kind_name(data->kind), data_name,
                       label_kind_name(known->kind), known_name);
    TRY(mem_new(e, map, (size_t)data->classes_count, sizeof **map, "classes"));
    for (int64_t i = 0; i < data->classes_count; i++) {
        (*map)[i] = (int32_t)label_class(known, data->classes[i]);
        if ((*map)[i] >= 0) continue;
        mem_free(*map);
        *map = NULL;
        return err_set(e, ERR_INPUT, "label '%s': the class '%s' of '%s' is not known to '%s'",
                       data->name, data->classes[i], data_name, known_name);
    }
    return ERR_OK;
}

/* The first class of a that b has not. */
static const char *class_beyond(const struct label *a, const struct label *b)
{
    for (int64_t i = 0; i < a->classes_count; i++)
        if (label_class(b, a->classes[i]) < 0) return a->classes[i];
    return NULL;
}

static enum err match_label(struct errctx *e, const struct label *a, const char *a_name,
                            const struct label *b, const char *b_name)
{
    const char *only;

    if (strcmp(a->name, b->name) != 0)
        return err_set(e, ERR_INPUT, "labels differ: '%s' in '%s', '%s' in '%s'", a->name, a_name,
                       b->name, b_name);
    if (a->kind != b->kind)
        return err_set(e, ERR_INPUT, "label '%s' is of kind %s in '%s', of kind %s in '%s'",
                       a->name, label_kind_name(a->kind), a_name, label_kind_name(b->kind), b_name);
    if ((only = class_beyond(a, b)) != NULL)
        return err_set(e, ERR_INPUT,
                       "label '%s': the class '%s' stands in '%s', not in '%s' (tokenize both with "
                       "the same --classes)",
                       a->name, only, a_name, b_name);
    if ((only = class_beyond(b, a)) != NULL)
        return err_set(e, ERR_INPUT,
                       "label '%s': the class '%s' stands in '%s', not in '%s' (tokenize both with "
                       "the same --classes)",
                       a->name, only, b_name, a_name);
    return ERR_OK;
}

static enum err match_lists(struct errctx *e, const struct labels *a, const char *a_name,
                            const struct labels *b, const char *b_name)
{
    for (int64_t i = 0; i < a->count && i < b->count; i++)
        TRY(match_label(e, &a->items[i], a_name, &b->items[i], b_name));
    if (a->count == b->count) return ERR_OK;
    const bool more = a->count > b->count;
    return err_set(e, ERR_INPUT, "label '%s' stands in '%s', not in '%s'",
                   more ? a->items[b->count].name : b->items[a->count].name, more ? a_name : b_name,
                   more ? b_name : a_name);
}

enum err labels_match(struct errctx *e, const struct mp_value *a, const char *a_name,
                      const struct mp_value *b, const char *b_name)
{
    struct labels x, y;

    if (labels_from_meta(e, a, &x) != ERR_OK) return err_prefix(e, "'%s'", a_name);
    if (labels_from_meta(e, b, &y) != ERR_OK) {
        labels_fini(&x);
        return err_prefix(e, "'%s'", b_name);
    }
    const enum err r = match_lists(e, &x, a_name, &y, b_name);
    labels_fini(&x);
    labels_fini(&y);
    return r;
}

/* ---- rows ---- */

static enum err check_index(struct errctx *e, const struct label *l, int64_t row, int32_t index)
{
    if (index >= -1 && index < l->classes_count) return ERR_OK;
    return err_set(e, ERR_INPUT, "row %lld: label '%s' is %d, and there are %lld classes",
                   (long long)row, l->name, (int)index, (long long)l->classes_count);
}

enum err label_row_class(struct errctx *e, const struct label *l, const struct stream_rows *rows,
                         int64_t i, int32_t *out)
{
    memcpy(out, rows->data[l->column] + (size_t)i * sizeof *out, sizeof *out);
    return check_index(e, l, rows->first + i, *out);
}

enum err label_row_number(struct errctx *e, const struct label *l, const struct stream_rows *rows,
                          int64_t i, float *out)
{
    memcpy(out, rows->data[l->column] + (size_t)i * sizeof *out, sizeof *out);
    if (!isinf(*out)) return ERR_OK;
    return err_set(e, ERR_INPUT, "row %lld: label '%s' is not finite", (long long)(rows->first + i),
                   l->name);
}

enum err label_row_list(struct errctx *e, const struct label *l, const struct stream_rows *rows,
                        int64_t i, const int32_t **list, int64_t *n)
{
    const int64_t *start = rows->start[l->column];
    const int64_t row = rows->first + i;

    *list = (const int32_t *)(const void *)rows->data[l->column] + start[i];
    *n = start[i + 1] - start[i];
    for (int64_t k = 0; k < *n; k++) {
        TRY(check_index(e, l, row, (*list)[k]));
        if (l->kind != LABEL_CLASSES) continue;
        if ((*list)[k] < 0 || (k > 0 && (*list)[k] <= (*list)[k - 1]))
            return err_set(e, ERR_INPUT, "row %lld: label '%s' is no ascending list of classes",
                           (long long)row, l->name);
    }
    return ERR_OK;
}
