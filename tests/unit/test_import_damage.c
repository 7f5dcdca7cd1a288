/* SPDX-License-Identifier: Apache-2.0 */
/* test_import_damage.c: models and tokenizers of other programs, cut at every byte and changed at
 * every byte of what is not weights: each is bad input, with a line that says the file and the
 * place, or another valid reading. The files themselves, without what they mean together, are in
 * test_tensor_files.c.
 *
 * What lies there is small: folders of tests/parity/families, and the inputs of the fuzz targets
 * (tests/fuzz/make_seeds.py), whose weights are zeros. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/convert/source_open.h"
#include "common/convert/tokenizer_source.h"
#include "tests/unit/scratch.h"

enum { LIMIT = 1 << 20 };

static char root[4096]; /* of the tree */

static int enter(void **state)
{
    if (!getcwd(root, sizeof root)) return -1;
    return scratch_enter(state);
}

static void get_file(const char *name, struct bytes *out)
{
    struct errctx e = ERRCTX_INIT;
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (io_slurp(&e, path, LIMIT, out) != ERR_OK) fail_msg("%s", e.message);
}

static void put_file(const char *path, const void *data, size_t n, size_t zeros)
{
    (void)unlink(
        path); /* a file that is cut to nothing and written again, ext4 puts on the disk at once */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(truncate(path, (off_t)(n + zeros)), 0);
}

/* ------------------------------------------------------------------ what must hold */

/* Where in a file it ends. */
static bool has_place(const char *message)
{
    static const char *const words[] = {"byte ", "line ", "header of", "no safetensors file"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(message, words[i])) return true;
    return false;
}

/* Bad input, in a line that names the file or what it lies in. */
static void demand_line(const struct errctx *e, const char *path, const char *file, bool place)
{
    const char *slash = strrchr(file, '/');
    if (e->code != ERR_INPUT) fail_msg("%d: %s", e->code, e->message);
    if (place && !has_place(e->message)) fail_msg("where in it? %s", e->message);
    if (!strstr(e->message, slash ? slash + 1 : file) && !strstr(e->message, path))
        fail_msg("which file? %s", e->message);
}

static bool model_opens(const char *path, enum source_kind kind, const char *file, bool place)
{
    struct errctx e = ERRCTX_INIT;
    struct model_source s;
    model_source_init(&s, NULL);
    if (source_open(&e, &s, path, kind) == ERR_OK) (void)!findings_raise(&e, &s.findings);
    if (e.code == ERR_INPUT && !strstr(e.message, path)) (void)err_prefix(&e, "'%s'", path);
    if (e.code != ERR_OK) demand_line(&e, path, file, place);
    model_source_close(&s);
    return e.code == ERR_OK;
}

static bool tokenizer_opens(const char *path, enum source_kind kind, const char *file, bool place)
{
    const struct opt_list none = {0};
    const struct import_tiktoken_cfg cfg = {.pattern = "gpt2", .special = &none};
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec spec;
    uint64_t bytes = 0;
    if (tokenizer_source_load(&e, NULL, path, kind, &cfg, &spec, &bytes) == ERR_OK)
        tokenizer_spec_fini(&spec);
    else
        demand_line(&e, path, file, place);
    return e.code == ERR_OK;
}

struct damage {
    const char *path; /* of what is opened */
    enum source_kind kind;
    const char *file;  /* that is damaged */
    size_t zeros;      /* behind it */
    bool cuts_are_bad; /* else a shorter file may be right, too */
};

static bool opens(const struct damage *d, bool place)
{
    return (source_is_model(d->kind) ? model_opens : tokenizer_opens)(d->path, d->kind, d->file,
                                                                      place);
}

/* How many of the changed files were read all the same. */
static size_t damage(const struct damage *d, struct bytes *b)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x10};
    size_t fine = 0;
    put_file(d->file, b->data, b->len, d->zeros);
    if (!opens(d, false)) fail_msg("%s is refused", d->file);
    for (size_t n = 0; n < b->len; n++) {
        put_file(d->file, b->data, n, 0);
        if (opens(d, d->cuts_are_bad) && d->cuts_are_bad)
            fail_msg("%s cut to %zu of %zu bytes is accepted", d->file, n, b->len);
    }
    for (size_t at = 0; at < b->len; at++) {
        const uint8_t change = changes[at % ARRAY_LEN(changes)];
        b->data[at] ^= change;
        put_file(d->file, b->data, b->len, d->zeros);
        fine += opens(d, false);
        b->data[at] ^= change;
    }
    put_file(d->file, b->data, b->len, d->zeros);
    return fine;
}

/* ------------------------------------------------------------------ models */

static void trimmed(struct bytes *b)
{
    while (b->len && (b->data[b->len - 1] == '\n' || b->data[b->len - 1] == ' ')) b->len--;
}

static void damage_json(const char *path, const char *file, const char *from)
{
    struct bytes b = {0};
    const struct damage d = {path, SOURCE_FOLDER, file, 0, true};
    if (from)
        get_file(from, &b);
    else
        assert_int_equal(io_slurp(&(struct errctx){0}, file, LIMIT, &b), ERR_OK);
    trimmed(&b);
    const size_t fine = damage(&d, &b);
    assert_true(fine < b.len / 2);
    bytes_fini(&b);
}

