/* SPDX-License-Identifier: Apache-2.0 */
/* import_llama2c.c: see import_llama2c.h. */
#include "common/text/import_llama2c.h"

#include <math.h>
#include <string.h>

#include "common/text/import_sentencepiece.h"
#include "common/text/spec_build.h"
#include "common/text/utf8.h"

enum { UNKNOWN, BEGIN, END, HEADER = 4, PIECE_HEADER = 8, PIECE_LIMIT = 4096 };

static int32_t read_i32(const uint8_t *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) v |= (uint32_t)p[i] << (8 * i);
    return (int32_t)v;
}

bool import_llama2c_looks_like(const uint8_t *head, size_t n)
{
    return n >= 16 && read_i32(head) > 0 && read_i32(head + 8) == 5 &&
           memcmp(head + 12, "<unk", 4) == 0;
}

static enum sentencepiece_type type_of(size_t id, const char *text, size_t n)
{
    if (id == UNKNOWN) return PIECE_UNKNOWN;
    if (id == BEGIN || id == END) return PIECE_CONTROL;
    return spec_build_byte(text, n) >= 0 ? PIECE_BYTE : PIECE_NORMAL;
}

/* The piece at byte *at, which moves behind it. */
static enum err take_piece(struct errctx *e, const uint8_t *data, size_t n, size_t *at,
                           struct sentencepiece_model *m)
{
    struct sentencepiece_piece piece = {.text = (const char *)data + *at + PIECE_HEADER};
    const size_t from = *at;
    if (n - from < PIECE_HEADER)
        return err_set(e, ERR_INPUT, "byte %zu: the file ends within piece %zu", from, m->count);
    const int32_t length = read_i32(data + from + 4);
    if (length < 0 || length > PIECE_LIMIT || (size_t)length > n - from - PIECE_HEADER)
        return err_set(e, ERR_INPUT, "byte %zu: piece %zu has %d bytes", from + 4, m->count,
                       (int)length);
    memcpy(&piece.score, data + from, sizeof piece.score);
    if (!isfinite(piece.score))
        return err_set(e, ERR_INPUT, "byte %zu: the score of piece %zu is not finite", from,
                       m->count);
    piece.n = (size_t)length;
    if (utf8_valid_prefix((const uint8_t *)piece.text, piece.n) != piece.n)
        return err_set(e, ERR_INPUT, "byte %zu: piece %zu is not UTF-8", from + PIECE_HEADER,
                       m->count);
    *at = from + PIECE_HEADER + piece.n;
    piece.type = type_of(m->count, piece.text, piece.n);
    if (piece.type == PIECE_CONTROL && piece.n > 2) { /* they stand between line feeds */
        piece.text++;
        piece.n -= 2;
    }
    m->byte_fallback |= piece.type == PIECE_BYTE;
    TRY(mem_grow(e, &m->pieces, &m->capacity, m->count + 1, sizeof *m->pieces, "pieces"));
    m->pieces[m->count++] = piece;
    return ERR_OK;
}

static enum err take_all(struct errctx *e, const uint8_t *data, size_t n,
                         struct sentencepiece_model *m)
{
    if (n < HEADER || read_i32(data) < 1)
        return err_set(e, ERR_INPUT, "byte 0: this is no tokenizer of llama2.c");
    for (size_t at = HEADER; at < n;) TRY(take_piece(e, data, n, &at, m));
    if (m->count <= END)
        return err_set(e, ERR_INPUT, "byte %zu: the file ends after %zu pieces", n, m->count);
    return ERR_OK;
}

static enum err set_roles(struct errctx *e, struct mp_value *special)
{
    TRY(mp_set_int(e, special, "unk", UNKNOWN));
    TRY(mp_set_int(e, special, "bos", BEGIN));
    return mp_set_int(e, special, "eos", END);
}

enum err import_llama2c(struct errctx *e, const void *data, size_t n, struct tokenizer_spec *out)
{
    struct sentencepiece_model m = {.dummy_prefix = true};
    struct mp_value special;
    tokenizer_spec_init(out);
    mp_map_init(&special);
    if (take_all(e, data, n, &m) == ERR_OK && set_roles(e, &special) == ERR_OK &&
        import_pieces(e, &m, false, &special, out) == ERR_OK)
        (void)!tokenizer_spec_check(e, out, "tokenizer of llama2.c");
    mp_fini(&special);
    mem_free(m.pieces);
    if (e->code != ERR_OK) tokenizer_spec_fini(out);
    return e->code;
}
