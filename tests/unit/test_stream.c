/* SPDX-License-Identifier: Apache-2.0 */
/* test_stream.c: what is written comes back, whatever the framing, threads and way of handing in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/stream_cases.h"

static char scratch[64];

static int enter_scratch(void **state)
{
    (void)state;
    snprintf(scratch, sizeof scratch, "/tmp/graft-test-stream-XXXXXX");
    return mkdtemp(scratch) && chdir(scratch) == 0 ? 0 : -1;
}

static int leave_scratch(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return chdir("/") == 0 ? system(command) : -1;
}

static struct case_cfg plain(enum stream_kind kind)
{
    return (struct case_cfg){.kind = kind, .rows = 500, .batch = 64, .level = STREAM_LEVEL_DEFAULT};
}

static struct bytes slurp(const char *path)
{
    struct errctx e = ERRCTX_INIT;
    struct bytes b = {0};
    assert_int_equal(io_slurp(&e, path, 1 << 26, &b), ERR_OK);
    return b;
}

static void assert_same_file(const char *a, const char *b)
{
    struct bytes x = slurp(a), y = slurp(b);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    bytes_fini(&x);
    bytes_fini(&y);
}

/* ------------------------------------------------------------------ round trips */

static void test_every_kind(void **state)
{
    (void)state;
    for (int kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        struct case_cfg cfg = plain((enum stream_kind)kind);
        uint8_t id[16], other[16];
        case_write("a", &cfg, id);
        case_check("a", &cfg, 1, 0);
        cfg.level = 9;
        cfg.record_bytes = 700;
        cfg.long_every = 50;
        case_write("b", &cfg, other);
        case_check("b", &cfg, 1, 3);
        if (!cfg.long_every) assert_memory_equal(id, other, 16);
    }
}

/* Framing and id follow from the content: not from threads, nor from how rows were handed in. */
static void test_same_bytes(void **state)
{
    (void)state;
    static const int threads[] = {0, 1, 4};
    static const int64_t batches[] = {0, 1, 7, 500};
    for (int kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        struct case_cfg cfg = plain((enum stream_kind)kind);
        cfg.record_bytes = 1000;
        cfg.long_every = 90;
        case_write("first", &cfg, NULL);
        for (size_t t = 0; t < 3; t++)
            for (size_t k = 0; k < 4; k++) {
                cfg.threads = threads[t];
                cfg.batch = batches[k];
                case_write("again", &cfg, NULL);
                assert_same_file("first", "again");
            }
    }
}

static void test_id_free_of_framing(void **state)
{
    (void)state;
    static const size_t records[] = {16, 100, 5000, 0};
    static const int levels[] = {0, 1, 19};
    for (int kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        struct case_cfg cfg = plain((enum stream_kind)kind);
        uint8_t id[16], other[16];
        cfg.long_every = 100;
        case_write("a", &cfg, id);
        for (size_t i = 0; i < 4; i++) {
            cfg.record_bytes = records[i];
            cfg.level = levels[i % 3];
            case_write("b", &cfg, other);
            assert_memory_equal(id, other, 16);
            case_check("b", &cfg, 1, 2);
        }
        cfg.rows++;
        case_write("b", &cfg, other);
        if (kind == STREAM_TOKENS) assert_memory_not_equal(id, other, 16);
    }
}

static void test_empty(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_TOKENS);
    cfg.rows = 0;
    case_write("a", &cfg, NULL);
    struct errctx e = ERRCTX_INIT;
    struct stream_reader *r;
    enum stream_event event;
    assert_int_equal(stream_reader_open(&e, NULL, "input", "a", NULL, &r), ERR_OK);
    assert_int_equal(stream_reader_next(&e, r, &event, NULL, NULL), ERR_OK);
    assert_int_equal(event, STREAM_EVENT_END);
    assert_int_equal(stream_reader_summary(r)->rows, 0);
    assert_int_equal(stream_reader_rows_total(r), 0);
    assert_int_equal(stream_reader_seek(&e, r, 0), ERR_OK);
    assert_int_equal(stream_reader_next(&e, r, &event, NULL, NULL), ERR_OK);
    assert_int_equal(event, STREAM_EVENT_END);
    stream_reader_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_id_free_of_framing),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
