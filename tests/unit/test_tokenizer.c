/* SPDX-License-Identifier: Apache-2.0 */
/* test_tokenizer.c: tokenizers against what others make of difficult texts
 * (tests/parity/tokenizer_cases.json), the laws of encoding and decoding, and with GRAFT_DATA the
 * published vectors of tiktoken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/rng.h"
#include "common/text/bpe.h"
#include "common/text/import_tiktoken.h"
#include "common/text/normalize.h"
#include "common/text/ops_build.h"
#include "common/text/pretokenize.h"
#include "common/text/rows.h"
#include "common/text/tokenizer_run.h"
#include "common/text/utf8.h"
#include "formats/mp_json.h"
#include "formats/tokens.h"

static json_t *cases;

static int load_cases(void **state)
{
    (void)state;
    json_error_t error;
    cases = json_load_file("tests/parity/tokenizer_cases.json", JSON_ALLOW_NUL, &error);
    return cases == NULL;
}

static int free_cases(void **state)
{
    (void)state;
    json_decref(cases);
    return 0;
}

static const char *case_text(size_t i, size_t *n)
{
    const json_t *t = json_array_get(json_object_get(cases, "texts"), i);
    *n = json_string_length(t);
    return json_string_value(t);
}

static size_t case_count(void)
{
    return json_array_size(json_object_get(cases, "texts"));
}

/* ------------------------------------------------------------------ making specifications */

struct maker {
    struct tokenizer_spec spec;
    struct bytes bytes; /* become the specification's */
};

static void add_token(struct maker *m, const void *bytes, size_t n, uint8_t flags)
{
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec *s = &m->spec;
    assert_int_equal(bytes_append(&e, &m->bytes, bytes, n), ERR_OK);
    s->start = realloc(s->start, (size_t)(s->vocab + 2) * sizeof *s->start);
    s->flags = realloc(s->flags, (size_t)(s->vocab + 1));
    s->start[0] = 0;
    s->flags[s->vocab++] = flags;
    s->start[s->vocab] = m->bytes.len;
}

static void add_merge(struct maker *m, uint32_t left, uint32_t right)
{
    struct tokenizer_spec *s = &m->spec;
    s->merges = realloc(s->merges, (size_t)(2 * s->merges_count + 2) * sizeof *s->merges);
    s->merges[2 * s->merges_count] = left;
    s->merges[2 * s->merges_count++ + 1] = right;
}

static void finish(struct maker *m)
{
    struct errctx e = ERRCTX_INIT;
    m->spec.bytes = m->bytes.data;
    assert_int_equal(tokenizer_spec_check(&e, &m->spec, "test"), ERR_OK);
}

static void set_ops_bpe(struct maker *m, const char *pattern, int64_t eos)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value list, special;
    mp_array_init(&list);
    mp_map_init(&special);
    if (eos >= 0) assert_int_equal(mp_set_int(&e, &special, "eos", eos), ERR_OK);
    assert_int_equal(ops_pretokenizer(&e, &list, pattern, NULL), ERR_OK);
    assert_int_equal(ops_byte_bpe(&e, &m->spec.ops, &list, false, &special), ERR_OK);
    mp_fini(&list);
    mp_fini(&special);
}

/* The 256 bytes by value, the merges of the cases, and <|end|>. */
static void make_small_bpe(struct maker *m)
{
    const json_t *merges = json_object_get(json_object_get(cases, "bpe"), "merges");
    memset(m, 0, sizeof *m);
    tokenizer_spec_init(&m->spec);
    for (int b = 0; b < 256; b++) add_token(m, &(uint8_t){(uint8_t)b}, 1, 0);
    for (size_t i = 0; i < json_array_size(merges); i++) {
        uint8_t joined[256];
        uint32_t side[2] = {0, 0};
        size_t total = 0;
        for (size_t k = 0; k < 2; k++) {
            const char *hex = json_string_value(json_array_get(json_array_get(merges, i), k));
            size_t from = total;
            for (; *hex != 0; hex += 2) {
                unsigned v;
                assert_int_equal(sscanf(hex, "%2x", &v), 1);
                joined[total++] = (uint8_t)v;
            }
            for (int64_t id = m->spec.vocab - 1; id >= 0; id--) {
                size_t n = (size_t)(m->spec.start[id + 1] - m->spec.start[id]);
                if (n == total - from &&
                    memcmp(m->bytes.data + m->spec.start[id], joined + from, n) == 0)
                    side[k] = (uint32_t)id;
            }
        }
        add_token(m, joined, total, 0);
        add_merge(m, side[0], side[1]);
    }
    add_token(m, "<|end|>", 7, TOKEN_SPECIAL | TOKEN_ADDED);
    set_ops_bpe(m, "gpt2", m->spec.vocab - 1);
    finish(m);
}

static void list_append_op(struct mp_value *list, const char *name)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value op;
    mp_map_init(&op);
    assert_int_equal(mp_set_string(&e, &op, "op", name), ERR_OK);
    assert_int_equal(mp_append(&e, list, &op), ERR_OK);
    mp_fini(&op);
}

static void set_list(struct mp_value *ops, const char *key, const char *names)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value list;
    char name[64];
    int used;
    mp_array_init(&list);
    for (; sscanf(names, "%63s%n", name, &used) == 1; names += used) list_append_op(&list, name);
    assert_int_equal(mp_set(&e, ops, key, &list), ERR_OK);
    mp_fini(&list);
}

static void set_unknown(struct maker *m, int64_t id)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value special;
    mp_map_init(&special);
    assert_int_equal(mp_set_int(&e, &special, "unk", id), ERR_OK);
    assert_int_equal(mp_set(&e, &m->spec.ops, "special", &special), ERR_OK);
    mp_fini(&special);
}

