/* SPDX-License-Identifier: Apache-2.0 */
/* family_gguf_rope.c: see family_gguf_rope.h.
 *
 *   linear     rope.scaling.factor
 *   yarn       the same, original_context_length, and yarn's betas; llama.cpp multiplies its own
 *              factor of cosines and sines, 0.1 ln(factor) + 1, by attn_factor
 *   llama3     a tensor of divisors, rope_freqs; what they were made from is found again
 *   longrope   two tensors, rope_factors_short and _long, and attn_factor
 *
 * Source: llama.cpp, src/llama-model.cpp and llama-context.cpp. */
#include "common/convert/family_gguf_rope.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"

#define TWO_PI 6.283185307179586476925

static double yarn_usual(double factor)
{
    return factor > 1 ? 0.1 * log(factor) + 1 : 1;
}

static double longrope_usual(const struct model_config *c)
{
    const double factor = (double)c->context / (double)c->rope_original;
    return factor > 1 ? sqrt(1 + log(factor) / log((double)c->rope_original)) : 1;
}

/* ------------------------------------------------------------------ divisors of llama3 */

/* Of the frequency of pair i, as llama.cpp's converter makes them. */
static double llama3_divisor(const struct model_config *c, int64_t i)
{
    const double original = (double)c->rope_original;
    const double wavelength = TWO_PI * pow(c->rope_theta, 2.0 * (double)i / (double)c->rope_dims);
    if (wavelength < original / c->rope_high) return 1;
    if (wavelength > original / c->rope_low) return c->rope_factor;
    const double smooth = (original / wavelength - c->rope_low) / (c->rope_high - c->rope_low);
    return 1 / ((1 - smooth) / c->rope_factor + smooth);
}

static bool makes(const struct model_config *c, const struct config_numbers *n)
{
    for (int64_t i = 0; i < n->count; i++)
        if (fabs(llama3_divisor(c, i) / n->items[i] - 1) > 2e-5) return false;
    return true;
}

/* The parameters that everybody has with llama3, and the original context that the file says, or
 * any power of two. */
static bool find_llama3(struct model_config *c, const struct config_numbers *n)
{
    struct model_config try = *c;
    try.rope_low = 1;
    try.rope_high = 4;
    try.rope_factor = 1;
    for (int64_t i = 0; i < n->count; i++) try.rope_factor = fmax(try.rope_factor, n->items[i]);
    bool found = c->rope_original > 0 && makes(&try, n);
    for (int64_t k = 8; k <= 20 && !found; k++) {
        try.rope_original = (int64_t)1 << k;
        found = makes(&try, n);
    }
    if (!found) return false;
    *c = try;
    c->rope_scaling = ROPE_LLAMA3;
    return true;
}

static bool take_numbers(const json_t *list, int64_t want, struct config_numbers *out)
{
    if ((int64_t)json_array_size(list) != want || want > CONFIG_NUMBERS) return false;
    for (out->count = 0; out->count < want; out->count++)
        out->items[out->count] = json_number_value(json_array_get(list, (size_t)out->count));
    return true;
}

/* ------------------------------------------------------------------ reading */

static enum err finish_yarn(struct family_config *x)
{
    struct model_config *c = &x->c;
    double attention = yarn_usual(c->rope_factor);
    if (x->log_multiplier != 0 && c->rope_factor > 1)
        attention /= 0.1 * x->log_multiplier * log(c->rope_factor) + 1;
    if (x->attention != 0) attention *= x->attention;
    c->rope_scaling = ROPE_YARN;
    if (c->rope_original == 0) c->rope_original = c->context;
    if (c->rope_low == 0) c->rope_low = 1;
    if (c->rope_high == 0) c->rope_high = 32;
    c->rope_attention = (float)attention != 1 ? attention : 0;
    return ERR_OK;
}

/* Divisors by length, or of all rows where nothing says what they were made from. */
static enum err finish_longrope(struct errctx *e, struct family_config *x, struct findings *f)
{
    struct model_config *c = &x->c;
    const int64_t half = (c->rope_dims ? c->rope_dims : c->head_size) / 2;
    const json_t *first = x->freqs ? x->freqs : x->short_factors;
    const json_t *second = x->freqs ? x->freqs : x->long_factors;
    if (!take_numbers(first, half, &c->rope_short) || !take_numbers(second, half, &c->rope_long))
        return findings_add(e, f, "the divisors of rope's frequencies are not %lld numbers",
                            (long long)half);
    if (c->rope_factor != 0 && c->rope_factor != 1)
        return findings_add(e, f, "key 'rope.scaling.factor' and divisors of rope's frequencies");
    c->rope_factor = 0;
    if (x->freqs) {
        struct config_numbers freqs = c->rope_short;
        c->rope_dims = 2 * half;
        c->rope_short.count = c->rope_long.count = 0;
        if (find_llama3(c, &freqs)) return ERR_OK;
        c->rope_short = c->rope_long = freqs;
    }
    c->rope_scaling = ROPE_LONGROPE;
    if (c->rope_original == 0) c->rope_original = c->context;
    const double usual = longrope_usual(c);
    c->rope_attention = x->attention != 1 ? x->attention : 0;
    if ((float)usual == (float)x->attention) c->rope_attention = usual;
    return ERR_OK;
}

