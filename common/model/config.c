/* SPDX-License-Identifier: Apache-2.0 */
/* config.c: the fields of the one transformer as a table, and what follows from it: meta, JSON,
 * checks.
 *
 * The idea: a field is one line of `fields` (key, type, place, range); reading, writing and
 * checking are loops over it, so a new field cannot be written and not read, or read and not
 * checked. */
#include "common/model/config.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/model/params.h"

enum field_type { FIELD_INT, FIELD_REAL, FIELD_BOOL, FIELD_CHOICE, FIELD_NAME, FIELD_NUMBERS };

struct field {
    const char *key;
    enum field_type type;
    size_t offset;
    int64_t min, max;           /* FIELD_INT */
    const char *const *choices; /* FIELD_CHOICE: names of 0, 1, ..., ended by NULL */
    bool rare;                  /* not written where it is 0 */
};

static const char *const norm_names[] = {"layer", "rms", NULL};
static const char *const position_names[] = {"learned", "rope", "none", NULL};
static const char *const scaling_names[] = {"none",   "linear",   "dynamic", "yarn",
                                            "llama3", "longrope", NULL};
static const char *const act_names[] = {"none", "gelu", "gelu_tanh", "silu", "relu", "tanh", NULL};

#define AT(member) offsetof(struct model_config, member)
static const struct field fields[] = {
    {"arch", FIELD_NAME, AT(arch), 0, 0, NULL},
    {"vocab", FIELD_INT, AT(vocab), 1, INT32_MAX, NULL},
    {"layers", FIELD_INT, AT(layers), 1, 4096, NULL},
    {"width", FIELD_INT, AT(width), 1, 1 << 20, NULL},
    {"heads", FIELD_INT, AT(heads), 1, 1 << 16, NULL},
    {"kv_heads", FIELD_INT, AT(kv_heads), 1, 1 << 16, NULL},
    {"head_size", FIELD_INT, AT(head_size), 1, KERNEL_HEAD_MOST, NULL},
    {"mlp", FIELD_INT, AT(mlp), 1, 1 << 22, NULL},
    {"context", FIELD_INT, AT(context), 1, 1 << 24, NULL},
    {"norm", FIELD_CHOICE, AT(norm), 0, 0, norm_names},
    {"norm_post", FIELD_BOOL, AT(norm_post), 0, 0, NULL},
    {"norm_branch", FIELD_BOOL, AT(norm_branch), 0, 0, NULL, true},
    {"norm_plus_one", FIELD_BOOL, AT(norm_plus_one), 0, 0, NULL, true},
    {"norm_eps", FIELD_REAL, AT(norm_eps), 0, 0, NULL},
    {"embed_scale", FIELD_REAL, AT(embed_scale), 0, 0, NULL, true},
    {"parallel", FIELD_BOOL, AT(parallel), 0, 0, NULL, true},
    {"embed_norm", FIELD_BOOL, AT(embed_norm), 0, 0, NULL},
    {"final_norm", FIELD_BOOL, AT(final_norm), 0, 0, NULL},
    {"position", FIELD_CHOICE, AT(position), 0, 0, position_names},
    {"position_offset", FIELD_INT, AT(position_offset), 0, 1 << 16, NULL},
    {"rope_theta", FIELD_REAL, AT(rope_theta), 0, 0, NULL},
    {"rope_dims", FIELD_INT, AT(rope_dims), 0, 1 << 12, NULL},
    {"rope_scaling", FIELD_CHOICE, AT(rope_scaling), 0, 0, scaling_names, true},
    {"rope_factor", FIELD_REAL, AT(rope_factor), 0, 0, NULL, true},
    {"rope_original", FIELD_INT, AT(rope_original), 0, 1 << 24, NULL, true},
    {"rope_low", FIELD_REAL, AT(rope_low), 0, 0, NULL, true},
    {"rope_high", FIELD_REAL, AT(rope_high), 0, 0, NULL, true},
    {"rope_attention", FIELD_REAL, AT(rope_attention), 0, 0, NULL, true},
    {"rope_exact", FIELD_BOOL, AT(rope_exact), 0, 0, NULL, true},
    {"rope_short", FIELD_NUMBERS, AT(rope_short), 0, 0, NULL, true},
    {"rope_long", FIELD_NUMBERS, AT(rope_long), 0, 0, NULL, true},
    {"causal", FIELD_BOOL, AT(causal), 0, 0, NULL},
    {"window", FIELD_INT, AT(window), 0, 1 << 24, NULL},
    {"window_every", FIELD_INT, AT(window_every), 0, 4096, NULL, true},
    {"attention_scale", FIELD_REAL, AT(attention_scale), 0, 0, NULL},
    {"qk_norm", FIELD_BOOL, AT(qk_norm), 0, 0, NULL, true},
    {"attention_softcap", FIELD_REAL, AT(attention_softcap), 0, 0, NULL, true},
    {"logit_softcap", FIELD_REAL, AT(logit_softcap), 0, 0, NULL, true},
    {"qkv_bias", FIELD_BOOL, AT(qkv_bias), 0, 0, NULL},
    {"out_bias", FIELD_BOOL, AT(out_bias), 0, 0, NULL},
    {"mlp_bias", FIELD_BOOL, AT(mlp_bias), 0, 0, NULL},
    {"act", FIELD_CHOICE, AT(act), 0, 0, act_names},
    {"gated", FIELD_BOOL, AT(gated), 0, 0, NULL},
    {"tied", FIELD_BOOL, AT(tied), 0, 0, NULL},
    {"types", FIELD_INT, AT(types), 0, 256, NULL},
    {"mlm_head", FIELD_BOOL, AT(mlm_head), 0, 0, NULL},
    {"init_std", FIELD_REAL, AT(init_std), 0, 0, NULL},
};
#undef AT

