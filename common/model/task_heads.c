/* SPDX-License-Identifier: Apache-2.0 */
/* task_heads.c: what the heads of a model are, in memory and as meta of a stream. Their numbers are
 * parameters (params.h). */
#include <string.h>

#include "common/base/mem.h"
#include "common/model/task.h"

/* What may stand behind a dense part; the first: there is none. */
static const struct {
    const char *name;
    enum activation act;
} denses[] = {{"none", ACT_NONE}, {"tanh", ACT_TANH}, {"gelu", ACT_GELU}, {"relu", ACT_RELU}};

void task_heads_fini(struct task_heads *h)
{
    labels_fini(&h->labels);
    mem_free(h->items);
    *h = (struct task_heads){0};
}

static enum err copy_labels(struct errctx *e, const struct labels *from, struct labels *to)
{
    for (int64_t i = 0; i < from->count; i++) {
        const struct label *l = &from->items[i];
        struct label *label;
        TRY(labels_add(e, to, l->name, l->kind, &label));
        TRY(label_set_classes(e, label, (const char *const *)l->classes, l->classes_count));
        label->column = -1;
    }
    return ERR_OK;
}

enum err task_heads_copy(struct errctx *e, const struct task_heads *from, struct task_heads *to)
{
    *to = (struct task_heads){.count = from->count};
    if (mem_new(e, &to->items, (size_t)from->count, sizeof *to->items, "heads") == ERR_OK &&
        copy_labels(e, &from->labels, &to->labels) == ERR_OK) {
        memcpy(to->items, from->items, (size_t)from->count * sizeof *to->items);
        return ERR_OK;
    }
    task_heads_fini(to);
    return e->code;
}

/* ------------------------------------------------------------------ to meta */

static enum err put_poolings(struct errctx *e, unsigned poolings, struct mp_value *map)
{
    struct mp_value list;
    mp_array_init(&list);
    for (unsigned bit = 1; bit <= POOLING_LAST && e->code == ERR_OK; bit <<= 1) {
        struct mp_value name = {0};
        const char *text = pooling_name(bit);
        if (poolings & bit && mp_bytes(e, &name, MP_STRING, text, strlen(text)) == ERR_OK)
            (void)!mp_append_take(e, &list, &name);
    }
    if (e->code == ERR_OK) return mp_set_take(e, map, "pooling", &list);
    mp_fini(&list);
    return e->code;
}

static enum err put_head(struct errctx *e, const struct task *t, struct mp_value *list)
{
    const char *dense = denses[0].name;
    struct mp_value map;
    for (size_t i = 1; i < ARRAY_LEN(denses); i++)
        if (t->dense && denses[i].act == t->act) dense = denses[i].name;
    mp_map_init(&map);
    if (put_poolings(e, t->pooling, &map) == ERR_OK &&
        mp_set_string(e, &map, "dense", dense) == ERR_OK)
        return mp_append_take(e, list, &map);
    mp_fini(&map);
    return e->code;
}

enum err task_heads_to_meta(struct errctx *e, const struct task_heads *h, struct mp_value *meta)
{
    struct mp_value list;
    if (h->count == 0) return ERR_OK;
    TRY(labels_to_meta(e, &h->labels, meta));
    mp_array_init(&list);
    for (int64_t i = 0; i < h->count && e->code == ERR_OK; i++)
        (void)!put_head(e, &h->items[i], &list);
    if (e->code == ERR_OK) return mp_set_take(e, meta, "heads", &list);
    mp_fini(&list);
    return e->code;
}

/* ------------------------------------------------------------------ from meta */

static enum err get_poolings(struct errctx *e, const struct mp_value *map, unsigned *out)
{
    const struct mp_value *list;
    TRY(mp_get_list(e, map, "pooling", MP_ARRAY, &list));
    *out = 0;
    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *name = &list->as.list.items[i];
        const unsigned bit = name->type == MP_STRING ? pooling_from_name(name->as.bytes.data) : 0;
        if (!bit) return err_set(e, ERR_INPUT, "key 'pooling': entry %zu is not known", i);
        *out |= bit;
    }
    return ERR_OK;
}

static enum err get_head(struct errctx *e, const struct mp_value *map, const struct label *label,
                         struct task *t)
{
    const char *dense;
    if (map->type != MP_MAP) return err_set(e, ERR_INPUT, "it is not a map");
    for (size_t i = 0; i < map->as.list.count; i += 2) {
        const char *key = map->as.list.items[i].as.bytes.data;
        if (strcmp(key, "pooling") != 0 && strcmp(key, "dense") != 0)
            return err_set(e, ERR_INPUT, "key '%s' is not known: it needs a newer graft", key);
    }
    *t = (struct task){.kind = label->kind,
                       .outputs = label->kind == LABEL_NUMBER ? 1 : label->classes_count};
    TRY(get_poolings(e, map, &t->pooling));
    if ((t->kind == LABEL_TOKENS) != (t->pooling == 0))
        return err_set(e, ERR_INPUT, "key 'pooling' does not go with labels of kind '%s'",
                       label_kind_name(t->kind));
    TRY(mp_get_string(e, map, "dense", &dense));
    for (size_t i = 0; i < ARRAY_LEN(denses); i++)
        if (strcmp(dense, denses[i].name) == 0) {
            t->dense = i > 0;
            t->act = denses[i].act;
            return ERR_OK;
        }
    return err_set(e, ERR_INPUT, "key 'dense' is '%s', which is not known", dense);
}

static enum err get_heads(struct errctx *e, const struct mp_value *list,
                          const struct mp_value *meta, struct task_heads *out)
{
    TRY(labels_from_meta(e, meta, &out->labels));
    if (list->type != MP_ARRAY || (int64_t)list->as.list.count != out->labels.count)
        return err_set(e, ERR_INPUT, "meta key 'heads' is not a list of one head for each label");
    TRY(mem_new(e, &out->items, list->as.list.count, sizeof *out->items, "heads"));
    for (; out->count < out->labels.count; out->count++)
        if (get_head(e, &list->as.list.items[out->count], &out->labels.items[out->count],
                     &out->items[out->count]) != ERR_OK)
            return err_prefix(e, "head %lld", (long long)out->count);
    return ERR_OK;
}

enum err task_heads_from_meta(struct errctx *e, const struct mp_value *meta, struct task_heads *out)
{
    const struct mp_value *list = mp_get(meta, "heads");
    *out = (struct task_heads){0};
    if (!list) return ERR_OK;
    if (get_heads(e, list, meta, out) != ERR_OK) task_heads_fini(out);
    return e->code;
}
