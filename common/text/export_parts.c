/* SPDX-License-Identifier: Apache-2.0 */
/* export_parts.c: see export_parts.h. */
#include "common/text/export_parts.h"
#include "common/text/utf8.h"
#include <string.h>

#define MARK       "\xe2\x96\x81" /* U+2581 */
#define SPACE      "\\p{Z}\\t-\\r\\x{85}"
#define WORD       "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}"
#define CONTRACTED "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define TAIL       " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

bool export_flag(const struct mp_value *op, const char *key, bool fallback)
{
    const struct mp_value *v = mp_get(op, key);
    return v == NULL ? fallback : v->as.boolean;
}

const char *export_text(const struct mp_value *op, const char *key, const char *fallback)
{
    const struct mp_value *v = mp_get(op, key);
    return v == NULL ? fallback : v->as.bytes.data;
}

static bool is(const struct mp_value *op, const char *name)
{
    return strcmp(export_text(op, "op", ""), name) == 0;
}

static const struct mp_value *list_of(const struct export_parts *p, const char *key)
{
    return mp_get(&p->spec->ops, key);
}

static const struct mp_value *item(const struct mp_value *list, size_t i)
{
    return &list->as.list.items[i];
}

static bool unmarks(const struct mp_value *op)
{
    return is(op, "replace") && strcmp(export_text(op, "from", ""), MARK) == 0 &&
           strcmp(export_text(op, "to", ""), " ") == 0;
}

void export_parts_look(const struct tokenizer_spec *s, struct export_parts *p)
{
    const struct mp_value *model = mp_get(&s->ops, "model");
    const struct mp_value *list = mp_get(&s->ops, "normalizer");

    *p = (struct export_parts){.spec = s};
    p->byte_level = is(model, "bpe") && export_flag(model, "byte_level", true);
    p->wordpiece = is(model, "wordpiece");
    p->byte_fallback = export_flag(model, "byte_fallback", false);
    for (size_t i = 0; i < list->as.list.count; i++) {
        p->replaces |= unmarks(item(list, i));
        p->first |= is(item(list, i), "prepend") && export_flag(item(list, i), "first", false);
        p->collapses |= is(item(list, i), "collapse_spaces");
    }
    p->marked = p->replaces;
    list = mp_get(&s->ops, "pretokenizer");
    for (size_t i = 0; i < list->as.list.count; i++) p->marked |= is(item(list, i), "metaspace");
    p->marked = p->marked && !p->byte_level && !p->wordpiece;
}

static enum err no_equal(struct errctx *e, const char *list, const struct mp_value *op)
{
    return err_set(e, ERR_INPUT, "%s: tokenizer.json has no equal of '%s' at its place", list,
                   export_text(op, "op", ""));
}

/* Appends a part, whose reference is taken. */
static enum err append(struct errctx *e, json_t *list, json_t *part)
{
    return json_array_append_new(list, part) == 0 ? ERR_OK : err_memory(e, "tokenizer.json", 0);
}

/* No part, the only one, or a sequence of them under `key`; the reference is taken. */
static enum err sequence(struct errctx *e, json_t *list, const char *key, json_t **out)
{
    const size_t n = json_array_size(list);

    *out = n == 0   ? json_null()
           : n == 1 ? json_incref(json_array_get(list, 0))
                    : json_pack("{s:s,s:O}", "type", "Sequence", key, list);
    json_decref(list);
    return *out != NULL ? ERR_OK : err_memory(e, "tokenizer.json", 0);
}

/* ------------------------------------------------------------------ expressions */

struct rewriting {
    const char *from, *outside, *inside; /* a class; NULL: has no equal */
};

/* The way back of what importing writes out; then what PCRE2 means by its escapes. */
static const struct rewriting rewritings[] = {
    {"[" SPACE "]", "\\s", NULL},
    {"[^" SPACE "]", "\\S", NULL},
    {"[" WORD "]", "\\w", NULL},
    {"[^" WORD "]", "\\W", NULL},
    {SPACE, NULL, "\\s"},
    {WORD, NULL, "\\w"},
    {"(?m:$)", "$", NULL},
    {"(?m:^)", "^", NULL},
    {"$", "\\z", "$"},
    {"^", "\\A", "^"},
    {"\\s", "[\\s\\x{180E}]", "\\s\\x{180E}"},
    {"\\S", "[^\\s\\x{180E}]", NULL},
    {"\\w", "[\\p{L}\\p{N}_]", "\\p{L}\\p{N}_"},
    {"\\W", "[^\\p{L}\\p{N}_]", NULL},
};

