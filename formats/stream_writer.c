/* SPDX-License-Identifier: Apache-2.0 */
/* stream_writer.c: rows and tensors into records, records into frames, and the end with id, index
 * and lineage.
 *
 * Rows gather column by column. A record is closed before the row that would make it larger than
 * record_bytes, so that framing follows from the rows alone, however they were handed in; only a
 * flush to a pipe closes one early. A row that is larger than a record by itself goes out in
 * pieces. */
#include "formats/stream_writer.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "formats/frame.h"
#include "formats/outlet.h"
#include "formats/record.h"
#include "formats/stream_begin.h"

enum {
    RECORD_BYTES = 1 << 20,
    RECORD_BYTES_MIN = 16,
    RECORD_BYTES_MAX = FRAME_RAW_LIMIT - (64 << 10), /* room for keys and heads of 256 columns */
    PIECE_BYTES = 1 << 20,                           /* of a tensor */
    THREADS_LIMIT = 64,
};

struct column {
    struct bytes data, lengths;
    bool ragged;
    size_t cell; /* bytes of a fixed cell, or of an element */
};

struct stream_writer {
    struct outfile out;
    struct outlet *outlet;
    struct run *run;
    struct stream_writer_cfg cfg;
    struct errctx failed; /* the first error, repeated ever after */

    struct stream_begin begin;
    struct bytes body;
    struct content *content;
    struct column *columns;
    struct record_cell *cells; /* scratch: one per column */
    struct stream_rows one;    /* scratch for stream_writer_row */
    int64_t (*one_start)[2];
    size_t fixed;         /* bytes of the fixed cells of a row */
    int64_t pending;      /* rows gathered */
    size_t pending_bytes; /* data and lengths of them */
    struct record_index index;
    int64_t rows;            /* begun in records that are written */
    int64_t tensor, element; /* that come next */
    struct bytes piece;      /* of the tensor being written */
    int64_t piece_first;
    int64_t tensor_records;
    bool finished, demanding;
    uint8_t demanded[16]; /* id, when demanding */
    struct stream_summary summary;
};

static enum err keep(struct stream_writer *w, const struct errctx *e)
{
    if (e->code != ERR_OK && w->failed.code == ERR_OK) w->failed = *e;
    return e->code;
}

static enum err again(struct errctx *e, const struct stream_writer *w)
{
    return err_set(e, w->failed.code, "%s", w->failed.message);
}

/* ------------------------------------------------------------------ rows */

/* Writes one rows record of w->cells. */
static enum err put_cells(struct errctx *e, struct stream_writer *w, int64_t rows, bool more)
{
    struct bytes *raw;
    TRY(record_index_add(e, &w->index, (uint64_t)w->rows));
    TRY(outlet_buffer(e, w->outlet, &raw));
    TRY(record_pack_rows(e, &w->begin, rows, more, w->cells, raw));
    w->rows += rows;
    return outlet_put(e, w->outlet);
}

static enum err close_record(struct errctx *e, struct stream_writer *w)
{
    if (w->pending == 0) return ERR_OK;
    for (int64_t i = 0; i < w->begin.columns_count; i++) {
        struct column *c = &w->columns[i];
        w->cells[i] = (struct record_cell){.lengths = c->lengths.data,
                                           .lengths_bytes = c->lengths.len,
                                           .data = c->data.data,
                                           .bytes = c->data.len};
        c->data.len = c->lengths.len = 0;
    }
    int64_t n = w->pending;
    w->pending = 0;
    w->pending_bytes = 0;
    return put_cells(e, w, n, false);
}

static enum err row_size(struct errctx *e, const struct stream_writer *w,
                         const struct stream_rows *rows, int64_t i, size_t *size)
{
    *size = w->fixed;
    for (int64_t k = 0; k < w->begin.columns_count; k++) {
        if (!w->columns[k].ragged) continue;
        uint64_t n = (uint64_t)(rows->start[k][i + 1] - rows->start[k][i]);
        if (n > STREAM_MAX_CELL / w->columns[k].cell)
            return err_set(e, ERR_INPUT,
                           "row %" PRId64 ": a cell of column '%s' is over the limit of %llu bytes",
                           w->rows + w->pending, w->begin.columns[k].name,
                           (unsigned long long)STREAM_MAX_CELL);
        *size += 4 + (size_t)n * w->columns[k].cell;
    }
    return ERR_OK;
}

