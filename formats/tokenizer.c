/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.c: see tokenizer.h. The tables below list every operation with its parameters; checking
 * and the identity of meaning walk them, so that a parameter left out and one that says the default
 * mean the same tokenizer. */
#include "formats/tokenizer.h"
#include "formats/stream_begin.h"
#include <math.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define VOCAB_LIMIT ((int64_t)1 << 24)
#define BYTES_LIMIT ((int64_t)1 << 30)

enum param_type { PARAM_BOOL, PARAM_INT, PARAM_STRING, PARAM_ROLES, PARAM_BINARY };

struct param {
    const char *name;
    enum param_type type;
    bool required;
    int64_t number;   /* default of PARAM_BOOL and PARAM_INT */
    const char *text; /* default of PARAM_STRING */
};

struct operation {
    const char *list, *name;
    struct param params[5];
};

static const struct operation operations[] = {
    {"normalizer", "nfc", {{0}}},
    {"normalizer", "nfd", {{0}}},
    {"normalizer", "nfkc", {{0}}},
    {"normalizer", "nfkd", {{0}}},
    {"normalizer", "clean_text", {{0}}},    /* controls dropped, whitespace made spaces */
    {"normalizer", "chinese_chars", {{0}}}, /* spaces around ideographs */
    {"normalizer", "strip_accents", {{0}}}, /* NFD without Mn */
    {"normalizer", "lowercase", {{0}}},
    {"normalizer", /* at the beginning of what is not empty; first: of the whole text only */
     "prepend",
     {{"text", PARAM_STRING, true, 0, NULL}, {"first", PARAM_BOOL, false, 0, NULL}}},
    {"normalizer",
     "replace",
     {{"from", PARAM_STRING, true, 0, NULL}, {"to", PARAM_STRING, true, 0, NULL}}},
    {"normalizer", /* each match of an expression */
     "replace_regex",
     {{"pattern", PARAM_STRING, true, 0, NULL}, {"to", PARAM_STRING, true, 0, NULL}}},
    {"normalizer",
     "strip", /* whitespace at the ends */
     {{"left", PARAM_BOOL, false, 1, NULL}, {"right", PARAM_BOOL, false, 1, NULL}}},
    {"normalizer", "trim_end", {{0}}}, /* U+0020 at the end */
    {"normalizer",                     /* U+0020: none at the ends, one between words; */
     "collapse_spaces",                /* first: at the left end of the whole text only */
     {{"first", PARAM_BOOL, false, 0, NULL}}},
    {"normalizer", /* SentencePiece's table of rewritings */
     "charsmap",
     {{"map", PARAM_BINARY, true, 0, NULL}, {"graphemes", PARAM_BOOL, false, 0, NULL}}},
    {"pretokenizer", "gpt2", {{0}}},
    {"pretokenizer", "cl100k", {{0}}}, /* as tiktoken has it now */
    {"pretokenizer", "llama3", {{0}}}, /* cl100k's first form */
    {"pretokenizer", "o200k", {{0}}},
    {"pretokenizer", "qwen2", {{0}}}, /* llama3 with single digits */
    {"pretokenizer", /* what it does with a match: isolated, removed, previous, next */
     "regex",
     {{"pattern", PARAM_STRING, true, 0, NULL},
      {"behavior", PARAM_STRING, false, 0, "isolated"},
      {"invert", PARAM_BOOL, false, 0, NULL}}},
    {"pretokenizer", "digits", {{0}}}, /* each number alone */
    {"pretokenizer", "bert", {{0}}},
    {"pretokenizer", "prefix_space", {{0}}}, /* before what does not begin with one */
    {"pretokenizer",                         /* a space before each piece, cuts before spaces */
     "metaspace",
     {{"prepend", PARAM_STRING, false, 0, "always"}, {"split", PARAM_BOOL, false, 1, NULL}}},
    {"model",
     "bpe",
     {{"byte_level", PARAM_BOOL, true, 1, NULL},
      {"ignore_merges", PARAM_BOOL, false, 0, NULL},
      {"byte_fallback", PARAM_BOOL, false, 0, NULL},
      {"fuse_unk", PARAM_BOOL, false, 0, NULL},
      {"drop_unknown", PARAM_BOOL, false, 0, NULL}}},
    {"model", "unigram", {{"byte_fallback", PARAM_BOOL, false, 0, NULL}}},
    {"model",
     "wordpiece",
     {{"prefix", PARAM_STRING, false, 0, "##"}, {"max_chars", PARAM_INT, false, 100, NULL}}},
    {"postprocessor",
     "template",
     {{"before", PARAM_ROLES, true, 0, NULL}, {"after", PARAM_ROLES, true, 0, NULL}}},
    {"decoder", "bytes", {{"unknown", PARAM_STRING, false, 0, ""}}}, /* what stands for 'unk' */
    {"decoder", "strip", {{"left", PARAM_INT, true, 0, NULL}}},      /* spaces of the text */
    {"decoder", "strip_first", {{0}}},                               /* spaces of the first token */
    {"decoder",
     "wordpiece",
     {{"prefix", PARAM_STRING, false, 0, "##"}, {"cleanup", PARAM_BOOL, false, 1, NULL}}},
};

