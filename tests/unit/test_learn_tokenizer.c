/* SPDX-License-Identifier: Apache-2.0 */
/* test_learn_tokenizer.c: learning against its definition (count every pair, merge the best, begin
 * again), the order of ids, independence of threads and pieces, and with GRAFT_DATA a published
 * reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/rng.h"
#include "common/text/bpe_merges.h"
#include "common/text/learn_tokenizer.h"
#include "common/text/utf8.h"
#include "tests/thin.h"

/* ------------------------------------------------------------------ the definition */

enum { WORDS = 200, LETTERS = 24, MERGES = 120 };

struct slow_word {
    int tokens[LETTERS], n;
    uint64_t count;
};

struct slow {
    struct slow_word words[WORDS];
    int count;
    char text[256 + MERGES][256];
    int len[256 + MERGES];
};

static int compare(const struct slow *s, int a, int b)
{
    int n = s->len[a] < s->len[b] ? s->len[a] : s->len[b];
    int order = memcmp(s->text[a], s->text[b], (size_t)n);
    return order != 0 ? order : s->len[a] - s->len[b];
}

static uint64_t count_pair(const struct slow *s, int left, int right)
{
    uint64_t total = 0;
    for (int w = 0; w < s->count; w++)
        for (int i = 0; i + 1 < s->words[w].n; i++)
            if (s->words[w].tokens[i] == left && s->words[w].tokens[i + 1] == right)
                total += s->words[w].count;
    return total;
}

static bool best_pair(const struct slow *s, uint64_t least, int *left, int *right)
{
    uint64_t best = 0;
    for (int w = 0; w < s->count; w++)
        for (int i = 0; i + 1 < s->words[w].n; i++) {
            int a = s->words[w].tokens[i], b = s->words[w].tokens[i + 1];
            uint64_t n = count_pair(s, a, b);
            int order = best == 0 ? 1 : compare(s, a, *left);
            if (order == 0) order = compare(s, b, *right);
            if (n < least || n < best || (n == best && order <= 0)) continue;
            best = n;
            *left = a;
            *right = b;
        }
    return best > 0;
}

static void merge_all(struct slow *s, int left, int right, int token)
{
    for (int w = 0; w < s->count; w++) {
        struct slow_word *word = &s->words[w];
        int to = 0;
        for (int i = 0; i < word->n; to++) {
            bool here = i + 1 < word->n && word->tokens[i] == left && word->tokens[i + 1] == right;
            word->tokens[to] = here ? token : word->tokens[i];
            i += here ? 2 : 1;
        }
        word->n = to;
    }
    memcpy(s->text[token], s->text[left], (size_t)s->len[left]);
    memcpy(s->text[token] + s->len[left], s->text[right], (size_t)s->len[right]);
    s->len[token] = s->len[left] + s->len[right];
}

/* Words over few letters, so that runs, overlaps and ties abound. */
static void make_words(struct slow *s, struct word_table *t, uint32_t seed)
{
    struct errctx e = ERRCTX_INIT;
    struct rng_key key = rng_key_make(seed, RNG_TEST);
    memset(s, 0, sizeof *s);
    for (int b = 0; b < 256; b++) {
        s->text[b][0] = (char)b;
        s->len[b] = 1;
    }
    s->count = WORDS;
    for (int w = 0; w < WORDS; w++) {
        uint8_t letters[LETTERS];
        uint32_t r[4];
        rng_philox(key, (uint32_t[]){(uint32_t)w, 0, 0, 0}, r);
        s->words[w].n = 1 + (int)(r[0] % LETTERS);
        s->words[w].count = 1 + r[1] % 4;
        for (int i = 0; i < s->words[w].n; i++) {
            rng_philox(key, (uint32_t[]){(uint32_t)w, 1, (uint32_t)i, 0}, r);
            letters[i] = (uint8_t)("aab\xff"[r[0] % (seed % 2 == 0 ? 2 : 4)]);
            s->words[w].tokens[i] = letters[i];
        }
        assert_int_equal(word_table_add(&e, t, letters, (size_t)s->words[w].n, s->words[w].count),
                         ERR_OK);
    }
}

