/* SPDX-License-Identifier: Apache-2.0 */
/* test_stream_salvage.c: of a damaged stream every row comes back whose frame is whole, no other
 * does, and what is said of the loss is what was lost. Each test damages a stream in its own way at
 * every place, salvages it, and compares row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/frame.h"
#include "formats/stream_map.h"
#include "formats/stream_salvage.h"
#include "tests/unit/stream_cases.h"
#include "tests/unit/scratch.h"

/* ------------------------------------------------------------------ a stream and its rows */

enum { ROWS = 30, SEGMENTS_LIMIT = 3 };
#define LIMIT (ROWS * SEGMENTS_LIMIT)

/* Rows with a cell of 6,000 bytes, which goes over several frames, among short ones. */
static const struct case_cfg cfg = {
    .kind = STREAM_TOKENS, .rows = ROWS, .long_every = 11, .batch = 4, .record_bytes = 700};

struct whole {
    struct bytes file;
    struct stream_map map;
};

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Written through a descriptor: no temporary and no fsync, for thousands are made. */
static const char *saved(void)
{
    static int fd = -1;
    static char name[32];
    if (fd < 0) fd = open("saved", O_RDWR | O_CREAT | O_TRUNC, 0666);
    assert_int_equal(ftruncate(fd, 0), 0);
    snprintf(name, sizeof name, "/dev/fd/%d", fd);
    return name;
}

static void make(struct whole *w, int segments)
{
    struct errctx e = ERRCTX_INIT;
    struct infile in;
    case_write("one", &cfg, NULL);
    *w = (struct whole){0};
    for (int i = 0; i < segments; i++) {
        struct bytes one = {0};
        assert_int_equal(io_slurp(&e, "one", 1 << 20, &one), ERR_OK);
        assert_int_equal(bytes_append(&e, &w->file, one.data, one.len), ERR_OK);
        bytes_fini(&one);
    }
    write_file("whole", w->file.data, w->file.len);
    assert_int_equal(infile_open(&e, "whole", &in), ERR_OK);
    assert_int_equal(stream_map_read(&e, &in, &w->map), ERR_OK);
    infile_close(&in);
}

static void drop(struct whole *w)
{
    bytes_fini(&w->file);
    stream_map_fini(&w->map);
}

/* Row i of `rows` as one run of bytes. */
static void flatten(const struct stream_begin *b, const struct stream_rows *rows, int64_t i,
                    struct bytes *out)
{
    struct errctx e = ERRCTX_INIT;
    out->len = 0;
    for (int64_t c = 0; c < b->columns_count; c++) {
        size_t cell = dtype_size(b->columns[c].dtype);
        int64_t from = rows->start[c] ? rows->start[c][i] : i;
        int64_t to = rows->start[c] ? rows->start[c][i + 1] : i + 1;
        int64_t n = to - from;
        assert_int_equal(bytes_append(&e, out, &n, sizeof n), ERR_OK);
        assert_int_equal(
            bytes_append(&e, out, rows->data[c] + (size_t)from * cell, (size_t)n * cell), ERR_OK);
    }
}

/* Which rows of the original stand in the file, which must hold nothing else: kept[row]. */
static int64_t rows_of(const char *path, int64_t total, bool *kept)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg rc = {.kind = cfg.kind};
    struct stream_reader *r;
    struct stream_rows rows;
    enum stream_event event;
    struct case_rows original;
    struct stream_begin b;
    struct bytes mine = {0}, other = {0};
    int64_t at = 0, count = 0;
    case_begin(&b, cfg.kind);
    case_rows_make(&b, 0, ROWS, cfg.long_every, &original);
    memset(kept, 0, (size_t)total);
    assert_int_equal(stream_reader_open(&e, NULL, "input", path, &rc, &r), ERR_OK);
    for (;;) {
        if (stream_reader_next(&e, r, &event, &rows, NULL) != ERR_OK) fail_msg("%s", e.message);
        if (event == STREAM_EVENT_END) break;
        for (int64_t i = 0; i < rows.n; i++, at++, count++) {
            flatten(&b, &rows, i, &mine);
            for (; at < total; at++) {
                flatten(&b, &original.rows, at % ROWS, &other);
                if (mine.len == other.len && !memcmp(mine.data, other.data, mine.len)) break;
            }
            if (at == total) fail_msg("row %lld is none of the stream's", (long long)count);
            kept[at] = true;
        }
    }
    stream_reader_close(r);
    case_rows_free(&original);
    stream_begin_fini(&b);
    bytes_fini(&mine);
    bytes_fini(&other);
    return count;
}

