/* SPDX-License-Identifier: Apache-2.0 */
/* quantise.c: see quantise.h. Where a scale is so small that its inverse overflows, F16 has it as
 * zero, and so the block is zero whatever its codes are: they are those that ggml has on x86. */
#include "common/base/quantise.h"

#include <math.h>

enum { HALF = QUANTISE_BLOCK / 2 };

/* 1 / d may be infinite; then every product with it is none or infinite, and counts as 0. */
static float inverse_of(float d)
{
    return d != 0 ? 1.0f / d : 0;
}

static int whole(float x)
{
    return isfinite(x) ? (int)x : 0;
}

/* False: infinite. */
static bool put_half(uint8_t *to, float x)
{
    const uint16_t h = f32_to_f16(x);
    memcpy(to, &h, sizeof h);
    return (h & 0x7c00u) != 0x7c00u;
}

/* Two values, each 0 to 15 and a half and more, cut to four bits. */
static uint8_t pair(float low, float high)
{
    const int a = whole(low), b = whole(high);
    return (uint8_t)((a < 15 ? a : 15) | (b < 15 ? b : 15) << 4);
}

static bool to_q8_0(const float *x, uint8_t *to)
{
    float most = 0;
    for (int i = 0; i < QUANTISE_BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
    const float d = most / 127, inverse = inverse_of(d);
    for (int i = 0; i < QUANTISE_BLOCK; i++)
        to[2 + i] = (uint8_t)(int8_t)whole(roundf(x[i] * inverse));
    return put_half(to, d);
}

static bool to_q4_0(const float *x, uint8_t *to)
{
    float most = 0; /* with its sign */
    for (int i = 0; i < QUANTISE_BLOCK; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    const float d = most / -8, inverse = inverse_of(d);
    for (int i = 0; i < HALF; i++)
        to[2 + i] = pair(x[i] * inverse + 8.5f, x[i + HALF] * inverse + 8.5f);
    return put_half(to, d);
}

static bool to_q4_1(const float *x, uint8_t *to)
{
    float least = x[0], most = x[0];
    for (int i = 1; i < QUANTISE_BLOCK; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    const float d = (most - least) / 15, inverse = inverse_of(d);
    for (int i = 0; i < HALF; i++)
        to[4 + i] = pair((x[i] - least) * inverse + 0.5f, (x[i + HALF] - least) * inverse + 0.5f);
    const bool fine = put_half(to, d);
    return put_half(to + 2, least) && fine;
}

bool quantise_can(enum dtype t)
{
    return t == DTYPE_Q8_0 || t == DTYPE_Q4_0 || t == DTYPE_Q4_1;
}

int64_t quantise_row(enum dtype t, const float *x, int64_t n, uint8_t *to)
{
    const size_t bytes = dtype_unit_bytes(t);
    int64_t bad = -1;
    for (int64_t i = 0; i < n; i += QUANTISE_BLOCK, to += bytes) {
        const bool fine = t == DTYPE_Q8_0   ? to_q8_0(x + i, to)
                          : t == DTYPE_Q4_0 ? to_q4_0(x + i, to)
                                            : to_q4_1(x + i, to);
        if (!fine && bad < 0) bad = i;
    }
    return bad;
}
