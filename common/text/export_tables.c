/* SPDX-License-Identifier: Apache-2.0 */
/* export_tables.c: see export_tables.h. */
#include "common/text/export_tables.h"
#include <string.h>
#include "common/text/export_check.h"
#include "common/text/export_merges.h"
#include "common/text/export_parts.h"
#include "common/text/export_tokenizer_json.h"
#include "common/text/import_tiktoken.h"
#include "common/text/import_vocab_files.h"

static enum err is_model(struct errctx *e, const struct tokenizer_spec *s, const char *form,
                         const char *model)
{
    const char *name = export_text(mp_get(&s->ops, "model"), "op", "");

    if (strcmp(name, model) == 0) return ERR_OK;
    return err_set(e, ERR_INPUT, "%s is for '%s', and this tokenizer is '%s'", form, model, name);
}

/* ------------------------------------------------------------------ vocab.txt */

static bool has_op(const struct tokenizer_spec *s, const char *list, const char *name)
{
    const struct mp_value *ops = mp_get(&s->ops, list);

    for (size_t i = 0; i < ops->as.list.count; i++)
        if (strcmp(export_text(&ops->as.list.items[i], "op", ""), name) == 0) return true;
    return false;
}

static enum err vocab_lines(struct errctx *e, const struct tokenizer_spec *s, struct bytes *out)
{
    for (int64_t id = 0; id < s->vocab; id++) {
        const uint8_t *bytes = s->bytes + s->start[id];
        size_t n = (size_t)(s->start[id + 1] - s->start[id]);
        if (n == 0 || memchr(bytes, '\n', n) != NULL || bytes[n - 1] == '\r')
            return err_set(e, ERR_INPUT, "vocab.txt has no line for token %lld", (long long)id);
        TRY(bytes_append(e, out, bytes, n));
        TRY(bytes_append(e, out, "\n", 1));
    }
    return ERR_OK;
}

static enum err check_vocab_txt(struct errctx *e, const struct tokenizer_spec *s,
                                const struct bytes *vocab, const json_t *config)
{
    struct tokenizer_spec again;
    char *side = json_dumps(config, 0);
    enum err code;

    if (side == NULL) return err_memory(e, "vocab.txt", 0);
    code = import_vocab_txt(e, (const char *)vocab->data, vocab->len, side, strlen(side), &again);
    free(side);
    TRY(code);
    code = export_check(e, s, &again, "vocab.txt");
    tokenizer_spec_fini(&again);
    return code;
}

enum err export_vocab_txt(struct errctx *e, const struct tokenizer_spec *s, struct bytes *vocab,
                          json_t **config)
{
    *config = NULL;
    TRY(is_model(e, s, "vocab.txt", "wordpiece"));
    TRY(export_tokenizer_config(e, s, true, config));
    (void)json_object_set_new(*config, "tokenizer_class", json_string("BertTokenizer"));
    (void)json_object_set_new(*config, "do_lower_case",
                              json_boolean(has_op(s, "normalizer", "lowercase")));
    (void)json_object_set_new(*config, "strip_accents",
                              json_boolean(has_op(s, "normalizer", "strip_accents")));
    (void)json_object_set_new(*config, "tokenize_chinese_chars",
                              json_boolean(has_op(s, "normalizer", "chinese_chars")));
    if (vocab_lines(e, s, vocab) == ERR_OK && check_vocab_txt(e, s, vocab, *config) == ERR_OK)
        return ERR_OK;
    json_decref(*config);
    *config = NULL;
    return e->code;
}

/* ------------------------------------------------------------------ vocab.json, merges.txt */

static enum err merge_lines(struct errctx *e, const json_t *list, struct bytes *out)
{
    TRY(bytes_printf(e, out, "#version: 0.2\n"));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(bytes_printf(e, out, "%s\n", json_string_value(json_array_get(list, i))));
    return ERR_OK;
}

static enum err check_merges(struct errctx *e, const struct tokenizer_spec *s, const json_t *vocab,
                             const struct bytes *merges)
{
    struct tokenizer_spec again;
    char *text = json_dumps(vocab, 0);
    enum err code;

    if (text == NULL) return err_memory(e, "vocab.json", 0);
    code = import_merges(e, text, strlen(text), (const char *)merges->data, merges->len, &again);
    free(text);
    TRY(code);
    code = export_check(e, s, &again, "merges.txt");
    tokenizer_spec_fini(&again);
    return code;
}

enum err export_vocab_merges(struct errctx *e, const struct tokenizer_spec *s, json_t **vocab,
                             struct bytes *merges)
{
    json_t *root = NULL, *model;

    *vocab = NULL;
    TRY(is_model(e, s, "merges.txt", "bpe"));
    if (s->scores != NULL || !export_flag(mp_get(&s->ops, "model"), "byte_level", true))
        return err_set(e, ERR_INPUT, "merges.txt is for BPE of bytes");
    TRY(export_tokenizer_json(e, s, &root));
    model = json_object_get(root, "model");
    *vocab = json_incref(json_object_get(model, "vocab"));
    for (size_t i = 0; i < json_array_size(json_object_get(root, "added_tokens")); i++) {
        const json_t *item = json_array_get(json_object_get(root, "added_tokens"), i);
        (void)json_object_set(*vocab, json_string_value(json_object_get(item, "content")),
                              json_object_get(item, "id"));
    }
    if (merge_lines(e, json_object_get(model, "merges"), merges) == ERR_OK)
        (void)!check_merges(e, s, *vocab, merges);
    json_decref(root);
    if (e->code == ERR_OK) return ERR_OK;
    json_decref(*vocab);
    *vocab = NULL;
    return e->code;
}