static void salvage(const void *data, size_t n, struct salvage *s)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_writer_cfg wc = {.level = -100};
    struct run run;
    write_file("damaged", data, n);
    assert_int_equal(run_init(&e, &run, "verify", "1"), ERR_OK);
    if (stream_salvage(&e, &run, "damaged", saved(), &wc, s) != ERR_OK) fail_msg("%s", e.message);
    run_fini(&run);
}

/* The data frame of segment `g` from which on its row `row` is to be looked for, by the index: the
 * last one before which no more than `row` rows begin, `*before` of them. */
static int64_t frame_of(const struct whole *w, int64_t g, int64_t row, int64_t *before)
{
    const struct record_index *x = &w->map.segments[g].last.index;
    size_t at = 0;
    while (8 * (at + 1) < x->entries.len &&
           frame_u64(x->entries.data + 8 * (at + 1)) <= (uint64_t)row)
        at++;
    *before = (int64_t)frame_u64(x->entries.data + 8 * at);
    return 1 + (int64_t)at * x->step;
}

/* Rows that begin in or go on through data frame `frame` of the map's segment `g`. */
static void rows_in_frame(const struct whole *w, int64_t g, int64_t frame, int64_t *from,
                          int64_t *to)
{
    *from = *to = 0;
    bool begun = false;
    for (int64_t row = 0; row < ROWS; row++) {
        int64_t before, first = frame_of(w, g, row, &before);
        int64_t next = w->map.segments[g].frames - 2;
        if (row + 1 < ROWS) next = frame_of(w, g, row + 1, &before);
        /* The row lies in frames first to next; in `next` itself only if that begins with it. */
        bool in = first == frame || (first < frame && frame < next) ||
                  (frame == next && first < next && before > row + 1);
        if (!in) continue;
        if (!begun) *from = g * ROWS + row;
        *to = g * ROWS + row + 1;
        begun = true;
    }
}

/* ------------------------------------------------------------------ the tests */

/* A flipped bit in the middle of each frame of each of three segments. */
static void test_frame(void **state)
{
    (void)state;
    struct whole w;
    make(&w, 3);
    assert_true(w.map.segments[0].frames > 20);
    for (int64_t g = 0; g < 3; g++)
        for (int64_t f = 0; f < w.map.segments[g].frames; f++) {
            struct salvage s;
            bool kept[LIMIT];
            uint64_t from = w.map.segments[g].offsets[f], to = w.map.segments[g].offsets[f + 1];
            w.file.data[(from + to) / 2] ^= 0x10;
            salvage(w.file.data, w.file.len, &s);
            w.file.data[(from + to) / 2] ^= 0x10;
            int64_t count = rows_of("saved", LIMIT, kept);
            assert_int_equal(s.rows, count);
            assert_int_equal(s.gaps_count, 1);
            assert_int_equal(s.gaps[0].from, from);
            assert_int_equal(s.gaps[0].to, to);
            assert_int_equal(s.bytes_lost, to - from);
            if (f == w.map.segments[g].frames - 1) { /* the end record */
                assert_int_equal(count, LIMIT);
                assert_int_equal(s.rows_expected, -1);
                continue;
            }
            assert_int_equal(s.rows_expected, LIMIT);
            assert_int_equal(s.gaps[0].lost, LIMIT - count);
            if (f == 0) { /* a begin: that of the other segments is as good */
                assert_int_equal(count, LIMIT);
                continue;
            }
            int64_t first, last;
            rows_in_frame(&w, g, f, &first, &last);
            for (int64_t i = 0; i < LIMIT; i++)
                if (kept[i] != (i < s.gaps[0].row || i >= s.gaps[0].row + s.gaps[0].lost))
                    fail_msg("segment %d, frame %d: row %d", (int)g, (int)f, (int)i);
            assert_int_equal(s.gaps[0].row, first);
            assert_int_equal(s.gaps[0].lost, last - first);
        }
    drop(&w);
}

/* A frame taken out without a trace: no row is made up from what is left. */
static void test_missing(void **state)
{
    (void)state;
    struct whole w;
    make(&w, 1);
    for (int64_t f = 1; f < w.map.segments[0].frames - 1; f++) {
        struct salvage s;
        bool kept[LIMIT];
        uint64_t from = w.map.segments[0].offsets[f], to = w.map.segments[0].offsets[f + 1];
        uint8_t *less = malloc(w.file.len);
        memcpy(less, w.file.data, from);
        memcpy(less + from, w.file.data + to, w.file.len - to);
        salvage(less, w.file.len - (to - from), &s);
        free(less);
        assert_int_equal(s.rows, rows_of("saved", ROWS, kept));
        assert_int_equal(s.rows_expected, ROWS);
        int64_t first, last;
        rows_in_frame(&w, 0, f, &first, &last);
        for (int64_t i = 0; i < ROWS; i++)
            assert_int_equal(kept[i], (i < first || i >= last) && i % 11 != 10);
        assert_int_equal(s.gaps_count, 0);
    }
    drop(&w);
}

