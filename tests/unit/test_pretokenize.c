/* SPDX-License-Identifier: Apache-2.0 */
/* test_pretokenize.c: the scanners written by hand against the expressions that define them, run by
 * PCRE2: on every code point in several surroundings, and on random mixtures of what the
 * expressions tell apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/base/rng.h"
#include "common/text/ops_build.h"
#include "common/text/pretokenize.h"
#include "common/text/unicode_class.h"
#include "common/text/utf8.h"
#include "tests/thin.h"

static const char *const scanned[] = {"gpt2", "cl100k", "llama3"};

struct cutter {
    struct mp_value list;
    struct pretokenizer *p;
    struct pretokenizer_cursor *c;
};

static void cutter_open(struct cutter *k, const char *name, const char *regex)
{
    struct errctx e = ERRCTX_INIT;
    mp_array_init(&k->list);
    assert_int_equal(ops_pretokenizer(&e, &k->list, name, regex), ERR_OK);
    if (pretokenizer_new(&e, &k->list, &k->p) != ERR_OK) fail_msg("%s", e.message);
    assert_int_equal(pretokenizer_cursor_new(&e, k->p, &k->c), ERR_OK);
}

static void cutter_close(struct cutter *k)
{
    pretokenizer_cursor_free(k->c);
    pretokenizer_free(k->p);
    mp_fini(&k->list);
}

static size_t next(struct cutter *k)
{
    struct errctx e = ERRCTX_INIT;
    struct piece piece;
    size_t count;
    assert_int_equal(pretokenizer_next(&e, k->c, &piece, 1, &count), ERR_OK);
    return count > 0 ? piece.to : SIZE_MAX;
}

static void compare(const char *name, struct cutter *scanner, struct cutter *regex,
                    const uint8_t *text, size_t n)
{
    pretokenizer_start(scanner->c, text, n);
    pretokenizer_start(regex->c, text, n);
    for (size_t a = 0, b; a != SIZE_MAX;) {
        a = next(scanner);
        b = next(regex);
        if (a == b) continue;
        char hex[200] = "";
        for (size_t i = 0; i < n && i < 60; i++) (void)snprintf(hex + 3 * i, 4, "%02x ", text[i]);
        fail_msg("%s: a piece ends at %zu, not at %zu, of %s", name, a, b, hex);
    }
}

/* Whether PCRE2's Unicode and utf8proc's agree about a character: the versions may differ. */
struct classes {
    pcre2_code *code[3];
    pcre2_match_data *match;
};

static bool agrees(const struct classes *k, const uint8_t *s, size_t n, uint32_t c)
{
    uint8_t class = unicode_class_of(c), theirs = UNICODE_OTHER;
    for (int i = 0; i < 3; i++)
        if (pcre2_match(k->code[i], s, n, 0, 0, k->match, NULL) > 0) theirs = (uint8_t)(1 << i);
    return (class & (UNICODE_LETTER | UNICODE_NUMBER | UNICODE_SPACE | UNICODE_OTHER)) == theirs;
}

/* The character to be tried after c. */
static uint32_t next_character(uint32_t c, bool thin)
{
    return c + (!thin ? 1 : c < 0x250 ? 1 : c < 0x3100 ? 7 : 101);
}

/* Marks the characters about which the two agree; all but a few thousand that a version of Unicode
 * added. */
