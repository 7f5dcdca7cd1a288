/* SPDX-License-Identifier: Apache-2.0 */
/* test_values.c: weights of every stored type as F32: blocks to the bit what gguf-py makes of them
 * (tests/parity/value_cases.json, make_value_cases.py), and what is not finite counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "common/base/attr.h"
#include "formats/mp_json.h"
#include "common/base/rng.h"
#include "kernels/values.h"

enum { BLOCKS = 2 };

static void get_hex(const json_t *test, const char *key, void *out, size_t n)
{
    const char *text = json_string_value(json_object_get(test, key));
    assert_non_null(text);
    assert_true(hex_parse(text, out, n));
}

static void blocks_are_gguf_pys(void **state)
{
    (void)state;
    json_t *root = json_load_file("tests/parity/value_cases.json", 0, NULL);
    int types = 0;
    assert_non_null(root);
    for (enum dtype t = DTYPE_NONE; t < DTYPE_COUNT; t++) {
        uint8_t blocks[BLOCKS * DTYPE_UNIT_LIMIT];
        float want[BLOCKS * DTYPE_UNIT_LIMIT], got[BLOCKS * DTYPE_UNIT_LIMIT];
        if (!dtype_is_blocks(t) || t == DTYPE_NF4 || t == DTYPE_NF4_DQ) continue;
        const json_t *test = json_object_get(root, dtype_name(t));
        const int64_t n = BLOCKS * dtype_unit(t);
        get_hex(test, "blocks", blocks, dtype_offset(t, n));
        get_hex(test, "values", want, (size_t)n * sizeof *want);
        values_to_f32(t, blocks, n, got);
        for (int64_t i = 0; i < n; i++)
            if (memcmp(&got[i], &want[i], sizeof *got) != 0)
                fail_msg("%s, value %d: %a is not %a", dtype_name(t), (int)i, (double)got[i],
                         (double)want[i]);
        types++;
    }
    assert_int_equal(types, 8);
    json_decref(root);
}

static void floats(void **state)
{
    (void)state;
    static const double d[] = {1.5, 1e300, -2};
    static const uint16_t half[] = {0x3c00, 0x7c00, 0x7e01}, brain[] = {0x3f80, 0x7fc0, 0xc000};
    float f[3];
    values_to_f32(DTYPE_F64, d, 3, f);
    assert_true(f[0] == 1.5f && isinf(f[1]) && f[2] == -2);
    assert_int_equal(values_not_finite(DTYPE_F64, d, 3), 1);
    values_to_f32(DTYPE_BF16, brain, 3, f);
    assert_true(f[0] == 1 && isnan(f[1]) && f[2] == -2);
    assert_int_equal(values_not_finite(DTYPE_F16, half, 3), 2);
    values_to_f32(DTYPE_F32, f, 1, f + 2);
    assert_true(f[2] == 1);
}

static void not_finite_of_blocks(void **state)
{
    (void)state;
    uint8_t blocks[20 * 34] = {0};
    const uint16_t nan = 0x7e00;
    memcpy(blocks + 17 * 34, &nan, sizeof nan);
    assert_int_equal(values_not_finite(DTYPE_Q8_0, blocks, 640), 32);
}

/* Bytes of any kind, with many exponents of ones among them: as many as a look at each finds. */
static void not_finite_of_every_type(void **state)
{
    (void)state;
    enum { UNITS = 64, BYTES = 256 };
    struct rng_key key = rng_key_make(3, RNG_SHUFFLE);
    for (enum dtype t = DTYPE_NONE; t < DTYPE_COUNT; t++) {
        _Alignas(16) uint8_t bytes[UNITS * BYTES];
        float values[UNITS * DTYPE_UNIT_LIMIT];
        static const uint16_t nans[] = {0x7fc0, 0x7fc0};
        int64_t found = 0;
        if (!dtype_is_float(t) && (!dtype_is_blocks(t) || t == DTYPE_NF4_DQ)) continue;
        const int64_t n = UNITS * dtype_unit(t);
        assert_true(dtype_unit_bytes(t) <= BYTES);
        for (size_t i = 0; i < sizeof bytes; i += 16) {
            const uint32_t counter[4] = {(uint32_t)i, (uint32_t)t, 0, 0};
            rng_philox(key, counter, (uint32_t *)(void *)(bytes + i));
            for (size_t k = 0; k < 16; k += 4)
                if (bytes[i + k] < 80) memcpy(bytes + i + k, nans, sizeof nans);
        }
        values_to_f32(t, bytes, n, values);
        for (int64_t i = 0; i < n; i++) found += !isfinite(values[i]);
        if (values_not_finite(t, bytes, n) != found || found == 0 || found == n)
            fail_msg("%s: %d of %d, not %d", dtype_name(t), (int)values_not_finite(t, bytes, n),
                     (int)n, (int)found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_gguf_pys),
        cmocka_unit_test(floats),
        cmocka_unit_test(not_finite_of_blocks),
        cmocka_unit_test(not_finite_of_every_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
