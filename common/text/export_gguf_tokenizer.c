/* SPDX-License-Identifier: Apache-2.0 */
/* export_gguf_tokenizer.c: see export_gguf_tokenizer.h. */
#include "common/text/export_gguf_tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "common/text/import_gguf_tokenizer.h"

#define KEY(name) "tokenizer.ggml." name
#define MARK      "\xe2\x96\x81"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };
enum token_style { STYLE_BYTE_LEVEL, STYLE_MARKED, STYLE_WORDPIECE };

struct writer {
    struct errctx *e;
    const struct tokenizer_spec *s;
    int64_t vocab;
    enum token_style style;
    struct mp_value *meta, *types;
};

static bool op_is(const struct mp_value *op, const char *name)
{
    const struct mp_value *v = op ? mp_get(op, "op") : NULL;
    return v && v->type == MP_STRING && strcmp(v->as.bytes.data, name) == 0;
}

static bool op_flag(const struct mp_value *op, const char *key, bool fallback)
{
    const struct mp_value *v = mp_get(op, key);
    return v && v->type == MP_BOOL ? v->as.boolean : fallback;
}

/* The operation of this name in a list; NULL. */
static const struct mp_value *find_op(const struct tokenizer_spec *s, const char *list,
                                      const char *name)
{
    const struct mp_value *ops = mp_get(&s->ops, list);
    for (size_t i = 0; ops && ops->type == MP_ARRAY && i < ops->as.list.count; i++)
        if (op_is(&ops->as.list.items[i], name)) return &ops->as.list.items[i];
    return NULL;
}

/* ------------------------------------------------------------------ tokens */

static int type_of(uint8_t flags)
{
    if (flags & TOKEN_UNUSED) return TYPE_UNUSED;
    if (flags & TOKEN_BYTE) return TYPE_BYTE;
    if ((flags & TOKEN_SPECIAL) && (flags & TOKEN_ADDED)) return TYPE_CONTROL;
    if (flags & TOKEN_SPECIAL) return TYPE_UNKNOWN;
    return flags & TOKEN_ADDED ? TYPE_USER_DEFINED : TYPE_NORMAL;
}

/* GPT-2's alphabet: bytes that are no visible characters of Latin-1 stand behind it, in order. */
static enum err add_alphabet(struct errctx *e, struct bytes *out, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t b = data[i];
        const bool plain = (b > 32 && b < 127) || (b > 160 && b != 173);
        const uint32_t others = b <= 32 ? b : b <= 160 ? b - 94u : 67;
        const uint32_t c = plain ? b : 256 + others;
        const uint8_t two[2] = {(uint8_t)(0xc0 | c >> 6), (uint8_t)(0x80 | (c & 0x3f))};
        TRY(c < 128 ? bytes_append(e, out, &b, 1) : bytes_append(e, out, two, 2));
    }
    return ERR_OK;
}

static enum err add_marked(struct errctx *e, struct bytes *out, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY(data[i] == ' ' ? bytes_append(e, out, MARK, 3) : bytes_append(e, out, &data[i], 1));
    return ERR_OK;
}

/* "##ing" is "ing" there, "the" is "▁the". */
static enum err add_word(struct errctx *e, struct bytes *out, const uint8_t *data, size_t n)
{
    const bool bracket = n > 2 && data[0] == '[' && data[n - 1] == ']';
    if (n > 2 && data[0] == '#' && data[1] == '#') return bytes_append(e, out, data + 2, n - 2);
    if (!bracket) TRY(bytes_append(e, out, MARK, 3));
    return bytes_append(e, out, data, n);
}

static enum err add_text(const struct writer *w, struct bytes *out, int64_t id)
{
    const struct tokenizer_spec *s = w->s;
    if (id >= s->vocab) return bytes_printf(w->e, out, "[PAD%lld]", (long long)id);
    const uint8_t *data = s->bytes + s->start[id];
    const size_t n = (size_t)(s->start[id + 1] - s->start[id]);
    const int type = type_of(s->flags[id]);
    if (type == TYPE_BYTE) return bytes_printf(w->e, out, "<0x%02X>", data[0]);
    if (type == TYPE_UNUSED && n == 0) return bytes_printf(w->e, out, "[PAD%lld]", (long long)id);
    if (type != TYPE_NORMAL) return bytes_append(w->e, out, data, n);
    switch (w->style) {
    case STYLE_BYTE_LEVEL:
        return add_alphabet(w->e, out, data, n);
    case STYLE_MARKED:
        return add_marked(w->e, out, data, n);
    case STYLE_WORDPIECE:
        return add_word(w->e, out, data, n);
    }
    return ERR_OK;
}

