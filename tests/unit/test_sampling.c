/* SPDX-License-Identifier: Apache-2.0 */
/* test_sampling.c: exactly N rows in order, each as probable as any other, pairs too; the same in
 * any memory; smaller ones within larger ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/flow/sampling.h"
#include "tests/thin.h"
#include "tests/unit/rows_fixture.h"

static char path[64];

struct sampling {
    struct sampling *sample;
    struct stream_writer *writer;
};

static void add_rows(void *ctx, const struct stream_rows *rows)
{
    struct errctx e = ERRCTX_INIT;
    struct sampling *s = ctx;
    if (sampling_add(&e, s->sample, rows, s->writer) != ERR_OK) fail_msg("%s", e.message);
}

static void sample_to(struct stream_writer *w, const struct sampling_cfg *cfg,
                      const uint64_t *values, int64_t n)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_begin b;
    struct sampling s = {.writer = w};
    struct stream_expect expect;
    rows_fixture_begin(&b);
    assert_int_equal(sampling_new(&e, cfg, &b, "test", &s.sample), ERR_OK);
    rows_fixture_each(values, n, add_rows, &s);
    if (cfg->rows != OPT_UNSET) {
        assert_int_equal(sampling_settle(&e, s.sample, &expect), ERR_OK);
        assert_int_equal(expect.rows, cfg->rows < n ? cfg->rows : n);
        assert_int_equal(sampling_write(&e, s.sample, w), ERR_OK);
    }
    sampling_free(s.sample);
    stream_begin_fini(&b);
}

static uint64_t *sampled(const struct sampling_cfg *cfg, int64_t n, int64_t *count)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_writer *w = rows_fixture_writer(path, 0);
    uint64_t *values = malloc(sizeof *values * (size_t)(n + 1));
    assert_non_null(values);
    for (int64_t i = 0; i < n; i++) values[i] = (uint64_t)i;
    sample_to(w, cfg, values, n);
    free(values);
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    uint64_t *out = rows_fixture_read(path, count);
    unlink(path);
    for (int64_t i = 1; i < *count; i++) assert_true(out[i - 1] < out[i]);
    return out;
}

static struct sampling_cfg by_rows(int64_t rows, int64_t seed, int64_t memory)
{
    struct sampling_cfg cfg = SAMPLING_CFG;
    cfg.rows = rows;
    cfg.seed = seed;
    cfg.memory = memory;
    return cfg;
}

/* All of small are in large, both ascending. */
static void assert_within(const uint64_t *small, int64_t n, const uint64_t *large, int64_t m)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        while (k < m && large[k] < small[i]) k++;
        assert_true(k < m && large[k] == small[i]);
    }
}

static void so_many_rows(void **state)
{
    const int64_t n = 60000, sizes[] = {0, 1, 100, 30000, 59999, 60000, 70000};
    uint64_t *before = NULL;
    int64_t before_count = 0;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct sampling_cfg large = by_rows(sizes[i], 3, 1 << 30),
                            small = by_rows(sizes[i], 3, 1 << 20);
        int64_t count, again;
        uint64_t *x = sampled(&large, n, &count), *y = sampled(&small, n, &again);
        assert_int_equal(count, sizes[i] < n ? sizes[i] : n);
        assert_int_equal(again, count);
        assert_memory_equal(x, y, sizeof *x * (size_t)count);
        assert_within(before, before_count, x, count);
        free(before);
        free(y);
        before = x;
        before_count = count;
    }
    free(before);
}

/* So many rows that several keys fall into one bin of the histogram. */
static void many_rows(void **state)
{
    const int64_t n = 400000;
    struct sampling_cfg cfg = by_rows(1000, 3, 1 << 20);
    (void)state;
    for (cfg.rows = 1000; cfg.rows < (thin_any() ? 1001 : 1010); cfg.rows++) {
        int64_t count;
        free(sampled(&cfg, n, &count));
        assert_int_equal(count, cfg.rows);
    }
}

static void fractions(void **state)
{
    const int64_t n = 50000;
    uint64_t *before = NULL;
    int64_t before_count = 0;
    (void)state;
    for (int i = 0; i <= 4; i++) {
        struct sampling_cfg cfg = SAMPLING_CFG;
        int64_t count;
        cfg.fraction = 0.25 * i;
        uint64_t *x = sampled(&cfg, n, &count);
        double deviation = sqrt((double)n * cfg.fraction * (1 - cfg.fraction));
        assert_true(fabs((double)count - (double)n * cfg.fraction) <= 4.5 * deviation);
        assert_within(before, before_count, x, count);
        free(before);
        before = x;
        before_count = count;
    }
    free(before);
}

/* Chi-square over the 10 pairs of five rows, many seeds; 9 degrees of freedom. The bound is passed
 * one time in 100,000. */
static void pairs_are_uniform(void **state)
{
    const int seeds = thin_any() ? 200 : 2000;
    const uint64_t values[] = {0, 1, 2, 3, 4};
    struct errctx e = ERRCTX_INIT;
    struct stream_writer *w = rows_fixture_writer(path, 0);
    int64_t count;
    int seen[5][5] = {0};
    double statistic = 0, expected = seeds / 10.0;
    (void)state;
    for (int seed = 0; seed < seeds; seed++) {
        struct sampling_cfg cfg = by_rows(2, seed, 1 << 20);
        sample_to(w, &cfg, values, 5);
    }
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    uint64_t *all = rows_fixture_read(path, &count);
    unlink(path);
    assert_int_equal(count, 2 * seeds);
    for (int64_t i = 0; i < count; i += 2) seen[all[i]][all[i + 1]]++;
    for (int i = 0; i < 5; i++)
        for (int k = i + 1; k < 5; k++)
            statistic += (seen[i][k] - expected) * (seen[i][k] - expected) / expected;
    if (statistic > 40.8) fail_msg("chi-square of pairs: %g", statistic);
    free(all);
}

static void says_how_much(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct sampling_cfg cfg = SAMPLING_CFG;
    (void)state;
    assert_int_equal(sampling_cfg_check(&e, &cfg), ERR_USAGE);
    err_clear(&e);
    cfg.rows = 1;
    assert_int_equal(sampling_cfg_check(&e, &cfg), ERR_OK);
    cfg.fraction = 0.5;
    assert_int_equal(sampling_cfg_check(&e, &cfg), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_rows),  cmocka_unit_test(many_rows),
        cmocka_unit_test(fractions),     cmocka_unit_test(pairs_are_uniform),
        cmocka_unit_test(says_how_much),
    };
    snprintf(path, sizeof path, "/tmp/graft-test-sample-%ld.tokens", (long)getpid());
    return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