static void *place(struct model_config *c, const struct field *f)
{
    return (char *)c + f->offset;
}

static const void *place_const(const struct model_config *c, const struct field *f)
{
    return (const char *)c + f->offset;
}

static const struct field *field_find(const char *key, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (strlen(fields[i].key) == len && memcmp(fields[i].key, key, len) == 0) return &fields[i];
    return NULL;
}

/* The enums that a choice is stored in are all of one int's size. */
_Static_assert(sizeof(enum norm_kind) == sizeof(int) && sizeof(enum position_kind) == sizeof(int) &&
                   sizeof(enum activation) == sizeof(int) &&
                   sizeof(enum rope_scaling) == sizeof(int),
               "choices are ints");

static enum err set_name(struct errctx *e, struct model_config *c, const struct field *f,
                         const char *text)
{
    if (f->type == FIELD_NAME) {
        if (strlen(text) >= sizeof c->arch)
            return err_set(e, ERR_INPUT, "configuration: '%s' is longer than %zu bytes", f->key,
                           sizeof c->arch - 1);
        snprintf(c->arch, sizeof c->arch, "%s", text);
        return ERR_OK;
    }
    for (int i = 0; f->choices[i]; i++) {
        if (strcmp(f->choices[i], text) != 0) continue;
        memcpy(place(c, f), &i, sizeof i);
        return ERR_OK;
    }
    return err_set(
        e, ERR_INPUT,
        "configuration: '%s' is '%s', which is not known (first of those that are: '%s')", f->key,
        text, f->choices[0]);
}

static enum err set_int(struct errctx *e, struct model_config *c, const struct field *f, int64_t v)
{
    if (v < f->min || v > f->max)
        return err_set(e, ERR_INPUT, "configuration: '%s' is %lld, out of the range %lld..%lld",
                       f->key, (long long)v, (long long)f->min, (long long)f->max);
    memcpy(place(c, f), &v, sizeof v);
    return ERR_OK;
}

static enum err add_number(struct errctx *e, struct model_config *c, const struct field *f,
                           double v)
{
    struct config_numbers *n = place(c, f);
    if (n->count == CONFIG_NUMBERS)
        return err_set(e, ERR_INPUT, "configuration: '%s' has more than %d numbers", f->key,
                       CONFIG_NUMBERS);
    if (!isfinite(v)) return err_set(e, ERR_INPUT, "configuration: '%s' is not finite", f->key);
    n->items[n->count++] = v;
    return ERR_OK;
}