static void find_agreed(uint8_t *agreed)
{
    static const char *const patterns[] = {"^\\p{L}$", "^\\p{N}$", "^[\\p{Z}\\t-\\r\\x{85}]$"};
    struct classes k;
    size_t unlike = 0;
    int code;
    PCRE2_SIZE at;
    for (int i = 0; i < 3; i++) {
        k.code[i] = pcre2_compile((PCRE2_SPTR)patterns[i], PCRE2_ZERO_TERMINATED,
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
        assert_non_null(k.code[i]);
        (void)pcre2_jit_compile(k.code[i], PCRE2_JIT_COMPLETE);
    }
    k.match = pcre2_match_data_create(1, NULL);
    const bool thin = thin_any();
    for (uint32_t c = 0; c < 0x110000; c = next_character(c, thin)) {
        uint8_t one[4];
        if (c >= 0xd800 && c < 0xe000) continue;
        agreed[c] = c < 0x80 || agrees(&k, one, utf8_encode(c, one), c);
        unlike += !agreed[c];
    }
    assert_in_range(unlike, 0, 12000);
    for (int i = 0; i < 3; i++) pcre2_code_free(k.code[i]);
    pcre2_match_data_free(k.match);
}

/* Up to the ideographs each character in every surrounding, then each in one of them, by turns. */
static void every_character(void **state)
{
    (void)state;
    static const char *const around[][2] = {
        {"", ""},  {"a", "b"},   {" ", " "}, {"'", "s"},    {"\n", "a"},   {"1", "2"},
        {" ", ""}, {"", "\r\n"}, {"!", "!"}, {"a \n", " "}, {"'s", " 's"}, {"  ", "'ll"}};
    const bool thin = thin_any();
    uint8_t *agreed = calloc(0x110000, 1);
    find_agreed(agreed);
    for (size_t s = 0; s < ARRAY_LEN(scanned); s++) {
        struct cutter scanner, regex;
        cutter_open(&scanner, scanned[s], NULL);
        cutter_open(&regex, NULL, pretokenizer_pattern(scanned[s]));
        for (uint32_t c = 0; c < 0x110000; c = next_character(c, thin)) {
            size_t first = c < 0x3100 ? 0 : c % ARRAY_LEN(around);
            size_t last = c < 0x3100 ? ARRAY_LEN(around) : first + 1;
            for (size_t i = first; agreed[c] && i < last; i++) {
                uint8_t text[32];
                size_t n = strlen(around[i][0]);
                memcpy(text, around[i][0], n);
                n += utf8_encode(c, text + n);
                memcpy(text + n, around[i][1], strlen(around[i][1]));
                compare(scanned[s], &scanner, &regex, text, n + strlen(around[i][1]));
            }
        }
        cutter_close(&scanner);
        cutter_close(&regex);
    }
    free(agreed);
}

/* What the expressions treat differently */
static const char *const parts[] = {"'s",
                                    "'S",
                                    "'\xc5\xbf",
                                    "'ll",
                                    "'Re",
                                    "'vE",
                                    "'",
                                    " ",
                                    "  ",
                                    "\n",
                                    "\r",
                                    "\r\n",
                                    "\t",
                                    "\xc2\xa0",
                                    "\xe3\x80\x80",
                                    "\xe1\xa0\x8e",
                                    "\xc2\x85",
                                    "a",
                                    "Z",
                                    "word",
                                    "\xc3\xa9",
                                    "\xe4\xb8\xad",
                                    "\xd7\x90",
                                    "1",
                                    "23",
                                    "\xdb\xb3",
                                    "\xc2\xbd",
                                    "\xe2\x85\xa7",
                                    "!",
                                    "...",
                                    "_",
                                    "\xf0\x9f\x99\x82",
                                    "\xcc\x81",
                                    "\x01",
                                    "\xe2\x80\xa8",
                                    "/"};

static void random_mixtures(void **state)
{
    (void)state;
    struct rng_key key = rng_key_make(3, RNG_TEST);
    const uint32_t count = thin_any() ? 4000 : 60000;
    for (size_t s = 0; s < ARRAY_LEN(scanned); s++) {
        struct cutter scanner, regex;
        cutter_open(&scanner, scanned[s], NULL);
        cutter_open(&regex, NULL, pretokenizer_pattern(scanned[s]));
        for (uint32_t i = 0; i < count; i++) {
            uint8_t text[160];
            size_t n = 0;
            for (uint32_t k = 0; k <= i % 12; k++) {
                uint32_t w[4];
                rng_philox(key, (uint32_t[]){i, k, 0, 0}, w);
                const char *part = parts[w[0] % ARRAY_LEN(parts)];
                memcpy(text + n, part, strlen(part));
                n += strlen(part);
            }
            compare(scanned[s], &scanner, &regex, text, n);
        }
        cutter_close(&scanner);
        cutter_close(&regex);
    }
}

/* Texts over which a scanner goes by blocks: many pieces are asked for at once. Words and blanks,
 * with one in `rarely` of the rest between them, so that some blocks have no exception and some
 * have many. */
static void long_mixtures(void **state)
{
    (void)state;
    static const char *const plain[] = {"word", " ", " and", "a", "'s", " 12", ".\n", "\n\n  "};
    struct rng_key key = rng_key_make(4, RNG_TEST);
    const uint32_t count = thin_any() ? 500 : 6000;
    struct cutter scanner, regex;
    cutter_open(&scanner, "gpt2", NULL);
    cutter_open(&regex, NULL, pretokenizer_pattern("gpt2"));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t text[2048];
        struct piece pieces[200];
        struct errctx e = ERRCTX_INIT;
        const uint32_t rarely = (uint32_t)1 << i % 6, room = 64 + i % 137;
        size_t n = 0, got;
        for (uint32_t k = 0; k < i % 300; k++) {
            uint32_t w[4];
            rng_philox(key, (uint32_t[]){i, k, 0, 0}, w);
            const char *part = w[0] % rarely == 0 ? parts[w[1] % ARRAY_LEN(parts)]
                                                  : plain[w[1] % ARRAY_LEN(plain)];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        pretokenizer_start(scanner.c, text, n);
        pretokenizer_start(regex.c, text, n);
        do {
            assert_int_equal(pretokenizer_next(&e, scanner.c, pieces, room, &got), ERR_OK);
            for (size_t k = 0; k < got; k++) {
                size_t end = next(&regex);
                if (pieces[k].to != end)
                    fail_msg("text %u: the piece at %zu ends at %zu, not at %zu", i, pieces[k].from,
                             pieces[k].to, end);
            }
        } while (got > 0);
        assert_int_equal(next(&regex), SIZE_MAX);
    }
    cutter_close(&scanner);
    cutter_close(&regex);
}

static void lists_cut_pieces_again(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct mp_value list, more;
    struct cutter k;
    static const char text[] = "ab12 cd345";
    static const size_t ends[] = {2, 3, 4, 7, 8, 9, 10};
    mp_array_init(&list);
    mp_array_init(&more);
    assert_int_equal(ops_pretokenizer(&e, &list, "gpt2", NULL), ERR_OK);
    assert_int_equal(ops_pretokenizer(&e, &more, NULL, "\\p{N}"), ERR_OK);
    assert_int_equal(mp_append(&e, &list, &more.as.list.items[0]), ERR_OK);
    assert_int_equal(pretokenizer_new(&e, &list, &k.p), ERR_OK);
    assert_int_equal(pretokenizer_cursor_new(&e, k.p, &k.c), ERR_OK);
    pretokenizer_start(k.c, (const uint8_t *)text, strlen(text));
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) assert_int_equal(next(&k), ends[i]);
    assert_int_equal(next(&k), SIZE_MAX);
    k.list = list;
    cutter_close(&k);
    mp_fini(&more);
}

static void bad_expressions_are_named(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct mp_value list;
    struct pretokenizer *p;
    mp_array_init(&list);
    assert_int_equal(ops_pretokenizer(&e, &list, NULL, "a(b"), ERR_OK);
    assert_int_equal(pretokenizer_new(&e, &list, &p), ERR_INPUT);
    assert_non_null(strstr(e.message, "'a(b', byte 3"));
    mp_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character),
        cmocka_unit_test(random_mixtures),
        cmocka_unit_test(long_mixtures),
        cmocka_unit_test(lists_cut_pieces_again),
        cmocka_unit_test(bad_expressions_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
