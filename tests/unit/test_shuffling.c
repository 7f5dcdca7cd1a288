/* SPDX-License-Identifier: Apache-2.0 */
/* test_shuffling.c: the order is a permutation, depends on seed and content only, scatters copies,
 * is the same spilled or not, and is uniform. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/flow/shuffling.h"
#include "tests/thin.h"
#include "tests/unit/rows_fixture.h"

static char path[64];

static void add_rows(void *s, const struct stream_rows *rows)
{
    struct errctx e = ERRCTX_INIT;
    if (shuffling_add(&e, s, rows) != ERR_OK) fail_msg("%s", e.message);
}

/* Ends the stream and gives all its values. */
static uint64_t *values_of(struct stream_writer *w, int64_t *count)
{
    struct errctx e = ERRCTX_INIT;
    if (stream_writer_commit(&e, w) != ERR_OK) fail_msg("%s", e.message);
    uint64_t *all = rows_fixture_read(path, count);
    unlink(path);
    return all;
}

static struct shuffling *shuffle_make(int64_t seed, int64_t epochs, int64_t memory)
{
    struct errctx e = ERRCTX_INIT;
    struct shuffling_cfg cfg = {.seed = seed, .epochs = epochs, .memory = memory};
    struct stream_begin b;
    struct shuffling *s;
    rows_fixture_begin(&b);
    assert_int_equal(shuffling_new(&e, &cfg, &b, "test", 0, &s), ERR_OK);
    stream_begin_fini(&b);
    return s;
}

