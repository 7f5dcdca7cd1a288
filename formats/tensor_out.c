/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_out.c: see tensor_out.h. */
#include "formats/tensor_out.h"

#include <string.h>

enum err tensor_out_check(struct errctx *e, const struct tensor_entry *t, size_t *bytes)
{
    const size_t n = strlen(t->name);
    if (n == 0 || n > TENSOR_FILE_NAME || !mp_utf8(t->name, n))
        return err_set(e, ERR_USAGE, "tensor '%s': a name of 1 to %d bytes of UTF-8 is wanted",
                       t->name, TENSOR_FILE_NAME);
    if (t->dims < 0 || t->dims > TENSOR_FILE_DIMS ||
        !dtype_shape_bytes(t->dtype, t->dims, t->shape, bytes))
        return err_set(e, ERR_USAGE, "tensor '%s': its shape cannot be one of type %s", t->name,
                       dtype_name(t->dtype));
    return ERR_OK;
}

static enum err pad(struct errctx *e, struct tensor_out *w)
{
    static const uint8_t zeros[256];
    size_t left = (w->align - w->bytes[w->at] % w->align) % w->align;
    while (left > 0) {
        const size_t n = left < sizeof zeros ? left : sizeof zeros;
        TRY(outfile_write(e, &w->file, zeros, n));
        left -= n;
    }
    return ERR_OK;
}

/* Past every tensor that is complete. */
static enum err advance(struct errctx *e, struct tensor_out *w)
{
    while (w->at < w->count && w->written == w->bytes[w->at]) {
        TRY(pad(e, w));
        w->at++;
        w->written = 0;
    }
    return ERR_OK;
}

static enum err begin(struct errctx *e, const struct tensor_entry *entries, size_t count,
                      const struct bytes *head, struct tensor_out *w)
{
    TRY(mem_new(e, &w->bytes, count, sizeof *w->bytes, "tensors"));
    for (size_t i = 0; i < count; i++) TRY(tensor_out_check(e, &entries[i], &w->bytes[i]));
    TRY(outfile_write(e, &w->file, head->data, head->len));
    return advance(e, w);
}

enum err tensor_out_open(struct errctx *e, const char *path, const struct tensor_entry *entries,
                         size_t count, size_t align, const struct bytes *head, struct tensor_out *w)
{
    *w = (struct tensor_out){.count = count, .align = align};
    TRY(outfile_open(e, path, &w->file));
    enum err code = begin(e, entries, count, head, w);
    if (code != ERR_OK) tensor_out_abort(w);
    return code;
}

enum err tensor_out_write(struct errctx *e, struct tensor_out *w, const void *data, size_t n)
{
    const uint8_t *p = data;
    while (n > 0) {
        if (w->at == w->count) return err_set(e, ERR_IO, "BUG: more bytes than the tensors have");
        const size_t left = w->bytes[w->at] - w->written, part = n < left ? n : left;
        TRY(outfile_write(e, &w->file, p, part));
        w->written += part;
        p += part;
        n -= part;
        TRY(advance(e, w));
    }
    return ERR_OK;
}

enum err tensor_out_sync(struct errctx *e, struct tensor_out *w)
{
    if (w->at < w->count)
        return err_set(e, ERR_IO, "BUG: %zu of %zu tensors are written", w->at, w->count);
    return outfile_sync(e, &w->file);
}

enum err tensor_out_commit(struct errctx *e, struct tensor_out *w)
{
    enum err code = tensor_out_sync(e, w);
    if (code == ERR_OK)
        code = outfile_commit(e, &w->file);
    else
        outfile_abort(&w->file);
    mem_free(w->bytes);
    *w = (struct tensor_out){0};
    return code;
}

void tensor_out_abort(struct tensor_out *w)
{
    if (w->align) outfile_abort(&w->file);
    mem_free(w->bytes);
    *w = (struct tensor_out){0};
}
