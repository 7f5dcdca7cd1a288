/* SPDX-License-Identifier: Apache-2.0 */
/* test_shared_rows.c: rows that begin with tokens of others have, to the bit, the losses that they
 * have whole; and the places of their keys and values lie beside each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/model/parts.h"
#include "tests/unit/model_support.h"

enum { ROWS = 24, LONGEST = 90, TOKENS = 2304, VOCAB = 301 };

/* Rows one after another, each with some of the tokens of the one before. */
struct tree {
    int64_t length[ROWS], before[ROWS];
    uint32_t ids[ROWS][LONGEST + 1];
};

static uint32_t below(uint32_t limit, uint32_t a, uint32_t b)
{
    return (uint32_t)(rng_uniform(rng_key_make(7, RNG_TEST), a, b, 0, 0) * limit);
}

static void grow(struct tree *t)
{
    for (uint32_t r = 0; r < ROWS; r++) {
        t->length[r] = 3 + (int64_t)below(LONGEST - 2, r, 1);
        t->before[r] = 0;
        if (r % 7 != 0) { /* a new tree now and then; at least two tokens of its own */
            const int64_t last = t->length[r - 1];
            int64_t most = last < t->length[r] - 2 ? last : t->length[r] - 2;
            t->before[r] = most < 1 ? 0 : 1 + below((uint32_t)most, r, 2);
        }
        for (int64_t i = 0; i <= t->length[r]; i++)
            t->ids[r][i] = i < t->before[r] ? t->ids[r - 1][i] : below(VOCAB, r, 3 + (uint32_t)i);
    }
}

static void append(struct batch *b, const struct tree *t, int64_t r, int64_t before)
{
    struct errctx e = ERRCTX_INIT;
    int32_t targets[LONGEST];
    for (int64_t i = 0; i < t->length[r]; i++)
        targets[i] = i < t->before[r] ? -1 : (int32_t)t->ids[r][i + 1];
    const int64_t n = t->length[r] - before;
    const enum err code =
        before ? batch_append_after(&e, b, before, n, t->ids[r] + before, targets + before, NULL, r)
               : batch_append(&e, b, INT32_MAX, n, t->ids[r], NULL, targets, NULL, r);
    assert_int_equal(code, ERR_OK);
}

/* Losses of the tokens that rows have of their own. Returns how many tokens were computed. */
static int64_t losses(struct model *m, const struct tree *t, bool shared, float *out)
{
    struct errctx e = ERRCTX_INIT;
    struct batch b;
    double sum = 0;
    static float loss[TOKENS];
    assert_int_equal(batch_init(&e, &b, TOKENS, ROWS), ERR_OK);
    for (int64_t r = 0; r < ROWS; r++) append(&b, t, r, shared ? t->before[r] : 0);
    assert_int_equal(batch_close(&e, &b), ERR_OK);
    assert_int_equal(model_forward(&e, m, &b, 0), ERR_OK);
    assert_int_equal(model_loss(&e, m, &b, false, loss, NULL, &sum), ERR_OK);
    for (int64_t i = 0, n = 0; i < b.tokens; i++)
        if (b.target[i] >= 0) out[n++] = loss[i];
    const int64_t real = b.real;
    batch_fini(&b);
    return real;
}

static void same_losses(const struct model_config *c, const char *device, enum dtype dtype)
{
    struct support s;
    const struct model_use use = {.dtype = dtype, .tokens = TOKENS, .shares = true};
    static float whole[TOKENS], shared[TOKENS];
    struct tree t;
    support_open(&s, device, 2);
    struct model *m = support_model(&s, c, &use);
    grow(&t);
    assert_true(model_can_share(m));
    memset(whole, 0, sizeof whole);
    memset(shared, 0, sizeof shared);
    const int64_t all = losses(m, &t, false, whole), own = losses(m, &t, true, shared);
    assert_true(own < all * 3 / 4);
    assert_memory_equal(whole, shared, sizeof whole);
    model_free(m);
    support_close(&s);
}

static void losses_are_those_of_whole_rows(void **state)
{
    (void)state;
    struct model_config gpt2 = support_config_wide("gpt2"), llama = support_config_wide("llama");
    same_losses(&gpt2, "cpu", DTYPE_F32);
    same_losses(&llama, "cpu", DTYPE_F32);
    same_losses(&llama, "cpu", DTYPE_BF16);
    llama.window = 11;
    same_losses(&llama, "cpu", DTYPE_F32);
    same_losses(&llama, "ref", DTYPE_F32);
}

static void who_cannot_share(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct batch b;
    struct model_config c = support_config_wide("bert");
    const struct model_use use = {.dtype = DTYPE_F32, .tokens = TOKENS};
    const uint32_t ids[4] = {1, 2, 3, 4};
    support_open(&s, "cpu", 1);
    struct model *m = support_model(&s, &c, &use);
    assert_false(model_can_share(m));
    assert_int_equal(batch_init(&e, &b, TOKENS, ROWS), ERR_OK);
    assert_int_equal(batch_append_after(&e, &b, 1, 2, ids, NULL, NULL, 0), ERR_USAGE);
    err_clear(&e);
    assert_int_equal(batch_append(&e, &b, INT32_MAX, 4, ids, NULL, NULL, NULL, 0), ERR_OK);
    assert_int_equal(batch_append_after(&e, &b, 5, 2, ids, NULL, NULL, 0), ERR_USAGE);
    err_clear(&e);
    assert_int_equal(batch_append_after(&e, &b, 4, 2, ids, NULL, NULL, 0), ERR_OK);
    assert_int_equal(batch_close(&e, &b), ERR_OK);
    assert_int_equal(model_forward(&e, m, &b, 0), ERR_USAGE); /* there is no memory for it */
    batch_fini(&b);
    model_free(m);
    support_close(&s);
}

/* What a row writes is never what another row still needs, and all of it fits. */
static void places(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct shared_rows s = {0};
    struct batch b;
    struct tree t;
    static int32_t held[TOKENS]; /* the id whose key lies there */
    grow(&t);
    assert_int_equal(batch_init(&e, &b, TOKENS, ROWS), ERR_OK);
    for (int64_t r = 0; r < ROWS; r++) append(&b, &t, r, t.before[r]);
    assert_int_equal(batch_close(&e, &b), ERR_OK);
    assert_int_equal(shared_rows_of(&e, &b, &s), ERR_OK);
    assert_int_equal(s.turn[s.turns], ROWS);
    for (int64_t turn = 0; turn < s.turns; turn++) {
        for (int64_t i = s.turn[turn]; i < s.turn[turn + 1]; i++)
            for (int64_t k = 0; k < s.q_len[i]; k++) {
                assert_true(s.cache_row[i] + k < b.tokens);
                held[s.cache_row[i] + k] = b.ids[s.q_start[i] + k];
            }
        for (int64_t i = s.turn[turn]; i < s.turn[turn + 1]; i++) {
            int64_t row = 0;
            while (b.row_start[row] != s.q_start[i]) row++;
            assert_int_equal(s.kv_len[i], t.length[row]);
            for (int64_t k = 0; k < s.kv_len[i]; k++)
                assert_int_equal(held[s.kv_start[i] + k], t.ids[row][k]);
        }
    }
    shared_rows_fini(&s);
    batch_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_whole_rows),
        cmocka_unit_test(who_cannot_share),
        cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
