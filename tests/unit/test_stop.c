/* SPDX-License-Identifier: Apache-2.0 */
/* test_stop.c: stop strings found in any pieces a text arrives in, and nothing let out too early.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/use/stop.h"

static struct opt_list list_of(const char **items, size_t n)
{
    return (struct opt_list){.items = items, .count = n};
}

static void finds_the_first(void **state)
{
    (void)state;
    const char *items[] = {"cd", "bcd", "x"};
    struct opt_list l = list_of(items, 3);
    assert_int_equal(stop_find(&l, "abcde", 0, 5), 1);
    assert_int_equal(stop_find(&l, "abcde", 3, 5), 1);
    assert_int_equal(stop_find(&l, "acde", 0, 4), 1);
    assert_int_equal(stop_find(&l, "abab", 0, 4), SIZE_MAX);
    assert_int_equal(stop_find(&l, NULL, 0, 0), SIZE_MAX);
    l.count = 0;
    assert_int_equal(stop_find(&l, "abcde", 0, 5), SIZE_MAX);
    assert_int_equal(stop_held(&l, "abcde", 5), 0);
}

static void holds_beginnings(void **state)
{
    (void)state;
    const char *items[] = {"\n\nQ", "abab!"};
    struct opt_list l = list_of(items, 2);
    assert_int_equal(stop_held(&l, "x\n", 2), 1);
    assert_int_equal(stop_held(&l, "x\n\n", 3), 2);
    assert_int_equal(stop_held(&l, "x\n\nR", 4), 0);
    assert_int_equal(stop_held(&l, "ababab", 6), 4);
    assert_int_equal(stop_held(&l, "a", 1), 1);
    assert_int_equal(stop_held(&l, "", 0), 0);
}

/* Whatever the pieces, what is let out is the text before the stop string. */
static void any_pieces(void **state)
{
    (void)state;
    const char *items[] = {"aab", "ba!"};
    struct opt_list l = list_of(items, 2);
    const char *text = "aaxbabaabba!";
    const size_t n = strlen(text);
    for (size_t width = 1; width <= n; width++) {
        size_t old = 0, out = 0, place = SIZE_MAX;
        while (old < n && place == SIZE_MAX) {
            size_t now = old + width < n ? old + width : n;
            place = stop_find(&l, text, old, now);
            size_t certain = place != SIZE_MAX ? place : now - stop_held(&l, text, now);
            assert_true(certain >= out);
            out = certain;
            old = now;
        }
        assert_int_equal(place, 6);
        assert_int_equal(out, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_first),
        cmocka_unit_test(holds_beginnings),
        cmocka_unit_test(any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
