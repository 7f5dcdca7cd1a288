/* SPDX-License-Identifier: Apache-2.0 */
/* test_split_audit.c: documents that stand there twice are counted, exactly while there is room for
 * them all, and about as many when there is not; classes without examples are named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/flow/split_audit.h"

static const char *const names[] = {"train", "test"};

/* Rows of a document's hash, its cut, and a class of two. */
static void make(struct stream_begin *b)
{
    static const char *const classes[] = {"a", "b", "c"};
    struct errctx e = ERRCTX_INIT;
    struct labels l = {0};
    struct label *x;
    stream_begin_init(b, STREAM_TOKENS);
    assert_int_equal(stream_begin_column(&e, b, "doc", DTYPE_U64, 0, NULL), ERR_OK);
    assert_int_equal(stream_begin_column(&e, b, "part", DTYPE_U32, 0, NULL), ERR_OK);
    assert_int_equal(labels_add(&e, &l, "x", LABEL_CLASS, &x), ERR_OK);
    assert_int_equal(label_set_classes(&e, x, classes, 3), ERR_OK);
    assert_int_equal(labels_declare(&e, &l, b), ERR_OK);
    labels_fini(&l);
}

static void add(struct split_audit *a, size_t part, uint64_t number, uint32_t cut, int32_t class)
{
    struct errctx e = ERRCTX_INIT;
    const uint64_t doc = XXH3_64bits(&number, sizeof number);
    const uint8_t *data[] = {(const uint8_t *)&doc, (const uint8_t *)&cut, (const uint8_t *)&class};
    const int64_t *start[] = {NULL, NULL, NULL};
    const struct stream_rows rows = {.n = 1, .columns_count = 3, .data = data, .start = start};
    if (split_audit_add(&e, a, part, &rows, 0, 1) != ERR_OK) fail_msg("%s", e.message);
}

static struct split_audit *new_audit(size_t documents)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_begin b;
    struct split_audit *a;
    make(&b);
    assert_int_equal(split_audit_new(&e, &b, names, 2, 0, documents, &a), ERR_OK);
    stream_begin_fini(&b);
    return a;
}

/* 20,000 documents, each tenth twice, each hundredth in both parts, each fiftieth with two labels.
 */
static void counts(void **state)
{
    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        struct split_audit *a = new_audit(exact ? 1 << 20 : 1 << 10);
        struct split_counts n;
        for (uint64_t i = 0; i < 20000; i++) {
            add(a, 0, i, 0, 0);
            add(a, 0, i, 1, 1); /* a further cut is not the document again */
            if (i % 10 == 0) add(a, i % 100 == 0, i, 0, i % 50 == 0);
        }
        split_audit_counts(a, &n);
        assert_int_equal(n.exact, exact);
        if (exact) {
            assert_int_equal(n.all, 20000);
            assert_int_equal(n.twice, 2000);
            assert_int_equal(n.across, 200);
            assert_int_equal(n.labelled, 400);
        } else { /* some 600 to 1,200 are looked at: within some 4 standard deviations */
            assert_in_range(n.all, 17500, 22500);
            assert_in_range(n.twice, 1000, 3000);
        }
        split_audit_free(a);
    }
}

static void classes(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct split_audit *a = new_audit(1 << 10);
    (void)state;
    add(a, 0, 1, 0, 0);
    add(a, 1, 2, 0, 0);
    add(a, 1, 3, 0, -1);
    assert_int_equal(split_audit_check(&e, a), ERR_OK); /* nobody has b and c */
    add(a, 1, 4, 0, 2);
    add(a, 1, 4, 1, 2);
    assert_int_equal(split_audit_check(&e, a), ERR_INPUT);
    assert_non_null(strstr(e.message, "label 'x': the class 'c' has no example in 'train', and 2 "
                                      "elsewhere (--stratify x"));
    err_clear(&e);
    add(a, 1, 5, 0, 1);
    assert_int_equal(split_audit_check(&e, a), ERR_INPUT);
    assert_non_null(strstr(e.message, "the class 'b' has no example in 'train', and 1 elsewhere, "
                                      "nor have 1 other classes"));
    err_clear(&e);
    add(a, 0, 5, 0, 1);
    add(a, 0, 6, 0, 2);
    assert_int_equal(split_audit_check(&e, a), ERR_OK);
    split_audit_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts), cmocka_unit_test(classes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
