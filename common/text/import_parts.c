/* SPDX-License-Identifier: Apache-2.0 */
/* import_parts.c: see import_parts.h. Parts are taken apart by their "type"; each of them reads all
 * keys it knows and refuses the part when there is another one. */
#include "common/text/import_parts.h"
#include <string.h>
#include "common/text/export_parts.h"
#include "common/text/import_regex.h"
#include "common/text/json_part.h"
#include "common/text/spec_build.h"

#define MARK  "\xe2\x96\x81" /* U+2581 */
#define SPACE "\\p{Z}\\t-\\r\\x{85}"

/* ------------------------------------------------------------------ how tokens are written */

static bool mentions(const json_t *part, const char *type, const char *key, const char *value)
{
    static const char *const lists[] = {"normalizers", "pretokenizers", "decoders"};

    if (!json_is_object(part)) return false;
    if (json_part_is(part, type)) {
        const json_t *v = json_object_get(part, key), *regex = json_object_get(v, "Regex");
        if (key == NULL) return true;
        if (json_is_object(v)) v = regex != NULL ? regex : json_object_get(v, "String");
        if (json_is_string(v) && strcmp(json_string_value(v), value) == 0) return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const json_t *list = json_object_get(part, lists[i]);
        for (size_t k = 0; json_is_array(list) && k < json_array_size(list); k++)
            if (!json_part_is(json_array_get(list, k), "Sequence") &&
                mentions(json_array_get(list, k), type, key, value))
                return true;
    }
    return false;
}

/* The token for what is unknown, as the model names it. */
static const char *unknown_token(const json_t *model)
{
    const json_t *id = json_object_get(model, "unk_id");
    const char *token = json_string_value(json_object_get(model, "unk_token"));

    if (!json_is_integer(id) || json_integer_value(id) < 0) return token;
    return json_string_value(json_array_get(
        json_array_get(json_object_get(model, "vocab"), (size_t)json_integer_value(id)), 0));
}

/* A Metaspace that writes a space where no space is left: it goes before the text whatever that
 * begins with. A second one makes it a mark. */
static bool puts_space_first(const json_t *pretokenizer)
{
    const json_t *list = json_object_get(pretokenizer, "pretokenizers");
    const json_t *one = json_array_get(list, 0), *two = json_array_get(list, 1);
    json_t *a, *b;
    bool is_so;

    if (json_array_size(list) != 2 || !json_part_is(one, "Metaspace") ||
        !json_part_is(two, "Metaspace"))
        return false;
    a = json_pack("{s:s,s:s,s:s,s:b}", "type", "Metaspace", "replacement", " ", "prepend_scheme",
                  "first", "split", 0);
    b = json_pack("{s:s,s:s,s:s,s:b}", "type", "Metaspace", "replacement", MARK, "prepend_scheme",
                  "never", "split", 0);
    is_so = json_equal(one, a) && json_equal(two, b);
    json_decref(a);
    json_decref(b);
    return is_so;
}

void import_parts_look(const json_t *root, struct import_parts *p)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *pretokenizer = json_object_get(root, "pre_tokenizer");
    const json_t *decoder = json_object_get(root, "decoder");

    p->byte_level = mentions(pretokenizer, "ByteLevel", NULL, NULL);
    p->replaced = (mentions(normalizer, "Replace", "pattern", " ") ||
                   mentions(normalizer, "Replace", "pattern", EXPORT_INNER_SPACE)) &&
                  mentions(normalizer, "Replace", "content", MARK);
    p->first = p->replaced && puts_space_first(pretokenizer);
    p->unknown = unknown_token(json_object_get(root, "model"));
    p->marked = !p->byte_level && (p->replaced || mentions(pretokenizer, "Metaspace", NULL, NULL) ||
                                   mentions(decoder, "Metaspace", NULL, NULL) ||
                                   mentions(decoder, "Replace", "pattern", MARK));
}

/* ------------------------------------------------------------------ expressions */