/* Escapes that mean the same in both, besides those of punctuation. */
static const char *const same = "dDpPnrtfxAzZ0";

static const struct rewriting *rewriting_at(const char *p, bool in_class)
{
    for (size_t i = 0; i < ARRAY_LEN(rewritings); i++)
        if ((in_class ? rewritings[i].inside : rewritings[i].outside) != NULL &&
            strncmp(p, rewritings[i].from, strlen(rewritings[i].from)) == 0)
            return &rewritings[i];
    return NULL;
}

/* What begins at p and cannot be copied; NULL: nothing. */
static const char *obstacle(const char *pattern, const char *p, bool in_class)
{
    static const char *const groups[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
    const bool letter = (p[1] >= 'a' && p[1] <= 'z') || (p[1] >= 'A' && p[1] <= 'Z') ||
                        (p[1] >= '0' && p[1] <= '9');

    if (*p == '\\' && (p[1] == 0 || (letter && strchr(same, p[1]) == NULL))) return "an escape";
    if (in_class) {
        if (*p == '[' && strchr(":.=", p[1]) != NULL) return "a class in a class";
        return *p == '&' && p[1] == '&' ? "'&&' in a class" : NULL;
    }
    if (*p == '(' && p[1] == '*') return "a verb";
    if (*p == '(' && p[1] == '?') {
        for (size_t i = 0; i < ARRAY_LEN(groups); i++)
            if (strncmp(p, groups[i], strlen(groups[i])) == 0) return NULL;
        return "a group with an option";
    }
    if (*p == '}' && p[1] == '+') {
        while (p > pattern && *p != '{') p--;
        if (p < pattern + 2 || (p[-1] != 'p' && p[-1] != 'P') || p[-2] != '\\')
            return "a possessive '}+'";
    }
    return NULL;
}

enum err export_regex(struct errctx *e, const char *pattern, struct bytes *out)
{
    bool in_class = false;
    size_t step;

    for (const char *p = pattern; *p != 0; p += step) {
        const struct rewriting *r = rewriting_at(p, in_class);
        const char *what;
        step = r != NULL ? strlen(r->from) : 1;
        if (r != NULL) {
            const char *to = in_class ? r->inside : r->outside;
            TRY(bytes_append(e, out, to, strlen(to)));
            continue;
        }
        what = obstacle(pattern, p, in_class);
        if (what != NULL)
            return err_set(e, ERR_INPUT,
                           "expression '%s', byte %zu: %s has no equal in tokenizer.json", pattern,
                           (size_t)(p - pattern), what);
        if (*p == '\\' || (*p == '[' && !in_class && p[1] == '^')) step = 2;
        if (*p == '[' && in_class) TRY(bytes_append(e, out, "\\", 1));
        TRY(bytes_append(e, out, p, step));
        if (*p == '[') in_class = true;
        if (*p == ']') in_class = false;
    }
    return bytes_append(e, out, "", 1);
}

/* ------------------------------------------------------------------ normalisers */

enum err export_base64(struct errctx *e, const struct bytes *data, struct bytes *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < data->len; i += 3) {
        char four[4] = {'=', '=', '=', '='};
        size_t have = data->len - i < 3 ? data->len - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++) bits = bits << 8 | (k < have ? data->data[i + k] : 0);
        for (size_t k = 0; k <= have; k++) four[k] = digits[bits >> (18 - 6 * k) & 63];
        TRY(bytes_append(e, out, four, 4));
    }
    return ERR_OK;
}

static enum err precompiled(struct errctx *e, const struct mp_value *op, json_t *list)
{
    const struct mp_value *map = mp_get(op, "map");
    const struct bytes data = {.data = (uint8_t *)(uintptr_t)map->as.bytes.data,
                               .len = map->as.bytes.len};
    struct bytes text = {0};

    if (export_base64(e, &data, &text) == ERR_OK && bytes_append(e, &text, "", 1) == ERR_OK)
        (void)!append(e, list,
                      json_pack("{s:s,s:s}", "type", "Precompiled", "precompiled_charsmap",
                                (const char *)text.data));
    bytes_fini(&text);
    return e->code;
}

