/* SPDX-License-Identifier: Apache-2.0 */
/* test_stream_damage.c: a stream cut at any byte, or with any bit flipped, is bad input with a
 * message that names the file and a byte; nothing crashes, whatever a file claims. */
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

#include "tests/thin.h"
#include "tests/unit/stream_cases.h"
#include "tests/unit/scratch.h"

static struct bytes kept[STREAM_KIND_COUNT]; /* tests/golden, one of each kind */

/* Reads the streams and goes into a folder of its own. */
static int enter(void **state)
{
    for (int kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        struct errctx e = ERRCTX_INIT;
        char path[64];
        snprintf(path, sizeof path, "tests/golden/%s.stream",
                 stream_kind_name((enum stream_kind)kind));
        if (io_slurp(&e, path, 1 << 20, &kept[kind]) != ERR_OK) return -1;
    }
    return scratch_enter(state);
}

static int leave(void **state)
{
    for (int kind = 0; kind < STREAM_KIND_COUNT; kind++) bytes_fini(&kept[kind]);
    return scratch_leave(state);
}

/* The ways that look at parts only: they may not see the damage, but must survive it. */
static enum err look(const char *path)
{
    struct errctx e = ERRCTX_INIT, ignored;
    struct stream_begin begin;
    struct stream_summary summary;
    struct lineage lineage;
    struct stream_reader *r;
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY};
    enum err code = stream_glance(&e, path, &begin, &summary, &lineage);
    if (code == ERR_OK) {
        stream_begin_fini(&begin);
        lineage_fini(&lineage);
    }
    ignored = ERRCTX_INIT;
    if (stream_reader_open(&ignored, NULL, "input", path, &cfg, &r) == ERR_OK) {
        enum stream_event event = STREAM_EVENT_ROWS;
        enum err seen = stream_reader_next(&ignored, r, &event, NULL, NULL);
        if (seen == ERR_OK) seen = stream_reader_drain(&ignored, r);
        if (seen == ERR_OK) seen = stream_reader_rewind(&ignored, r);
        while (seen == ERR_OK && event != STREAM_EVENT_END)
            seen = stream_reader_next(&ignored, r, &event, NULL, NULL);
        stream_reader_close(r);
    }
    return code;
}

/* Several frames, ragged columns, continued cells. */
static void golden(enum stream_kind kind, const char *path)
{
    struct case_cfg cfg = {
        .kind = kind, .rows = 26, .long_every = 13, .batch = 8, .level = 19, .record_bytes = 1000};
    if (kind == STREAM_LOGITS) cfg.record_bytes = 5000;
    case_write(path, &cfg, NULL);
}

static void assert_refused(const char *path, size_t at, const char *how, int threads)
{
    struct errctx e = ERRCTX_INIT;
    enum err code = case_read(&e, path, threads);
    if (code != ERR_INPUT || !strstr(e.message, "'golden'"))
        fail_msg("%s at byte %zu: code %d, '%s'", how, at, code, e.message);
    if (at > 14 && !strstr(e.message, "byte"))
        fail_msg("%s at byte %zu: no position in '%s'", how, at, e.message);
}

/* Puts n bytes at `path`. */
static void put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

/* Every bit of the streams that are kept; under a sanitizer one of each byte, by turns; for who
 * looks for races now and then one, with threads. */
static void test_flip(void **state)
{
    (void)state;
    const size_t stride = thin_threads() ? 509 : thin_any() ? 9 : 1;
    for (int kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        struct errctx e = ERRCTX_INIT;
        struct bytes *b = &kept[kind];
        put("golden", b->data, b->len);
        assert_int_equal(case_read(&e, "golden", 0), ERR_OK);
        int fd = open("golden", O_WRONLY);
        for (size_t bit = 0; bit < b->len * 8; bit += stride) {
            size_t i = bit / 8;
            uint8_t flipped = b->data[i] ^ (uint8_t)(1 << bit % 8);
            assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
            assert_refused("golden", i, "flip", bit % 509 ? 0 : 2);
            if (bit % 37 == 0) (void)look("golden");
            assert_int_equal(pwrite(fd, &b->data[i], 1, (off_t)i), 1);
        }
        close(fd);
        assert_int_equal(case_read(&e, "golden", 0), ERR_OK);
    }
}

