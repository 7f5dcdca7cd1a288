/* SPDX-License-Identifier: Apache-2.0 */
/* test_stream_hostile.c: streams whose checksums, seals and tables are right and whose records are
 * not. What no checksum finds, the reader's own rules must. */
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
#include "formats/intake.h"
#include "formats/outlet.h"
#include "formats/record.h"
#include "tests/unit/stream_cases.h"
#include "tests/unit/scratch.h"

/* ------------------------------------------------------------------ frames by hand */

struct frames {
    struct bytes raw[64];
    int count;
};

static void add(struct frames *f, const void *data, size_t n)
{
    struct errctx e = ERRCTX_INIT;
    f->raw[f->count] = (struct bytes){0};
    assert_int_equal(bytes_append(&e, &f->raw[f->count++], data, n), ERR_OK);
}

static void frames_fini(struct frames *f)
{
    for (int i = 0; i < f->count; i++) bytes_fini(&f->raw[i]);
    f->count = 0;
}

/* Writes the frames with everything around them as it must be. */
static void seal_up(const struct frames *f, const char *path)
{
    struct errctx e = ERRCTX_INIT;
    struct outfile out;
    struct outlet *o;
    /* Through a descriptor: no temporary and no fsync, for thousands of these are made. */
    char through[32];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    snprintf(through, sizeof through, "/dev/fd/%d", fd);
    assert_int_equal(outfile_open(&e, through, &out), ERR_OK);
    assert_int_equal(outlet_new(&e, &out, -100, 0, &o), ERR_OK);
    for (int i = 0; i < f->count; i++) {
        struct bytes *raw;
        assert_int_equal(outlet_buffer(&e, o, &raw), ERR_OK);
        assert_int_equal(bytes_append(&e, raw, f->raw[i].data, f->raw[i].len), ERR_OK);
        assert_int_equal(outlet_put(&e, o), ERR_OK);
    }
    assert_int_equal(outlet_finish(&e, o), ERR_OK);
    outlet_free(o);
    assert_int_equal(outfile_commit(&e, &out), ERR_OK);
    close(fd);
}

/* The raw frames of a stream. */
static void open_up(const char *path, struct frames *f)
{
    struct errctx e = ERRCTX_INIT;
    struct infile in;
    struct intake *intake;
    struct intake_frame *frame;
    f->count = 0;
    assert_int_equal(infile_open(&e, path, &in), ERR_OK);
    assert_int_equal(intake_new(&e, &in, 0, NULL, NULL, &intake), ERR_OK);
    do {
        assert_int_equal(intake_next(&e, intake, &frame), ERR_OK);
        assert_int_equal(frame->error.code, ERR_OK);
        if (frame->frame.kind == FRAME_DATA) add(f, frame->raw.data, frame->raw.len);
        intake_done(intake);
    } while (frame->frame.kind == FRAME_DATA);
    intake_free(intake);
    infile_close(&in);
}

static void assert_says(const struct frames *f, const char *what)
{
    struct errctx e = ERRCTX_INIT;
    seal_up(f, "made");
    enum err code = case_read(&e, "made", 0);
    if (code != ERR_INPUT || !strstr(e.message, what))
        fail_msg("code %d, '%s' lacks '%s'", code, e.message, what);
    if (!strstr(e.message, "'made'") || !strstr(e.message, "byte"))
        fail_msg("no place in '%s'", e.message);
}

/* ------------------------------------------------------------------ any byte of any record */

static void golden(enum stream_kind kind, struct frames *f)
{
    struct case_cfg cfg = {
        .kind = kind, .rows = 14, .long_every = 6, .batch = 3, .level = 0, .record_bytes = 900};
    if (kind == STREAM_LOGITS) cfg.record_bytes = 9000;
    if (kind == STREAM_FEATURES) cfg.record_bytes = 60;
    case_write("golden", &cfg, NULL);
    open_up("golden", f);
    assert_true(f->count > 3);
}