static void make_wordpiece(struct maker *m, const json_t *c)
{
    struct errctx e = ERRCTX_INIT;
    const json_t *vocab = json_object_get(c, "vocab");
    struct mp_value model;
    memset(m, 0, sizeof *m);
    tokenizer_spec_init(&m->spec);
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        const char *token = json_string_value(json_array_get(vocab, i));
        bool special = token[0] == '[' && strlen(token) > 3 && token[1] >= 'A' && token[1] <= 'Z';
        add_token(m, token, strlen(token), special ? TOKEN_SPECIAL | TOKEN_ADDED : 0);
    }
    set_list(&m->spec.ops, "normalizer",
             json_is_true(json_object_get(c, "lowercase"))
                 ? "clean_text chinese_chars strip_accents lowercase"
                 : "clean_text chinese_chars");
    set_list(&m->spec.ops, "pretokenizer", "bert");
    mp_map_init(&model);
    assert_int_equal(mp_set_string(&e, &model, "op", "wordpiece"), ERR_OK);
    assert_int_equal(mp_set(&e, &m->spec.ops, "model", &model), ERR_OK);
    mp_fini(&model);
    set_list(&m->spec.ops, "postprocessor", "");
    set_list(&m->spec.ops, "decoder", "wordpiece");
    set_unknown(m, 1);
    finish(m);
}

/* ------------------------------------------------------------------ running them */

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
    r->ids.count = r->ends.count = 0;
    assert_int_equal(tokenizer_encode(&e, r->t, r->s, text, n, special, &r->ids, &r->ends), ERR_OK);
    assert_int_equal(r->ids.count, r->ends.count);
}

static void decode(struct runner *r, bool special)
{
    struct errctx e = ERRCTX_INIT;
    r->text.len = 0;
    assert_int_equal(tokenizer_decode(&e, r->t, r->ids.data, r->ids.count, special, &r->text),
                     ERR_OK);
}

static void same_ids(const struct runner *r, const json_t *want, const char *text)
{
    bool same = json_array_size(want) == r->ids.count;
    for (size_t i = 0; same && i < r->ids.count; i++)
        same = json_integer_value(json_array_get(want, i)) == r->ids.data[i];
    if (same) return;
    for (size_t i = 0; i < r->ids.count; i++) print_message("%u ", r->ids.data[i]);
    char *wanted = json_dumps(want, JSON_COMPACT);
    fail_msg("other ids for '%s': want %s", text, wanted);
    free(wanted);
}

/* ------------------------------------------------------------------ tests */

static void pieces_as_peers(void **state)
{
    (void)state;
    const char *name;
    json_t *all;
    json_object_foreach(json_object_get(cases, "pieces"), name, all)
    {
        struct errctx e = ERRCTX_INIT;
        struct mp_value list;
        struct pretokenizer *p;
        struct pretokenizer_cursor *c;
        mp_array_init(&list);
        assert_int_equal(ops_pretokenizer(&e, &list, name, NULL), ERR_OK);
        assert_int_equal(pretokenizer_new(&e, &list, &p), ERR_OK);
        assert_int_equal(pretokenizer_cursor_new(&e, p, &c), ERR_OK);
        for (size_t i = 0; i < case_count(); i++) {
            size_t n, got, k = 0;
            const char *text = case_text(i, &n);
            const json_t *want = json_array_get(all, i);
            struct piece p3[3]; /* any number at once gives the same */
            pretokenizer_start(c, (const uint8_t *)text, n);
            do {
                assert_int_equal(pretokenizer_next(&e, c, p3, 1 + i % 3, &got), ERR_OK);
                for (size_t j = 0; j < got; j++, k++) {
                    const json_t *piece = json_array_get(want, k);
                    size_t len = p3[j].to - p3[j].from;
                    if (len != json_string_length(piece) ||
                        memcmp(text + p3[j].from, json_string_value(piece), len) != 0)
                        fail_msg("%s: text %zu, piece %zu is '%.*s', not '%s'", name, i, k,
                                 (int)len, text + p3[j].from, json_string_value(piece));
                }
            } while (got > 0);
            assert_int_equal(k, json_array_size(want));
        }
        pretokenizer_cursor_free(c);
        pretokenizer_free(p);
        mp_fini(&list);
    }
}

static void normal_forms_as_peers(void **state)
{
    (void)state;
    const char *names;
    json_t *all;
    json_object_foreach(json_object_get(cases, "normalizers"), names, all)
    {
        struct errctx e = ERRCTX_INIT;
        struct mp_value ops;
        struct normalizer z;
        struct normalized out = {0};
        mp_map_init(&ops);
        set_list(&ops, "normalizer", names);
        assert_int_equal(normalizer_init(&e, mp_get(&ops, "normalizer"), &z), ERR_OK);
        for (size_t i = 0; i < case_count(); i++) {
            size_t n;
            const char *text = case_text(i, &n);
            const json_t *want = json_array_get(all, i);
            assert_int_equal(
                normalizer_apply(&e, &z, (const uint8_t *)text, n, NORMALIZER_WHOLE, &out), ERR_OK);
            if (out.n != json_string_length(want) ||
                (out.n > 0 && memcmp(out.data, json_string_value(want), out.n)))
                fail_msg("%s: text %zu is '%.*s', not '%s'", names, i, (int)out.n,
                         (const char *)out.data, json_string_value(want));
            for (size_t k = 1; k <= out.n; k++) {
                uint64_t end = normalized_end(&out, k);
                assert_in_range(end, normalized_end(&out, k - 1), n);
                bool inside = out.ends == NULL && (out.data[k - 1] & 0x80); /* of a character */
                assert_true(end == n || inside || (text[end] & 0xc0) != 0x80);
            }
        }
        normalizer_fini(&z);
        normalized_fini(&out);
        mp_fini(&ops);
    }
}

