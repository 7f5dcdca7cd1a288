/* SPDX-License-Identifier: Apache-2.0 */
/* test_rng.c: Philox against the known answers of Random123, and the shapes of what is drawn from
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "common/base/rng.h"

/* The philox4x32 10 lines of Random123's kat_vectors. */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rng_key key = {{cases[i].key[0], cases[i].key[1]}};
        uint32_t out[4];
        rng_philox(key, cases[i].counter, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void keys_differ(void **state)
{
    (void)state;
    uint64_t seen[64];
    int n = 0;
    for (uint64_t seed = 0; seed < 8; seed++)
        for (int purpose = 1; purpose <= 8; purpose++) {
            struct rng_key k = rng_key_make(seed, (enum rng_purpose)purpose);
            uint64_t v = ((uint64_t)k.k[1] << 32) | k.k[0];
            for (int i = 0; i < n; i++) assert_true(seen[i] != v);
            seen[n++] = v;
        }
}

static void uniform_is_uniform(void **state)
{
    (void)state;
    struct rng_key key = rng_key_make(1, RNG_TEST);
    enum { N = 100000 };
    double sum = 0;
    int bins[10] = {0};
    for (uint32_t i = 0; i < N; i++) {
        double u = rng_uniform(key, i, 0, 0, 0);
        assert_true(u >= 0 && u < 1);
        bins[(int)(u * 10)]++;
        sum += u;
    }
    assert_true(fabs(sum / N - 0.5) < 0.005);
    for (int i = 0; i < 10; i++) assert_in_range(bins[i], N / 10 - 500, N / 10 + 500);
    assert_true(rng_word_to_float(0xffffffffu) < 1.0f);
    assert_true(rng_words_to_double(0xffffffffu, 0xffffffffu) < 1.0);
}

static void normal_has_its_moments(void **state)
{
    (void)state;
    struct rng_key key = rng_key_make(2, RNG_TEST);
    enum { N = 50000 };
    double sum = 0, squares = 0, fourth = 0;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t counter[4] = {i, 7, 0, 0};
        float x[4];
        rng_normal4(key, counter, x);
        for (int j = 0; j < 4; j++) {
            double v = (double)x[j];
            assert_true(isfinite(v));
            sum += v;
            squares += v * v;
            fourth += v * v * v * v;
        }
    }
    assert_true(fabs(sum / (4 * N)) < 0.01);
    assert_true(fabs(squares / (4 * N) - 1) < 0.02);
    assert_true(fabs(fourth / (4 * N) - 3) < 0.15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(keys_differ),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(normal_has_its_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