/* A changed byte in rows or tensors is always found: by its form or by the id. In begin and end it
 * need not be (a hint or a name may say anything), but must be survived. */
static void test_any_byte(void **state)
{
    (void)state;
    static const enum stream_kind kinds[] = {STREAM_FEATURES, STREAM_LOGITS, STREAM_MODEL};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct frames f;
        struct errctx e = ERRCTX_INIT;
        golden(kinds[k], &f);
        seal_up(&f, "made");
        assert_int_equal(case_read(&e, "made", 0), ERR_OK);
        for (int i = 0; i < f.count; i++)
            for (size_t at = 0; at < f.raw[i].len; at += at < 100 ? 1 : 7) {
                uint8_t bit = (uint8_t)(1 << (at * 3 + (size_t)i) % 8);
                f.raw[i].data[at] ^= bit;
                seal_up(&f, "made");
                e = ERRCTX_INIT;
                enum err code = case_read(&e, "made", 0);
                bool data = i > 0 && i < f.count - 1;
                if (code != ERR_INPUT && (data || code != ERR_OK))
                    fail_msg("kind %d, frame %d, byte %zu: code %d '%s'", kinds[k], i, at, code,
                             e.message);
                f.raw[i].data[at] ^= bit;
            }
        frames_fini(&f);
    }
}

/* ------------------------------------------------------------------ the order of records */

static void swap(struct frames *f, int a, int b)
{
    struct bytes x = f->raw[a];
    f->raw[a] = f->raw[b];
    f->raw[b] = x;
}

static void test_order(void **state)
{
    (void)state;
    struct frames f;
    golden(STREAM_FEATURES, &f);
    swap(&f, 0, 1);
    assert_says(&f, "the first record is not 'begin'");
    swap(&f, 0, 1);
    int last = f.count - 1;
    swap(&f, last, last - 1);
    assert_says(&f, "the counts in the end record do not match what was read");
    swap(&f, last, last - 1);
    struct bytes begin = f.raw[0];
    add(&f, begin.data, begin.len);
    assert_says(&f, "a frame after the end record");
    bytes_fini(&f.raw[--f.count]);
    f.count = last; /* without end */
    assert_says(&f, "sealed without an end record");
    f.count = last + 1;
    swap(&f, 1, 2);
    assert_says(&f, "the id does not match the content"); /* the same rows in another order */
    swap(&f, 1, 2);
    struct bytes one = f.raw[1], two = f.raw[2];
    f.raw[1] = begin; /* begin once more */
    assert_says(&f, "a record of unknown type");
    f.raw[1] = one;
    f.raw[2] = one; /* rows twice in place of others */
    assert_says(&f, "do");
    f.raw[2] = two;
    frames_fini(&f);
}

/* Records may share a frame, if the index says so. */
static void test_merged(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct frames f;
    golden(STREAM_FEATURES, &f);
    assert_int_equal(bytes_append(&e, &f.raw[1], f.raw[2].data, f.raw[2].len), ERR_OK);
    bytes_fini(&f.raw[2]);
    memmove(&f.raw[2], &f.raw[3], (size_t)(f.count - 3) * sizeof f.raw[0]);
    f.count--;
    assert_says(&f, "the index does not match the frames");
    int last = f.count - 1;
    assert_int_equal(bytes_append(&e, &f.raw[last - 1], f.raw[last].data, f.raw[last].len), ERR_OK);
    bytes_fini(&f.raw[last]);
    f.count--;
    assert_says(&f, "the end record is not alone in its frame");
    assert_int_equal(bytes_append(&e, &f.raw[0], f.raw[1].data, f.raw[1].len), ERR_OK);
    assert_says(&f, "more follows");
    frames_fini(&f);
}

/* ------------------------------------------------------------------ pieces and rows in a frame */

static uint64_t entry(const struct record_end *end, int i)
{
    return frame_u64(end->index.entries.data + 8 * i);
}