/* A literal as an expression. */
static enum err quote(struct errctx *e, const char *text, struct bytes *out)
{
    for (; *text != 0; text++) {
        if (strchr("\\^$.[|()?*+{}-]", *text) != NULL) TRY(bytes_append(e, out, "\\", 1));
        TRY(bytes_append(e, out, text, 1));
    }
    return bytes_append(e, out, "", 1);
}

/* The expression or literal under "pattern". */
static enum err get_pattern(struct errctx *e, const json_t *part, const char **regex,
                            const char **literal)
{
    const json_t *pattern = json_object_get(part, "pattern");

    *regex = json_string_value(json_object_get(pattern, "Regex"));
    *literal = json_string_value(json_object_get(pattern, "String"));
    if ((*regex == NULL) == (*literal == NULL))
        return err_set(e, ERR_INPUT, "'%s': 'pattern' is no Regex and no String",
                       json_part_type(part));
    return ERR_OK;
}

/* ------------------------------------------------------------------ normalisers */

struct context {
    struct import_parts *p;
    const struct import_parts *looked;
    struct mp_value *list;
    bool replaced; /* so far */
    size_t seen;
};

static enum err decode_base64(struct errctx *e, const char *text, struct bytes *out)
{
    uint32_t bits = 0;
    int have = 0;

    for (; *text != 0 && *text != '='; text++) {
        static const char digits[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *digit = strchr(digits, *text);
        if (digit == NULL)
            return err_set(e, ERR_INPUT, "'Precompiled': 'precompiled_charsmap' is not base64");
        bits = bits << 6 | (uint32_t)(digit - digits);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        uint8_t byte = (uint8_t)(bits >> have);
        TRY(bytes_append(e, out, &byte, 1));
    }
    return ERR_OK;
}

static enum err precompiled(struct errctx *e, const json_t *part, struct mp_value *list)
{
    const char *text;
    struct bytes map = {0};
    struct mp_value op;
    enum err code;

    TRY(JSON_PART_ONLY(e, part, "precompiled_charsmap"));
    if (json_is_null(json_object_get(part, "precompiled_charsmap"))) return ERR_OK;
    TRY(json_part_text(e, part, "precompiled_charsmap", &text));
    if (text[0] == 0) return ERR_OK;
    mp_map_init(&op);
    code = decode_base64(e, text, &map);
    if (code == ERR_OK) code = mp_set_string(e, &op, "op", "charsmap");
    if (code == ERR_OK) code = mp_set_binary(e, &op, "map", map.data, map.len);
    if (code == ERR_OK) code = mp_set_bool(e, &op, "graphemes", true);
    if (code == ERR_OK) code = mp_append(e, list, &op);
    mp_fini(&op);
    bytes_fini(&map);
    return code;
}

static enum err bert_normalizer(struct errctx *e, const json_t *part, struct mp_value *list)
{
    static const char *const keys[] = {"clean_text", "handle_chinese_chars", "strip_accents",
                                       "lowercase"};
    static const char *const ops[] = {"clean_text", "chinese_chars", "strip_accents", "lowercase"};
    bool on[4];

    TRY(JSON_PART_ONLY(e, part, "clean_text", "handle_chinese_chars", "strip_accents",
                       "lowercase"));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        TRY(json_part_bool(e, part, keys[i], true, &on[i]));
    if (!json_is_boolean(json_object_get(part, "strip_accents"))) on[2] = on[3];
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (on[i]) TRY(spec_build_append(e, list, json_pack("{s:s}", "op", ops[i])));
    return ERR_OK;
}

/* Text as it is in a specification, in `buffer`. */
static enum err unmarked(struct errctx *e, const struct import_parts *p, const char *text,
                         struct bytes *buffer, const char **out)
{
    *out = text;
    if (!p->marked) return ERR_OK;
    buffer->len = 0;
    TRY(spec_build_spaces(e, text, strlen(text), buffer));
    TRY(bytes_append(e, buffer, "", 1));
    *out = (const char *)buffer->data;
    return ERR_OK;
}

static enum err replace(struct errctx *e, const json_t *part, struct context *c)
{
    const char *regex, *literal, *content, *to;
    struct bytes buffer = {0}, pattern = {0};
    enum err code;

