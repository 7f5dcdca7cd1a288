/* SPDX-License-Identifier: Apache-2.0 */
/* export_tokenizer_json.c: see export_tokenizer_json.h. The parts are export_parts.c's; here stand
 * the vocabulary, the merges, the added tokens and the template. */
#include "common/text/export_tokenizer_json.h"
#include <string.h>
#include "common/text/export_merges.h"
#include "common/text/export_parts.h"

static const char *const roles[] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};

struct exporter {
    const struct tokenizer_spec *s;
    struct export_parts parts;
    int64_t unknown;
    char *unknown_text; /* as it is written, NULL without */
    bool all;           /* added tokens stand in the model's vocabulary, too */
    json_t *root, *model;
    struct bytes text; /* of the token at hand */
};

/* ------------------------------------------------------------------ tokens */

static enum err token_text(struct errctx *e, struct exporter *x, int64_t id, const char **text)
{
    x->text.len = 0;
    TRY(export_token_text(e, &x->parts, id, &x->text));
    *text = (const char *)x->text.data;
    return ERR_OK;
}

/* Whether a token is the model's own, which the model makes from text. */
static bool is_own(const struct exporter *x, int64_t id)
{
    const uint8_t flags = x->s->flags[id];
    return !(flags & (TOKEN_ADDED | TOKEN_UNUSED)) &&
           (!(flags & TOKEN_SPECIAL) || id == x->unknown);
}

static enum err check_tokens(struct errctx *e, const struct exporter *x)
{
    for (int64_t id = 0; id < x->s->vocab; id++) {
        const uint8_t flags = x->s->flags[id];
        if ((flags & TOKEN_SPECIAL) && !(flags & TOKEN_ADDED) && id != x->unknown)
            return err_set(e, ERR_INPUT,
                           "token %lld is special, but no text is it and it is not 'unk'",
                           (long long)id);
    }
    return ERR_OK;
}

/* Added tokens that are not in the model's vocabulary get the ids behind it, in their order; and
 * merges may make those that are not special. */
static bool ids_follow(const struct exporter *x)
{
    int64_t count = 0, most = -1;

    for (int64_t id = 0; id < x->s->vocab; id++) count += is_own(x, id);
    for (int64_t id = 0; id < x->s->vocab; id++) {
        if (!(x->s->flags[id] & TOKEN_ADDED)) continue;
        if (id != (most >= count ? most + 1 : count)) return false;
        if (!(x->s->flags[id] & TOKEN_SPECIAL)) return false;
        most = id;
    }
    return true;
}

static enum err add_added(struct errctx *e, struct exporter *x)
{
    json_t *list = json_array();
    const char *text;

