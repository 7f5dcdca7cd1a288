/* SPDX-License-Identifier: Apache-2.0 */
/* rows_view.c: from cells to rows. See rows_view.h. */
#include "formats/rows_view.h"

#include <string.h>

#include "formats/frame.h"
#include "formats/stream_begin.h"

static enum err make_arrays(struct errctx *e, struct rows_view *v)
{
    size_t n = (size_t)v->begin->columns_count;
    TRY(mem_new(e, &v->rows.data, n, sizeof *v->rows.data, "columns"));
    TRY(mem_new(e, &v->rows.start, n, sizeof *v->rows.start, "columns"));
    TRY(mem_new(e, &v->starts, n, sizeof *v->starts, "columns"));
    TRY(mem_new(e, &v->starts_capacity, n, sizeof *v->starts_capacity, "columns"));
    return mem_new(e, &v->gathered, n, sizeof *v->gathered, "columns");
}

enum err rows_view_init(struct errctx *e, struct rows_view *v, const struct stream_begin *begin)
{
    *v = (struct rows_view){.begin = begin, .rows.columns_count = begin->columns_count};
    enum err code = make_arrays(e, v);
    if (code != ERR_OK) rows_view_fini(v);
    return code;
}

void rows_view_fini(struct rows_view *v)
{
    for (int64_t i = 0; i < v->rows.columns_count; i++) {
        if (v->starts) mem_free(v->starts[i]);
        if (v->gathered) bytes_fini(&v->gathered[i]);
    }
    mem_free(v->rows.data);
    mem_free(v->rows.start);
    mem_free(v->starts);
    mem_free(v->starts_capacity);
    mem_free(v->gathered);
    *v = (struct rows_view){0};
}

void rows_view_reset(struct rows_view *v)
{
    v->open = false;
}

/* Offsets of n rows whose lengths stand at `lengths`. */
static enum err set_starts(struct errctx *e, struct rows_view *v, int64_t i, const uint8_t *lengths,
                           int64_t n)
{
    TRY(mem_grow(e, &v->starts[i], &v->starts_capacity[i], (size_t)n + 1, sizeof **v->starts,
                 "row offsets"));
    int64_t *start = v->starts[i];
    start[0] = 0;
    for (int64_t k = 0; k < n; k++) start[k + 1] = start[k] + frame_u32(lengths + 4 * k);
    v->rows.start[i] = start;
    return ERR_OK;
}

static enum err whole_rows(struct errctx *e, struct rows_view *v, int64_t n,
                           const struct record_cell *cells)
{
    for (int64_t i = 0; i < v->rows.columns_count; i++) {
        const struct stream_field *f = &v->begin->columns[i];
        v->rows.data[i] = cells[i].data;
        v->rows.start[i] = NULL;
        if (stream_field_ragged(f)) TRY(set_starts(e, v, i, cells[i].lengths, n));
        if (v->unaligned || (uintptr_t)cells[i].data % dtype_size(f->dtype) == 0) continue;
        v->gathered[i].len = 0;
        TRY(bytes_append(e, &v->gathered[i], cells[i].data, cells[i].bytes));
        v->rows.data[i] = v->gathered[i].data;
    }
    v->rows.n = n;
    return ERR_OK;
}

static enum err add_piece(struct errctx *e, struct rows_view *v, const struct record_cell *cells)
{
    for (int64_t i = 0; i < v->rows.columns_count; i++) {
        if (v->gathered[i].len + cells[i].bytes > STREAM_MAX_CELL)
            return err_set(e, ERR_INPUT, "a cell of column '%s' is over the limit of %llu bytes",
                           v->begin->columns[i].name, (unsigned long long)STREAM_MAX_CELL);
        TRY(bytes_append(e, &v->gathered[i], cells[i].data, cells[i].bytes));
    }
    return ERR_OK;
}

/* The pieces are all there: a row of one. */
static enum err close_row(struct errctx *e, struct rows_view *v)
{
    static const uint8_t nothing[8];
    for (int64_t i = 0; i < v->rows.columns_count; i++) {
        const struct stream_field *f = &v->begin->columns[i];
        uint8_t length[4];
        frame_put_u32(length, (uint32_t)(v->gathered[i].len / dtype_size(f->dtype)));
        v->rows.data[i] = v->gathered[i].data ? v->gathered[i].data : nothing;
        v->rows.start[i] = NULL;
        if (stream_field_ragged(f)) TRY(set_starts(e, v, i, length, 1));
    }
    v->rows.n = 1;
    v->open = false;
    return ERR_OK;
}

enum err rows_view_add(struct errctx *e, struct rows_view *v, const struct record *r,
                       const struct record_cell *cells, bool *ready)
{
    *ready = false;
    if (v->open != (r->rows == 0))
        return err_set(e, ERR_INPUT, "%s",
                       v->open ? "a row in pieces is not complete"
                               : "a further piece of a row that has not begun");
    if (!r->more && !v->open) {
        *ready = true;
        return whole_rows(e, v, r->rows, cells);
    }
    for (int64_t i = 0; !v->open && i < v->rows.columns_count; i++) v->gathered[i].len = 0;
    v->open = true;
    TRY(add_piece(e, v, cells));
    if (r->more) return ERR_OK;
    *ready = true;
    return close_row(e, v);
}
