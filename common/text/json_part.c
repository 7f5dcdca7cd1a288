/* SPDX-License-Identifier: Apache-2.0 */
/* json_part.c: see json_part.h. */
#include "common/text/json_part.h"
#include <string.h>

const char *json_part_type(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return type == NULL ? "" : type;
}

bool json_part_is(const json_t *part, const char *type)
{
    return strcmp(json_part_type(part), type) == 0;
}

enum err json_part_only(struct errctx *e, const json_t *part, const char *const *keys)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)part, key, value)
    {
        bool known = strcmp(key, "type") == 0;
        for (size_t i = 0; keys[i] != NULL; i++) known |= strcmp(keys[i], key) == 0;
        if (!known)
            return err_set(e, ERR_INPUT, "'%s': key '%s' is not known", json_part_type(part), key);
    }
    return ERR_OK;
}

enum err json_part_bool(struct errctx *e, const json_t *part, const char *key, bool fallback,
                        bool *out)
{
    const json_t *v = json_object_get(part, key);

    *out = fallback;
    if (v == NULL || json_is_null(v)) return ERR_OK;
    if (!json_is_boolean(v))
        return err_set(e, ERR_INPUT, "'%s': '%s' is not true or false", json_part_type(part), key);
    *out = json_is_true(v);
    return ERR_OK;
}

enum err json_part_text(struct errctx *e, const json_t *part, const char *key, const char **out)
{
    *out = json_string_value(json_object_get(part, key));
    if (*out == NULL)
        return err_set(e, ERR_INPUT, "'%s': '%s' is no text", json_part_type(part), key);
    return ERR_OK;
}

enum err json_part_unknown(struct errctx *e, const json_t *part, const char *kind)
{
    if (json_part_type(part)[0] == 0)
        return err_set(e, ERR_INPUT, "%s: a part has no 'type'", kind);
    return err_set(e, ERR_INPUT, "%s '%s' is not known", kind, json_part_type(part));
}

enum err json_part_each(struct errctx *e, const json_t *part, const char *key, json_part_fn *fn,
                        void *ctx)
{
    const json_t *list = json_object_get(part, key);

    if (part == NULL || json_is_null(part)) return ERR_OK;
    if (!json_part_is(part, "Sequence")) return fn(e, part, ctx);
    if (!json_is_array(list)) return err_set(e, ERR_INPUT, "'Sequence': '%s' is no list", key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (json_part_is(item, "Sequence"))
            return err_set(e, ERR_INPUT, "'Sequence' inside a 'Sequence' is not known");
        TRY(fn(e, item, ctx));
    }
    return ERR_OK;
}
