/* SPDX-License-Identifier: Apache-2.0 */
/* family_shared.c: what the keys of several families mean together: rotary positions with their
 * scalings, and windows by layer; in both directions.
 *
 * Defaults are those of transformers' modeling_rope_utils.py. */
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/convert/family.h"

enum { LAYERS_MOST = 1 << 16 };

/* ------------------------------------------------------------------ rotary positions */

static const struct {
    const char *name;
    enum rope_scaling scaling;
} scalings[] = {
    {"default", ROPE_PLAIN}, {"linear", ROPE_LINEAR}, {"dynamic", ROPE_DYNAMIC},
    {"yarn", ROPE_YARN},     {"llama3", ROPE_LLAMA3}, {"longrope", ROPE_LONGROPE},
    {"su", ROPE_LONGROPE}, /* its name in the first files of Phi-3 */
};

/* Values of the object as they stand there. */
struct rope_values {
    double factor, attention, beta_fast, beta_slow, mscale, mscale_all, low, high, original;
};

static const struct {
    const char *key;
    size_t offset;
} rope_reals[] = {
    {"factor", offsetof(struct rope_values, factor)},
    {"attention_factor", offsetof(struct rope_values, attention)},
    {"beta_fast", offsetof(struct rope_values, beta_fast)},
    {"beta_slow", offsetof(struct rope_values, beta_slow)},
    {"mscale", offsetof(struct rope_values, mscale)},
    {"mscale_all_dim", offsetof(struct rope_values, mscale_all)},
    {"low_freq_factor", offsetof(struct rope_values, low)},
    {"high_freq_factor", offsetof(struct rope_values, high)},
    {"original_max_position_embeddings", offsetof(struct rope_values, original)},
};

static bool take_numbers(const json_t *v, struct config_numbers *out)
{
    out->count = 0;
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!json_is_number(json_array_get(v, i)) || out->count == CONFIG_NUMBERS) return false;
        out->items[out->count++] = json_number_value(json_array_get(v, i));
    }
    return json_is_array(v);
}

static bool take_scaling(const json_t *v, struct model_config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(scalings); i++)
        if (json_is_string(v) && strcmp(json_string_value(v), scalings[i].name) == 0) {
            c->rope_scaling = scalings[i].scaling;
            return true;
        }
    return false;
}

static bool take_rope_key(struct family_config *x, struct rope_values *values, const char *key,
                          const json_t *v)
{
    double real;
    for (size_t i = 0; i < ARRAY_LEN(rope_reals); i++)
        if (strcmp(key, rope_reals[i].key) == 0) {
            if (json_is_null(v)) return true;
            real = json_number_value(v);
            memcpy((char *)values + rope_reals[i].offset, &real, sizeof real);
            return json_is_number(v);
        }
    if (strcmp(key, "rope_type") == 0 || strcmp(key, "type") == 0) return take_scaling(v, &x->c);
    if (strcmp(key, "short_factor") == 0) return take_numbers(v, &x->c.rope_short);
    if (strcmp(key, "long_factor") == 0) return take_numbers(v, &x->c.rope_long);
    if (strcmp(key, "finetuned") == 0) return true; /* how it came to be */
    if (strcmp(key, "truncate") == 0) {
        x->c.rope_exact = json_is_false(v);
        return json_is_boolean(v);
    }
    if (strcmp(key, "rope_theta") == 0) {
        x->rope_theta = json_number_value(v);
        return json_is_number(v);
    }
    if (strcmp(key, "partial_rotary_factor") == 0) {
        x->partial_rotary = json_number_value(v);
        return json_is_number(v);
    }
    return false;
}

static double yarn_attention(const struct rope_values *v, double factor)
{
    if (factor <= 1) return 1;
    if (v->mscale == 0 || v->mscale_all == 0) return 0.1 * log(factor) + 1;
    return (0.1 * v->mscale * log(factor) + 1) / (0.1 * v->mscale_all * log(factor) + 1);
}

/* A number of places. What is out of every range is told from those in it by config.c. */
static int64_t places(double v)
{
    return v > 0 && v < 1e15 ? (int64_t)v : -1;
}

