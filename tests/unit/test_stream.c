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
#include "tests/unit/scratch.h"

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
    assert_int_equal(stream_reader_rewind(&e, r), ERR_OK);
    assert_int_equal(stream_reader_next(&e, r, &event, NULL, NULL), ERR_OK);
    assert_int_equal(event, STREAM_EVENT_END);
    stream_reader_close(r);
}

/* ------------------------------------------------------------------ joined segments */

static void join_files(const char *to, const char *const *from, size_t n)
{
    FILE *out = fopen(to, "wb");
    for (size_t i = 0; i < n; i++) {
        struct bytes b = slurp(from[i]);
        assert_int_equal(fwrite(b.data, 1, b.len, out), b.len);
        bytes_fini(&b);
    }
    assert_int_equal(fclose(out), 0);
}

static struct stream_reader *open_reader(struct run *run, const char *path, int threads)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY, .threads = threads};
    struct stream_reader *r;
    enum err code = stream_reader_open(&e, run, "input", path, &cfg, &r);
    assert_string_equal(e.message, "");
    assert_int_equal(code, ERR_OK);
    return r;
}

static void read_to_end(struct stream_reader *r)
{
    struct errctx e = ERRCTX_INIT;
    enum stream_event event = STREAM_EVENT_ROWS;
    while (event != STREAM_EVENT_END)
        if (stream_reader_next(&e, r, &event, NULL, NULL) != ERR_OK) fail_msg("%s", e.message);
}

/* The joined id is that of one stream with all the rows, and so is what copying makes of it. */
static void test_joined(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_TOKENS);
    cfg.record_bytes = 2000;
    cfg.long_every = 77;
    case_write("a", &cfg, NULL);
    join_files("aaa", (const char *const[]){"a", "a", "a"}, 3);
    case_check("aaa", &cfg, 3, 0);
    case_check("aaa", &cfg, 3, 2);

    struct errctx e = ERRCTX_INIT;
    struct stream_reader *r = open_reader(NULL, "aaa", 2);
    struct stream_writer *w;
    assert_int_equal(stream_reader_rows_total(r), 3 * cfg.rows);
    assert_int_equal(stream_reader_begin(r)->expect.rows, 3 * cfg.rows);
    assert_int_equal(stream_writer_open(&e, NULL, "one", stream_reader_begin(r), NULL, &w), ERR_OK);
    assert_int_equal(stream_copy(&e, r, w), ERR_OK);
    uint8_t id[16];
    stream_reader_digest(r, id);
    assert_memory_equal(id, stream_reader_summary(r)->id, 16);
    assert_int_equal(stream_writer_finish(&e, w), ERR_OK);
    assert_memory_equal(id, stream_writer_summary(w)->id, 16);
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    stream_reader_close(r);
    r = open_reader(NULL, "one", 0);
    read_to_end(r);
    assert_int_equal(stream_reader_summary(r)->segments, 1);
    assert_memory_equal(id, stream_reader_summary(r)->id, 16);
    stream_reader_close(r);
}

static void test_joined_differ(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_FEATURES);
    struct errctx e = ERRCTX_INIT;
    enum stream_event event = STREAM_EVENT_ROWS;
    case_write("f", &cfg, NULL);
    cfg.kind = STREAM_LOGITS;
    case_write("l", &cfg, NULL);
    cfg.kind = STREAM_MODEL;
    case_write("m", &cfg, NULL);
    static const char *const pairs[][2] = {{"f", "l"}, {"m", "m"}};
    static const char *const says[] = {"kind differs", "cannot be joined"};
    for (int i = 0; i < 2; i++) {
        join_files("both", pairs[i], 2);
        struct stream_reader *r = open_reader(NULL, "both", i);
        e = ERRCTX_INIT;
        while (e.code == ERR_OK && event != STREAM_EVENT_END)
            (void)!stream_reader_next(&e, r, &event, NULL, NULL);
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.message, says[i])) fail_msg("%s", e.message);
        stream_reader_close(r);
        e = ERRCTX_INIT;
        struct stream_begin begin;
        struct stream_summary summary;
        struct lineage lineage;
        assert_int_equal(stream_glance(&e, "both", &begin, &summary, &lineage), ERR_INPUT);
    }
}