static const char *const lists[] = {"normalizer", "pretokenizer", "model", "postprocessor",
                                    "decoder"};
static const char *const roles[] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};

void tokenizer_spec_init(struct tokenizer_spec *s)
{
    memset(s, 0, sizeof *s);
    mp_map_init(&s->ops);
}

void tokenizer_spec_fini(struct tokenizer_spec *s)
{
    mp_fini(&s->ops);
    mem_free(s->bytes);
    mem_free(s->start);
    mem_free(s->flags);
    mem_free(s->merges);
    mem_free(s->scores);
    memset(s, 0, sizeof *s);
}

int64_t tokenizer_spec_special(const struct tokenizer_spec *s, const char *role)
{
    const struct mp_value *special = mp_get(&s->ops, "special");
    const struct mp_value *v = special == NULL ? NULL : mp_get(special, role);

    return v != NULL && v->type == MP_UINT ? (int64_t)v->as.u : -1;
}

static bool names(const struct mp_value *v, const char *text)
{
    return v->type == MP_STRING && strcmp(v->as.bytes.data, text) == 0;
}

bool tokenizer_spec_is_encoder(const struct tokenizer_spec *s)
{
    const struct mp_value *list = mp_get(&s->ops, "postprocessor");

    if (list == NULL || list->type != MP_ARRAY) return false;
    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *after = mp_get(&list->as.list.items[i], "after");
        for (size_t k = 0; after != NULL && k < after->as.list.count; k++)
            if (names(&after->as.list.items[k], "sep")) return true;
    }
    return false;
}

/* ------------------------------------------------------------------ checking */

static enum err check_param(struct errctx *e, const struct param *p, const struct mp_value *v)
{
    bool fits = false;

    if (v == NULL) {
        if (p->required) return err_set(e, ERR_INPUT, "parameter '%s' is missing", p->name);
        return ERR_OK;
    }
    switch (p->type) {
    case PARAM_BOOL:
        fits = v->type == MP_BOOL;
        break;
    case PARAM_INT:
        fits = v->type == MP_UINT && v->as.u <= INT32_MAX;
        break;
    case PARAM_STRING:
        fits = v->type == MP_STRING && memchr(v->as.bytes.data, 0, v->as.bytes.len) == NULL;
        break;
    case PARAM_BINARY:
        fits = v->type == MP_BINARY;
        break;
    case PARAM_ROLES:
        fits = v->type == MP_ARRAY;
        for (size_t i = 0; fits && i < v->as.list.count; i++)
            fits = v->as.list.items[i].type == MP_STRING;
        break;
    }
    if (!fits) return err_set(e, ERR_INPUT, "parameter '%s' has the wrong type", p->name);
    return ERR_OK;
}