static json_t *replacing(const char *kind, const char *pattern, const char *content)
{
    return json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", kind, pattern, "content",
                     content);
}

static enum err replace_regex(struct errctx *e, const struct mp_value *op, json_t *list)
{
    struct bytes pattern = {0};

    if (export_regex(e, export_text(op, "pattern", ""), &pattern) == ERR_OK)
        (void)!append(e, list,
                      replacing("Regex", (const char *)pattern.data, export_text(op, "to", "")));
    bytes_fini(&pattern);
    return e->code;
}

/* A run of BERT's operations, in their order, from *i on. */
static json_t *bert_normalizer(const struct mp_value *list, size_t *i)
{
    static const char *const ops[] = {"clean_text", "chinese_chars", "strip_accents", "lowercase"};
    bool on[4] = {false};
    size_t from = *i;

    for (size_t k = 0; k < 4 && *i < list->as.list.count; k++)
        if (is(item(list, *i), ops[k])) {
            on[k] = true;
            ++*i;
        }
    if (*i == from) return NULL;
    --*i;
    if (on[3] && !on[0] && !on[1] && !on[2]) return json_pack("{s:s}", "type", "Lowercase");
    return json_pack("{s:s,s:b,s:b,s:b,s:b}", "type", "BertNormalizer", "clean_text", on[0],
                     "handle_chinese_chars", on[1], "strip_accents", on[2], "lowercase", on[3]);
}

static enum err prepend(struct errctx *e, const struct export_parts *p, const struct mp_value *op,
                        bool marks, json_t *list)
{
    const char *text = export_text(op, "text", "");

    if (export_flag(op, "first", false)) /* the pre-tokeniser's */
        return strcmp(text, " ") == 0 && p->marked && p->replaces && !marks
                   ? ERR_OK
                   : no_equal(e, "normalizer", op);
    if (marks && strcmp(text, " ") != 0) return no_equal(e, "normalizer", op);
    return append(e, list,
                  json_pack("{s:s,s:s}", "type", "Prepend", "prepend", marks ? MARK : text));
}

static enum err add_normalizer(struct errctx *e, const struct export_parts *p,
                               const struct mp_value *op, bool *marks, json_t *list)
{
    static const char *const forms[][2] = {
        {"nfc", "NFC"}, {"nfd", "NFD"}, {"nfkc", "NFKC"}, {"nfkd", "NFKD"}};

    if (is(op, "prepend")) return prepend(e, p, op, *marks, list);
    if (is(op, "trim_end"))
        return *marks ? append(e, list, replacing("Regex", EXPORT_TRIM_END, ""))
                      : no_equal(e, "normalizer", op);
    if (*marks) return no_equal(e, "normalizer", op);
    if (unmarks(op) && p->marked) {
        *marks = true;
        return append(e, list,
                      p->first && p->collapses ? replacing("Regex", EXPORT_INNER_SPACE, MARK)
                                               : replacing("String", " ", MARK));
    }
    if (is(op, "replace"))
        return append(e, list,
                      replacing("String", export_text(op, "from", ""), export_text(op, "to", "")));
    if (is(op, "replace_regex")) return replace_regex(e, op, list);
    if (is(op, "collapse_spaces")) {
        if (export_flag(op, "first", false) != p->first) return no_equal(e, "normalizer", op);
        return append(
            e, list,
            replacing("Regex", p->first ? EXPORT_COLLAPSE_BEHIND : EXPORT_COLLAPSE_SPACES, ""));
    }
    if (is(op, "charsmap")) return precompiled(e, op, list);
    if (is(op, "strip"))
        return append(e, list,
                      json_pack("{s:s,s:b,s:b}", "type", "Strip", "strip_left",
                                export_flag(op, "left", true), "strip_right",
                                export_flag(op, "right", true)));
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (is(op, forms[i][0])) return append(e, list, json_pack("{s:s}", "type", forms[i][1]));
    return no_equal(e, "normalizer", op);
}

enum err export_normalizer(struct errctx *e, const struct export_parts *p, json_t **out)
{
    const struct mp_value *ops = list_of(p, "normalizer");
    json_t *list = json_array();
    bool marks = false;

