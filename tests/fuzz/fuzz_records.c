/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_records.c: any bytes inside sound frames: (u16 length, records)*, each such part becomes a
 * frame with its checksum, and seal and table are made to fit. What no checksum finds the reader's
 * own rules must. Law: as in fuzz_stream.c, and the rows that are handed out lie within what was
 * read. */
#include "formats/labels.h"
#include "formats/outlet.h"
#include "formats/stream.h"
#include "tests/fuzz/fuzz.h"

enum { FRAMES = 64 };

static void put_frames(struct errctx *e, struct outlet *o, struct fuzz_input in)
{
    for (int i = 0; i < FRAMES && in.n > 0; i++) {
        struct bytes *raw;
        size_t got;
        const uint8_t *part = fuzz_bytes(&in, fuzz_number(&in, 2), &got);
        if (got == 0) continue;
        if (outlet_buffer(e, o, &raw) != ERR_OK) return;
        if (bytes_append(e, raw, part, got) != ERR_OK || outlet_put(e, o) != ERR_OK) return;
    }
    (void)!outlet_finish(e, o);
}

static const char *seal_up(const uint8_t *data, size_t n)
{
    struct errctx e = ERRCTX_INIT;
    struct outfile out;
    struct outlet *o;
    const char *name = fuzz_file(NULL, 0);
    fuzz_demand(outfile_open(&e, name, &out) == ERR_OK, "the file can be opened");
    fuzz_demand(outlet_new(&e, &out, -100, 0, &o) == ERR_OK, "frames can be made");
    put_frames(&e, o, (struct fuzz_input){data, n});
    fuzz_demand(e.code == ERR_OK, e.message);
    outlet_free(o);
    fuzz_demand(outfile_commit(&e, &out) == ERR_OK, "the file can be closed");
    return name;
}

static void demand_rows(const struct stream_begin *b, const struct stream_rows *rows)
{
    uint64_t sum = 0;
    fuzz_demand(rows->n > 0 && rows->columns_count == b->columns_count, "rows have the columns");
    for (int64_t c = 0; c < rows->columns_count; c++) {
        size_t cell = dtype_size(b->columns[c].dtype);
        int64_t from = 0, to = rows->n;
        if (rows->start[c]) {
            for (int64_t i = 0; i < rows->n; i++)
                fuzz_demand(rows->start[c][i] <= rows->start[c][i + 1], "starts go up");
            from = rows->start[c][0];
            to = rows->start[c][rows->n];
        } else {
            for (int d = 0; d < b->columns[c].dims; d++) cell *= (size_t)b->columns[c].shape[d];
        }
        for (size_t i = (size_t)from * cell; i < (size_t)to * cell; i++) sum += rows->data[c][i];
    }
    fuzz_demand(sum < UINT64_MAX, "every byte of a row can be read");
}

/* What labels say is one of their classes, or it is refused. */
static void demand_labels(const struct stream_begin *b, const struct stream_rows *rows)
{
    struct errctx e = ERRCTX_INIT;
    struct labels l;
    if (labels_from_begin(&e, b, &l) != ERR_OK) {
        fuzz_demand_outcome(&e, false);
        return;
    }
    for (int64_t i = 0; i < l.count; i++)
        for (int64_t row = 0; row < rows->n; row++) {
            const struct label *x = &l.items[i];
            const int32_t *list = NULL;
            int64_t n = 0;
            int32_t one = -1;
            float number = 0;
            if (x->kind == LABEL_NUMBER)
                (void)!label_row_number(&e, x, rows, row, &number);
            else if (x->kind == LABEL_CLASS)
                (void)!label_row_class(&e, x, rows, row, &one);
            else
                (void)!label_row_list(&e, x, rows, row, &list, &n);
            for (int64_t k = 0; e.code == ERR_OK && k < n; k++)
                fuzz_demand(list[k] >= -1 && list[k] < x->classes_count, "a label has a class");
            if (e.code == ERR_OK)
                fuzz_demand(one >= -1 && one < (x->kind == LABEL_CLASS ? x->classes_count : 0),
                            "a label has a class");
            fuzz_demand_outcome(&e, false);
            err_clear(&e);
        }
    labels_fini(&l);
}

static enum err read_through(const char *path, int64_t *count)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_reader_cfg cfg = {.kind = STREAM_ANY};
    struct stream_reader *r;
    enum stream_event event = STREAM_EVENT_ROWS;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    *count = 0;
    if (stream_reader_open(&e, NULL, "input", path, &cfg, &r) == ERR_OK) {
        while (stream_reader_next(&e, r, &event, &rows, &piece) == ERR_OK &&
               event != STREAM_EVENT_END)
            if (event == STREAM_EVENT_ROWS) {
                demand_rows(stream_reader_begin(r), &rows);
                demand_labels(stream_reader_begin(r), &rows);
                *count += rows.n;
            }
        stream_reader_close(r);
    }
    fuzz_demand_outcome(&e, false);
    return e.code;
}

static void load_tensors(const char *path)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_tensors t;
    if (stream_tensors_load(&e, NULL, "model", path, STREAM_MODEL, &t) == ERR_OK)
        stream_tensors_fini(&t);
    fuzz_demand_outcome(&e, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *path = seal_up(data, n);
    struct salvage saved = {0};
    int64_t rows, glanced = 0;
    enum err read = read_through(path, &rows), seen = fuzz_glance(path, &glanced);
    enum err saving = fuzz_salvage(path, &saved);
    load_tensors(path);
    if (read != ERR_OK) return 0;
    fuzz_demand(seen == ERR_OK && glanced == rows, "a glance at a sound stream counts its rows");
    fuzz_demand(saving == ERR_OK && saved.rows == rows, "a sound stream is salvaged whole");
    return 0;
}