static void bpe_as_tiktoken(void **state)
{
    (void)state;
    struct maker m;
    struct runner r;
    make_small_bpe(&m);
    runner_open(&r, &m.spec);
    for (int twice = 0; twice < 2; twice++) /* the second time from the cache */
        for (size_t i = 0; i < case_count(); i++) {
            size_t n;
            const char *text = case_text(i, &n);
            encode(&r, text, n, false);
            same_ids(&r, json_array_get(json_object_get(json_object_get(cases, "bpe"), "ids"), i),
                     text);
            if (n > 0) assert_int_equal(r.ends.data[r.ends.count - 1], n);
            decode(&r, false);
            assert_int_equal(r.text.len, n);
            if (n > 0) assert_memory_equal(r.text.data, text, n);
        }
    runner_close(&r);
    tokenizer_spec_fini(&m.spec);
}

/* Steps in the heap for a word of n letters, one of the first `letters` each. */
static uint64_t heap_steps(const struct bpe *b, size_t n, uint32_t letters, size_t *count)
{
    struct errctx e = ERRCTX_INIT;
    struct bpe_scratch s = {0};
    uint8_t *word = malloc(n);
    uint32_t *ids = malloc(n * sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        uint32_t w[4];
        rng_philox(rng_key_make(5, RNG_TEST), (uint32_t[]){(uint32_t)i, 0, 0, 0}, w);
        word[i] = (uint8_t)('a' + w[0] % letters);
    }
    assert_int_equal(bpe_encode(&e, b, &s, word, n, ids, count), ERR_OK);
    uint64_t steps = s.heap_steps;
    bpe_scratch_fini(&s);
    free(word);
    free(ids);
    return steps;
}

/* A word of a megabyte: of one letter, whose pairs all have one rank, and of two letters at random.
 */
static void long_words_cost_n_log_n(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct maker m = {0};
    struct vocab_map vocab;
    struct bpe *b;
    uint8_t text[4096];
    size_t count;
    tokenizer_spec_init(&m.spec);
    for (int c = 0; c < 256; c++) add_token(&m, &(uint8_t){(uint8_t)c}, 1, 0);
    memset(text, 'a', sizeof text);
    for (uint32_t n = 2, last = 'a'; n <= sizeof text; n *= 2) { /* aa, aaaa ... */
        add_token(&m, text, n, 0);
        add_merge(&m, last, last);
        last = (uint32_t)m.spec.vocab - 1;
    }
    for (uint32_t n = 1; n <= 64; n++) { /* b, ab, aab ... */
        text[n] = 'b';
        add_token(&m, text, n + 1, 0);
        add_merge(&m, 'a', n == 1 ? 'b' : (uint32_t)m.spec.vocab - 2);
        text[n] = 'a';
    }
    set_ops_bpe(&m, "gpt2", -1);
    finish(&m);
    assert_int_equal(vocab_map_init(&e, &m.spec, &vocab), ERR_OK);
    assert_int_equal(bpe_new(&e, &m.spec, &vocab, &b), ERR_OK);
    for (uint32_t letters = 1; letters <= 2; letters++)
        for (unsigned bits = 14; bits <= 20; bits += 3) {
            size_t n = (size_t)1 << bits;
            uint64_t steps = heap_steps(b, n, letters, &count);
            if (letters == 1) assert_int_equal(count, n / 4096);
            assert_in_range(steps, n, 2 * n * bits);
        }
    bpe_free(b);
    vocab_map_fini(&vocab);
    tokenizer_spec_fini(&m.spec);
}

static void wordpiece_as_tokenizers(void **state)
{
    (void)state;
    const json_t *all = json_object_get(cases, "wordpiece");
    assert_int_equal(json_array_size(all), 2);
    for (size_t k = 0; k < 2; k++) {
        const json_t *c = json_array_get(all, k);
        struct maker m;
        struct runner r;
        make_wordpiece(&m, c);
        runner_open(&r, &m.spec);
        for (size_t i = 0; i < case_count(); i++) {
            size_t n;
            const char *text = case_text(i, &n);
            const json_t *ends = json_array_get(json_object_get(c, "ends"), i);
            encode(&r, text, n, false);
            same_ids(&r, json_array_get(json_object_get(c, "ids"), i), text);
            for (size_t j = 0; j < r.ends.count;
                 j++) { /* theirs count characters; a cluster may end later here */
                size_t chars = utf8_count((const uint8_t *)text, (size_t)r.ends.data[j]);
                assert_true(chars >= (size_t)json_integer_value(json_array_get(ends, j)));
                assert_true(j == 0 || r.ends.data[j] >= r.ends.data[j - 1]);
            }
        }
        runner_close(&r);
        tokenizer_spec_fini(&m.spec);
    }
}

/* ops[key] is what the JSON says. */
static void set_json(struct maker *m, const char *key, json_t *json)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value v;
    assert_int_equal(mp_from_json(&e, json, &v), ERR_OK);
    assert_int_equal(mp_set(&e, &m->spec.ops, key, &v), ERR_OK);
    mp_fini(&v);
    json_decref(json);
}

static const json_t *pair_text(const json_t *all, const json_t *c, const char *which)
{
    return json_array_get(json_object_get(all, "texts"),
                          (size_t)json_integer_value(json_object_get(c, which)));
}

static void write_pair(struct runner r[2], const json_t *all, const json_t *c,
                       const struct rows_cfg *cfg, struct stream_writer *w)
{
    struct errctx e = ERRCTX_INIT;
    struct rows_document d = {0};
    struct rows_part part[2];
    struct bytes buffer = {0};
    bool shortened = false;
    size_t whole = 3;
    for (int k = 0; k < 2; k++) {
        const json_t *t = pair_text(all, c, k ? "second" : "first");
        encode(&r[k], json_string_value(t), json_string_length(t), false);
        part[k] = (struct rows_part){r[k].ids.data, r[k].ends.data, r[k].ids.count, 0};
        *(k ? &d.pair : &d.text) =
            (struct rows_text){json_string_value(t), json_string_length(t), &part[k], 1};
        whole += r[k].ids.count;
    }
    assert_int_equal(rows_write(&e, cfg, &d, &buffer, w, &shortened), ERR_OK);
    assert_int_equal(shortened, cfg->length > 0 && whole > (size_t)cfg->length);
    bytes_fini(&buffer);
}

