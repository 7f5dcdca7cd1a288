/* SPDX-License-Identifier: Apache-2.0 */
/* export_write.c: the numbers of an export (model_export.h): pieces of the stream become rows, rows
 * the bytes of entries. What is stored in another order of rows, or transposed, is gathered first.
 */
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/base/quantise.h"
#include "common/convert/match.h"
#include "common/convert/model_export.h"
#include "formats/scales.h"
#include "kernels/values.h"

enum { VALUES = 1 << 16 }; /* converted at a time, unless a row has more */

struct pump {
    struct errctx *e;
    struct model_export *x;
    export_put *put;
    void *ctx;
    struct scales scales;
    const struct stream_field *field; /* of the present tensor */
    enum dtype is;                    /* its type, as it is read */
    size_t entry, end;                /* its entries */
    int64_t columns, row;             /* that comes next */
    size_t row_bytes;
    struct bytes held; /* part of a row, or a tensor that is gathered */
    float *wide;
    uint8_t *out;
    size_t wide_capacity, out_capacity;
};

/* ------------------------------------------------------------------ values */

static enum err no_value(const struct pump *p, enum dtype to, float v)
{
    if (isfinite(v))
        return err_set(p->e, ERR_INPUT, "tensor '%s': %g is too large for type %s", p->field->name,
                       (double)v, dtype_name(to));
    return err_set(p->e, ERR_INPUT, "tensor '%s' has a value that is %s, which type %s cannot hold",
                   p->field->name, isnan(v) ? "NaN" : "infinite", dtype_name(to));
}

static enum err narrow(const struct pump *p, enum dtype to, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float v = p->wide[i];
        const uint16_t h = to == DTYPE_BF16 ? f32_to_bf16(v) : f32_to_f16(v);
        const uint16_t exponent = to == DTYPE_BF16 ? 0x7f80u : 0x7c00u;
        if ((h & exponent) == exponent && isfinite(v)) return no_value(p, to, v);
        memcpy(p->out + 2 * i, &h, sizeof h);
    }
    return ERR_OK;
}

static enum err quantise(const struct pump *p, enum dtype to, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(p->wide[i])) return no_value(p, to, p->wide[i]);
    const int64_t bad = quantise_row(to, p->wide, n, p->out);
    return bad < 0 ? ERR_OK : no_value(p, to, p->wide[bad]);
}

/* n values at `from` in the type of an entry, at p->out. */
static enum err convert(struct pump *p, size_t entry, const uint8_t *from, int64_t n, size_t *bytes)
{
    const enum dtype to = p->x->entries[entry].dtype, is = p->is;
    const bool more = p->x->parts[entry].rule->flags & TENSOR_PLUS_ONE;
    if (!dtype_bytes(to, n, bytes))
        return err_set(p->e, ERR_INPUT, "tensor '%s': its rows are no whole blocks of type %s",
                       p->field->name, dtype_name(to));
    TRY(mem_grow(p->e, &p->out, &p->out_capacity, *bytes, 1, "weights"));
    if (to == is && !more) {
        memcpy(p->out, from, *bytes);
        return ERR_OK;
    }
    TRY(mem_grow(p->e, &p->wide, &p->wide_capacity, (size_t)n, sizeof *p->wide, "weights"));
    values_to_f32(is, from, n, p->wide);
    for (int64_t i = 0; more && i < n; i++) p->wide[i] += 1;
    if (dtype_is_blocks(to)) return quantise(p, to, n);
    if (to != DTYPE_F32) return narrow(p, to, n);
    memcpy(p->out, p->wide, *bytes);
    return ERR_OK;
}

/* ------------------------------------------------------------------ rows in their order */

/* n rows from p->row on. Those that no entry has are left out. */
static enum err put_rows(struct pump *p, const uint8_t *data, int64_t n)
{
    const int64_t most = p->columns < VALUES ? VALUES / p->columns : 1;
    while (n > 0) {
        while (p->entry < p->end &&
               p->row >= p->x->parts[p->entry].first + p->x->parts[p->entry].rows)
            p->entry++;
        const struct export_part *part = p->entry < p->end ? &p->x->parts[p->entry] : NULL;
        const bool outside = !part || p->row < part->first;
        const int64_t end = !part                  ? p->row + n
                            : p->row < part->first ? part->first
                                                   : part->first + part->rows;
        int64_t now = end - p->row < n ? end - p->row : n;
        size_t bytes;
        if (now > most) now = most;
        if (!outside) {
            TRY(convert(p, p->entry, data, now * p->columns, &bytes));
            TRY(p->put(p->e, p->ctx, p->entry, p->out, bytes));
        }
        p->row += now;
        data += (size_t)now * p->row_bytes;
        n -= now;
    }
    return ERR_OK;
}

