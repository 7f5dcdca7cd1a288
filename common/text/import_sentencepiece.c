/* SPDX-License-Identifier: Apache-2.0 */
/* import_sentencepiece.c: see import_sentencepiece.h. The order of SentencePiece's normaliser:
 * rewriting, superfluous spaces away, a space in front, and only then spaces as marks; so a mark
 * that stands in the text is a space that nothing has looked at but the end's, which goes last. */
#include "common/text/import_sentencepiece.h"
#include <string.h>
#include "common/text/spec_build.h"

#define MARK "\xe2\x96\x81"

static enum err add_piece(struct errctx *e, struct spec_build *b,
                          const struct sentencepiece_piece *p, bool byte_fallback, int64_t id)
{
    static const uint8_t flags[] = {
        0, 0, TOKEN_SPECIAL, TOKEN_SPECIAL | TOKEN_ADDED, TOKEN_ADDED, TOKEN_UNUSED, TOKEN_BYTE};
    struct bytes text = {0};
    int byte = p->type == PIECE_BYTE ? spec_build_byte(p->text, p->n) : -1;
    uint8_t one = (uint8_t)byte, flag = flags[p->type];
    enum err code;

    if (p->type == PIECE_BYTE && byte < 0)
        return err_set(e, ERR_INPUT, "piece %lld is a byte and not written <0xNN>", (long long)id);
    if (p->type == PIECE_BYTE && !byte_fallback) flag = TOKEN_UNUSED;
    if (p->type == PIECE_USER_DEFINED && memmem(p->text, p->n, MARK, 3) != NULL)
        flag = 0; /* spaces: matched once they are spaces, which the model does */
    code = byte >= 0                              ? bytes_append(e, &text, &one, 1)
           : flag & (TOKEN_SPECIAL | TOKEN_ADDED) ? bytes_append(e, &text, p->text, p->n)
                                                  : spec_build_spaces(e, p->text, p->n, &text);
    if (code == ERR_OK) code = spec_build_token(e, b, id, text.data, text.len, flag, p->score);
    bytes_fini(&text);
    return code;
}

static enum err set_normalizer(struct errctx *e, const struct sentencepiece_model *m,
                               bool each_segment, struct tokenizer_spec *s)
{
    struct mp_value list, op;
    enum err code = ERR_OK;

    mp_array_init(&list);
    mp_map_init(&op);
    if (m->charsmap != NULL) {
        code = mp_set_string(e, &op, "op", "charsmap");
        if (code == ERR_OK) code = mp_set_binary(e, &op, "map", m->charsmap, m->charsmap_n);
        if (code == ERR_OK) code = mp_append(e, &list, &op);
    }
    if (code == ERR_OK && m->remove_extra_whitespaces)
        code = spec_build_append(
            e, &list, json_pack("{s:s,s:b}", "op", "collapse_spaces", "first", !each_segment));
    if (code == ERR_OK && m->dummy_prefix)
        code = spec_build_append(
            e, &list,
            each_segment ? json_pack("{s:s,s:s}", "op", "prepend", "text", " ")
                         : json_pack("{s:s,s:s,s:b}", "op", "prepend", "text", " ", "first", 1));
    if (code == ERR_OK)
        code = spec_build_append(
            e, &list, json_pack("{s:s,s:s,s:s}", "op", "replace", "from", MARK, "to", " "));
    if (code == ERR_OK && m->remove_extra_whitespaces)
        code = spec_build_append(e, &list, json_pack("{s:s}", "op", "trim_end"));
    if (code == ERR_OK) code = mp_set(e, &s->ops, "normalizer", &list);
    mp_fini(&op);
    mp_fini(&list);
    return code;
}

static enum err set_decoder(struct errctx *e, const struct sentencepiece_model *m,
                            bool each_segment, struct tokenizer_spec *s)
{
    json_t *list = json_array(), *bytes = json_pack("{s:s}", "op", "bytes");

    if (!each_segment && m->unk_surface_n > 0)
        (void)json_object_set_new(bytes, "unknown", json_stringn(m->unk_surface, m->unk_surface_n));
    (void)json_array_append_new(list, bytes);
    if (m->dummy_prefix || m->remove_extra_whitespaces)
        (void)json_array_append_new(list, json_pack("{s:s,s:i}", "op", "strip", "left", 1));
    return spec_build_ops(e, s, "decoder", list);
}

enum err import_pieces(struct errctx *e, const struct sentencepiece_model *m, bool each_segment,
                       const struct mp_value *special, struct tokenizer_spec *out)
{
    struct spec_build b = {0};
    enum err code = ERR_OK;
    json_t *model = m->unigram ? json_pack("{s:s}", "op", "unigram")
                               : json_pack("{s:s,s:b}", "op", "bpe", "byte_level", 0);

    if (m->byte_fallback) (void)json_object_set_new(model, "byte_fallback", json_true());
    if (!m->unigram) (void)json_object_set_new(model, "fuse_unk", json_true());
    code = spec_build_ops(e, out, "model", model);
    for (size_t i = 0; i < m->count && code == ERR_OK; i++)
        code = add_piece(e, &b, &m->pieces[i], m->byte_fallback, (int64_t)i);
    if (code == ERR_OK) code = set_normalizer(e, m, each_segment, out);
    if (code == ERR_OK) code = spec_build_ops(e, out, "pretokenizer", json_array());
    if (code == ERR_OK) code = spec_build_ops(e, out, "postprocessor", json_array());
    if (code == ERR_OK) code = set_decoder(e, m, each_segment, out);
    if (code == ERR_OK) code = mp_set(e, &out->ops, "special", special);
    if (code == ERR_OK) code = spec_build_finish(e, &b, true, out);
    spec_build_fini(&b);
    return code;
}

static enum err set_role(struct errctx *e, struct mp_value *special, const char *role, int64_t id)
{
    return id < 0 ? ERR_OK : mp_set_int(e, special, role, id);
}

enum err import_sentencepiece(struct errctx *e, const void *data, size_t n,
                              struct tokenizer_spec *out)
{
    struct sentencepiece_model m;
    struct mp_value special;
    enum err code;

    tokenizer_spec_init(out);
    TRY(sentencepiece_parse(e, data, n, &m));
    mp_map_init(&special);
    code = set_role(e, &special, "bos", m.bos);
    if (code == ERR_OK) code = set_role(e, &special, "eos", m.eos);
    if (code == ERR_OK) code = set_role(e, &special, "unk", m.unk);
    if (code == ERR_OK) code = set_role(e, &special, "pad", m.pad);
    if (code == ERR_OK) code = import_pieces(e, &m, false, &special, out);
    if (code == ERR_OK) code = tokenizer_spec_check(e, out, "SentencePiece model");
    mp_fini(&special);
    sentencepiece_model_fini(&m);
    if (code != ERR_OK) tokenizer_spec_fini(out);
    return code;
}
