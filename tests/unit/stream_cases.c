/* SPDX-License-Identifier: Apache-2.0 */
/* stream_cases.c: see stream_cases.h. */
#include "tests/unit/stream_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "formats/stream_begin.h"

static const int64_t ragged[1] = {-1};

static void column(struct stream_begin *b, const char *name, enum dtype t, int64_t shape)
{
    struct errctx e = ERRCTX_INIT;
    assert_int_equal(stream_begin_column(&e, b, name, t, shape == 1 ? 0 : 1, &shape), ERR_OK);
}

static void tensor(struct stream_begin *b, const char *name, enum dtype t, int64_t rows,
                   int64_t cols)
{
    struct errctx e = ERRCTX_INIT;
    int64_t shape[2] = {rows, cols};
    assert_int_equal(stream_begin_tensor(&e, b, name, t, 2, shape), ERR_OK);
}

static void add_meta(struct stream_begin *b)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value inner;
    mp_map_init(&inner);
    assert_int_equal(mp_set_real(&e, &inner, "scale", 0.1), ERR_OK);
    assert_int_equal(mp_set_bool(&e, &inner, "tied", true), ERR_OK);
    assert_int_equal(mp_set_string(&e, &inner, "text", "na\xc3\xafve"), ERR_OK);
    assert_int_equal(mp_set(&e, &b->meta, "inner", &inner), ERR_OK);
    assert_int_equal(mp_set_binary(&e, &b->meta, "tokenizer", "0123456789abcdef", 16), ERR_OK);
    assert_int_equal(mp_set_int(&e, &b->meta, "vocab", 50000), ERR_OK);
    assert_int_equal(mp_set_int(&e, &b->meta, "below", -7), ERR_OK);
    mp_fini(&inner);
}

void case_begin(struct stream_begin *b, enum stream_kind kind)
{
    stream_begin_init(b, kind);
    add_meta(b);
    switch (kind) {
    case STREAM_TOKENS:
        column(b, "ids", DTYPE_U16, ragged[0]);
        column(b, "doc", DTYPE_U64, 1);
        column(b, "part", DTYPE_U32, 1);
        column(b, "skip", DTYPE_U32, 1);
        column(b, "bytes", DTYPE_U32, 1);
        column(b, "chars", DTYPE_U32, 1);
        column(b, "weight", DTYPE_F32, 1);
        column(b, "keep", DTYPE_U8, ragged[0]);
        break;
    case STREAM_FEATURES:
        column(b, "x", DTYPE_F32, 3);
        column(b, "flag", DTYPE_U8, 1);
        column(b, "label", DTYPE_I32, 1);
        break;
    case STREAM_LOGITS:
        column(b, "flag", DTYPE_U8, 1);
        column(b, "ids", DTYPE_U32, ragged[0]);
        column(b, "top", DTYPE_F64, ragged[0]);
        break;
    default:
        tensor(b, "weight", DTYPE_F32, 5, 7);
        tensor(b, "empty", DTYPE_F32, 0, 3);
        tensor(b, "a.half", DTYPE_BF16, 30, 11);
        tensor(b, "bytes", DTYPE_U8, 300, 1);
    }
}

static uint8_t byte_of(int64_t row, int64_t col, int64_t i)
{
    uint64_t x = (uint64_t)row * 2654435761u + (uint64_t)col * 40503u + (uint64_t)i * 2246822519u;
    x ^= x >> 13;
    return (uint8_t)(x % 23 + 40);
}

static int64_t length_of(const struct stream_begin *b, int64_t row, int64_t col, int64_t long_every)
{
    if (col <= 1 && long_every && row % long_every == long_every - 1 &&
        (col == 0 || !stream_field_ragged(&b->columns[0])))
        return 3000;
    return (row * 7 + col * 3) % 6;
}

