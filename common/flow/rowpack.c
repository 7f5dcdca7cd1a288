/* SPDX-License-Identifier: Apache-2.0 */
/* rowpack.c: rows to bytes and back, column by column. */
#include "common/flow/rowpack.h"

#include <inttypes.h>
#include <string.h>

#include "formats/stream_begin.h"

enum err rowpack_init(struct errctx *e, const struct stream_begin *begin, const char *name,
                      struct rowpack *p)
{
    size_t n = (size_t)begin->columns_count;
    *p = (struct rowpack){.columns = begin->columns_count};
    if (n == 0)
        return err_set(e, ERR_INPUT, "'%s': a stream of kind %s has no rows", name,
                       stream_kind_name(begin->kind));
    TRY(mem_new(e, &p->element_bytes, n, sizeof *p->element_bytes, "columns"));
    TRY(mem_new(e, &p->is_ragged, n, sizeof *p->is_ragged, "columns"));
    for (int64_t c = 0; c < p->columns; c++) {
        const struct stream_field *f = &begin->columns[c];
        p->element_bytes[c] = stream_field_cell(f);
        p->is_ragged[c] = stream_field_ragged(f);
        p->ragged += p->is_ragged[c];
    }
    return ERR_OK;
}

void rowpack_fini(struct rowpack *p)
{
    mem_free(p->element_bytes);
    mem_free(p->is_ragged);
    *p = (struct rowpack){0};
}

/* Where the cell of row i begins in column c, and how many elements it has (1 for fixed columns).
 */
static const uint8_t *cell(const struct rowpack *p, const struct stream_rows *rows, int64_t i,
                           int64_t c, int64_t *elements)
{
    int64_t first = p->is_ragged[c] ? rows->start[c][i] : i;
    *elements = p->is_ragged[c] ? rows->start[c][i + 1] - first : 1;
    return rows->data[c] + (size_t)first * p->element_bytes[c];
}

/* memcpy of a cell: most are numbers, which take no call. */
static inline void copy_cell(uint8_t *to, const uint8_t *from, size_t bytes)
{
    switch (bytes) {
    case 0: /* there may be no address */
        return;
    case 1:
        *to = *from;
        return;
    case 4:
        memcpy(to, from, 4);
        return;
    case 8:
        memcpy(to, from, 8);
        return;
    default:
        memcpy(to, from, bytes);
    }
}

uint64_t rowpack_raw_bytes(const struct rowpack *p, const struct stream_rows *rows, int64_t i)
{
    uint64_t total = 0;
    for (int64_t c = 0; c < p->columns; c++) {
        int64_t elements;
        cell(p, rows, i, c, &elements);
        total += (uint64_t)elements * p->element_bytes[c];
    }
    return total;
}

enum err rowpack_size(struct errctx *e, const struct rowpack *p, const struct stream_rows *rows,
                      int64_t i, uint32_t *size)
{
    uint64_t total = (uint64_t)p->ragged * sizeof(uint32_t) + rowpack_raw_bytes(p, rows, i);
    if (total > UINT32_MAX)
        return err_set(e, ERR_INPUT,
                       "row %" PRId64 " has %" PRIu64
                       " bytes; rows of at most 4 GiB can be moved about",
                       rows->first + i, total);
    *size = (uint32_t)total;
    return ERR_OK;
}

void rowpack_put(const struct rowpack *p, const struct stream_rows *rows, int64_t i, uint8_t *out)
{
    uint8_t *lengths = out;
    out += (size_t)p->ragged * sizeof(uint32_t);
    for (int64_t c = 0; c < p->columns; c++) {
        int64_t elements;
        const uint8_t *from = cell(p, rows, i, c, &elements);
        size_t bytes = (size_t)elements * p->element_bytes[c];
        if (p->is_ragged[c]) {
            uint32_t length = (uint32_t)elements;
            memcpy(lengths, &length, sizeof length);
            lengths += sizeof length;
        }
        copy_cell(out, from, bytes);
        out += bytes;
    }
}

enum err rowpack_batch_init(struct errctx *e, const struct rowpack *p, struct rowpack_batch *b)
{
    size_t n = (size_t)p->columns;
    *b = (struct rowpack_batch){.rows.columns_count = p->columns};
    TRY(mem_new(e, &b->rows.data, n, sizeof *b->rows.data, "columns"));
    TRY(mem_new(e, &b->rows.start, n, sizeof *b->rows.start, "columns"));
    TRY(mem_new(e, &b->data, n, sizeof *b->data, "columns"));
    TRY(mem_new(e, &b->used, n, sizeof *b->used, "columns"));
    TRY(mem_new(e, &b->capacity, n, sizeof *b->capacity, "columns"));
    TRY(mem_new(e, &b->start, n, sizeof *b->start, "columns"));
    for (size_t c = 0; c < n; c++) {
        if (!p->is_ragged[c]) continue;
        TRY(mem_new(e, &b->start[c], ROWPACK_BATCH + 1, sizeof **b->start, "columns"));
        b->rows.start[c] = b->start[c];
    }
    return ERR_OK;
}

void rowpack_batch_fini(const struct rowpack *p, struct rowpack_batch *b)
{
    for (int64_t c = 0; c < p->columns; c++) {
        if (b->data) mem_free(b->data[c]);
        if (b->start) mem_free(b->start[c]);
    }
    mem_free(b->rows.data);
    mem_free(b->rows.start);
    mem_free(b->data);
    mem_free(b->used);
    mem_free(b->capacity);
    mem_free(b->start);
    *b = (struct rowpack_batch){0};
}

enum err rowpack_batch_add(struct errctx *e, const struct rowpack *p, struct rowpack_batch *b,
                           const uint8_t *packed, bool *full)
{
    const uint8_t *lengths = packed;
    int64_t row = b->rows.n++;
    packed += (size_t)p->ragged * sizeof(uint32_t);
    for (int64_t c = 0; c < p->columns; c++) {
        uint32_t length = 1;
        if (row == 0) b->used[c] = 0;
        if (p->is_ragged[c]) {
            memcpy(&length, lengths, sizeof length);
            lengths += sizeof length;
            b->start[c][row + 1] = (row ? b->start[c][row] : 0) + length;
        }
        size_t bytes = (size_t)length * p->element_bytes[c];
        if (b->used[c] + bytes > b->capacity[c]) {
            TRY(mem_grow(e, &b->data[c], &b->capacity[c], b->used[c] + bytes, 1, "rows"));
            b->rows.data[c] = b->data[c];
        }
        copy_cell(b->data[c] + b->used[c], packed, bytes);
        b->used[c] += bytes;
        b->bytes += bytes;
        packed += bytes;
    }
    *full = b->rows.n == ROWPACK_BATCH || b->bytes >= ROWPACK_BATCH_BYTES;
    return ERR_OK;
}

enum err rowpack_batch_put(struct errctx *e, struct rowpack_batch *b, struct stream_writer *w)
{
    int64_t n = b->rows.n;
    b->rows.n = 0;
    b->bytes = 0;
    return n == 0 ? ERR_OK : stream_writer_rows(e, w, &b->rows, 0, n);
}

int64_t rowpack_tokens_column(const struct stream_begin *begin)
{
    int64_t c = begin->kind == STREAM_TOKENS ? stream_begin_find_column(begin, "ids") : -1;
    return c >= 0 && stream_field_ragged(&begin->columns[c]) ? c : -1;
}
