/* SPDX-License-Identifier: Apache-2.0 */
/* quantise.c: see quantise.h. Where a scale is so small that its inverse overflows, F16 has it as
 * zero, and so the block is zero whatever its codes are: they are those that ggml has on x86. */
#include "common/base/quantise.h"

#include <math.h>

enum { BLOCK = 32, HALF = BLOCK / 2, NF4_BLOCK = 64, NF4_BYTES = 36, GROUP = 256 };

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
    for (int i = 0; i < BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
    const float d = most / 127, inverse = inverse_of(d);
    for (int i = 0; i < BLOCK; i++) to[2 + i] = (uint8_t)(int8_t)whole(roundf(x[i] * inverse));
    return put_half(to, d);
}

static bool to_q4_0(const float *x, uint8_t *to)
{
    float most = 0; /* with its sign */
    for (int i = 0; i < BLOCK; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    const float d = most / -8, inverse = inverse_of(d);
    for (int i = 0; i < HALF; i++)
        to[2 + i] = pair(x[i] * inverse + 8.5f, x[i + HALF] * inverse + 8.5f);
    return put_half(to, d);
}

static bool to_q4_1(const float *x, uint8_t *to)
{
    float least = x[0], most = x[0];
    for (int i = 1; i < BLOCK; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    const float d = (most - least) / 15, inverse = inverse_of(d);
    for (int i = 0; i < HALF; i++)
        to[4 + i] = pair((x[i] - least) * inverse + 0.5f, (x[i + HALF] - least) * inverse + 0.5f);
    const bool fine = put_half(to, d);
    return put_half(to + 2, least) && fine;
}

/* Of n ascending codes the first for which x is at most the middle to the next, or the last. */
static int code_of(const float *codes, int n, float x)
{
    int low = 0, high = n - 1;
    while (low < high) {
        const int i = (low + high) / 2;
        if (x > (codes[i] + codes[i + 1]) / 2)
            low = i + 1;
        else
            high = i;
    }
    return low;
}

static bool to_nf4(const float *x, uint8_t *to)
{
    float most = 0;
    for (int i = 0; i < NF4_BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
    const float inverse = 1.0f / fmaxf(most, 1e-38f);
    memcpy(to, &most, sizeof most);
    for (int i = 0; i < NF4_BLOCK / 2; i++) {
        const int first = code_of(dtype_nf4, 16, x[2 * i] * inverse);
        to[4 + i] = (uint8_t)(first << 4 | code_of(dtype_nf4, 16, x[2 * i + 1] * inverse));
    }
    return true;
}

bool quantise_can(enum dtype t)
{
    return t == DTYPE_Q8_0 || t == DTYPE_Q4_0 || t == DTYPE_Q4_1 || t == DTYPE_NF4;
}

static bool to_block(enum dtype t, const float *x, uint8_t *to)
{
    if (t == DTYPE_NF4) return to_nf4(x, to);
    return t == DTYPE_Q8_0 ? to_q8_0(x, to) : t == DTYPE_Q4_0 ? to_q4_0(x, to) : to_q4_1(x, to);
}

int64_t quantise_row(enum dtype t, const float *x, int64_t n, uint8_t *to)
{
    const size_t bytes = dtype_unit_bytes(t);
    int64_t bad = -1;
    for (int64_t i = 0; i < n; i += dtype_unit(t), to += bytes)
        if (!to_block(t, x + i, to) && bad < 0) bad = i;
    return bad;
}

/* ------------------------------------------------------------------ scales in 8 bits */

static float scale_at(const uint8_t *blocks, int64_t i)
{
    float d;
    memcpy(&d, blocks + i * NF4_BYTES, sizeof d);
    return d;
}

/* bitsandbytes asks a table of 65536 places from -1 to 1, each of which has the code nearest to it:
 * so x goes to the nearest place first. (Near 0 codes are closer than places, and some are never
 * used.) */
static uint8_t dynamic_of(float x)
{
    const float place = (x + 1.0f) * 32767.5f + 0.5f;
    const int at = !(place > 0) ? 0 : place < 65535 ? (int)place : 65535;
    const float there = (float)((double)at / 65535 * 2 - 1);
    int low = 0, high = 255; /* the last one that is not more */
    while (low < high) {
        const int i = (low + high + 1) / 2;
        if (dtype_dynamic[i] <= there)
            low = i;
        else
            high = i - 1;
    }
    if (low < 255 && dtype_dynamic[low + 1] - there < there - dtype_dynamic[low]) low++;
    return (uint8_t)low;
}

void quantise_scales(const uint8_t *blocks, int64_t n, uint8_t *to, float *scales)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += scale_at(blocks, i);
    const float mean = n > 0 ? (float)(sum / (double)n) : 0;
    *scales++ = mean;
    for (int64_t first = 0; first < n; first += GROUP) {
        const int64_t last = first + GROUP < n ? first + GROUP : n;
        float most = 0;
        for (int64_t i = first; i < last; i++)
            most = fmaxf(most, fabsf(scale_at(blocks, i) - mean));
        *scales++ = most;
        const float inverse = 1.0f / most;
        for (int64_t i = first; i < last; i++, to += NF4_BYTES - 3) {
            const uint8_t *from = blocks + i * NF4_BYTES;
            const uint8_t code = most > 0 ? dynamic_of((scale_at(blocks, i) - mean) * inverse) : 0;
            memmove(to + 1, from + 4, NF4_BLOCK / 2);
            to[0] = code;
        }
    }
}

void quantise_restore(const uint8_t *from, int64_t first, int64_t n, const float *scales,
                      uint8_t *to)
{
    for (int64_t i = 0; i < n; i++, from += NF4_BYTES - 3, to += NF4_BYTES) {
        const float product = dtype_dynamic[from[0]] * scales[1 + (first + i) / GROUP];
        const float d = product + scales[0];
        memcpy(to, &d, sizeof d);
        memcpy(to + 4, from + 1, NF4_BLOCK / 2);
    }
}