static void copy(const char *from, const char *to)
{
    struct bytes b = {0};
    get_file(from, &b);
    put_file(to, b.data, b.len, 0);
    bytes_fini(&b);
}

#define FAMILIES "tests/parity/families/"

static void configurations(void **state)
{
    (void)state;
    static const char *const families[] = {"llama-llama3", "phi3-longrope", "gemma2"};
    assert_int_equal(mkdir("model", 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        char name[256];
        snprintf(name, sizeof name, FAMILIES "%s/model.safetensors", families[i]);
        copy(name, "model/model.safetensors");
        snprintf(name, sizeof name, FAMILIES "%s/config.json", families[i]);
        damage_json("model", "model/config.json", name);
    }
}

static void sentence_transformers(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"vectors/modules.json",
         "[{\"idx\":0,\"path\":\"\",\"type\":\"s.Transformer\"},{\"path\":\"1_Pooling\",\"type\":"
         "\"s.Pooling\"},{\"path\":\"2\",\"type\":\"s.Normalize\"}]"},
        {"vectors/1_Pooling/config.json",
         "{\"word_embedding_dimension\":24,\"pooling_mode_mean_tokens\":true}"},
        {"vectors/sentence_bert_config.json", "{\"max_seq_length\":32,\"do_lower_case\":false}"},
        {"vectors/config_sentence_transformers.json",
         "{\"prompts\":{\"query\":\"query: \"},\"default_prompt_name\":null}"},
        {"vectors/tokenizer.json",
         "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1}}}"},
        {"vectors/tokenizer_config.json", "{\"unk_token\":\"?\",\"chat_template\":\"{{ a }}\"}"},
    };
    assert_int_equal(mkdir("vectors", 0700), 0);
    assert_int_equal(mkdir("vectors/1_Pooling", 0700), 0);
    copy(FAMILIES "bert-body/config.json", "vectors/config.json");
    copy(FAMILIES "bert-body/model.safetensors", "vectors/model.safetensors");
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put_file(files[i][0], files[i][1], strlen(files[i][1]), 0);
    for (size_t i = 0; i < 4; i++) damage_json("vectors", files[i][0], NULL);
    /* Of the tokenizer more readings are right: any text is a token. */
    for (size_t i = 4; i < ARRAY_LEN(files); i++) {
        struct bytes b = {0};
        const struct damage d = {"vectors", SOURCE_FOLDER, files[i][0], 0, i == 4};
        assert_int_equal(io_slurp(&(struct errctx){0}, files[i][0], LIMIT, &b), ERR_OK);
        assert_true(damage(&d, &b) < b.len);
        bytes_fini(&b);
    }
}

/* The index of a model in shards, as transformers has written it. */
static void index_of_shards(void **state)
{
    (void)state;
    static const char *const files[] = {"config.json", "model.safetensors.index.json",
                                        "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors"};
    assert_int_equal(mkdir("shards", 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char from[256], to[256];
        snprintf(from, sizeof from, FAMILIES "llama-biases/%s", files[i]);
        snprintf(to, sizeof to, "shards/%s", files[i]);
        copy(from, to);
    }
    damage_json("shards", "shards/model.safetensors.index.json", NULL);
}

/* Keys and tensors of whole models, the tokenizer of one among the keys. */
static void gguf_models(void **state)
{
    (void)state;
    static const char *const names[] = {"bert", "gemma2", "llama"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char name[256];
        struct bytes b = {0};
        struct damage d = {"x.gguf", SOURCE_GGUF, "x.gguf", 0, true};
        snprintf(name, sizeof name, "tests/fuzz/corpus/gguf_model/seed-%s", names[i]);
        get_file(name, &b);
        for (size_t k = 3; k-- > 0;) d.zeros = d.zeros << 8 | b.data[k];
        memmove(b.data, b.data + 3, b.len -= 3);
        assert_true(damage(&d, &b) < b.len);
        bytes_fini(&b);
    }
}

/* ------------------------------------------------------------------ weights */

static enum err ignore(struct errctx *e, void *ctx, const void *data, int64_t elements)
{
    (void)e, (void)ctx, (void)data, (void)elements;
    return ERR_OK;
}

/* Weights of x that are not finite; *at: where the tensor lies in its file. */
static int64_t not_finite(const char *path, enum source_kind kind, const char *tensor, size_t *at)
{
    struct errctx e = ERRCTX_INIT;
    struct model_source s;
    int64_t bad = 0;
    model_source_init(&s, NULL);
    if (source_open(&e, &s, path, kind) != ERR_OK || findings_raise(&e, &s.findings) != ERR_OK)
        fail_msg("%s", e.message);
    const struct tensor_entry *t = tensor_file_find(&s.tensors, tensor);
    assert_non_null(t);
    *at = (size_t)(t->data - s.tensors.files[t->file].data);
    for (int64_t i = 0; i < s.matching.params.count; i++)
        assert_int_equal(matching_read(&e, &s.matching, i, ignore, NULL, &bad), ERR_OK);
    model_source_close(&s);
    return bad;
}

/* Of every type they are stored in; of a block all weights, when its scale is no number. */
static void weights_that_are_no_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *from, *file, *path;
        enum source_kind kind;
        const char *tensor;
        uint8_t nan[4];
        size_t n;
        int64_t found;
    } cases[] = {
        {"tests/parity/gguf/llama.gguf",
         "w.gguf",
         "w.gguf",
         SOURCE_GGUF,
         "token_embd.weight",
         {0x00, 0x7e},
         2,
         32},
        {"tests/parity/gguf/llama.gguf",
         "w.gguf",
         "w.gguf",
         SOURCE_GGUF,
         "blk.0.attn_q.weight",
         {0x00, 0xfc},
         2,
         1},
        {"tests/parity/gguf/llama.gguf",
         "w.gguf",
         "w.gguf",
         SOURCE_GGUF,
         "output_norm.weight",
         {0x00, 0x00, 0x80, 0x7f},
         4,
         1},
        {FAMILIES "mistral/model.safetensors",
         "weights/model.safetensors",
         "weights",
         SOURCE_FOLDER,
         "model.layers.0.self_attn.k_proj.weight",
         {0xc0, 0x7f, 0x80, 0xff},
         4,
         2},
    };
    assert_int_equal(mkdir("weights", 0700), 0);
    copy(FAMILIES "mistral/config.json", "weights/config.json");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes b = {0};
        size_t at;
        get_file(cases[i].from, &b);
        put_file(cases[i].file, b.data, b.len, 0);
        assert_int_equal(not_finite(cases[i].path, cases[i].kind, cases[i].tensor, &at), 0);
        memcpy(b.data + at, cases[i].nan, cases[i].n);
        put_file(cases[i].file, b.data, b.len, 0);
        assert_int_equal(not_finite(cases[i].path, cases[i].kind, cases[i].tensor, &at),
                         cases[i].found);
        bytes_fini(&b);
    }
}