/* Cut off at every byte: what stands before the cut is there, in order and to the last frame. */
static void test_end(void **state)
{
    (void)state;
    struct whole w;
    make(&w, 2);
    const struct map_segment *first = &w.map.segments[0];
    int64_t before = 2 * ROWS;
    for (size_t n = w.file.len; n > first->offsets[1]; n -= n % 11 + 5) {
        struct salvage s;
        bool kept[LIMIT];
        salvage(w.file.data, n, &s);
        int64_t count = rows_of("saved", 2 * ROWS, kept);
        assert_int_equal(s.rows, count);
        assert_true(count <= before);
        for (int64_t i = 0; i < count; i++) assert_true(kept[i]);
        bool ended = n >= first->offsets[first->frames - 1 + 1] && n <= first->end;
        if (n >= w.map.segments[1].offsets[w.map.segments[1].frames]) ended = true;
        assert_int_equal(s.rows_expected, ended ? count : -1);
        if (!ended) assert_int_equal(s.gaps[s.gaps_count - 1].row, count);
        before = count;
    }
    assert_int_equal(before, 0);
    drop(&w);
}

/* Rows without their begin are believed when the id proves them, and not otherwise. */
static void test_begin(void **state)
{
    (void)state;
    struct whole w;
    struct salvage s;
    bool kept[LIMIT];
    make(&w, 2);
    const struct map_segment *g = &w.map.segments[1];
    w.file.data[g->offsets[0] + 20] ^= 1;
    salvage(w.file.data, w.file.len, &s);
    assert_int_equal(rows_of("saved", 2 * ROWS, kept), 2 * ROWS);
    w.file.data[g->offsets[5] + 20] ^= 1;
    salvage(w.file.data, w.file.len, &s);
    assert_int_equal(s.rows, ROWS);
    assert_int_equal(rows_of("saved", 2 * ROWS, kept), ROWS);
    assert_int_equal(s.rows_expected, 2 * ROWS);
    assert_true(kept[ROWS - 1] && !kept[ROWS]);
    assert_int_equal(s.gaps[0].row, ROWS);
    drop(&w);
}

/* Two places of one segment: what is lost between them is not told apart, but counted. */
static void test_two(void **state)
{
    (void)state;
    struct whole w;
    struct salvage s;
    bool kept[LIMIT];
    make(&w, 2);
    uint64_t a = w.map.segments[1].offsets[2] + 9, b = w.map.segments[1].offsets[9] + 9;
    w.file.data[a] ^= 1;
    w.file.data[b] ^= 1;
    salvage(w.file.data, w.file.len, &s);
    assert_int_equal(s.rows, rows_of("saved", 2 * ROWS, kept));
    assert_true(s.rows < 2 * ROWS);
    assert_int_equal(s.rows_expected, 2 * ROWS);
    assert_int_equal(s.gaps_count, 2);
    assert_int_equal(s.gaps[0].lost, -1);
    assert_int_equal(s.gaps[1].lost, -1);
    assert_true(s.gaps[0].row >= ROWS && !kept[s.gaps[0].row]);
    assert_int_equal(s.gaps[1].row, -1);
    drop(&w);
}

/* Seals, tables and magics cost nothing; zeros in place of a block of the disk cost its frames. */
static void test_around(void **state)
{
    (void)state;
    struct whole w;
    struct salvage s;
    bool kept[LIMIT];
    make(&w, 2);
    const struct map_segment *first = &w.map.segments[0];
    for (uint64_t at = first->offsets[first->frames]; at < w.map.segments[1].offsets[0]; at += 3) {
        w.file.data[at] ^= 4;
        salvage(w.file.data, w.file.len, &s);
        w.file.data[at] ^= 4;
        assert_int_equal(rows_of("saved", 2 * ROWS, kept), 2 * ROWS);
        assert_int_equal(s.rows_expected, 2 * ROWS);
        if (s.gaps_count) assert_int_equal(s.gaps[0].lost, 0);
    }
    memset(w.file.data + first->offsets[3] + 10, 0, 2000);
    salvage(w.file.data, w.file.len, &s);
    int64_t count = rows_of("saved", 2 * ROWS, kept);
    assert_int_equal(s.gaps_count, 1);
    assert_int_equal(s.gaps[0].lost, 2 * ROWS - count);
    assert_int_equal(s.gaps[0].from, first->offsets[3]);
    assert_true(s.gaps[0].to - s.gaps[0].from < 4000);
    drop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame), cmocka_unit_test(test_missing), cmocka_unit_test(test_end),
        cmocka_unit_test(test_two),   cmocka_unit_test(test_begin),   cmocka_unit_test(test_around),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
