/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c: see rows.h. */
#include "common/text/rows.h"
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "common/text/utf8.h"

enum { C_IDS, C_DOC, C_PART, C_SKIP, C_BYTES, C_CHARS, C_KEEP, C_COUNT };
static const char *const sides[] = {"before", "after"};
static const char *const roles[] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};

/* Ids of the roles that the template puts on one side. */
static enum err template_side(struct errctx *e, const struct tokenizer_spec *s, int side,
                              uint32_t *ids, int64_t *count)
{
    const struct mp_value *list = mp_get(&s->ops, "postprocessor");
    const struct mp_value *names = mp_get(&list->as.list.items[0], sides[side]);

    if (names->as.list.count > ROWS_MAX_AROUND)
        return err_set(e, ERR_INPUT, "the tokenizer's template has more than %d special tokens",
                       ROWS_MAX_AROUND);
    for (size_t i = 0; i < names->as.list.count; i++)
        ids[(*count)++] =
            (uint32_t)tokenizer_spec_special(s, names->as.list.items[i].as.bytes.data);
    return ERR_OK;
}

enum err rows_cfg_init(struct errctx *e, const struct tokenizer_spec *s, int64_t length, bool keep,
                       struct rows_cfg *out)
{
    int64_t end = tokenizer_spec_special(s, "eos"), start = tokenizer_spec_special(s, "bos"), least;

    *out =
        (struct rows_cfg){.encoder = tokenizer_spec_is_encoder(s), .length = length, .keep = keep};
    out->dtype = s->vocab <= 65536 ? DTYPE_U16 : DTYPE_U32;
    if (out->encoder) {
        TRY(template_side(e, s, 0, out->before, &out->before_count));
        TRY(template_side(e, s, 1, out->after, &out->after_count));
    } else {
        if (start < 0) start = end;
        if (start >= 0) out->before[out->before_count++] = (uint32_t)start;
        if (end >= 0) out->after[out->after_count++] = (uint32_t)end;
    }
    least = out->encoder ? out->before_count + out->after_count + 1 : 2;
    if (length != 0 && length < least)
        return err_set(e, ERR_USAGE, "--length %lld: this tokenizer's rows need %lld or more",
                       (long long)length, (long long)least);
    return ERR_OK;
}

/* ------------------------------------------------------------------ begin */

static enum err add_columns(struct errctx *e, const struct rows_cfg *cfg, struct stream_begin *b)
{
    static const int64_t ragged[] = {-1};
    static const char *const names[] = {"part", "skip", "bytes", "chars"};

    TRY(stream_begin_column(e, b, "ids", cfg->dtype, 1, ragged));
    TRY(stream_begin_column(e, b, "doc", DTYPE_U64, 0, NULL));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        TRY(stream_begin_column(e, b, names[i], DTYPE_U32, 0, NULL));
    return cfg->keep ? stream_begin_column(e, b, "keep", DTYPE_U8, 1, ragged) : ERR_OK;
}

static enum err add_meta(struct errctx *e, const struct tokenizer_spec *s,
                         const struct rows_cfg *cfg, struct mp_value *meta)
{
    struct mp_value special;
    uint8_t id[16];
    enum err code = ERR_OK;

    tokenizer_spec_id(s, id);
    TRY(mp_set_binary(e, meta, "tokenizer", id, sizeof id));
    TRY(mp_set_int(e, meta, "vocab", s->vocab));
    TRY(mp_set_string(e, meta, "family", cfg->encoder ? "encoder" : "causal"));
    mp_map_init(&special);
    for (size_t i = 0; i < ARRAY_LEN(roles) && code == ERR_OK; i++) {
        int64_t token = tokenizer_spec_special(s, roles[i]);
        if (token >= 0) code = mp_set_int(e, &special, roles[i], token);
    }
    if (code == ERR_OK) code = mp_set(e, meta, "special", &special);
    mp_fini(&special);
    TRY(code);
    return mp_set_int(e, meta, "length", cfg->length);
}

enum err rows_begin(struct errctx *e, const struct tokenizer_spec *s, const struct rows_cfg *cfg,
                    struct stream_begin *out)
{
    stream_begin_init(out, STREAM_TOKENS);
    if (add_columns(e, cfg, out) == ERR_OK && add_meta(e, s, cfg, &out->meta) == ERR_OK)
        return ERR_OK;
    stream_begin_fini(out);
    return e->code;
}

/* ------------------------------------------------------------------ writing */

/* The document's tokens are its ids between what stands before and after; a cut is a range of ids
 * with what of that it takes along. */
