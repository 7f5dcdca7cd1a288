/* SPDX-License-Identifier: Apache-2.0 */
/* import_tokenizer_json.c: see import_tokenizer_json.h. The parts are import_parts.c's; here stand
 * the vocabulary, the merges, the added tokens, and which token has which role. */
#include "common/text/import_tokenizer_json.h"
#include <math.h>
#include <string.h>
#include "common/text/import_parts.h"
#include "common/text/json_part.h"
#include "common/text/spec_build.h"
#include "common/text/utf8.h"

enum { ROLES = 7 };
static const char *const roles[ROLES] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};

struct importer {
    const json_t *root, *model, *side;
    struct import_parts parts;
    json_t *ids;        /* token as written -> id, of the model and the added tokens */
    bool byte_fallback; /* <0xNN> are bytes */
    bool scores;
    struct spec_build b;
    int64_t special[ROLES]; /* -1: none */
};

static int64_t id_of(const struct importer *m, const char *token)
{
    const json_t *id = token == NULL ? NULL : json_object_get(m->ids, token);
    return id == NULL ? -1 : (int64_t)json_integer_value(id);
}

/* ------------------------------------------------------------------ tokens */

static enum err add_token(struct errctx *e, struct importer *m, const char *text, int64_t id,
                          uint8_t flags, double score)
{
    struct bytes bytes = {0};
    size_t n = strlen(text);
    int byte = m->byte_fallback && !(flags & TOKEN_ADDED) ? spec_build_byte(text, n) : -1;
    uint8_t one = (uint8_t)byte;
    enum err code = ERR_OK;

    if (m->parts.marked && text[0] == ' ' && !(flags & TOKEN_ADDED)) { /* no text has spaces then */
        flags = TOKEN_UNUSED;
        text++;
        n--;
    }
    if (m->parts.hidden && m->parts.unknown != NULL && strcmp(text, m->parts.unknown) == 0)
        flags |= TOKEN_SPECIAL;
    if (!isfinite(score) || fabs(score) > 1e30)
        return err_set(e, ERR_INPUT, "the score of token %lld is %g", (long long)id, score);
    if (byte >= 0) {
        flags |= TOKEN_BYTE;
        code = bytes_append(e, &bytes, &one, 1);
    } else if (m->parts.marked && !(flags & TOKEN_ADDED)) {
        code = spec_build_spaces(e, text, n, &bytes);
    } else if (!m->parts.byte_level || (flags & TOKEN_ADDED) ||
               !spec_build_byte_level(e, text, n, &bytes)) {
        bytes.len = 0; /* what is not of the alphabet stands for itself */
        code = e->code == ERR_OK ? bytes_append(e, &bytes, text, n) : e->code;
    }
    if (code == ERR_OK)
        code = spec_build_token(e, &m->b, id, bytes.data, bytes.len, flags, (float)score);
    bytes_fini(&bytes);
    return code;
}

/* A token of an added one's id has its text, for what it is written as is what is matched. */
static const json_t *added_with(const struct importer *m, int64_t id)
{
    const json_t *list = json_object_get(m->root, "added_tokens"), *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (json_integer_value(json_object_get(item, "id")) == id) return item;
    }
    return NULL;
}

static enum err note_id(struct errctx *e, struct importer *m, const char *token, int64_t id)
{
    return json_object_set_new(m->ids, token, json_integer(id)) == 0
               ? ERR_OK
               : err_memory(e, "vocabulary", 0);
}

static enum err added_flags(struct errctx *e, const json_t *item, uint8_t *flags)
{
    static const struct {
        const char *key;
        uint8_t flag;
    } keys[] = {{"special", TOKEN_SPECIAL},
                {"lstrip", TOKEN_LSTRIP},
                {"rstrip", TOKEN_RSTRIP},
                {"single_word", TOKEN_SINGLE_WORD},
                {"normalized", TOKEN_NORMALIZED}};
    const char *key;
    json_t *v;

    *flags = TOKEN_ADDED;
    json_object_foreach((json_t *)item, key, v)
    {
        bool known = strcmp(key, "id") == 0 || strcmp(key, "content") == 0;
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            if (strcmp(keys[i].key, key) != 0) continue;
            known = json_is_boolean(v);
            if (json_is_true(v)) *flags |= keys[i].flag;
        }
        if (!known)
            return err_set(e, ERR_INPUT, "added_tokens: key '%s' is not known, or not its value",
                           key);
    }
    return ERR_OK;
}

