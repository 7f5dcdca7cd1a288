/* SPDX-License-Identifier: Apache-2.0 */
/* test_msgpack.c: hostile msgpack is refused before anything is allocated for it; trees survive the
 * way to bytes and to JSON and back; elements survive as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/element.h"
#include "formats/mp_json.h"
#include "formats/msgpack.h"

static enum err check(const char *bytes, size_t n, size_t *used)
{
    struct errctx e = ERRCTX_INIT;
    return mp_check(&e, (const uint8_t *)bytes, n, used);
}

#define REFUSED(bytes)                                                                             \
    do {                                                                                           \
        size_t used_;                                                                              \
        assert_int_equal(check(bytes, sizeof(bytes) - 1, &used_), ERR_INPUT);                      \
    } while (0)
#define FINE(bytes)                                                                                \
    do {                                                                                           \
        size_t used_;                                                                              \
        assert_int_equal(check(bytes, sizeof(bytes) - 1, &used_), ERR_OK);                         \
        assert_int_equal(used_, sizeof(bytes) - 1);                                                \
    } while (0)

static void test_hostile(void **state)
{
    (void)state;
    REFUSED("");
    REFUSED("\xc1");     /* never used */
    REFUSED("\xd4\1\0"); /* an extension */
    REFUSED("\xc7\0\0");
    REFUSED("\xcd\1");               /* a number cut short */
    REFUSED("\xa5hell");             /* a string cut short */
    REFUSED("\xc6\xff\xff\xff\xff"); /* 4 GiB that are not there */
    REFUSED("\xdd\xff\xff\xff\xff"); /* 4 G items */
    REFUSED("\xdf\xff\xff\xff\xff");
    REFUSED("\xdd\0\0\0\5\1\1\1\1"); /* one item too few */
    REFUSED("\x81\1\1");             /* a key that is no string */
    REFUSED("\x81\xa1"
            "a"); /* a key without value */
    REFUSED("\x82\xa1"
            "a\1\xa1"
            "a\2"); /* the same key twice */
    REFUSED("\x81\xa2"
            "a\0\1");                /* NUL in a key */
    REFUSED("\xa1\x80");             /* not UTF-8 */
    REFUSED("\xa2\xc0\x80");         /* longer than needed */
    REFUSED("\xa3\xed\xa0\x80");     /* a surrogate */
    REFUSED("\xa4\xf4\x90\x80\x80"); /* over U+10FFFF */
    FINE("\xa4\xf4\x8f\xbf\xbf");
    FINE("\xa3\0a\0");
    FINE("\xc0");
    FINE("\x82\xa1"
         "a\1\xa1"
         "b\x92\xc3\xc4\1\xff");
    FINE("\xcb\0\0\0\0\0\0\0\0");
    FINE("\xff");
}

static void test_depth_and_size(void **state)
{
    (void)state;
    char deep[64];
    size_t used;
    memset(deep, 0x91, sizeof deep);
    deep[MP_MAX_DEPTH] = 1;
    assert_int_equal(check(deep, MP_MAX_DEPTH + 1, &used), ERR_OK);
    deep[MP_MAX_DEPTH] = (char)0x91;
    deep[MP_MAX_DEPTH + 1] = 1;
    assert_int_equal(check(deep, MP_MAX_DEPTH + 2, &used), ERR_INPUT);

    size_t n = MP_MAX_VALUES + 10;
    char *many = calloc(1, n + 5);
    many[0] = (char)0xdd;
    for (int i = 0; i < 4; i++) many[1 + i] = (char)(n >> (24 - 8 * i));
    assert_int_equal(check(many, n + 5, &used), ERR_INPUT);
    free(many);
}

/* Every prefix of a sound value is refused, and no byte beyond it is looked at (ASan would tell).
 */
static void test_prefixes(void **state)
{
    (void)state;
    static const char value[] = "\x83\xa1"
                                "a\xcd\1\2\xa1"
                                "b\x93\xc0\xcb\1\2\3\4\5\6\7\x08\xd9\5hello\xa1"
                                "c\xc4\3xyz";
    size_t n = sizeof value - 1, used;
    for (size_t i = 0; i < n; i++) {
        char *part = malloc(i + 1);
        memcpy(part, value, i);
        assert_int_equal(check(part, i, &used), ERR_INPUT);
        free(part);
    }
    assert_int_equal(check(value, n, &used), ERR_OK);
}

