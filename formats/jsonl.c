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
    char there[256] = "";
    size_t len = 0;

    if (json_is_string(value)) {
        *text = json_string_value(value);
        *n = json_string_length(value);
        return ERR_OK;
    }
    if (value != NULL)
        return err_set(e, ERR_INPUT, "line %llu: field '%s' is not a string",
                       (unsigned long long)line, key);
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
