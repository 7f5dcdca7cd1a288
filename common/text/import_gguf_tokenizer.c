/* SPDX-License-Identifier: Apache-2.0 */
/* import_gguf_tokenizer.c: see import_gguf_tokenizer.h. */
#include "common/text/import_gguf_tokenizer.h"
#include <stdio.h>
#include <string.h>
#include "common/text/import_sentencepiece.h"
#include "common/text/spec_build.h"
#include "formats/mp_json.h"

#define KEY(name) "tokenizer.ggml." name

/* What stands in token_type. */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

struct source {
    const struct mp_value *meta, *tokens, *scores, *types;
    size_t count; /* of tokens, without those that only fill up the embedding */
    struct mp_value special;
};

static enum err list_of(struct errctx *e, const struct mp_value *meta, const char *key, size_t want,
                        const struct mp_value **out)
{
    *out = mp_get(meta, key);
    if (*out == NULL) return err_set(e, ERR_INPUT, "key '%s' is missing", key);
    if ((*out)->type != MP_ARRAY) return err_set(e, ERR_INPUT, "key '%s' is no array", key);
    if (want != 0 && (*out)->as.list.count != want)
        return err_set(e, ERR_INPUT, "key '%s' has %zu items for %zu tokens", key,
                       (*out)->as.list.count, want);
    return ERR_OK;
}

static const struct mp_value *token(const struct source *s, size_t id)
{
    return &s->tokens->as.list.items[id];
}

static int64_t type_of(const struct source *s, size_t id)
{
    const struct mp_value *v = s->types == NULL ? NULL : &s->types->as.list.items[id];

    if (v == NULL) return TYPE_NORMAL;
    return v->type == MP_UINT && v->as.u >= TYPE_NORMAL && v->as.u <= TYPE_BYTE ? (int64_t)v->as.u
                                                                                : -1;
}

/* "[PADn]" with its own number, where the embedding has more rows than there are tokens. */
static bool is_filler(const struct source *s, size_t id)
{
    char text[32];

    if (type_of(s, id) != TYPE_UNUSED) return false;
    snprintf(text, sizeof text, "[PAD%zu]", id);
    return strcmp(text, token(s, id)->as.bytes.data) == 0;
}

static enum err check_tokens(struct errctx *e, struct source *s)
{
    size_t n;

    TRY(list_of(e, s->meta, KEY("tokens"), 0, &s->tokens));
    n = s->tokens->as.list.count;
    if (n == 0) return err_set(e, ERR_INPUT, "key '%s' is empty", KEY("tokens"));
    if (mp_get(s->meta, KEY("token_type")) != NULL)
        TRY(list_of(e, s->meta, KEY("token_type"), n, &s->types));
    for (size_t i = 0; i < n; i++) {
        if (token(s, i)->type != MP_STRING)
            return err_set(e, ERR_INPUT, "%s: token %zu is no text", KEY("tokens"), i);
        if (type_of(s, i) < 0)
            return err_set(e, ERR_INPUT, "%s: the type of token %zu is not known",
                           KEY("token_type"), i);
    }
    s->count = n;
    while (s->count > 1 && is_filler(s, s->count - 1)) s->count--;
    return ERR_OK;
}

static enum err read_roles(struct errctx *e, struct source *s)
{
    static const struct {
        const char *key, *role;
    } keys[] = {{KEY("bos_token_id"), "bos"},       {KEY("eos_token_id"), "eos"},
                {KEY("unknown_token_id"), "unk"},   {KEY("padding_token_id"), "pad"},
                {KEY("cls_token_id"), "cls"},       {KEY("seperator_token_id"), "sep"},
                {KEY("separator_token_id"), "sep"}, {KEY("mask_token_id"), "mask"}};
    int64_t id;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (mp_get(s->meta, keys[i].key) == NULL) continue;
        TRY(mp_get_int(e, s->meta, keys[i].key, 0, (int64_t)s->tokens->as.list.count - 1, &id));
        if ((size_t)id >= s->count) s->count = (size_t)id + 1;
        TRY(mp_set_int(e, &s->special, keys[i].role, id));
    }
    return ERR_OK;
}

