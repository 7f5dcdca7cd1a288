/* SPDX-License-Identifier: Apache-2.0 */
/* test_tokenizer_export.c: tokenizers of every kind as tokenizer.json, read again: the same ids and
 * the same text of all short texts over a few letters. SentencePiece's scores become merges there,
 * which must join the same neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/convert/tokenizer_export.h"
#include "common/text/export_parts.h"
#include "common/text/import_regex.h"
#include "common/text/import_sentencepiece.h"
#include "common/text/import_tokenizer_json.h"
#include "common/text/tokenizer_run.h"

struct runner {
    struct tokenizer *t;
    struct tokenizer_scratch *s;
    struct id_list ids;
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
    bytes_fini(&r->text);
}

static void run(struct runner *r, const char *text)
{
    struct errctx e = ERRCTX_INIT;
    r->ids.count = r->text.len = 0;
    assert_int_equal(tokenizer_encode(&e, r->t, r->s, text, strlen(text), true, &r->ids, NULL),
                     ERR_OK);
    assert_int_equal(tokenizer_decode(&e, r->t, r->ids.data, r->ids.count, false, &r->text),
                     ERR_OK);
}

/* All texts of up to `most` of the letters. */
static void compare(const struct tokenizer_spec *a, const struct tokenizer_spec *b,
                    const char *letters, size_t most)
{
    struct runner x, y;
    const size_t k = strlen(letters);
    char text[16] = "";
    size_t count = 1;
    runner_open(&x, a);
    runner_open(&y, b);
    for (size_t n = 1; n <= most; n++) {
        count *= k;
        for (size_t i = 0; i < count; i++) {
            size_t rest = i;
            for (size_t at = 0; at < n; at++, rest /= k) text[at] = letters[rest % k];
            text[n] = 0;
            run(&x, text);
            run(&y, text);
            if (x.ids.count != y.ids.count ||
                memcmp(x.ids.data, y.ids.data, x.ids.count * sizeof *x.ids.data) != 0)
                fail_msg("other ids of '%s'", text);
            if (x.text.len != y.text.len || memcmp(x.text.data, y.text.data, x.text.len) != 0)
                fail_msg("other text of '%s'", text);
        }
    }
    runner_close(&x);
    runner_close(&y);
}

static void again(const struct tokenizer_spec *s, struct tokenizer_spec *out)
{
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_files f;
    if (tokenizer_files_make(&e, s, FORM_HF, false, &f) != ERR_OK) fail_msg("%s", e.message);
    if (import_tokenizer_json(&e, (const char *)f.items[0].text.data, f.items[0].text.len,
                              (const char *)f.items[1].text.data, f.items[1].text.len,
                              out) != ERR_OK)
        fail_msg("%s", e.message);
    tokenizer_files_fini(&f);
}

/* ------------------------------------------------------------------ SentencePiece */

#define MARK "\u2581"

static void of_pieces(const struct sentencepiece_piece *pieces, size_t n, bool unigram,
                      bool collapses, struct tokenizer_spec *out)
{
    struct errctx e = ERRCTX_INIT;
    struct sentencepiece_piece copy[32];
    struct sentencepiece_model m = {.unigram = unigram,
                                    .pieces = copy,
                                    .count = n,
                                    .dummy_prefix = true,
                                    .remove_extra_whitespaces = collapses};
    struct mp_value special;
    assert_true(n <= ARRAY_LEN(copy));
    for (size_t i = 0; i < n; i++) {
        copy[i] = pieces[i];
        copy[i].n = strlen(pieces[i].text);
    }
    mp_map_init(&special);
    tokenizer_spec_init(out);
    assert_int_equal(mp_set_int(&e, &special, "unk", 0), ERR_OK);
    if (import_pieces(&e, &m, false, &special, out) != ERR_OK) fail_msg("%s", e.message);
    mp_fini(&special);
}

#define UNKNOWN                                                                                    \
    {                                                                                              \
        .text = "<unk>", .type = PIECE_UNKNOWN                                                     \
    }
#define PIECE(t, s)                                                                                \
    {                                                                                              \
        .text = t, .score = s, .type = PIECE_NORMAL                                                \
    }