static const struct operation *find_operation(const char *list, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (strcmp(operations[i].list, list) == 0 && strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

static enum err check_operation(struct errctx *e, const char *list, const struct mp_value *map)
{
    const struct operation *op;
    const char *name;

    if (map->type != MP_MAP) return err_set(e, ERR_INPUT, "%s: an operation is not a map", list);
    if (mp_get_string(e, map, "op", &name) != ERR_OK) return err_prefix(e, "%s", list);
    op = find_operation(list, name);
    if (op == NULL) return err_set(e, ERR_INPUT, "%s: operation '%s' is not known", list, name);
    for (size_t i = 0; i < map->as.list.count; i += 2) {
        const char *key = map->as.list.items[i].as.bytes.data;
        bool known = strcmp(key, "op") == 0;
        for (size_t k = 0; k < ARRAY_LEN(op->params); k++)
            known |= op->params[k].name != NULL && strcmp(op->params[k].name, key) == 0;
        if (!known)
            return err_set(e, ERR_INPUT, "%s: operation '%s' has no parameter '%s'", list, name,
                           key);
    }
    for (size_t k = 0; k < ARRAY_LEN(op->params) && op->params[k].name != NULL; k++)
        if (check_param(e, &op->params[k], mp_get(map, op->params[k].name)) != ERR_OK)
            return err_prefix(e, "%s: operation '%s'", list, name);
    return ERR_OK;
}

static enum err check_ops(struct errctx *e, const struct tokenizer_spec *s)
{
    const struct mp_value *ops = &s->ops;

    if (ops->type != MP_MAP) return err_set(e, ERR_INPUT, "the specification is not a map");
    for (size_t i = 0; i < ops->as.list.count; i += 2) {
        const char *key = ops->as.list.items[i].as.bytes.data;
        bool known = strcmp(key, "special") == 0 || strcmp(key, "chat_template") == 0;
        for (size_t k = 0; k < ARRAY_LEN(lists); k++) known |= strcmp(lists[k], key) == 0;
        if (!known) return err_set(e, ERR_INPUT, "key '%s' is not known", key);
    }
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        const struct mp_value *list = mp_get(ops, lists[k]);
        bool one = strcmp(lists[k], "model") == 0; /* a single operation */
        if (list == NULL) return err_set(e, ERR_INPUT, "key '%s' is missing", lists[k]);
        if (one) TRY(check_operation(e, lists[k], list));
        if (!one && list->type != MP_ARRAY)
            return err_set(e, ERR_INPUT, "key '%s' is not a list", lists[k]);
        for (size_t i = 0; !one && i < list->as.list.count; i++)
            TRY(check_operation(e, lists[k], &list->as.list.items[i]));
    }
    return ERR_OK;
}

const char *tokenizer_spec_chat_template(const struct tokenizer_spec *s)
{
    const struct mp_value *v = mp_get(&s->ops, "chat_template");

    return v != NULL ? v->as.bytes.data : NULL;
}

static enum err check_chat_template(struct errctx *e, const struct tokenizer_spec *s)
{
    const struct mp_value *v = mp_get(&s->ops, "chat_template");

    if (v != NULL && (v->type != MP_STRING || memchr(v->as.bytes.data, 0, v->as.bytes.len) != NULL))
        return err_set(e, ERR_INPUT, "key 'chat_template' is not a text");
    return ERR_OK;
}

static enum err check_special(struct errctx *e, const struct tokenizer_spec *s)
{
    const struct mp_value *special = mp_get(&s->ops, "special");

    if (special == NULL || special->type != MP_MAP)
        return err_set(e, ERR_INPUT, "key 'special' is not a map");
    for (size_t i = 0; i < special->as.list.count; i += 2) {
        const char *key = special->as.list.items[i].as.bytes.data;
        const struct mp_value *v = &special->as.list.items[i + 1];
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(roles); k++) known |= strcmp(roles[k], key) == 0;
        if (!known) return err_set(e, ERR_INPUT, "special: role '%s' is not known", key);
        if (v->type != MP_UINT || v->as.u >= (uint64_t)s->vocab)
            return err_set(e, ERR_INPUT, "special: '%s' is no id below %lld", key,
                           (long long)s->vocab);
    }
    return ERR_OK;
}

/* Every role that a template names must be there. */
static enum err check_template(struct errctx *e, const struct tokenizer_spec *s)
{
    static const char *const sides[] = {"before", "after"};
    const struct mp_value *list = mp_get(&s->ops, "postprocessor");