static enum err flag(struct errctx *e, const struct source *s, const char *key, bool fallback,
                     bool *out)
{
    *out = fallback;
    return mp_get(s->meta, key) == NULL ? ERR_OK : mp_get_bool(e, s->meta, key, out);
}

/* A template of the tokens that the file says are added; encoders' begin with cls. */
static enum err set_template(struct errctx *e, const struct source *s, bool encoder, bool bos,
                             bool eos, struct tokenizer_spec *out)
{
    const char *first = encoder && mp_get(&s->special, "cls") != NULL ? "cls" : "bos";
    const char *last = encoder && mp_get(&s->special, "sep") != NULL ? "sep" : "eos";
    json_t *before = json_array(), *after = json_array();

    if (bos && mp_get(&s->special, first) != NULL)
        (void)json_array_append_new(before, json_string(first));
    if (eos && mp_get(&s->special, last) != NULL)
        (void)json_array_append_new(after, json_string(last));
    if (json_array_size(before) + json_array_size(after) > 0)
        return spec_build_ops(
            e, out, "postprocessor",
            json_pack("[{s:s,s:o,s:o}]", "op", "template", "before", before, "after", after));
    json_decref(before);
    json_decref(after);
    return spec_build_ops(e, out, "postprocessor", json_array());
}

static uint8_t flags_of(int64_t type)
{
    switch (type) {
    case TYPE_UNKNOWN:
        return TOKEN_SPECIAL;
    case TYPE_CONTROL:
        return TOKEN_SPECIAL | TOKEN_ADDED;
    case TYPE_USER_DEFINED:
        return TOKEN_ADDED;
    case TYPE_UNUSED:
        return TOKEN_UNUSED;
    default:
        return 0;
    }
}

/* ------------------------------------------------------------------ gpt2 */

/* Names of tokenizer.ggml.pre and the operations they stand for, and the name that is
 * written. */
static const struct pre {
    const char *written;
    const char *names; /* each followed by a space */
    const char *ops;
    bool ignore_merges;
} pres[] = {
    {"gpt-2",
     "gpt-2 gpt2 phi-2 jina-es jina-de gigachat jina-v1-en jina-v2-es jina-v2-de mpt olmo jais "
     "trillion roberta-bpe exaone4 ",
     "[{\"op\":\"gpt2\"}]", false},
    {"llama-bpe", "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 ",
     "[{\"op\":\"llama3\"}]", true},
    {"dbrx", "dbrx smaug-bpe ", "[{\"op\":\"llama3\"}]", false},
    {"qwen2", "qwen2 deepseek-r1-qwen stablelm2 hunyuan megrez ", "[{\"op\":\"qwen2\"}]", false},
    {"smollm", "smollm starcoder refact command-r codeshell exaone minerva-7b ",
     "[{\"op\":\"digits\"},{\"op\":\"gpt2\"}]", false},
    {"falcon", "falcon ",
     "[{\"op\":\"regex\",\"pattern\":\"[\\\\p{P}$+<=>^~|`]+\"},{\"op\":\"gpt2\"},"
     "{\"op\":\"regex\",\"pattern\":\"[0-9][0-9][0-9]\"}]",
     false},
    {"default", "default ",
     "[{\"op\":\"regex\",\"pattern\":\"[\\\\p{P}$+<=>^~|]+\"},{\"op\":\"gpt2\"},"
     "{\"op\":\"regex\",\"pattern\":\"\\\\p{N}+\"},"
     "{\"op\":\"regex\",\"pattern\":\"[0-9][0-9][0-9]\"}]",
     false},
    {"gpt-4o", "gpt-4o llama4 ", "[{\"op\":\"o200k\"}]", false},
};

static const struct pre *find_pre(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < ARRAY_LEN(pres); i++)
        for (const char *at = pres[i].names; *at != 0; at = strchr(at, ' ') + 1)
            if (strncmp(at, name, n) == 0 && at[n] == ' ') return &pres[i];
    return NULL;
}

/* Whether a parameter that one of two operations has says what is so without it. */
static bool is_usual(const struct mp_value *key, const struct mp_value *v)
{
    if (strcmp(key->as.bytes.data, "behavior") == 0)
        return v->type == MP_STRING && strcmp(v->as.bytes.data, "isolated") == 0;
    return strcmp(key->as.bytes.data, "invert") == 0 && v->type == MP_BOOL && !v->as.boolean;
}