static enum err append_text(struct errctx *e, struct mp_value *list, const struct bytes *text)
{
    struct mp_value v;
    TRY(mp_bytes(e, &v, MP_STRING, text->data, text->len));
    return mp_append_take(e, list, &v);
}

static enum err append_number(struct errctx *e, struct mp_value *list, int64_t n)
{
    const struct mp_value v = {.type = MP_UINT, .as.u = (uint64_t)n};
    return mp_append(e, list, &v);
}

/* The list is taken over; all its items are of this type. */
static enum err set_list(const struct writer *w, const char *key, struct mp_value *list,
                         const char *type)
{
    if (w->e->code == ERR_OK) (void)!mp_set_string(w->e, w->types, key, type);
    if (w->e->code == ERR_OK) return mp_set_take(w->e, w->meta, key, list);
    mp_fini(list);
    return w->e->code;
}

static enum err put_tokens(const struct writer *w)
{
    struct mp_value tokens, types;
    struct bytes text = {0};
    mp_array_init(&tokens);
    mp_array_init(&types);
    for (int64_t id = 0; id < w->vocab && w->e->code == ERR_OK; id++) {
        text.len = 0;
        if (add_text(w, &text, id) == ERR_OK && append_text(w->e, &tokens, &text) == ERR_OK)
            (void)!append_number(w->e, &types,
                                 id < w->s->vocab ? type_of(w->s->flags[id]) : TYPE_UNUSED);
    }
    bytes_fini(&text);
    (void)!set_list(w, KEY("tokens"), &tokens, "[str]");
    return set_list(w, KEY("token_type"), &types, "[i32]");
}

static enum err put_merges(const struct writer *w)
{
    struct mp_value list;
    struct bytes text = {0};
    mp_array_init(&list);
    for (int64_t i = 0; i < w->s->merges_count && w->e->code == ERR_OK; i++) {
        text.len = 0;
        if (add_text(w, &text, w->s->merges[2 * i]) == ERR_OK &&
            bytes_append(w->e, &text, " ", 1) == ERR_OK &&
            add_text(w, &text, w->s->merges[2 * i + 1]) == ERR_OK)
            (void)!append_text(w->e, &list, &text);
    }
    bytes_fini(&text);
    return set_list(w, KEY("merges"), &list, "[str]");
}

/* ------------------------------------------------------------------ scores */

/* The token of these two, end to end, which is in the vocabulary as they are a merge: merges have
 * it right behind each other. -1 when no token is so. */