/* ------------------------------------------------------------------ trees */

static void make_tree(struct mp_value *v)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value list, inner, big = {.type = MP_UINT, .as.u = UINT64_MAX};
    mp_map_init(v);
    mp_array_init(&list);
    mp_map_init(&inner);
    assert_int_equal(mp_set_int(&e, &inner, "$bin", 1), ERR_OK);
    assert_int_equal(mp_set_int(&e, v, "int", -5), ERR_OK);
    assert_int_equal(mp_set_int(&e, v, "zero", 0), ERR_OK);
    assert_int_equal(mp_set_int(&e, v, "min", INT64_MIN), ERR_OK);
    assert_int_equal(mp_set(&e, v, "max", &big), ERR_OK);
    assert_int_equal(mp_set_real(&e, v, "real", 0.1), ERR_OK);
    assert_int_equal(mp_set_real(&e, v, "whole", 3.0), ERR_OK);
    assert_int_equal(mp_set_real(&e, v, "minus", -0.0), ERR_OK);
    assert_int_equal(mp_set_real(&e, v, "nan", nan("")), ERR_OK);
    assert_int_equal(mp_set_real(&e, v, "inf", -INFINITY), ERR_OK);
    assert_int_equal(mp_set_bool(&e, v, "yes", true), ERR_OK);
    assert_int_equal(mp_set_string(&e, v, "text", "na\xc3\xafve \"quoted\"\n"), ERR_OK);
    assert_int_equal(mp_set_binary(&e, v, "bytes", "\0\1\xff", 3), ERR_OK);
    assert_int_equal(mp_set(&e, v, "dollar", &inner), ERR_OK);
    for (int i = 0; i < 40; i++) assert_int_equal(mp_append(&e, &list, mp_get(v, "text")), ERR_OK);
    assert_int_equal(mp_set(&e, v, "list", &list), ERR_OK);
    assert_int_equal(mp_set_int(&e, v, "zero", 7), ERR_OK); /* replaces, keeps its place */
    mp_fini(&list);
    mp_fini(&inner);
}

static void assert_same_tree(const struct mp_value *a, const struct mp_value *b)
{
    struct errctx e = ERRCTX_INIT;
    struct bytes x = {0}, y = {0};
    assert_true(mp_equal(a, b));
    assert_int_equal(mp_encode(&e, a, &x), ERR_OK);
    assert_int_equal(mp_encode(&e, b, &y), ERR_OK);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    bytes_fini(&x);
    bytes_fini(&y);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct mp_value v, back, copy;
    struct bytes b = {0};
    make_tree(&v);
    assert_int_equal(mp_encode(&e, &v, &b), ERR_OK);
    assert_int_equal(mp_decode(&e, b.data, b.len, &back), ERR_OK);
    assert_same_tree(&v, &back);
    mp_fini(&back);
    assert_int_equal(mp_copy(&e, &v, &copy), ERR_OK);
    assert_same_tree(&v, &copy);
    assert_int_equal(mp_set_int(&e, &copy, "more", 1), ERR_OK);
    assert_false(mp_equal(&v, &copy));
    assert_int_equal(mp_decode(&e, b.data, b.len - 1, &back), ERR_INPUT);
    mp_fini(&v);
    mp_fini(&copy);
    bytes_fini(&b);
}

static void test_json(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct mp_value v, back;
    make_tree(&v);
    json_t *j = mp_to_json(&v, true);
    assert_non_null(j);
    char *text = json_dumps(j, 0);
    json_t *again = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_int_equal(mp_from_json(&e, again, &back), ERR_OK);
    assert_same_tree(&v, &back);
    free(text);
    json_decref(j);
    json_decref(again);
    mp_fini(&v);
    mp_fini(&back);
}

