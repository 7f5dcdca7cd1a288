/* SPDX-License-Identifier: Apache-2.0 */
/* family_keys.c: a configuration by a family's tables of keys, in both directions. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/convert/family.h"

enum { VALUE_SHOWN = 80 };

static const struct {
    const char *name;
    enum activation act;
} activations[] = {
    /* The first of an activation is the one that is written. */
    {"gelu", ACT_GELU},           {"gelu_python", ACT_GELU},
    {"gelu_new", ACT_GELU_TANH},  {"gelu_pytorch_tanh", ACT_GELU_TANH},
    {"gelu_fast", ACT_GELU_TANH}, {"silu", ACT_SILU},
    {"swish", ACT_SILU},          {"relu", ACT_RELU},
    {"tanh", ACT_TANH},
};

/* As it stands in the tables: without what all keys of GGUF begin with. */
static const char *key_name(const struct family *family, const char *key)
{
    const size_t n = strlen(family->name);
    const bool own = family->gguf && strncmp(key, family->name, n) == 0 && key[n] == '.';
    return own ? key + n + 1 : key;
}

static const struct key_rule *find_rule(const struct family *family, const char *key)
{
    const char *name = key_name(family, key);
    const struct key_rule *r;
    for (size_t i = 0; (r = family_key(family, i)) != NULL; i++)
        if (strcmp(r->key, name) == 0) return r;
    return NULL;
}

/* ------------------------------------------------------------------ reading */

struct keys_reader {
    struct errctx *e;
    const struct family *family;
    struct family_config *x;
    struct findings *f;
    const char *where; /* before messages */
};

static void *place(const struct keys_reader *r, const struct key_rule *rule)
{
    return (char *)r->x + rule->offset;
}

/* A value as it stands there, cut short. */
static const char *shown(const json_t *v, char *buf)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(buf, VALUE_SHOWN, "%s", text ? text : "?");
    free(text);
    return buf;
}

static enum err wrong(const struct keys_reader *r, const struct key_rule *rule, const json_t *v,
                      const char *wanted)
{
    char buf[VALUE_SHOWN];
    return findings_add(r->e, r->f, "%skey '%s' is %s, not %s", r->where, rule->key, shown(v, buf),
                        wanted);
}

/* Whether a text is one of those between '|'. */
static bool is_among(const char *text, const char *texts)
{
    const size_t n = strlen(text);
    for (const char *p = texts;; p += strcspn(p, "|") + 1) {
        const size_t len = strcspn(p, "|");
        if (len == n && memcmp(text, p, n) == 0) return true;
        if (!p[len]) return false;
    }
}

static enum err take_must(const struct keys_reader *r, const struct key_rule *rule, const json_t *v)
{
    char buf[VALUE_SHOWN];
    if (is_among(shown(v, buf), rule->must)) return ERR_OK;
    return findings_add(r->e, r->f, "%skey '%s' is %s: models of type '%s' are computed with %.*s",
                        r->where, rule->key, buf, r->family->name, (int)strcspn(rule->must, "|"),
                        rule->must);
}

static enum err take_act(const struct keys_reader *r, const struct key_rule *rule, const json_t *v)
{
    for (size_t i = 0; i < ARRAY_LEN(activations); i++)
        if (json_is_string(v) && strcmp(activations[i].name, json_string_value(v)) == 0) {
            memcpy(place(r, rule), &activations[i].act, sizeof activations[i].act);
            return ERR_OK;
        }
    return wrong(r, rule, v, "an activation that is known");
}

static enum err take(const struct keys_reader *r, const struct key_rule *rule, const json_t *v)
{
    int64_t n = 0;
    double d = 0;
    bool b = false;
    switch (rule->kind) {
    case KEY_NOTHING:
        return ERR_OK;
    case KEY_MUST:
        return take_must(r, rule, v);
    case KEY_ACT:
        return take_act(r, rule, v);
    case KEY_JSON:
        if (!json_is_null(v)) memcpy(place(r, rule), &v, sizeof v);
        return ERR_OK;
    case KEY_INT:
        if (json_is_integer(v))
            n = json_integer_value(v);
        else if (!json_is_null(v))
            return wrong(r, rule, v, "an integer");
        memcpy(place(r, rule), &n, sizeof n);
        return ERR_OK;
    case KEY_REAL:
        if (json_is_number(v))
            d = json_number_value(v);
        else if (!json_is_null(v))
            return wrong(r, rule, v, "a number");
        memcpy(place(r, rule), &d, sizeof d);
        return ERR_OK;
    case KEY_BOOL:
        if (json_is_boolean(v))
            b = json_is_true(v);
        else if (!json_is_null(v))
            return wrong(r, rule, v, "true or false");
        memcpy(place(r, rule), &b, sizeof b);
        return ERR_OK;
    }
    return ERR_OK;
}

