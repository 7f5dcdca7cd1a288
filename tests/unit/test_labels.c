/* SPDX-License-Identifier: Apache-2.0 */
/* test_labels.c: labels declared in a begin are found there again; what does not belong together is
 * named; rows are checked against their classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/labels.h"
#include "formats/stream_begin.h"

#define OK(x)                                                                                      \
    do {                                                                                           \
        if ((x) != ERR_OK) fail_msg("%s", e.message);                                              \
    } while (0)

/* The code is `code` and the message has the words; then it is forgotten. */
static void said(struct errctx *e, enum err code, const char *words)
{
    if (e->code != code || strstr(e->message, words) == NULL)
        fail_msg("%d '%s' instead of %d '%s'", e->code, e->message, code, words);
    err_clear(e);
}

static const char *const topics[] = {"world", "Sport", "science", "\xc3\x84rzte"};

/* topic (4 classes), tags (2, several), score, bio (1 per token) behind a column of ids. */
static void make(struct labels *l, struct stream_begin *b)
{
    static const int64_t ragged[] = {-1};
    struct errctx e = ERRCTX_INIT;
    struct label *x;
    *l = (struct labels){0};
    stream_begin_init(b, STREAM_TOKENS);
    OK(stream_begin_column(&e, b, "ids", DTYPE_U16, 1, ragged));
    OK(labels_add(&e, l, "topic", LABEL_CLASS, &x));
    OK(label_set_classes(&e, x, topics, 4));
    OK(labels_add(&e, l, "tags", LABEL_CLASSES, &x));
    OK(label_set_classes(&e, x, topics, 2));
    OK(labels_add(&e, l, "score", LABEL_NUMBER, &x));
    OK(labels_add(&e, l, "bio", LABEL_TOKENS, &x));
    OK(label_set_classes(&e, x, topics + 2, 1));
    OK(labels_declare(&e, l, b));
}

static void found_again(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct labels l, back;
    struct stream_begin b, decoded;
    struct bytes body = {0}, record = {0}, again = {0};
    (void)state;
    make(&l, &b);
    OK(stream_begin_encode_body(&e, &b, &body));
    OK(stream_begin_encode(&e, &b, &body, &record));
    OK(stream_begin_decode(&e, record.data, record.len, &decoded, &again));
    OK(labels_from_begin(&e, &decoded, &back));
    assert_int_equal(back.count, 4);
    for (int64_t i = 0; i < 4; i++) {
        assert_string_equal(back.items[i].name, l.items[i].name);
        assert_int_equal(back.items[i].kind, l.items[i].kind);
        assert_int_equal(back.items[i].column, i + 1);
        assert_int_equal(back.items[i].classes_count, l.items[i].classes_count);
    }
    static const char *const sorted[] = {"Sport", "science", "world", "\xc3\x84rzte"};
    for (int64_t c = 0; c < 4; c++) {
        assert_string_equal(back.items[0].classes[c], sorted[c]);
        assert_int_equal(label_class(&back.items[0], sorted[c]), c);
    }
    assert_int_equal(label_class(&back.items[0], "sport"), -1);
    assert_int_equal(label_class(&back.items[2], "sport"), -1);
    OK(stream_begin_match(&e, &b, "a", &decoded, "b"));
    labels_fini(&l);
    labels_fini(&back);
    stream_begin_fini(&b);
    stream_begin_fini(&decoded);
    bytes_fini(&body);
    bytes_fini(&record);
    bytes_fini(&again);
}

static void names_are_checked(void **state)
{
    static const char *const twice[] = {"b", "a", "b"}, *const empty[] = {"a", ""},
                             *const broken[] = {"a\nb"};
    struct errctx e = ERRCTX_INIT;
    struct labels l = {0};
    struct label *x;
    char name[LABELS_MAX_NAME + 2];
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    (void)!labels_add(&e, &l, "", LABEL_CLASS, &x);
    said(&e, ERR_USAGE, "has 1 to 249 bytes, not 0");
    (void)!labels_add(&e, &l, name, LABEL_CLASS, &x);
    said(&e, ERR_USAGE, "not 250");
    OK(labels_add(&e, &l, name + 1, LABEL_CLASS, &x));
    (void)!labels_add(&e, &l, name + 1, LABEL_NUMBER, &x);
    said(&e, ERR_USAGE, "stands twice");
    (void)!label_set_classes(&e, x = &l.items[0], twice, 3);
    said(&e, ERR_INPUT, "the class 'b' stands twice");
    (void)!label_set_classes(&e, x, empty, 2);
    said(&e, ERR_INPUT, "a class without a name");
    (void)!label_set_classes(&e, x, broken, 1);
    said(&e, ERR_INPUT, "has a line break");
    labels_fini(&l);
}

