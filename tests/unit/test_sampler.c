/* SPDX-License-Identifier: Apache-2.0 */
/* test_sampler.c: the chain against what transformers makes of the same logits
 * (tests/parity/sampler_cases.json), and the draw from it against its probabilities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "common/base/pool.h"
#include "common/base/rng.h"
#include "common/use/sampler.h"

enum { MOST = 64 };

static struct pool *pool;
static struct kernels kernels;

static int open_kernels(void **state)
{
    struct errctx e = ERRCTX_INIT;
    (void)state;
    return pool_new(&e, 1, &pool) != ERR_OK || kernels_open(&e, "cpu", pool, &kernels) != ERR_OK;
}

static int close_kernels(void **state)
{
    (void)state;
    kernels_close(&kernels);
    pool_free(pool);
    return 0;
}

static size_t read_numbers(const json_t *array, double *out)
{
    size_t n = json_array_size(array);
    assert_in_range(n, 1, MOST);
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(array, i);
        out[i] = json_is_null(x) ? -INFINITY : json_number_value(x);
    }
    return n;
}

static double option(const json_t *options, const char *name, double otherwise)
{
    const json_t *x = json_object_get(options, name);
    return x ? json_number_value(x) : otherwise;
}

/* Scores after the chain as log-probabilities. */
static void normalise(double *score, size_t n)
{
    double best = -INFINITY, total = 0;
    for (size_t i = 0; i < n; i++) best = fmax(best, score[i]);
    for (size_t i = 0; i < n; i++) total += exp(score[i] - best);
    for (size_t i = 0; i < n; i++) score[i] -= best + log(total);
}

static void check_case(const json_t *c)
{
    const json_t *options = json_object_get(c, "options");
    struct sampler_cfg cfg = {
        .temperature = option(options, "temperature", 1),
        .top_k = (int64_t)option(options, "top_k", 0),
        .top_p = option(options, "top_p", 1),
        .min_p = option(options, "min_p", 0),
        .repetition = option(options, "repetition", 1),
        .chain = json_string_value(json_object_get(c, "chain")),
    };
    double numbers[MOST], expected[MOST], got[MOST];
    float logits[MOST];
    uint32_t history[MOST], id;
    size_t past = read_numbers(json_object_get(c, "history"), numbers);
    for (size_t i = 0; i < past; i++) history[i] = (uint32_t)numbers[i];
    size_t n = read_numbers(json_object_get(c, "logits"), numbers);
    for (size_t i = 0; i < n; i++) logits[i] = (float)numbers[i];
    assert_int_equal(n, read_numbers(json_object_get(c, "logprobs"), expected));

    struct errctx e = ERRCTX_INIT;
    struct sampler *s;
    assert_int_equal(sampler_new(&e, &kernels, &cfg, (int64_t)n, &s), ERR_OK);
    for (int twice = 0; twice < 2; twice++) { /* a sampler has no memory of its last draw */
        assert_int_equal(sampler_draw(&e, s, logits, history, past, 0.5, &id), ERR_OK);
        memcpy(got, sampler_scores(s), n * sizeof *got);
        normalise(got, n);
        for (size_t i = 0; i < n; i++) {
            if (expected[i] == -INFINITY)
                assert_true(got[i] == -INFINITY);
            else
                assert_true(fabs(got[i] - expected[i]) < 2e-6); /* theirs is in single precision */
        }
    }
    sampler_free(s);
}

static void as_transformers(void **state)
{
    (void)state;
    json_error_t error;
    json_t *root = json_load_file("tests/parity/sampler_cases.json", 0, &error);
    assert_non_null(root);
    const json_t *cases = json_object_get(root, "cases");
    assert_in_range(json_array_size(cases), 20, 1000);
    for (size_t i = 0; i < json_array_size(cases); i++) check_case(json_array_get(cases, i));
    json_decref(root);
}

static uint32_t draw(const struct sampler_cfg *cfg, const float *logits, size_t n, double u)
{
    struct errctx e = ERRCTX_INIT;
    struct sampler *s;
    uint32_t id = UINT32_MAX;
    assert_int_equal(sampler_new(&e, &kernels, cfg, (int64_t)n, &s), ERR_OK);
    assert_int_equal(sampler_draw(&e, s, logits, NULL, 0, u, &id), ERR_OK);
    sampler_free(s);
    return id;
}