static void learning_is_its_definition(void **state)
{
    (void)state;
    static struct slow s;
    const uint32_t seeds = thin_any() ? 2 : 8;
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        struct errctx e = ERRCTX_INIT;
        struct word_table t = {0};
        struct merge_list m;
        uint64_t least = seed % 4 == 3 ? 5 : 1;
        int left = 0, right = 0, k = 0;
        make_words(&s, &t, seed);
        assert_int_equal(bpe_merges_learn(&e, &t, MERGES, least, &m), ERR_OK);
        for (; k < MERGES && best_pair(&s, least, &left, &right); k++) {
            assert_in_range(k, 0, m.count - 1);
            if (m.pairs[2 * k] != (uint32_t)left || m.pairs[2 * k + 1] != (uint32_t)right)
                fail_msg("seed %u, merge %d: %u %u, not %d %d", seed, k, m.pairs[2 * k],
                         m.pairs[2 * k + 1], left, right);
            merge_all(&s, left, right, 256 + k);
        }
        assert_int_equal(m.count, k);
        merge_list_fini(&m);
        word_table_fini(&t);
    }
}

/* ------------------------------------------------------------------ text */

static struct learn_cfg cfg_of(int64_t vocab, int threads)
{
    static const char *const end[] = {"<|endoftext|>"};
    return (struct learn_cfg){.vocab = vocab,
                              .min_count = 1,
                              .pattern = "gpt2",
                              .special = end,
                              .special_count = 1,
                              .threads = threads};
}

static void learn(const struct learn_cfg *cfg, const char *text, size_t n, size_t piece,
                  struct tokenizer_spec *out)
{
    struct errctx e = ERRCTX_INIT;
    struct learner *l;
    assert_int_equal(learner_new(&e, cfg, &l), ERR_OK);
    for (size_t at = 0; at < n; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        assert_int_equal(learner_text(&e, l, text + at, len, at + len == n), ERR_OK);
    }
    if (learner_finish(&e, l, out) != ERR_OK) fail_msg("%s", e.message);
    learner_free(l);
}

/* Some megabytes of words, in which the same ones come again. */
static char *make_text(size_t n)
{
    struct rng_key key = rng_key_make(5, RNG_TEST);
    char *text = malloc(n + 16);
    size_t at = 0;
    for (uint32_t i = 0; at < n; i++) {
        uint32_t w[4];
        rng_philox(key, (uint32_t[]){i, 0, 0, 0}, w);
        uint32_t word = w[0] % 4000 < 3000 ? w[0] % 50 : w[0] % 4000;
        for (uint32_t k = 0; k <= word % 7; k++) text[at++] = (char)('a' + (word * (k + 3)) % 26);
        text[at++] = w[1] % 20 == 0 ? '\n' : w[1] % 9 == 0 ? '.' : ' ';
    }
    return text;
}

static void threads_and_pieces_do_not_matter(void **state)
{
    (void)state;
    size_t n = 6 << 20;
    char *text = make_text(n);
    uint8_t first[16], id[16];
    for (int i = 0; i < 3; i++) {
        struct learn_cfg cfg = cfg_of(600, i == 0 ? 1 : 3);
        struct tokenizer_spec s;
        learn(&cfg, text, n, i < 2 ? n : 100003, &s);
        tokenizer_spec_id(&s, i == 0 ? first : id);
        if (i > 0) assert_memory_equal(first, id, 16);
        tokenizer_spec_fini(&s);
    }
    free(text);
}