void case_rows_make(const struct stream_begin *b, int64_t first, int64_t n, int64_t long_every,
                    struct case_rows *out)
{
    size_t columns = (size_t)b->columns_count;
    out->data = calloc(columns, sizeof *out->data);
    out->start = calloc(columns, sizeof *out->start);
    out->rows = (struct stream_rows){.n = n, .first = first, .columns_count = b->columns_count};
    out->rows.data = calloc(columns, sizeof *out->rows.data);
    out->rows.start = calloc(columns, sizeof *out->rows.start);
    for (int64_t c = 0; c < b->columns_count; c++) {
        const struct stream_field *f = &b->columns[c];
        size_t cell = stream_field_cell(f);
        int64_t *start = NULL, total = n;
        if (stream_field_ragged(f)) {
            start = calloc((size_t)n + 1, sizeof *start);
            for (int64_t i = 0; i < n; i++)
                start[i + 1] = start[i] + length_of(b, first + i, c, long_every);
            total = start[n];
        }
        uint8_t *data = malloc((size_t)total * cell + 1);
        for (int64_t i = 0; i < n; i++) {
            int64_t from = start ? start[i] : i, to = start ? start[i + 1] : i + 1;
            for (size_t k = 0; k < (size_t)(to - from) * cell; k++)
                data[(size_t)from * cell + k] = byte_of(first + i, c, (int64_t)k);
        }
        out->rows.data[c] = out->data[c] = data;
        out->rows.start[c] = out->start[c] = start;
    }
}

void case_rows_free(struct case_rows *c)
{
    for (int64_t i = 0; i < c->rows.columns_count; i++) {
        free(c->data[i]);
        free(c->start[i]);
    }
    free(c->data);
    free(c->start);
    free(c->rows.data);
    free(c->rows.start);
}

uint8_t *case_tensor_make(const struct stream_begin *b, int64_t t, size_t *bytes)
{
    const struct stream_field *f = &b->tensors[t];
    *bytes = (size_t)stream_field_elements(f) * dtype_size(f->dtype);
    uint8_t *data = malloc(*bytes + 1);
    for (size_t i = 0; i < *bytes; i++) data[i] = byte_of(t, 0, (int64_t)i);
    return data;
}

static void write_one_by_one(struct stream_writer *w, const struct stream_begin *b,
                             const struct stream_rows *rows)
{
    struct errctx e = ERRCTX_INIT;
    for (int64_t i = 0; i < rows->n; i++) {
        const void *cells[16];
        int64_t elements[16] = {0};
        for (int64_t c = 0; c < b->columns_count; c++) {
            const int64_t *start = rows->start[c];
            size_t cell = stream_field_cell(&b->columns[c]);
            cells[c] = rows->data[c] + (size_t)(start ? start[i] : i) * cell;
            if (start) elements[c] = start[i + 1] - start[i];
        }
        assert_int_equal(stream_writer_row(&e, w, cells, elements), ERR_OK);
    }
}

static void write_rows(struct stream_writer *w, const struct stream_begin *b,
                       const struct case_cfg *cfg)
{
    struct errctx e = ERRCTX_INIT;
    struct case_rows c;
    case_rows_make(b, 0, cfg->rows, cfg->long_every, &c);
    if (!cfg->batch) write_one_by_one(w, b, &c.rows);
    for (int64_t i = 0; cfg->batch && i < cfg->rows; i += cfg->batch) {
        int64_t to = i + cfg->batch < cfg->rows ? i + cfg->batch : cfg->rows;
        assert_int_equal(stream_writer_rows(&e, w, &c.rows, i, to), ERR_OK);
    }
    case_rows_free(&c);
}

static void write_tensors(struct stream_writer *w, const struct stream_begin *b,
                          const struct case_cfg *cfg)
{
    struct errctx e = ERRCTX_INIT;
    for (int64_t t = 0; t < b->tensors_count; t++) {
        size_t bytes, size = dtype_size(b->tensors[t].dtype);
        uint8_t *data = case_tensor_make(b, t, &bytes);
        int64_t total = (int64_t)(bytes / size), step = cfg->batch ? cfg->batch : total;
        for (int64_t i = 0; i < total; i += step) {
            int64_t n = total - i < step ? total - i : step;
            assert_int_equal(stream_writer_tensor(&e, w, t, data + (size_t)i * size, n), ERR_OK);
        }
        free(data);
    }
}