static enum err gather(struct errctx *e, struct stream_writer *w, const struct stream_rows *rows,
                       int64_t from, int64_t to)
{
    for (int64_t k = 0; k < w->begin.columns_count; k++) {
        struct column *c = &w->columns[k];
        if (!c->ragged) {
            TRY(bytes_append(e, &c->data, rows->data[k] + (size_t)from * c->cell,
                             (size_t)(to - from) * c->cell));
            continue;
        }
        const int64_t *start = rows->start[k];
        TRY(bytes_append(e, &c->data, rows->data[k] + (size_t)start[from] * c->cell,
                         (size_t)(start[to] - start[from]) * c->cell));
        TRY(bytes_reserve(e, &c->lengths, (size_t)(to - from) * 4));
        for (int64_t i = from; i < to; i++, c->lengths.len += 4)
            frame_put_u32(c->lengths.data + c->lengths.len, (uint32_t)(start[i + 1] - start[i]));
    }
    w->pending += to - from;
    return ERR_OK;
}

/* Fills w->cells with the next piece of row i; done[k]: bytes of column k that went before. *more:
 * not all. */
static void cut_piece(struct stream_writer *w, const struct stream_rows *rows, int64_t i,
                      bool first, size_t *done, uint8_t (*lengths)[4], bool *more)
{
    size_t room = w->cfg.record_bytes;
    if (first) room = room > w->fixed ? room - w->fixed : 0;
    *more = false;
    for (int64_t k = 0; k < w->begin.columns_count; k++) {
        const struct column *c = &w->columns[k];
        struct record_cell *cell = &w->cells[k];
        if (!c->ragged) {
            *cell = (struct record_cell){.data = rows->data[k] + (size_t)i * c->cell,
                                         .bytes = first ? c->cell : 0};
            continue;
        }
        const int64_t *start = rows->start[k];
        size_t left = (size_t)(start[i + 1] - start[i]) * c->cell - done[k];
        size_t n = left < room ? left : room / c->cell * c->cell;
        frame_put_u32(lengths[k], (uint32_t)(n / c->cell));
        *cell = (struct record_cell){.lengths = lengths[k],
                                     .lengths_bytes = 4,
                                     .data = rows->data[k] + (size_t)start[i] * c->cell + done[k],
                                     .bytes = n};
        done[k] += n;
        room -= n;
        if (n < left) *more = true;
    }
}

static enum err put_long_row(struct errctx *e, struct stream_writer *w,
                             const struct stream_rows *rows, int64_t i)
{
    size_t done[STREAM_MAX_COLUMNS] = {0};
    uint8_t lengths[STREAM_MAX_COLUMNS][4];
    bool more = true;
    for (bool first = true; more; first = false) {
        cut_piece(w, rows, i, first, done, lengths, &more);
        TRY(put_cells(e, w, first ? 1 : 0, more));
    }
    return ERR_OK;
}

static enum err write_rows(struct errctx *e, struct stream_writer *w,
                           const struct stream_rows *rows, int64_t from, int64_t to)
{
    while (from < to) {
        int64_t end = from;
        size_t size = 0;
        for (; end < to; end++) {
            TRY(row_size(e, w, rows, end, &size));
            if (size > w->cfg.record_bytes - w->pending_bytes) break;
            w->pending_bytes += size;
        }
        TRY(gather(e, w, rows, from, end));
        from = end;
        if (from == to) break;
        TRY(close_record(e, w));
        if (size > w->cfg.record_bytes) TRY(put_long_row(e, w, rows, from++));
    }
    return ERR_OK;
}

enum err stream_writer_rows(struct errctx *e, struct stream_writer *w,
                            const struct stream_rows *rows, int64_t from, int64_t to)
{
    if (w->failed.code != ERR_OK) return again(e, w);
    if (!w->columns) return err_set(e, ERR_IO, "BUG: rows for a stream of tensors");
    content_rows(w->content, rows, from, to);
    return write_rows(e, w, rows, from, to) == ERR_OK ? ERR_OK : keep(w, e);
}

enum err stream_writer_row(struct errctx *e, struct stream_writer *w, const void *const *cells,
                           const int64_t *elements)
{
    for (int64_t k = 0; k < w->begin.columns_count; k++) {
        w->one.data[k] = cells[k];
        if (w->columns[k].ragged) w->one_start[k][1] = elements[k];
    }
    return stream_writer_rows(e, w, &w->one, 0, 1);
}

/* ------------------------------------------------------------------ tensors */

static void pass_empty_tensors(struct stream_writer *w)
{
    while (w->tensor < w->begin.tensors_count &&
           stream_field_elements(&w->begin.tensors[w->tensor]) == 0)
        w->tensor++;
}