static enum err set_real(struct errctx *e, struct model_config *c, const struct field *f, double v)
{
    if (!isfinite(v)) return err_set(e, ERR_INPUT, "configuration: '%s' is not finite", f->key);
    memcpy(place(c, f), &v, sizeof v);
    return ERR_OK;
}

enum err model_config_preset(struct errctx *e, const char *arch, struct model_config *out)
{
    struct model_config c = {.norm = NORM_LAYER, .init_std = 0.02};
    if (strcmp(arch, "gpt2") == 0) {
        c.context = 1024;
        c.norm_eps = 1e-5;
        c.final_norm = c.causal = c.tied = true;
        c.position = POSITION_LEARNED;
        c.qkv_bias = c.out_bias = c.mlp_bias = true;
        c.act = ACT_GELU_TANH;
    } else if (strcmp(arch, "llama") == 0) {
        c.context = 2048;
        c.norm = NORM_RMS;
        c.norm_eps = 1e-5;
        c.final_norm = c.causal = true;
        c.position = POSITION_ROPE;
        c.rope_theta = 10000;
        c.act = ACT_SILU;
        c.gated = true;
    } else if (strcmp(arch, "bert") == 0) {
        c.context = 512;
        c.norm_eps = 1e-12;
        c.norm_post = c.embed_norm = c.mlm_head = c.tied = true;
        c.position = POSITION_LEARNED;
        c.qkv_bias = c.out_bias = c.mlp_bias = true;
        c.act = ACT_GELU;
        c.types = 2;
    } else {
        return err_set(e, ERR_USAGE, "there is no architecture '%s': gpt2, llama or bert", arch);
    }
    snprintf(c.arch, sizeof c.arch, "%s", arch);
    *out = c;
    return ERR_OK;
}

/* Fields that exclude or need each other. */
static enum err check_kinds(struct errctx *e, const struct model_config *c, enum err code)
{
    if (c->norm_post && (c->norm_branch || c->parallel))
        return err_set(e, code, "configuration: norm_post excludes norm_branch and parallel");
    if (c->window_every != 0 && c->window == 0)
        return err_set(e, code, "configuration: window_every belongs to a window");
    if (c->embed_scale < 0 || c->attention_softcap < 0 || c->logit_softcap < 0)
        return err_set(
            e, code,
            "configuration: embed_scale, attention_softcap and logit_softcap must not be "
            "below 0");
    return ERR_OK;
}

static bool has_divisors(const struct model_config *c, const struct config_numbers *n)
{
    bool all = n->count == c->rope_dims / 2;
    for (int64_t i = 0; i < n->count; i++) all = all && n->items[i] > 0;
    return all;
}

static enum err check_scaling(struct errctx *e, const struct model_config *c, enum err code)
{
    const enum rope_scaling s = c->rope_scaling;
    const bool original = s == ROPE_DYNAMIC || s >= ROPE_YARN;
    if (s != ROPE_PLAIN && c->position != POSITION_ROPE)
        return err_set(e, code, "configuration: rope_scaling belongs to rope positions only");
    if (s == ROPE_DYNAMIC && c->rope_dims < 4)
        return err_set(e, code, "configuration: rope_scaling dynamic needs 4 rope_dims at least");
    if ((s == ROPE_PLAIN || s == ROPE_LONGROPE) != (c->rope_factor == 0) || c->rope_factor < 0)
        return err_set(e, code,
                       "configuration: rope_factor must be above 0 with rope_scaling linear, "
                       "dynamic, yarn and llama3, and 0 else");
    if (original != (c->rope_original > 0))
        return err_set(e, code,
                       "configuration: rope_original must be above 0 with rope_scaling dynamic, "
                       "yarn, llama3 and longrope, and 0 else");
    if ((s == ROPE_YARN || s == ROPE_LLAMA3) != (c->rope_low > 0 && c->rope_high > c->rope_low))
        return err_set(e, code,
                       "configuration: rope_low must be above 0 and rope_high above it with "
                       "rope_scaling yarn and llama3, both 0 else");
    if ((c->rope_attention != 0 && s != ROPE_YARN && s != ROPE_LONGROPE) || c->rope_attention < 0 ||
        (c->rope_exact && s != ROPE_YARN))
        return err_set(e, code,
                       "configuration: rope_attention belongs to yarn and longrope, rope_exact to "
                       "yarn");
    if (s == ROPE_LONGROPE ? !has_divisors(c, &c->rope_short) || !has_divisors(c, &c->rope_long)
                           : c->rope_short.count != 0 || c->rope_long.count != 0)
        return err_set(e, code,
                       "configuration: longrope needs %lld numbers above 0 in rope_short and "
                       "rope_long, which nothing else has",
                       (long long)c->rope_dims / 2);
    return ERR_OK;
}