    if (list->as.list.count > 1)
        return err_set(e, ERR_INPUT, "postprocessor: more than one operation");
    for (size_t i = 0; i < 2 * list->as.list.count; i++) {
        const struct mp_value *side = mp_get(&list->as.list.items[i / 2], sides[i % 2]);
        for (size_t k = 0; k < side->as.list.count; k++) {
            const char *role = side->as.list.items[k].as.bytes.data;
            if (tokenizer_spec_special(s, role) < 0)
                return err_set(e, ERR_INPUT, "template: there is no special token for '%s'", role);
        }
    }
    return ERR_OK;
}

static enum err check_tables(struct errctx *e, const struct tokenizer_spec *s)
{
    if (s->vocab < 1 || s->vocab > VOCAB_LIMIT)
        return err_set(e, ERR_INPUT, "a vocabulary of %lld tokens (1 to %lld)", (long long)s->vocab,
                       (long long)VOCAB_LIMIT);
    if (s->start[0] != 0) return err_set(e, ERR_INPUT, "vocab.start does not begin with 0");
    for (int64_t i = 0; i < s->vocab; i++)
        if (s->start[i + 1] < s->start[i])
            return err_set(e, ERR_INPUT, "vocab.start falls at token %lld", (long long)i);
    for (int64_t i = 0; i < 2 * s->merges_count; i++)
        if (s->merges[i] >= s->vocab)
            return err_set(e, ERR_INPUT, "merge %lld names token %u of %lld", (long long)i / 2,
                           s->merges[i], (long long)s->vocab);
    for (int64_t i = 0; s->scores != NULL && i < s->vocab; i++)
        if (!isfinite(s->scores[i]))
            return err_set(e, ERR_INPUT, "the score of token %lld is not finite", (long long)i);
    return ERR_OK;
}

/* Byte-level BPE has merges, other BPE merges or scores, Unigram scores, WordPiece neither; what
 * has no byte tokens to fall back to needs a token for what is unknown. */
static enum err check_model(struct errctx *e, const struct tokenizer_spec *s,
                            const struct mp_value *model)
{
    const struct mp_value *level = mp_get(model, "byte_level");
    const struct mp_value *fallback = mp_get(model, "byte_fallback");
    bool bpe = names(mp_get(model, "op"), "bpe"), unigram = names(mp_get(model, "op"), "unigram");
    bool bytes = bpe && (level == NULL || level->as.boolean);
    const char *odd = s->merges != NULL && !bpe                            ? "merges"
                      : s->scores != NULL && (bytes || (!bpe && !unigram)) ? "scores"
                      : s->scores != NULL && s->merges_count > 0           ? "scores"
                                                                           : NULL;

    if (odd != NULL)
        return err_set(e, ERR_INPUT, "model: '%s' has no use for tensor '%s'",
                       mp_get(model, "op")->as.bytes.data, odd);
    if (unigram && s->scores == NULL)
        return err_set(e, ERR_INPUT, "model: unigram without tensor 'scores'");
    if (!bytes && tokenizer_spec_special(s, "unk") < 0 &&
        (fallback == NULL || !fallback->as.boolean))
        return err_set(e, ERR_INPUT, "model: %s without a special token for 'unk'",
                       mp_get(model, "op")->as.bytes.data);
    for (int64_t id = 0; id < s->vocab; id++)
        if ((s->flags[id] & TOKEN_BYTE) && s->start[id + 1] - s->start[id] != 1)
            return err_set(e, ERR_INPUT, "token %lld stands for a byte and has %llu", (long long)id,
                           (unsigned long long)(s->start[id + 1] - s->start[id]));
    return ERR_OK;
}

static enum err check(struct errctx *e, const struct tokenizer_spec *s)
{
    TRY(check_tables(e, s));
    TRY(check_ops(e, s));
    TRY(check_chat_template(e, s));
    TRY(check_special(e, s));
    TRY(check_template(e, s));
    return check_model(e, s, mp_get(&s->ops, "model"));
}

enum err tokenizer_spec_check(struct errctx *e, const struct tokenizer_spec *s, const char *name)
{
    if (check(e, s) != ERR_OK) return err_prefix(e, "'%s': tokenizer", name);
    return ERR_OK;
}

/* ------------------------------------------------------------------ one way to say it */