static enum err add_added(struct errctx *e, struct importer *m)
{
    const json_t *list = json_object_get(m->root, "added_tokens"), *item;
    size_t i;

    if (list != NULL && !json_is_null(list) && !json_is_array(list))
        return err_set(e, ERR_INPUT, "'added_tokens' is no list");
    json_array_foreach(list, i, item)
    {
        const char *content = json_string_value(json_object_get(item, "content"));
        const json_t *id = json_object_get(item, "id");
        uint8_t flags;
        if (content == NULL || content[0] == 0 || !json_is_integer(id))
            return err_set(e, ERR_INPUT, "added_tokens: item %zu has no 'content' and 'id'", i);
        TRY(added_flags(e, item, &flags));
        TRY(add_token(e, m, content, json_integer_value(id), flags, 0));
        TRY(note_id(e, m, content, json_integer_value(id)));
    }
    return ERR_OK;
}

/* A token of the model; one that is an added token, too, is there already. */
static enum err add_model_token(struct errctx *e, struct importer *m, const char *text, int64_t id,
                                double score)
{
    if (id >= 0 && (size_t)id < m->b.count && m->b.tokens[id].there) {
        const json_t *added = added_with(m, id);
        const char *content = json_string_value(json_object_get(added, "content"));
        if (content == NULL || strcmp(content, text) != 0)
            return err_set(e, ERR_INPUT, "two tokens have the id %lld", (long long)id);
        m->b.tokens[id].score = (float)score;
        return ERR_OK;
    }
    TRY(add_token(e, m, text, id, 0, score));
    return note_id(e, m, text, id);
}

static enum err add_vocab(struct errctx *e, struct importer *m)
{
    const json_t *vocab = json_object_get(m->model, "vocab");
    const char *text;
    json_t *v;
    size_t i;

    if (json_is_object(vocab)) {
        json_object_foreach((json_t *)vocab, text, v)
        {
            if (!json_is_integer(v))
                return err_set(e, ERR_INPUT, "vocab: the id of '%s' is no integer", text);
            TRY(add_model_token(e, m, text, json_integer_value(v), 0));
        }
        return ERR_OK;
    }
    if (!json_is_array(vocab)) return err_set(e, ERR_INPUT, "model: 'vocab' is missing");
    m->scores = true;
    json_array_foreach(vocab, i, v)
    {
        text = json_string_value(json_array_get(v, 0));
        if (text == NULL || !json_is_number(json_array_get(v, 1)))
            return err_set(e, ERR_INPUT, "vocab: item %zu is not [token, score]", i);
        TRY(add_model_token(e, m, text, (int64_t)i, json_number_value(json_array_get(v, 1))));
    }
    return ERR_OK;
}

/* The two sides of a merge, "a b" or ["a", "b"]; `buffer` holds what is cut. */
static enum err merge_sides(struct errctx *e, const json_t *merge, size_t i, struct bytes *buffer,
                            const char **left, const char **right)
{
    const char *text = json_string_value(merge), *space;

    *left = json_string_value(json_array_get(merge, 0));
    *right = json_string_value(json_array_get(merge, 1));
    if (text != NULL) {
        buffer->len = 0;
        TRY(bytes_append(e, buffer, text, strlen(text) + 1));
        space = strchr(text, ' ');
        *right = space == NULL ? NULL : (const char *)buffer->data + (space - text) + 1;
        if (space != NULL) buffer->data[space - text] = 0;
        *left = (const char *)buffer->data;
    }
    if (*left == NULL || *right == NULL || (text == NULL && json_array_size(merge) != 2))
        return err_set(e, ERR_INPUT, "merges: item %zu is no pair of tokens", i);
    return ERR_OK;
}

static enum err add_merges(struct errctx *e, struct importer *m)
{
    const json_t *merges = json_object_get(m->model, "merges"), *merge;
    struct bytes buffer = {0};
    enum err code = ERR_OK;
    size_t i;

    if (!json_is_array(merges)) return err_set(e, ERR_INPUT, "model: 'merges' is missing");
    json_array_foreach(merges, i, merge)
    {
        const char *left, *right;
        code = merge_sides(e, merge, i, &buffer, &left, &right);
        if (code == ERR_OK && (id_of(m, left) < 0 || id_of(m, right) < 0))
            code = err_set(e, ERR_INPUT, "merges: item %zu names '%s', which is no token", i,
                           id_of(m, left) < 0 ? left : right);
        if (code == ERR_OK)
            code = spec_build_merge(e, &m->b, (uint32_t)id_of(m, left), (uint32_t)id_of(m, right));
        if (code != ERR_OK) break;
    }
    bytes_fini(&buffer);
    return code;
}