static enum err take_rows(struct pump *p, const uint8_t *data, size_t n)
{
    if (p->held.len > 0) {
        const size_t want = p->row_bytes - p->held.len, part = n < want ? n : want;
        TRY(bytes_append(p->e, &p->held, data, part));
        data += part;
        n -= part;
        if (p->held.len < p->row_bytes) return ERR_OK;
        TRY(put_rows(p, p->held.data, 1));
        p->held.len = 0;
    }
    TRY(put_rows(p, data, (int64_t)(n / p->row_bytes)));
    return bytes_append(p->e, &p->held, data + n / p->row_bytes * p->row_bytes, n % p->row_bytes);
}

/* ------------------------------------------------------------------ whole tensors */

static enum err put_entry(struct pump *p, size_t entry, uint8_t *all, size_t out_row)
{
    const struct export_part *part = &p->x->parts[entry];
    const bool turned = (part->rule->flags & TENSOR_TRANSPOSED) && p->field->dims == 2;
    const size_t size = dtype_size(p->x->entries[entry].dtype);
    size_t bytes;
    for (int64_t r = 0; r < part->rows; r++) {
        const uint8_t *row = p->held.data + (size_t)(part->first + r) * p->row_bytes;
        TRY(convert(p, entry, row, p->columns, &bytes));
        if (turned)
            for (int64_t k = 0; k < p->columns; k++)
                memcpy(all + (size_t)(k * part->rows + r) * size, p->out + (size_t)k * size, size);
        else
            memcpy(all + (size_t)match_row_in_file(&p->x->c, part->rule, r) * out_row, p->out,
                   out_row);
    }
    return p->put(p->e, p->ctx, entry, all, (size_t)part->rows * out_row);
}

static enum err put_gathered(struct pump *p)
{
    for (size_t i = p->entry; i < p->end; i++) {
        uint8_t *all;
        size_t out_row, bytes;
        if (!dtype_bytes(p->x->entries[i].dtype, p->columns, &out_row) ||
            !size_mul(out_row, (size_t)p->x->parts[i].rows, &bytes))
            return err_set(p->e, ERR_INPUT, "tensor '%s': its rows are no whole blocks",
                           p->field->name);
        TRY(mem_new_aligned(p->e, &all, bytes, 1, "a tensor"));
        (void)!put_entry(p, i, all, out_row);
        mem_free(all);
        TRY(p->e->code);
    }
    p->held.len = 0;
    return ERR_OK;
}

static bool is_gathered(const struct pump *p)
{
    const unsigned moved = TENSOR_PAIRED | TENSOR_PER_HEAD | TENSOR_TRANSPOSED;
    for (size_t i = p->entry; i < p->end; i++)
        if (p->x->parts[i].rule->flags & moved) return true;
    return false;
}

/* ------------------------------------------------------------------ the stream */

static enum err begin_tensor(struct pump *p, int64_t tensor)
{
    p->field = &stream_reader_begin(p->x->reader)->tensors[tensor];
    p->entry = p->x->first[tensor];
    p->end = p->x->first[tensor + 1];
    p->columns = p->field->dims == 2 ? p->field->shape[1] : 1;
    p->row = 0;
    p->held.len = 0;
    if (dtype_bytes(p->is, p->columns, &p->row_bytes)) return ERR_OK;
    return err_set(p->e, ERR_INPUT, "tensor '%s': its rows are no whole blocks", p->field->name);
}

static enum err take_weights(struct pump *p, const struct stream_tensor_piece *piece)
{
    if (piece->first == 0) TRY(begin_tensor(p, piece->tensor));
    if (!is_gathered(p)) return take_rows(p, piece->data, piece->bytes);
    TRY(bytes_append(p->e, &p->held, piece->data, piece->bytes));
    const bool whole = piece->first + piece->elements == p->field->shape[0] * p->columns;
    return whole ? put_gathered(p) : ERR_OK;
}

