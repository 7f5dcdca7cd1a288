/* SPDX-License-Identifier: Apache-2.0 */
/* import_vocab_files.c: see import_vocab_files.h. */
#include "common/text/import_vocab_files.h"
#include <string.h>
#include "common/text/import_tokenizer_json.h"
#include "common/text/utf8.h"

/* The next line of data[*at..n) without its end; false behind the last. */
static bool next_line(const char *data, size_t n, size_t *at, const char **line, size_t *len)
{
    const char *end;

    if (*at >= n) return false;
    *line = data + *at;
    end = memchr(*line, '\n', n - *at);
    *len = end == NULL ? n - *at : (size_t)(end - *line);
    *at += *len + 1;
    if (*len > 0 && (*line)[*len - 1] == '\r') (*len)--;
    return true;
}

static enum err read_vocab_lines(struct errctx *e, const char *data, size_t n, json_t *vocab,
                                 json_t *added)
{
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    const char *line;
    size_t at = 0, len;
    json_int_t id = 0;

    for (; next_line(data, n, &at, &line, &len); id++) {
        if (len == 0 || memchr(line, 0, len) != NULL ||
            utf8_valid_prefix((const uint8_t *)line, len) < len)
            return err_set(e, ERR_INPUT, "line %lld is no token", (long long)id + 1);
        if (json_object_getn(vocab, line, len) != NULL)
            return err_set(e, ERR_INPUT, "line %lld: '%.*s' is a token already", (long long)id + 1,
                           (int)len, line);
        if (json_object_setn_new(vocab, line, len, json_integer(id)) != 0)
            return err_memory(e, "vocabulary", len);
        for (size_t i = 0; i < ARRAY_LEN(special); i++)
            if (strlen(special[i]) == len && memcmp(special[i], line, len) == 0)
                (void)json_array_append_new(added, json_pack("{s:s,s:I,s:b}", "content", special[i],
                                                             "id", id, "special", 1));
    }
    return ERR_OK;
}

static bool config_flag(const json_t *side, const char *key, bool fallback)
{
    const json_t *v = json_object_get(side, key);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

enum err import_vocab_txt(struct errctx *e, const char *data, size_t n, const char *side,
                          size_t side_n, struct tokenizer_spec *out)
{
    json_t *config, *root, *vocab = json_object(), *added = json_array();
    const json_t *cls, *sep;
    enum err code;

    tokenizer_spec_init(out);
    code = import_tokenizer_side(e, side, side_n, &config);
    if (code == ERR_OK) code = read_vocab_lines(e, data, n, vocab, added);
    cls = json_object_get(vocab, "[CLS]");
    sep = json_object_get(vocab, "[SEP]");
    if (code == ERR_OK && (cls == NULL || sep == NULL || json_object_get(vocab, "[UNK]") == NULL))
        code = err_set(e, ERR_INPUT, "the vocabulary has no [CLS], [SEP] or [UNK]");
    if (code != ERR_OK) {
        json_decref(vocab);
        json_decref(added);
        json_decref(config);
        return code;
    }
    bool lower = config_flag(config, "do_lower_case", true);
    root = json_pack("{s:o, s:{s:s,s:b,s:b,s:b,s:b}, s:{s:s}, s:{s:s,s:[s,I],s:[s,I]}, s:{s:s}, "
                     "s:{s:s,s:s,s:o}}",
                     "added_tokens", added, "normalizer", "type", "BertNormalizer", "clean_text", 1,
                     "handle_chinese_chars", config_flag(config, "tokenize_chinese_chars", true),
                     "strip_accents", config_flag(config, "strip_accents", lower), "lowercase",
                     lower, "pre_tokenizer", "type", "BertPreTokenizer", "post_processor", "type",
                     "BertProcessing", "cls", "[CLS]", json_integer_value(cls), "sep", "[SEP]",
                     json_integer_value(sep), "decoder", "type", "WordPiece", "model", "type",
                     "WordPiece", "unk_token", "[UNK]", "vocab", vocab);
    if (root == NULL) {
        json_decref(config);
        return err_memory(e, "vocabulary", n);
    }
    if (config != NULL && json_object_get(config, "cls_token") == NULL) {
        json_decref(config); /* it says nothing of roles */
        config = NULL;
    }
    return import_tokenizer_root(e, root, config, out);
}

static enum err read_merge_lines(struct errctx *e, const char *data, size_t n, json_t *merges)
{
    const char *line;
    size_t at = 0, len, number = 0;

    while (next_line(data, n, &at, &line, &len)) {
        number++;
        if (len == 0 || (number == 1 && len > 8 && memcmp(line, "#version", 8) == 0)) continue;
        json_t *text = json_stringn(line, len);
        if (text == NULL) return err_set(e, ERR_INPUT, "merges: line %zu is no text", number);
        if (json_array_append_new(merges, text) != 0) return err_memory(e, "merges", len);
    }
    return ERR_OK;
}

enum err import_merges(struct errctx *e, const char *vocab, size_t vocab_n, const char *merges,
                       size_t merges_n, struct tokenizer_spec *out)
{
    json_t *tokens, *list = json_array(), *added = json_array(), *root;
    const json_t *end;
    enum err code;

    tokenizer_spec_init(out);
    code = import_tokenizer_parse(e, vocab, vocab_n, "vocab.json", true, &tokens);
    if (code == ERR_OK) code = read_merge_lines(e, merges, merges_n, list);
    if (code != ERR_OK) {
        json_decref(tokens);
        json_decref(list);
        json_decref(added);
        return code;
    }
    end = json_object_get(tokens, "<|endoftext|>");
    if (json_is_integer(end))
        (void)json_array_append_new(added, json_pack("{s:s,s:I,s:b}", "content", "<|endoftext|>",
                                                     "id", json_integer_value(end), "special", 1));
    root = json_pack("{s:o, s:{s:s,s:b}, s:{s:s}, s:{s:s,s:o,s:o}}", "added_tokens", added,
                     "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "decoder", "type",
                     "ByteLevel", "model", "type", "BPE", "vocab", tokens, "merges", list);
    if (root == NULL) return err_memory(e, "vocabulary", vocab_n);
    return import_tokenizer_root(e, root, NULL, out);
}