static enum err check_kind(struct errctx *e, const struct family_config *x, struct findings *f,
                           const char *type, unsigned divisors)
{
    const bool yarn = strcmp(type, "yarn") == 0;
    const bool all = !x->short_factors == !x->long_factors;
    if (!yarn && strcmp(type, "linear") != 0 && strcmp(type, "none") != 0 &&
        strcmp(type, "longrope") != 0)
        return findings_add(e, f, "key 'rope.scaling.type' is '%s', which is not known", type);
    if (x->freqs && (!(divisors & DIVISORS_FREQS) || yarn || x->short_factors))
        return findings_add(e, f, "tensor 'rope_freqs.weight' in a model that has no use for it");
    if (!all || (x->short_factors && (!(divisors & DIVISORS_LONGROPE) || yarn)))
        return findings_add(e, f,
                            "tensors 'rope_factors_short.weight' and 'rope_factors_long.weight' "
                            "are not what such a model has");
    if (x->attention != 0 && x->attention != 1 && !yarn && !x->short_factors)
        return findings_add(e, f, "key 'rope.scaling.attn_factor' without yarn or longrope");
    return ERR_OK;
}

enum err gguf_rope_finish(struct errctx *e, struct family_config *x, struct findings *f,
                          unsigned divisors)
{
    struct model_config *c = &x->c;
    const char *type = x->scaling ? json_string_value(x->scaling) : "linear";
    const int64_t D = c->head_size ? c->head_size : c->heads ? c->width / c->heads : 0;
    if (x->value_size && x->value_size != D)
        return findings_add(e, f, "values of %lld numbers a head, and keys of %lld",
                            (long long)x->value_size, (long long)D);
    c->head_size = D;
    TRY(check_kind(e, x, f, type ? type : "", divisors));
    if (f->count) return ERR_OK;
    if (type && strcmp(type, "yarn") == 0) return finish_yarn(x);
    if (x->freqs || x->short_factors) return finish_longrope(e, x, f);
    c->rope_original = 0;
    if (type && strcmp(type, "linear") == 0 && c->rope_factor != 0 && c->rope_factor != 1)
        c->rope_scaling = ROPE_LINEAR;
    else
        c->rope_factor = 0;
    c->rope_low = c->rope_high = 0;
    return ERR_OK;
}

/* ------------------------------------------------------------------ writing */

void gguf_rope_unfinish(struct family_config *x)
{
    struct model_config *c = &x->c;
    x->value_size = c->head_size;
    if (c->rope_scaling == ROPE_YARN) {
        const double attention = c->rope_attention != 0 ? c->rope_attention : 1;
        const double factor = attention / yarn_usual(c->rope_factor);
        x->attention = (float)factor != 1 ? factor : 0;
    } else if (c->rope_scaling == ROPE_LONGROPE) {
        x->attention = c->rope_attention;
    } else if (c->rope_scaling == ROPE_LLAMA3) {
        c->rope_factor = c->rope_low = c->rope_high = 0;
    }
}

void family_divisors_of(const struct model_config *c, struct family_divisors *d)
{
    *d = (struct family_divisors){.count = 0};
    if (c->rope_scaling == ROPE_LLAMA3) {
        d->count = 1;
        d->names[0] = "rope_freqs.weight";
        d->keys[0] = "rope_freqs";
        d->numbers[0].count = c->rope_dims / 2;
        for (int64_t i = 0; i < c->rope_dims / 2; i++)
            d->numbers[0].items[i] = llama3_divisor(c, i);
    } else if (c->rope_scaling == ROPE_LONGROPE) {
        *d = (struct family_divisors){2,
                                      {"rope_factors_short.weight", "rope_factors_long.weight"},
                                      {"rope_factors_short", "rope_factors_long"},
                                      {c->rope_short, c->rope_long}};
    }
}

enum err family_write_gguf(struct errctx *e, const struct model_config *c, json_t *root)
{
    static const char *const names[] = {
        [ROPE_PLAIN] = NULL,  [ROPE_LINEAR] = "linear", [ROPE_DYNAMIC] = NULL,
        [ROPE_YARN] = "yarn", [ROPE_LLAMA3] = NULL,     [ROPE_LONGROPE] = "longrope"};
    const char *type = c->position == POSITION_ROPE ? names[c->rope_scaling] : NULL;
    struct family_divisors d;
    if (type && json_object_set_new(root, "rope.scaling.type", json_string(type)) != 0)
        return err_memory(e, "configuration", 0);
    family_divisors_of(c, &d);
    for (int i = 0; i < d.count; i++) {
        json_t *list = json_array();
        for (int64_t k = 0; list && k < d.numbers[i].count; k++)
            (void)json_array_append_new(list, json_real(d.numbers[i].items[k]));
        if (json_object_set_new(root, d.keys[i], list) != 0)
            return err_memory(e, "configuration", 0);
    }
    return ERR_OK;
}
