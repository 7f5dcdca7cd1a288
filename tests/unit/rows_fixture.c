/* SPDX-License-Identifier: Apache-2.0 */
/* rows_fixture.c: rows that can be told from their number alone. */
#include "tests/unit/rows_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"

enum { BATCH = 100, LONGEST = 64 };

uint32_t rows_fixture_random(uint32_t i, uint32_t lane)
{
    uint32_t w[4];
    rng_philox(rng_key_make(2, RNG_TEST), (const uint32_t[4]){i, lane, 0, 0}, w);
    return w[0];
}

int64_t rows_fixture_length(uint64_t value)
{
    return rows_fixture_random((uint32_t)value, 0) % LONGEST;
}

void rows_fixture_begin(struct stream_begin *b)
{
    struct errctx e = ERRCTX_INIT;
    const int64_t ragged[] = {-1};
    stream_begin_init(b, STREAM_TOKENS);
    assert_int_equal(stream_begin_column(&e, b, "value", DTYPE_U64, 0, NULL), ERR_OK);
    assert_int_equal(stream_begin_column(&e, b, "doc", DTYPE_U64, 0, NULL), ERR_OK);
    assert_int_equal(stream_begin_column(&e, b, "ids", DTYPE_U16, 1, ragged), ERR_OK);
}

void rows_fixture_each(const uint64_t *values, int64_t n, rows_fixture_fn *fn, void *ctx)
{
    for (int64_t at = 0; at < n; at += BATCH) {
        uint64_t doc[BATCH];
        uint16_t ids[BATCH * LONGEST];
        int64_t start[BATCH + 1] = {0}, rows = n - at < BATCH ? n - at : BATCH;
        for (int64_t i = 0; i < rows; i++) {
            uint64_t v = values[at + i];
            doc[i] = v / 4;
            start[i + 1] = start[i] + rows_fixture_length(v);
            for (int64_t k = start[i]; k < start[i + 1]; k++)
                ids[k] = (uint16_t)(v + (uint64_t)(k - start[i]));
        }
        const uint8_t *data[] = {(const uint8_t *)(values + at), (const uint8_t *)doc,
                                 (const uint8_t *)ids};
        const int64_t *starts[] = {NULL, NULL, start};
        struct stream_rows r = {.n = rows, .first = at, .columns_count = 3, .data = data};
        r.start = starts;
        fn(ctx, &r);
    }
}

struct stream_writer *rows_fixture_writer(const char *path, size_t record_bytes)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_begin b;
    struct stream_writer *w;
    struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    cfg.threads = 0;
    cfg.record_bytes = record_bytes;
    rows_fixture_begin(&b);
    if (stream_writer_open(&e, NULL, path, &b, &cfg, &w) != ERR_OK) fail_msg("%s", e.message);
    stream_begin_fini(&b);
    return w;
}

static void write_rows(void *w, const struct stream_rows *rows)
{
    struct errctx e = ERRCTX_INIT;
    if (stream_writer_rows(&e, w, rows, 0, rows->n) != ERR_OK) fail_msg("%s", e.message);
}

void rows_fixture_write(const char *path, const uint64_t *values, int64_t n, size_t record_bytes)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_writer *w = rows_fixture_writer(path, record_bytes);
    rows_fixture_each(values, n, write_rows, w);
    if (stream_writer_commit(&e, w) != ERR_OK) fail_msg("%s", e.message);
}

static void check_row(const struct stream_rows *rows, int64_t i, uint64_t value)
{
    uint64_t doc;
    int64_t first = rows->start[2][i], n = rows->start[2][i + 1] - first;
    memcpy(&doc, rows->data[1] + (size_t)i * sizeof doc, sizeof doc);
    assert_int_equal(doc, value / 4);
    assert_int_equal(n, rows_fixture_length(value));
    for (int64_t k = 0; k < n; k++) {
        uint16_t id;
        memcpy(&id, rows->data[2] + (size_t)(first + k) * sizeof id, sizeof id);
        assert_int_equal(id, (uint16_t)(value + (uint64_t)k));
    }
}

uint64_t *rows_fixture_read(const char *path, int64_t *count)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg cfg = STREAM_READER_CFG;
    struct stream_reader *r;
    cfg.threads = 0;
    if (stream_reader_open(&e, NULL, "input", path, &cfg, &r) != ERR_OK) fail_msg("%s", e.message);
    uint64_t *all = malloc(sizeof *all * (size_t)(stream_reader_rows_total(r) + 1));
    assert_non_null(all);
    for (*count = 0;;) {
        enum stream_event event;
        struct stream_rows rows;
        struct stream_tensor_piece piece;
        if (stream_reader_next(&e, r, &event, &rows, &piece) != ERR_OK) fail_msg("%s", e.message);
        if (event == STREAM_EVENT_END) break;
        memcpy(all + *count, rows.data[0], sizeof *all * (size_t)rows.n);
        for (int64_t i = 0; i < rows.n; i++) check_row(&rows, i, all[*count + i]);
        *count += rows.n;
    }
    stream_reader_close(r);
    return all;
}