static void test_segments_demanded(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_FEATURES);
    struct stream_reader_cfg rc = {.kind = STREAM_ANY, .segments = 3};
    struct errctx e = ERRCTX_INIT;
    struct stream_reader *r;
    enum stream_event event = STREAM_EVENT_ROWS;
    case_write("f", &cfg, NULL);
    join_files("ff", (const char *const[]){"f", "f"}, 2);
    assert_int_equal(stream_reader_open(&e, NULL, "input", "ff", &rc, &r), ERR_OK);
    while (e.code == ERR_OK && event != STREAM_EVENT_END)
        (void)!stream_reader_next(&e, r, &event, NULL, NULL);
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.message, "2 segments, 3 were demanded"));
    stream_reader_close(r);
}

/* ------------------------------------------------------------------ once more */

/* Begun again after any number of rows, after the end and after draining: the same rows, counts and
 * id; in one segment and in three, with long rows. */
static void rewinds(const char *path, const struct case_cfg *cfg, int64_t segments)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader *r = open_reader(NULL, path, 1);
    struct stream_rows rows;
    enum stream_event event;
    uint8_t id[16];
    read_to_end(r);
    memcpy(id, stream_reader_summary(r)->id, 16);
    for (int64_t k = 0; k <= segments * cfg->rows; k += 7) {
        if (stream_reader_rewind(&e, r) != ERR_OK) fail_msg("%s", e.message);
        for (int64_t seen = 0; seen < k; seen += rows.n) {
            assert_int_equal(stream_reader_next(&e, r, &event, &rows, NULL), ERR_OK);
            assert_int_equal(rows.first, seen);
        }
        if (k % 2) assert_int_equal(stream_reader_drain(&e, r), ERR_OK);
        assert_int_equal(stream_reader_rewind(&e, r), ERR_OK);
        read_to_end(r);
        assert_int_equal(stream_reader_summary(r)->rows, segments * cfg->rows);
        assert_int_equal(stream_reader_summary(r)->segments, segments);
        assert_memory_equal(stream_reader_summary(r)->id, id, 16);
    }
    stream_reader_close(r);
}

static void test_rewind(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_TOKENS);
    cfg.rows = 60;
    cfg.record_bytes = 900;
    cfg.long_every = 13;
    case_write("a", &cfg, NULL);
    join_files("aaa", (const char *const[]){"a", "a", "a"}, 3);
    rewinds("a", &cfg, 1);
    rewinds("aaa", &cfg, 3);
}

/* ------------------------------------------------------------------ digests */

/* The digest of k rows is the id of the stream of k rows, however the longer one is framed. */
static void test_digest_at(void **state)
{
    (void)state;
    static const size_t records[] = {100, 3000, 0};
    struct case_cfg cfg = plain(STREAM_TOKENS);
    uint8_t ids[61][16], digest[16];
    for (int64_t k = 0; k <= 60; k++) {
        cfg.rows = k;
        cfg.long_every = 11;
        case_write("k", &cfg, ids[k]);
    }
    for (size_t i = 0; i < 3; i++) {
        struct errctx e = ERRCTX_INIT;
        struct stream_rows rows;
        enum stream_event event;
        cfg.record_bytes = records[i];
        case_write("all", &cfg, NULL);
        struct stream_reader *r = open_reader(NULL, "all", 0);
        stream_reader_digest(r, digest);
        assert_memory_equal(digest, ids[0], 16);
        for (;;) {
            assert_int_equal(stream_reader_next(&e, r, &event, &rows, NULL), ERR_OK);
            if (event == STREAM_EVENT_END) break;
            for (int64_t k = rows.first; k <= rows.first + rows.n; k++) {
                stream_reader_digest_at(r, k, digest);
                assert_memory_equal(digest, ids[k], 16);
            }
        }
        stream_reader_digest(r, digest);
        assert_memory_equal(digest, ids[60], 16);
        assert_memory_equal(digest, stream_reader_summary(r)->id, 16);
        stream_reader_close(r);
    }
}

/* ------------------------------------------------------------------ lineage */

static void finish_run(struct run *run, const char *path, const struct stream_begin *b,
                       struct lineage *out)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_writer *w;
    struct stream_begin begin;
    struct stream_summary summary;
    assert_int_equal(stream_writer_open(&e, run, path, b, NULL, &w), ERR_OK);
    if (stream_writer_commit(&e, w) != ERR_OK) fail_msg("%s", e.message);
    assert_int_equal(stream_glance(&e, path, &begin, &summary, out), ERR_OK);
    stream_begin_fini(&begin);
}

/* Reading through, draining a file and draining a pipe record the same input; segments are inputs
 * each. */