static enum err need(const struct keys_reader *r, const json_t *root)
{
    const struct key_rule *rule;
    for (size_t i = 0; (rule = family_key(r->family, i)) != NULL; i++) {
        char full[128];
        snprintf(full, sizeof full, "%s.%s", r->family->name, rule->key);
        if (rule->use == KEY_NEEDED && !json_object_get(root, rule->key) &&
            !(r->family->gguf && json_object_get(root, full)))
            TRY(findings_add(r->e, r->f, "%skey '%s' is missing", r->where,
                             r->family->gguf ? full : rule->key));
    }
    return ERR_OK;
}

/* What a configuration must be beyond its keys, with the messages of config.c. */
static enum err finish(const struct keys_reader *r)
{
    struct errctx own = ERRCTX_INIT;
    if (r->f->count) return ERR_OK;
    if (r->family->finish) TRY(r->family->finish(r->e, r->x, r->f));
    if (r->f->count || model_config_finish(&own, &r->x->c) == ERR_OK) return ERR_OK;
    if (own.code == ERR_MEMORY) return err_set(r->e, ERR_MEMORY, "%s", own.message);
    return findings_add(r->e, r->f, "%sas graft has it: %s", r->where, own.message);
}

enum err family_read_config(struct errctx *e, const struct family *family, const json_t *root,
                            bool headless, struct family_config *x, struct findings *f)
{
    const struct keys_reader r = {e, family, x, f, family->gguf ? "" : "config.json: "};
    const char *key;
    json_t *v;
    char buf[VALUE_SHOWN];
    *x = *family->base;
    if (headless) x->c.mlm_head = false;
    json_object_foreach((json_t *)(uintptr_t)root, key, v)
    {
        const struct key_rule *rule = find_rule(family, key);
        if (rule)
            TRY(take(&r, rule, v));
        else
            TRY(findings_add(e, f, "%skey '%s' (%s) is not known of models of type '%s'", r.where,
                             key, shown(v, buf), family->name));
    }
    TRY(need(&r, root));
    return finish(&r);
}

/* ------------------------------------------------------------------ writing */

static json_t *value_of(const struct key_rule *rule, const struct family_config *x)
{
    const char *at = (const char *)x + rule->offset;
    int64_t n;
    double d;
    bool b;
    enum activation act;
    char text[VALUE_SHOWN];
    switch (rule->kind) {
    case KEY_INT:
        memcpy(&n, at, sizeof n);
        return n == 0 && rule->use == KEY_NULL ? json_null() : json_integer(n);
    case KEY_REAL:
        memcpy(&d, at, sizeof d);
        return d == 0 && rule->use == KEY_NULL ? json_null() : json_real(d);
    case KEY_BOOL:
        memcpy(&b, at, sizeof b);
        return json_boolean(b);
    case KEY_ACT:
        memcpy(&act, at, sizeof act);
        for (size_t i = 0; i < ARRAY_LEN(activations); i++)
            if (activations[i].act == act) return json_string(activations[i].name);
        return NULL;
    case KEY_MUST:
        snprintf(text, sizeof text, "%.*s", (int)strcspn(rule->must, "|"), rule->must);
        return json_loads(text, JSON_DECODE_ANY, NULL);
    case KEY_JSON:
    case KEY_NOTHING:
        return NULL;
    }
    return NULL;
}

static enum err put_rules(struct errctx *e, const struct family *family,
                          const struct family_config *x, json_t *root)
{
    const struct key_rule *rule;
    for (size_t i = 0; (rule = family_key(family, i)) != NULL; i++) {
        if (rule->use == KEY_READ) continue;
        json_t *v = value_of(rule, x);
        /* An activation without a name is missed when it is read back. */
        if (v && json_object_set_new(root, rule->key, v) != 0)
            return err_memory(e, "configuration", 0);
    }
    return ERR_OK;
}

enum err family_write_config(struct errctx *e, const struct family *family,
                             const struct model_config *c, json_t *root)
{
    struct family_config x = *family->base;
    x.c = *c;
    if (family->unfinish) family->unfinish(&x);
    TRY(put_rules(e, family, &x, root));
    return family->gguf ? family_write_gguf(e, c, root) : family_write_shared(e, family, &x, root);
}