    TRY(JSON_PART_ONLY(e, part, "pattern", "content"));
    TRY(get_pattern(e, part, &regex, &literal));
    TRY(json_part_text(e, part, "content", &content));
    if (c->p->marked && strcmp(content, MARK) == 0 &&
        (literal != NULL ? strcmp(literal, " ") == 0
                         : c->p->first && strcmp(regex, EXPORT_INNER_SPACE) == 0)) {
        c->replaced = true;
        if (c->p->first)
            TRY(spec_build_append(
                e, c->list, json_pack("{s:s,s:s,s:b}", "op", "prepend", "text", " ", "first", 1)));
        return spec_build_append(
            e, c->list, json_pack("{s:s,s:s,s:s}", "op", "replace", "from", MARK, "to", " "));
    }
    if (regex != NULL && content[0] == 0 &&
        strcmp(regex, c->p->first ? EXPORT_COLLAPSE_BEHIND : EXPORT_COLLAPSE_SPACES) == 0)
        return spec_build_append(
            e, c->list, json_pack("{s:s,s:b}", "op", "collapse_spaces", "first", c->p->first));
    code = unmarked(e, c->p, content, &buffer, &to);
    if (code == ERR_OK && literal != NULL) {
        code = literal[0] == 0 ? err_set(e, ERR_INPUT, "'Replace': the pattern is empty")
                               : spec_build_append(e, c->list,
                                                   json_pack("{s:s,s:s,s:s}", "op", "replace",
                                                             "from", literal, "to", to));
    } else if (code == ERR_OK) {
        code = import_regex(e, regex, &pattern);
        if (code == ERR_OK)
            code = spec_build_append(e, c->list,
                                     json_pack("{s:s,s:s,s:s}", "op", "replace_regex", "pattern",
                                               (const char *)pattern.data, "to", to));
    }
    bytes_fini(&buffer);
    bytes_fini(&pattern);
    return code;
}

static enum err prepend(struct errctx *e, const json_t *part, struct context *c)
{
    const char *text, *to;
    struct bytes buffer = {0};
    enum err code;

    TRY(JSON_PART_ONLY(e, part, "prepend"));
    TRY(json_part_text(e, part, "prepend", &text));
    code = unmarked(e, c->p, text, &buffer, &to);
    if (code == ERR_OK)
        code = spec_build_append(e, c->list, json_pack("{s:s,s:s}", "op", "prepend", "text", to));
    bytes_fini(&buffer);
    return code;
}

/* Marks at the end go, where all spaces are marks. */
static bool trims_end(const json_t *part)
{
    const char *regex =
        json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex"));
    const char *content = json_string_value(json_object_get(part, "content"));

    return json_part_is(part, "Replace") && regex != NULL && strcmp(regex, EXPORT_TRIM_END) == 0 &&
           content != NULL && content[0] == 0;
}

static enum err add_normalizer(struct errctx *e, const json_t *part, void *ctx)
{
    static const struct {
        const char *type, *op;
    } plain[] = {{"NFC", "nfc"},
                 {"NFD", "nfd"},
                 {"NFKC", "nfkc"},
                 {"NFKD", "nfkd"},
                 {"Lowercase", "lowercase"}};
    struct context *c = ctx;
    bool left, right;

    if (json_part_is(part, "Prepend")) return prepend(e, part, c);
    if (c->replaced && trims_end(part))
        return spec_build_append(e, c->list, json_pack("{s:s}", "op", "trim_end"));
    if (c->replaced)
        return err_set(e, ERR_INPUT,
                       "normaliser '%s' behind the one that marks spaces is not known",
                       json_part_type(part));
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (json_part_is(part, plain[i].type)) {
            TRY(json_part_only(e, part, (const char *const[]){NULL}));
            return spec_build_append(e, c->list, json_pack("{s:s}", "op", plain[i].op));
        }
    if (json_part_is(part, "BertNormalizer")) return bert_normalizer(e, part, c->list);
    if (json_part_is(part, "Replace")) return replace(e, part, c);
    if (json_part_is(part, "Precompiled")) return precompiled(e, part, c->list);
    if (json_part_is(part, "Strip")) {
        TRY(JSON_PART_ONLY(e, part, "strip_left", "strip_right"));
        TRY(json_part_bool(e, part, "strip_left", true, &left));
        TRY(json_part_bool(e, part, "strip_right", true, &right));
        return spec_build_append(
            e, c->list, json_pack("{s:s,s:b,s:b}", "op", "strip", "left", left, "right", right));
    }
    return json_part_unknown(e, part, "normaliser");
}

enum err import_normalizer(struct errctx *e, const json_t *part, struct import_parts *p,
                           struct mp_value *list)
{
    struct context c = {.p = p, .list = list};

