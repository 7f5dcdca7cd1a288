/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece.c: see sentencepiece.h. A message is a run of (field number, wire type, value);
 * each is read by a function that is called for its fields. */
#include "formats/sentencepiece.h"
#include <math.h>
#include <string.h>
#include "formats/msgpack.h"

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value; /* of a varint or a fixed one */
    const uint8_t *bytes;
    size_t n;
    size_t at; /* in the file */
};

struct cursor {
    const uint8_t *file;
    size_t at, end;
};

static enum err bad(struct errctx *e, size_t at, const char *what)
{
    return err_set(e, ERR_INPUT, "byte %zu: %s", at, what);
}

static enum err varint(struct errctx *e, struct cursor *c, uint64_t *out)
{
    size_t from = c->at;

    *out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;
        if (c->at == c->end) return bad(e, from, "a number is cut off");
        byte = c->file[c->at++];
        if (shift == 63 && byte > 1) break;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return ERR_OK;
    }
    return bad(e, from, "a number has more than 64 bits");
}

static enum err fixed(struct errctx *e, struct cursor *c, size_t n, uint64_t *out)
{
    if (c->end - c->at < n) return bad(e, c->at, "a number is cut off");
    *out = 0;
    memcpy(out, c->file + c->at, n);
    c->at += n;
    return ERR_OK;
}

static enum err next(struct errctx *e, struct cursor *c, struct field *f)
{
    uint64_t key, n;

    f->at = c->at;
    TRY(varint(e, c, &key));
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff) return bad(e, f->at, "a field without a number");
    f->number = (uint32_t)(key >> 3);
    f->wire = (enum wire)(key & 7);
    switch (f->wire) {
    case WIRE_VARINT:
        return varint(e, c, &f->value);
    case WIRE_FIXED64:
        return fixed(e, c, 8, &f->value);
    case WIRE_FIXED32:
        return fixed(e, c, 4, &f->value);
    case WIRE_BYTES:
        TRY(varint(e, c, &n));
        if (n > c->end - c->at) return bad(e, f->at, "a field is longer than what holds it");
        f->bytes = c->file + c->at;
        f->n = (size_t)n;
        c->at += f->n;
        return ERR_OK;
    default:
        return bad(e, f->at, "a field of an unknown kind (is this a SentencePiece model?)");
    }
}

typedef enum err field_fn(struct errctx *e, const struct field *f, const uint8_t *file,
                          struct sentencepiece_model *m);

static enum err each(struct errctx *e, const uint8_t *file, size_t from, size_t n, field_fn *fn,
                     struct sentencepiece_model *m)
{
    struct cursor c = {file, from, from + n};

    while (c.at < c.end) {
        struct field f = {0};
        TRY(next(e, &c, &f));
        TRY(fn(e, &f, file, m));
    }
    return ERR_OK;
}

static enum err demand(struct errctx *e, const struct field *f, enum wire wire)
{
    return f->wire == wire ? ERR_OK : bad(e, f->at, "a field of the wrong kind");
}

static enum err piece_field(struct errctx *e, const struct field *f, const uint8_t *file,
                            struct sentencepiece_model *m)
{
    struct sentencepiece_piece *p = &m->pieces[m->count - 1];
    uint32_t bits = (uint32_t)f->value;