static void test_typed_reads(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct mp_value v;
    int64_t i;
    double d;
    const char *s;
    make_tree(&v);
    assert_int_equal(mp_get_int(&e, &v, "int", -5, 5, &i), ERR_OK);
    assert_int_equal(i, -5);
    assert_int_equal(mp_get_real(&e, &v, "int", &d), ERR_OK);
    assert_true(d == -5);
    assert_int_equal(mp_get_int(&e, &v, "int", 0, 5, &i), ERR_INPUT);
    assert_string_equal(e.message, "key 'int' is out of range 0..5");
    e = ERRCTX_INIT;
    assert_int_equal(mp_get_int(&e, &v, "max", 0, INT64_MAX, &i), ERR_INPUT);
    e = ERRCTX_INIT;
    assert_int_equal(mp_get_int(&e, &v, "text", 0, 1, &i), ERR_INPUT);
    assert_string_equal(e.message, "key 'text' is not an integer");
    e = ERRCTX_INIT;
    assert_int_equal(mp_get_string(&e, &v, "none", &s), ERR_INPUT);
    assert_string_equal(e.message, "key 'none' is missing");
    mp_fini(&v);
}

/* ------------------------------------------------------------------ elements */

static void test_elements(void **state)
{
    (void)state;
    for (int t = DTYPE_NONE + 1; t < DTYPE_COUNT; t++) {
        enum dtype type = (enum dtype)t;
        if (dtype_is_blocks(type)) continue; /* below */
        uint64_t x = 88172645463325252u;
        size_t size = dtype_size(type), n = size == 1 ? 256 : 65536;
        for (size_t i = 0; i < n; i++) {
            uint64_t bits = i, back = 0;
            char text[ELEMENT_TEXT];
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            if (size > 2) bits = i < 4 ? (uint64_t)0 - i : x; /* all of the small types */
            memset((char *)&bits + size, 0, sizeof bits - size);
            element_format(type, &bits, text);
            if (!element_parse(type, text, &back) || back != bits)
                fail_msg("%s %s: %llx %llx", dtype_name(type), text, (unsigned long long)bits,
                         (unsigned long long)back);
        }
    }
}

static void test_blocks(void **state)
{
    (void)state;
    for (int t = DTYPE_NONE + 1; t < DTYPE_COUNT; t++) {
        enum dtype type = (enum dtype)t;
        uint8_t block[(ELEMENT_TEXT - 1) / 2], back[sizeof block];
        char text[ELEMENT_TEXT];
        const size_t size = dtype_unit_bytes(type);
        if (!dtype_is_blocks(type)) continue;
        assert_true(size <= sizeof block);
        for (size_t i = 0; i < size; i++) block[i] = (uint8_t)(37 * i + (size_t)t);
        element_format(type, block, text);
        assert_int_equal(strlen(text), 2 * size);
        assert_true(element_parse(type, text, back));
        assert_memory_equal(block, back, size);
        text[1] = 'x';
        assert_false(element_parse(type, text, back));
    }
}

static void test_elements_refused(void **state)
{
    (void)state;
    uint64_t v;
    assert_false(element_parse(DTYPE_U8, "256", &v));
    assert_false(element_parse(DTYPE_U8, "-1", &v));
    assert_false(element_parse(DTYPE_I8, "128", &v));
    assert_true(element_parse(DTYPE_I8, "-128", &v));
    assert_false(element_parse(DTYPE_U32, "1x", &v));
    assert_false(element_parse(DTYPE_U32, "", &v));
    assert_false(element_parse(DTYPE_F32, "0.1", &v)); /* not exactly */
    assert_true(element_parse(DTYPE_F32, "0.5", &v));
    assert_false(element_parse(DTYPE_F32, "1e60", &v));
    assert_true(element_parse(DTYPE_F32, "-inf", &v));
    assert_false(element_parse(DTYPE_F32, "nan", &v)); /* which one? */
    assert_false(element_parse(DTYPE_F32, "nan:0", &v));
    assert_false(element_parse(DTYPE_BF16, "nan:80", &v));
    assert_false(element_parse(DTYPE_U64, "0x10000000000000000", &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_depth_and_size),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_typed_reads),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_elements_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