static int64_t find_joined(const struct tokenizer_spec *s, const int64_t *by_text, int64_t n,
                           const struct bytes *text)
{
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = (low + high) / 2, id = by_text[middle];
        const size_t len = (size_t)(s->start[id + 1] - s->start[id]);
        const size_t least = len < text->len ? len : text->len;
        int order = memcmp(s->bytes + s->start[id], text->data, least);
        if (order == 0) order = len < text->len ? -1 : len > text->len;
        if (order == 0) return id;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static int compare_texts(const void *a, const void *b, void *spec)
{
    const struct tokenizer_spec *s = spec;
    const int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    const size_t m = (size_t)(s->start[i + 1] - s->start[i]);
    const size_t n = (size_t)(s->start[j + 1] - s->start[j]);
    const int order = memcmp(s->bytes + s->start[i], s->bytes + s->start[j], m < n ? m : n);
    return order ? order : m < n ? -1 : m > n ? 1 : (i > j) - (i < j);
}

/* Pairs are joined in the order of merges there and of the scores of what they become here: the
 * same where all merges that make a token follow each other. */
static enum err scores_of_merges(const struct writer *w, float *scores)
{
    const struct tokenizer_spec *s = w->s;
    struct bytes text = {0};
    int64_t *by_text = NULL, n = 0, last = -1;
    TRY(mem_new(w->e, &by_text, (size_t)s->vocab, sizeof *by_text, "tokens"));
    for (int64_t id = 0; id < s->vocab; id++)
        if (type_of(s->flags[id]) == TYPE_NORMAL) by_text[n++] = id;
    qsort_r(by_text, (size_t)n, sizeof *by_text, compare_texts, (void *)(uintptr_t)s);
    for (int64_t i = 0; i < s->merges_count && w->e->code == ERR_OK; i++) {
        text.len = 0;
        for (int k = 0; k < 2; k++) {
            const uint32_t part = s->merges[2 * i + k];
            (void)!bytes_append(w->e, &text, s->bytes + s->start[part],
                                (size_t)(s->start[part + 1] - s->start[part]));
        }
        const int64_t id = w->e->code == ERR_OK ? find_joined(s, by_text, n, &text) : -1;
        if (id == last && id >= 0) continue;
        if (w->e->code == ERR_OK && (id < 0 || scores[id] < 0))
            err_set(w->e, ERR_INPUT,
                    "the tokenizer: its merges are in an order that scores, which are what GGUF "
                    "has for such a model, cannot say (merge %lld)",
                    (long long)i);
        else if (w->e->code == ERR_OK)
            scores[last = id] = (float)-(i + 1);
    }
    bytes_fini(&text);
    mem_free(by_text);
    return w->e->code;
}

static enum err put_scores(const struct writer *w)
{
    struct mp_value list;
    float *scores = NULL;
    mp_array_init(&list);
    TRY(mem_new(w->e, &scores, (size_t)w->vocab, sizeof *scores, "scores"));
    if (w->s->scores)
        memcpy(scores, w->s->scores, (size_t)w->s->vocab * sizeof *scores);
    else
        (void)!scores_of_merges(w, scores);
    for (int64_t id = 0; id < w->vocab && w->e->code == ERR_OK; id++) {
        const struct mp_value v = {.type = MP_REAL,
                                   .as.real = id < w->s->vocab ? (double)scores[id] : -10000};
        (void)!mp_append(w->e, &list, &v);
    }
    mem_free(scores);
    return set_list(w, KEY("scores"), &list, "[f32]");
}

/* ------------------------------------------------------------------ what stands around them */

static enum err put_roles(const struct writer *w)
{
    static const char *const roles[][2] = {
        {KEY("bos_token_id"), "bos"},     {KEY("eos_token_id"), "eos"},
        {KEY("unknown_token_id"), "unk"}, {KEY("seperator_token_id"), "sep"},
        {KEY("padding_token_id"), "pad"}, {KEY("cls_token_id"), "cls"},
        {KEY("mask_token_id"), "mask"}};
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        const int64_t id = tokenizer_spec_special(w->s, roles[i][1]);
        if (id >= 0) TRY(mp_set_int(w->e, w->meta, roles[i][0], id));
    }
    return ERR_OK;
}

/* Whether a document begins (before) or ends (after) with a token of its own. */
static bool adds(const struct tokenizer_spec *s, const char *side)
{
    const struct mp_value *op = find_op(s, "postprocessor", "template");
    const struct mp_value *list = op ? mp_get(op, side) : NULL;
    return list && list->type == MP_ARRAY && list->as.list.count > 0;
}

static enum err put_added(const struct writer *w)
{
    TRY(mp_set_bool(w->e, w->meta, KEY("add_bos_token"), adds(w->s, "before")));
    return mp_set_bool(w->e, w->meta, KEY("add_eos_token"), adds(w->s, "after"));
}

static enum err put_charsmap(const struct writer *w)
{
    const struct mp_value *op = find_op(w->s, "normalizer", "charsmap");
    const struct mp_value *map = op ? mp_get(op, "map") : NULL;
    struct mp_value list;
    if (!map) return ERR_OK;
    mp_array_init(&list);
    for (size_t i = 0; i < map->as.bytes.len && w->e->code == ERR_OK; i++)
        (void)!append_number(w->e, &list, (uint8_t)map->as.bytes.data[i]);
    return set_list(w, KEY("precompiled_charsmap"), &list, "[u8]");
}

static enum err put_byte_level(struct writer *w, const struct mp_value *model)
{
    const char *pre;
    TRY(import_gguf_pre_of(w->e, mp_get(&w->s->ops, "pretokenizer"),
                           op_flag(model, "ignore_merges", false), &pre));
    if (!pre)
        return err_set(w->e, ERR_INPUT,
                       "the tokenizer: llama.cpp has no pre-tokeniser that cuts text as it does");
    w->style = STYLE_BYTE_LEVEL;
    TRY(mp_set_string(w->e, w->meta, KEY("model"), "gpt2"));
    TRY(mp_set_string(w->e, w->meta, KEY("pre"), pre));
    TRY(put_tokens(w));
    TRY(put_merges(w));
    return put_added(w);
}