static bool is_default(const struct param *p, const struct mp_value *v)
{
    if (p->required) return false;
    if (p->type == PARAM_BOOL) return v->as.boolean == (p->number != 0);
    if (p->type == PARAM_INT) return v->as.u == (uint64_t)p->number;
    return p->type == PARAM_STRING && strcmp(v->as.bytes.data, p->text) == 0;
}

static enum err tidy_operation(struct errctx *e, const char *list, struct mp_value *map)
{
    const struct operation *op = find_operation(list, mp_get(map, "op")->as.bytes.data);
    struct mp_value out;

    mp_map_init(&out);
    (void)!mp_set(e, &out, "op", mp_get(map, "op"));
    for (size_t k = 0; k < ARRAY_LEN(op->params) && op->params[k].name != NULL; k++) {
        const struct mp_value *v = mp_get(map, op->params[k].name);
        if (v != NULL && e->code == ERR_OK && !is_default(&op->params[k], v))
            (void)!mp_set(e, &out, op->params[k].name, v);
    }
    if (e->code != ERR_OK) {
        mp_fini(&out);
        return e->code;
    }
    mp_fini(map);
    *map = out;
    return ERR_OK;
}

static enum err tidy_special(struct errctx *e, struct tokenizer_spec *s)
{
    struct mp_value out;

    mp_map_init(&out);
    for (size_t k = 0; k < ARRAY_LEN(roles) && e->code == ERR_OK; k++) {
        const int64_t id = tokenizer_spec_special(s, roles[k]);
        if (id >= 0) (void)!mp_set_int(e, &out, roles[k], id);
    }
    if (e->code == ERR_OK) (void)!mp_set(e, &s->ops, "special", &out);
    mp_fini(&out);
    return e->code;
}

/* The keys, in the order of the page. */
static enum err tidy_keys(struct errctx *e, struct tokenizer_spec *s)
{
    static const char *const rest[] = {"special", "chat_template"};
    struct mp_value out;

    mp_map_init(&out);
    for (size_t k = 0; k < ARRAY_LEN(lists) + ARRAY_LEN(rest) && e->code == ERR_OK; k++) {
        const char *key = k < ARRAY_LEN(lists) ? lists[k] : rest[k - ARRAY_LEN(lists)];
        if (mp_get(&s->ops, key) != NULL) (void)!mp_set(e, &out, key, mp_get(&s->ops, key));
    }
    if (e->code != ERR_OK) {
        mp_fini(&out);
        return e->code;
    }
    mp_fini(&s->ops);
    s->ops = out;
    return ERR_OK;
}

enum err tokenizer_spec_tidy(struct errctx *e, struct tokenizer_spec *s)
{
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        struct mp_value *list = mp_get(&s->ops, lists[k]);
        if (list->type == MP_MAP) TRY(tidy_operation(e, lists[k], list));
        for (size_t i = 0; list->type == MP_ARRAY && i < list->as.list.count; i++)
            TRY(tidy_operation(e, lists[k], &list->as.list.items[i]));
    }
    TRY(tidy_special(e, s));
    return tidy_keys(e, s);
}

/* ------------------------------------------------------------------ identity */

static void hash_number(XXH3_state_t *h, uint64_t v)
{
    uint8_t le[8];

    for (int i = 0; i < 8; i++) le[i] = (uint8_t)(v >> 8 * i);
    XXH3_128bits_update(h, le, sizeof le);
}

static void hash_bytes(XXH3_state_t *h, const void *data, size_t n)
{
    hash_number(h, n);
    if (n > 0) XXH3_128bits_update(h, data, n);
}

static void hash_text(XXH3_state_t *h, const char *text)
{
    hash_bytes(h, text, strlen(text));
}

static void hash_param(XXH3_state_t *h, const struct param *p, const struct mp_value *v)
{
    hash_text(h, p->name);
    switch (p->type) {
    case PARAM_BOOL:
        hash_number(h, v == NULL ? (uint64_t)p->number : v->as.boolean);
        break;
    case PARAM_INT:
        hash_number(h, v == NULL ? (uint64_t)p->number : v->as.u);
        break;
    case PARAM_STRING:
        hash_text(h, v == NULL ? p->text : v->as.bytes.data);
        break;
    case PARAM_BINARY:
        hash_bytes(h, v->as.bytes.data, v->as.bytes.len);
        break;
    case PARAM_ROLES:
        hash_number(h, v->as.list.count);
        for (size_t i = 0; i < v->as.list.count; i++)
            hash_text(h, v->as.list.items[i].as.bytes.data);
        break;
    }
}