/* ------------------------------------------------------------------ tokenizers */

static void tokenizer_files(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        struct damage d;
    } cases[] = {
        {"tokenizer_json/seed-llama",
         {"tokenizer.json", SOURCE_TOKENIZER_JSON, "tokenizer.json", 0, true}},
        {"tokenizer_json/seed-bert",
         {"tokenizer.json", SOURCE_TOKENIZER_JSON, "tokenizer.json", 0, true}},
        {"tokenizer_json/seed-gpt",
         {"tokenizer.json", SOURCE_TOKENIZER_JSON, "tokenizer.json", 0, true}},
        {"tokenizer_json/seed-unigram",
         {"tokenizer.json", SOURCE_TOKENIZER_JSON, "tokenizer.json", 0, true}},
        {"sentencepiece/seed-model-1",
         {"spiece.model", SOURCE_SENTENCEPIECE, "spiece.model", 0, false}},
        {"sentencepiece/seed-model-2",
         {"spiece.model", SOURCE_SENTENCEPIECE, "spiece.model", 0, false}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[256];
        struct bytes b = {0};
        snprintf(name, sizeof name, "tests/fuzz/corpus/%s", cases[i].from);
        get_file(name, &b);
        assert_true(damage(&cases[i].d, &b) < b.len);
        bytes_fini(&b);
    }
}

static void vocabularies(void **state)
{
    (void)state;
    static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n##s\n\xc3\xa9\n";
    static const char ids[] = "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3}";
    static const char merges[] = "#version: 0.2\na b\n";
    char tiktoken[256 * 10];
    size_t n = 0;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 256; i++)
        n += (size_t)snprintf(tiktoken + n, sizeof tiktoken - n, "%c%c== %d\n", digits[i >> 2],
                              digits[(i & 3) << 4], i);
    const struct {
        struct damage d;
        const char *data;
        size_t n;
    } cases[] = {
        {{"vocab.txt", SOURCE_VOCAB_TXT, "vocab.txt", 0, false}, vocab, sizeof vocab - 1},
        {{"merges.txt", SOURCE_MERGES, "vocab.json", 0, true}, ids, sizeof ids - 1},
        {{"merges.txt", SOURCE_MERGES, "merges.txt", 0, false}, merges, sizeof merges - 1},
        {{"x.tiktoken", SOURCE_TIKTOKEN, "x.tiktoken", 0, false}, tiktoken, n},
    };
    put_file("merges.txt", merges, sizeof merges - 1, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errctx e = ERRCTX_INIT;
        struct bytes b = {0};
        assert_int_equal(bytes_append(&e, &b, cases[i].data, cases[i].n), ERR_OK);
        assert_true(damage(&cases[i].d, &b) < b.len);
        bytes_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configurations),
        cmocka_unit_test(sentence_transformers),
        cmocka_unit_test(index_of_shards),
        cmocka_unit_test(gguf_models),
        cmocka_unit_test(weights_that_are_no_numbers),
        cmocka_unit_test(tokenizer_files),
        cmocka_unit_test(vocabularies),
    };
    return cmocka_run_group_tests(tests, enter, scratch_leave);
}
