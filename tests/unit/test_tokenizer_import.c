/* SPDX-License-Identifier: Apache-2.0 */
/* test_tokenizer_import.c: tokenizers out of other programs' files: what small ones give, what bad
 * ones say, and with GRAFT_DATA the published files against the ids that llama.cpp gives for their
 * texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/base/io.h"
#include "common/text/import_gguf_tokenizer.h"
#include "common/text/import_sentencepiece.h"
#include "common/text/import_tokenizer_json.h"
#include "common/text/tokenizer_run.h"
#include "formats/gguf.h"

struct runner {
    struct tokenizer *t;
    struct tokenizer_scratch *s;
    struct id_list ids;
    struct offset_list ends;
    struct bytes text;
};

static void runner_open(struct runner *r, const struct tokenizer_spec *spec)
{
    struct errctx e = ERRCTX_INIT;
    memset(r, 0, sizeof *r);
    if (tokenizer_new(&e, spec, &r->t) != ERR_OK) fail_msg("%s", e.message);
    assert_int_equal(tokenizer_scratch_new(&e, r->t, &r->s), ERR_OK);
}

static void runner_close(struct runner *r)
{
    tokenizer_scratch_free(r->s);
    tokenizer_free(r->t);
    mem_free(r->ids.data);
    mem_free(r->ends.data);
    bytes_fini(&r->text);
}

static void encode(struct runner *r, const char *text, size_t n, bool special)
{
    struct errctx e = ERRCTX_INIT;
    r->ids.count = r->ends.count = r->text.len = 0;
    assert_int_equal(tokenizer_encode(&e, r->t, r->s, text, n, special, &r->ids, &r->ends), ERR_OK);
    for (size_t i = 0; i < r->ends.count; i++)
        assert_in_range(r->ends.data[i], i > 0 ? r->ends.data[i - 1] : 0, n);
    assert_int_equal(tokenizer_decode(&e, r->t, r->ids.data, r->ids.count, special, &r->text),
                     ERR_OK);
}

/* ids as "1 2 3"; the text comes back as `back`. */
static void gives(struct runner *r, const char *text, const char *ids, const char *back)
{
    char got[256] = "";
    encode(r, text, strlen(text), true);
    for (size_t i = 0; i < r->ids.count; i++)
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), i > 0 ? " %u" : "%u",
                       r->ids.data[i]);
    assert_string_equal(got, ids);
    assert_int_equal(r->text.len, strlen(back));
    assert_memory_equal(r->text.data, back, r->text.len);
}

/* ------------------------------------------------------------------ tokenizer.json */