static void compare_pair(const json_t *all, const json_t *c, const struct tokens_layout *l,
                         const struct stream_rows *rows, int64_t i)
{
    const json_t *ids = json_object_get(c, "ids");
    const int64_t length = json_integer_value(json_object_get(c, "length"));
    struct errctx e = ERRCTX_INIT;
    struct tokens_row row;
    uint32_t got[256];
    size_t bytes = json_string_length(pair_text(all, c, "first")) +
                   json_string_length(pair_text(all, c, "second"));
    assert_int_equal(tokens_row_view(&e, l, rows, i, &row), ERR_OK);
    assert_int_equal(tokens_row_ids(&e, l, &row, 0, got), ERR_OK);
    assert_int_equal(row.n, json_array_size(ids));
    for (int64_t t = 0; t < row.n; t++) {
        assert_int_equal(got[t], json_integer_value(json_array_get(ids, (size_t)t)));
        assert_int_equal(row.types[t], t >= json_integer_value(json_object_get(c, "second_from")));
    }
    assert_int_equal(row.part + row.skip, 0);
    assert_true(row.bytes <= bytes && row.chars <= row.bytes);
    if (length == 0 || row.n < length) assert_int_equal(row.bytes, bytes);
}

/* The pairs of one length. */
static void check_pairs(struct maker *m, struct runner r[2], const json_t *all, int64_t length)
{
    struct errctx e = ERRCTX_INIT;
    struct rows_cfg cfg;
    struct stream_begin begin;
    struct stream_writer *w;
    struct stream_reader *in;
    struct stream_rows rows;
    struct tokens_layout layout;
    enum stream_event event;
    char path[64];
    size_t i;
    json_t *c;
    snprintf(path, sizeof path, "/tmp/graft-test-pairs-%ld", (long)getpid());
    assert_int_equal(rows_cfg_init(&e, &m->spec, length, false, &cfg), ERR_OK);
    assert_int_equal(rows_cfg_pairs(&e, &cfg, true), ERR_OK);
    assert_int_equal(rows_begin(&e, &m->spec, &cfg, &begin), ERR_OK);
    assert_int_equal(stream_writer_open(&e, NULL, path, &begin, NULL, &w), ERR_OK);
    json_array_foreach(json_object_get(all, "pairs"), i,
                       c) if (json_integer_value(json_object_get(c, "length")) == length)
        write_pair(r, all, c, &cfg, w);
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    assert_int_equal(stream_reader_open(&e, NULL, "input", path, NULL, &in), ERR_OK);
    assert_int_equal(tokens_layout_find(&e, stream_reader_begin(in), path, &layout), ERR_OK);
    assert_int_equal(stream_reader_next(&e, in, &event, &rows, NULL), ERR_OK);
    int64_t n = 0;
    json_array_foreach(json_object_get(all, "pairs"), i,
                       c) if (json_integer_value(json_object_get(c, "length")) == length)
        compare_pair(all, c, &layout, &rows, n++);
    assert_int_equal(n, rows.n);
    stream_reader_close(in);
    stream_begin_fini(&begin);
    unlink(path);
}

/* [CLS] first [SEP] second [SEP] */
static void pairs_as_tokenizers(void **state)
{
    (void)state;
    json_error_t error;
    json_t *all = json_load_file("tests/parity/pair_cases.json", 0, &error), *length;
    struct errctx e = ERRCTX_INIT;
    struct maker m;
    struct runner r[2];
    size_t i;
    make_wordpiece(&m, all);
    set_json(&m, "special", json_pack("{s:i,s:i,s:i}", "unk", 1, "cls", 2, "sep", 3));
    set_json(&m, "postprocessor",
             json_pack("[{s:s,s:[s],s:[s]}]", "op", "template", "before", "cls", "after", "sep"));
    assert_int_equal(tokenizer_spec_check(&e, &m.spec, "test"), ERR_OK);
    runner_open(&r[0], &m.spec);
    runner_open(&r[1], &m.spec);
    json_array_foreach(json_object_get(all, "lengths"), i, length)
        check_pairs(&m, r, all, json_integer_value(length));
    assert_int_equal(i, 7);
    runner_close(&r[0]);
    runner_close(&r[1]);
    tokenizer_spec_fini(&m.spec);
    json_decref(all);
}

static void wordpiece_decodes_words(void **state)
{
    (void)state;
    struct maker m;
    struct runner r;
    make_wordpiece(&m, json_array_get(json_object_get(cases, "wordpiece"), 0));
    runner_open(&r, &m.spec);
    encode(&r, "The OLD lamps hold.", 19, false);
    decode(&r, false);
    assert_int_equal(r.text.len, 19);
    assert_memory_equal(r.text.data, "the old lamps hold.", 19);
    runner_close(&r);
    tokenizer_spec_fini(&m.spec);
}

static void special_tokens_are_text_unless_asked(void **state)
{
    (void)state;
    struct maker m;
    struct runner r;
    const char *text = "a<|end|>b<|end|>";
    make_small_bpe(&m);
    runner_open(&r, &m.spec);
    encode(&r, text, strlen(text), false);
    for (size_t i = 0; i < r.ids.count; i++) assert_int_not_equal(r.ids.data[i], m.spec.vocab - 1);
    decode(&r, false);
    assert_memory_equal(r.text.data, text, strlen(text));
    encode(&r, text, strlen(text), true);
    assert_int_equal(r.ids.count, 4);
    assert_int_equal(r.ids.data[1], m.spec.vocab - 1);
    assert_int_equal(r.ends.data[1], 8);
    decode(&r, false);
    assert_int_equal(r.text.len, 2);
    decode(&r, true);
    assert_int_equal(r.text.len, strlen(text));
    runner_close(&r);
    tokenizer_spec_fini(&m.spec);
}

