/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_arena.c: no two items that live together overlap; a plan is close to what must be
 * alive at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/asan.h"
#include "common/base/rng.h"
#include "common/model/parts.h"
#include "tests/unit/model_support.h"

/* The most bytes that live in one phase: no plan can be smaller. */
static size_t lower_bound(const struct arena *a)
{
    size_t most = 0;
    for (size_t i = 0; i < a->count; i++) {
        size_t alive = 0;
        for (size_t j = 0; j < a->count; j++)
            if (a->items[j].first <= a->items[i].first && a->items[i].first <= a->items[j].last)
                alive += a->items[j].bytes;
        if (alive > most) most = alive;
    }
    return most;
}

static void check(const struct arena *a)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct arena_item *x = &a->items[i];
        assert_int_equal(x->offset % 64, 0);
        assert_true(x->offset + x->bytes <= a->bytes);
        for (size_t j = 0; j < i; j++) {
            const struct arena_item *y = &a->items[j];
            const bool together = x->first <= y->last && y->first <= x->last;
            const bool apart =
                x->offset + x->bytes <= y->offset || y->offset + y->bytes <= x->offset;
            assert_true(!together || apart || x->bytes == 0 || y->bytes == 0);
        }
    }
}

static void random_lives(void **state)
{
    (void)state;
    const struct rng_key key = rng_key_make(3, RNG_TEST);
    for (uint32_t turn = 0; turn < 50; turn++) {
        struct errctx e = ERRCTX_INIT;
        struct arena a = {0};
        for (uint32_t i = 0; i < 60; i++) {
            size_t index;
            const uint32_t counter[4] = {turn, i, 0, 0};
            uint32_t word[4];
            rng_philox(key, counter, word);
            const int64_t first = word[0] % 40;
            assert_int_equal(
                arena_add(&e, &a, "item", word[1] % 5000, first, first + word[2] % 9, &index),
                ERR_OK);
            assert_int_equal(index, i);
        }
        assert_int_equal(arena_plan(&e, &a), ERR_OK);
        check(&a);
        arena_fini(&a);
    }
}

/* The shape whose training has to fit into 1 GB: 13.9 M parameters, 4 Ki tokens at a time. */
static void of_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int variant = 0; variant < 4; variant++) {
            struct errctx e = ERRCTX_INIT;
            struct model_config c;
            struct layout l;
            struct plan plan;
            const struct model_use use = {.dtype = DTYPE_F32,
                                          .training = variant > 0,
                                          .recompute = variant > 1,
                                          .dropout = variant > 2 ? 0.1 : 0,
                                          .tokens = 4096};
            assert_int_equal(model_config_preset(&e, support_archs[i], &c), ERR_OK);
            c.vocab = 8192;
            c.layers = 6;
            c.width = 384;
            c.heads = 6;
            c.context = 256;
            assert_int_equal(model_config_finish(&e, &c), ERR_OK);
            assert_int_equal(layout_plan(&e, &c, &use, &l), ERR_OK);
            check(&l.arena);
            assert_true((double)l.arena.bytes < 1.1 * (double)lower_bound(&l.arena));
            assert_int_equal(model_plan(&e, &c, &use, 2, &plan), ERR_OK);
            print_message("%s %d: %.0f MB in the arena, %.0f MB in all\n", c.arch, variant,
                          (double)l.arena.bytes / 1e6, (double)plan.bytes / 1e6);
            /* with both moments of AdamW */
            if (i == 0 && variant == 1)
                assert_true((double)plan.bytes + 8 * (double)model_config_parameters(&c) < 0.9e9);
            plan_fini(&plan);
            layout_fini(&l);
        }
}

/* Under AddressSanitizer exactly what is alive in a part of the pass may be touched. */
static void the_rest_is_out_of_bounds(void **state)
{
    (void)state;
    if (!ASAN_ON) skip();
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct workspace w;
    const struct model_config c = support_config("bert");
    const struct model_use use = {.dtype = DTYPE_F32, .training = true, .tokens = 64};
    const struct arena *a = &w.layout.arena;
    support_open(&s, "cpu", 1);
    assert_int_equal(workspace_new(&e, &s.k, &c, &use, &w), ERR_OK);
    uint8_t *memory = s.k.map(&s.k, w.memory);
    for (int64_t part = 0; part < 2 * c.layers + 3; part++) {
        const enum model_part kind = part == 0                 ? PART_EMBED
                                     : part <= c.layers        ? PART_FORWARD
                                     : part == c.layers + 1    ? PART_HEAD
                                     : part < 2 * c.layers + 2 ? PART_BACKWARD
                                                               : PART_TABLES;
        const int64_t layer = part <= c.layers ? part - 1 : 2 * c.layers + 1 - part;
        size_t shut = 0;
        workspace_enter(&s.k, &c, &w, kind, layer);
        for (size_t at = 0; at < a->bytes; at += 64) {
            bool alive = false;
            for (size_t i = 0; i < a->count; i++)
                alive |= a->items[i].offset <= at && at < a->items[i].offset + a->items[i].bytes &&
                         a->items[i].first < (part + 1) * BLOCK_PHASES &&
                         a->items[i].last >= part * BLOCK_PHASES;
            assert_int_equal(!alive, asan_poisoned(memory + at));
            shut += !alive;
        }
        assert_true(shut > a->bytes / 64 / 8); /* there is something to see */
    }
    workspace_free(&s.k, &w);
    support_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_lives), cmocka_unit_test(of_models),
                                       cmocka_unit_test(the_rest_is_out_of_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