/* What a configuration that came from anywhere must fulfil, beyond the ranges of single fields. */
static enum err check(struct errctx *e, const struct model_config *c, enum err code)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const struct field *f = &fields[i];
        int64_t v;
        if (f->type != FIELD_INT) continue;
        memcpy(&v, place_const(c, f), sizeof v);
        if (v < f->min || v > f->max)
            return err_set(e, code, "configuration: '%s' is %lld, out of the range %lld..%lld",
                           f->key, (long long)v, (long long)f->min, (long long)f->max);
    }
    if (c->heads % c->kv_heads != 0)
        return err_set(e, code, "configuration: heads (%lld) is not a multiple of kv_heads (%lld)",
                       (long long)c->heads, (long long)c->kv_heads);
    if (c->position == POSITION_ROPE &&
        (c->rope_dims < 2 || c->rope_dims % 2 != 0 || c->rope_dims > c->head_size))
        return err_set(
            e, code,
            "configuration: rope_dims is %lld: it must be even and at most head_size (%lld)",
            (long long)c->rope_dims, (long long)c->head_size);
    if (c->position == POSITION_ROPE && !(c->rope_theta > 0))
        return err_set(e, code, "configuration: rope_theta must be above 0");
    if (c->position != POSITION_ROPE && (c->rope_dims != 0 || c->rope_theta != 0))
        return err_set(e, code,
                       "configuration: rope_theta and rope_dims belong to rope positions only");
    if (c->position != POSITION_LEARNED && c->position_offset != 0)
        return err_set(e, code, "configuration: position_offset belongs to learned positions only");
    if (!(c->norm_eps > 0)) return err_set(e, code, "configuration: norm_eps must be above 0");
    if (!(c->attention_scale > 0))
        return err_set(e, code, "configuration: attention_scale must be above 0");
    if (!(c->init_std >= 0)) return err_set(e, code, "configuration: init_std must not be below 0");
    if (c->window != 0 && !c->causal)
        return err_set(e, code, "configuration: window belongs to causal attention only");
    TRY(check_kinds(e, c, code));
    TRY(check_scaling(e, c, code));
    /* The table rejects what does not fit into memory's addresses. */
    struct param_table t;
    TRY(param_table_build(e, c, &t));
    param_table_fini(&t);
    return ERR_OK;
}

enum err model_config_finish(struct errctx *e, struct model_config *c)
{
    if (c->heads > 0 && c->head_size == 0) {
        if (c->width % c->heads != 0)
            return err_set(e, ERR_USAGE,
                           "configuration: width (%lld) is not a multiple of heads (%lld)",
                           (long long)c->width, (long long)c->heads);
        c->head_size = c->width / c->heads;
    }
    if (c->kv_heads == 0) c->kv_heads = c->heads;
    /* Four times the width, or a gated one with as many parameters: 8/3, made a multiple of 64. */
    if (c->mlp == 0 && c->width > 0 && c->width <= 1 << 20)
        c->mlp = c->gated ? (8 * c->width / 3 + 63) / 64 * 64 : 4 * c->width;
    if (c->position == POSITION_ROPE && c->rope_dims == 0) c->rope_dims = c->head_size / 2 * 2;
    if (c->attention_scale == 0 && c->head_size > 0)
        c->attention_scale = 1 / sqrt((double)c->head_size);
    return check(e, c, ERR_USAGE);
}

