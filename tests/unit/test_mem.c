/* SPDX-License-Identifier: Apache-2.0 */
/* test_mem.c: memory and messages: overflow is an error, the first error wins, one printable line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/mem.h"

static void new_memory(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    uint32_t *p;
    assert_int_equal(mem_new(&e, &p, 100, sizeof *p, "numbers"), ERR_OK);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], 0);
    mem_free(p);
    assert_int_equal(mem_new(&e, &p, 0, sizeof *p, "nothing"), ERR_OK);
    assert_non_null(p);
    mem_free(p);
    assert_int_equal(mem_new_aligned(&e, &p, 3, sizeof *p, "aligned"), ERR_OK);
    assert_int_equal((uintptr_t)p % 64, 0);
    mem_free(p);
    for (size_t n = 1; n <= 1 << 20; n <<= 20) { /* a small table, and one of large pages */
        assert_int_equal(mem_new_table(&e, &p, n, sizeof *p, "a table"), ERR_OK);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        memset(p, 0xff, n * sizeof *p); /* so that the next one is not zero by chance */
        mem_free(p);
    }
}

static void overflow_is_an_error(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    void *p = &e;
    size_t capacity = 4, n;
    assert_int_equal(mem_new(&e, &p, SIZE_MAX / 2, 3, "too much"), ERR_MEMORY);
    assert_null(p);
    assert_string_equal(e.message, "out of memory: 18446744073709551615 bytes for too much");
    err_clear(&e);
    assert_int_equal(mem_new_aligned(&e, &p, SIZE_MAX, 1, "too much"), ERR_MEMORY);
    err_clear(&e);
    assert_int_equal(mem_grow(&e, &p, &capacity, SIZE_MAX / 4, 16, "too much"), ERR_MEMORY);
    assert_int_equal(capacity, 4);
    assert_false(size_mul(SIZE_MAX, 2, &n) || size_add(SIZE_MAX, 1, &n));
}

static void growing(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    int *a = NULL;
    size_t capacity = 0, grown = 0;
    for (int i = 0; i < 1000; i++) {
        size_t before = capacity;
        assert_int_equal(mem_grow(&e, &a, &capacity, (size_t)i + 1, sizeof *a, "numbers"), ERR_OK);
        grown += capacity != before;
        a[i] = i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(a[i], i);
    assert_true(grown <= 10); /* it doubles */
    mem_free(a);
}

static void byte_buffers(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct bytes b = {0};
    char *s;
    assert_int_equal(bytes_append(&e, &b, NULL, 0), ERR_OK);
    assert_int_equal(bytes_append(&e, &b, "ab", 2), ERR_OK);
    assert_int_equal(bytes_printf(&e, &b, "%d-%s", 17, "x"), ERR_OK);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "ab17-x", 6);
    bytes_fini(&b);
    assert_null(b.data);
    assert_int_equal(mem_strndup(&e, &s, "abcdef", 3), ERR_OK);
    assert_string_equal(s, "abc");
    mem_free(s);
    assert_int_equal(mem_printf(&e, &s, "%s/%d", "dir", 3), ERR_OK);
    assert_string_equal(s, "dir/3");
    mem_free(s);
}

static void first_error_wins(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    assert_int_equal(err_prefix(&e, "nothing yet"), ERR_OK);
    assert_int_equal(err_set(&e, ERR_INPUT, "row %d", 3), ERR_INPUT);
    assert_int_equal(err_set(&e, ERR_IO, "later"), ERR_INPUT);
    assert_int_equal(err_prefix(&e, "'%s'", "x.tokens"), ERR_INPUT);
    assert_string_equal(e.message, "'x.tokens': row 3");
    err_clear(&e);
    errno = EPIPE;
    assert_int_equal(err_errno(&e, "cannot write"), ERR_PIPE);
    err_clear(&e);
    errno = ENOMEM;
    assert_int_equal(err_errno(&e, "cannot map"), ERR_MEMORY);
    err_clear(&e);
    errno = ENOENT;
    assert_int_equal(err_errno(&e, "cannot open '%s'", "x"), ERR_IO);
    assert_string_equal(e.message, "cannot open 'x': No such file or directory");
}

static void messages_are_one_line(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    char name[3000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    err_set(&e, ERR_INPUT, "'a\nb\033[31m\x7f\xc3\xa4'");
    assert_string_equal(e.message, "'a?b?[31m?\xc3\xa4'");
    err_prefix(&e, "%s", name);
    err_prefix(&e, "%s", name);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
}

static void exit_statuses(void **state)
{
    (void)state;
    static const int expected[] = {0, 1, 1, 2, 3, 4, 1};
    for (int code = ERR_OK; code <= ERR_PIPE; code++)
        assert_int_equal(err_exit_status((enum err)code), expected[code]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory),       cmocka_unit_test(overflow_is_an_error),
        cmocka_unit_test(growing),          cmocka_unit_test(byte_buffers),
        cmocka_unit_test(first_error_wins), cmocka_unit_test(messages_are_one_line),
        cmocka_unit_test(exit_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
