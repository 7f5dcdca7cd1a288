/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_args.c: see jinja_args.h. */
#include "common/text/jinja_args.h"
#include <string.h>

const struct jinja_entry *jinja_entry_find(const struct jinja_entry *table, size_t n,
                                           const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

int jinja_entry_place(const struct jinja_entry *table, size_t n, const char *name)
{
    const struct jinja_entry *found = jinja_entry_find(table, n, name);

    return found == NULL ? -1 : (int)(found - table);
}

enum err jinja_bind(struct jinja_run *r, const struct jinja_entry *x, const struct jinja_args *args,
                    const struct jinja_value *out[JINJA_ARGS])
{
    for (size_t k = 0; k < JINJA_ARGS; k++) out[k] = NULL;
    for (size_t i = 0; i < args->count; i++) {
        size_t k = 0;
        if (args->names[i] == NULL)
            k = i;
        else
            while (k < JINJA_ARGS && x->args[k] != NULL && strcmp(x->args[k], args->names[i]) != 0)
                k++;
        if (k >= JINJA_ARGS || x->args[k] == NULL) {
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

enum err jinja_want_string(struct jinja_run *r, const struct jinja_value *v, const char *what,
                           const struct jinja_string **out)
{
    *out = NULL;
    if (v == NULL || v->type == JINJA_NONE) return ERR_OK;
    if (v->type != JINJA_STRING)
        return jinja_fail(r, "'%s' of %s, where a string should be", what, jinja_type_name(v));
    *out = v->as.s;
    return ERR_OK;
}

enum err jinja_must_string(struct jinja_run *r, const struct jinja_value *v, const char *what,
                           const struct jinja_string **out)
{
    TRY(jinja_want_string(r, v, what, out));
    return *out != NULL ? ERR_OK : jinja_fail(r, "'%s' of None, where a string should be", what);
}

enum err jinja_want_int(struct jinja_run *r, const struct jinja_value *v, const char *what,
                        int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (v == NULL || v->type == JINJA_NONE) return ERR_OK;
    if (v->type != JINJA_INT && v->type != JINJA_BOOL)
        return jinja_fail(r, "'%s' with %s, where an int should be", what, jinja_type_name(v));
    *out = v->type == JINJA_BOOL ? v->as.b : v->as.i;
    return ERR_OK;
}

enum err jinja_as_text(struct jinja_run *r, const struct jinja_value *v,
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