static void test_lineage_of_input(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_FEATURES);
    struct stream_begin b;
    uint8_t first[16];
    case_begin(&b, STREAM_FEATURES);
    case_write("f", &cfg, NULL);
    join_files("in", (const char *const[]){"f", "f"}, 2);
    for (int how = 0; how < 3; how++) {
        struct errctx e = ERRCTX_INIT;
        struct run run;
        struct lineage l;
        assert_int_equal(run_init(&e, &run, "test", "1"), ERR_OK);
        struct stream_reader *r = open_reader(&run, "in", 0);
        if (how == 0) read_to_end(r);
        if (how == 1) assert_int_equal(stream_reader_drain(&e, r), ERR_OK);
        if (how == 2) assert_int_equal(stream_reader_check(&e, r), ERR_OK);
        stream_reader_close(r);
        finish_run(&run, "out", &b, &l);
        assert_int_equal(l.count, 2);
        const struct lineage_step *s = &l.steps[1];
        assert_string_equal(s->program, "test");
        assert_int_equal(s->inputs_count, 2);
        assert_string_equal(s->inputs[0].name, "in");
        assert_int_equal(s->inputs[1].rows, cfg.rows);
        assert_memory_equal(s->inputs[1].content, l.steps[0].output, 16);
        assert_memory_equal(s->inputs[1].step, l.steps[0].id, 16);
        if (how == 0) memcpy(first, s->id, 16);
        assert_memory_equal(first, s->id, 16);
        lineage_fini(&l);
        run_fini(&run);
    }
    stream_begin_fini(&b);
}

/* What is recorded of a partial input does not depend on its framing. */
static void test_lineage_of_part(void **state)
{
    (void)state;
    static const size_t records[] = {0, 120};
    struct stream_begin b;
    uint8_t first[16], third[16];
    case_begin(&b, STREAM_FEATURES);
    struct case_cfg cfg = plain(STREAM_FEATURES);
    cfg.rows = 3;
    case_write("three", &cfg, third);
    cfg.rows = 300;
    for (int i = 0; i < 2; i++) {
        struct errctx e = ERRCTX_INIT;
        struct run run;
        struct lineage l;
        enum stream_event event;
        cfg.record_bytes = records[i];
        case_write("in", &cfg, NULL);
        assert_int_equal(run_init(&e, &run, "test", "1"), ERR_OK);
        struct stream_reader *r = open_reader(&run, "in", 2);
        assert_int_equal(stream_reader_next(&e, r, &event, NULL, NULL), ERR_OK);
        assert_int_equal(stream_reader_stop_at(&e, r, 3), ERR_OK);
        stream_reader_close(r);
        finish_run(&run, "out", &b, &l);
        const struct lineage_input *in = &l.steps[0].inputs[0];
        assert_true(in->partial);
        assert_int_equal(in->rows, 3);
        assert_memory_equal(in->content, third, 16);
        if (i == 0) memcpy(first, l.steps[0].id, 16);
        assert_memory_equal(first, l.steps[0].id, 16);
        lineage_fini(&l);
        run_fini(&run);
    }
    stream_begin_fini(&b);
}

/* An input that was opened and not read to its end must not pass silently. */
static void test_unread_input(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_FEATURES);
    struct errctx e = ERRCTX_INIT;
    struct run run;
    struct stream_begin b;
    struct stream_writer *w;
    case_begin(&b, STREAM_FEATURES);
    case_write("in", &cfg, NULL);
    assert_int_equal(run_init(&e, &run, "test", "1"), ERR_OK);
    struct stream_reader *r = open_reader(&run, "in", 0);
    assert_int_equal(stream_writer_open(&e, &run, "unread", &b, NULL, &w), ERR_OK);
    assert_int_equal(stream_writer_commit(&e, w), ERR_IO);
    assert_non_null(strstr(e.message, "was not read to its end"));
    assert_int_not_equal(access("unread", F_OK), 0);
    stream_reader_close(r);
    run_fini(&run);
    stream_begin_fini(&b);
}

/* ------------------------------------------------------------------ pipes */

struct feeder {
    int fd;
    const uint8_t *data;
    size_t n, step;
};

static void *feed(void *arg)
{
    struct feeder *f = arg;
    for (size_t at = 0; at < f->n; at += f->step) {
        size_t n = f->n - at < f->step ? f->n - at : f->step;
        assert_int_equal(write(f->fd, f->data + at, n), n);
    }
    close(f->fd);
    return NULL;
}

