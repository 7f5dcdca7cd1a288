/* SPDX-License-Identifier: Apache-2.0 */
/* values.c: weights of any stored type as F32: see kernels/values.h. One function a type; blocks by
 * the layout of ggml's structs (ggml-common.h). */
#include "kernels/values.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* A half at p, little-endian. */
static float half(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}

static uint32_t word(const uint8_t *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* ------------------------------------------------------------------ blocks of 32 */

/* d, q[32] */
static void block_q8_0(const uint8_t *p, float *to)
{
    const float d = half(p);
    for (int i = 0; i < 32; i++) to[i] = d * (float)(int8_t)p[2 + i];
}

/* d, nibbles[16]: the low ones are values 0 to 15, the high ones 16 to 31; here and below. */
static void block_q4_0(const uint8_t *p, float *to)
{
    const float d = half(p);
    for (int i = 0; i < 16; i++) {
        to[i] = (float)((p[2 + i] & 15) - 8) * d;
        to[i + 16] = (float)((p[2 + i] >> 4) - 8) * d;
    }
}

/* d, m, nibbles[16] */
static void block_q4_1(const uint8_t *p, float *to)
{
    const float d = half(p), m = half(p + 2);
    for (int i = 0; i < 16; i++) {
        to[i] = (float)(p[4 + i] & 15) * d + m;
        to[i + 16] = (float)(p[4 + i] >> 4) * d + m;
    }
}

/* Value i of 0 to 15 and the one 16 behind it, of nibbles and a word of fifth bits. */
static int low5(const uint8_t *nibbles, uint32_t fifth, int i)
{
    return (nibbles[i] & 15) | (int)(fifth >> i & 1) << 4;
}
static int high5(const uint8_t *nibbles, uint32_t fifth, int i)
{
    return nibbles[i] >> 4 | (int)(fifth >> (i + 16) & 1) << 4;
}

/* d, fifth bits, nibbles[16] */
static void block_q5_0(const uint8_t *p, float *to)
{
    const float d = half(p);
    const uint32_t fifth = word(p + 2);
    for (int i = 0; i < 16; i++) {
        to[i] = (float)(low5(p + 6, fifth, i) - 16) * d;
        to[i + 16] = (float)(high5(p + 6, fifth, i) - 16) * d;
    }
}

/* d, m, fifth bits, nibbles[16] */
static void block_q5_1(const uint8_t *p, float *to)
{
    const float d = half(p), m = half(p + 2);
    const uint32_t fifth = word(p + 4);
    for (int i = 0; i < 16; i++) {
        to[i] = (float)low5(p + 8, fifth, i) * d + m;
        to[i + 16] = (float)high5(p + 8, fifth, i) * d + m;
    }
}

/* ------------------------------------------------------------------ blocks of 256 */

/* Scale and minimum of sub-block j of 8, of 6 bits each in 12 bytes: 0 to 3 stand in the low bits
 * of bytes 0 to 3 and 4 to 7, the others are made of nibbles of bytes 8 to 11 and of the two bits
 * that are left there. */
static void scale_and_minimum(const uint8_t *s, int j, float *scale, float *minimum)
{
    if (j < 4) {
        *scale = (float)(s[j] & 63);
        *minimum = (float)(s[j + 4] & 63);
    } else {
        *scale = (float)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *minimum = (float)(s[j + 4] >> 4 | (s[j] >> 6) << 4);
    }
}

/* d, e, scales[12], nibbles[128]: the low ones of 32 bytes are a sub-block, the high ones the next.
 */
static void block_q4_k(const uint8_t *p, float *to)
{
    const float d = half(p), e = half(p + 2);
    for (int j = 0; j < 8; j++) {
        const uint8_t *q = p + 16 + j / 2 * 32;
        const int shift = j % 2 * 4;
        float s, m;
        scale_and_minimum(p + 4, j, &s, &m);
        const float scale = d * s, minimum = e * m;
        for (int i = 0; i < 32; i++) to[j * 32 + i] = scale * (float)(q[i] >> shift & 15) - minimum;
    }
}

/* d, e, scales[12], fifth bits[32] (bit j of byte i: of value i of sub-block j), nibbles[128] */
static void block_q5_k(const uint8_t *p, float *to)
{
    const float d = half(p), e = half(p + 2);
    for (int j = 0; j < 8; j++) {
        const uint8_t *fifth = p + 16, *q = p + 48 + j / 2 * 32;
        const int shift = j % 2 * 4;
        float s, m;
        scale_and_minimum(p + 4, j, &s, &m);
        const float scale = d * s, minimum = e * m;
        for (int i = 0; i < 32; i++)
            to[j * 32 + i] =
                scale * (float)((q[i] >> shift & 15) + (fifth[i] >> j & 1) * 16) - minimum;
    }
}

/* nibbles[128], pairs of bits[64], scales[16] (signed), d. Each half of 128 values: 64 bytes of
 * nibbles and 32 of pairs; values 32 k to 32 k + 31 take the nibbles of bytes 32 (k % 2) on, the
 * low ones for k < 2, and pair k of each byte. */
static void block_q6_k(const uint8_t *p, float *to)
{
    const float d = half(p + 208);
    for (int k = 0; k < 8; k++) {
        const uint8_t *q = p + k / 4 * 64 + k % 2 * 32, *pairs = p + 128 + k / 4 * 32;
        const int shift = k % 4 / 2 * 4, pair = k % 4 * 2;
        for (int i = 0; i < 32; i++) {
            const float scale = d * (float)(int8_t)p[192 + k * 2 + i / 16];
            const int v = (q[i] >> shift & 15) | (pairs[i] >> pair & 3) << 4;
            to[k * 32 + i] = scale * (float)(v - 32);
        }
    }
}

/* ------------------------------------------------------------------ NF4 */

static float single(const uint8_t *p)
{
    float f;
    memcpy(&f, p, sizeof f);
    return f;
}

/* d, nibbles[32] */
static void block_nf4(const uint8_t *p, float *to)
{
    const float d = single(p);
    for (int i = 0; i < 32; i++) {
        to[2 * i] = dtype_nf4[p[4 + i] >> 4] * d;
        to[2 * i + 1] = dtype_nf4[p[4 + i] & 15] * d;
    }
}

/* ------------------------------------------------------------------ all */

enum { SOME = 256 }; /* values at a time: whole units of every type */

/* A half as a float by one multiplication, exactly: its bits, moved, are those of the float 2^112
 * times less, also where it is subnormal. Without branches, for the vectors. */
static float widen_half(uint16_t h)
{
    const uint32_t magnitude = (uint32_t)(h & 0x7fffu) << 13;
    float f;
    memcpy(&f, &magnitude, sizeof f);
    f *= 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits |= (uint32_t)(h & 0x8000u) << 16;
    if (magnitude >= 0x0f800000u) bits |= 0x7f800000u | (magnitude & 0x7fffffu);
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void some_halves(const uint8_t *p, float *to)
{
    uint16_t h[SOME];
    memcpy(h, p, sizeof h);
    for (int i = 0; i < SOME; i++) to[i] = widen_half(h[i]);
}

static void some_brains(const uint8_t *p, float *to)
{
    uint16_t h[SOME];
    memcpy(h, p, sizeof h);
    for (int i = 0; i < SOME; i++) to[i] = bf16_to_f32(h[i]);
}

static void from_halves(enum dtype t, const uint8_t *p, int64_t n, float *to)
{
    uint16_t h;
    int64_t i = 0;
    for (; i + SOME <= n; i += SOME)
        (t == DTYPE_BF16 ? some_brains : some_halves)(p + i * 2, to + i);
    for (; i < n; i++) {
        memcpy(&h, p + i * 2, sizeof h);
        to[i] = t == DTYPE_BF16 ? bf16_to_f32(h) : widen_half(h);
    }
}

static void from_doubles(const uint8_t *p, int64_t n, float *to)
{
    double v;
    for (int64_t i = 0; i < n; i++) {
        memcpy(&v, p + i * 8, sizeof v);
        to[i] = (float)v;
    }
}

/* Of the types of blocks: how one is decoded, and where its scales stand (-1: none). */
static const struct {
    void (*decode)(const uint8_t *p, float *to);
    int scale, other;
} blocks[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = {block_q8_0, 0, -1}, [DTYPE_Q4_0] = {block_q4_0, 0, -1},
    [DTYPE_Q4_1] = {block_q4_1, 0, 2},  [DTYPE_Q5_0] = {block_q5_0, 0, -1},
    [DTYPE_Q5_1] = {block_q5_1, 0, 2},  [DTYPE_Q4_K] = {block_q4_k, 0, 2},
    [DTYPE_Q5_K] = {block_q5_k, 0, 2},  [DTYPE_Q6_K] = {block_q6_k, 208, -1},
    [DTYPE_NF4] = {block_nf4, -1, -1},
};

void values_to_f32(enum dtype t, const void *from, int64_t elements, float *to)
{
    const uint8_t *p = from;
    const int unit = dtype_unit(t);
    const size_t size = dtype_unit_bytes(t);
    assert(dtype_is_float(t) || blocks[t].decode);
    if (t == DTYPE_F32)
        memcpy(to, p, (size_t)elements * sizeof *to);
    else if (t == DTYPE_F16 || t == DTYPE_BF16)
        from_halves(t, p, elements, to);
    else if (t == DTYPE_F64)
        from_doubles(p, elements, to);
    else
        for (int64_t i = 0; i < elements; i += unit, p += size) blocks[t].decode(p, to + i);
}

static void narrow_some(const float *from, uint16_t *to)
{
    for (int i = 0; i < SOME; i++) to[i] = f32_to_bf16(from[i]);
}

void values_as(enum dtype t, const void *from, int64_t elements, enum dtype to, void *out)
{
    float some[SOME] = {0};
    uint16_t half[SOME];
    assert(to == t || to == DTYPE_F32 || to == DTYPE_BF16);
    if (to == t) {
        memcpy(out, from, dtype_offset(t, elements));
        return;
    }
    if (to == DTYPE_F32) {
        values_to_f32(t, from, elements, out);
        return;
    }
    for (int64_t at = 0; at < elements; at += SOME) {
        const int64_t left = elements - at, n = left < SOME ? left : SOME;
        values_to_f32(t, (const uint8_t *)from + dtype_offset(t, at), n, some);
        narrow_some(some, half);
        memcpy((uint8_t *)out + at * 2, half, (size_t)n * sizeof *half);
    }
}

/* ------------------------------------------------------------------ not finite */

/* Whether all exponents are less than the highest: of whole arrays, for the vectors. */
static bool words_finite(const uint8_t *p)
{
    uint32_t w[SOME], bad = 0;
    memcpy(w, p, sizeof w);
    for (int i = 0; i < SOME; i++) bad |= (w[i] & 0x7f800000u) == 0x7f800000u;
    return !bad;
}

static bool halves_finite(const uint8_t *p, uint16_t exponent)
{
    uint16_t h[SOME], bad = 0;
    memcpy(h, p, sizeof h);
    for (int i = 0; i < SOME; i++) bad |= (h[i] & exponent) == exponent;
    return !bad;
}

static bool half_finite(const uint8_t *p, int at)
{
    uint16_t h;
    if (at < 0) return true;
    memcpy(&h, p + at, sizeof h);
    return (h & 0x7c00u) != 0x7c00u;
}

/* Values `at` .. + n are known to be finite without a look at each. */
static bool surely_finite(enum dtype t, const uint8_t *p, int64_t n)
{
    if (t == DTYPE_NF4) {
        for (int64_t i = 0; i < n; i += dtype_unit(t), p += dtype_unit_bytes(t))
            if (!isfinite(single(p))) return false;
        return true;
    }
    if (dtype_is_blocks(t)) {
        for (int64_t i = 0; i < n; i += dtype_unit(t), p += dtype_unit_bytes(t))
            if (!half_finite(p, blocks[t].scale) || !half_finite(p, blocks[t].other)) return false;
        return true;
    }
    if (n < SOME) return false;
    if (t == DTYPE_F32) return words_finite(p);
    if (t == DTYPE_F16 || t == DTYPE_BF16)
        return halves_finite(p, t == DTYPE_F16 ? 0x7c00u : 0x7f80u);
    return false;
}

/* Counts them, or stops at the first. */
static int64_t find_not_finite(enum dtype t, const uint8_t *p, int64_t elements, int64_t *first)
{
    float v[SOME];
    int64_t found = 0;
    for (int64_t at = 0; at < elements; at += SOME) {
        const int64_t left = elements - at, n = left < SOME ? left : SOME;
        const uint8_t *from = p + dtype_offset(t, at);
        if (surely_finite(t, from, n)) continue;
        values_to_f32(t, from, n, v);
        for (int64_t i = 0; i < n; i++) {
            if (isfinite(v[i])) continue;
            if (first && found == 0) *first = at + i;
            found++;
        }
        if (first && found) break;
    }
    return found;
}

int64_t values_not_finite(enum dtype t, const void *from, int64_t elements)
{
    return find_not_finite(t, from, elements, NULL);
}

int64_t values_first_not_finite(enum dtype t, const void *from, int64_t elements)
{
    int64_t first = -1;
    (void)find_not_finite(t, from, elements, &first);
    return first;
}