    for (size_t i = 0; i < ops->as.list.count && e->code == ERR_OK; i++) {
        json_t *bert = marks ? NULL : bert_normalizer(ops, &i);
        (void)!(bert != NULL ? append(e, list, bert)
                             : add_normalizer(e, p, item(ops, i), &marks, list));
    }
    if (e->code == ERR_OK) return sequence(e, list, "normalizers", out);
    json_decref(list);
    return e->code;
}

/* ------------------------------------------------------------------ pre-tokenisers */

/* The named ones, as other files have them; import_parts.c knows each again. */
static const char *const named[][2] = {
    {"gpt2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    {"cl100k", "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|(?>\\p{N}{1,3})| "
               "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++\\z|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"},
    {"llama3", CONTRACTED "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" TAIL},
    {"qwen2", CONTRACTED "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" TAIL},
    {"o200k", "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
              "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" CONTRACTED
              "?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
              "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" CONTRACTED
              "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
};

const char *export_named_pattern(const char *op)
{
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        if (strcmp(named[i][0], op) == 0) return named[i][1];
    return NULL;
}

static json_t *splitting(const char *pattern, const char *behavior, bool invert)
{
    return json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex", pattern,
                     "behavior", behavior, "invert", invert);
}

static enum err add_regex(struct errctx *e, const struct mp_value *op, json_t *list)
{
    static const char *const names[][2] = {{"isolated", "Isolated"},
                                           {"removed", "Removed"},
                                           {"previous", "MergedWithPrevious"},
                                           {"next", "MergedWithNext"}};
    const char *behavior = export_text(op, "behavior", "isolated");
    struct bytes pattern = {0};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i][0], behavior) == 0) behavior = names[i][1];
    if (export_regex(e, export_text(op, "pattern", ""), &pattern) == ERR_OK)
        (void)!append(
            e, list,
            splitting((const char *)pattern.data, behavior, export_flag(op, "invert", false)));
    bytes_fini(&pattern);
    return e->code;
}

static json_t *metaspace(const char *replacement, const char *scheme, bool split)
{
    return json_pack("{s:s,s:s,s:s,s:b}", "type", "Metaspace", "replacement", replacement,
                     "prepend_scheme", scheme, "split", split);
}

static enum err add_pretokenizer(struct errctx *e, const struct export_parts *p,
                                 const struct mp_value *op, json_t *list)
{
    const char *pattern = export_named_pattern(export_text(op, "op", ""));

    if (pattern != NULL) return append(e, list, splitting(pattern, "Isolated", false));
    if (is(op, "regex")) return add_regex(e, op, list);
    if (is(op, "digits"))
        return append(e, list, json_pack("{s:s,s:b}", "type", "Digits", "individual_digits", 1));
    if (is(op, "bert")) return append(e, list, json_pack("{s:s}", "type", "BertPreTokenizer"));
    if (is(op, "metaspace") && p->marked)
        return append(
            e, list,
            metaspace(MARK, export_text(op, "prepend", "always"), export_flag(op, "split", true)));
    return no_equal(e, "pretokenizer", op);
}

/* What writes the pieces in GPT-2's alphabet is the last part; it can cut by GPT-2's expression and
 * put the space in front as well, where nothing else does. */
static enum err byte_level(struct errctx *e, const struct export_parts *p, json_t *list)
{
    const struct mp_value *ops = list_of(p, "pretokenizer");
    size_t n = ops->as.list.count;
    bool regex = n > 0 && is(item(ops, n - 1), "gpt2");
    bool prefix = n > 0 && is(item(ops, 0), "prefix_space");

    if (prefix && n > (regex ? 2 : 1)) return no_equal(e, "pretokenizer", item(ops, 0));
    for (size_t i = prefix; i < n - regex; i++) TRY(add_pretokenizer(e, p, item(ops, i), list));
    return append(e, list,
                  json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", prefix,
                            "trim_offsets", 1, "use_regex", regex));
}

static enum err other_pretokenizers(struct errctx *e, const struct export_parts *p, json_t *list)
{
    const struct mp_value *ops = list_of(p, "pretokenizer");

    if (p->first) {
        if (ops->as.list.count > 0) return no_equal(e, "pretokenizer", item(ops, 0));
        TRY(append(e, list, metaspace(" ", "first", false)));
        return append(e, list, metaspace(MARK, "never", false));
    }
    for (size_t i = 0; i < ops->as.list.count; i++) TRY(add_pretokenizer(e, p, item(ops, i), list));
    return ERR_OK;
}