#define LLAMA_PARTS                                                                                \
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"    \
    "\"\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}]},"  \
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"          \
    "{\"String\":\"\u2581\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"  \
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"
#define ADDED "\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true}],"

/* Characters, a space in front, merges as texts and as pairs. */
static void characters_and_merges(void **state)
{
    (void)state;
    static const char *const merges[] = {"[\"\u2581 a\",\"a b\"]",
                                         "[[\"\u2581\",\"a\"],[\"a\",\"b\"]]"};
    for (size_t i = 0; i < ARRAY_LEN(merges); i++) {
        struct errctx e = ERRCTX_INIT;
        struct tokenizer_spec spec;
        struct runner r;
        char json[2048];
        (void)snprintf(json, sizeof json,
                       "{" ADDED LLAMA_PARTS ",\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\","
                       "\"fuse_unk\":true,\"vocab\":{\"<unk>\":0,\"\u2581\":1,\"a\":2,\"b\":3,"
                       "\"\u2581a\":4,\"ab\":5},\"merges\":%s}}",
                       merges[i]);
        if (import_tokenizer_json(&e, json, strlen(json), NULL, 0, &spec) != ERR_OK)
            fail_msg("%s", e.message);
        runner_open(&r, &spec);
        gives(&r, "ab", "4 3", "ab");
        gives(&r, "ab ab", "4 3 4 3", "ab ab");
        gives(&r, "bab", "1 3 5", "bab");
        gives(&r, "b\u2581a", "1 3 4", "b a");
        gives(&r, "xyb<unk>", "1 0 3 0", "<unk>b<unk>");
        runner_close(&r);
        tokenizer_spec_fini(&spec);
    }
}

static void unigram_takes_the_best(void **state)
{
    (void)state;
    static const char json[] =
        "{" ADDED "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\","
        "\"prepend_scheme\":\"always\"},\"decoder\":{\"type\":\"Metaspace\",\"replacement\":"
        "\"\u2581\",\"prepend_scheme\":\"always\"},\"model\":{\"type\":\"Unigram\",\"unk_id\":0,"
        "\"vocab\":[[\"<unk>\",0],[\"\u2581\",-3],[\"a\",-2],[\"b\",-2.5],[\"ab\",-4],"
        "[\"\u2581a\",-4.75],[\"\u2581ab\",-9],[\"xa\",-9.5]]}}";
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec spec;
    struct runner r;
    if (import_tokenizer_json(&e, json, sizeof json - 1, NULL, 0, &spec) != ERR_OK)
        fail_msg("%s", e.message);
    runner_open(&r, &spec);
    gives(&r, "ab", "1 4", "ab"); /* -7; the others -7.25, -7.5, -9 */
    gives(&r, "ab  a", "1 4 1 5", "ab  a");
    gives(&r, "axxb", "5 0 3", "a<unk>b");
    gives(&r, "xa", "1 7", "xa"); /* what is unknown costs more than any token */
    runner_close(&r);
    tokenizer_spec_fini(&spec);
}

/* Each bad file is refused with what is wrong in it. */
static void bad_json_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
    } bad[] = {
        {"[", "line 1, column 1"},
        {"[]", "not an object"},
        {"{}", "'model' is missing"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", "model 'WordLevel' is not known"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a x\"]}}",
         "merges: item 0 names 'x', which is no token"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}",
         "merges: item 0 is no pair"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
         "two tokens have the id 0"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "token id -1"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999},\"merges\":[]}}",
         "token id 99999999"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}",
         "'dropout'"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"new\":1}}",
         "key 'new' is not known"},
        {"{\"normalizer\":{\"type\":\"Nmt\"}}", "normaliser 'Nmt' is not known"},
        {"{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}}",
         "pre-tokeniser 'UnicodeScripts' is not known"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"},"
         "\"behavior\":\"Isolated\"}}",
         "'&' in a class"},
        {"{\"decoder\":{\"type\":\"CTC\"}}", "decoder 'CTC' is not known"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":5,\"vocab\":[[\"a\",0]]}}", "'unk_id' 5"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", "not [token, score]"},
        {"{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"vocab\":{\"a\":0}}}",
         "'unk_token' is no token"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct errctx e = ERRCTX_INIT;
        struct tokenizer_spec spec;
        assert_int_equal(
            import_tokenizer_json(&e, bad[i].json, strlen(bad[i].json), NULL, 0, &spec), ERR_INPUT);
        if (strstr(e.message, bad[i].message) == NULL)
            fail_msg("%s, not %s", e.message, bad[i].message);
    }
    char deep[4096]; /* brackets in brackets */
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec spec;
    memset(deep, '[', sizeof deep);
    assert_int_equal(import_tokenizer_json(&e, deep, sizeof deep, NULL, 0, &spec), ERR_INPUT);
}

/* ------------------------------------------------------------------ published files */

static bool slurp(const char *name, struct bytes *out)
{
    struct errctx e = ERRCTX_INIT;
    const char *folder = getenv("GRAFT_DATA");
    char path[4096];
    if (folder == NULL) return false;
    (void)snprintf(path, sizeof path, "%s/tokenizers/%s", folder, name);
    if (io_slurp(&e, path, (size_t)1 << 26, out) != ERR_OK) fail_msg("%s", e.message);
    return true;
}