static void hash_operation(XXH3_state_t *h, const char *list, const struct mp_value *map)
{
    const char *name = mp_get(map, "op")->as.bytes.data;
    const struct operation *op = find_operation(list, name);

    hash_text(h, name);
    for (size_t k = 0; k < ARRAY_LEN(op->params) && op->params[k].name != NULL; k++)
        hash_param(h, &op->params[k], mp_get(map, op->params[k].name));
}

static void hash_list(XXH3_state_t *h, const struct tokenizer_spec *s, const char *key)
{
    const struct mp_value *list = mp_get(&s->ops, key);

    hash_text(h, key);
    if (list->type == MP_MAP) {
        hash_operation(h, key, list);
        return;
    }
    hash_number(h, list->as.list.count);
    for (size_t i = 0; i < list->as.list.count; i++)
        hash_operation(h, key, &list->as.list.items[i]);
}

bool tokenizer_spec_same_ops(const struct tokenizer_spec *a, const struct tokenizer_spec *b,
                             const char *list)
{
    XXH3_state_t left, right;

    XXH3_128bits_reset(&left);
    XXH3_128bits_reset(&right);
    hash_list(&left, a, list);
    hash_list(&right, b, list);
    return XXH128_isEqual(XXH3_128bits_digest(&left), XXH3_128bits_digest(&right));
}

void tokenizer_spec_id(const struct tokenizer_spec *s, uint8_t id[16])
{
    XXH3_state_t h;
    XXH128_canonical_t canonical;

    XXH3_128bits_reset(&h);
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) hash_list(&h, s, lists[k]);
    for (size_t k = 0; k < ARRAY_LEN(roles); k++)
        hash_number(&h, (uint64_t)tokenizer_spec_special(s, roles[k]));
    hash_number(&h, (uint64_t)s->vocab);
    for (int64_t i = 0; i <= s->vocab; i++) hash_number(&h, s->start[i]);
    hash_bytes(&h, s->bytes, (size_t)s->start[s->vocab]);
    hash_bytes(&h, s->flags, (size_t)s->vocab);
    hash_number(&h, (uint64_t)s->merges_count);
    for (int64_t i = 0; i < 2 * s->merges_count; i++) hash_number(&h, s->merges[i]);
    hash_bytes(&h, s->scores, s->scores == NULL ? 0 : (size_t)s->vocab * sizeof *s->scores);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&h));
    memcpy(id, canonical.digest, 16);
}

/* ------------------------------------------------------------------ streams */

/* The tables as tensors, in the order of a stream. */
enum { T_BYTES, T_START, T_FLAGS, T_MERGES, T_SCORES, T_COUNT };
static const struct table {
    const char *name;
    enum dtype dtype;
    int dims;
    bool optional;
} tables[T_COUNT] = {
    {"vocab.bytes", DTYPE_U8, 1, false}, {"vocab.start", DTYPE_U64, 1, false},
    {"vocab.flags", DTYPE_U8, 1, false}, {"merges", DTYPE_U32, 2, true},
    {"scores", DTYPE_F32, 1, true},
};

static enum err table_name(struct errctx *e, const char *prefix, int table, char **out)
{
    return mem_printf(e, out, "%s%s", prefix, tables[table].name);
}

/* Data of a table, its first dimension in *rows; NULL when the specification has none. */
static const void *table_data(const struct tokenizer_spec *s, int table, int64_t *rows)
{
    switch (table) {
    case T_BYTES:
        *rows = (int64_t)s->start[s->vocab];
        return s->bytes;
    case T_START:
        *rows = s->vocab + 1;
        return s->start;
    case T_FLAGS:
        *rows = s->vocab;
        return s->flags;
    case T_MERGES:
        *rows = s->merges_count;
        return s->merges;
    default:
        *rows = s->vocab;
        return s->scores;
    }
}