/* A pipe that gives its bytes in any portions is read like the file; spooled, more than once. */
static void test_pipe(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 17, 4096, 1 << 20};
    struct case_cfg cfg = plain(STREAM_TOKENS);
    cfg.rows = 40;
    cfg.record_bytes = 600;
    case_write("a", &cfg, NULL);
    struct bytes b = slurp("a");
    for (size_t i = 0; i < 8; i++) {
        struct errctx e = ERRCTX_INIT;
        struct stream_reader_cfg rc = {
            .kind = STREAM_ANY, .threads = (int)(i % 3), .spool = i >= 4};
        struct stream_reader *r;
        int ends[2];
        char path[32];
        pthread_t thread;
        assert_int_equal(pipe(ends), 0);
        struct feeder f = {ends[1], b.data, b.len, steps[i % 4]};
        pthread_create(&thread, NULL, feed, &f);
        snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
        assert_int_equal(stream_reader_open(&e, NULL, "input", path, &rc, &r), ERR_OK);
        assert_int_equal(stream_reader_is_file(r), rc.spool);
        read_to_end(r);
        assert_int_equal(stream_reader_summary(r)->rows, cfg.rows);
        if (rc.spool) {
            assert_int_equal(stream_reader_rewind(&e, r), ERR_OK);
            read_to_end(r);
            assert_int_equal(stream_reader_rows_total(r), cfg.rows);
        }
        stream_reader_close(r);
        pthread_join(thread, NULL);
        close(ends[0]);
    }
    bytes_fini(&b);
}

/* Closing a reader whose pipe is open and silent does not hang. */
static void test_close_while_waiting(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_TOKENS);
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg rc = {.kind = STREAM_ANY, .threads = 2};
    struct stream_reader *r;
    int ends[2];
    char path[32];
    case_write("a", &cfg, NULL);
    struct bytes b = slurp("a");
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], b.data, b.len / 2), b.len / 2);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_int_equal(stream_reader_open(&e, NULL, "input", path, &rc, &r), ERR_OK);
    usleep(2000);
    stream_reader_close(r);
    close(ends[0]);
    close(ends[1]);
    bytes_fini(&b);
}

struct ask {
    struct stream_reader *r;
    enum err code;
};

static void *ask_for_more(void *arg)
{
    struct ask *a = arg;
    struct errctx e = ERRCTX_INIT;
    enum stream_event event;
    a->code = stream_reader_next(&e, a->r, &event, NULL, NULL);
    return NULL;
}

/* A row written to a pipe is seen at its other end as soon as the writer's input would block. */
static void test_flush_when_blocked(void **state)
{
    (void)state;
    for (int threads = 0; threads < 3; threads += 2) {
        struct errctx e = ERRCTX_INIT;
        struct stream_reader_cfg rc = {.kind = STREAM_ANY, .threads = threads};
        struct stream_writer_cfg wc = {.level = 1, .threads = threads};
        struct stream_writer *up, *w;
        struct stream_reader *r, *down;
        struct stream_rows rows;
        struct stream_begin b;
        struct case_rows c;
        struct run run;
        enum stream_event event;
        int in[2], out[2];
        char path[4][32];
        case_begin(&b, STREAM_FEATURES);
        case_rows_make(&b, 0, 2, 0, &c);
        assert_int_equal(run_init(&e, &run, "test", "1"), ERR_OK);
        assert_int_equal(pipe(in) | pipe(out), 0);
        for (int i = 0; i < 2; i++) {
            snprintf(path[i], sizeof path[i], "/dev/fd/%d", in[i]);
            snprintf(path[2 + i], sizeof path[i], "/dev/fd/%d", out[i]);
        }
        assert_int_equal(stream_writer_open(&e, NULL, path[1], &b, &wc, &up), ERR_OK);
        assert_int_equal(stream_writer_rows(&e, up, &c.rows, 0, 1), ERR_OK);
        assert_int_equal(stream_writer_flush(&e, up), ERR_OK);
        assert_int_equal(stream_reader_open(&e, &run, "input", path[0], &rc, &r), ERR_OK);
        assert_int_equal(stream_writer_open(&e, &run, path[3], &b, &wc, &w), ERR_OK);
        assert_int_equal(stream_reader_next(&e, r, &event, &rows, NULL), ERR_OK);
        assert_int_equal(stream_writer_rows(&e, w, &rows, 0, rows.n), ERR_OK);
        /* The stage asks for more, which comes only after its row has been seen behind it. */
        pthread_t thread;
        struct ask ask = {r, ERR_OK};
        pthread_create(&thread, NULL, ask_for_more, &ask);
        assert_int_equal(stream_reader_open(&e, NULL, "input", path[2], &rc, &down), ERR_OK);
        assert_int_equal(stream_reader_next(&e, down, &event, &rows, NULL), ERR_OK);
        assert_int_equal(event, STREAM_EVENT_ROWS);
        assert_int_equal(rows.n, 1);
        assert_int_equal(stream_writer_commit(&e, up), ERR_OK);
        close(in[1]);
        pthread_join(thread, NULL);
        assert_int_equal(ask.code, ERR_OK);
        stream_reader_close(down);
        stream_writer_abort(w);
        stream_reader_close(r);
        run_fini(&run);
        case_rows_free(&c);
        stream_begin_fini(&b);
        close(in[0]);
        close(out[0]);
        close(out[1]);
    }
}