/* Puts each frame that begins rows behind the last piece of the row before it, if that was in
 * pieces, and makes the index fit. The number of frames that are gone. */
static int merge_behind_pieces(struct frames *f)
{
    struct errctx e = ERRCTX_INIT;
    struct record_end end;
    struct record_index index = {0};
    const int last = f->count - 1;
    int kept = 1;
    record_index_init(&index);
    assert_int_equal(record_end_decode(&e, f->raw[last].data, f->raw[last].len, &end), ERR_OK);
    for (int i = 1; i < last; i++) {
        const uint64_t before = entry(&end, i - 1);
        const bool piece_before = i > 1 && entry(&end, i - 2) == before;
        const bool begins = (i + 1 < last ? entry(&end, i) : (uint64_t)end.rows) > before;
        if (piece_before && begins) {
            const struct bytes *more = &f->raw[i];
            assert_int_equal(bytes_append(&e, &f->raw[kept - 1], more->data, more->len), ERR_OK);
            bytes_fini(&f->raw[i]);
            continue;
        }
        assert_int_equal(record_index_add(&e, &index, before), ERR_OK);
        f->raw[kept++] = f->raw[i];
    }
    record_index_fini(&end.index);
    end.index = index;
    f->raw[kept] = f->raw[last];
    f->raw[kept].len = 0;
    assert_int_equal(record_pack_end(&e, &end, &f->raw[kept]), ERR_OK);
    record_end_fini(&end);
    f->count = kept + 1;
    return last - kept;
}

/* A stream of another writer may have a frame that begins with a further piece and goes on with
 * rows. */
static void test_rows_behind_piece(void **state)
{
    (void)state;
    const struct case_cfg cfg = {
        .kind = STREAM_TOKENS, .rows = 30, .long_every = 7, .batch = 3, .record_bytes = 900};
    struct frames f;
    case_write("golden", &cfg, NULL);
    open_up("golden", &f);
    assert_true(merge_behind_pieces(&f) >= 3);
    seal_up(&f, "made");
    case_check("made", &cfg, 1, 0);
    frames_fini(&f);
}

/* ------------------------------------------------------------------ records that lie */

#define BEGIN_ROWS                                                                                 \
    "\x81\xa5"                                                                                     \
    "begin\x85\xa5graft\1\xa4kind\xa8"                                                             \
    "features\xa7"                                                                                 \
    "columns\x92\x83\xa4name\xa1n\xa5"                                                             \
    "dtype\xa2U8\xa5shape\x90\x83\xa4name\xa1v\xa5"                                                \
    "dtype\xa3U16\xa5shape\x91\xff\xa7tensors\x90\xa4meta\x80"