/* ------------------------------------------------------------------ the model */

static enum err flag(struct errctx *e, const json_t *model, const char *key, bool *out)
{
    const json_t *v = json_object_get(model, key);

    *out = false;
    if (v == NULL || json_is_null(v)) return ERR_OK;
    if (!json_is_boolean(v)) return err_set(e, ERR_INPUT, "model: '%s' is not true or false", key);
    *out = json_is_true(v);
    return ERR_OK;
}

static enum err check_keys(struct errctx *e, const json_t *model, const char *const *keys)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)model, key, v)
    {
        bool known = false;
        for (size_t i = 0; keys[i] != NULL; i++) known |= strcmp(keys[i], key) == 0;
        if (!known)
            return err_set(e, ERR_INPUT, "model '%s': key '%s' is not known", json_part_type(model),
                           key);
    }
    return ERR_OK;
}

static bool is_empty(const json_t *v)
{
    return v == NULL || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0) ||
           (json_is_number(v) && json_number_value(v) == 0);
}

static enum err import_bpe(struct errctx *e, struct importer *m, struct tokenizer_spec *s)
{
    static const char *const keys[] = {"type",
                                       "dropout",
                                       "unk_token",
                                       "continuing_subword_prefix",
                                       "end_of_word_suffix",
                                       "fuse_unk",
                                       "byte_fallback",
                                       "ignore_merges",
                                       "vocab",
                                       "merges",
                                       NULL};
    static const char *const empty[] = {"dropout", "continuing_subword_prefix",
                                        "end_of_word_suffix"};
    bool fuse, ignore;
    json_t *model;

    TRY(check_keys(e, m->model, keys));
    for (size_t i = 0; i < ARRAY_LEN(empty); i++)
        if (!is_empty(json_object_get(m->model, empty[i])))
            return err_set(e, ERR_INPUT, "model 'BPE' with '%s' is not known", empty[i]);
    TRY(flag(e, m->model, "byte_fallback", &m->byte_fallback));
    TRY(flag(e, m->model, "fuse_unk", &fuse));
    TRY(flag(e, m->model, "ignore_merges", &ignore));
    TRY(add_vocab(e, m));
    TRY(add_merges(e, m));
    model = json_pack("{s:s,s:b}", "op", "bpe", "byte_level", m->parts.byte_level);
    if (ignore) (void)json_object_set_new(model, "ignore_merges", json_true());
    if (!m->parts.byte_level && m->byte_fallback)
        (void)json_object_set_new(model, "byte_fallback", json_true());
    if (!m->parts.byte_level && fuse) (void)json_object_set_new(model, "fuse_unk", json_true());
    m->special[2] = id_of(m, json_string_value(json_object_get(m->model, "unk_token")));
    if (m->special[2] < 0 && m->parts.byte_level && spec_build_lacks_bytes(&m->b))
        (void)json_object_set_new(model, "drop_unknown", json_true());
    return spec_build_ops(e, s, "model", model);
}

static enum err import_wordpiece(struct errctx *e, struct importer *m, struct tokenizer_spec *s)
{
    static const char *const keys[] = {
        "type",  "unk_token", "continuing_subword_prefix", "max_input_chars_per_word",
        "vocab", NULL};
    const char *prefix = json_string_value(json_object_get(m->model, "continuing_subword_prefix"));
    const json_t *most = json_object_get(m->model, "max_input_chars_per_word");

    TRY(check_keys(e, m->model, keys));
    TRY(add_vocab(e, m));
    m->special[2] = id_of(m, json_string_value(json_object_get(m->model, "unk_token")));
    if (m->special[2] < 0) return err_set(e, ERR_INPUT, "model: 'unk_token' is no token");
    return spec_build_ops(
        e, s, "model",
        json_pack("{s:s,s:s,s:I}", "op", "wordpiece", "prefix", prefix == NULL ? "##" : prefix,
                  "max_chars", json_is_integer(most) ? json_integer_value(most) : (json_int_t)100));
}

