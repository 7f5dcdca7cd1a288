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
    TRY(mem_new(e, &p->cells, n, sizeof *p->cells, "columns"));
    TRY(mem_new(e, &p->elements, n, sizeof *p->elements, "columns"));
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
    mem_free(p->cells);
    mem_free(p->elements);
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
        if (bytes > 0) memcpy(out, from, bytes);
        out += bytes;
    }
}

void rowpack_view(struct rowpack *p, const uint8_t *packed)
{
    const uint8_t *lengths = packed;
    packed += (size_t)p->ragged * sizeof(uint32_t);
    for (int64_t c = 0; c < p->columns; c++) {
        uint32_t length = 1;
        if (p->is_ragged[c]) {
            memcpy(&length, lengths, sizeof length);
            lengths += sizeof length;
        }
        p->cells[c] = packed;
        p->elements[c] = length;
        packed += (size_t)length * p->element_bytes[c];
    }
}

int64_t rowpack_tokens_column(const struct stream_begin *begin)
{
    int64_t c = begin->kind == STREAM_TOKENS ? stream_begin_find_column(begin, "ids") : -1;
    return c >= 0 && stream_field_ragged(&begin->columns[c]) ? c : -1;
}