/* Random valid text of every plane: encode, decode, and one id at a time. */
static void random_text_comes_back(void **state)
{
    (void)state;
    struct rng_key key = rng_key_make(1, RNG_TEST);
    struct errctx e = ERRCTX_INIT;
    struct maker m;
    struct runner r;
    make_small_bpe(&m);
    runner_open(&r, &m.spec);
    for (uint32_t i = 0; i < 300; i++) {
        uint8_t text[512];
        size_t n = 0;
        struct bytes out = {0};
        struct tokenizer_stream_decoder d = {0};
        for (uint32_t k = 0; n < sizeof text - 4 && k < 2 * i; k++) {
            uint32_t w[4];
            rng_philox(key, (uint32_t[]){i, k, 0, 0}, w);
            uint32_t c = w[0] % (w[1] % 3 == 0 ? 0x110000 : w[1] % 3 == 1 ? 0x800 : 0x80);
            if (c >= 0xd800 && c < 0xe000) continue;
            n += utf8_encode(c, text + n);
        }
        encode(&r, (const char *)text, n, false);
        decode(&r, false);
        assert_int_equal(r.text.len, n);
        if (n > 0) assert_memory_equal(r.text.data, text, n);
        for (size_t k = 0; k < r.ids.count; k++) {
            assert_int_equal(tokenizer_decode_next(&e, r.t, &d, r.ids.data[k], &out), ERR_OK);
            assert_int_equal(utf8_valid_prefix(out.data, out.len), out.len);
        }
        assert_int_equal(tokenizer_decode_finish(&e, &d, &out), ERR_OK);
        assert_int_equal(out.len, n);
        if (n > 0) assert_memory_equal(out.data, text, n);
        bytes_fini(&out);
    }
    runner_close(&r);
    tokenizer_spec_fini(&m.spec);
}

static void broken_characters_are_replaced(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct maker m;
    struct runner r;
    struct bytes out = {0};
    struct tokenizer_stream_decoder d = {0};
    static const uint32_t ids[] = {0xe2, 0x82, 'x', 0xff, 0xf0, 0x9f, 0x99, 0x82, 0xc3};
    make_small_bpe(&m);
    runner_open(&r, &m.spec);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        assert_int_equal(tokenizer_decode_next(&e, r.t, &d, ids[i], &out), ERR_OK);
    assert_int_equal(tokenizer_decode_finish(&e, &d, &out), ERR_OK);
    assert_int_equal(out.len, 3 + 1 + 3 + 4 + 3);
    assert_memory_equal(out.data, "\xef\xbf\xbdx\xef\xbf\xbd\xf0\x9f\x99\x82\xef\xbf\xbd", out.len);
    bytes_fini(&out);
    runner_close(&r);
    tokenizer_spec_fini(&m.spec);
}

/* Ids of the parts between safe borders are those of the whole, for every border there is. */
static void borders_are_safe(void **state)
{
    (void)state;
    struct maker m;
    struct runner r;
    make_small_bpe(&m);
    for (int pattern = 0; pattern < 2; pattern++) {
        size_t borders = 0;
        mp_fini(&m.spec.ops);
        mp_map_init(&m.spec.ops);
        set_ops_bpe(&m, pattern == 0 ? "gpt2" : "cl100k", -1);
        runner_open(&r, &m.spec);
        for (size_t i = 0; i < case_count(); i++) {
            size_t n, at = 0;
            const char *text = case_text(i, &n);
            struct errctx e = ERRCTX_INIT;
            struct id_list parts = {0};
            while (at < n) {
                size_t end = tokenizer_border(r.t, text, n, at + 1, false);
                assert_int_equal(
                    tokenizer_encode(&e, r.t, r.s, text + at, end - at, false, &parts, NULL),
                    ERR_OK);
                borders += end < n;
                at = end;
            }
            encode(&r, text, n, false);
            assert_int_equal(parts.count, r.ids.count);
            if (parts.count > 0)
                assert_memory_equal(parts.data, r.ids.data, parts.count * sizeof *parts.data);
            mem_free(parts.data);
        }
        assert_in_range(borders, 50, 100000);
        runner_close(&r);
    }
    tokenizer_spec_fini(&m.spec);
}

/* A word of one letter a megabyte long takes n log n: it would be minutes otherwise. */
static void long_words_are_quick(void **state)
{
    (void)state;
    struct maker m;
    struct runner r;
    size_t n = 1 << 20;
    char *text = malloc(n);
    make_small_bpe(&m);
    runner_open(&r, &m.spec);
    memset(text, 'x', n);
    encode(&r, text, n, false);
    decode(&r, false);
    assert_int_equal(r.text.len, n);
    assert_memory_equal(r.text.data, text, n);
    memset(text, ' ', n);
    encode(&r, text, n, false);
    assert_int_equal(r.ends.data[r.ends.count - 1], n);
    free(text);
    runner_close(&r);
    tokenizer_spec_fini(&m.spec);
}

/* The definition, word for word: join the leftmost pair of the lowest rank, again and again. */
static size_t merge_by_definition(const struct tokenizer_spec *s, uint32_t *ids, size_t n)
{
    for (int64_t k = 0; k < s->merges_count;) {
        size_t i = 0;
        while (i + 1 < n && (ids[i] != s->merges[2 * k] || ids[i + 1] != s->merges[2 * k + 1])) i++;
        if (i + 1 >= n) {
            k++; /* a merge makes no pair of a lower rank: its parts come before it */
            continue;
        }
        ids[i] = 256 + (uint32_t)k;
        memmove(ids + i + 1, ids + i + 2, (--n - i - 1) * sizeof *ids);
    }
    return n;
}