    mp_fini(list);
    mp_array_init(list);
    return json_part_each(e, part, "normalizers", add_normalizer, &c);
}

/* ------------------------------------------------------------------ pre-tokenisers */

static const char *const named[] = {"gpt2", "cl100k", "llama3", "qwen2", "o200k"};

static enum err append_regex(struct errctx *e, struct mp_value *list, const char *pattern,
                             const char *behavior, bool invert)
{
    return spec_build_append(e, list,
                             json_pack("{s:s,s:s,s:s,s:b}", "op", "regex", "pattern", pattern,
                                       "behavior", behavior, "invert", invert));
}

static const char *behavior_of(const char *name)
{
    static const struct {
        const char *theirs, *ours;
    } all[] = {{"Isolated", "isolated"},
               {"Removed", "removed"},
               {"MergedWithPrevious", "previous"},
               {"MergedWithNext", "next"},
               {"Contiguous", "isolated"}};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i].theirs, name) == 0) return all[i].ours;
    return NULL;
}

/* An expression with its behaviour; neighbouring matches are one with "Contiguous". */
static enum err append_split(struct errctx *e, const json_t *part, struct mp_value *list,
                             const char *pattern, bool invert)
{
    const char *name;
    char *joined = NULL;
    enum err code;

    TRY(json_part_text(e, part, "behavior", &name));
    if (behavior_of(name) == NULL)
        return err_set(e, ERR_INPUT, "'%s': behavior '%s' is not known", json_part_type(part),
                       name);
    if (strcmp(name, "Contiguous") == 0) {
        if (invert)
            return err_set(e, ERR_INPUT, "'%s': behavior 'Contiguous' with 'invert'",
                           json_part_type(part));
        TRY(mem_printf(e, &joined, "(?:%s)+", pattern));
    }
    code = append_regex(e, list, joined != NULL ? joined : pattern, behavior_of(name), invert);
    mem_free(joined);
    return code;
}

static enum err split(struct errctx *e, const json_t *part, struct context *c)
{
    const char *regex, *literal, *behavior;
    struct bytes pattern = {0};
    bool invert;
    enum err code;

    TRY(JSON_PART_ONLY(e, part, "pattern", "behavior", "invert"));
    TRY(get_pattern(e, part, &regex, &literal));
    TRY(json_part_text(e, part, "behavior", &behavior));
    TRY(json_part_bool(e, part, "invert", false, &invert));
    if (c->p->replaced) { /* no spaces are left */
        if (literal != NULL && strcmp(literal, " ") == 0 && !invert) return ERR_OK;
        return err_set(e, ERR_INPUT, "pre-tokeniser 'Split' of text with marked spaces");
    }
    for (size_t i = 0; regex != NULL && i < ARRAY_LEN(named); i++)
        if (strcmp(regex, export_named_pattern(named[i])) == 0 &&
            ((strcmp(behavior, "Isolated") == 0 && !invert) ||
             (strcmp(behavior, "Removed") == 0 && invert)))
            return spec_build_append(e, c->list, json_pack("{s:s}", "op", named[i]));
    code = regex != NULL ? import_regex(e, regex, &pattern) : quote(e, literal, &pattern);
    if (code == ERR_OK) code = append_split(e, part, c->list, (const char *)pattern.data, invert);
    bytes_fini(&pattern);
    return code;
}

static enum err byte_level(struct errctx *e, const json_t *part, struct context *c)
{
    bool prefix, regex, trim;