/* Fields that belong to the kind of scaling; the others stay 0. */
static void take_values(struct family_config *x, const struct rope_values *v)
{
    struct model_config *c = &x->c;
    const double stated = x->original ? (double)x->original : v->original;
    const double original = stated > 0 ? stated : (double)c->context;
    double factor = v->factor > 0 ? v->factor : (double)c->context / original, attention = 1;
    switch (c->rope_scaling) {
    case ROPE_PLAIN:
        c->rope_exact = false;
        return;
    case ROPE_LINEAR:
        c->rope_factor = factor;
        return;
    case ROPE_DYNAMIC: /* takes effect behind the stated context */
        c->rope_factor = factor;
        c->rope_original = c->context;
        c->context = places((double)c->context * fmax(factor, 1));
        return;
    case ROPE_YARN:
        c->rope_low = v->beta_slow > 0 ? v->beta_slow : 1;
        c->rope_high = v->beta_fast > 0 ? v->beta_fast : 32;
        attention = yarn_attention(v, factor);
        break;
    case ROPE_LLAMA3:
        c->rope_low = v->low;
        c->rope_high = v->high;
        break;
    case ROPE_LONGROPE:
        if (factor > 1) attention = sqrt(1 + log(factor) / log(original));
        break;
    }
    if (c->rope_scaling != ROPE_LONGROPE) c->rope_factor = factor;
    if (v->attention > 0) attention = v->attention;
    c->rope_attention = attention != 1 && c->rope_scaling != ROPE_LLAMA3 ? attention : 0;
    c->rope_original = places(original);
    if (v->factor > 0) c->context = places(fmax((double)c->context, original * v->factor));
}

enum err family_finish_rope(struct errctx *e, struct family_config *x, struct findings *f)
{
    struct rope_values values = {0};
    const char *key;
    json_t *v;
    if (x->rope && !json_is_object(x->rope))
        return findings_add(e, f, "config.json: the rope parameters are not an object");
    json_object_foreach((json_t *)(uintptr_t)x->rope, key, v)
    {
        if (take_rope_key(x, &values, key, v)) continue;
        TRY(findings_add(e, f,
                         "config.json: key '%s' of the rope parameters is not known, or not "
                         "with this value",
                         key));
    }
    x->c.rope_theta = x->rope_theta > 0 ? x->rope_theta : 10000;
    if (x->partial_rotary > 0 && x->partial_rotary != 1 && x->c.heads > 0) {
        const int64_t D = x->c.head_size ? x->c.head_size : x->c.width / x->c.heads;
        x->c.rope_dims = places((double)D * x->partial_rotary);
    }
    take_values(x, &values);
    return ERR_OK;
}

static json_t *numbers_json(const struct config_numbers *n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n->count; i++) json_array_append_new(list, json_real(n->items[i]));
    return list;
}

/* Keys of the kind of scaling. */
static void put_scaling(const struct model_config *c, json_t *rope)
{
    const bool yarn = c->rope_scaling == ROPE_YARN, llama3 = c->rope_scaling == ROPE_LLAMA3;
    for (size_t i = ARRAY_LEN(scalings); i-- > 0;)
        if (scalings[i].scaling == c->rope_scaling)
            json_object_set_new(rope, "rope_type", json_string(scalings[i].name));
    const bool longrope = c->rope_scaling == ROPE_LONGROPE;
    const double factor = longrope ? (double)c->context / (double)c->rope_original : c->rope_factor;
    if (factor != 0) json_object_set_new(rope, "factor", json_real(factor));
    if (c->rope_original != 0 && c->rope_scaling != ROPE_DYNAMIC)
        json_object_set_new(rope, "original_max_position_embeddings",
                            json_integer(c->rope_original));
    if (yarn || longrope)
        json_object_set_new(rope, "attention_factor",
                            json_real(c->rope_attention != 0 ? c->rope_attention : 1));
    if (yarn || llama3) {
        json_object_set_new(rope, yarn ? "beta_slow" : "low_freq_factor", json_real(c->rope_low));
        json_object_set_new(rope, yarn ? "beta_fast" : "high_freq_factor", json_real(c->rope_high));
    }
    if (c->rope_exact) json_object_set_new(rope, "truncate", json_false());
    if (longrope) {
        json_object_set_new(rope, "short_factor", numbers_json(&c->rope_short));
        json_object_set_new(rope, "long_factor", numbers_json(&c->rope_long));
    }
}