/* The pieces of a Unigram model: as many as asked for, the best first, whatever the threads. */
static void unigram_is_the_same_each_time(void **state)
{
    (void)state;
    static const char *const special[] = {"unk=<unk>"};
    size_t n = 60000;
    char *text = make_text(n);
    uint8_t first[16], id[16];
    for (int i = 0; i < 3; i++) {
        struct learn_cfg cfg = cfg_of(400, i == 0 ? 1 : 3);
        struct tokenizer_spec s;
        cfg.unigram = true;
        cfg.special = special;
        learn(&cfg, text, n, i < 2 ? n : 1003, &s);
        assert_int_equal(s.vocab, 400);
        assert_int_equal(s.flags[1 + 'a'], TOKEN_BYTE);
        for (int64_t k = 258; k < s.vocab; k++) assert_true(s.scores[k] <= s.scores[k - 1]);
        tokenizer_spec_id(&s, i == 0 ? first : id);
        if (i > 0) assert_memory_equal(first, id, 16);
        tokenizer_spec_fini(&s);
    }
    free(text);
}

/* A word that is longer than the pieces that are counted at once is one word. */
static void long_words_stay_whole(void **state)
{
    (void)state;
    size_t n = 700 << 10;
    char *text = malloc(n);
    uint8_t id[2][16];
    for (size_t i = 0; i < n; i++) text[i] = "abcab"[(i * i / 3) % 5];
    for (int i = 0; i < 2; i++) {
        struct learn_cfg cfg = cfg_of(300, 2);
        struct tokenizer_spec s;
        learn(&cfg, text, n, i == 0 ? n : 1 << 18, &s);
        tokenizer_spec_id(&s, id[i]);
        tokenizer_spec_fini(&s);
    }
    assert_memory_equal(id[0], id[1], 16);
    free(text);
}

static void assert_token(const struct tokenizer_spec *s, int64_t id, const char *text)
{
    size_t n = (size_t)(s->start[id + 1] - s->start[id]);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(s->bytes + s->start[id], text, n);
}

static void ids_are_specials_bytes_merges(void **state)
{
    (void)state;
    static const char *const special[] = {"mask=[M]", "<|endoftext|>", "plain"};
    struct learn_cfg cfg = cfg_of(262, 1);
    struct tokenizer_spec s;
    const char *text = "abab abab [M][M] plain plain plain";
    cfg.special = special;
    cfg.special_count = 3;
    learn(&cfg, text, strlen(text), strlen(text), &s);
    assert_int_equal(s.vocab, 262);
    assert_int_equal(tokenizer_spec_special(&s, "mask"), 0);
    assert_int_equal(tokenizer_spec_special(&s, "eos"), 1);
    assert_int_equal(tokenizer_spec_special(&s, "bos"), -1);
    assert_token(&s, 0, "[M]");
    assert_token(&s, 2, "plain");
    assert_int_equal(s.flags[2], TOKEN_SPECIAL | TOKEN_ADDED);
    assert_token(&s, 3, "!");
    assert_token(&s, 3 + 187, "\xff");
    assert_int_equal(s.bytes[s.start[3 + 188]], 0);
    assert_token(&s, 259,
                 "ab"); /* special tokens are no words: "[M" or "pl" would be as frequent */
    assert_token(&s, 260, "abab");
    assert_token(&s, 261, " abab");
    tokenizer_spec_fini(&s);
}