static enum err put_piece(struct errctx *e, struct stream_writer *w, const struct stream_field *f,
                          const void *data, size_t n)
{
    struct bytes *raw;
    TRY(record_index_add(e, &w->index, (uint64_t)w->tensor_records++));
    TRY(outlet_buffer(e, w->outlet, &raw));
    TRY(record_pack_tensor(e, f, w->piece_first, data, n, raw));
    w->piece_first += (int64_t)(n / dtype_unit_bytes(f->dtype)) * dtype_unit(f->dtype);
    return outlet_put(e, w->outlet);
}

static enum err write_tensor(struct errctx *e, struct stream_writer *w, const void *data,
                             int64_t elements)
{
    const struct stream_field *f = &w->begin.tensors[w->tensor];
    const uint8_t *p = data;
    const size_t room = PIECE_BYTES / dtype_unit_bytes(f->dtype) * dtype_unit_bytes(f->dtype);
    size_t left = dtype_offset(f->dtype, elements);
    bool last = w->element + elements == stream_field_elements(f);
    content_tensor(w->content, w->tensor, p, left, last);
    while (left > 0) {
        size_t n = room - w->piece.len < left ? room - w->piece.len : left;
        if (n == room) {
            TRY(put_piece(e, w, f, p, n)); /* past the buffer */
        } else {
            TRY(bytes_append(e, &w->piece, p, n));
            if (w->piece.len == room || (last && n == left)) {
                TRY(put_piece(e, w, f, w->piece.data, w->piece.len));
                w->piece.len = 0;
            }
        }
        p += n;
        left -= n;
    }
    w->element += elements;
    if (!last) return ERR_OK;
    w->tensor++;
    w->element = w->piece_first = 0;
    pass_empty_tensors(w);
    return ERR_OK;
}

enum err stream_writer_tensor(struct errctx *e, struct stream_writer *w, int64_t tensor,
                              const void *data, int64_t elements)
{
    if (w->failed.code != ERR_OK) return again(e, w);
    if (elements == 0) return ERR_OK;
    if (tensor != w->tensor || tensor >= w->begin.tensors_count || elements < 0 ||
        elements > stream_field_elements(&w->begin.tensors[tensor]) - w->element ||
        elements % dtype_unit(w->begin.tensors[tensor].dtype)) {
        err_set(e, ERR_IO,
                "BUG: tensor %" PRId64 " is written out of order, over its end or not in whole "
                "blocks",
                tensor);
        return keep(w, e);
    }
    return write_tensor(e, w, data, elements) == ERR_OK ? ERR_OK : keep(w, e);
}

/* ------------------------------------------------------------------ frames as they are */

bool stream_writer_takes_frames(const struct stream_writer *w, bool from_regular)
{
    bool plain = w->cfg.level == STREAM_LEVEL_DEFAULT && w->cfg.record_bytes == RECORD_BYTES;
    return plain && (from_regular || !w->out.regular || w->begin.tensors_count);
}

enum err stream_writer_put_frame(struct errctx *e, struct stream_writer *w, struct bytes *packed,
                                 size_t raw_size, int64_t begun)
{
    if (w->failed.code != ERR_OK) return again(e, w);
    bool has_rows = w->begin.tensors_count == 0;
    int64_t before = has_rows ? w->rows : w->tensor_records;
    if (close_record(e, w) != ERR_OK) return keep(w, e);
    if (has_rows) before = w->rows;
    if (record_index_add(e, &w->index, (uint64_t)before) != ERR_OK) return keep(w, e);
    if (outlet_put_packed(e, w->outlet, packed, raw_size) != ERR_OK) return keep(w, e);
    if (has_rows)
        w->rows += begun;
    else
        w->tensor_records += begun;
    return ERR_OK;
}

void stream_writer_frames_done(struct stream_writer *w, const struct content *content)
{
    if (content) content_assign(w->content, content);
    w->tensor = w->begin.tensors_count;
}

struct content *stream_writer_content(struct stream_writer *w)
{
    return w->content;
}

bool stream_writer_fresh(const struct stream_writer *w)
{
    return content_bytes(w->content) == 0 && content_rows_count(w->content) == 0;
}

const struct stream_begin *stream_writer_begin(const struct stream_writer *w)
{
    return &w->begin;
}

/* ------------------------------------------------------------------ opening */