static enum err put_pieces(struct writer *w, bool unigram)
{
    const bool prefix = find_op(w->s, "normalizer", "prepend") ||
                        find_op(w->s, "pretokenizer", "metaspace") ||
                        find_op(w->s, "pretokenizer", "prefix_space");
    w->style = STYLE_MARKED;
    TRY(mp_set_string(w->e, w->meta, KEY("model"), unigram ? "t5" : "llama"));
    TRY(mp_set_string(w->e, w->meta, KEY("pre"), "default"));
    TRY(put_tokens(w));
    TRY(put_scores(w));
    TRY(put_charsmap(w));
    TRY(mp_set_bool(w->e, w->meta, KEY("add_space_prefix"), prefix));
    TRY(mp_set_bool(w->e, w->meta, KEY("remove_extra_whitespaces"),
                    find_op(w->s, "normalizer", "collapse_spaces") != NULL));
    return put_added(w);
}

static enum err put_wordpiece(struct writer *w)
{
    w->style = STYLE_WORDPIECE;
    TRY(mp_set_string(w->e, w->meta, KEY("model"), "bert"));
    TRY(mp_set_string(w->e, w->meta, KEY("pre"), "default"));
    return put_tokens(w);
}

static enum err put_all(struct writer *w)
{
    const struct mp_value *model = mp_get(&w->s->ops, "model");
    const char *chat = tokenizer_spec_chat_template(w->s);
    if (op_is(model, "bpe") && op_flag(model, "byte_level", true))
        TRY(put_byte_level(w, model));
    else if (op_is(model, "bpe") || op_is(model, "unigram"))
        TRY(put_pieces(w, op_is(model, "unigram")));
    else
        TRY(put_wordpiece(w));
    TRY(put_roles(w));
    return chat ? mp_set_string(w->e, w->meta, "tokenizer.chat_template", chat) : ERR_OK;
}

/* ------------------------------------------------------------------ what is lost */

static void name_lost(char *lost, size_t n, const char *part)
{
    const size_t used = strlen(lost);
    snprintf(lost + used, n - used, "%s%s", used ? ", " : "", part);
}

static bool same_tables(const struct tokenizer_spec *a, const struct tokenizer_spec *b)
{
    const size_t V = (size_t)a->vocab;
    return a->vocab == b->vocab && memcmp(a->start, b->start, (V + 1) * sizeof *a->start) == 0 &&
           memcmp(a->bytes, b->bytes, (size_t)a->start[V]) == 0 &&
           memcmp(a->flags, b->flags, V) == 0;
}

static enum err find_lost(struct errctx *e, const struct tokenizer_spec *s,
                          const struct mp_value *meta, char *lost, size_t n)
{
    static const char *const lists[] = {"normalizer",    "pretokenizer", "model",
                                        "postprocessor", "decoder",      "special"};
    struct tokenizer_spec back;
    uint8_t ids[2][16];
    lost[0] = '\0';
    TRY(import_gguf_tokenizer(e, meta, &back));
    tokenizer_spec_id(s, ids[0]);
    tokenizer_spec_id(&back, ids[1]);
    if (memcmp(ids[0], ids[1], sizeof ids[0]) != 0) {
        for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
            const struct mp_value *a = mp_get(&s->ops, lists[i]), *b = mp_get(&back.ops, lists[i]);
            if (a && b && !mp_equal(a, b)) name_lost(lost, n, lists[i]);
        }
        if (!same_tables(s, &back)) name_lost(lost, n, "flags of tokens");
        if (!lost[0]) name_lost(lost, n, "merges or scores");
    }
    tokenizer_spec_fini(&back);
    return ERR_OK;
}

enum err export_gguf_tokenizer(struct errctx *e, const struct tokenizer_spec *s, int64_t vocab,
                               struct mp_value *meta, struct mp_value *types, char *lost, size_t n)
{
    struct writer w = {.e = e, .s = s, .vocab = vocab, .meta = meta, .types = types};
    TRY(put_all(&w));
    return find_lost(e, s, meta, lost, n);
}

enum err export_gguf_no_tokenizer(struct errctx *e, struct mp_value *meta)
{
    return mp_set_string(e, meta, KEY("model"), "no_vocab");
}