enum err tokenizer_spec_declare(struct errctx *e, const struct tokenizer_spec *s,
                                const char *prefix, struct stream_begin *b, int64_t *first)
{
    TRY(mp_set(e, &b->meta, "tokenizer", &s->ops));
    *first = b->tensors_count;
    for (int t = 0; t < T_COUNT; t++) {
        int64_t shape[2] = {0, 2};
        char *name;
        if (table_data(s, t, &shape[0]) == NULL) continue;
        TRY(table_name(e, prefix, t, &name));
        enum err code = stream_begin_tensor(e, b, name, tables[t].dtype, tables[t].dims, shape);
        mem_free(name);
        TRY(code);
    }
    return ERR_OK;
}

enum err tokenizer_spec_begin(struct errctx *e, const struct tokenizer_spec *s,
                              struct stream_begin *b)
{
    int64_t first;

    stream_begin_init(b, STREAM_TOKENIZER);
    if (tokenizer_spec_declare(e, s, "", b, &first) == ERR_OK) return ERR_OK;
    stream_begin_fini(b);
    return e->code;
}

enum err tokenizer_spec_write(struct errctx *e, const struct tokenizer_spec *s,
                              struct stream_writer *w, int64_t first)
{
    for (int t = 0; t < T_COUNT; t++) {
        int64_t rows;
        const void *data = table_data(s, t, &rows);
        if (data == NULL) continue;
        TRY(stream_writer_tensor(e, w, first++, data, rows * (tables[t].dims == 2 ? 2 : 1)));
    }
    return ERR_OK;
}

/* Checks a table's form and gives its data and rows; NULL data when an optional one is absent. */
static enum err table_find(struct errctx *e, const struct stream_tensors *t, const char *prefix,
                           int table, const void **data, int64_t *rows)
{
    const struct stream_field *field = NULL;
    char *name;

    TRY(table_name(e, prefix, table, &name));
    *data = stream_tensors_get(t, name, &field);
    mem_free(name);
    if (*data == NULL) {
        if (tables[table].optional) return ERR_OK;
        return err_set(e, ERR_INPUT, "tensor '%s' is missing", tables[table].name);
    }
    if (field->dtype != tables[table].dtype || field->dims != tables[table].dims ||
        (field->dims == 2 && field->shape[1] != 2))
        return err_set(e, ERR_INPUT, "tensor '%s' has the wrong type or shape", tables[table].name);
    *rows = field->shape[0];
    return ERR_OK;
}

static enum err copy(struct errctx *e, void *out, const void *data, int64_t n, size_t size)
{
    void *to;

    TRY(mem_new_aligned(e, &to, (size_t)n, size, "tokenizer"));
    if (n > 0) memcpy(to, data, (size_t)n * size);
    *(void **)out = to;
    return ERR_OK;
}

static enum err read_tables(struct errctx *e, const struct stream_tensors *t, const char *prefix,
                            struct tokenizer_spec *s)
{
    const void *data[T_COUNT];
    int64_t rows[T_COUNT] = {0};

    for (int k = 0; k < T_COUNT; k++) TRY(table_find(e, t, prefix, k, &data[k], &rows[k]));
    s->vocab = rows[T_FLAGS];
    if (s->vocab < 1 || s->vocab > VOCAB_LIMIT || rows[T_START] != s->vocab + 1)
        return err_set(e, ERR_INPUT, "vocab.start and vocab.flags disagree");
    if (data[T_SCORES] != NULL && rows[T_SCORES] != s->vocab)
        return err_set(e, ERR_INPUT, "scores and vocab.flags disagree");
    TRY(copy(e, &s->start, data[T_START], rows[T_START], sizeof *s->start));
    if (s->start[s->vocab] != (uint64_t)rows[T_BYTES])
        return err_set(e, ERR_INPUT, "vocab.start does not end with the length of vocab.bytes");
    TRY(copy(e, &s->bytes, data[T_BYTES], rows[T_BYTES], 1));
    TRY(copy(e, &s->flags, data[T_FLAGS], rows[T_FLAGS], 1));
    if (data[T_MERGES] != NULL) {
        s->merges_count = rows[T_MERGES];
        TRY(copy(e, &s->merges, data[T_MERGES], 2 * rows[T_MERGES], sizeof *s->merges));
    }
    if (data[T_SCORES] != NULL)
        TRY(copy(e, &s->scores, data[T_SCORES], s->vocab, sizeof *s->scores));
    return ERR_OK;
}