/* Tokens that overlap with themselves, runs, and runs of one score. */
static void scores_become_merges(void **state)
{
    (void)state;
    static const struct sentencepiece_piece pieces[] = {
        UNKNOWN,           PIECE("aba", 0),     PIECE("ab", -1),      PIECE("ba", -2),
        PIECE("aa", -3),   PIECE("aaa", -4),    PIECE("ababa", -5),   PIECE("abab", -6),
        PIECE("bab", -7),  PIECE(MARK "a", -8), PIECE(MARK MARK, -9), PIECE("bb", -10),
        PIECE("bbb", -10), PIECE("bbbb", -10),  PIECE("a", -11),      PIECE("b", -12),
        PIECE(MARK, -13)};
    struct tokenizer_spec s, back;
    of_pieces(pieces, ARRAY_LEN(pieces), false, false, &s);
    again(&s, &back);
    assert_null(back.scores);
    compare(&s, &back, "ab ", 9);
    tokenizer_spec_fini(&back);
    tokenizer_spec_fini(&s);
}

static void scores_that_have_no_order(void **state)
{
    (void)state;
    static const struct sentencepiece_piece pieces[] = {
        UNKNOWN, PIECE("ab", -1), PIECE("ba", -1), PIECE("a", -2), PIECE("b", -3), PIECE(MARK, -4)};
    struct errctx e = ERRCTX_INIT;
    struct tokenizer_spec s;
    struct tokenizer_files f;
    of_pieces(pieces, ARRAY_LEN(pieces), false, false, &s);
    assert_int_equal(tokenizer_files_make(&e, &s, FORM_HF, false, &f), ERR_INPUT);
    assert_non_null(strstr(e.message, "one score"));
    tokenizer_files_fini(&f);
    tokenizer_spec_fini(&s);
}

/* A hole, spaces that are collapsed, a space in front of the text only. */
static void unigram(void **state)
{
    (void)state;
    static const struct sentencepiece_piece pieces[] = {
        UNKNOWN,
        PIECE(MARK "a", -1.5f),
        PIECE("ab", -1.75f),
        {.text = "gone", .score = -2, .type = PIECE_UNUSED},
        PIECE("a", -3),
        PIECE("b", -3.125f),
        PIECE(MARK, -2.5f),
        {.text = "c", .score = 0, .type = PIECE_USER_DEFINED}};
    struct tokenizer_spec s, back;
    uint8_t ids[2][16];
    for (int collapses = 0; collapses < 2; collapses++) {
        of_pieces(pieces, ARRAY_LEN(pieces), true, collapses, &s);
        again(&s, &back);
        compare(&s, &back, "abc d", 6);
        tokenizer_spec_id(&s, ids[0]);
        tokenizer_spec_id(&back, ids[1]);
        assert_memory_equal(ids[0], ids[1], 16);
        tokenizer_spec_fini(&back);
        tokenizer_spec_fini(&s);
    }
}

/* ------------------------------------------------------------------ expressions */

static void expressions(void **state)
{
    (void)state;
    static const char *const same[] = {"\\s+(?!\\S)|[^\\s\\w]+|\\w", "$|^|[$^]",
                                       "\\p{L}++| ?\\d{2,3}", "[\\]\\-a]|\\\\|(?i:ab)|(?<!x)y"};
    static const char *const refused[] = {"\\bx", "a{2}+", "(?s).", "[[:alpha:]]", "\\h"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++) { /* there and back, and there again */
        struct errctx e = ERRCTX_INIT;
        struct bytes in = {0}, out = {0};
        assert_int_equal(import_regex(&e, same[i], &in), ERR_OK);
        assert_int_equal(export_regex(&e, (const char *)in.data, &out), ERR_OK);
        assert_string_equal((const char *)out.data, same[i]);
        bytes_fini(&in);
        bytes_fini(&out);
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct errctx e = ERRCTX_INIT;
        struct bytes out = {0};
        assert_int_equal(export_regex(&e, refused[i], &out), ERR_INPUT);
        bytes_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_become_merges),
        cmocka_unit_test(scores_that_have_no_order),
        cmocka_unit_test(unigram),
        cmocka_unit_test(expressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
