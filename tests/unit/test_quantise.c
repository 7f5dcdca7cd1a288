/* SPDX-License-Identifier: Apache-2.0 */
/* test_quantise.c: blocks have the bytes that gguf-py makes of the same rows
 * (tests/parity/quantise_cases.json), and what cannot be stored is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/quantise.h"
#include "kernels/values.h"

static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1};
enum { TYPES = sizeof types / sizeof types[0], BLOCK_BYTES = 36 };

/* Of the types above: values of a block. */
enum { BLOCK = 32 };

static size_t from_hex(const char *hex, void *out)
{
    const size_t n = strlen(hex) / 2;
    uint8_t *to = out;
    for (size_t i = 0; i < n; i++) {
        const char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
        to[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

static void same_bytes_as_gguf(void **state)
{
    json_error_t error;
    json_t *root = json_load_file("tests/parity/quantise_cases.json", 0, &error), *test;
    size_t i;
    (void)state;
    assert_non_null(root);
    assert_true(json_array_size(json_object_get(root, "cases")) > 20);
    json_array_foreach(json_object_get(root, "cases"), i, test)
    {
        float row[BLOCK];
        uint8_t want[BLOCK_BYTES], have[BLOCK_BYTES];
        assert_int_equal(from_hex(json_string_value(json_object_get(test, "row")), row),
                         sizeof row);
        for (int t = 0; t < TYPES; t++) {
            const json_t *hex = json_object_get(test, dtype_name(types[t]));
            const size_t n = from_hex(json_string_value(hex), want);
            assert_int_equal(n, dtype_unit_bytes(types[t]));
            (void)quantise_row(types[t], row, BLOCK, have);
            if (memcmp(want, have, n) != 0)
                fail_msg("%s, %s", json_string_value(json_object_get(test, "name")),
                         dtype_name(types[t]));
        }
    }
    json_decref(root);
}

/* Half a step at most; and of what is a block already, nothing. */
static void errors(void **state)
{
    float row[4 * BLOCK], back[4 * BLOCK], again[4 * BLOCK];
    uint8_t blocks[4 * BLOCK_BYTES];
    (void)state;
    for (int t = 0; t < TYPES; t++) {
        const float step = types[t] == DTYPE_Q8_0   ? 2.0f / 254
                           : types[t] == DTYPE_Q4_0 ? 1.0f / 8
                                                    : 2.0f / 15;
        for (int i = 0; i < 4 * BLOCK; i++) row[i] = sinf((float)i * 1.7f) * (i % 3 ? 1.0f : -0.5f);
        assert_true(quantise_can(types[t]));
        assert_int_equal(quantise_row(types[t], row, 4 * BLOCK, blocks), -1);
        values_to_f32(types[t], blocks, 4 * BLOCK, back);
        for (int i = 0; i < 4 * BLOCK; i++)
            assert_true(fabsf(row[i] - back[i]) <= step * (types[t] == DTYPE_Q4_0 ? 1.05f : 0.6f));
        assert_int_equal(quantise_row(types[t], back, 4 * BLOCK, blocks), -1);
        values_to_f32(types[t], blocks, 4 * BLOCK, again);
        for (int i = 0; i < 4 * BLOCK; i++) assert_true(fabsf(again[i] - back[i]) <= 2e-3f);
    }
    assert_true(quantise_can(DTYPE_NF4));
    assert_false(quantise_can(DTYPE_F16));
    assert_false(quantise_can(DTYPE_Q6_K));
}

static void too_large(void **state)
{
    float row[3 * BLOCK] = {0};
    uint8_t blocks[3 * BLOCK_BYTES];
    (void)state;
    for (int t = 0; t < TYPES; t++) {
        row[2 * BLOCK - 1] = 1e30f;
        assert_int_equal(quantise_row(types[t], row, 3 * BLOCK, blocks), BLOCK);
        row[2 * BLOCK - 1] = 60000;
        assert_int_equal(quantise_row(types[t], row, 3 * BLOCK, blocks), -1);
    }
    row[0] = -70000; /* a minimum that F16 cannot hold */
    assert_int_equal(quantise_row(DTYPE_Q4_1, row, 3 * BLOCK, blocks), 0);
    assert_int_equal(quantise_row(DTYPE_Q8_0, row, 3 * BLOCK, blocks), -1);
}

/* Blocks, their scales in 8 bits, and the values of both: as bitsandbytes has them. The mean scale
 * is rounded in the order of torch's sums, so it may differ in its last bit. */
static void same_bytes_as_bitsandbytes(void **state)
{
    json_error_t error;
    json_t *root = json_load_file("tests/parity/nf4_cases.json", 0, &error), *test;
    size_t i;
    (void)state;
    assert_non_null(root);
    assert_true(json_array_size(json_object_get(root, "cases")) > 5);
    json_array_foreach(json_object_get(root, "cases"), i, test)
    {
        enum { MOST = 300 };
        static float row[MOST * 64], values[MOST * 64], back[MOST * 64], scales[4], want_scales[4];
        static uint8_t codes[MOST * 32], doubled[MOST * 33], blocks[MOST * 36], again[MOST * 36];
        float absmax[MOST];
        uint8_t absmax8[MOST];
        const char *name = json_string_value(json_object_get(test, "name"));
        const int64_t n =
            (int64_t)from_hex(json_string_value(json_object_get(test, "row")), row) / 256;
        from_hex(json_string_value(json_object_get(test, "codes")), codes);
        from_hex(json_string_value(json_object_get(test, "absmax")), absmax);
        from_hex(json_string_value(json_object_get(test, "absmax8")), absmax8);
        from_hex(json_string_value(json_object_get(test, "scales")), want_scales);
        from_hex(json_string_value(json_object_get(test, "values")), values);
        assert_int_equal(quantise_row(DTYPE_NF4, row, n * 64, blocks), -1);
        quantise_scales(blocks, n, doubled, scales);
        for (int64_t b = 0; b < n; b++) {
            if (memcmp(blocks + b * 36, &absmax[b], 4) ||
                memcmp(blocks + b * 36 + 4, codes + b * 32, 32))
                fail_msg("%s: block %d", name, (int)b);
            if (doubled[b * 33] != absmax8[b] || memcmp(doubled + b * 33 + 1, codes + b * 32, 32))
                fail_msg("%s: doubled block %d", name, (int)b);
        }
        for (int64_t s = 0; s < dtype_scales(n * 64); s++)
            assert_true(fabsf(scales[s] - want_scales[s]) <= 2e-7f * fabsf(want_scales[0]));
        quantise_restore(doubled, 0, n, want_scales, again);
        values_to_f32(DTYPE_NF4, again, n * 64, back);
        assert_memory_equal(back, values, (size_t)n * 64 * sizeof *back);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_as_gguf),
        cmocka_unit_test(same_bytes_as_bitsandbytes),
        cmocka_unit_test(errors),
        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