/* ------------------------------------------------------------------ windows */

static bool window_by_rule(const struct family_config *x, int64_t layer)
{
    const int64_t every = x->c.window_every;
    return x->use_window && x->window && layer >= x->window_from &&
           !(every && (layer + 1) % every == 0);
}

/* Whether a layer has a window; false when its type is not known. */
static bool window_of_layer(const struct family_config *x, int64_t layer, bool *windowed)
{
    const char *type = json_string_value(json_array_get(x->layer_types, (size_t)layer));
    *windowed =
        x->layer_types ? type && strcmp(type, "sliding_attention") == 0 : window_by_rule(x, layer);
    return *windowed || !x->layer_types || (type && strcmp(type, "full_attention") == 0);
}

enum err family_finish_window(struct errctx *e, struct family_config *x, struct findings *f)
{
    int64_t with = 0, first_without = -1;
    bool windowed, regular = true;
    if (x->c.layers > LAYERS_MOST) return ERR_OK; /* config.c says so */
    if (x->layer_types && json_array_size(x->layer_types) != (size_t)x->c.layers)
        return findings_add(e, f, "config.json: key 'layer_types' has %zu entries for %lld layers",
                            json_array_size(x->layer_types), (long long)x->c.layers);
    for (int64_t l = 0; l < x->c.layers; l++) {
        if (!window_of_layer(x, l, &windowed))
            return findings_add(e, f, "config.json: entry %lld of key 'layer_types' is not known",
                                (long long)l);
        with += windowed;
        if (!windowed && first_without < 0) first_without = l;
    }
    for (int64_t l = 0; l < x->c.layers && with && first_without >= 0; l++) {
        (void)window_of_layer(x, l, &windowed);
        regular = regular && windowed == ((l + 1) % (first_without + 1) != 0);
    }
    if (with && !x->window)
        return findings_add(e, f, "config.json: layers with a window, but no key 'sliding_window'");
    if (!regular)
        return findings_add(e, f,
                            "config.json: layers have a window or not in an order that "
                            "cannot be computed");
    x->c.window = with ? x->window : 0;
    x->c.window_every = with && first_without >= 0 ? first_without + 1 : 0;
    return ERR_OK;
}

static json_t *layer_types(const struct model_config *c)
{
    json_t *list = json_array();
    for (int64_t l = 0; l < c->layers; l++) {
        const bool without = !c->window || (c->window_every && (l + 1) % c->window_every == 0);
        json_array_append_new(list, json_string(without ? "full_attention" : "sliding_attention"));
    }
    return list;
}

/* ------------------------------------------------------------------ both */

enum err family_finish_both(struct errctx *e, struct family_config *x, struct findings *f)
{
    TRY(family_finish_window(e, x, f));
    return family_finish_rope(e, x, f);
}

void family_unfinish_both(struct family_config *x)
{
    x->window = x->c.window;
    x->use_window = x->c.window != 0;
    x->window_from = x->c.window ? 0 : x->c.layers;
    x->original = x->c.rope_original ? x->c.rope_original : x->c.context;
    if (x->c.rope_scaling == ROPE_DYNAMIC) x->c.context = x->c.rope_original;
}

enum err family_write_shared(struct errctx *e, const struct family *family,
                             const struct family_config *x, json_t *root)
{
    const struct model_config *c = &x->c;
    /* Where all layers have the window of course, transformers does not want to be told. */
    const bool by_layer = c->window_every || family_has_key(family, "use_sliding_window");
    if (c->window && by_layer && json_object_set_new(root, "layer_types", layer_types(c)) != 0)
        return err_memory(e, "configuration", 0);
    if (c->position != POSITION_ROPE || !family_has_key(family, "rope_parameters")) return ERR_OK;
    json_t *rope = json_pack("{s:f}", "rope_theta", c->rope_theta);
    if (rope) put_scaling(c, rope);
    if (rope && (c->rope_dims != c->head_size || family->base->partial_rotary != 0))
        json_object_set_new(rope, "partial_rotary_factor",
                            json_real((double)c->rope_dims / (double)c->head_size));
    if (json_object_set_new(root, "rope_parameters", rope) != 0)
        return err_memory(e, "configuration", 0);
    return ERR_OK;
}