/* Short pieces and long ones are merged in different ways; both are the definition. */
static void merging_is_its_definition(void **state)
{
    (void)state;
    struct maker m;
    struct runner r;
    uint32_t want[400];
    char text[400];
    size_t joined = 0;
    make_small_bpe(&m);
    mp_fini(&m.spec.ops);
    mp_map_init(&m.spec.ops);
    set_ops_bpe(&m, "llama3", -1);
    runner_open(&r, &m.spec);
    for (size_t n = 1; n < sizeof text; n++) {
        for (size_t i = 0; i < n; i++) {
            text[i] = "thinxxandtheerabab"[(i * i + i / 7 + n) % 18];
            want[i] = (uint8_t)text[i];
        }
        size_t count = merge_by_definition(&m.spec, want, n);
        encode(&r, text, n, false);
        assert_int_equal(r.ids.count, count);
        assert_memory_equal(r.ids.data, want, count * sizeof *want);
        joined += n - count;
    }
    assert_in_range(joined, 1000, SIZE_MAX);
    runner_close(&r);
    tokenizer_spec_fini(&m.spec);
}

static void meaning_has_one_identity(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct maker a, b;
    struct mp_value model;
    uint8_t ia[16], ib[16];
    make_small_bpe(&a);
    make_small_bpe(&b);
    tokenizer_spec_id(&a.spec, ia);
    tokenizer_spec_id(&b.spec, ib);
    assert_memory_equal(ia, ib, 16);
    /* keys in another order, a default spelled out: the same meaning */
    mp_map_init(&model);
    assert_int_equal(mp_set_bool(&e, &model, "ignore_merges", false), ERR_OK);
    assert_int_equal(mp_set_bool(&e, &model, "byte_level", true), ERR_OK);
    assert_int_equal(mp_set_string(&e, &model, "op", "bpe"), ERR_OK);
    assert_int_equal(mp_set(&e, &b.spec.ops, "model", &model), ERR_OK);
    tokenizer_spec_id(&b.spec, ib);
    assert_memory_equal(ia, ib, 16);
    assert_int_equal(mp_set_bool(&e, &model, "ignore_merges", true), ERR_OK);
    assert_int_equal(mp_set(&e, &b.spec.ops, "model", &model), ERR_OK);
    tokenizer_spec_id(&b.spec, ib);
    assert_memory_not_equal(ia, ib, 16);
    mp_fini(&model);
    tokenizer_spec_fini(&a.spec);
    tokenizer_spec_fini(&b.spec);
}

static void bad_specifications_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *list, *op, *message;
    } bad[] = {
        {"normalizer", "rot13", "normalizer: operation 'rot13' is not known"},
        {"pretokenizer", "regex",
         "pretokenizer: operation 'regex': parameter 'pattern' is missing"},
        {"decoder", "base64", "decoder: operation 'base64' is not known"},
        {"postprocessor", "template",
         "postprocessor: operation 'template': parameter 'before' is missing"},
        {"extra", "bytes", "key 'extra' is not known"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct errctx e = ERRCTX_INIT;
        struct maker m;
        make_small_bpe(&m);
        set_list(&m.spec.ops, bad[i].list, bad[i].op);
        assert_int_equal(tokenizer_spec_check(&e, &m.spec, "x"), ERR_INPUT);
        if (strstr(e.message, bad[i].message) == NULL) fail_msg("%s", e.message);
        tokenizer_spec_fini(&m.spec);
    }
    struct errctx e = ERRCTX_INIT;
    struct maker m;
    make_small_bpe(&m);
    m.spec.merges[1] = (uint32_t)m.spec.vocab;
    assert_int_equal(tokenizer_spec_check(&e, &m.spec, "x"), ERR_INPUT);
    m.spec.merges[1] = 0; /* in range, but joins to bytes that are no token */
    struct tokenizer *t;
    struct errctx f = ERRCTX_INIT;
    assert_int_equal(tokenizer_new(&f, &m.spec, &t), ERR_INPUT);
    assert_non_null(strstr(f.message, "merge 0 joins"));
    m.spec.scores = calloc((size_t)m.spec.vocab, sizeof *m.spec.scores);
    struct errctx g = ERRCTX_INIT;
    assert_int_equal(tokenizer_spec_check(&g, &m.spec, "x"), ERR_INPUT);
    assert_non_null(strstr(g.message, "no use for tensor 'scores'"));
    tokenizer_spec_fini(&m.spec);
}