enum err export_pretokenizer(struct errctx *e, const struct export_parts *p, json_t **out)
{
    json_t *list = json_array();

    if ((p->byte_level ? byte_level : other_pretokenizers)(e, p, list) == ERR_OK)
        return sequence(e, list, "pretokenizers", out);
    json_decref(list);
    return e->code;
}

/* ------------------------------------------------------------------ decoders */

static enum err add_decoders(struct errctx *e, const struct export_parts *p, json_t *list)
{
    const struct mp_value *ops = list_of(p, "decoder"), *first = item(ops, 0);
    const struct mp_value *second = ops->as.list.count > 1 ? item(ops, 1) : NULL;
    const struct mp_value *left = second == NULL ? NULL : mp_get(second, "left");
    const bool strips = second != NULL && is(second, "strip_first");

    if (is(first, "wordpiece") && second != NULL) return no_equal(e, "decoder", second);
    if (is(first, "wordpiece"))
        return append(e, list,
                      json_pack("{s:s,s:s,s:b}", "type", "WordPiece", "prefix",
                                export_text(first, "prefix", "##"), "cleanup",
                                export_flag(first, "cleanup", true)));
    if (p->hidden != NULL)
        TRY(append(e, list, replacing("String", p->hidden, export_text(first, "unknown", ""))));
    if (p->byte_level)
        TRY(append(e, list,
                   json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                             "trim_offsets", 1, "use_regex", 1)));
    if (p->marked && !strips) TRY(append(e, list, replacing("String", MARK, " ")));
    if (p->byte_fallback) TRY(append(e, list, json_pack("{s:s}", "type", "ByteFallback")));
    if (strips) {
        if (!p->marked) return no_equal(e, "decoder", second);
        return append(e, list, metaspace(MARK, "always", true));
    }
    if (!p->byte_level) TRY(append(e, list, json_pack("{s:s}", "type", "Fuse")));
    if (left == NULL || left->as.u == 0) return ERR_OK;
    return append(
        e, list,
        json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
}

enum err export_decoder(struct errctx *e, const struct export_parts *p, json_t **out)
{
    json_t *list = json_array();

    if (add_decoders(e, p, list) == ERR_OK) return sequence(e, list, "decoders", out);
    json_decref(list);
    return e->code;
}

/* ------------------------------------------------------------------ tokens */

/* GPT-2's alphabet: bytes that print in Latin-1 are themselves, others follow from U+0100 on. */
static uint32_t alphabet_character(uint8_t byte)
{
    if ((byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad)) return byte;
    if (byte <= ' ') return 0x100u + byte;
    return byte == 0xad ? 0x143 : 0x121u + (byte - 0x7fu);
}

static enum err append_written(struct errctx *e, const struct export_parts *p, const uint8_t *bytes,
                               size_t n, struct bytes *out)
{
    uint8_t character[4];

    if (!p->byte_level && !p->marked) return bytes_append(e, out, bytes, n);
    for (size_t i = 0; i < n; i++) {
        if (p->byte_level)
            TRY(bytes_append(e, out, character,
                             utf8_encode(alphabet_character(bytes[i]), character)));
        else if (bytes[i] == ' ')
            TRY(bytes_append(e, out, "\xe2\x96\x81", 3));
        else
            TRY(bytes_append(e, out, bytes + i, 1));
    }
    return ERR_OK;
}

enum err export_token_text(struct errctx *e, const struct export_parts *p, int64_t id,
                           struct bytes *out)
{
    const struct tokenizer_spec *s = p->spec;
    const uint8_t *bytes = s->bytes + s->start[id];
    size_t n = (size_t)(s->start[id + 1] - s->start[id]), from = out->len;

    if (s->flags[id] & TOKEN_BYTE)
        TRY(bytes_printf(e, out, "<0x%02X>", bytes[0]));
    else if (s->flags[id] & TOKEN_ADDED)
        TRY(bytes_append(e, out, bytes, n));
    else
        TRY(append_written(e, p, bytes, n, out));
    n = out->len - from;
    if (n == 0 || memchr(out->data + from, 0, n) != NULL ||
        utf8_valid_prefix(out->data + from, n) < n)
        return err_set(e, ERR_INPUT, "token %lld is no text", (long long)id);
    return bytes_append(e, out, "", 1);
}
