/* SPDX-License-Identifier: Apache-2.0 */
/* test_mixing.c: shares hold at every place of the output, each source comes in its own order,
 * framing does not matter, and each way to end ends so. */
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

#include "common/flow/mixing.h"
#include "tests/unit/rows_fixture.h"
#include "tests/unit/scratch.h"

/* Source k holds the numbers k * 1000000 and on. */
enum { STRIDE = 1000000 };

static void make_source(const char *path, uint64_t k, int64_t n, size_t record_bytes)
{
    uint64_t *values = malloc(sizeof *values * (size_t)(n + 1));
    assert_non_null(values);
    for (int64_t i = 0; i < n; i++) values[i] = k * STRIDE + (uint64_t)i;
    rows_fixture_write(path, values, n, record_bytes);
    free(values);
}

/* What comes out of "a:WEIGHT" ...; each source is seen to come in order. */
static uint64_t *mixed(const struct mixing_cfg *cfg, size_t n, const char **operands,
                       int64_t *count)
{
    struct errctx e = ERRCTX_INIT;
    struct opt_list list = {.items = operands, .count = n};
    struct stream_reader_cfg reader = STREAM_READER_CFG;
    struct mixing_sources m;
    struct run run;
    uint64_t bytes = 0;
    struct stream_writer *w = rows_fixture_writer("out", 0);
    reader.threads = 0;
    assert_int_equal(run_init(&e, &run, "test", "0"), ERR_OK);
    assert_int_equal(mixing_sources_parse(&e, &list, &m), ERR_OK);
    if (mixing_sources_open(&e, &m, &run, &reader) != ERR_OK) fail_msg("%s", e.message);
    if (mixing_run(&e, cfg, &m, w, &bytes) != ERR_OK) fail_msg("%s", e.message);
    mixing_sources_close(&m);
    run_fini(&run);
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    uint64_t *out = rows_fixture_read("out", count), next[8] = {0};
    unlink("out");
    for (int64_t i = 0; i < *count; i++) {
        assert_true(out[i] % STRIDE >= next[out[i] / STRIDE]);
        next[out[i] / STRIDE] = out[i] % STRIDE + 1;
    }
    return out;
}

/* Beyond the slack a source may be ahead by a row, and behind by what the others are ahead. */
static void assert_shares(const uint64_t *out, int64_t n, const double *shares, bool tokens,
                          double slack)
{
    double taken[3] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double amount = tokens ? (double)rows_fixture_length(out[i]) : 1;
        taken[out[i] / STRIDE] += amount;
        sum += amount;
        for (int k = 0; k < 3; k++)
            if (fabs(taken[k] - shares[k] * sum) > slack)
                fail_msg("row %ld: source %d has %g of %g", (long)i, k, taken[k], sum);
    }
}

static void shares_hold(void **state)
{
    const double shares[] = {0.7, 0.25, 0.05};
    struct mixing_cfg cfg = MIXING_CFG;
    int64_t count, again;
    (void)state;
    make_source("a", 0, 30000, 0);
    make_source("b", 1, 30000, 0);
    make_source("c", 2, 30000, 0);
    const char *operands[] = {"a:0.7", "b:0.25", "c:0.05"};
    cfg.by = MIXING_BY_ROWS;
    uint64_t *x = mixed(&cfg, 3, operands, &count);
    assert_shares(x, count, shares, false, 66);
    assert_true(count > 30000 / 0.7 - 200 && count < 30000 / 0.7 + 200);
    make_source("a", 0, 30000, 1000); /* other frames, other multiples: the same */
    const char *multiples[] = {"a:14", "b:5", "c:1"};
    uint64_t *y = mixed(&cfg, 3, multiples, &again);
    assert_int_equal(count, again);
    assert_memory_equal(x, y, sizeof *x * (size_t)count);
    free(y);
    cfg.seed = 1;
    y = mixed(&cfg, 3, operands, &again);
    assert_memory_not_equal(x, y, sizeof *x * 1000);
    free(x);
    free(y);
    cfg.by = MIXING_BY_TOKENS;
    x = mixed(&cfg, 3, operands, &count);
    assert_shares(x, count, shares, true, 65536 + 2 * 64);
    double tokens[3] = {0};
    for (int64_t i = 0; i < count; i++) tokens[x[i] / STRIDE] += (double)rows_fixture_length(x[i]);
    assert_true(fabs(tokens[1] / tokens[0] - 0.25 / 0.7) < 0.05);
    free(x);
}