static bool has_all(const struct mp_value *a, const struct mp_value *b)
{
    for (size_t i = 0; i + 1 < a->as.list.count; i += 2) {
        const struct mp_value *key = &a->as.list.items[i], *v = &a->as.list.items[i + 1];
        const struct mp_value *other = mp_get(b, key->as.bytes.data);
        if (other == NULL ? !is_usual(key, v) : !mp_equal(v, other)) return false;
    }
    return true;
}

static bool same_ops(const struct mp_value *a, const struct mp_value *b)
{
    if (a->as.list.count != b->as.list.count) return false;
    for (size_t i = 0; i < a->as.list.count; i++) {
        const struct mp_value *x = &a->as.list.items[i], *y = &b->as.list.items[i];
        if (!has_all(x, y) || !has_all(y, x)) return false;
    }
    return true;
}

enum err import_gguf_pre_of(struct errctx *e, const struct mp_value *pretokenizer,
                            bool ignore_merges, const char **out)
{
    *out = NULL;
    for (size_t i = 0; i < ARRAY_LEN(pres) && *out == NULL; i++) {
        json_t *json = json_loads(pres[i].ops, 0, NULL);
        struct mp_value ops;
        if (json == NULL) return err_memory(e, "tokenizer", 0);
        const enum err code = mp_from_json(e, json, &ops);
        json_decref(json);
        TRY(code);
        if (pres[i].ignore_merges == ignore_merges && same_ops(pretokenizer, &ops))
            *out = pres[i].written;
        mp_fini(&ops);
    }
    return ERR_OK;
}

static enum err add_byte_tokens(struct errctx *e, const struct source *s, struct spec_build *b,
                                json_t *ids)
{
    struct bytes text = {0};
    enum err code = ERR_OK;

    for (size_t i = 0; i < s->count && code == ERR_OK; i++) {
        const char *data = token(s, i)->as.bytes.data;
        size_t n = token(s, i)->as.bytes.len;
        uint8_t flags = flags_of(type_of(s, i));
        text.len = 0;
        if (flags != 0 || !spec_build_byte_level(e, data, n, &text)) {
            text.len = 0;
            code = bytes_append(e, &text, data, n);
        }
        if (code == ERR_OK)
            code = spec_build_token(e, b, (int64_t)i, text.data, text.len, flags, 0);
        if (code == ERR_OK && flags != TOKEN_UNUSED && json_object_getn(ids, data, n) == NULL &&
            json_object_setn_new(ids, data, n, json_integer((json_int_t)i)) != 0)
            code = err_memory(e, "vocabulary", n);
    }
    bytes_fini(&text);
    return code;
}

static enum err add_merges(struct errctx *e, const struct source *s, struct spec_build *b,
                           const json_t *ids)
{
    const struct mp_value *merges;

    TRY(list_of(e, s->meta, KEY("merges"), 0, &merges));
    for (size_t i = 0; i < merges->as.list.count; i++) {
        const struct mp_value *v = &merges->as.list.items[i];
        const char *text = v->type == MP_STRING ? v->as.bytes.data : "";
        size_t n = v->type == MP_STRING ? v->as.bytes.len : 0;
        const char *space = n > 1 ? memchr(text + 1, ' ', n - 1) : NULL;
        const json_t *left, *right;
        if (space == NULL)
            return err_set(e, ERR_INPUT, "%s: item %zu is no pair of tokens", KEY("merges"), i);
        left = json_object_getn(ids, text, (size_t)(space - text));
        right = json_object_getn(ids, space + 1, n - (size_t)(space - text) - 1);
        if (left == NULL || right == NULL)
            return err_set(e, ERR_INPUT, "%s: item %zu, '%s', names what is no token",
                           KEY("merges"), i, text);
        TRY(spec_build_merge(e, b, (uint32_t)json_integer_value(left),
                             (uint32_t)json_integer_value(right)));
    }
    return ERR_OK;
}

static enum err import_gpt2(struct errctx *e, const struct source *s, struct tokenizer_spec *out)
{
    struct spec_build b = {0};
    const char *name = "default";
    const struct pre *pre;
    bool bos, eos;
    json_t *ids, *model;
    enum err code;