/* ------------------------------------------------------------------ whole tensors */

static void test_tensors(void **state)
{
    (void)state;
    struct case_cfg cfg = plain(STREAM_MODEL);
    struct errctx e = ERRCTX_INIT;
    struct stream_tensors t;
    case_write("m", &cfg, NULL);
    assert_int_equal(stream_tensors_load(&e, NULL, "model", "m", STREAM_MODEL, &t), ERR_OK);
    for (int64_t i = 0; i < t.begin.tensors_count; i++) {
        const struct stream_field *f;
        size_t bytes;
        uint8_t *data = case_tensor_make(&t.begin, i, &bytes);
        const void *got = stream_tensors_get(&t, t.begin.tensors[i].name, &f);
        assert_non_null(got);
        assert_int_equal((uintptr_t)got % 64, 0);
        assert_memory_equal(got, data, bytes);
        free(data);
    }
    assert_null(stream_tensors_get(&t, "no such tensor", NULL));
    stream_tensors_fini(&t);
    assert_int_equal(stream_tensors_load(&e, NULL, "model", "m", STREAM_HEAD, &t), ERR_INPUT);
    assert_non_null(strstr(e.message, "kind model, kind head is needed"));
}

/* ------------------------------------------------------------------ what a writer refuses */

static void test_refusals(void **state)
{
    (void)state;
    struct stream_begin b;
    struct stream_writer *w;
    struct errctx e = ERRCTX_INIT;
    int64_t bad = -5, zero = 0;
    stream_begin_init(&b, STREAM_TOKENS);
    assert_int_equal(stream_writer_open(&e, NULL, "x", &b, NULL, &w), ERR_INPUT); /* no columns */
    e = ERRCTX_INIT;
    assert_int_equal(stream_begin_column(&e, &b, "v", DTYPE_F32, 1, &zero), ERR_OK);
    assert_int_equal(stream_writer_open(&e, NULL, "x", &b, NULL, &w), ERR_INPUT);
    b.columns[0].shape[0] = 2;
    e = ERRCTX_INIT;
    assert_int_equal(stream_begin_column(&e, &b, "v", DTYPE_F32, 0, NULL), ERR_OK);
    assert_int_equal(stream_writer_open(&e, NULL, "x", &b, NULL, &w), ERR_INPUT);
    assert_non_null(strstr(e.message, "stands twice"));
    stream_begin_fini(&b);
    stream_begin_init(&b, STREAM_MODEL);
    e = ERRCTX_INIT;
    assert_int_equal(stream_begin_tensor(&e, &b, "t", DTYPE_F32, 1, &bad), ERR_OK);
    assert_int_equal(stream_writer_open(&e, NULL, "x", &b, NULL, &w), ERR_INPUT);
    b.tensors[0].shape[0] = 4;
    e = ERRCTX_INIT;
    struct stream_writer_cfg wc = {.level = 99};
    assert_int_equal(stream_writer_open(&e, NULL, "x", &b, &wc, &w), ERR_USAGE);
    e = ERRCTX_INIT;
    assert_int_equal(stream_writer_open(&e, NULL, "x", &b, NULL, &w), ERR_OK);
    assert_int_equal(stream_writer_commit(&e, w), ERR_IO); /* its tensor was not written */
    assert_int_not_equal(access("x", F_OK), 0);
    stream_begin_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_id_free_of_framing),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_joined),
        cmocka_unit_test(test_joined_differ),
        cmocka_unit_test(test_segments_demanded),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_digest_at),
        cmocka_unit_test(test_lineage_of_input),
        cmocka_unit_test(test_lineage_of_part),
        cmocka_unit_test(test_unread_input),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_close_while_waiting),
        cmocka_unit_test(test_flush_when_blocked),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