static enum err import_unigram(struct errctx *e, struct importer *m, struct tokenizer_spec *s)
{
    static const char *const keys[] = {"type", "unk_id", "vocab", "byte_fallback", NULL};
    const json_t *unknown = json_object_get(m->model, "unk_id");
    json_t *model = json_pack("{s:s}", "op", "unigram");
    enum err code = check_keys(e, m->model, keys);

    if (code == ERR_OK) code = flag(e, m->model, "byte_fallback", &m->byte_fallback);
    if (code == ERR_OK) code = add_vocab(e, m);
    if (code != ERR_OK) {
        json_decref(model);
        return code;
    }
    if (json_is_integer(unknown)) {
        int64_t id = (int64_t)json_integer_value(unknown);
        if (id < 0 || (size_t)id >= m->b.count) {
            json_decref(model);
            return err_set(e, ERR_INPUT, "model: 'unk_id' %lld is no token", (long long)id);
        }
        m->special[2] = id;
        m->b.tokens[id].flags |= TOKEN_SPECIAL;
    }
    if (m->byte_fallback) (void)json_object_set_new(model, "byte_fallback", json_true());
    return spec_build_ops(e, s, "model", model);
}

static enum err import_model(struct errctx *e, struct importer *m, struct tokenizer_spec *s)
{
    const char *type = json_part_type(m->model);

    if (!json_is_object(m->model)) return err_set(e, ERR_INPUT, "'model' is missing");
    if (type[0] == 0) /* old files do not say */
        type = json_is_array(json_object_get(m->model, "vocab")) ? "Unigram"
               : json_object_get(m->model, "merges") != NULL     ? "BPE"
                                                                 : "WordPiece";
    if (strcmp(type, "BPE") == 0) return import_bpe(e, m, s);
    if (strcmp(type, "WordPiece") == 0) return import_wordpiece(e, m, s);
    if (strcmp(type, "Unigram") == 0) return import_unigram(e, m, s);
    return err_set(e, ERR_INPUT, "model '%s' is not known", type);
}

/* ------------------------------------------------------------------ roles and the template */

/* Usual names; a role has the first that is a special token. */
static const char *const usual[ROLES][8] = {
    {"<s>", "<|begin_of_text|>", "<bos>", "<|im_start|>", "[BOS]"},
    {"</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|im_end|>", "<|end|>", "[EOS]"},
    {"<unk>", "[UNK]"},
    {"<pad>", "[PAD]", "<|padding|>", "<|finetune_right_pad_id|>"},
    {"[CLS]"},
    {"[SEP]"},
    {"[MASK]", "<mask>"},
};

static enum err named_roles(struct errctx *e, struct importer *m)
{
    for (size_t r = 0; r < ROLES; r++) {
        char key[16];
        const json_t *v;
        (void)snprintf(key, sizeof key, "%s_token", roles[r]);
        v = json_object_get(m->side, key);
        if (json_is_object(v)) v = json_object_get(v, "content");
        if (!json_is_string(v)) continue;
        m->special[r] = id_of(m, json_string_value(v));
        if (m->special[r] < 0)
            return err_set(e, ERR_INPUT, "'%s' is '%s', which is no token", key,
                           json_string_value(v));
    }
    return ERR_OK;
}

static void usual_roles(struct importer *m)
{
    for (size_t r = 0; r < ROLES; r++)
        for (size_t k = 0; m->special[r] < 0 && k < ARRAY_LEN(usual[r]); k++) {
            int64_t id = id_of(m, usual[r][k]);
            if (id >= 0 && (m->b.tokens[id].flags & TOKEN_SPECIAL)) m->special[r] = id;
        }
}

struct template
{
    int64_t before[8], after[8];
    size_t before_count, after_count;
    bool there;
};

static enum err put(struct errctx *e, int64_t *side, size_t *count, int64_t id)
{
    if (*count == 8) return err_set(e, ERR_INPUT, "post-processor: a template of too many tokens");
    side[(*count)++] = id;
    return ERR_OK;
}

static enum err read_template(struct errctx *e, const json_t *part, struct template *t)
{
    const json_t *list = json_object_get(part, "single"), *item, *id;
    size_t i, k;
    bool behind = false;