enum err tokenizer_spec_read(struct errctx *e, const struct stream_tensors *t, const char *prefix,
                             const char *name, struct tokenizer_spec *out)
{
    const struct mp_value *ops = mp_get(&t->begin.meta, "tokenizer");

    memset(out, 0, sizeof *out);
    if (ops == NULL || ops->type != MP_MAP)
        return err_set(e, ERR_INPUT, "'%s' holds no tokenizer", name);
    if (read_tables(e, t, prefix, out) != ERR_OK) {
        err_prefix(e, "'%s': tokenizer", name);
        goto fail;
    }
    if (mp_copy(e, ops, &out->ops) != ERR_OK) goto fail;
    if (tokenizer_spec_check(e, out, name) != ERR_OK) goto fail;
    return ERR_OK;
fail:
    tokenizer_spec_fini(out);
    return e->code;
}

/* ------------------------------------------------------------------ loading */

static bool is_table(const struct stream_field *f, const char *prefix)
{
    size_t n = strlen(prefix);

    for (int t = 0; t < T_COUNT; t++)
        if (strncmp(f->name, prefix, n) == 0 && strcmp(f->name + n, tables[t].name) == 0)
            return true;
    return false;
}

static enum err allocate(struct errctx *e, const struct stream_field *f, uint8_t **out)
{
    size_t n;

    if (!dtype_shape_bytes(f->dtype, f->dims, f->shape, &n) || n > (size_t)BYTES_LIMIT)
        return err_set(e, ERR_INPUT, "tensor '%s' is too large for a tokenizer", f->name);
    return mem_new_aligned(e, out, n, 1, "tokenizer");
}

/* Keeps the tensors of the tokenizer; the rest of a model is passed over. */
static enum err load_tables(struct errctx *e, struct stream_reader *r, const char *prefix,
                            struct stream_tensors *t)
{
    const struct stream_begin *b = stream_reader_begin(r);
    int64_t wanted = 0;

    TRY(stream_begin_copy(e, b, &t->begin));
    TRY(mem_new(e, &t->data, (size_t)b->tensors_count, sizeof *t->data, "tokenizer"));
    for (int64_t i = 0; i < b->tensors_count; i++) {
        if (!is_table(&b->tensors[i], prefix)) continue;
        TRY(allocate(e, &b->tensors[i], &t->data[i]));
        wanted++;
    }
    while (wanted > 0) {
        enum stream_event event;
        struct stream_rows rows;
        struct stream_tensor_piece piece;
        TRY(stream_reader_next(e, r, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) return ERR_OK;
        if (event != STREAM_EVENT_TENSOR || t->data[piece.tensor] == NULL) continue;
        const struct stream_field *f = &t->begin.tensors[piece.tensor];
        int64_t elements = stream_field_elements(f);
        memcpy(t->data[piece.tensor] + dtype_offset(f->dtype, piece.first), piece.data,
               piece.bytes);
        if (piece.first + piece.elements == elements) wanted--;
    }
    return stream_reader_drain(e, r);
}

enum err tokenizer_spec_load(struct errctx *e, struct run *run, const char *path,
                             struct tokenizer_spec *out)
{
    struct stream_reader_cfg cfg = STREAM_READER_CFG;
    struct stream_tensors t;
    struct stream_reader *r;
    const char *prefix;
    enum err code;

    memset(&t, 0, sizeof t);
    memset(out, 0, sizeof *out);
    TRY(stream_reader_open(e, run, "tokenizer", path, &cfg, &r));
    prefix = stream_reader_begin(r)->kind == STREAM_TOKENIZER ? "" : "tokenizer.";
    code = load_tables(e, r, prefix, &t);
    if (code == ERR_OK) code = tokenizer_spec_read(e, &t, prefix, stream_reader_name(r), out);
    stream_reader_close(r);
    stream_tensors_fini(&t);
    return code;
}