static bool is_zero(const struct model_config *c, const struct field *f)
{
    static const size_t sizes[] = {sizeof(int64_t), sizeof(double), sizeof(bool), sizeof(int), 1,
                                   sizeof(int64_t)};
    static const char zero[sizeof(int64_t)];
    return memcmp(place_const(c, f), zero, sizes[f->type]) == 0;
}

static enum err numbers_to_meta(struct errctx *e, struct mp_value *map, const char *key,
                                const struct config_numbers *n)
{
    struct mp_value list;
    mp_array_init(&list);
    enum err r = ERR_OK;
    for (int64_t i = 0; i < n->count && r == ERR_OK; i++)
        r = mp_append(e, &list, &(struct mp_value){.type = MP_REAL, .as.real = n->items[i]});
    if (r == ERR_OK) r = mp_set(e, map, key, &list);
    mp_fini(&list);
    return r;
}

enum err model_config_to_meta(struct errctx *e, const struct model_config *c, struct mp_value *map)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const struct field *f = &fields[i];
        const void *at = place_const(c, f);
        int64_t n;
        double d;
        bool b;
        int choice;
        if (f->rare && is_zero(c, f)) continue;
        switch (f->type) {
        case FIELD_INT:
            memcpy(&n, at, sizeof n);
            TRY(mp_set_int(e, map, f->key, n));
            break;
        case FIELD_REAL:
            memcpy(&d, at, sizeof d);
            TRY(mp_set_real(e, map, f->key, d));
            break;
        case FIELD_BOOL:
            memcpy(&b, at, sizeof b);
            TRY(mp_set_bool(e, map, f->key, b));
            break;
        case FIELD_CHOICE:
            memcpy(&choice, at, sizeof choice);
            TRY(mp_set_string(e, map, f->key, f->choices[choice]));
            break;
        case FIELD_NAME:
            TRY(mp_set_string(e, map, f->key, at));
            break;
        case FIELD_NUMBERS:
            TRY(numbers_to_meta(e, map, f->key, at));
            break;
        }
    }
    return ERR_OK;
}

static enum err field_from_meta(struct errctx *e, const struct mp_value *map, const struct field *f,
                                struct model_config *c)
{
    int64_t n;
    double d;
    bool b;
    const char *text;
    const struct mp_value *list;
    if (f->rare && !mp_get(map, f->key)) return ERR_OK;
    switch (f->type) {
    case FIELD_INT:
        TRY(mp_get_int(e, map, f->key, f->min, f->max, &n));
        return set_int(e, c, f, n);
    case FIELD_REAL:
        TRY(mp_get_real(e, map, f->key, &d));
        return set_real(e, c, f, d);
    case FIELD_BOOL:
        TRY(mp_get_bool(e, map, f->key, &b));
        memcpy(place(c, f), &b, sizeof b);
        return ERR_OK;
    case FIELD_CHOICE:
    case FIELD_NAME:
        TRY(mp_get_string(e, map, f->key, &text));
        return set_name(e, c, f, text);
    case FIELD_NUMBERS:
        TRY(mp_get_list(e, map, f->key, MP_ARRAY, &list));
        for (size_t i = 0; i < list->as.list.count; i++) {
            const struct mp_value *item = &list->as.list.items[i];
            if (item->type != MP_REAL)
                return err_set(e, ERR_INPUT, "'%s' is not a list of numbers", f->key);
            TRY(add_number(e, c, f, item->as.real));
        }
        return ERR_OK;
    }
    return ERR_OK;
}

enum err model_config_from_meta(struct errctx *e, const struct mp_value *map,
                                struct model_config *c)
{
    if (map->type != MP_MAP) return err_set(e, ERR_INPUT, "configuration: not a map");
    for (size_t i = 0; i < map->as.list.count; i += 2) {
        const struct mp_value *key = &map->as.list.items[i];
        if (!field_find(key->as.bytes.data, key->as.bytes.len))
            return err_set(e, ERR_INPUT,
                           "configuration: key '%s' is not known: the model needs a newer graft",
                           key->as.bytes.data);
    }
    *c = (struct model_config){0};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (field_from_meta(e, map, &fields[i], c) != ERR_OK) return err_prefix(e, "configuration");
    return check(e, c, ERR_INPUT);
}

