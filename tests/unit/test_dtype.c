/* SPDX-License-Identifier: Apache-2.0 */
/* test_dtype.c: every 16-bit float there and back, and rounding against an independent computation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "common/base/dtype.h"
#include "common/base/rng.h"

static void names(void **state)
{
    (void)state;
    for (int t = DTYPE_NONE + 1; t < DTYPE_COUNT; t++) {
        const char *name = dtype_name((enum dtype)t);
        assert_int_equal(dtype_from_name(name, strlen(name)), t);
        assert_int_equal(dtype_from_name(name, strlen(name) - 1) == (enum dtype)t, 0);
        assert_int_equal(dtype_size((enum dtype)t) > 0, !dtype_is_blocks((enum dtype)t));
        assert_int_equal(dtype_unit((enum dtype)t) > 1, dtype_is_blocks((enum dtype)t));
    }
    assert_int_equal(dtype_from_name("f32", 3), DTYPE_NONE);
    assert_int_equal(dtype_from_name("none", 4), DTYPE_NONE);
    assert_int_equal(dtype_size(DTYPE_BF16), 2);
    assert_true(dtype_is_float(DTYPE_F16));
    assert_false(dtype_is_float(DTYPE_U16));
}

/* ggml's blocks: Q8_0 is 32 numbers in 34 bytes, Q4_K 256 in 144. */
static void blocks(void **state)
{
    (void)state;
    size_t bytes;
    const int64_t whole[] = {3, 512}, cut[] = {512, 3};
    assert_true(dtype_bytes(DTYPE_Q8_0, 96, &bytes));
    assert_int_equal(bytes, 3 * 34);
    assert_true(dtype_bytes(DTYPE_Q4_K, 512, &bytes));
    assert_int_equal(bytes, 2 * 144);
    assert_true(dtype_bytes(DTYPE_F32, 3, &bytes));
    assert_int_equal(bytes, 12);
    assert_false(dtype_bytes(DTYPE_Q8_0, 95, &bytes));
    assert_false(dtype_bytes(DTYPE_Q8_0, -32, &bytes));
    assert_false(dtype_bytes(DTYPE_F64, INT64_MAX / 4, &bytes));
    assert_true(dtype_shape_bytes(DTYPE_Q4_K, 2, whole, &bytes));
    assert_int_equal(bytes, 6 * 144);
    assert_false(dtype_shape_bytes(DTYPE_Q4_K, 2, cut, &bytes));
}

/* Half precision by its definition, in doubles. */
static double half_value(uint16_t h)
{
    int exponent = (h >> 10) & 31, fraction = h & 1023;
    double v = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return h & 0x8000 ? -v : v;
}

static void f16_exhaustive(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t h = (uint16_t)i;
        float f = f16_to_f32(h);
        if (((h >> 10) & 31) == 31) {
            assert_int_equal(isnan(f) != 0, (h & 1023) != 0);
            if (h & 1023) { /* made quiet, payload kept */
                assert_int_equal(f32_to_f16(f), h | 0x200);
                continue;
            }
            assert_true(isinf(f) && (signbit(f) != 0) == (h >> 15));
        } else {
            assert_true((double)f == half_value(h));
            assert_int_equal(signbit(f) != 0, h >> 15);
        }
        assert_int_equal(f32_to_f16(f), h);
    }
}

/* The nearest half of |x| by search among all of them, ties to the even one. */
static uint16_t half_nearest(float x)
{
    double v = fabs((double)x);
    if (v >= 65520.0) return 0x7c00;
    uint16_t low = 0, high = 0x7c00; /* half_value(0x7c00) would be 65536: right for this purpose */
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (half_value(middle) <= v)
            low = middle;
        else
            high = middle;
    }
    double below = v - half_value(low), above = half_value(high) - v;
    return below < above || (below == above && !(low & 1)) ? low : high;
}

static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    struct rng_key key = rng_key_make(3, RNG_TEST);
    for (uint32_t i = 0; i < 200000; i++) {
        const uint32_t counter[4] = {i, 0, 0, 0};
        uint32_t w[4];
        float f;
        rng_philox(key, counter, w);
        /* exponents around the half range, and every second time a tie */
        uint32_t bits = (w[0] & 0x807fffffu) | ((100 + w[1] % 45) << 23);
        if (w[2] & 1) bits &= 0xfffff000u;
        memcpy(&f, &bits, sizeof f);
        assert_int_equal(f32_to_f16(f), half_nearest(f) | (bits >> 16 & 0x8000u));
    }
    assert_int_equal(f32_to_f16(65504.0f), 0x7bff);
    assert_int_equal(f32_to_f16(65519.99f), 0x7bff);
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(f32_to_f16(-1e30f), 0xfc00);
    assert_int_equal(f32_to_f16(ldexpf(1, -25)), 0);
    assert_int_equal(f32_to_f16(nextafterf(ldexpf(1, -25), 1)), 1);
}

static void bf16_exhaustive(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t h = (uint16_t)i;
        float f = bf16_to_f32(h);
        if (isnan(f)) {
            assert_int_equal(f32_to_bf16(f), h | 0x40);
        } else {
            assert_int_equal(f32_to_bf16(f), h);
        }
    }
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7f80; h++) {
        uint32_t half = (h << 16) | 0x8000u, below = half - 1, above = half + 1;
        float f;
        memcpy(&f, &half, sizeof f);
        assert_int_equal(f32_to_bf16(f), h + (h & 1));
        memcpy(&f, &below, sizeof f);
        assert_int_equal(f32_to_bf16(f), h);
        memcpy(&f, &above, sizeof f);
        assert_int_equal(f32_to_bf16(f), h + 1);
    }
    uint32_t nan_low =
        0x7f800001u; /* the payload is all in the bits that go: must not become infinity */
    float f;
    memcpy(&f, &nan_low, sizeof f);
    assert_true(isnan(bf16_to_f32(f32_to_bf16(f))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),           cmocka_unit_test(blocks),
        cmocka_unit_test(f16_exhaustive),  cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_exhaustive), cmocka_unit_test(bf16_rounds_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
