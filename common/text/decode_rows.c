/* SPDX-License-Identifier: Apache-2.0 */
/* decode_rows.c: see decode_rows.h. */
#include "common/text/decode_rows.h"
#include <string.h>

enum err row_decoder_init(struct errctx *e, struct row_decoder *d, const struct tokenizer *t,
                          const struct stream_begin *b, const char *tokens_name,
                          const char *tokenizer_name)
{
    const struct tokenizer_spec *s = tokenizer_spec_of(t);
    uint8_t id[16];

    TRY(tokens_layout_find(e, b, tokens_name, &d->layout));
    tokenizer_spec_id(s, id);
    if (memcmp(id, d->layout.tokenizer, sizeof id) != 0)
        return err_set(e, ERR_INPUT, "'%s' was not made with the tokenizer of '%s'", tokens_name,
                       tokenizer_name);
    d->tokenizer = t;
    d->encoder = tokenizer_spec_is_encoder(s);
    d->separator = -1;
    return ERR_OK;
}

void row_decoder_fini(struct row_decoder *d)
{
    mem_free(d->ids);
    d->ids = NULL;
}

enum err row_decoder_finish(struct errctx *e, struct row_decoder *d, struct bytes *out)
{
    uint8_t separator = (uint8_t)d->separator;

    return d->any && d->separator >= 0 ? bytes_append(e, out, &separator, 1) : ERR_OK;
}

enum err row_decoder_row(struct errctx *e, struct row_decoder *d, const struct stream_rows *rows,
                         int64_t i, struct bytes *out)
{
    const struct tokenizer_spec *s = tokenizer_spec_of(d->tokenizer);
    struct tokens_row row;
    uint32_t from = 0;

    TRY(tokens_row_view(e, &d->layout, rows, i, &row));
    TRY(mem_grow(e, &d->ids, &d->ids_capacity, (size_t)row.n, sizeof *d->ids, "token ids"));
    TRY(tokens_row_ids(e, &d->layout, &row, rows->first + i, d->ids));
    if (!d->any || row.doc != d->doc || row.part != d->part + 1) {
        TRY(row_decoder_finish(e, d, out));
        d->started = false;
    }
    /* the context of a later cut stands in the one before; that of the first is text when it is no
     * special token */
    if (row.part > 0)
        from = row.skip;
    else
        while (from < row.skip && (s->flags[d->ids[from]] & TOKEN_SPECIAL) && !d->special) from++;
    d->any = true;
    d->doc = row.doc;
    d->part = row.part;
    return tokenizer_decode_more(e, d->tokenizer, d->ids + from, (size_t)row.n - from, d->special,
                                 &d->started, out);
}