static void cut_everywhere(size_t n)
{
    const size_t stride = thin_threads() ? 32 : 1;
    for (n -= n % stride; n > 0;) {
        n -= stride;
        assert_int_equal(truncate("golden", (off_t)n), 0);
        assert_refused("golden", n, "cut", n % 64 ? 0 : 2);
        if (n % 5 == 0) assert_int_equal(look("golden"), ERR_INPUT);
    }
}

/* At every byte of those that are kept, and of one with rows in many pieces. */
static void test_cut(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct bytes b = {0};
    for (int kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        put("golden", kept[kind].data, kept[kind].len);
        cut_everywhere(kept[kind].len);
    }
    golden(STREAM_TOKENS, "golden");
    assert_int_equal(io_slurp(&e, "golden", 1 << 20, &b), ERR_OK);
    cut_everywhere(b.len);
    bytes_fini(&b);
}

/* Two segments: a cut between them is a shorter stream, anywhere else an error. */
static void test_cut_joined(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct bytes b = {0};
    golden(STREAM_FEATURES, "golden");
    assert_int_equal(io_slurp(&e, "golden", 1 << 20, &b), ERR_OK);
    size_t one = b.len;
    assert_int_equal(bytes_append(&e, &b, b.data, 0), ERR_OK);
    int fd = open("golden", O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, b.data, one), one);
    close(fd);
    assert_int_equal(case_read(&e, "golden", 0), ERR_OK);
    for (size_t n = 2 * one; n-- > one - 5;) {
        assert_int_equal(truncate("golden", (off_t)n), 0);
        if (n != one)
            assert_refused("golden", n, "cut", 0);
        else
            assert_int_equal(case_read(&e, "golden", 0), ERR_OK);
    }
    bytes_fini(&b);
}

/* ------------------------------------------------------------------ frames in a wrong order */

static uint8_t noise(size_t i)
{
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15u;
    return (uint8_t)(x >> 56);
}

/* Frames of equal size, packed and raw, that hold 1, 2, 1, 2, ... rows of noise. */
static void write_noise(const char *path, int64_t frames)
{
    static const int64_t ragged[] = {-1};
    struct errctx e = ERRCTX_INIT;
    struct stream_begin begin;
    struct stream_writer *w;
    struct stream_writer_cfg cfg = {.level = 0, .record_bytes = 204};
    uint8_t cell[200];
    size_t at = 0;
    stream_begin_init(&begin, STREAM_FEATURES);
    assert_int_equal(stream_begin_column(&e, &begin, "x", DTYPE_U8, 1, ragged), ERR_OK);
    assert_int_equal(stream_writer_open(&e, NULL, path, &begin, &cfg, &w), ERR_OK);
    for (int64_t f = 0; f < frames; f++)
        for (int64_t rows = 1 + f % 2, i = 0; i < rows; i++) {
            const void *cells[] = {cell};
            int64_t n = rows == 1 ? 200 : 98;
            for (int64_t k = 0; k < n; k++) cell[k] = noise(at++);
            assert_int_equal(stream_writer_row(&e, w, cells, &n), ERR_OK);
        }
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    stream_begin_fini(&begin);
}

static size_t packed_size(const uint8_t *table, int64_t i)
{
    return (size_t)(table[8 * i] | table[8 * i + 1] << 8);
}

/* Swaps data frames a and b of a stream of one segment, which must be of one size. */
static void swap_frames(const char *path, int64_t entries, int64_t a, int64_t b)
{
    struct errctx e = ERRCTX_INIT;
    struct bytes x = {0};
    size_t start[2] = {0, 0}, n;
    assert_int_equal(io_slurp(&e, path, 1 << 20, &x), ERR_OK);
    const uint8_t *table = x.data + x.len - 9 - 8 * (size_t)entries;
    for (int64_t i = 0; i < b; i++) {
        start[1] += packed_size(table, i);
        if (i < a) start[0] += packed_size(table, i);
    }
    n = packed_size(table, a);
    assert_memory_equal(table + 8 * a, table + 8 * b, 8);
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = x.data[start[0] + i];
        x.data[start[0] + i] = x.data[start[1] + i];
        x.data[start[1] + i] = byte;
    }
    put(path, x.data, x.len);
    bytes_fini(&x);
}