static void cls_and_sep_make_an_encoder(void **state)
{
    (void)state;
    static const char *const special[] = {"cls=[C]", "sep=[S]"};
    struct learn_cfg cfg = cfg_of(260, 1);
    struct tokenizer_spec s;
    cfg.special = special;
    cfg.special_count = 2;
    learn(&cfg, "abab", 4, 4, &s);
    assert_true(tokenizer_spec_is_encoder(&s));
    tokenizer_spec_fini(&s);
    cfg.special_count = 1;
    learn(&cfg, "abab", 4, 4, &s);
    assert_false(tokenizer_spec_is_encoder(&s));
    tokenizer_spec_fini(&s);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const char *const twice[] = {"x", "eos=x"}, *const role[] = {"eos=a", "eos=b"},
                             *const empty[] = {"bos="};
    static const struct {
        const char *const *special;
        size_t count;
        int64_t vocab;
        const char *message;
    } bad[] = {{twice, 2, 300, "given twice"},
               {role, 2, 300, "another token for 'eos'"},
               {empty, 1, 300, "is empty"},
               {twice, 1, 256, "need 257 ids"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct errctx e = ERRCTX_INIT;
        struct learn_cfg cfg = cfg_of(bad[i].vocab, 1);
        struct learner *l;
        cfg.special = bad[i].special;
        cfg.special_count = bad[i].count;
        assert_int_equal(learner_new(&e, &cfg, &l), ERR_USAGE);
        if (strstr(e.message, bad[i].message) == NULL) fail_msg("%s", e.message);
    }
}

/* ------------------------------------------------------------------ the reference */

/* A byte as GPT-2 shows it. */
static uint32_t shown(uint8_t b)
{
    if ((b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae) return b;
    return 256u + (b <= 32 ? b : b == 0xad ? 67u : b - 0x7fu + 33u);
}

static size_t show(const struct tokenizer_spec *s, uint32_t id, char *out)
{
    size_t n = 0;
    for (uint64_t i = s->start[id]; i < s->start[id + 1]; i++)
        n += utf8_encode(shown(s->bytes[i]), (uint8_t *)out + n);
    out[n] = 0;
    return n;
}

static void published_reference(void **state)
{
    (void)state;
    const char *folder = getenv("GRAFT_DATA");
    struct errctx e = ERRCTX_INIT;
    struct learn_cfg cfg = cfg_of(500, 2);
    struct tokenizer_spec s;
    struct bytes corpus = {0}, merges = {0};
    char path[4096], left[256], line[600];
    if (folder == NULL) {
        print_message("skipped: GRAFT_DATA is not set\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/tokenizers/bpe-training/corpus.en", folder);
    assert_int_equal(io_slurp(&e, path, 1 << 20, &corpus), ERR_OK);
    (void)snprintf(path, sizeof path, "%s/tokenizers/bpe-training/train-bpe-reference-merges.txt",
                   folder);
    assert_int_equal(io_slurp(&e, path, 1 << 20, &merges), ERR_OK);
    assert_int_equal(bytes_append(&e, &merges, "\n", 2), ERR_OK);
    learn(&cfg, (const char *)corpus.data, corpus.len, corpus.len, &s);
    assert_int_equal(s.merges_count, 243);
    const char *p = (const char *)merges.data;
    for (int64_t k = 0; k < 243; k++) {
        (void)show(&s, s.merges[2 * k], left);
        (void)snprintf(line, sizeof line, "%s ", left);
        (void)show(&s, s.merges[2 * k + 1], line + strlen(line));
        size_t n = strcspn(p, "\n");
        if (n != strlen(line) || memcmp(p, line, n) != 0)
            fail_msg("merge %d is '%s', not '%.*s'", (int)k, line, (int)n, p);
        p += n + 1;
    }
    (void)snprintf(path, sizeof path, "%s/tokenizers/bpe-training/train-bpe-reference-vocab.json",
                   folder);
    json_t *vocab = json_load_file(path, 0, NULL), *id;
    const char *token;
    assert_int_equal(json_object_size(vocab), 500);
    json_object_foreach(vocab, token, id)
    {
        (void)show(&s, (uint32_t)json_integer_value(id), line);
        assert_string_equal(line, token);
    }
    json_decref(vocab);
    tokenizer_spec_fini(&s);
    bytes_fini(&corpus);
    bytes_fini(&merges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learning_is_its_definition),
        cmocka_unit_test(threads_and_pieces_do_not_matter),
        cmocka_unit_test(unigram_is_the_same_each_time),
        cmocka_unit_test(long_words_stay_whole),
        cmocka_unit_test(ids_are_specials_bytes_merges),
        cmocka_unit_test(cls_and_sep_make_an_encoder),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(published_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
