/* SPDX-License-Identifier: Apache-2.0 */
/* test_statistics.c: bootstrap intervals against what theory says of them, and their independence
 * of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/judge/statistics.h"

static struct pool *pool_of(int threads)
{
    struct errctx e = ERRCTX_INIT;
    struct pool *p = NULL;
    assert_int_equal(pool_new(&e, threads, &p), ERR_OK);
    return p;
}

static struct interval mean_interval(struct pool *p, const double *x, int64_t n,
                                     struct bootstrap_cfg cfg)
{
    struct errctx e = ERRCTX_INIT;
    struct interval out;
    double *units = NULL;
    assert_int_equal(mem_new(&e, &units, (size_t)n * 2, sizeof *units, "test"), ERR_OK);
    for (int64_t i = 0; i < n; i++) {
        units[2 * i] = x[i];
        units[2 * i + 1] = 1;
    }
    const struct bootstrap_ratio r = {0, 1};
    assert_int_equal(bootstrap_ratios(&e, p, units, n, 2, &r, 1, &cfg, &out), ERR_OK);
    mem_free(units);
    return out;
}

static void normals(uint32_t stream, int64_t n, double *out)
{
    struct rng_key key = rng_key_make(3, RNG_TEST);
    for (int64_t i = 0; i < n; i++) {
        const uint32_t counter[4] = {(uint32_t)i, stream, 0, 0};
        float four[4];
        rng_normal4(key, counter, four);
        out[i] = four[0];
    }
}

/* For a mean, the interval is the mean -+ 1.96 s / sqrt(n); 4000 resamples know its ends to a few
 * percent. */
static void mean_as_theory(void **state)
{
    (void)state;
    enum { N = 400 };
    double x[N], mean = 0, square = 0;
    normals(1, N, x);
    for (int i = 0; i < N; i++) mean += x[i] / N;
    for (int i = 0; i < N; i++) square += (x[i] - mean) * (x[i] - mean) / N;
    double half = 1.959964 * sqrt(square / N);
    struct pool *p = pool_of(2);
    struct interval got = mean_interval(p, x, N, (struct bootstrap_cfg){4000, 0.95, 1});
    assert_true(fabs(got.value - mean) < 1e-12);
    assert_true(fabs(got.low - (mean - half)) < 0.12 * half);
    assert_true(fabs(got.high - (mean + half)) < 0.12 * half);
    double wide = got.high - got.low;
    got = mean_interval(p, x, N, (struct bootstrap_cfg){4000, 0.5, 1});
    assert_true(fabs((got.high - got.low) / wide - 0.67449 / 1.959964) < 0.03);
    pool_free(p);
}

/* Of 300 intervals at 90 %, about 270 hold the truth (standard deviation 5.2; the method is a
 * little narrow at n = 60). */
static void coverage(void **state)
{
    (void)state;
    enum { N = 60, TRIALS = 300 };
    struct pool *p = pool_of(2);
    int held = 0;
    for (uint32_t t = 0; t < TRIALS; t++) {
        double x[N];
        normals(100 + t, N, x);
        struct interval got = mean_interval(p, x, N, (struct bootstrap_cfg){400, 0.9, t});
        held += got.low <= 0 && 0 <= got.high;
    }
    assert_in_range(held, 248, 288);
    pool_free(p);
}

/* A ratio of sums: proportional columns give the same ratio in every resample. */
static void constant_ratio(void **state)
{
    (void)state;
    const double units[] = {1, 2, 3, 6, 10, 20, 0.5, 1};
    const struct bootstrap_ratio r[] = {{0, 1}, {1, 0}};
    struct interval out[2];
    struct errctx e = ERRCTX_INIT;
    struct pool *p = pool_of(1);
    const struct bootstrap_cfg cfg = {100, 0.95, 0};
    assert_int_equal(bootstrap_ratios(&e, p, units, 4, 2, r, 2, &cfg, out), ERR_OK);
    assert_true(out[0].value == 0.5 && out[0].low == 0.5 && out[0].high == 0.5);
    assert_true(out[1].value == 2 && out[1].low == 2 && out[1].high == 2);
    pool_free(p);
}

static void threads_and_seed(void **state)
{
    (void)state;
    enum { N = 101 };
    double x[N];
    normals(2, N, x);
    struct pool *one = pool_of(1), *four = pool_of(4);
    struct interval a = mean_interval(one, x, N, (struct bootstrap_cfg){500, 0.95, 7});
    struct interval b = mean_interval(four, x, N, (struct bootstrap_cfg){500, 0.95, 7});
    struct interval c = mean_interval(four, x, N, (struct bootstrap_cfg){500, 0.95, 8});
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.low != c.low && a.value == c.value);
    pool_free(one);
    pool_free(four);
}

static void too_little(void **state)
{
    (void)state;
    struct pool *p = pool_of(1);
    const struct bootstrap_cfg cfg = {100, 0.95, 0};
    struct interval got = mean_interval(p, (double[]){4}, 1, cfg);
    assert_true(got.value == 4 && isnan(got.low) && isnan(got.high));
    got = mean_interval(p, (double[]){4, 5}, 2, (struct bootstrap_cfg){0, 0.95, 0});
    assert_true(got.value == 4.5 && isnan(got.low));
    /* half of the units count nothing: resamples made of them only are left out */
    const double units[] = {3, 1, 0, 0};
    const struct bootstrap_ratio r = {0, 1};
    struct errctx e = ERRCTX_INIT;
    assert_int_equal(bootstrap_ratios(&e, p, units, 2, 2, &r, 1, &cfg, &got), ERR_OK);
    assert_true(got.value == 3 && got.low == 3 && got.high == 3);
    const double nothing[] = {0, 0, 0, 0};
    assert_int_equal(bootstrap_ratios(&e, p, nothing, 2, 2, &r, 1, &cfg, &got), ERR_OK);
    assert_true(isnan(got.value) && isnan(got.low));
    pool_free(p);
}

static void quantiles(void **state)
{
    (void)state;
    const double x[] = {1, 2, 4, 8};
    assert_true(statistics_quantile(x, 4, 0) == 1 && statistics_quantile(x, 4, 1) == 8);
    assert_true(statistics_quantile(x, 4, 0.5) == 3);
    assert_true(fabs(statistics_quantile(x, 4, 0.9) - 6.8) < 1e-12); /* numpy.quantile(x, 0.9) */
    assert_true(statistics_quantile(x, 1, 0.3) == 1);
    assert_true(isnan(statistics_quantile(x, 0, 0.5)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_as_theory), cmocka_unit_test(coverage),
        cmocka_unit_test(constant_ratio), cmocka_unit_test(threads_and_seed),
        cmocka_unit_test(too_little),     cmocka_unit_test(quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