static enum err make_columns(struct errctx *e, struct stream_writer *w)
{
    size_t n = (size_t)w->begin.columns_count;
    if (!n) return ERR_OK;
    TRY(mem_new(e, &w->columns, n, sizeof *w->columns, "columns"));
    TRY(mem_new(e, &w->cells, n, sizeof *w->cells, "columns"));
    TRY(mem_new(e, &w->one.data, n, sizeof *w->one.data, "columns"));
    TRY(mem_new(e, &w->one.start, n, sizeof *w->one.start, "columns"));
    TRY(mem_new(e, &w->one_start, n, sizeof *w->one_start, "columns"));
    w->one.n = 1;
    w->one.columns_count = (int64_t)n;
    for (size_t i = 0; i < n; i++) {
        struct column *c = &w->columns[i];
        c->cell = stream_field_cell(&w->begin.columns[i]);
        c->ragged = stream_field_ragged(&w->begin.columns[i]);
        if (c->ragged)
            w->one.start[i] = w->one_start[i];
        else
            w->fixed += c->cell;
    }
    return ERR_OK;
}

static int zstd_level(const struct stream_writer *w)
{
    if (w->cfg.level == STREAM_LEVEL_DEFAULT)
        return w->begin.kind == STREAM_TOKENS ? 1 : ZSTD_minCLevel();
    return w->cfg.level == 0 ? ZSTD_minCLevel() : w->cfg.level;
}

static enum err check_cfg(struct errctx *e, struct stream_writer *w)
{
    struct stream_writer_cfg *c = &w->cfg;
    if (c->level != STREAM_LEVEL_DEFAULT &&
        (c->level < ZSTD_minCLevel() || c->level > ZSTD_maxCLevel()))
        return err_set(e, ERR_USAGE, "compression level %d is not in %d..%d", c->level,
                       ZSTD_minCLevel(), ZSTD_maxCLevel());
    if (c->record_bytes == 0) c->record_bytes = RECORD_BYTES;
    if (c->record_bytes < RECORD_BYTES_MIN) c->record_bytes = RECORD_BYTES_MIN;
    if (c->record_bytes > RECORD_BYTES_MAX) c->record_bytes = RECORD_BYTES_MAX;
    c->threads = c->threads < 0 ? 0 : c->threads > THREADS_LIMIT ? THREADS_LIMIT : c->threads;
    return ERR_OK;
}

static enum err put_begin(struct errctx *e, struct stream_writer *w)
{
    struct bytes *raw;
    TRY(outlet_buffer(e, w->outlet, &raw));
    TRY(stream_begin_encode(e, &w->begin, &w->body, raw));
    return outlet_put(e, w->outlet);
}

static enum err set_up(struct errctx *e, struct stream_writer *w, const char *path,
                       const struct stream_begin *begin)
{
    TRY(check_cfg(e, w));
    TRY(stream_begin_check(e, begin));
    TRY(stream_begin_copy(e, begin, &w->begin));
    TRY(stream_begin_encode_body(e, &w->begin, &w->body));
    TRY(make_columns(e, w));
    TRY(content_new(e, &w->begin, &w->body, &w->content));
    record_index_init(&w->index);
    pass_empty_tensors(w);
    TRY(outfile_open(e, path, &w->out));
    if (isatty(w->out.fd))
        return err_set(e, ERR_USAGE,
                       "binary data is not written to a terminal (use -o FILE, or a pipe to graft "
                       "inspect or graft dump)");
    TRY(outlet_new(e, &w->out, zstd_level(w), w->cfg.threads, &w->outlet));
    return put_begin(e, w);
}

enum err stream_writer_open(struct errctx *e, struct run *run, const char *path,
                            const struct stream_begin *begin, const struct stream_writer_cfg *cfg,
                            struct stream_writer **out)
{
    struct stream_writer *w;
    *out = NULL;
    TRY(mem_new(e, &w, 1, sizeof *w, "a stream writer"));
    stream_begin_init(&w->begin, begin->kind);
    w->out = (struct outfile){.fd = -1, .slot = -1};
    w->run = run;
    w->cfg = cfg ? *cfg : STREAM_WRITER_CFG;
    if (set_up(e, w, path, begin) != ERR_OK) {
        stream_writer_abort(w);
        return e->code;
    }
    /* Of several writers the one that a waiting reader should flush is the pipe. */
    if (run && (!run->writer || !w->out.regular)) run->writer = w;
    *out = w;
    return ERR_OK;
}

/* ------------------------------------------------------------------ finishing */

static enum err flush(struct errctx *e, struct stream_writer *w)
{
    TRY(close_record(e, w));
    return outlet_flush(e, w->outlet);
}