    TRY(JSON_PART_ONLY(e, part, "add_prefix_space", "trim_offsets", "use_regex"));
    TRY(json_part_bool(e, part, "add_prefix_space", true, &prefix));
    TRY(json_part_bool(e, part, "trim_offsets", true, &trim));
    TRY(json_part_bool(e, part, "use_regex", true, &regex));
    if (prefix && c->seen > 1)
        return err_set(e, ERR_INPUT, "'ByteLevel' with 'add_prefix_space' behind other parts");
    if (prefix) TRY(spec_build_append(e, c->list, json_pack("{s:s}", "op", "prefix_space")));
    return regex ? spec_build_append(e, c->list, json_pack("{s:s}", "op", "gpt2")) : ERR_OK;
}

static enum err metaspace(struct errctx *e, const json_t *part, struct context *c)
{
    const char *replacement, *scheme = "always";
    bool cut, prefix;

    TRY(JSON_PART_ONLY(e, part, "replacement", "prepend_scheme", "split", "add_prefix_space",
                       "str_rep"));
    TRY(json_part_text(e, part, "replacement", &replacement));
    TRY(json_part_bool(e, part, "split", true, &cut));
    TRY(json_part_bool(e, part, "add_prefix_space", true, &prefix));
    if (json_object_get(part, "prepend_scheme") != NULL)
        TRY(json_part_text(e, part, "prepend_scheme", &scheme));
    if (!prefix) scheme = "never";
    if (strcmp(replacement, MARK) != 0)
        return err_set(e, ERR_INPUT, "'Metaspace': replacement '%s' is not known", replacement);
    return spec_build_append(
        e, c->list, json_pack("{s:s,s:s,s:b}", "op", "metaspace", "prepend", scheme, "split", cut));
}

static enum err add_pretokenizer(struct errctx *e, const json_t *part, void *ctx)
{
    struct context *c = ctx;
    bool each_digit;

    c->seen++;
    if (json_part_is(part, "ByteLevel")) return byte_level(e, part, c);
    if (json_part_is(part, "Split")) return split(e, part, c);
    if (json_part_is(part, "Metaspace")) return metaspace(e, part, c);
    if (json_part_is(part, "BertPreTokenizer")) {
        TRY(json_part_only(e, part, (const char *const[]){NULL}));
        return spec_build_append(e, c->list, json_pack("{s:s}", "op", "bert"));
    }
    if (json_part_is(part, "WhitespaceSplit")) {
        TRY(json_part_only(e, part, (const char *const[]){NULL}));
        return append_regex(e, c->list, "[" SPACE "]+", "removed", false);
    }
    if (json_part_is(part, "Whitespace")) {
        TRY(json_part_only(e, part, (const char *const[]){NULL}));
        return append_regex(e, c->list,
                            "[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}]+|"
                            "[^" SPACE "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}]+",
                            "removed", true);
    }
    if (json_part_is(part, "Digits")) {
        TRY(JSON_PART_ONLY(e, part, "individual_digits"));
        TRY(json_part_bool(e, part, "individual_digits", false, &each_digit));
        return each_digit ? spec_build_append(e, c->list, json_pack("{s:s}", "op", "digits"))
                          : append_regex(e, c->list, "\\p{N}+", "isolated", false);
    }
    if (json_part_is(part, "Punctuation")) {
        TRY(JSON_PART_ONLY(e, part, "behavior"));
        return append_split(e, part, c->list, "[\\p{P}$+<=>^`|~]", false);
    }
    return json_part_unknown(e, part, "pre-tokeniser");
}

enum err import_pretokenizer(struct errctx *e, const json_t *part, const struct import_parts *p,
                             struct mp_value *list)
{
    struct import_parts copy = *p;
    struct context c = {.p = &copy, .list = list};

    mp_fini(list);
    mp_array_init(list);
    if (p->first) return ERR_OK; /* a normaliser's operation */
    return json_part_each(e, part, "pretokenizers", add_pretokenizer, &c);
}

/* ------------------------------------------------------------------ decoders */

