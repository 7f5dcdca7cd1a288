/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_learns.c: each architecture learns a few rows by heart with plain AdamW: the loss
 * falls to near zero, in f32 and in bf16. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "tests/thin.h"
#include "tests/unit/model_support.h"

static void learn(const char *arch, enum dtype dtype, double dropout)
{
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct batch b;
    struct model *m;
    static const int64_t lengths[] = {20, 24, 9, 14};
    const struct model_config c = support_config(arch);
    const struct model_use use = {
        .dtype = dtype, .training = true, .tokens = 128, .dropout = dropout};
    const int64_t steps = thin_any() ? 12 : 200;
    double first = 0, last = 0;
    support_open(&s, "cpu", 2);
    struct kernels *k = &s.k;
    assert_int_equal(model_create(&e, k, &c, NULL, 1, &use, &m), ERR_OK);
    support_batch(&b, &c, 64, 4, lengths, 0);
    const int64_t n = model_params(m)->elements;
    struct buf mean, square;
    assert_int_equal(k->alloc(k, &e, (size_t)n * sizeof(float), &mean), ERR_OK);
    assert_int_equal(k->alloc(k, &e, (size_t)n * sizeof(float), &square), ERR_OK);
    for (int64_t step = 1; step <= steps; step++) {
        last = 0;
        support_zero_gradients(m);
        assert_int_equal(model_forward(&e, m, &b, (uint32_t)step), ERR_OK);
        assert_int_equal(model_loss(&e, m, &b, true, NULL, NULL, &last), ERR_OK);
        assert_int_equal(model_backward(&e, m, &b), ERR_OK);
        model_finish_gradients(m);
        const struct adamw_args a = {.lr = 0.02f * (1 - (float)step / (float)(steps + 1)),
                                     .beta1 = 0.9f,
                                     .beta2 = 0.95f,
                                     .eps = 1e-8f,
                                     .step = step,
                                     .correct = true,
                                     .scale = (float)(1 / b.scored)};
        k->adamw(k, n, &a, model_weights(m), model_gradients(m), mean, square, model_weights16(m));
        if (step == 1) first = last / b.scored;
    }
    model_set_dropout(m, false);
    last = support_loss(m, &b, false) / b.scored;
    print_message("%s: %g -> %g\n", arch, first, last);
    assert_true(fabs(first - log(37)) < 0.2); /* small weights know nothing */
    assert_true(last < (thin_any() ? 0.8 * first : 0.05));
    k->free(k, mean);
    k->free(k, square);
    batch_fini(&b);
    model_free(m);
    support_close(&s);
}

static void in_f32(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) learn(support_archs[i], DTYPE_F32, 0);
}

static void in_bf16(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) learn(support_archs[i], DTYPE_BF16, 0);
}

static void with_dropout(void **state)
{
    (void)state;
    learn("gpt2", DTYPE_F32, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_f32), cmocka_unit_test(in_bf16),
                                       cmocka_unit_test(with_dropout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
