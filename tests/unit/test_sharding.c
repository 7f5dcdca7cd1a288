/* SPDX-License-Identifier: Apache-2.0 */
/* test_sharding.c: every row in one part, documents on one side, sizes as asked; all parts or none.
 */
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

#include "common/flow/sharding.h"
#include "tests/unit/rows_fixture.h"
#include "tests/unit/scratch.h"

static void add_rows(void *s, const struct stream_rows *rows)
{
    struct errctx e = ERRCTX_INIT;
    if (sharding_add(&e, s, rows) != ERR_OK) fail_msg("%s", e.message);
}

/* Divides the numbers from 0 to n - 1; `finish`: to the end. The error of whichever step failed. */
static enum err divide(struct errctx *e, const struct sharding_cfg *cfg, int64_t n, bool finish)
{
    struct stream_begin b;
    struct stream_writer_cfg writer = STREAM_WRITER_CFG;
    struct sharding *s = NULL;
    struct run run;
    writer.threads = 0;
    rows_fixture_begin(&b);
    enum err r = run_init(e, &run, "test", "0");
    if (r == ERR_OK) r = sharding_cfg_check(e, cfg);
    if (r == ERR_OK) r = sharding_new(e, cfg, &run, &b, "test", &writer, &s);
    if (r == ERR_OK) {
        uint64_t *values = malloc(sizeof *values * (size_t)(n + 1));
        assert_non_null(values);
        for (int64_t i = 0; i < n; i++) values[i] = (uint64_t)i;
        rows_fixture_each(values, n, add_rows, s);
        free(values);
        int64_t rows = 0;
        uint64_t bytes = 0;
        if (finish) r = sharding_finish(e, s, &rows, &bytes);
        assert_int_equal(rows, finish && r == ERR_OK ? n : 0);
        assert_int_equal(bytes > 0, rows > 0);
    }
    sharding_free(s);
    run_fini(&run);
    stream_begin_fini(&b);
    return r;
}

static struct sharding_cfg split(const char *text, int64_t seed)
{
    struct sharding_cfg cfg = SHARDING_CFG;
    cfg.split = text;
    cfg.directory = "out";
    cfg.seed = seed;
    return cfg;
}

static void must(const struct sharding_cfg *cfg, int64_t n)
{
    struct errctx e = ERRCTX_INIT;
    if (divide(&e, cfg, n, true) != ERR_OK) fail_msg("%s", e.message);
}

/* Reads and removes a part. */
static uint64_t *take(const char *path, int64_t *count)
{
    uint64_t *values = rows_fixture_read(path, count);
    assert_int_equal(unlink(path), 0);
    for (int64_t i = 1; i < *count; i++) assert_true(values[i - 1] < values[i]);
    return values;
}

static void named_split(void **state)
{
    const int64_t n = 40000;
    const char *names[] = {"out/a.tokens", "out/b.tokens", "out/c.tokens"};
    const double fractions[] = {0.8, 0.15, 0.05};
    struct sharding_cfg cfg = split("a=0.8,b=0.15,c=0.05", 1);
    int side[40000 / 4] = {0};
    int64_t total = 0;
    (void)state;
    must(&cfg, n);
    for (int p = 0; p < 3; p++) {
        int64_t count;
        uint64_t *values = take(names[p], &count);
        double expected = fractions[p] * (double)n,
               deviation = sqrt(4 * (double)n * fractions[p] * (1 - fractions[p]));
        assert_true(fabs((double)count - expected) < 4.5 * deviation);
        for (int64_t i = 0; i < count; i++) {
            int *s = &side[values[i] / 4]; /* cuts of a document keep together */
            if (*s == 0) *s = p + 1;
            assert_int_equal(*s, p + 1);
        }
        total += count;
        free(values);
    }
    assert_int_equal(total, n);
    assert_int_equal(rmdir("out"), 0);
}

/* A document's side does not depend on what else there is; the seed changes it. */
static void sides_are_kept(void **state)
{
    struct sharding_cfg first = split("a=0.5,b=0.5", 1), second = split("a=0.5,b=0.5", 2);
    int64_t few, many, other;
    (void)state;
    must(&first, 1000);
    uint64_t *x = take("out/a.tokens", &few);
    must(&first, 2000);
    uint64_t *y = take("out/a.tokens", &many);
    assert_true(few < many);
    assert_memory_equal(x, y, sizeof *x * (size_t)few);
    must(&second, 2000);
    uint64_t *z = take("out/a.tokens", &other);
    assert_memory_not_equal(y, z, sizeof *y * 100);
    free(x);
    free(y);
    free(z);
    assert_int_equal(unlink("out/b.tokens"), 0);
    assert_int_equal(rmdir("out"), 0);
}