static void import_gguf(const char *name, struct tokenizer_spec *spec)
{
    struct errctx e = ERRCTX_INIT;
    struct tensor_file f;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tokenizers/gguf/%s.gguf", getenv("GRAFT_DATA"), name);
    if (gguf_open(&e, path, &f) != ERR_OK) fail_msg("%s", e.message);
    if (import_gguf_tokenizer(&e, &f.meta, spec) != ERR_OK) fail_msg("%s", e.message);
    tensor_file_close(&f);
}

/* The texts of NAME.gguf.inp against the lines of ids of NAME.gguf.out. */
static void run_vectors(const char *name, struct runner *r, bool bert)
{
    static const char border[] = "\n__ggml_vocab_test__\n";
    char path[256];
    struct bytes in = {0}, out = {0};
    (void)snprintf(path, sizeof path, "gguf/%s.gguf.inp", name);
    assert_true(slurp(path, &in));
    (void)snprintf(path, sizeof path, "gguf/%s.gguf.out", name);
    assert_true(slurp(path, &out));
    assert_int_equal(bytes_append(&(struct errctx){0}, &out, "", 1), ERR_OK);
    const char *text = (const char *)in.data, *end = text + in.len, *want = (const char *)out.data;
    size_t texts = 0;
    for (; text < end; texts++) {
        const char *stop = memmem(text, (size_t)(end - text), border, sizeof border - 1);
        size_t n = stop == NULL ? (size_t)(end - text) : (size_t)(stop - text), k = 0;
        encode(r, text, n, false);
        for (; *want != '\n' && *want != 0;) {
            char *after;
            unsigned long id = strtoul(want, &after, 10);
            if (after == want) break;
            want = after;
            if (bert && (id == 101 || id == 102)) continue;
            if (k >= r->ids.count || r->ids.data[k] != id)
                fail_msg("%s: text %zu, token %zu is not %lu", name, texts, k, id);
            k++;
        }
        while (*want != '\n' && *want != 0) want++;
        want += *want == '\n';
        if (k != r->ids.count) fail_msg("%s: text %zu has %zu ids", name, texts, r->ids.count);
        text += n + (stop == NULL ? 0 : sizeof border - 1);
    }
    assert_in_range(texts, 46, 47);
    bytes_fini(&in);
    bytes_fini(&out);
}

static void gguf_vectors(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2", "falcon", "starcoder", "llama-spm", "bert-bge"};
    if (getenv("GRAFT_DATA") == NULL) skip();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct tokenizer_spec spec;
        struct runner r;
        import_gguf(names[i], &spec);
        runner_open(&r, &spec);
        run_vectors(names[i], &r, i == 4);
        runner_close(&r);
        tokenizer_spec_fini(&spec);
    }
}

/* SentencePiece's own file of the same tokenizer gives llama.cpp's ids; cut anywhere it is refused.
 * */
static void sentencepiece_vectors(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec spec;
    struct runner r;
    struct bytes data = {0};
    if (!slurp("sentencepiece/llama2.model", &data)) skip();
    if (import_sentencepiece(&e, data.data, data.len, &spec) != ERR_OK) fail_msg("%s", e.message);
    runner_open(&r, &spec);
    run_vectors("llama-spm", &r, false);
    runner_close(&r);
    tokenizer_spec_fini(&spec);
    for (size_t n = 1; n < data.len; n += n < 400 ? 1 : 9973) {
        struct errctx bad = ERRCTX_INIT;
        enum err code = import_sentencepiece(&bad, data.data, n, &spec);
        if (code == ERR_OK)
            tokenizer_spec_fini(&spec);
        else
            assert_int_equal(code, ERR_INPUT);
    }
    bytes_fini(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_and_merges), cmocka_unit_test(unigram_takes_the_best),
        cmocka_unit_test(bad_json_is_named),     cmocka_unit_test(gguf_vectors),
        cmocka_unit_test(sentencepiece_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