static void greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
    struct sampler_cfg cfg = SAMPLER_CFG;
    cfg.temperature = 0;
    assert_int_equal(draw(&cfg, (float[]){1, 3, 2, 3}, 4, 0.99), 1);
    assert_int_equal(draw(&cfg, (float[]){-1, -1, -1}, 3, 0.99), 0);
    assert_int_equal(draw(&cfg, (float[]){-INFINITY, -1, -1}, 3, 0), 1);
}

/* With probabilities 1/2, 0, 1/4, 1/4 in order of ids the thresholds are 1/2 and 3/4. */
static void inverse_cdf_in_order_of_ids(void **state)
{
    (void)state;
    struct sampler_cfg cfg = SAMPLER_CFG;
    const float l = (float)log(2);
    float logits[4] = {l, -INFINITY, 0, 0};
    assert_int_equal(draw(&cfg, logits, 4, 0), 0);
    assert_int_equal(draw(&cfg, logits, 4, 0.4999), 0);
    assert_int_equal(draw(&cfg, logits, 4, 0.5001), 2);
    assert_int_equal(draw(&cfg, logits, 4, 0.7499), 2);
    assert_int_equal(draw(&cfg, logits, 4, 0.7501), 3);
    assert_int_equal(draw(&cfg, logits, 4, 1 - 0x1p-53), 3);
    assert_int_equal(draw(&cfg, (float[]){0, 0}, 2, 0.5), 1); /* [0, 1/2) is the first one's */
    logits[3] = -INFINITY; /* the last id has no share: rounding must not give it one */
    assert_int_equal(draw(&cfg, logits, 4, 1 - 0x1p-53), 2);
}

/* Drawn frequencies against probabilities: chi-square with 7 degrees of freedom, 0.1 % point. */
static void frequencies(void **state)
{
    (void)state;
    enum { N = 8, DRAWS = 20000 };
    const float logits[N] = {0.5f, -1, 2, 0, 0.25f, -2, 1, 1.5f};
    struct sampler_cfg cfg = SAMPLER_CFG;
    struct errctx e = ERRCTX_INIT;
    struct sampler *s;
    struct rng_key key = rng_key_make(5, RNG_TEST);
    double count[N] = {0}, chi = 0;
    assert_int_equal(sampler_new(&e, &kernels, &cfg, N, &s), ERR_OK);
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint32_t id = 0;
        double u = rng_uniform(key, i, 0, 0, 0);
        assert_int_equal(sampler_draw(&e, s, logits, NULL, 0, u, &id), ERR_OK);
        assert_true(sampler_drawn_logprob(s, logits, id) == sampler_logprob(s, logits, id));
        count[id]++;
    }
    for (uint32_t id = 0; id < N; id++) {
        double expected = DRAWS * exp(sampler_logprob(s, logits, id));
        chi += (count[id] - expected) * (count[id] - expected) / expected;
    }
    assert_true(chi < 24.3);
    sampler_exclude(s, 2);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t id = 0;
        assert_int_equal(sampler_draw(&e, s, logits, NULL, 0, i / 100.0, &id), ERR_OK);
        assert_true(id != 2);
        assert_true(sampler_drawn_logprob(s, logits, id) == sampler_logprob(s, logits, id));
    }
    sampler_free(s);
}

/* Three equal tokens and top-p 0.5: two of them, the lower ids. */
static void top_p_breaks_ties_by_id(void **state)
{
    (void)state;
    struct sampler_cfg cfg = SAMPLER_CFG;
    cfg.top_p = 0.5;
    const float logits[3] = {1, 1, 1};
    assert_int_equal(draw(&cfg, logits, 3, 0.49), 0);
    assert_int_equal(draw(&cfg, logits, 3, 0.999), 1);
}