static void test_lies(void **state)
{
    (void)state;
#define ROWS(bytes) bytes, sizeof(bytes) - 1
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } records[] = {
        {ROWS("\x82\xa4rows\1\xa5"
              "cells\x92\xc4\2\7\7\x92\xc4\4\0\0\0\0\xc4\0"),
         "column 'n' does not have the size of 1 cells"},
        {ROWS("\x82\xa4rows\1\xa5"
              "cells\x92\xc4\1\7\x92\xc4\4\2\0\0\0\xc4\2\1\1"),
         "the lengths of column 'v' do not add up to its data"},
        {ROWS("\x82\xa4rows\1\xa5"
              "cells\x92\xc4\1\7\x92\xc4\4\xff\xff\xff\xff\xc4\2\1\1"),
         "do not add up"},
        {ROWS("\x82\xa4rows\2\xa5"
              "cells\x92\xc4\2\7\7\x92\xc4\4\1\0\0\0\xc4\2\1\1"),
         "column 'v' does not have 2 lengths"},
        {ROWS("\x82\xa4rows\1\xa5"
              "cells\x91\xc4\1\7"),
         "the number of cells is not that of the columns"},
        {ROWS("\x82\xa4rows\1\xa5"
              "cells\x92\xc4\1\7\xc4\0"),
         "column 'v' is not lengths and data"},
        {ROWS("\x82\xa4rows\0\xa5"
              "cells\x92\xc4\0\x92\xc4\4\0\0\0\0\xc4\0"),
         "a further piece of a row that has not begun"},
        {ROWS("\x82\xa4rows\xcf\x7f\xff\xff\xff\xff\xff\xff\xff\xa5"
              "cells\x92\xc4\1\7\x92\xc4\4\0\0\0\0\xc4\0"),
         "the number of rows of a record is too large"},
        {ROWS("\x83\xa4rows\1\xa4more\xc3\xa5"
              "cells\x92\xc4\1\7\x92\xc4\4\0\0\0\0\xc4\0"),
         "the stream ends in the middle of a row"},
        {ROWS("\x83\xa4rows\2\xa4more\xc3\xa5"
              "cells\x92\xc4\2\7\7\x92\xc4\x08\0\0\0\0\0\0\0\0\xc4\0"),
         "the number of rows of a record is too large"},
        {ROWS("\x83\xa4rows\1\xa4more\xc2\xa5"
              "cells\x92\xc4\1\7\x92\xc4\4\0\0\0\0\xc4\0"),
         "does not have the keys rows, more, cells"},
        {ROWS("\x85\xa6tensor\xa1n\xa5"
              "dtype\xa2U8\xa5shape\x90\xa5"
              "first\0\xa4"
              "data\xc4\1\7"),
         "a tensor beyond those in begin"},
        {ROWS("\x81\xa5other\1"), "a record of unknown type"},
        {ROWS("\x01"), "a record is not a map"},
        {ROWS("\x80"), "a record is not a map"},
        {ROWS("\xc1"), "bad msgpack"},
        {ROWS("\x81\xa3"
              "end\x80"),
         "the end record does not have its known keys"},
    };
#undef ROWS
    static const char end[] = "\x81\xa3"
                              "end\x87\xa4rows\1\xa7tensors\0\xa5"
                              "bytes\1\xa2id\xc4\x10"
                              "0123456789abcdef\xa4step\1\xa5index\xc4\x08\0\0\0\0\0\0\0\0\xa7"
                              "lineage\x81\xa5steps\x90";
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct frames f = {.count = 0};
        add(&f, BEGIN_ROWS, sizeof BEGIN_ROWS - 1);
        add(&f, records[i].bytes, records[i].n);
        add(&f, end, sizeof end - 1);
        assert_says(&f, records[i].says);
        frames_fini(&f);
    }
}

/* ------------------------------------------------------------------ begins that lie */