/* ------------------------------------------------------------------ tiktoken */

static enum err rank_line(struct errctx *e, const uint8_t *bytes, size_t n, int64_t rank,
                          struct bytes *out)
{
    const struct bytes token = {.data = (uint8_t *)(uintptr_t)bytes, .len = n};

    TRY(export_base64(e, &token, out));
    return bytes_printf(e, out, " %lld\n", (long long)rank);
}

static enum err rank_lines(struct errctx *e, const struct tokenizer_spec *s, struct bytes *out)
{
    for (int64_t id = 0; id < s->vocab; id++)
        if (!(s->flags[id] & (TOKEN_SPECIAL | TOKEN_ADDED | TOKEN_UNUSED)))
            TRY(rank_line(e, s->bytes + s->start[id], (size_t)(s->start[id + 1] - s->start[id]), id,
                          out));
    return ERR_OK;
}

enum { SPECIALS = 256 }; /* that a hint can name */

static void forget(char **items)
{
    for (size_t i = 0; i < SPECIALS; i++) mem_free(items[i]);
}

/* "ROLE=TOKEN" of the special tokens, as options name them. */
static enum err name_specials(struct errctx *e, const struct tokenizer_spec *s, char **items,
                              size_t *count)
{
    static const char *const roles[] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};

    for (int64_t id = 0; id < s->vocab; id++) {
        const char *role = "";
        if (!(s->flags[id] & TOKEN_SPECIAL)) continue;
        if (*count == SPECIALS)
            return err_set(e, ERR_INPUT, "a tiktoken file is for at most %d special tokens",
                           (int)SPECIALS);
        for (size_t r = 0; r < ARRAY_LEN(roles); r++)
            if (tokenizer_spec_special(s, roles[r]) == id) role = roles[r];
        TRY(mem_printf(e, &items[(*count)++], "%s%s%.*s", role, role[0] ? "=" : "",
                       (int)(s->start[id + 1] - s->start[id]),
                       (const char *)s->bytes + s->start[id]));
    }
    return ERR_OK;
}

/* The options that tell how text is cut and which tokens are special. */
static enum err tell(struct errctx *e, const char *pattern, char *const *items, size_t count,
                     char **hint)
{
    struct bytes text = {0};
    enum err code = bytes_printf(e, &text, "--pattern %s", pattern);

    for (size_t i = 0; i < count && code == ERR_OK; i++)
        code = bytes_printf(e, &text, " --special '%s'", items[i]);
    if (code == ERR_OK) code = bytes_append(e, &text, "", 1);
    *hint = (char *)text.data;
    return code;
}

static enum err check_tiktoken(struct errctx *e, const struct tokenizer_spec *s,
                               const struct bytes *ranks, const char *pattern,
                               const struct opt_list *special)
{
    const struct import_tiktoken_cfg cfg = {.pattern = pattern, .special = special};
    struct tokenizer_spec again;
    enum err code;

    TRY(import_tiktoken(e, (const char *)ranks->data, ranks->len, &cfg, &again));
    code = export_check(e, s, &again, "a tiktoken file");
    tokenizer_spec_fini(&again);
    return code;
}

enum err export_tiktoken(struct errctx *e, const struct tokenizer_spec *s, struct bytes *ranks,
                         char **hint)
{
    static const char *const patterns[] = {"gpt2", "cl100k", "llama3", "o200k"};
    const struct mp_value *cut = mp_get(&s->ops, "pretokenizer");
    const struct opt_list none = {0};
    struct errctx ignored = ERRCTX_INIT;
    const char *pattern = NULL;
    char *items[SPECIALS] = {NULL};
    size_t count = 0;

    *hint = NULL;
    TRY(is_model(e, s, "a tiktoken file", "bpe"));
    for (size_t i = 0; cut->as.list.count == 1 && i < ARRAY_LEN(patterns); i++)
        if (has_op(s, "pretokenizer", patterns[i])) pattern = patterns[i];
    if (pattern == NULL || s->scores != NULL)
        return err_set(e, ERR_INPUT,
                       "a tiktoken file is for BPE of bytes that are cut as gpt2, cl100k, llama3 "
                       "or o200k do");
    TRY(rank_lines(e, s, ranks));
    if (check_tiktoken(&ignored, s, ranks, NULL, &none) == ERR_OK) return ERR_OK;
    if (name_specials(e, s, items, &count) == ERR_OK) {
        const struct opt_list special = {.items = (const char **)items, .count = count};
        if (check_tiktoken(e, s, ranks, pattern, &special) == ERR_OK)
            (void)!tell(e, pattern, items, count, hint);
    }
    forget(items);
    if (e->code == ERR_OK) return ERR_OK;
    mem_free(*hint);
    *hint = NULL;
    return e->code;
}