/* Passes `rows` rows and leaves the rest unread; having read it before, when `again`. */
static enum err read_some(struct errctx *e, const char *path, bool again, int64_t rows)
{
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY};
    struct stream_reader *r;
    struct stream_rows view;
    enum stream_event event;
    TRY(stream_reader_open(e, NULL, "input", path, &cfg, &r));
    enum err code = again ? stream_reader_drain(e, r) : ERR_OK;
    if (code == ERR_OK && again) code = stream_reader_rewind(e, r);
    for (int64_t n = 0; code == ERR_OK && n < rows; n += view.n)
        code = stream_reader_next(e, r, &event, &view, NULL);
    if (code == ERR_OK) code = stream_reader_drain(e, r);
    stream_reader_close(r);
    return code;
}

static void assert_index(enum err code, const struct errctx *e)
{
    if (code != ERR_INPUT || !strstr(e->message, "the index does not match"))
        fail_msg("code %d, '%s'", code, e->message);
}

static void test_swap(void **state)
{
    (void)state;
    enum { FRAMES = 8, ENTRIES = FRAMES + 4 }; /* magic, begin, end, seal */
    struct errctx e = ERRCTX_INIT;
    write_noise("swapped", FRAMES);
    assert_int_equal(case_read(&e, "swapped", 0), ERR_OK);
    assert_int_equal(read_some(&e, "swapped", false, 1), ERR_OK);
    assert_int_equal(read_some(&e, "swapped", true, 3), ERR_OK);
    swap_frames("swapped", ENTRIES, 2, 5); /* of one row; of two */
    assert_int_equal(case_read(&e, "swapped", 0), ERR_INPUT);
    err_clear(&e);
    assert_index(read_some(&e, "swapped", false, 1), &e); /* inside the frame that was swapped */
    err_clear(&e);
    assert_index(read_some(&e, "swapped", false, 6), &e);
    err_clear(&e);
    assert_index(read_some(&e, "swapped", true, 3), &e);
}

/* ------------------------------------------------------------------ other files */

static void test_other_files(void **state)
{
    (void)state;
    static const struct {
        const char *data, *says;
        size_t n;
    } files[] = {
        {"", "empty", 0},
        {"\x1f\x8b\x08\0\0\0", "gzip", 6},
        {"GGUF\3\0\0\0", "GGUF", 8},
        {"\x10\0\0\0\0\0\0\0{\"a\":1}", "safetensors", 16},
        {"Call me Ishmael.\n", "text", 17},
        {"\x28\xb5\x2f\xfd\x04\0\0\0", "zstd", 8},
        {"\1\2\3", "not a graft stream", 3},
        {"\x50\x2a\x4d\x18\6\0\0\0graft\2", "version 2", 14},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct errctx e = ERRCTX_INIT;
        put("other", files[i].data, files[i].n);
        assert_int_equal(case_read(&e, "other", 0), ERR_INPUT);
        if (!strstr(e.message, files[i].says))
            fail_msg("'%s' lacks '%s'", e.message, files[i].says);
        assert_int_equal(look("other"), ERR_INPUT);
    }
}

/* ------------------------------------------------------------------ errors stick */

static void test_sticky(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT, again = ERRCTX_INIT;
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY};
    struct stream_reader *r;
    enum stream_event event = STREAM_EVENT_ROWS;
    golden(STREAM_TOKENS, "golden");
    assert_int_equal(truncate("golden", 1000), 0);
    assert_int_equal(stream_reader_open(&e, NULL, "input", "golden", &cfg, &r), ERR_OK);
    while (e.code == ERR_OK) (void)!stream_reader_next(&e, r, &event, NULL, NULL);
    assert_int_equal(stream_reader_next(&again, r, &event, NULL, NULL), ERR_INPUT);
    assert_string_equal(e.message, again.message);
    assert_non_null(strstr(e.message, "truncated after row"));
    assert_non_null(strstr(e.message, "byte 1000"));
    stream_reader_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flip),       cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_joined), cmocka_unit_test(test_other_files),
        cmocka_unit_test(test_sticky),     cmocka_unit_test(test_swap),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