/* As many classes as there is room for, and one more. */
static void room(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct labels l = {0};
    struct stream_begin b;
    struct bytes body = {0}, record = {0};
    struct label *x;
    enum { LENGTH = 27, MOST = (LABELS_LIMIT - 65) / (LENGTH + 5) };
    char(*text)[LENGTH + 1] = calloc(MOST + 1, sizeof *text);
    const char **names = calloc(MOST + 1, sizeof *names);
    (void)state;
    assert_non_null(text);
    assert_non_null(names);
    for (int i = 0; i <= MOST; i++) {
        (void)snprintf(text[i], sizeof text[i], "%0*d", LENGTH, i);
        names[i] = text[i];
    }
    for (int more = 0; more < 2; more++) {
        stream_begin_init(&b, STREAM_TOKENS);
        l = (struct labels){0};
        OK(labels_add(&e, &l, "x", LABEL_CLASS, &x));
        OK(label_set_classes(&e, x, names, MOST + more));
        if (more) {
            (void)!labels_declare(&e, &l, &b);
            said(&e, ERR_INPUT, "their names take more than the 983040 bytes");
        } else {
            OK(labels_declare(&e, &l, &b));
            OK(stream_begin_encode_body(&e, &b, &body));
            OK(stream_begin_encode(&e, &b, &body, &record));
        }
        labels_fini(&l);
        stream_begin_fini(&b);
    }
    bytes_fini(&body);
    bytes_fini(&record);
    free(text);
    free(names);
}

/* A meta that says something else than the columns, or not in order. */
static void hostile(void **state)
{
    static const struct {
        const char *column;
        enum dtype type;
        bool ragged;
        const char *name, *kind, *first, *second, *words;
    } cases[] = {
        {"label.a", DTYPE_I32, false, "a", "class", "x", "y", NULL},
        {"label.a", DTYPE_F32, false, "a", "number", NULL, NULL, NULL},
        {"label.a", DTYPE_I32, false, NULL, NULL, NULL, NULL, "column 'label.a' is not as"},
        {"label.b", DTYPE_I32, false, "a", "class", "x", "y", "column 'label.b' is not as"},
        {"label.a", DTYPE_F32, false, "a", "class", "x", "y", "column 'label.a' is not as"},
        {"label.a", DTYPE_I32, true, "a", "class", "x", "y", "column 'label.a' is not as"},
        {"label.a", DTYPE_I32, false, "a", "classes", "x", "y", "column 'label.a' is not as"},
        {"other", DTYPE_I32, false, "a", "class", "x", "y", "label 'a' has no column"},
        {"label.a", DTYPE_I32, false, "a", "klass", "x", "y", "unknown kind 'klass'"},
        {"label.a", DTYPE_I32, false, "a", "class", "y", "x", "class 'x' is not behind 'y'"},
        {"label.a", DTYPE_I32, false, "a", "class", "x", "x", "class 'x' is not behind 'x'"},
        {"label.a", DTYPE_I32, false, "a", "class", "", "x", "a class without a name"},
        {"label.a", DTYPE_F32, false, "a", "number", "x", "y", "has unknown keys"},
        {"label.a", DTYPE_I32, false, "a", "class", NULL, NULL, "key 'classes' is missing"},
        {"label.a", DTYPE_I32, false, "", "class", "x", "y", "1 to 249 bytes"},
    };
    static const int64_t ragged[] = {-1};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errctx e = ERRCTX_INIT;
        struct stream_begin b;
        struct mp_value list, item, classes, s;
        struct labels l;
        stream_begin_init(&b, STREAM_FEATURES);
        OK(stream_begin_column(&e, &b, cases[i].column, cases[i].type, cases[i].ragged, ragged));
        if (cases[i].name != NULL) {
            mp_array_init(&list);
            mp_map_init(&item);
            OK(mp_set_string(&e, &item, "name", cases[i].name));
            OK(mp_set_string(&e, &item, "kind", cases[i].kind));
            if (cases[i].first != NULL) {
                mp_array_init(&classes);
                OK(mp_bytes(&e, &s, MP_STRING, cases[i].first, strlen(cases[i].first)));
                OK(mp_append_take(&e, &classes, &s));
                OK(mp_bytes(&e, &s, MP_STRING, cases[i].second, strlen(cases[i].second)));
                OK(mp_append_take(&e, &classes, &s));
                OK(mp_set_take(&e, &item, "classes", &classes));
            }
            OK(mp_append_take(&e, &list, &item));
            OK(mp_set_take(&e, &b.meta, "labels", &list));
        }
        const enum err r = labels_from_begin(&e, &b, &l);
        if (cases[i].words == NULL) {
            assert_int_equal(r, ERR_OK);
            labels_fini(&l);
        } else {
            said(&e, ERR_INPUT, cases[i].words);
        }
        stream_begin_fini(&b);
    }
}