enum err stream_writer_flush(struct errctx *e, struct stream_writer *w)
{
    if (w->failed.code != ERR_OK) return again(e, w);
    if (w->out.regular || w->finished) return ERR_OK;
    return flush(e, w) == ERR_OK ? ERR_OK : keep(w, e);
}

static enum err rest(struct errctx *e, struct stream_writer *w)
{
    TRY(close_record(e, w));
    for (int64_t i = 0; i < w->begin.columns_count; i++) {
        bytes_fini(&w->columns[i].data);
        bytes_fini(&w->columns[i].lengths);
    }
    bytes_fini(&w->piece);
    return outlet_rest(e, w->outlet);
}

enum err stream_writer_rest(struct errctx *e, struct stream_writer *w)
{
    if (w->failed.code != ERR_OK) return again(e, w);
    if (w->finished) return ERR_OK;
    return rest(e, w) == ERR_OK ? ERR_OK : keep(w, e);
}

void stream_writer_demand_id(struct stream_writer *w, const uint8_t id[16])
{
    memcpy(w->demanded, id, sizeof w->demanded);
    w->demanding = true;
}

static enum err put_end(struct errctx *e, struct stream_writer *w)
{
    struct record_end end = {.rows = w->rows, .tensors = w->begin.tensors_count, .index = w->index};
    struct bytes *raw;
    end.bytes = content_bytes(w->content);
    content_id(w->content, NULL, 0, 0, end.id);
    if (w->demanding && memcmp(w->demanded, end.id, sizeof end.id) != 0)
        return err_set(e, ERR_INPUT, "the id does not match what came before it");
    if (w->run) TRY(run_lineage(e, w->run, end.id, end.rows, end.tensors, &end.lineage));
    enum err code = outlet_buffer(e, w->outlet, &raw);
    if (code == ERR_OK) code = record_pack_end(e, &end, raw);
    if (code == ERR_OK) code = outlet_put(e, w->outlet);
    lineage_fini(&end.lineage);
    w->summary = (struct stream_summary){
        .segments = 1, .rows = end.rows, .tensors = end.tensors, .bytes = end.bytes};
    memcpy(w->summary.id, end.id, 16);
    return code;
}

static enum err finish(struct errctx *e, struct stream_writer *w)
{
    TRY(close_record(e, w));
    if (w->tensor < w->begin.tensors_count)
        return err_set(e, ERR_IO, "BUG: tensor '%s' was not written to its end",
                       w->begin.tensors[w->tensor].name);
    if (w->rows != content_rows_count(w->content))
        return err_set(e, ERR_IO, "BUG: %" PRId64 " rows written, %" PRId64 " hashed", w->rows,
                       content_rows_count(w->content));
    TRY(put_end(e, w));
    TRY(outlet_finish(e, w->outlet));
    TRY(outfile_sync(e, &w->out));
    w->summary.compressed = w->out.written;
    w->finished = true;
    return ERR_OK;
}

enum err stream_writer_finish(struct errctx *e, struct stream_writer *w)
{
    if (w->failed.code != ERR_OK) return again(e, w);
    if (w->finished) return ERR_OK;
    return finish(e, w) == ERR_OK ? ERR_OK : keep(w, e);
}

static void free_writer(struct stream_writer *w)
{
    if (w->run && w->run->writer == w) w->run->writer = NULL;
    outlet_free(w->outlet);
    for (int64_t i = 0; w->columns && i < w->begin.columns_count; i++) {
        bytes_fini(&w->columns[i].data);
        bytes_fini(&w->columns[i].lengths);
    }
    mem_free(w->columns);
    mem_free(w->cells);
    mem_free(w->one.data);
    mem_free(w->one.start);
    mem_free(w->one_start);
    bytes_fini(&w->piece);
    record_index_fini(&w->index);
    content_free(w->content);
    stream_begin_fini(&w->begin);
    bytes_fini(&w->body);
    mem_free(w);
}

enum err stream_writer_commit(struct errctx *e, struct stream_writer *w)
{
    enum err code = stream_writer_finish(e, w);
    if (code != ERR_OK) {
        stream_writer_abort(w);
        return code;
    }
    outlet_free(w->outlet); /* its threads must not outlive the file */
    w->outlet = NULL;
    code = outfile_commit(e, &w->out);
    free_writer(w);
    return code;
}

void stream_writer_abort(struct stream_writer *w)
{
    if (!w) return;
    outlet_free(w->outlet);
    w->outlet = NULL;
    outfile_abort(&w->out);
    free_writer(w);
}

const struct stream_summary *stream_writer_summary(const struct stream_writer *w)
{
    return &w->summary;
}