    (void)file;
    switch (f->number) {
    case 1:
        TRY(demand(e, f, WIRE_BYTES));
        if (!mp_utf8(f->bytes, f->n)) return bad(e, f->at, "a piece is not UTF-8");
        p->text = (const char *)f->bytes;
        p->n = f->n;
        return ERR_OK;
    case 2:
        TRY(demand(e, f, WIRE_FIXED32));
        memcpy(&p->score, &bits, sizeof bits);
        return isfinite(p->score) ? ERR_OK : bad(e, f->at, "a score is not finite");
    case 3:
        TRY(demand(e, f, WIRE_VARINT));
        if (f->value < PIECE_NORMAL || f->value > PIECE_BYTE)
            return bad(e, f->at, "a piece of an unknown type");
        p->type = (enum sentencepiece_type)f->value;
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static enum err trainer_field(struct errctx *e, const struct field *f, const uint8_t *file,
                              struct sentencepiece_model *m)
{
    int64_t *const ids[] = {&m->unk, &m->bos, &m->eos, &m->pad};

    (void)file;
    if (f->number == 44) {
        TRY(demand(e, f, WIRE_BYTES));
        if (!mp_utf8(f->bytes, f->n) || memchr(f->bytes, 0, f->n) != NULL)
            return bad(e, f->at, "unk_surface is no text");
        m->unk_surface = (const char *)f->bytes;
        m->unk_surface_n = f->n;
        return ERR_OK;
    }
    if (f->number != 3 && f->number != 24 && f->number != 35 && (f->number < 40 || f->number > 43))
        return ERR_OK;
    TRY(demand(e, f, WIRE_VARINT));
    if (f->number == 3) {
        if (f->value != 1 && f->value != 2)
            return bad(e, f->at, "a model that is neither Unigram nor BPE (WORD, CHAR)");
        m->unigram = f->value == 1;
    }
    if (f->number == 24 && f->value != 0)
        return bad(e, f->at, "treat_whitespace_as_suffix is not known");
    if (f->number == 35) m->byte_fallback = f->value != 0;
    if (f->number >= 40) *ids[f->number - 40] = (int32_t)(uint32_t)f->value;
    return ERR_OK;
}

static enum err normalizer_field(struct errctx *e, const struct field *f, const uint8_t *file,
                                 struct sentencepiece_model *m)
{
    (void)file;
    switch (f->number) {
    case 2:
        TRY(demand(e, f, WIRE_BYTES));
        m->charsmap = f->n > 0 ? f->bytes : NULL;
        m->charsmap_n = f->n;
        return ERR_OK;
    case 3:
        TRY(demand(e, f, WIRE_VARINT));
        m->dummy_prefix = f->value != 0;
        return ERR_OK;
    case 4:
        TRY(demand(e, f, WIRE_VARINT));
        m->remove_extra_whitespaces = f->value != 0;
        return ERR_OK;
    case 5:
        TRY(demand(e, f, WIRE_VARINT));
        return f->value != 0 ? ERR_OK : bad(e, f->at, "a model without escape_whitespaces");
    default:
        return ERR_OK;
    }
}

static enum err model_field(struct errctx *e, const struct field *f, const uint8_t *file,
                            struct sentencepiece_model *m)
{
    size_t from;

    if (f->number > 3) return ERR_OK;
    TRY(demand(e, f, WIRE_BYTES));
    from = (size_t)(f->bytes - file);
    if (f->number == 2) return each(e, file, from, f->n, trainer_field, m);
    if (f->number == 3) return each(e, file, from, f->n, normalizer_field, m);
    TRY(mem_grow(e, &m->pieces, &m->capacity, m->count + 1, sizeof *m->pieces, "pieces"));
    m->pieces[m->count++] = (struct sentencepiece_piece){.text = "", .type = PIECE_NORMAL};
    TRY(each(e, file, from, f->n, piece_field, m));
    return m->pieces[m->count - 1].n > 0 ? ERR_OK : bad(e, f->at, "a piece without text");
}

enum err sentencepiece_parse(struct errctx *e, const void *data, size_t n,
                             struct sentencepiece_model *out)
{
    int64_t *ids[4];

    memset(out, 0, sizeof *out);
    out->unigram = out->dummy_prefix = out->remove_extra_whitespaces = true;
    out->bos = 1;
    out->eos = 2;
    out->pad = -1;
    out->unk_surface = " \xe2\x81\x87 ";
    out->unk_surface_n = 5;
    if (each(e, data, 0, n, model_field, out) == ERR_OK && out->count == 0)
        err_set(e, ERR_INPUT, "the model has no pieces");
    ids[0] = &out->bos, ids[1] = &out->eos, ids[2] = &out->unk, ids[3] = &out->pad;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (*ids[i] < 0 || (uint64_t)*ids[i] >= out->count) *ids[i] = -1;
    if (e->code != ERR_OK) sentencepiece_model_fini(out);
    return e->code;
}

void sentencepiece_model_fini(struct sentencepiece_model *m)
{
    mem_free(m->pieces);
    memset(m, 0, sizeof *m);
}