static void test_begins(void **state)
{
    (void)state;
#define BODY(text)                                                                                 \
    "\x81\xa5"                                                                                     \
    "begin" text,                                                                                  \
        sizeof("\x81\xa5"                                                                          \
               "begin" text) -                                                                     \
            1
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } begins[] = {
        {BODY("\x80"), "key 'graft' is missing"},
        {BODY("\x01"), "'begin' is not a map"},
        {BODY("\x85\xa5graft\2\xa4kind\xa5model\xa7"
              "columns\x90\xa7tensors\x90\xa4meta\x80"),
         "out of range"},
        {BODY("\x85\xa5graft\1\xa4kind\xa5mudel\xa7"
              "columns\x90\xa7tensors\x90\xa4meta\x80"),
         "unknown kind 'mudel'"},
        {BODY("\x85\xa5graft\1\xa4kind\xa6tokens\xa7"
              "columns\x90\xa7tensors\x90\xa4meta\x80"),
         "has columns and no tensors"},
        /* not the shortest form of 1 */
        {BODY("\x85\xa5graft\xcc\1\xa4kind\xa5model\xa7"
              "columns\x90\xa7tensors\x90\xa4meta\x80"),
         "shortest msgpack form"},
        /* keys in another order */
        {BODY("\x85\xa4kind\xa5model\xa5graft\1\xa7"
              "columns\x90\xa7tensors\x90\xa4meta\x80"),
         "in another order"},
        /* a 32-bit float in meta */
        {BODY("\x85\xa5graft\1\xa4kind\xa5model\xa7"
              "columns\x90\xa7tensors\x90\xa4meta\x81\xa1x\xca\0\0\0\0"),
         "shortest msgpack form"},
        /* a tensor of 2^62 elements twice over */
        {BODY("\x85\xa5graft\1\xa4kind\xa5model\xa7"
              "columns\x90\xa7tensors\x91\x83\xa4name\xa1t\xa5"
              "dtype\xa3"
              "F64\xa5shape\x91\xcf\x40\0\0\0\0\0\0\0\xa4meta\x80"),
         "negative or too large"},
        {BODY("\x85\xa5graft\1\xa4kind\xa5model\xa7"
              "columns\x90\xa7tensors\x91\x83\xa4name\xa1t\xa5"
              "dtype\xa3"
              "F64\xa5shape\x91\xff\xa4meta\x80"),
         "negative or too large"},
        {BODY("\x85\xa5graft\1\xa4kind\xa5model\xa7"
              "columns\x90\xa7tensors\x91\x83\xa4name\xa0\xa5"
              "dtype\xa3"
              "F64\xa5shape\x91\1\xa4meta\x80"),
         "a name of 0 bytes"},
    };
#undef BODY
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        struct frames f = {.count = 0};
        add(&f, begins[i].bytes, begins[i].n);
        add(&f, "\x80", 1);
        assert_says(&f, begins[i].says);
        frames_fini(&f);
    }
}

/* A frame says how large it is before it is unpacked: over 4 MiB it is not. */
static void test_large_frame(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct frame_header h;
    size_t need;
    uint8_t head[9] = {0x28, 0xb5, 0x2f, 0xfd, 0xa4}; /* size in 4 bytes, a checksum */
    frame_put_u32(head + 5, FRAME_RAW_LIMIT);
    assert_int_equal(frame_header_parse(&e, head, sizeof head, &h, &need), ERR_OK);
    assert_int_equal(h.raw_size, FRAME_RAW_LIMIT);
    for (uint64_t n = FRAME_RAW_LIMIT + 1; n <= UINT32_MAX; n = n * 2 + 1) {
        e = ERRCTX_INIT;
        frame_put_u32(head + 5, (uint32_t)n);
        assert_int_equal(frame_header_parse(&e, head, sizeof head, &h, &need), ERR_INPUT);
        assert_non_null(strstr(e.message, "over the limit"));
    }
}

/* A tensor larger than any memory is promised: nothing is allocated for what does not come. */
static void test_promise(void **state)
{
    (void)state;
    static const char begin[] = "\x81\xa5"
                                "begin\x85\xa5graft\1\xa4kind\xa5model\xa7"
                                "columns\x90\xa7tensors\x91\x83\xa4name\xa1t\xa5"
                                "dtype\xa2U8\xa5shape\x91\xcf\x10\0\0\0\0\0\0\0\xa4meta\x80";
    struct frames f = {.count = 0};
    struct errctx e = ERRCTX_INIT;
    struct stream_tensors t;
    add(&f, begin, sizeof begin - 1);
    add(&f,
        "\x81\xa3"
        "end\x80",
        6);
    seal_up(&f, "made");
    assert_int_equal(stream_tensors_load(&e, NULL, "model", "made", STREAM_MODEL, &t), ERR_INPUT);
    frames_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_byte),    cmocka_unit_test(test_order),
        cmocka_unit_test(test_merged),      cmocka_unit_test(test_lies),
        cmocka_unit_test(test_begins),      cmocka_unit_test(test_promise),
        cmocka_unit_test(test_large_frame), cmocka_unit_test(test_rows_behind_piece),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