void case_write(const char *path, const struct case_cfg *cfg, uint8_t id[16])
{
    struct errctx e = ERRCTX_INIT;
    struct stream_writer_cfg wc = {
        .level = cfg->level, .threads = cfg->threads, .record_bytes = cfg->record_bytes};
    struct stream_begin b;
    struct stream_writer *w;
    struct run run;
    case_begin(&b, cfg->kind);
    assert_int_equal(run_init(&e, &run, "case", "1"), ERR_OK);
    assert_int_equal(run_option(&e, &run, "rows", "some"), ERR_OK);
    assert_int_equal(stream_writer_open(&e, &run, path, &b, &wc, &w), ERR_OK);
    if (b.columns_count)
        write_rows(w, &b, cfg);
    else
        write_tensors(w, &b, cfg);
    assert_int_equal(stream_writer_finish(&e, w), ERR_OK);
    if (id) memcpy(id, stream_writer_summary(w)->id, 16);
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    run_fini(&run);
    stream_begin_fini(&b);
}

static void check_rows(const struct stream_begin *b, const struct case_cfg *cfg,
                       const struct stream_rows *rows)
{
    struct case_rows c;
    assert_true(rows->first % cfg->rows + rows->n <= cfg->rows);
    case_rows_make(b, rows->first % cfg->rows, rows->n, cfg->long_every, &c);
    for (int64_t i = 0; i < b->columns_count; i++) {
        const struct stream_field *f = &b->columns[i];
        size_t cell = stream_field_cell(f);
        const int64_t *start = rows->start[i];
        assert_int_equal((uintptr_t)rows->data[i] % dtype_size(f->dtype), 0);
        assert_int_equal(start != NULL, stream_field_ragged(f));
        for (int64_t k = 0; start && k < rows->n; k++)
            assert_int_equal(start[k + 1] - start[k], c.start[i][k + 1] - c.start[i][k]);
        size_t n = (size_t)(start ? start[rows->n] - start[0] : rows->n) * cell;
        assert_memory_equal(rows->data[i] + (start ? (size_t)start[0] * cell : 0), c.data[i], n);
    }
    case_rows_free(&c);
}

static void check_piece(const struct stream_begin *b, const struct stream_tensor_piece *p)
{
    size_t bytes, at = (size_t)p->first * dtype_size(b->tensors[p->tensor].dtype);
    uint8_t *data = case_tensor_make(b, p->tensor, &bytes);
    assert_true(at + p->bytes <= bytes);
    assert_memory_equal(p->data, data + at, p->bytes);
    free(data);
}

void case_check(const char *path, const struct case_cfg *cfg, int64_t segments, int threads)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg rc = {.kind = cfg->kind, .threads = threads, .segments = segments};
    struct stream_reader *r;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    enum stream_event event;
    int64_t seen = 0, bytes = 0;
    assert_int_equal(stream_reader_open(&e, NULL, "input", path, &rc, &r), ERR_OK);
    const struct stream_begin *b = stream_reader_begin(r);
    for (;;) {
        enum err code = stream_reader_next(&e, r, &event, &rows, &piece);
        assert_string_equal(e.message, "");
        assert_int_equal(code, ERR_OK);
        if (event == STREAM_EVENT_END) break;
        if (event == STREAM_EVENT_ROWS) {
            assert_int_equal(rows.first, seen);
            check_rows(b, cfg, &rows);
            seen += rows.n;
        } else {
            check_piece(b, &piece);
            bytes += (int64_t)piece.bytes;
        }
    }
    const struct stream_summary *s = stream_reader_summary(r);
    assert_int_equal(s->segments, segments);
    assert_int_equal(s->rows, seen);
    assert_int_equal(seen, b->columns_count ? cfg->rows * segments : 0);
    if (!b->columns_count) assert_int_equal(s->bytes, bytes);
    stream_reader_close(r);
}

enum err case_read(struct errctx *e, const char *path, int threads)
{
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY, .threads = threads};
    struct stream_reader *r;
    enum stream_event event = STREAM_EVENT_ROWS;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    TRY(stream_reader_open(e, NULL, "input", path, &cfg, &r));
    enum err code = ERR_OK;
    while (code == ERR_OK && event != STREAM_EVENT_END)
        code = stream_reader_next(e, r, &event, &rows, &piece);
    stream_reader_close(r);
    return code;
}
