/* SPDX-License-Identifier: Apache-2.0 */
/* test_spill.c: chains that interleave, live partly in memory and partly in the file, are patched,
 * cleared and grown again, against plain arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/flow/spill.h"

enum { CHAINS = 7, BLOCK = 4096 };

/* A chain and what it must hold. */
struct twin {
    struct spill_chain chain;
    uint8_t *copy;
    size_t copy_capacity;
};

static uint32_t number(uint32_t i, uint32_t lane)
{
    uint32_t w[4];
    rng_philox(rng_key_make(1, RNG_TEST), (const uint32_t[4]){i, lane, 0, 0}, w);
    return w[0];
}

static void append(struct spill *s, struct twin *t, uint32_t i)
{
    struct errctx e = ERRCTX_INIT;
    uint8_t data[3 * BLOCK];
    size_t n = number(i, 1) % 5 == 0 ? number(i, 2) % sizeof data : number(i, 2) % 100;
    for (size_t k = 0; k < n; k++) data[k] = (uint8_t)number(i, 3 + (uint32_t)k / 64) + (uint8_t)k;
    assert_int_equal(mem_grow(&e, &t->copy, &t->copy_capacity, t->chain.bytes + n, 1, "copy"),
                     ERR_OK);
    memcpy(t->copy + t->chain.bytes, data, n);
    assert_int_equal(spill_append(&e, s, &t->chain, data, n), ERR_OK);
}

static void check(struct spill *s, const struct twin *t)
{
    struct errctx e = ERRCTX_INIT;
    uint8_t *all = malloc(t->chain.bytes + 1);
    assert_non_null(all);
    assert_int_equal(spill_read(&e, s, &t->chain, 0, all, t->chain.bytes), ERR_OK);
    assert_memory_equal(all, t->copy, t->chain.bytes);
    struct spill_cursor c = {.chain = &t->chain};
    for (uint64_t at = 0; at < t->chain.bytes;) {
        size_t n = number((uint32_t)at, 9) % 700 + 1;
        if (n > t->chain.bytes - at) n = (size_t)(t->chain.bytes - at);
        assert_int_equal(spill_cursor_read(&e, s, &c, all, n), ERR_OK);
        assert_memory_equal(all, t->copy + at, n);
        at += n;
    }
    spill_cursor_fini(&c);
    free(all);
}

static void exercise(uint64_t resident, bool file)
{
    struct errctx e = ERRCTX_INIT;
    struct spill *s;
    struct twin twins[CHAINS] = {0};
    assert_int_equal(spill_new(&e, BLOCK, resident, 0, &s), ERR_OK);
    for (uint32_t i = 0; i < 3000; i++) {
        struct twin *t = &twins[number(i, 0) % CHAINS];
        append(s, t, i);
        if (i % 10 == 0 && t->chain.bytes > 10) {
            uint64_t at = number(i, 200) % (t->chain.bytes - 10);
            memcpy(t->copy + at, "patched!!", 9);
            assert_int_equal(spill_patch(&e, s, &t->chain, at, "patched!!", 9), ERR_OK);
        }
        if (i % 500 == 499) {
            for (int k = 0; k < CHAINS; k++) check(s, &twins[k]);
            spill_clear(s, &twins[i / 500 % CHAINS].chain);
        }
    }
    assert_int_equal(spill_written(s) > 0, file);
    for (int k = 0; k < CHAINS; k++) {
        spill_clear(s, &twins[k].chain);
        mem_free(twins[k].copy);
    }
    spill_free(s);
}

static void in_memory(void **state)
{
    (void)state;
    exercise((uint64_t)1 << 40, false);
}

static void in_the_file(void **state)
{
    (void)state;
    exercise(0, true);
}

static void in_both(void **state)
{
    (void)state;
    exercise(100 * BLOCK, true);
}

/* Cleared places are used again: ten times the same amount takes the room of one. */
static void places_are_used_again(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct spill *s;
    struct spill_chain c = {0};
    static uint8_t data[64 * BLOCK];
    char template[] = "/tmp/graft-test-spill-XXXXXX";
    struct stat before, after;
    (void)state;
    assert_non_null(mkdtemp(template));
    assert_int_equal(setenv("TMPDIR", template, 1), 0);
    assert_int_equal(spill_new(&e, BLOCK, 0, 0, &s), ERR_OK);
    assert_int_equal(spill_append(&e, s, &c, data, sizeof data), ERR_OK);
    int fd = spill_descriptor(s);
    assert_int_equal(fstat(fd, &before), 0);
    for (int i = 0; i < 10; i++) {
        spill_clear(s, &c);
        assert_int_equal(spill_append(&e, s, &c, data, sizeof data), ERR_OK);
    }
    assert_int_equal(fstat(fd, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(after.st_nlink, 0);
    assert_int_equal(rmdir(template), 0); /* it is empty while the file is in use */
    assert_int_equal(unsetenv("TMPDIR"), 0);
    spill_clear(s, &c);
    spill_free(s);
}

/* Room is asked for before work begins. */
static void too_little_room(void **state)
{
    struct errctx e = ERRCTX_INIT;
    struct spill *s;
    (void)state;
    assert_int_equal(spill_new(&e, BLOCK, 0, (uint64_t)1 << 60, &s), ERR_IO);
    assert_non_null(strstr(e.message, "TMPDIR"));
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_memory),       cmocka_unit_test(in_the_file),
        cmocka_unit_test(in_both),         cmocka_unit_test(places_are_used_again),
        cmocka_unit_test(too_little_room),
    };
    return cmocka_run_group_tests_name("spill", tests, NULL, NULL);
}