static enum err put_values(struct pump *p)
{
    const struct model_export *x = p->x;
    for (size_t i = 0; i < x->count && x->parts[i].values; i++)
        TRY(p->put(p->e, p->ctx, i, x->parts[i].values,
                   (size_t)x->parts[i].rows * sizeof *x->parts[i].values));
    return ERR_OK;
}

/* ------------------------------------------------------------------ the tokenizer */

static bool is_tokenizers(const struct stream_field *f)
{
    return strncmp(f->name, "tokenizer.", 10) == 0;
}

/* Its tensors, while the stream goes by. */
static enum err begin_gather(struct errctx *e, struct model_export *x)
{
    const struct stream_begin *b = stream_reader_begin(x->reader);
    struct stream_tensors *g = &x->gather;
    int64_t n = 0;
    for (int64_t i = 0; i < b->tensors_count; i++) n += is_tokenizers(&b->tensors[i]);
    TRY(mp_copy(e, &b->meta, &g->begin.meta));
    TRY(mem_new(e, &g->data, (size_t)n, sizeof *g->data, "tokenizer"));
    for (int64_t i = 0; i < b->tensors_count; i++) {
        const struct stream_field *f = &b->tensors[i];
        size_t bytes;
        if (!is_tokenizers(f)) continue;
        if (!dtype_shape_bytes(f->dtype, f->dims, f->shape, &bytes))
            return err_set(e, ERR_INPUT, "tensor '%s' has an impossible shape", f->name);
        const int64_t at = g->begin.tensors_count;
        TRY(stream_begin_tensor(e, &g->begin, f->name, f->dtype, f->dims, f->shape));
        TRY(mem_new_aligned(e, &g->data[at], bytes, 1, "tokenizer"));
    }
    return ERR_OK;
}

static void take_tokenizer(struct model_export *x, const struct stream_tensor_piece *piece)
{
    const struct stream_field *f = &stream_reader_begin(x->reader)->tensors[piece->tensor];
    const int64_t at = stream_begin_find_tensor(&x->gather.begin, f->name);
    memcpy(x->gather.data[at] + dtype_offset(f->dtype, piece->first), piece->data, piece->bytes);
}

static enum err end_gather(struct errctx *e, struct model_export *x)
{
    TRY(tokenizer_spec_read(e, &x->gather, "tokenizer.", stream_reader_name(x->reader),
                            &x->tokenizer));
    if (x->tokenizer.vocab <= x->c.vocab) return ERR_OK;
    return err_set(e, ERR_INPUT, "'%s': its tokenizer has %lld tokens, its configuration %lld",
                   stream_reader_name(x->reader), (long long)x->tokenizer.vocab,
                   (long long)x->c.vocab);
}

/* To the end of the stream; weights are left out where nobody takes them. */
static enum err read_all(struct pump *p)
{
    struct model_export *x = p->x;
    const struct stream_begin *b = stream_reader_begin(x->reader);
    const bool gather = x->has_tokenizer && !x->tokenizer.start;
    struct stream_tensor_piece piece;
    struct stream_rows rows;
    enum stream_event event;
    if (gather) TRY(begin_gather(p->e, x));
    for (;;) {
        TRY(stream_reader_next(p->e, x->reader, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) break;
        if (!is_tokenizers(&b->tensors[piece.tensor])) {
            if (p->put) TRY(scales_apply(p->e, &p->scales, b, &piece, &p->is));
            if (p->put && !stream_begin_is_scales(b, piece.tensor)) TRY(take_weights(p, &piece));
            if (p->put) prog_progress_count("tensors", piece.tensor + 1, b->tensors_count);
        } else if (gather) {
            take_tokenizer(x, &piece);
        }
    }
    prog_progress_done();
    return gather ? end_gather(p->e, x) : ERR_OK;
}

enum err model_export_tokenizer(struct errctx *e, struct model_export *x)
{
    struct pump p = {.e = e, .x = x};
    if (!x->has_tokenizer) return ERR_OK;
    TRY(read_all(&p));
    return stream_reader_rewind(e, x->reader);
}

enum err model_export_write(struct errctx *e, struct model_export *x, export_put *put, void *ctx)
{
    struct pump p = {.e = e, .x = x, .put = put, .ctx = ctx};
    if (put_values(&p) == ERR_OK) (void)!read_all(&p);
    bytes_fini(&p.held);
    scales_fini(&p.scales);
    mem_free(p.wide);
    mem_free(p.out);
    return e->code;
}