/* Rows of 0 to 7 tokens against rows of 56 to 63: tokens are what is shared out. */
static void lengths_do_not_matter(void **state)
{
    enum { ROWS = 60000 };
    const double shares[] = {0.5, 0.5, 0};
    const char *operands[] = {"a:1", "b:1"};
    struct mixing_cfg cfg = MIXING_CFG;
    uint64_t *values = malloc(sizeof *values * ROWS);
    int64_t count;
    (void)state;
    assert_non_null(values);
    for (uint64_t k = 0; k < 2; k++) {
        uint64_t v = k * STRIDE;
        for (int64_t n = 0; n < ROWS; v++)
            if (rows_fixture_length(v) / 8 == (k ? 7 : 0)) values[n++] = v;
        rows_fixture_write(k ? "b" : "a", values, ROWS, 0);
    }
    uint64_t *x = mixed(&cfg, 2, operands, &count);
    assert_shares(x, count, shares, true, 65536 + 64);
    assert_true(count > ROWS); /* a is used up, and b has come */
    free(x);
    free(values);
}

/* No fixed pattern: of two equal sources the same one comes twice running about half of the time.
 */
static void draws_are_random(void **state)
{
    struct mixing_cfg cfg = MIXING_CFG;
    const char *operands[] = {"a:1", "b:1"};
    int64_t count, running = 0;
    (void)state;
    cfg.by = MIXING_BY_ROWS;
    cfg.rows = 20000;
    uint64_t *x = mixed(&cfg, 2, operands, &count);
    assert_int_equal(count, 20000);
    for (int64_t i = 1; i < count; i++) running += x[i] / STRIDE == x[i - 1] / STRIDE;
    assert_in_range(running, 9500, 10500);
    free(x);
}

static void ways_to_end(void **state)
{
    struct mixing_cfg cfg = MIXING_CFG;
    const char *operands[] = {"a:3", "b:1", "c:1"};
    int64_t count, seen[3] = {0}, tokens = 0;
    (void)state;
    make_source("a", 0, 2000, 0);
    make_source("b", 1, 0, 0);
    make_source("c", 2, 5000, 0);
    cfg.stop = MIXING_STOP_ALL;
    uint64_t *x = mixed(&cfg, 3, operands, &count);
    assert_int_equal(count, 7000); /* in order, so each once */
    for (int64_t i = 0; i < count; i++) seen[x[i] / STRIDE]++;
    assert_int_equal(seen[0], 2000);
    assert_int_equal(seen[2], 5000);
    free(x);
    cfg.rows = 50000;
    free(mixed(&cfg, 3, operands, &count));
    assert_int_equal(count, 7000);
    cfg.rows = OPT_UNSET;
    cfg.tokens = 10000;
    x = mixed(&cfg, 3, operands, &count);
    for (int64_t i = 0; i < count; i++) {
        assert_true(tokens < 10000);
        tokens += rows_fixture_length(x[i]);
    }
    assert_true(tokens >= 10000);
    free(x);
    cfg = MIXING_CFG;
    free(mixed(&cfg, 3, operands, &count)); /* ends when b is drawn */
    assert_in_range(count, 0, 100);
    unlink("a");
    unlink("b");
    unlink("c");
}

static void operands_are_checked(void **state)
{
    const char *bad[] = {"a", "a:", ":1", "a:x", "a:0", "a:-1", "a:inf", "a:nan", "a:1x"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct errctx e = ERRCTX_INIT;
        struct opt_list list = {.items = &bad[i], .count = 1};
        struct mixing_sources m;
        if (mixing_sources_parse(&e, &list, &m) != ERR_USAGE) fail_msg("'%s' passes", bad[i]);
        mixing_sources_close(&m);
    }
    for (int small = 0; small < 2; small++) { /* what cannot be honoured is not raised in silence */
        const char *operands[] = {"a:2", small ? "b:1e-6" : "b:4e-6", "c:1"};
        struct errctx e = ERRCTX_INIT;
        struct opt_list list = {.items = operands, .count = 3};
        struct mixing_sources m;
        assert_int_equal(mixing_sources_parse(&e, &list, &m), small ? ERR_USAGE : ERR_OK);
        if (small) assert_non_null(strstr(e.message, "'b'"));
        mixing_sources_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_hold),          cmocka_unit_test(lengths_do_not_matter),
        cmocka_unit_test(draws_are_random),     cmocka_unit_test(ways_to_end),
        cmocka_unit_test(operands_are_checked),
    };
    return cmocka_run_group_tests_name("mix", tests, scratch_enter, scratch_leave_empty);
}
