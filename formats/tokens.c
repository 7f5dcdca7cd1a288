/* SPDX-License-Identifier: Apache-2.0 */
/* tokens.c: finding and checking the columns of a tokens stream. See tokens.h. */
#include "formats/tokens.h"

#include <string.h>

#include "formats/stream_begin.h"

/* A column that may be absent. */
static enum err find_optional(struct errctx *e, const struct stream_begin *b, const char *column,
                              enum dtype t, bool is_ragged, int64_t *out)
{
    *out = stream_begin_find_column(b, column);
    if (*out < 0) return ERR_OK;
    const struct stream_field *f = &b->columns[*out];
    if (f->dtype == t && (is_ragged ? stream_field_ragged(f) : f->dims == 0)) return ERR_OK;
    return err_set(e, ERR_INPUT, "column '%s' is not %s%s", column, dtype_name(t),
                   is_ragged ? " of any length" : "");
}

static enum err find(struct errctx *e, const struct stream_begin *b, const char *column,
                     enum dtype t, int64_t *out)
{
    TRY(find_optional(e, b, column, t, false, out));
    if (*out < 0) return err_set(e, ERR_INPUT, "column '%s' is missing", column);
    return ERR_OK;
}

static enum err find_ids(struct errctx *e, const struct stream_begin *b, struct tokens_layout *out)
{
    out->ids = stream_begin_find_column(b, "ids");
    if (out->ids < 0) return err_set(e, ERR_INPUT, "column 'ids' is missing");
    const struct stream_field *f = &b->columns[out->ids];
    out->ids_dtype = f->dtype;
    if (!stream_field_ragged(f) || (f->dtype != DTYPE_U16 && f->dtype != DTYPE_U32))
        return err_set(e, ERR_INPUT, "column 'ids' is not U16 or U32 of any length");
    return ERR_OK;
}

static enum err find_all(struct errctx *e, const struct stream_begin *b, struct tokens_layout *out)
{
    const uint8_t *tokenizer;
    if (b->kind != STREAM_TOKENS)
        return err_set(e, ERR_INPUT, "a stream of kind %s, kind tokens is needed",
                       stream_kind_name(b->kind));
    TRY(find_ids(e, b, out));
    TRY(find(e, b, "doc", DTYPE_U64, &out->doc));
    TRY(find(e, b, "part", DTYPE_U32, &out->part));
    TRY(find(e, b, "skip", DTYPE_U32, &out->skip));
    TRY(find(e, b, "bytes", DTYPE_U32, &out->bytes));
    TRY(find(e, b, "chars", DTYPE_U32, &out->chars));
    TRY(find_optional(e, b, "types", DTYPE_U8, true, &out->types));
    TRY(find_optional(e, b, "loss", DTYPE_U8, true, &out->loss));
    TRY(find_optional(e, b, "weight", DTYPE_F32, false, &out->weight));
    TRY(find_optional(e, b, "group", DTYPE_U64, false, &out->group));
    TRY(find_optional(e, b, "keep", DTYPE_U8, true, &out->keep));
    TRY(mp_get_int(e, &b->meta, "vocab", 1, UINT32_MAX, &out->vocab));
    TRY(mp_get_binary(e, &b->meta, "tokenizer", 16, &tokenizer));
    memcpy(out->tokenizer, tokenizer, 16);
    return ERR_OK;
}

enum err tokens_layout_find(struct errctx *e, const struct stream_begin *b, const char *name,
                            struct tokens_layout *out)
{
    *out = (struct tokens_layout){0};
    if (find_all(e, b, out) != ERR_OK) return err_prefix(e, "'%s'", name);
    return ERR_OK;
}

/* Elements of row i in ragged column c; *data at the first. */
static int64_t ragged_cell(const struct stream_rows *rows, int64_t c, int64_t i, size_t size,
                           const uint8_t **data)
{
    const int64_t *start = rows->start[c];
    *data = rows->data[c] + (size_t)start[i] * size;
    return start[i + 1] - start[i];
}

static uint32_t fixed_u32(const struct stream_rows *rows, int64_t c, int64_t i)
{
    uint32_t v;
    memcpy(&v, rows->data[c] + (size_t)i * sizeof v, sizeof v);
    return v;
}

static uint64_t fixed_u64(const struct stream_rows *rows, int64_t c, int64_t i)
{
    uint64_t v;
    memcpy(&v, rows->data[c] + (size_t)i * sizeof v, sizeof v);
    return v;
}

/* An optional column with one element per token. */
static enum err per_token(struct errctx *e, const char *column, const struct stream_rows *rows,
                          int64_t c, int64_t i, int64_t n, const uint8_t **out)
{
    *out = NULL;
    if (c < 0) return ERR_OK;
    int64_t has = ragged_cell(rows, c, i, 1, out);
    if (has == n) return ERR_OK;
    return err_set(e, ERR_INPUT, "row %lld has %lld ids and %lld of '%s'",
                   (long long)(rows->first + i), (long long)n, (long long)has, column);
}

enum err tokens_row_view(struct errctx *e, const struct tokens_layout *l,
                         const struct stream_rows *rows, int64_t i, struct tokens_row *out)
{
    const uint8_t *ids, *keep;
    *out = (struct tokens_row){.ids_dtype = l->ids_dtype, .weight = 1};
    out->n = ragged_cell(rows, l->ids, i, dtype_size(l->ids_dtype), &ids);
    out->ids = ids;
    out->doc = fixed_u64(rows, l->doc, i);
    out->group = l->group < 0 ? 0 : fixed_u64(rows, l->group, i);
    out->part = fixed_u32(rows, l->part, i);
    out->skip = fixed_u32(rows, l->skip, i);
    out->bytes = fixed_u32(rows, l->bytes, i);
    out->chars = fixed_u32(rows, l->chars, i);
    if (l->weight >= 0)
        memcpy(&out->weight, rows->data[l->weight] + (size_t)i * sizeof out->weight,
               sizeof out->weight);
    if (l->keep >= 0) {
        out->keep_len = ragged_cell(rows, l->keep, i, 1, &keep);
        out->keep = (const char *)keep;
    }
    if (out->skip > out->n)
        return err_set(e, ERR_INPUT, "row %lld skips %u of its %lld tokens",
                       (long long)(rows->first + i), out->skip, (long long)out->n);
    TRY(per_token(e, "types", rows, l->types, i, out->n, &out->types));
    return per_token(e, "loss", rows, l->loss, i, out->n, &out->loss);
}

uint32_t tokens_row_id(const struct tokens_row *row, int64_t i)
{
    const unsigned char *ids = row->ids;
    uint16_t narrow;
    uint32_t id;
    if (row->ids_dtype == DTYPE_U32) {
        memcpy(&id, ids + 4 * i, sizeof id);
        return id;
    }
    memcpy(&narrow, ids + 2 * i, sizeof narrow);
    return narrow;
}

enum err tokens_row_ids(struct errctx *e, const struct tokens_layout *l,
                        const struct tokens_row *row, int64_t ordinal, uint32_t *out)
{
    for (int64_t i = 0; i < row->n; i++) {
        out[i] = tokens_row_id(row, i);
        if (out[i] >= l->vocab)
            return err_set(e, ERR_INPUT,
                           "row %lld, position %lld: token id %u is not below the vocabulary size "
                           "%lld (is this the right tokenizer?)",
                           (long long)ordinal, (long long)i, out[i], (long long)l->vocab);
    }
    return ERR_OK;
}