/* The shuffled values; *spilled (may be NULL) tells whether TMPDIR was used. */
static uint64_t *shuffled(const uint64_t *values, int64_t n, int64_t seed, int64_t epochs,
                          int64_t memory, bool *spilled)
{
    struct errctx e = ERRCTX_INIT;
    struct shuffling *s = shuffle_make(seed, epochs, memory);
    int64_t count;
    rows_fixture_each(values, n, add_rows, s);
    struct stream_expect x = shuffling_expect(s);
    int64_t tokens = 0;
    for (int64_t i = 0; i < n; i++) tokens += rows_fixture_length(values[i]);
    assert_int_equal(x.rows, n * epochs);
    assert_int_equal(x.tokens, tokens * epochs);
    struct stream_writer *w = rows_fixture_writer(path, 0);
    if (shuffling_write(&e, s, w) != ERR_OK) fail_msg("%s", e.message);
    if (spilled) *spilled = shuffling_spilled(s) > 0;
    shuffling_free(s);
    uint64_t *out = values_of(w, &count);
    assert_int_equal(count, n * epochs);
    return out;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void assert_same_values(const uint64_t *a, const uint64_t *b, int64_t n)
{
    size_t bytes = sizeof *a * (size_t)n;
    uint64_t *x = malloc(bytes + 1), *y = malloc(bytes + 1);
    assert_non_null(x);
    assert_non_null(y);
    memcpy(x, a, bytes);
    memcpy(y, b, bytes);
    qsort(x, (size_t)n, sizeof *x, compare);
    qsort(y, (size_t)n, sizeof *y, compare);
    assert_memory_equal(x, y, bytes);
    free(x);
    free(y);
}

/* n values, every `copies` of them equal, in a jumbled order that depends on `turn`. */
static uint64_t *values_make(int64_t n, int64_t copies, uint64_t turn)
{
    uint64_t *v = malloc(sizeof *v * (size_t)n);
    assert_non_null(v);
    for (int64_t i = 0; i < n; i++) v[i] = (uint64_t)(i / copies);
    for (int64_t i = n - 1; i > 0 && turn > 0; i--) {
        int64_t k = rows_fixture_random((uint32_t)i, (uint32_t)turn) % (i + 1);
        uint64_t t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
    return v;
}

static const int64_t mebi = 1 << 20;

/* For several kinds of input: a permutation; the order of arrival and memory do not matter; the
 * seed does. */
static void exercise(int64_t n, int64_t copies, bool must_spill)
{
    uint64_t *a = values_make(n, copies, 0), *b = values_make(n, copies, 5);
    bool spilled;
    uint64_t *x = shuffled(a, n, 3, 1, 256 * mebi, &spilled);
    size_t bytes = sizeof *x * (size_t)n;
    assert_false(spilled);
    assert_same_values(a, x, n);
    uint64_t *y = shuffled(b, n, 3, 1, mebi, &spilled);
    assert_int_equal(spilled, must_spill);
    assert_memory_equal(x, y, bytes);
    uint64_t *z = shuffled(a, n, 4, 1, mebi, NULL);
    if (n / copies > 20) assert_memory_not_equal(x, z, bytes);
    free(a);
    free(b);
    free(x);
    free(y);
    free(z);
}

static void any_rows(void **state)
{
    (void)state;
    exercise(1, 1, false);
    exercise(2, 1, false);
    exercise(500, 1, false);
    exercise(500, 7, false);
}

static void spilled_is_the_same(void **state)
{
    (void)state;
    exercise(20000, 1, true);
    exercise(20000, 3, true);
    if (thin_any()) return;
    exercise(100000, 1, true); /* buckets of more than their share are dealt again */
    exercise(140000, 2, true); /* more rows in a bucket than the table of copies holds */
}

/* One row 60,000 times over, and everything in one bucket at first. */
static void one_row_many_times(void **state)
{
    (void)state;
    exercise(60000, 60000, true);
    exercise(60000, 20000, true);
}

/* One row 60,000 times among 10,000 others: whether its copies are counted as they come, or found
 * later because the table was full by then, is all the same. */
static void copies_early_or_late(void **state)
{
    enum { N = 70000 };
    uint64_t *a = values_make(N, 1, 0), *b = values_make(N, 1, 0);
    (void)state;
    for (int i = 10000; i < N; i++) a[i] = 10000; /* the others first */
    memcpy(b, a + 10000, sizeof *b * (N - 10000));
    memcpy(b + N - 10000, a, sizeof *b * 10000);
    uint64_t *x = shuffled(a, N, 3, 2, 256 * mebi, NULL), *y = shuffled(a, N, 3, 2, mebi, NULL),
             *z = shuffled(b, N, 3, 2, mebi, NULL);
    assert_memory_equal(x, y, 2 * N * sizeof *x);
    assert_memory_equal(x, z, 2 * N * sizeof *x);
    free(a);
    free(b);
    free(x);
    free(y);
    free(z);
}

static void no_rows(void **state)
{
    uint64_t none = 0;
    (void)state;
    free(shuffled(&none, 0, 1, 2, mebi, NULL));
}

/* Of 1000 rows five times each about 4 stand beside a copy by chance; were copies to stay together,
 * 4000 would. */
static void copies_scatter(void **state)
{
    (void)state;
    uint64_t *a = values_make(5000, 5, 0), *x = shuffled(a, 5000, 1, 1, mebi, NULL);
    int beside = 0;
    for (int i = 1; i < 5000; i++) beside += x[i] == x[i - 1];
    assert_in_range(beside, 0, 15);
    free(a);
    free(x);
}

/* Each epoch is a permutation of its own, the same for any number of epochs and any memory. */
static void epochs(void **state)
{
    const int64_t n = 12000;
    const size_t bytes = sizeof(uint64_t) * (size_t)n;
    bool spilled;
    (void)state;
    uint64_t *a = values_make(n, 2, 0), *b = values_make(n, 2, 9);
    uint64_t *x = shuffled(a, n, 8, 3, 64 * mebi, &spilled);
    assert_false(spilled);
    uint64_t *y = shuffled(b, n, 8, 3, mebi, &spilled);
    assert_true(spilled);
    uint64_t *z = shuffled(b, n, 8, 1, mebi, NULL);
    assert_memory_equal(x, y, 3 * bytes);
    assert_memory_equal(x, z, bytes);
    for (int i = 0; i < 3; i++) {
        assert_same_values(a, x + i * n, n);
        assert_memory_not_equal(x + i * n, x + (i + 1) % 3 * n, bytes);
    }
    free(a);
    free(b);
    free(x);
    free(y);
    free(z);
}

/* Chi-square over the orders of four rows, for many seeds and 2 epochs; of two equal rows among
 * them there are 12 orders. The bounds are those that chance passes one time in 100,000. */
static void chi_square(const uint64_t values[4], int orders, double bound)
{
    const int seeds = thin_any() ? 240 : 2400;
    struct stream_writer *w = rows_fixture_writer(path, 0);
    int64_t count;
    int seen[256] = {0};
    double statistic = 0, expected = 2.0 * seeds / orders;
    for (int seed = 0; seed < seeds; seed++) {
        struct errctx e = ERRCTX_INIT;
        struct shuffling *s = shuffle_make(seed, 2, mebi);
        rows_fixture_each(values, 4, add_rows, s);
        assert_int_equal(shuffling_write(&e, s, w), ERR_OK);
        shuffling_free(s);
    }
    uint64_t *all = values_of(w, &count);
    assert_int_equal(count, 8 * seeds);
    for (int64_t i = 0; i < count; i += 4)
        seen[all[i] << 6 | all[i + 1] << 4 | all[i + 2] << 2 | all[i + 3]]++;
    int different = 0;
    for (int i = 0; i < 256; i++) {
        if (!seen[i]) continue;
        different++;
        statistic += (seen[i] - expected) * (seen[i] - expected) / expected;
    }
    assert_int_equal(different, orders);
    if (statistic > bound) fail_msg("chi-square of %d orders: %g", orders, statistic);
    free(all);
}

static void uniform(void **state)
{
    (void)state;
    chi_square((const uint64_t[]){0, 1, 2, 3}, 24, 64.2);
    chi_square((const uint64_t[]){0, 1, 1, 3}, 12, 44.3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_rows),
        cmocka_unit_test(any_rows),
        cmocka_unit_test(copies_scatter),
        cmocka_unit_test(uniform),
        cmocka_unit_test(epochs),
        cmocka_unit_test(spilled_is_the_same),
        cmocka_unit_test(one_row_many_times),
        cmocka_unit_test(copies_early_or_late),
    };
    snprintf(path, sizeof path, "/tmp/graft-test-shuffle-%ld.tokens", (long)getpid());
    return cmocka_run_group_tests_name("shuffle", tests, NULL, NULL);
}