    if (!json_is_array(list)) return err_set(e, ERR_INPUT, "post-processor: 'single' is no list");
    json_array_foreach(list, i, item)
    {
        const json_t *token = json_object_get(item, "SpecialToken");
        const char *name = json_string_value(json_object_get(token, "id"));
        const json_t *ids = json_object_get(
            json_object_get(json_object_get(part, "special_tokens"), name == NULL ? "" : name),
            "ids");
        if (json_object_get(item, "Sequence") != NULL) {
            if (behind) return err_set(e, ERR_INPUT, "post-processor: two texts in 'single'");
            behind = true;
            continue;
        }
        if (json_array_size(ids) == 0)
            return err_set(e, ERR_INPUT, "post-processor: item %zu of 'single' is no token", i);
        json_array_foreach(ids, k, id)
        {
            if (behind)
                TRY(put(e, t->after, &t->after_count, json_integer_value(id)));
            else
                TRY(put(e, t->before, &t->before_count, json_integer_value(id)));
        }
    }
    t->there = true;
    return ERR_OK;
}

static enum err read_processor(struct errctx *e, const json_t *part, struct template *t)
{
    const char *type = json_part_type(part);
    const json_t *list = json_object_get(part, "processors"), *item;
    size_t i;

    if (part == NULL || json_is_null(part) || strcmp(type, "ByteLevel") == 0) return ERR_OK;
    if (strcmp(type, "Sequence") == 0) {
        json_array_foreach(list, i, item)
        {
            if (strcmp(json_part_type(item), "Sequence") == 0)
                return err_set(e, ERR_INPUT, "post-processor: 'Sequence' inside a 'Sequence'");
            TRY(read_processor(e, item, t));
        }
        return ERR_OK;
    }
    if (t->there) return err_set(e, ERR_INPUT, "post-processor: two templates");
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(e, part, t);
    if (strcmp(type, "BertProcessing") != 0 && strcmp(type, "RobertaProcessing") != 0)
        return err_set(e, ERR_INPUT, "post-processor '%s' is not known", type);
    t->there = true;
    TRY(put(e, t->before, &t->before_count,
            json_integer_value(json_array_get(json_object_get(part, "cls"), 1))));
    return put(e, t->after, &t->after_count,
               json_integer_value(json_array_get(json_object_get(part, "sep"), 1)));
}

/* The role under which a template names a token; -1: it has none and takes none. */
static int role_for(struct importer *m, int64_t id, bool encoder, bool after)
{
    int first = encoder ? (after ? 5 : 4) : after, second = encoder ? after : (after ? 5 : 4);

    if (m->special[first] < 0 && (m->side == NULL || m->special[second] != id))
        m->special[first] = id;
    if (m->special[first] == id) return first;
    if (m->special[second] < 0) m->special[second] = id;
    return m->special[second] == id ? second : -1;
}

static enum err set_template(struct errctx *e, struct importer *m, const struct template *t,
                             struct tokenizer_spec *s)
{
    bool encoder = t->before_count > 0 && t->after_count > 0 && !m->byte_fallback;
    json_t *sides[2] = {json_array(), json_array()}, *list;

    if (t->before_count + t->after_count == 0) {
        json_decref(sides[0]);
        json_decref(sides[1]);
        return spec_build_ops(e, s, "postprocessor", json_array());
    }
    for (size_t i = 0; i < t->before_count + t->after_count; i++) {
        bool after = i >= t->before_count;
        int64_t id = after ? t->after[i - t->before_count] : t->before[i];
        int role = id < 0 || (size_t)id >= m->b.count ? -1 : role_for(m, id, encoder, after);
        if (role < 0) {
            json_decref(sides[0]);
            json_decref(sides[1]);
            return err_set(e, ERR_INPUT, "post-processor: token %lld has no role", (long long)id);
        }
        (void)json_array_append_new(sides[after], json_string(roles[role]));
    }
    list = json_pack("[{s:s,s:o,s:o}]", "op", "template", "before", sides[0], "after", sides[1]);
    return spec_build_ops(e, s, "postprocessor", list);
}

static enum err set_special(struct errctx *e, const struct importer *m, struct tokenizer_spec *s)
{
    json_t *map = json_object();

    for (size_t r = 0; r < ROLES; r++)
        if (m->special[r] >= 0)
            (void)json_object_set_new(map, roles[r], json_integer(m->special[r]));
    return spec_build_ops(e, s, "special", map);
}

/* ------------------------------------------------------------------ the file */

static enum err build(struct errctx *e, struct importer *m, struct tokenizer_spec *s)
{
    struct mp_value list;
    struct template t = {.there = false};
    enum err code;

