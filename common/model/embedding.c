/* SPDX-License-Identifier: Apache-2.0 */
/* embedding.c: see embedding.h. Every key is written, and every key must be there. */
#include "common/model/embedding.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

static const char *const pooling_names[] = {"cls",           "max",           "mean",
                                            "mean_sqrt_len", "weighted_mean", "last"};
static const char *const similarities[] = {"cosine", "dot", "euclidean", "manhattan"};

void embedding_init(struct embedding *x)
{
    *x = (struct embedding){.similarity = "cosine", .include_prompt = true};
}

void embedding_fini(struct embedding *x)
{
    for (size_t i = 0; i < x->prompts_count; i++) {
        mem_free(x->prompts[i].name);
        mem_free(x->prompts[i].text);
    }
    mem_free(x->prompts);
    mem_free(x->default_prompt);
    embedding_init(x);
}

enum err embedding_add_prompt(struct errctx *e, struct embedding *x, const char *name,
                              const char *text)
{
    struct embedding_prompt p = {NULL, NULL};
    TRY(mem_grow(e, &x->prompts, &x->prompts_capacity, x->prompts_count + 1, sizeof *x->prompts,
                 "prompts"));
    TRY(mem_strdup(e, &p.name, name));
    if (mem_strdup(e, &p.text, text) != ERR_OK) {
        mem_free(p.name);
        return e->code;
    }
    x->prompts[x->prompts_count++] = p;
    return ERR_OK;
}

const char *embedding_find_prompt(const struct embedding *x, const char *name)
{
    for (size_t i = 0; i < x->prompts_count; i++)
        if (strcmp(x->prompts[i].name, name) == 0) return x->prompts[i].text;
    return NULL;
}

const char *pooling_name(enum pooling bit)
{
    for (size_t i = 0; i < ARRAY_LEN(pooling_names); i++)
        if ((unsigned)bit == 1u << i) return pooling_names[i];
    return NULL;
}

unsigned pooling_from_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(pooling_names); i++)
        if (strcmp(pooling_names[i], name) == 0) return 1u << i;
    return 0;
}

/* ------------------------------------------------------------------ to meta */

static enum err put_pooling(struct errctx *e, const struct embedding *x, struct mp_value *map)
{
    struct mp_value list;
    mp_array_init(&list);
    for (size_t i = 0; i < ARRAY_LEN(pooling_names) && e->code == ERR_OK; i++) {
        const struct mp_value name = {
            .type = MP_STRING,
            .as.bytes = {(char *)(uintptr_t)pooling_names[i], strlen(pooling_names[i])}};
        if (x->pooling & 1u << i) (void)!mp_append(e, &list, &name);
    }
    if (e->code == ERR_OK) (void)!mp_set(e, map, "pooling", &list);
    mp_fini(&list);
    return e->code;
}

static enum err put_prompts(struct errctx *e, const struct embedding *x, struct mp_value *map)
{
    struct mp_value prompts;
    mp_map_init(&prompts);
    for (size_t i = 0; i < x->prompts_count && e->code == ERR_OK; i++)
        (void)!mp_set_string(e, &prompts, x->prompts[i].name, x->prompts[i].text);
    if (e->code == ERR_OK) (void)!mp_set(e, map, "prompts", &prompts);
    mp_fini(&prompts);
    return e->code;
}

enum err embedding_to_meta(struct errctx *e, const struct embedding *x, struct mp_value *map)
{
    TRY(put_pooling(e, x, map));
    TRY(mp_set_bool(e, map, "normalize", x->normalize));
    TRY(mp_set_int(e, map, "max_length", x->max_length));
    TRY(mp_set_string(e, map, "similarity", x->similarity));
    TRY(mp_set_bool(e, map, "include_prompt", x->include_prompt));
    TRY(put_prompts(e, x, map));
    return mp_set_string(e, map, "default_prompt", x->default_prompt ? x->default_prompt : "");
}

/* ------------------------------------------------------------------ from meta */

static enum err get_pooling(struct errctx *e, const struct mp_value *map, struct embedding *x)
{
    const struct mp_value *list;
    TRY(mp_get_list(e, map, "pooling", MP_ARRAY, &list));
    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *name = &list->as.list.items[i];
        const unsigned bit = name->type == MP_STRING ? pooling_from_name(name->as.bytes.data) : 0;
        if (!bit) return err_set(e, ERR_INPUT, "key 'pooling': entry %zu is not known", i);
        x->pooling |= bit;
    }
    if (!x->pooling) return err_set(e, ERR_INPUT, "key 'pooling' is empty");
    return ERR_OK;
}

static enum err get_prompts(struct errctx *e, const struct mp_value *map, struct embedding *x)
{
    const struct mp_value *prompts;
    const char *name;
    TRY(mp_get_list(e, map, "prompts", MP_MAP, &prompts));
    for (size_t i = 0; i < prompts->as.list.count; i += 2) {
        const char *key = prompts->as.list.items[i].as.bytes.data, *text;
        TRY(mp_get_string(e, prompts, key, &text));
        TRY(embedding_add_prompt(e, x, key, text));
    }
    TRY(mp_get_string(e, map, "default_prompt", &name));
    if (!name[0]) return ERR_OK;
    if (!embedding_find_prompt(x, name))
        return err_set(e, ERR_INPUT, "key 'default_prompt' is '%s', which is none of the prompts",
                       name);
    return mem_strdup(e, &x->default_prompt, name);
}

static enum err get_all(struct errctx *e, const struct mp_value *map, struct embedding *x)
{
    static const char *const known[] = {"pooling",       "normalize",      "max_length",
                                        "similarity",    "include_prompt", "prompts",
                                        "default_prompt"};
    const char *similarity;
    bool found = false;
    if (map->type != MP_MAP) return err_set(e, ERR_INPUT, "it is not a map");
    for (size_t i = 0; i < map->as.list.count; i += 2) {
        const char *key = map->as.list.items[i].as.bytes.data;
        bool is_known = false;
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            is_known = is_known || strcmp(key, known[k]) == 0;
        if (!is_known)
            return err_set(e, ERR_INPUT, "key '%s' is not known: the model needs a newer graft",
                           key);
    }
    TRY(get_pooling(e, map, x));
    TRY(mp_get_bool(e, map, "normalize", &x->normalize));
    TRY(mp_get_int(e, map, "max_length", 0, INT32_MAX, &x->max_length));
    TRY(mp_get_string(e, map, "similarity", &similarity));
    for (size_t i = 0; i < ARRAY_LEN(similarities); i++)
        found = found || strcmp(similarity, similarities[i]) == 0;
    if (!found)
        return err_set(e, ERR_INPUT, "key 'similarity' is '%s', which is not known", similarity);
    snprintf(x->similarity, sizeof x->similarity, "%s", similarity);
    TRY(mp_get_bool(e, map, "include_prompt", &x->include_prompt));
    return get_prompts(e, map, x);
}

enum err embedding_from_meta(struct errctx *e, const struct mp_value *map, struct embedding *out)
{
    embedding_init(out);
    if (get_all(e, map, out) == ERR_OK) return ERR_OK;
    embedding_fini(out);
    return err_prefix(e, "meta 'embedding'");
}