    if (mp_get(s->meta, KEY("pre")) != NULL) TRY(mp_get_string(e, s->meta, KEY("pre"), &name));
    pre = find_pre(name);
    if (pre == NULL) return err_set(e, ERR_INPUT, "%s '%s' is not known", KEY("pre"), name);
    TRY(flag(e, s, KEY("add_bos_token"), false, &bos));
    TRY(flag(e, s, KEY("add_eos_token"), false, &eos));
    ids = json_object();
    code = add_byte_tokens(e, s, &b, ids);
    if (code == ERR_OK) code = add_merges(e, s, &b, ids);
    json_decref(ids);
    model = json_pack("{s:s,s:b}", "op", "bpe", "byte_level", 1);
    if (spec_build_lacks_bytes(&b)) (void)json_object_set_new(model, "drop_unknown", json_true());
    if (pre->ignore_merges) (void)json_object_set_new(model, "ignore_merges", json_true());
    if (code == ERR_OK) code = spec_build_ops(e, out, "normalizer", json_array());
    if (code == ERR_OK)
        code = spec_build_ops(e, out, "pretokenizer", json_loads(pre->ops, 0, NULL));
    if (code == ERR_OK) code = spec_build_ops(e, out, "model", json_incref(model));
    json_decref(model);
    if (code == ERR_OK) code = set_template(e, s, bos && eos, bos, eos, out);
    if (code == ERR_OK)
        code = spec_build_ops(e, out, "decoder", json_pack("[{s:s}]", "op", "bytes"));
    if (code == ERR_OK) code = mp_set(e, &out->ops, "special", &s->special);
    if (code == ERR_OK) code = spec_build_finish(e, &b, false, out);
    spec_build_fini(&b);
    return code;
}

/* ------------------------------------------------------------------ llama and t5 */

static enum err take_pieces(struct errctx *e, const struct source *s, struct sentencepiece_model *m)
{
    size_t n = s->count;

    TRY(mem_new(e, &m->pieces, n, sizeof *m->pieces, "pieces"));
    for (m->count = 0; m->count < n; m->count++) {
        struct sentencepiece_piece *p = &m->pieces[m->count];
        const struct mp_value *score = &s->scores->as.list.items[m->count];
        p->text = token(s, m->count)->as.bytes.data;
        p->n = token(s, m->count)->as.bytes.len;
        p->type = (enum sentencepiece_type)type_of(s, m->count); /* the same numbers */
        if (score->type != MP_REAL)
            return err_set(e, ERR_INPUT, "%s: item %zu is no number", KEY("scores"), m->count);
        p->score = (float)score->as.real;
        m->byte_fallback |= p->type == PIECE_BYTE;
    }
    return ERR_OK;
}

/* The rewritings are an array of numbers; their bytes go to *map. */
static enum err take_charsmap(struct errctx *e, const struct source *s, struct bytes *map)
{
    const struct mp_value *list = mp_get(s->meta, KEY("precompiled_charsmap"));

    if (list == NULL) return ERR_OK;
    if (list->type != MP_ARRAY)
        return err_set(e, ERR_INPUT, "key '%s' is no array", KEY("precompiled_charsmap"));
    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *v = &list->as.list.items[i];
        uint8_t byte = (uint8_t)(v->type == MP_INT ? (uint64_t)v->as.i : v->as.u);
        if (v->type != MP_UINT && v->type != MP_INT)
            return err_set(e, ERR_INPUT, "%s: item %zu is no byte", KEY("precompiled_charsmap"), i);
        TRY(bytes_append(e, map, &byte, 1));
    }
    return ERR_OK;
}

static enum err import_spm(struct errctx *e, struct source *s, bool unigram,
                           struct tokenizer_spec *out)
{
    struct sentencepiece_model m = {.unigram = unigram};
    struct bytes map = {0};
    bool bos, eos;
    enum err code;