    m->model = json_object_get(m->root, "model");
    import_parts_look(m->root, &m->parts);
    mp_array_init(&list);
    code = import_normalizer(e, json_object_get(m->root, "normalizer"), &m->parts, &list);
    if (code == ERR_OK) code = mp_set(e, &s->ops, "normalizer", &list);
    if (code == ERR_OK)
        code = import_pretokenizer(e, json_object_get(m->root, "pre_tokenizer"), &m->parts, &list);
    if (code == ERR_OK) code = mp_set(e, &s->ops, "pretokenizer", &list);
    if (code == ERR_OK)
        code = import_decoder(e, json_object_get(m->root, "decoder"), &m->parts, &list);
    if (code == ERR_OK) code = mp_set(e, &s->ops, "decoder", &list);
    mp_fini(&list);
    TRY(code);
    TRY(add_added(e, m));
    TRY(import_model(e, m, s));
    TRY(read_processor(e, json_object_get(m->root, "post_processor"), &t));
    TRY(named_roles(e, m));
    if (m->side == NULL) usual_roles(m);
    TRY(set_template(e, m, &t, s));
    TRY(set_special(e, m, s));
    if (mp_get(&s->ops, "normalizer")->as.list.count == 0) /* what is normalised is the text */
        for (size_t i = 0; i < m->b.count; i++) m->b.tokens[i].flags &= (uint8_t)~TOKEN_NORMALIZED;
    return spec_build_finish(e, &m->b, m->scores, s);
}

/* The template of conversations in tokenizer_config.json: a text, or several with names, of which
 * "default" is the one that is used where none is asked for. */
static enum err set_chat_template(struct errctx *e, const json_t *side, struct tokenizer_spec *s)
{
    const json_t *v = json_object_get(side, "chat_template");
    size_t i;
    json_t *named;

    if (json_is_array(v)) {
        const json_t *list = v;
        v = NULL;
        json_array_foreach((json_t *)(uintptr_t)list, i, named)
        {
            const char *name = json_string_value(json_object_get(named, "name"));
            if (name != NULL && strcmp(name, "default") == 0)
                v = json_object_get(named, "template");
        }
    }
    if (v == NULL || json_is_null(v)) return ERR_OK;
    if (!json_is_string(v)) return err_set(e, ERR_INPUT, "'chat_template' is not a text");
    return mp_set_string(e, &s->ops, "chat_template", json_string_value(v));
}

enum err import_tokenizer_parse(struct errctx *e, const char *data, size_t n, const char *what,
                                bool ids, json_t **out)
{
    json_error_t error;

    /* lengths that mean "none" are beyond any integer, and no integer of use is beyond 2^53 */
    *out =
        json_loadb(data, n, JSON_REJECT_DUPLICATES | (ids ? 0 : JSON_DECODE_INT_AS_REAL), &error);
    if (*out == NULL)
        return err_set(e, ERR_INPUT, "%s: line %d, column %d: %s", what, error.line, error.column,
                       error.text);
    if (json_is_object(*out)) return ERR_OK;
    json_decref(*out);
    *out = NULL;
    return err_set(e, ERR_INPUT, "%s: not an object", what);
}

enum err import_tokenizer_root(struct errctx *e, json_t *root, json_t *side,
                               struct tokenizer_spec *out)
{
    struct importer m = {.root = root, .side = side, .special = {-1, -1, -1, -1, -1, -1, -1}};
    enum err code;

    m.ids = json_object();
    code = build(e, &m, out);
    if (code == ERR_OK) code = set_chat_template(e, side, out);
    if (code == ERR_OK) code = tokenizer_spec_check(e, out, "tokenizer");
    json_decref(m.ids);
    json_decref(root);
    json_decref(side);
    spec_build_fini(&m.b);
    if (code != ERR_OK) tokenizer_spec_fini(out);
    return code;
}

enum err import_tokenizer_side(struct errctx *e, const char *side, size_t n, json_t **out)
{
    *out = NULL;
    static const char where[] = "tokenizer_config.json or special_tokens_map.json beside it";
    return side == NULL ? ERR_OK : import_tokenizer_parse(e, side, n, where, false, out);
}

enum err import_tokenizer_json(struct errctx *e, const char *data, size_t n, const char *side,
                               size_t side_n, struct tokenizer_spec *out)
{
    json_t *root, *config;

    tokenizer_spec_init(out);
    TRY(import_tokenizer_side(e, side, side_n, &config));
    if (import_tokenizer_parse(e, data, n, "tokenizer.json", true, &root) == ERR_OK)
        return import_tokenizer_root(e, root, config, out);
    json_decref(config);
    return e->code;
}