static enum err field_from_json(struct errctx *e, const json_t *v, const struct field *f,
                                struct model_config *c)
{
    static const char *const wanted[] = {"an integer", "a number", "true or false",
                                         "a string",   "a string", "a list of numbers"};
    const json_t *item;
    size_t i;
    bool b;
    if (f->type == FIELD_INT && json_is_integer(v)) return set_int(e, c, f, json_integer_value(v));
    if (f->type == FIELD_REAL && json_is_number(v)) return set_real(e, c, f, json_number_value(v));
    if (f->type == FIELD_BOOL && json_is_boolean(v)) {
        b = json_is_true(v);
        memcpy(place(c, f), &b, sizeof b);
        return ERR_OK;
    }
    if ((f->type == FIELD_CHOICE || f->type == FIELD_NAME) && json_is_string(v))
        return set_name(e, c, f, json_string_value(v));
    if (f->type == FIELD_NUMBERS && json_is_array(v)) {
        json_array_foreach((json_t *)(uintptr_t)v, i, item)
        {
            if (!json_is_number(item))
                return err_set(e, ERR_INPUT, "configuration: '%s' is not %s", f->key,
                               wanted[f->type]);
            TRY(add_number(e, c, f, json_number_value(item)));
        }
        return ERR_OK;
    }
    return err_set(e, ERR_INPUT, "configuration: '%s' is not %s", f->key, wanted[f->type]);
}

static enum err config_from_object(struct errctx *e, const json_t *root, struct model_config *c)
{
    const char *key;
    json_t *v;
    if (!json_is_object(root)) return err_set(e, ERR_INPUT, "configuration: not a JSON object");
    const json_t *arch = json_object_get(root, "arch");
    if (!json_is_string(arch))
        return err_set(e, ERR_INPUT,
                       "configuration: 'arch' is missing (\"gpt2\", \"llama\" or \"bert\")");
    if (model_config_preset(e, json_string_value(arch), c) != ERR_OK) {
        e->code = ERR_INPUT; /* it stands in a file, not on the command line */
        return ERR_INPUT;
    }
    json_object_foreach((json_t *)(uintptr_t)root, key, v)
    {
        const struct field *f = field_find(key, strlen(key));
        if (!f) return err_set(e, ERR_INPUT, "configuration: key '%s' is not known", key);
        TRY(field_from_json(e, v, f, c));
    }
    return ERR_OK;
}

static enum err record_file(struct errctx *e, struct run *run, const char *path,
                            const struct bytes *text)
{
    size_t slot;
    XXH128_canonical_t id;
    if (!run) return ERR_OK;
    XXH128_canonicalFromHash(&id, XXH3_128bits(text->data, text->len));
    TRY(run_input_open(e, run, "config", path, &slot));
    return run_input_done(e, run, slot, id.digest, NULL, -1, false);
}

enum err model_config_from_json(struct errctx *e, struct run *run, const char *path,
                                struct model_config *c)
{
    struct bytes text = {0};
    json_error_t where;
    enum err code = io_slurp(e, path, 1 << 20, &text);
    json_t *root = NULL;
    if (code == ERR_OK) code = record_file(e, run, path, &text);
    if (code == ERR_OK) {
        root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &where);
        if (!root)
            code = err_set(e, ERR_INPUT, "'%s': line %d, byte %d: %s", path, where.line,
                           where.position, where.text);
    }
    if (code == ERR_OK && config_from_object(e, root, c) != ERR_OK)
        code = err_prefix(e, "'%s'", path);
    json_decref(root);
    bytes_fini(&text);
    return code;
}

int64_t model_config_parameters(const struct model_config *c)
{
    struct errctx e = ERRCTX_INIT;
    struct param_table t;
    int64_t sum = 0;
    if (param_table_build(&e, c, &t) != ERR_OK) return -1;
    for (int64_t i = 0; i < t.count; i++) sum += t.items[i].elements;
    param_table_fini(&t);
    return sum;
}