struct decoding {
    struct import_parts *p;
    const char *unknown; /* what the unknown token is decoded to, NULL: its own text */
    const json_t *words; /* WordPiece */
    bool bytes, replaced, strip_first;
    json_int_t strip;
};

static enum err add_decoder(struct errctx *e, const json_t *part, void *ctx)
{
    struct decoding *d = ctx;
    const char *regex, *literal, *text;

    if (json_part_is(part, "ByteLevel")) {
        d->bytes = true;
        return ERR_OK;
    }
    if (json_part_is(part, "ByteFallback") || json_part_is(part, "Fuse"))
        return json_part_only(e, part, (const char *const[]){NULL});
    if (json_part_is(part, "WordPiece")) {
        TRY(JSON_PART_ONLY(e, part, "prefix", "cleanup"));
        d->words = part;
        return ERR_OK;
    }
    if (json_part_is(part, "Replace")) {
        TRY(JSON_PART_ONLY(e, part, "pattern", "content"));
        TRY(get_pattern(e, part, &regex, &literal));
        TRY(json_part_text(e, part, "content", &text));
        if (literal != NULL && strcmp(literal, MARK) == 0 && strcmp(text, " ") == 0) return ERR_OK;
        if (literal != NULL && d->p->unknown != NULL && strcmp(literal, d->p->unknown) == 0) {
            d->unknown = text;
            d->p->hidden = true;
            return ERR_OK;
        }
        return err_set(e, ERR_INPUT,
                       "decoder 'Replace': only " MARK
                       " by a space and the unknown token are known");
    }
    if (json_part_is(part, "Strip")) {
        TRY(JSON_PART_ONLY(e, part, "content", "start", "stop"));
        TRY(json_part_text(e, part, "content", &text));
        d->strip = json_integer_value(json_object_get(part, "start"));
        if (strcmp(text, " ") != 0 || d->strip < 0 || d->strip > 1 ||
            json_integer_value(json_object_get(part, "stop")) != 0)
            return err_set(e, ERR_INPUT, "decoder 'Strip': only one space on the left is known");
        return ERR_OK;
    }
    if (json_part_is(part, "Metaspace")) {
        bool prefix;
        const json_t *scheme = json_object_get(part, "prepend_scheme");
        TRY(JSON_PART_ONLY(e, part, "replacement", "prepend_scheme", "split", "add_prefix_space",
                           "str_rep"));
        TRY(json_part_text(e, part, "replacement", &text));
        TRY(json_part_bool(e, part, "add_prefix_space", true, &prefix));
        if (strcmp(text, MARK) != 0)
            return err_set(e, ERR_INPUT, "'Metaspace': replacement '%s' is not known", text);
        d->strip_first =
            json_is_string(scheme) ? strcmp(json_string_value(scheme), "never") != 0 : prefix;
        return ERR_OK;
    }
    return json_part_unknown(e, part, "decoder");
}

enum err import_decoder(struct errctx *e, const json_t *part, struct import_parts *p,
                        struct mp_value *list)
{
    struct decoding d = {.p = p};
    const char *prefix = "##";
    bool cleanup;

    mp_fini(list);
    mp_array_init(list);
    TRY(json_part_each(e, part, "decoders", add_decoder, &d));
    if (d.words != NULL) {
        if (json_object_get(d.words, "prefix") != NULL)
            TRY(json_part_text(e, d.words, "prefix", &prefix));
        TRY(json_part_bool(e, d.words, "cleanup", true, &cleanup));
        return spec_build_append(
            e, list,
            json_pack("{s:s,s:s,s:b}", "op", "wordpiece", "prefix", prefix, "cleanup", cleanup));
    }
    TRY(spec_build_append(e, list,
                          d.unknown == NULL || d.unknown[0] == 0
                              ? json_pack("{s:s}", "op", "bytes")
                              : json_pack("{s:s,s:s}", "op", "bytes", "unknown", d.unknown)));
    if (d.strip_first) return spec_build_append(e, list, json_pack("{s:s}", "op", "strip_first"));
    if (d.strip > 0)
        return spec_build_append(e, list, json_pack("{s:s,s:I}", "op", "strip", "left", d.strip));
    return ERR_OK;
}
