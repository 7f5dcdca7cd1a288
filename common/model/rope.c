/* SPDX-License-Identifier: Apache-2.0 */
/* rope.c: see rope.h. */
#include "common/model/rope.h"
#include <math.h>

#define TWO_PI 6.283185307179586476925

static double plain(const struct model_config *c, double base, int64_t i)
{
    return pow(base, 2.0 * (double)i / (double)c->rope_dims);
}

/* The dimension that turns so often over the original context. */
static double yarn_dimension(const struct model_config *c, double turns)
{
    return (double)c->rope_dims * log((double)c->rope_original / (turns * TWO_PI)) /
           (2 * log(c->rope_theta));
}

static double yarn(const struct model_config *c, int64_t i)
{
    double low = yarn_dimension(c, c->rope_high), high = yarn_dimension(c, c->rope_low);
    if (!c->rope_exact) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)(c->rope_dims - 1));
    if (low == high) high += 0.001;
    const float ramp = (float)fmin(fmax(((double)i - low) / (high - low), 0), 1);
    const float base = (float)plain(c, c->rope_theta, i);
    return (1.0F / ((float)c->rope_factor * base)) * ramp + (1.0F / base) * (1.0F - ramp);
}

static double llama3(const struct model_config *c, int64_t i)
{
    const float frequency = 1.0F / (float)plain(c, c->rope_theta, i);
    const float original = (float)c->rope_original, factor = (float)c->rope_factor;
    const float wavelength = (float)TWO_PI / frequency;
    const float low = (float)c->rope_low, high = (float)c->rope_high;
    if (wavelength > original / low) return frequency / factor;
    if (wavelength < original / high) return frequency;
    const float smooth = (original / wavelength - low) / (high - low);
    return (1.0F - smooth) * frequency / factor + smooth * frequency;
}

/* Angle per position of pair i in a row of `length`. */
static float frequency_of(const struct model_config *c, int64_t i, int64_t length)
{
    const bool beyond = length > c->rope_original;
    const double R = (double)c->rope_dims;
    double base = c->rope_theta;
    switch (c->rope_scaling) {
    case ROPE_PLAIN:
        break;
    case ROPE_LINEAR:
        return (float)(1 / plain(c, base, i)) / (float)c->rope_factor;
    case ROPE_DYNAMIC:
        if (beyond)
            base *= pow(c->rope_factor * (double)length / (double)c->rope_original -
                            (c->rope_factor - 1),
                        R / (R - 2));
        break;
    case ROPE_YARN:
        return (float)yarn(c, i);
    case ROPE_LLAMA3:
        return (float)llama3(c, i);
    case ROPE_LONGROPE:
        return 1.0F / ((float)(beyond ? c->rope_long.items : c->rope_short.items)[i] *
                       (float)plain(c, base, i));
    }
    return (float)(1 / plain(c, base, i));
}

void rope_fill(const struct model_config *c, int64_t first, int64_t n, int64_t length,
               float *cosine, float *sine)
{
    const int64_t half = c->rope_dims / 2;
    const double factor = c->rope_attention != 0 ? c->rope_attention : 1;
    for (int64_t i = 0; i < half; i++) {
        const float frequency = frequency_of(c, i, length);
        for (int64_t t = 0; t < n; t++) {
            const float angle = (float)(first + t) * frequency;
            cosine[t * half + i] = (float)(cos((double)angle) * factor);
            sine[t * half + i] = (float)(sin((double)angle) * factor);
        }
    }
}

bool rope_by_length(const struct model_config *c)
{
    return c->position == POSITION_ROPE && c->context > c->rope_original &&
           (c->rope_scaling == ROPE_DYNAMIC || c->rope_scaling == ROPE_LONGROPE);
}

bool rope_by_pass(const struct model_config *c)
{
    return rope_by_length(c) && c->rope_scaling == ROPE_DYNAMIC;
}

int64_t rope_rows(const struct model_config *c)
{
    return rope_by_length(c) && !rope_by_pass(c) ? 2 * c->context : c->context;
}

void rope_tables(const struct model_config *c, float *cosine, float *sine)
{
    const int64_t all = c->context * (c->rope_dims / 2);
    rope_fill(c, 0, c->context, 0, cosine, sine);
    if (rope_rows(c) > c->context)
        rope_fill(c, 0, c->context, c->context, cosine + all, sine + all);
}

int64_t rope_table_of(const struct model_config *c, int64_t length)
{
    return rope_rows(c) > c->context && length > c->rope_original ? c->context : 0;
}