/* Each part of the specification in turn is what it must not be; the tables likewise. */
static void each_part_is_checked(void **state)
{
    (void)state;
    static const struct {
        const char *key, *json, *message;
    } bad[] = {
        {"normalizer", "{}", "key 'normalizer' is not a list"},
        {"normalizer", "[1]", "normalizer: an operation is not a map"},
        {"normalizer", "[{}]", "normalizer: "},
        {"normalizer", "[{\"op\":\"nfc\",\"form\":1}]", "operation 'nfc' has no parameter 'form'"},
        {"pretokenizer", "[{\"op\":\"regex\",\"pattern\":1}]",
         "operation 'regex': parameter 'pattern' has the wrong type"},
        {"pretokenizer", "[{\"op\":\"regex\",\"pattern\":\"a\\u0000b\"}]",
         "parameter 'pattern' has the wrong type"},
        {"model", "[]", "model: an operation is not a map"},
        {"model", "{\"op\":\"bpe\"}", "operation 'bpe': parameter 'byte_level' is missing"},
        {"model", "{\"op\":\"bpe\",\"byte_level\":1}", "parameter 'byte_level' has the wrong type"},
        {"model", "{\"op\":\"bpe\",\"byte_level\":false}", "bpe without a special token for 'unk'"},
        {"model", "{\"op\":\"wordpiece\",\"max_chars\":-1}",
         "parameter 'max_chars' has the wrong type"},
        {"model", "{\"op\":\"wordpiece\"}", "model: 'wordpiece' has no use for tensor 'merges'"},
        {"postprocessor", "[{\"op\":\"template\",\"before\":1,\"after\":[]}]",
         "parameter 'before' has the wrong type"},
        {"postprocessor", "[{\"op\":\"template\",\"before\":[1],\"after\":[]}]",
         "parameter 'before' has the wrong type"},
        {"postprocessor", "[{\"op\":\"template\",\"before\":[\"cls\"],\"after\":[]}]",
         "template: there is no special token for 'cls'"},
        {"postprocessor",
         "[{\"op\":\"template\",\"before\":[],\"after\":[]},"
         "{\"op\":\"template\",\"before\":[],\"after\":[]}]",
         "postprocessor: more than one operation"},
        {"special", "[]", "key 'special' is not a map"},
        {"special", "{\"king\":1}", "special: role 'king' is not known"},
        {"special", "{\"bos\":\"a\"}", "special: 'bos' is no id below"},
        {"special", "{\"bos\":1000000}", "special: 'bos' is no id below"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct errctx e = ERRCTX_INIT;
        struct maker m;
        make_small_bpe(&m);
        set_json(&m, bad[i].key, json_loads(bad[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
        assert_int_equal(tokenizer_spec_check(&e, &m.spec, "x"), ERR_INPUT);
        if (strstr(e.message, bad[i].message) == NULL)
            fail_msg("%s, not %s", e.message, bad[i].message);
        tokenizer_spec_fini(&m.spec);
    }
    for (int i = 0; i < 4; i++) {
        static const char *const messages[] = {"vocab.start does not begin with 0",
                                               "vocab.start falls at token 2",
                                               "a vocabulary of 0 tokens", "is not finite"};
        struct errctx e = ERRCTX_INIT;
        struct maker m;
        make_small_bpe(&m);
        int64_t vocab = m.spec.vocab;
        if (i == 0) m.spec.start[0] = 1;
        if (i == 1) m.spec.start[3] = 1;
        if (i == 2) m.spec.vocab = 0;
        if (i == 3) {
            m.spec.scores = calloc((size_t)vocab, sizeof *m.spec.scores);
            m.spec.scores[vocab - 1] = (float)INFINITY;
        }
        assert_int_equal(tokenizer_spec_check(&e, &m.spec, "x"), ERR_INPUT);
        if (strstr(e.message, messages[i]) == NULL) fail_msg("%s, not %s", e.message, messages[i]);
        tokenizer_spec_fini(&m.spec);
    }
}

/* ------------------------------------------------------------------ published files */

static bool slurp(const char *name, struct bytes *out)
{
    struct errctx e = ERRCTX_INIT;
    const char *folder = getenv("GRAFT_DATA");
    char path[4096];
    if (folder == NULL) return false;
    (void)snprintf(path, sizeof path, "%s/tokenizers/%s", folder, name);
    assert_int_equal(io_slurp(&e, path, (size_t)1 << 26, out), ERR_OK);
    return true;
}

static void import(const char *name, struct tokenizer_spec *spec)
{
    struct errctx e = ERRCTX_INIT;
    struct opt_list none = {0};
    struct import_tiktoken_cfg cfg = {.special = &none};
    struct bytes data = {0};
    assert_true(slurp(name, &data));
    if (import_tiktoken(&e, (const char *)data.data, data.len, &cfg, spec) != ERR_OK)
        fail_msg("%s", e.message);
    bytes_fini(&data);
}

/* TestPlans.txt: EncodingName, Sample, Encoded, and a blank line, again and again; a sample may
 * hold newlines. */
static size_t run_plans(const char *plans, const char *encoding, struct runner *r)
{
    size_t tests = 0;
    const char *p = plans;
    while ((p = strstr(p, "EncodingName: ")) != NULL) {
        const char *sample = strstr(p, "\nSample: ") + 9, *encoded = strstr(sample, "\nEncoded: ");
        bool mine = strncmp(p + 14, encoding, strlen(encoding)) == 0;
        p = encoded;
        if (!mine) continue;
        json_t *want = json_loadb(encoded + 10, strcspn(encoded + 10, "\n"), 0, NULL);
        assert_non_null(want);
        encode(r, sample, (size_t)(encoded - sample), false);
        same_ids(r, want, "a sample of TestPlans.txt");
        json_decref(want);
        tests++;
    }
    return tests;
}

static void tiktoken_vectors(void **state)
{
    (void)state;
    static const char *const files[] = {"r50k_base", "cl100k_base"};
    struct errctx e = ERRCTX_INIT;
    struct bytes plans = {0};
    if (!slurp("tiktoken/TestPlans.txt", &plans)) {
        print_message("skipped: GRAFT_DATA is not set\n");
        skip();
    }
    assert_int_equal(bytes_append(&e, &plans, "", 1), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct tokenizer_spec spec;
        struct runner r;
        char name[64];
        (void)snprintf(name, sizeof name, "tiktoken/%s.tiktoken", files[i]);
        import(name, &spec);
        assert_int_equal(tokenizer_spec_special(&spec, "eos"), i == 0 ? 50256 : 100257);
        runner_open(&r, &spec);
        assert_in_range(run_plans((const char *)plans.data, files[i], &r), 10, 1000);
        runner_close(&r);
        tokenizer_spec_fini(&spec);
    }
    bytes_fini(&plans);
}

/* The merges recovered from r50k's ranks are those that GPT-2 was published with. */
static void recovered_merges(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    const char *folder = getenv("GRAFT_DATA");
    struct tokenizer_spec spec;
    struct bytes published = {0};
    char path[4096];
    if (folder == NULL) {
        print_message("skipped: GRAFT_DATA is not set\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/tokenizers/gpt2/vocab.bpe", folder);
    assert_int_equal(io_slurp(&e, path, (size_t)1 << 26, &published), ERR_OK);
    import("tiktoken/r50k_base.tiktoken", &spec);
    assert_int_equal(spec.merges_count, 50000);
    const uint8_t *p = (uint8_t *)memchr(published.data, '\n', published.len) + 1;
    for (int64_t k = 0; k < 2 * spec.merges_count; k++) {
        uint32_t id = spec.merges[k];
        for (uint64_t i = spec.start[id]; i < spec.start[id + 1]; i++) {
            size_t len;
            uint32_t c = utf8_decode(p, &len), b = spec.bytes[i];
            bool shown = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
            uint32_t hidden = b <= 32 ? b : b == 0xad ? 67 : b - 0x7f + 33;
            assert_int_equal(c, shown ? b : 256 + hidden);
            p += len;
        }
        assert_int_equal(*p++, k % 2 == 0 ? ' ' : '\n');
    }
    tokenizer_spec_fini(&spec);
    bytes_fini(&published);
}

/* NAME.gguf.inp: texts, each followed by a line of its own; NAME.gguf.out: a line of ids for each.
 */
static void run_vectors(const char *name, struct runner *r)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    struct errctx e = ERRCTX_INIT;
    struct bytes texts = {0}, ids = {0};
    char file[64];
    size_t tests = 0;
    (void)snprintf(file, sizeof file, "gguf/%s.gguf.inp", name);
    assert_true(slurp(file, &texts));
    (void)snprintf(file, sizeof file, "gguf/%s.gguf.out", name);
    assert_true(slurp(file, &ids));
    assert_int_equal(bytes_append(&e, &texts, "", 1), ERR_OK);
    assert_int_equal(bytes_append(&e, &ids, "", 1), ERR_OK);
    const char *p = (const char *)texts.data, *want = (const char *)ids.data, *end;
    for (; (end = strstr(p, mark)) != NULL; p = end + strlen(mark), tests++) {
        encode(r, p, (size_t)(end - p), false);
        for (size_t i = 0; i < r->ids.count; i++) {
            char *after;
            unsigned long id = strtoul(want, &after, 10);
            if (after == want || id != r->ids.data[i])
                fail_msg("%s: text %zu, id %zu is %u, not %lu", name, tests, i, r->ids.data[i], id);
            want = after;
        }
        assert_int_equal(*want++, '\n');
    }
    assert_int_equal(tests, 46);
    bytes_fini(&texts);
    bytes_fini(&ids);
}

static void gpt2_vectors(void **state)
{
    (void)state;
    struct tokenizer_spec spec;
    struct runner r;
    if (getenv("GRAFT_DATA") == NULL) {
        print_message("skipped: GRAFT_DATA is not set\n");
        skip();
    }
    import("tiktoken/r50k_base.tiktoken", &spec);
    runner_open(&r, &spec);
    run_vectors("gpt-2", &r);
    runner_close(&r);
    tokenizer_spec_fini(&spec);
}

/* bert-base-uncased, its vocabulary in the order of ids. */
static void bert_vectors(void **state)
{
    (void)state;
    struct bytes data = {0};
    struct maker m;
    struct runner r;
    if (!slurp("bert-base-uncased/tokenizer.json", &data)) {
        print_message("skipped: GRAFT_DATA is not set\n");
        skip();
    }
    json_t *root = json_loadb((const char *)data.data, data.len, JSON_ALLOW_NUL, NULL), *id;
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab"), *c = json_object();
    json_t *ordered = json_array();
    const char *token;
    for (size_t i = 0; i < json_object_size(vocab); i++)
        json_array_append_new(ordered, json_null());
    json_object_foreach(vocab, token, id)
        json_array_set_new(ordered, (size_t)json_integer_value(id), json_string(token));
    json_object_set_new(c, "vocab", ordered);
    json_object_set_new(c, "lowercase", json_true());
    make_wordpiece(&m, c);
    int64_t unknown = 0;
    while (strcmp(json_string_value(json_array_get(ordered, (size_t)unknown)), "[UNK]") != 0)
        unknown++;
    set_unknown(&m, unknown);
    runner_open(&r, &m.spec);
    run_vectors("bert-bge", &r);
    for (size_t i = 0; i < case_count(); i++) {
        size_t n;
        const char *text = case_text(i, &n);
        encode(&r, text, n, false);
        same_ids(&r, json_array_get(json_object_get(cases, "bert-base-uncased"), i), text);
    }
    runner_close(&r);
    tokenizer_spec_fini(&m.spec);
    json_decref(c);
    json_decref(root);
    bytes_fini(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_as_peers),
        cmocka_unit_test(normal_forms_as_peers),
        cmocka_unit_test(bpe_as_tiktoken),
        cmocka_unit_test(long_words_cost_n_log_n),
        cmocka_unit_test(wordpiece_as_tokenizers),
        cmocka_unit_test(pairs_as_tokenizers),
        cmocka_unit_test(wordpiece_decodes_words),
        cmocka_unit_test(special_tokens_are_text_unless_asked),
        cmocka_unit_test(random_text_comes_back),
        cmocka_unit_test(broken_characters_are_replaced),
        cmocka_unit_test(borders_are_safe),
        cmocka_unit_test(long_words_are_quick),
        cmocka_unit_test(merging_is_its_definition),
        cmocka_unit_test(meaning_has_one_identity),
        cmocka_unit_test(bad_specifications_are_named),
        cmocka_unit_test(each_part_is_checked),
        cmocka_unit_test(tiktoken_vectors),
        cmocka_unit_test(recovered_merges),
        cmocka_unit_test(gpt2_vectors),
        cmocka_unit_test(bert_vectors),
    };
    return cmocka_run_group_tests(tests, load_cases, free_cases);
}