static void found_by_name(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct labels l, one, none = {0};
    struct stream_begin b;
    const struct label *x;
    (void)state;
    make(&l, &b);
    OK(labels_find(&e, &l, "score", "f", &x));
    assert_ptr_equal(x, &l.items[2]);
    (void)!labels_find(&e, &l, NULL, "f", &x);
    said(&e, ERR_USAGE, "'f' has several labels, say which: --task topic, tags, score, bio");
    (void)!labels_find(&e, &l, "topics", "f", &x);
    said(&e, ERR_USAGE, "'f' has no label 'topics' (there are: topic, tags, score, bio)");
    (void)!labels_find(&e, &none, NULL, "f", &x);
    said(&e, ERR_INPUT, "'f' has no labels");
    one = (struct labels){.items = l.items, .count = 1};
    OK(labels_find(&e, &one, NULL, "f", &x));
    assert_ptr_equal(x, &l.items[0]);
    labels_fini(&l);
    stream_begin_fini(&b);
}

static void differences_are_named(void **state)
{
    static const char *const other[] = {"world", "Sport", "physics", "\xc3\x84rzte"};
    struct errctx e = ERRCTX_INIT;
    struct labels l, m;
    struct stream_begin a, b;
    int32_t *map;
    (void)state;
    make(&l, &a);
    make(&m, &b);
    (void)!label_map(&e, &l.items[1], "a", &l.items[0], "b", &map);
    said(&e, ERR_INPUT, "of kind classes in 'a', of kind class in 'b'");
    OK(label_set_classes(&e, &m.items[0], topics + 1, 2));
    OK(label_map(&e, &m.items[0], "a", &l.items[0], "b", &map));
    assert_int_equal(map[0], 0); /* Sport */
    assert_int_equal(map[1], 1); /* science */
    mem_free(map);
    (void)!label_map(&e, &l.items[0], "a", &m.items[0], "b", &map);
    said(&e, ERR_INPUT, "label 'topic': the class 'world' of 'a' is not known to 'b'");
    OK(labels_to_meta(&e, &m, &b.meta));
    (void)!stream_begin_match(&e, &b, "b", &a, "a");
    said(&e, ERR_INPUT, "label 'topic': the class 'world' stands in 'a', not in 'b'");
    OK(label_set_classes(&e, &m.items[0], other, 4));
    OK(labels_to_meta(&e, &m, &b.meta));
    (void)!stream_begin_match(&e, &a, "a", &b, "b");
    said(&e, ERR_INPUT, "label 'topic': the class 'science' stands in 'a', not in 'b'");
    labels_fini(&l);
    labels_fini(&m);
    stream_begin_fini(&a);
    stream_begin_fini(&b);
}

static void rows_are_checked(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct labels l;
    struct stream_begin b;
    const int32_t topic[] = {3, -1, 4}, tags[] = {0, 1, 1, 0, -1}, bio[] = {-1, 0, 1};
    const float score[] = {0.5F, NAN, INFINITY};
    const int64_t tags_start[] = {0, 2, 2, 4}, bio_start[] = {0, 2, 2, 3};
    const uint8_t *data[] = {NULL, (const uint8_t *)topic, (const uint8_t *)tags,
                             (const uint8_t *)score, (const uint8_t *)bio};
    const int64_t *start[] = {NULL, NULL, tags_start, NULL, bio_start};
    const struct stream_rows rows = {
        .n = 3, .first = 10, .columns_count = 5, .data = data, .start = start};
    const int32_t *list;
    int32_t class;
    int64_t n;
    float number;
    (void)state;
    make(&l, &b);
    OK(label_row_class(&e, &l.items[0], &rows, 0, &class));
    assert_int_equal(class, 3);
    OK(label_row_class(&e, &l.items[0], &rows, 1, &class));
    assert_int_equal(class, -1);
    (void)!label_row_class(&e, &l.items[0], &rows, 2, &class);
    said(&e, ERR_INPUT, "row 12: label 'topic' is 4, and there are 4 classes");
    OK(label_row_list(&e, &l.items[1], &rows, 0, &list, &n));
    assert_int_equal(n, 2);
    assert_int_equal(list[1], 1);
    OK(label_row_list(&e, &l.items[1], &rows, 1, &list, &n));
    assert_int_equal(n, 0);
    (void)!label_row_list(&e, &l.items[1], &rows, 2, &list, &n);
    said(&e, ERR_INPUT, "row 12: label 'tags' is no ascending list of classes");
    OK(label_row_number(&e, &l.items[2], &rows, 0, &number));
    assert_true(number == 0.5F);
    OK(label_row_number(&e, &l.items[2], &rows, 1, &number));
    assert_true(isnan(number));
    (void)!label_row_number(&e, &l.items[2], &rows, 2, &number);
    said(&e, ERR_INPUT, "row 12: label 'score' is not finite");
    OK(label_row_list(&e, &l.items[3], &rows, 0, &list, &n));
    assert_int_equal(list[0], -1);
    (void)!label_row_list(&e, &l.items[3], &rows, 2, &list, &n);
    said(&e, ERR_INPUT, "row 12: label 'bio' is 1, and there are 1 classes");
    labels_fini(&l);
    stream_begin_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_again),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(room),
        cmocka_unit_test(hostile),
        cmocka_unit_test(found_by_name),
        cmocka_unit_test(differences_are_named),
        cmocka_unit_test(rows_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