static void excluded_is_never_drawn(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct sampler_cfg cfg = SAMPLER_CFG;
    const float logits[3] = {0, 9, 1};
    struct sampler *s;
    uint32_t id;
    for (cfg.temperature = 0; cfg.temperature <= 1; cfg.temperature++) {
        assert_int_equal(sampler_new(&e, &kernels, &cfg, 3, &s), ERR_OK);
        sampler_exclude(s, 1);
        assert_int_equal(sampler_draw(&e, s, logits, NULL, 0, 0.9, &id), ERR_OK);
        assert_int_equal(id, 2);
        sampler_exclude(s, 0);
        sampler_exclude(s, 2);
        assert_int_equal(sampler_draw(&e, s, logits, NULL, 0, 0.9, &id), ERR_INPUT);
        err_clear(&e);
        sampler_free(s);
    }
}

/* Within 2 units of the last place of the C library's, blocks whole and not. */
static void weights_are_exponentials(void **state)
{
    (void)state;
    enum { N = 5 * KERNEL_WEIGHTS + 7 };
    struct rng_key key = rng_key_make(6, RNG_TEST);
    double x[N], weight[N], sum[N / KERNEL_WEIGHTS + 1];
    const double tops[] = {0, 3, -1e4};
    for (uint32_t i = 0; i < N; i++)
        x[i] = i / KERNEL_WEIGHTS == 2 || i % 11 == 10
                   ? -INFINITY
                   : -exp(14 * rng_uniform(key, i, 0, 0, 0) - 7); /* to e^-1096 */
    x[5] = 0;
    for (size_t t = 0; t < ARRAY_LEN(tops); t++) {
        double y[N], total = 0;
        for (int i = 0; i < N; i++) y[i] = x[i] + tops[t];
        double got = kernels.softmax_weights(N, y, tops[t], weight, sum);
        for (int i = 0; i < N; i++) {
            double expected = y[i] - tops[t] < -708 ? 0 : exp(y[i] - tops[t]);
            assert_true(fabs(weight[i] - expected) <= 0x1p-51 * expected);
            total += expected;
        }
        assert_true(fabs(got - total) <= 1e-14 * total);
        assert_true(weight[5] == 1);
        assert_true(sum[2] == 0);
    }
}

static void bad_numbers(void **state)
{
    (void)state;
    struct sampler_cfg cfg = SAMPLER_CFG;
    struct errctx e = ERRCTX_INIT;
    struct sampler *s;
    uint32_t id;
    assert_int_equal(sampler_new(&e, &kernels, &cfg, 2, &s), ERR_OK);
    const float bad[][2] = {{NAN, 0}, {0, INFINITY}, {-INFINITY, -INFINITY}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(sampler_draw(&e, s, bad[i], NULL, 0, 0.5, &id), ERR_INPUT);
        err_clear(&e);
    }
    sampler_free(s);
}

static void bad_chains(void **state)
{
    (void)state;
    struct sampler_cfg cfg = SAMPLER_CFG;
    struct sampler *s;
    const char *const chains[] = {"top_k", "", "top-k,", "top-k,top-k", "llama.cpp,top-k"};
    for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
        struct errctx e = ERRCTX_INIT;
        cfg.chain = chains[i];
        assert_int_equal(sampler_new(&e, &kernels, &cfg, 2, &s), ERR_USAGE);
        assert_null(s);
    }
    struct errctx e = ERRCTX_INIT;
    cfg = SAMPLER_CFG;
    cfg.chain = "temperature,top-k";
    cfg.top_p = 0.9;
    assert_int_equal(sampler_new(&e, &kernels, &cfg, 2, &s), ERR_USAGE);
    assert_non_null(strstr(e.message, "--top-p has no effect"));
    e = ERRCTX_INIT;
    cfg = SAMPLER_CFG;
    cfg.temperature = 1e-9;
    assert_int_equal(sampler_new(&e, &kernels, &cfg, 2, &s), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers),
        cmocka_unit_test(greedy_takes_the_lowest_of_equals),
        cmocka_unit_test(inverse_cdf_in_order_of_ids),
        cmocka_unit_test(frequencies),
        cmocka_unit_test(top_p_breaks_ties_by_id),
        cmocka_unit_test(excluded_is_never_drawn),
        cmocka_unit_test(weights_are_exponentials),
        cmocka_unit_test(bad_numbers),
        cmocka_unit_test(bad_chains),
    };
    return cmocka_run_group_tests(tests, open_kernels, close_kernels);
}