struct cut {
    size_t from, to;    /* ids */
    bool before, after; /* with the special tokens on that side */
    uint32_t part, skip;
    size_t text_from, text_to;
};

static enum err write_cut(struct errctx *e, const struct rows_cfg *cfg,
                          const struct rows_document *d, const struct cut *c, uint64_t doc,
                          struct bytes *buffer, struct stream_writer *w)
{
    size_t before = c->before ? (size_t)cfg->before_count : 0,
           after = c->after ? (size_t)cfg->after_count : 0;
    size_t n = before + (c->to - c->from) + after;
    uint32_t skip = c->skip, bytes = (uint32_t)(c->text_to - c->text_from);
    uint32_t chars =
        (uint32_t)utf8_count((const uint8_t *)d->text + c->text_from, c->text_to - c->text_from);
    const void *cells[C_COUNT] = {NULL, &doc, &c->part, &skip, &bytes, &chars, d->keep};
    int64_t elements[C_COUNT] = {(int64_t)n, 1, 1, 1, 1, 1, (int64_t)d->keep_n};
    uint16_t *narrow;
    uint32_t *wide;

    buffer->len = 0;
    TRY(bytes_reserve(e, buffer, n * sizeof *wide + 1));
    wide = (uint32_t *)(void *)buffer->data;
    if (before > 0) memcpy(wide, cfg->before, before * sizeof *wide);
    if (c->to > c->from) memcpy(wide + before, d->ids + c->from, (c->to - c->from) * sizeof *wide);
    if (after > 0) memcpy(wide + n - after, cfg->after, after * sizeof *wide);
    if (cfg->dtype == DTYPE_U16) { /* narrowed in place, front to back */
        narrow = (uint16_t *)(void *)buffer->data;
        for (size_t i = 0; i < n; i++) {
            uint32_t id = wide[i];
            memcpy(narrow + i, &(uint16_t){(uint16_t)id}, sizeof *narrow);
        }
    }
    cells[C_IDS] = buffer->data;
    return stream_writer_row(e, w, cells, elements);
}

static size_t end_of(const struct rows_document *d, size_t ids)
{
    return ids == 0 ? 0 : (size_t)d->ends[ids - 1];
}

static enum err write_encoder(struct errctx *e, const struct rows_cfg *cfg,
                              const struct rows_document *d, uint64_t doc, struct bytes *buffer,
                              struct stream_writer *w)
{
    size_t room =
        cfg->length == 0 ? SIZE_MAX : (size_t)(cfg->length - cfg->before_count - cfg->after_count);
    struct cut c = {.before = true, .after = true};

    do {
        c.to = d->count - c.from <= room ? d->count : c.from + room;
        c.text_to = c.to == d->count ? d->n : end_of(d, c.to);
        TRY(write_cut(e, cfg, d, &c, doc, buffer, w));
        c.from = c.to;
        c.text_from = c.text_to;
        c.part++;
    } while (c.from < d->count);
    return ERR_OK;
}

/* Where the text of the tokens up to position p ends: the start token at 0 has none, nor has the
 * end. */
static size_t text_end(const struct rows_cfg *cfg, const struct rows_document *d, size_t p)
{
    size_t before = (size_t)cfg->before_count;

    if (p < before) return 0;
    return p - before < d->count ? end_of(d, p - before + 1) : d->n;
}

static enum err write_causal(struct errctx *e, const struct rows_cfg *cfg,
                             const struct rows_document *d, uint64_t doc, struct bytes *buffer,
                             struct stream_writer *w)
{
    size_t before = (size_t)cfg->before_count, total = before + d->count + (size_t)cfg->after_count;
    size_t length = cfg->length == 0 ? total : (size_t)cfg->length, at = 0;
    struct cut c = {.skip = 1, .after = false};

    while (!c.after && total > 0) { /* positions [at, end) */
        size_t end = total - at <= length ? total : at + length;
        c.before = at == 0;
        c.after = end == total;
        c.from = at > before ? at - before : 0;
        c.to = c.after ? d->count : end - before;
        c.text_from = text_end(cfg, d, at);
        c.text_to = c.after ? d->n : text_end(cfg, d, end - 1);
        TRY(write_cut(e, cfg, d, &c, doc, buffer, w));
        at = end - 1;
        c.part++;
    }
    return ERR_OK;
}

enum err rows_write(struct errctx *e, const struct rows_cfg *cfg, const struct rows_document *d,
                    struct bytes *buffer, struct stream_writer *w)
{
    uint64_t doc = XXH3_64bits(d->text, d->n);

    return (cfg->encoder ? write_encoder : write_causal)(e, cfg, d, doc, buffer, w);
}