/* Numbered parts joined are the input; the raw size of a row is 16 + 2 per id. */
static void numbered(void **state)
{
    (void)state;
    for (int by_size = 0; by_size < 2; by_size++) {
        struct sharding_cfg cfg = SHARDING_CFG;
        uint64_t next = 0;
        cfg.directory = "out/";
        if (by_size)
            cfg.size = 5000;
        else
            cfg.count = 70;
        must(&cfg, 1000);
        for (int p = 0; next < 1000; p++) {
            char path[32];
            int64_t count, bytes = 0;
            snprintf(path, sizeof path, "out/part-%05d.tokens", p);
            uint64_t *values = take(path, &count);
            for (int64_t i = 0; i < count; i++, next++) {
                assert_int_equal(values[i], next);
                bytes += 16 + 2 * rows_fixture_length(next);
            }
            if (by_size) {
                assert_true(bytes <= 5000);
                if (next < 1000) assert_true(bytes + 16 + 2 * rows_fixture_length(next) > 5000);
            } else if (next < 1000) {
                assert_int_equal(count, 70);
            }
            free(values);
        }
        assert_int_equal(rmdir("out"), 0);
    }
}

/* About equal parts; documents whole. */
static void equal_parts(void **state)
{
    enum { PARTS = 40, ROWS = 40000 };
    struct sharding_cfg cfg = SHARDING_CFG;
    int side[ROWS / 4] = {0}, total = 0;
    (void)state;
    cfg.directory = "out";
    cfg.parts = PARTS;
    must(&cfg, ROWS);
    for (int p = 0; p < PARTS; p++) {
        char path[32];
        int64_t count;
        snprintf(path, sizeof path, "out/part-%05d.tokens", p);
        uint64_t *values = take(path, &count);
        assert_in_range(count, 750, 1250);
        for (int64_t i = 0; i < count; i++) {
            int *s = &side[values[i] / 4];
            if (*s == 0) *s = p + 1;
            assert_int_equal(*s, p + 1);
        }
        total += (int)count;
        free(values);
    }
    assert_int_equal(total, ROWS);
    assert_int_equal(rmdir("out"), 0);
}

static void a_row_larger_than_a_part(void **state)
{
    struct sharding_cfg cfg = SHARDING_CFG;
    char path[32];
    (void)state;
    cfg.directory = "out";
    cfg.size = 1;
    must(&cfg, 5);
    for (int p = 0; p < 5; p++) {
        int64_t count;
        snprintf(path, sizeof path, "out/part-%05d.tokens", p);
        free(take(path, &count));
        assert_int_equal(count, 1);
    }
    assert_int_equal(rmdir("out"), 0);
}

/* Without an end nothing appears, not even the directory, and what was there stays. */
static void all_or_nothing(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct sharding_cfg cfg = split("a=0.5,b=0.5", 1);
    int64_t count;
    (void)state;
    assert_int_equal(divide(&e, &cfg, 100, false), ERR_OK);
    assert_int_not_equal(access("out", F_OK), 0);
    must(&cfg, 100);
    assert_int_equal(divide(&e, &cfg, 5000, false), ERR_OK);
    uint64_t *x = take("out/a.tokens", &count), *y;
    int64_t a = count;
    y = take("out/b.tokens", &count);
    assert_int_equal(a + count, 100);
    free(x);
    free(y);
    assert_int_equal(rmdir("out"), 0);
}

/* Parts of a longer run would be read with those of this one. */
static void leftovers_are_refused(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct sharding_cfg cfg = SHARDING_CFG;
    int64_t count;
    (void)state;
    cfg.directory = "out";
    cfg.count = 10;
    must(&cfg, 25);
    assert_int_equal(divide(&e, &cfg, 15, true), ERR_USAGE);
    assert_non_null(strstr(e.message, "out/part-00002.tokens"));
    free(take("out/part-00000.tokens", &count));
    uint64_t *x = take("out/part-00001.tokens", &count);
    assert_int_equal(count, 10); /* the old one */
    free(x);
    free(take("out/part-00002.tokens", &count));
    assert_int_equal(rmdir("out"), 0);
}

static void bad_requests(void **state)
{
    const char *bad[] = {"a=0.5",          "a=0.5,b=0.6", "a=0.5,a=0.5",   "a",     "a=x,b=1",
                         "../a=0.5,b=0.5", "=1",          "a=1,b=0",       "a=1,",  "",
                         ".a=1",           "-a=1",        "a/b=0.5,c=0.5", "a=nan", "a=0.5;b=0.5"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct errctx e = ERRCTX_INIT;
        struct sharding_cfg cfg = split(bad[i], 0);
        if (divide(&e, &cfg, 1, true) != ERR_USAGE) fail_msg("'%s' passes", bad[i]);
        assert_int_not_equal(access("out", F_OK), 0);
    }
    struct errctx e = ERRCTX_INIT;
    struct sharding_cfg cfg = split("a=1", 0);
    cfg.count = 3;
    assert_int_equal(divide(&e, &cfg, 1, true), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_split),    cmocka_unit_test(sides_are_kept),
        cmocka_unit_test(numbered),       cmocka_unit_test(a_row_larger_than_a_part),
        cmocka_unit_test(all_or_nothing), cmocka_unit_test(leftovers_are_refused),
        cmocka_unit_test(equal_parts),    cmocka_unit_test(bad_requests),
    };
    return cmocka_run_group_tests_name("shard", tests, scratch_enter, scratch_leave_empty);
}