    (void)json_object_set_new(x->root, "added_tokens", list);
    for (int64_t id = 0; id < x->s->vocab; id++) {
        const int flags = x->s->flags[id];
        if (!(flags & TOKEN_ADDED)) continue;
        TRY(token_text(e, x, id, &text));
        if (json_array_append_new(
                list, json_pack("{s:I,s:s,s:b,s:b,s:b,s:b,s:b}", "id", (json_int_t)id, "content",
                                text, "single_word", flags & TOKEN_SINGLE_WORD, "lstrip",
                                flags & TOKEN_LSTRIP, "rstrip", flags & TOKEN_RSTRIP, "normalized",
                                flags & TOKEN_NORMALIZED, "special", flags & TOKEN_SPECIAL)) != 0)
            return err_memory(e, "tokenizer.json", 0);
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ the model */

/* {token: id}. */
static enum err vocab_object(struct errctx *e, struct exporter *x, json_t *vocab)
{
    const char *text;

    for (int64_t id = 0; id < x->s->vocab; id++) {
        if (!is_own(x, id) && !(x->all && (x->s->flags[id] & TOKEN_ADDED))) continue;
        TRY(token_text(e, x, id, &text));
        if (json_object_get(vocab, text) != NULL)
            return err_set(e, ERR_INPUT, "tokens %lld and %lld are both written '%s'",
                           (long long)json_integer_value(json_object_get(vocab, text)),
                           (long long)id, text);
        if (json_object_set_new(vocab, text, json_integer((json_int_t)id)) != 0)
            return err_memory(e, "tokenizer.json", 0);
    }
    return ERR_OK;
}

/* [[token, score]]: a place for every id. One that is not used gets a text with a space, which
 * occurs nowhere: all spaces are marks when the model sees them. */
static enum err vocab_list(struct errctx *e, struct exporter *x, json_t *list)
{
    int64_t count = x->s->vocab;
    const char *text;

    while (count > 0 && x->s->scores[count - 1] == 0 && (x->s->flags[count - 1] & TOKEN_ADDED))
        count--;
    for (int64_t id = 0; id < count; id++) {
        struct bytes unused = {0};
        if (x->s->flags[id] & TOKEN_UNUSED) {
            if (!x->parts.marked)
                return err_set(e, ERR_INPUT, "token %lld is not used", (long long)id);
            TRY(bytes_printf(e, &unused, " %.*s", (int)(x->s->start[id + 1] - x->s->start[id]),
                             (const char *)x->s->bytes + x->s->start[id]));
            text = (const char *)unused.data;
        } else {
            TRY(token_text(e, x, id, &text));
        }
        json_t *item = json_pack("[s,f]", text, (double)x->s->scores[id]);
        bytes_fini(&unused);
        if (item == NULL) return err_set(e, ERR_INPUT, "token %lld is no text", (long long)id);
        if (json_array_append_new(list, item) != 0) return err_memory(e, "tokenizer.json", 0);
    }
    return ERR_OK;
}

static json_t *nullable(const char *text)
{
    return text == NULL ? json_null() : json_string(text);
}

static enum err add_bpe(struct errctx *e, struct exporter *x, const struct mp_value *op)
{
    json_t *vocab = json_object(), *merges = json_array();
    enum err code;

    x->model = json_pack(
        "{s:s,s:n,s:o,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout", "unk_token",
        nullable(export_flag(op, "drop_unknown", false) ? NULL : x->unknown_text),
        "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
        export_flag(op, "fuse_unk", false), "byte_fallback", x->parts.byte_fallback,
        "ignore_merges", export_flag(op, "ignore_merges", false), "vocab", vocab, "merges", merges);
    if (x->model == NULL) return err_memory(e, "tokenizer.json", 0);
    code = vocab_object(e, x, vocab);
    return code == ERR_OK ? export_merges(e, &x->parts, vocab, merges) : code;
}

static enum err add_wordpiece(struct errctx *e, struct exporter *x, const struct mp_value *op)
{
    const struct mp_value *most = mp_get(op, "max_chars");
    json_t *vocab = json_object();

    x->model = json_pack("{s:s,s:s,s:s,s:I,s:o}", "type", "WordPiece", "unk_token", x->unknown_text,
                         "continuing_subword_prefix", export_text(op, "prefix", "##"),
                         "max_input_chars_per_word",
                         most == NULL ? (json_int_t)100 : (json_int_t)most->as.u, "vocab", vocab);
    if (x->model == NULL) return err_memory(e, "tokenizer.json", 0);
    return vocab_object(e, x, vocab);
}

static enum err add_unigram(struct errctx *e, struct exporter *x)
{
    json_t *list;

    if (x->unknown < 0)
        return err_set(e, ERR_INPUT, "tokenizers wants a token for 'unk' of a Unigram model");
    list = json_array();
    x->model = json_pack("{s:s,s:I,s:o,s:b}", "type", "Unigram", "unk_id", (json_int_t)x->unknown,
                         "vocab", list, "byte_fallback", x->parts.byte_fallback);
    if (x->model == NULL) return err_memory(e, "tokenizer.json", 0);
    return vocab_list(e, x, list);
}

static enum err add_model(struct errctx *e, struct exporter *x)
{
    const struct mp_value *op = mp_get(&x->s->ops, "model");
    const char *name = export_text(op, "op", "");
    enum err code;

    x->all = !ids_follow(x);
    code = strcmp(name, "bpe") == 0         ? add_bpe(e, x, op)
           : strcmp(name, "wordpiece") == 0 ? add_wordpiece(e, x, op)
                                            : add_unigram(e, x);
    if (x->model != NULL && json_object_set_new(x->root, "model", x->model) != 0)
        return err_memory(e, "tokenizer.json", 0);
    return code;
}

/* ------------------------------------------------------------------ the template */

static enum err add_token_of(struct errctx *e, struct exporter *x, const char *role, int type,
                             json_t *list, json_t *tokens)
{
    const int64_t id = tokenizer_spec_special(x->s, role);
    const char *text;

    TRY(token_text(e, x, id, &text));
    (void)json_object_set_new(
        tokens, text,
        json_pack("{s:s,s:[I],s:[s]}", "id", text, "ids", (json_int_t)id, "tokens", text));
    return json_array_append_new(
               list, json_pack("{s:{s:s,s:i}}", "SpecialToken", "id", text, "type_id", type)) == 0
               ? ERR_OK
               : err_memory(e, "tokenizer.json", 0);
}

static enum err add_side(struct errctx *e, struct exporter *x, const struct mp_value *side,
                         int type, json_t *list, json_t *tokens)
{
    for (size_t i = 0; i < side->as.list.count; i++)
        TRY(add_token_of(e, x, side->as.list.items[i].as.bytes.data, type, list, tokens));
    return ERR_OK;
}

static void add_text(json_t *list, const char *which, int type)
{
    (void)json_array_append_new(
        list, json_pack("{s:{s:s,s:i}}", "Sequence", "id", which, "type_id", type));
}

/* The second of two texts has what is behind it, and of an encoder's row only that (BERT) or the
 * separator before it, too (RoBERTa, whose first token is that of the beginning). */
static enum err fill_template(struct errctx *e, struct exporter *x, const struct mp_value *op,
                              json_t *single, json_t *pair, json_t *tokens)
{
    const struct mp_value *before = mp_get(op, "before"), *after = mp_get(op, "after");
    const bool encoder = tokenizer_spec_is_encoder(x->s);
    const int64_t cls = tokenizer_spec_special(x->s, "cls");
    const bool roberta = encoder && cls >= 0 && cls == tokenizer_spec_special(x->s, "bos");
    const int second = roberta ? 0 : 1;

    for (int k = 0; k < 2; k++) {
        json_t *list = k == 0 ? single : pair;
        TRY(add_side(e, x, before, 0, list, tokens));
        add_text(list, "A", 0);
        TRY(add_side(e, x, after, 0, list, tokens));
    }
    if (roberta || !encoder) TRY(add_side(e, x, roberta ? after : before, second, pair, tokens));
    add_text(pair, "B", second);
    return add_side(e, x, after, second, pair, tokens);
}

static enum err add_template(struct errctx *e, struct exporter *x)
{
    const struct mp_value *list = mp_get(&x->s->ops, "postprocessor");
    json_t *single, *pair, *tokens;

    if (list->as.list.count == 0)
        return json_object_set_new(x->root, "post_processor", json_null()) == 0
                   ? ERR_OK
                   : err_memory(e, "tokenizer.json", 0);
    single = json_array();
    pair = json_array();
    tokens = json_object();
    if (json_object_set_new(x->root, "post_processor",
                            json_pack("{s:s,s:o,s:o,s:o}", "type", "TemplateProcessing", "single",
                                      single, "pair", pair, "special_tokens", tokens)) != 0)
        return err_memory(e, "tokenizer.json", 0);
    return fill_template(e, x, &list->as.list.items[0], single, pair, tokens);
}

/* ------------------------------------------------------------------ the file */

typedef enum err part_fn(struct errctx *e, const struct export_parts *p, json_t **out);
static enum err add_part(struct errctx *e, struct exporter *x, const char *key, part_fn *part)
{
    json_t *json;

    TRY(part(e, &x->parts, &json));
    return json_object_set_new(x->root, key, json) == 0 ? ERR_OK
                                                        : err_memory(e, "tokenizer.json", 0);
}

static enum err build(struct errctx *e, struct exporter *x)
{
    export_parts_look(x->s, &x->parts);
    x->unknown = tokenizer_spec_special(x->s, "unk");
    if (x->unknown >= 0) {
        const char *text;
        TRY(token_text(e, x, x->unknown, &text));
        TRY(mem_strdup(e, &x->unknown_text, text));
        if ((x->s->flags[x->unknown] & (TOKEN_SPECIAL | TOKEN_ADDED)) == TOKEN_SPECIAL)
            x->parts.hidden = x->unknown_text;
    }
    x->root = json_pack("{s:s,s:n,s:n}", "version", "1.0", "truncation", "padding");
    if (x->root == NULL) return err_memory(e, "tokenizer.json", 0);
    TRY(check_tokens(e, x));
    TRY(add_added(e, x));
    TRY(add_part(e, x, "normalizer", export_normalizer));
    TRY(add_part(e, x, "pre_tokenizer", export_pretokenizer));
    TRY(add_template(e, x));
    TRY(add_part(e, x, "decoder", export_decoder));
    return add_model(e, x);
}

enum err export_tokenizer_json(struct errctx *e, const struct tokenizer_spec *s, json_t **out)
{
    struct exporter x = {.s = s};
    enum err code = build(e, &x);

    mem_free(x.unknown_text);
    bytes_fini(&x.text);
    *out = x.root;
    if (code == ERR_OK) return ERR_OK;
    json_decref(x.root);
    *out = NULL;
    return err_prefix(e, "tokenizer");
}

enum err export_tokenizer_config(struct errctx *e, const struct tokenizer_spec *s, bool types,
                                 json_t **out)
{
    struct exporter x = {.s = s};
    enum err code = ERR_OK;

    export_parts_look(s, &x.parts);
    *out = json_pack("{s:s,s:b,s:[s,s]}", "tokenizer_class", "PreTrainedTokenizerFast",
                     "clean_up_tokenization_spaces", 0, "model_input_names", "input_ids",
                     "attention_mask");
    if (*out == NULL) return err_memory(e, "tokenizer_config.json", 0);
    if (types)
        (void)json_array_insert_new(json_object_get(*out, "model_input_names"), 1,
                                    json_string("token_type_ids"));
    for (size_t r = 0; r < ARRAY_LEN(roles) && code == ERR_OK; r++) {
        const int64_t id = tokenizer_spec_special(s, roles[r]);
        const char *text;
        char key[16];
        if (id < 0) continue;
        (void)snprintf(key, sizeof key, "%s_token", roles[r]);
        code = token_text(e, &x, id, &text);
        if (code == ERR_OK) (void)json_object_set_new(*out, key, json_string(text));
    }
    bytes_fini(&x.text);
    if (code != ERR_OK) json_decref(*out);
    return code;
}