    TRY(list_of(e, s->meta, KEY("scores"), s->tokens->as.list.count, &s->scores));
    TRY(flag(e, s, KEY("add_space_prefix"), true, &m.dummy_prefix));
    TRY(flag(e, s, KEY("remove_extra_whitespaces"), unigram, &m.remove_extra_whitespaces));
    TRY(flag(e, s, KEY("add_bos_token"), !unigram, &bos));
    TRY(flag(e, s, KEY("add_eos_token"), unigram, &eos));
    code = take_pieces(e, s, &m);
    if (code == ERR_OK) code = take_charsmap(e, s, &map);
    m.charsmap = map.data;
    m.charsmap_n = map.len;
    if (code == ERR_OK) code = import_pieces(e, &m, true, &s->special, out);
    if (code == ERR_OK) code = set_template(e, s, bos && eos && unigram, bos, eos, out);
    bytes_fini(&map);
    mem_free(m.pieces);
    return code;
}

/* ------------------------------------------------------------------ bert */

/* "▁the" begins a word, "the" goes on in one: "the", "##the". */
static enum err add_word(struct errctx *e, const struct source *s, size_t id, struct spec_build *b)
{
    const char *data = token(s, id)->as.bytes.data;
    size_t n = token(s, id)->as.bytes.len;
    uint8_t flags = flags_of(type_of(s, id));
    bool bracket = n > 2 && data[0] == '[' && data[n - 1] == ']'; /* [unused0] */
    struct bytes text = {0};
    enum err code = ERR_OK;

    if (flags == 0 && n > 3 && memcmp(data, "\xe2\x96\x81", 3) == 0)
        code = bytes_append(e, &text, data + 3, n - 3);
    else {
        if (flags == 0 && !bracket) code = bytes_append(e, &text, "##", 2);
        if (code == ERR_OK) code = bytes_append(e, &text, data, n);
    }
    if (code == ERR_OK) code = spec_build_token(e, b, (int64_t)id, text.data, text.len, flags, 0);
    bytes_fini(&text);
    return code;
}

static enum err import_bert(struct errctx *e, const struct source *s, struct tokenizer_spec *out)
{
    struct spec_build b = {0};
    enum err code = ERR_OK;

    for (size_t i = 0; i < s->count && code == ERR_OK; i++) code = add_word(e, s, i, &b);
    if (code == ERR_OK)
        code = spec_build_ops(e, out, "normalizer",
                              json_pack("[{s:s},{s:s},{s:s},{s:s}]", "op", "clean_text", "op",
                                        "chinese_chars", "op", "strip_accents", "op", "lowercase"));
    if (code == ERR_OK)
        code = spec_build_ops(e, out, "pretokenizer", json_pack("[{s:s}]", "op", "bert"));
    if (code == ERR_OK)
        code = spec_build_ops(e, out, "model", json_pack("{s:s}", "op", "wordpiece"));
    if (code == ERR_OK) code = set_template(e, s, true, true, true, out);
    if (code == ERR_OK)
        code = spec_build_ops(e, out, "decoder", json_pack("[{s:s}]", "op", "wordpiece"));
    if (code == ERR_OK) code = mp_set(e, &out->ops, "special", &s->special);
    if (code == ERR_OK) code = spec_build_finish(e, &b, false, out);
    spec_build_fini(&b);
    return code;
}

/* ------------------------------------------------------------------ the keys */

static enum err import(struct errctx *e, struct source *s, struct tokenizer_spec *out)
{
    const char *model;

    TRY(mp_get_string(e, s->meta, KEY("model"), &model));
    TRY(check_tokens(e, s));
    TRY(read_roles(e, s));
    if (strcmp(model, "gpt2") == 0) return import_gpt2(e, s, out);
    if (strcmp(model, "llama") == 0) return import_spm(e, s, false, out);
    if (strcmp(model, "t5") == 0) return import_spm(e, s, true, out);
    if (strcmp(model, "bert") == 0) return import_bert(e, s, out);
    return err_set(e, ERR_INPUT, "%s '%s' is not known", KEY("model"), model);
}

enum err import_gguf_tokenizer(struct errctx *e, const struct mp_value *meta,
                               struct tokenizer_spec *out)
{
    struct source s = {.meta = meta};
    enum err code;

    tokenizer_spec_init(out);
    mp_map_init(&s.special);
    code = import(e, &s, out);
    if (code == ERR_OK) code = tokenizer_spec_check(e, out, "GGUF");
    mp_fini(&s.special);
    if (code != ERR_OK) tokenizer_spec_fini(out);
    return code;
}
