/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_gradients.c: the gradient of the whole model against finite differences, for each
 * architecture and each parameter tensor: along random directions d of +-1, (f(w + h d) - f(w - h
 * d)) / 2 h = g . d.
 *
 * On the reference kernels: they add in double, so that the difference of two losses is not lost in
 * rounding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "tests/thin.h"
#include "tests/unit/model_support.h"

static const int64_t lengths[] = {5, 1, 11, 7, 20, 3};

static float sign(struct rng_key key, uint32_t direction, uint32_t param, uint32_t element)
{
    return rng_uniform(key, direction, param, element, 0) < 0.5 ? -1.0f : 1.0f;
}

static double moved(struct model *m, const struct batch *b, const struct param *p,
                    const float *from, float step, struct rng_key key, uint32_t direction,
                    uint32_t number)
{
    float *w = support_numbers(m, model_weights(m));
    for (int64_t i = 0; i < p->elements; i++)
        w[p->offset + i] = from[p->offset + i] + step * sign(key, direction, number, (uint32_t)i);
    return support_loss(m, b, false);
}

enum { VECTOR_STEP = 1000 }; /* of norms and biases: one by so many */

/* Largest error, relative to what |g . d| is for a random d: |g|. The step of matrices is the
 * caller's: norms of small numbers bend the loss. */
static void check(struct model *m, const struct batch *b, float matrix_step, double tolerance)
{
    const struct param_table *t = model_params(m);
    const size_t bytes = (size_t)t->elements * sizeof(float);
    const struct rng_key key = rng_key_make(7, RNG_TEST);
    const uint32_t directions = thin_any() ? 1 : 3;
    float *w = support_numbers(m, model_weights(m)), *from = malloc(bytes), *g = malloc(bytes);
    support_zero_gradients(m);
    support_loss(m, b, true);
    model_finish_gradients(m);
    memcpy(from, w, bytes);
    memcpy(g, support_numbers(m, model_gradients(m)), bytes);
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &t->items[i];
        const float step = p->dims == 2 ? matrix_step : 1.0F / VECTOR_STEP;
        double square = 0;
        for (int64_t j = 0; j < p->elements; j++)
            square += (double)g[p->offset + j] * g[p->offset + j];
        assert_true(square > 0);
        for (uint32_t d = 0; d < directions; d++) {
            double along = 0;
            for (int64_t j = 0; j < p->elements; j++)
                along += (double)g[p->offset + j] * sign(key, d, (uint32_t)i, (uint32_t)j);
            const double up = moved(m, b, p, from, step, key, d, (uint32_t)i);
            const double down = moved(m, b, p, from, -step, key, d, (uint32_t)i);
            const double error = fabs((up - down) / (2 * (double)step) - along) / sqrt(square);
            if (error > tolerance) fail_msg("%s: error %g", p->name, error);
            memcpy(w, from, bytes);
        }
    }
    free(from);
    free(g);
}

static void check_adapted(const struct model_config *c, const struct adapter *adapter,
                          double dropout, bool recompute, float step)
{
    struct support s;
    struct batch b;
    const struct model_use use = {.dtype = DTYPE_F32,
                                  .training = true,
                                  .recompute = recompute,
                                  .tokens = 192,
                                  .dropout = dropout,
                                  .adapter = adapter,
                                  .seed = 5};
    support_open(&s, "ref", 1);
    struct model *m = support_model(&s, c, &use);
    support_batch(&b, c, 16, ARRAY_LEN(lengths), lengths, 0);
    check(m, &b, step, 3e-3);
    batch_fini(&b);
    model_free(m);
    support_close(&s);
}

static void check_with_step(const struct model_config *c, double dropout, bool recompute,
                            float step)
{
    check_adapted(c, NULL, dropout, recompute, step);
}

static void check_config(const struct model_config *c, double dropout, bool recompute)
{
    check_with_step(c, dropout, recompute, 1e-3F);
}

static void check_arch(const char *arch, bool tied, double dropout)
{
    struct model_config c = support_config(arch);
    c.tied = tied;
    check_config(&c, dropout, false);
}

static void gpt2(void **state)
{
    (void)state;
    check_arch("gpt2", true, 0);
}

static void llama(void **state)
{
    (void)state;
    check_arch("llama", false, 0);
    check_arch("llama", true, 0);
}

static void bert(void **state)
{
    (void)state;
    check_arch("bert", true, 0);
}

/* The masks of a step stay the same, so the loss is a smooth function of the weights. */
static void with_dropout(void **state)
{
    (void)state;
    check_arch("gpt2", true, 0.2);
    check_arch("bert", true, 0.2);
}

/* Fields are independent: values that no named architecture puts together. */
static void mixtures(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct model_config c = support_config("bert");
    c.norm = NORM_RMS;
    c.norm_post = false;
    c.final_norm = true;
    c.position = POSITION_ROPE;
    c.rope_theta = 100;
    c.rope_dims = 2;
    c.kv_heads = 1;
    c.act = ACT_TANH;
    c.gated = true;
    c.tied = c.qkv_bias = false;
    assert_int_equal(model_config_finish(&e, &c), ERR_OK);
    check_config(&c, 0, false);

    c = support_config("gpt2");
    c.norm_post = true;
    c.final_norm = false;
    c.position = POSITION_NONE;
    c.window = 5;
    c.kv_heads = 2;
    c.head_size = 6;
    c.act = ACT_SILU;
    c.out_bias = c.tied = false;
    c.types = 2;
    c.mlm_head = true;
    c.attention_scale = 0.7;
    assert_int_equal(model_config_finish(&e, &c), ERR_OK);
    check_config(&c, 0.2, true);
}

/* What Gemma 2, Qwen3 and NeoX have beside these. */
static void branches(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct model_config c = support_config("llama");
    c.norm_branch = c.norm_plus_one = c.qk_norm = true;
    c.embed_scale = 1.7;
    c.attention_softcap = 1.5;
    c.logit_softcap = 2;
    c.window = 3;
    c.window_every = 2;
    c.rope_scaling = ROPE_LLAMA3;
    c.rope_factor = 4;
    c.rope_original = 16;
    c.rope_low = 1;
    c.rope_high = 4;
    assert_int_equal(model_config_finish(&e, &c), ERR_OK);
    check_with_step(&c, 0.2, false, 1e-4F);
    check_with_step(&c, 0, true, 1e-4F);

    c = support_config("gpt2");
    c.parallel = c.norm_branch = c.qk_norm = true;
    c.position = POSITION_ROPE;
    c.rope_theta = 100;
    c.rope_scaling = ROPE_DYNAMIC;
    c.rope_factor = 3;
    c.rope_original = 4;
    c.embed_scale = 0.5;
    c.logit_softcap = 1;
    assert_int_equal(model_config_finish(&e, &c), ERR_OK);
    check_with_step(&c, 0.2, true, 1e-4F);
    check_with_step(&c, 0, false, 1e-4F);
}

/* Low-rank parts beside these targets of every layer but, of the second source, the first. */
static void check_targets(const char *arch, const enum adapter_target *targets, size_t count,
                          double dropout, bool recompute)
{
    struct errctx e = ERRCTX_INIT;
    const struct model_config c = support_config(arch);
    struct adapter a = {.dropout = dropout};
    for (int source = 0; source < 2; source++)
        for (int layer = source; layer < c.layers; layer++)
            for (size_t i = 0; i < count; i++) {
                const struct adapter_part part = {.source = source,
                                                  .layer = layer,
                                                  .target = targets[i],
                                                  .rank = 2 + (int64_t)i,
                                                  .scale = 0.7};
                if (source == 0 || i % 2 == 0)
                    assert_int_equal(adapter_add(&e, &a, &c, &part), ERR_OK);
            }
    check_adapted(&c, &a, dropout, recompute, 1e-3F);
    adapter_fini(&a);
}

static void adapters(void **state)
{
    static const enum adapter_target fused[] = {TARGET_QKV, TARGET_OUT, TARGET_UP, TARGET_DOWN},
                                     some[] = {TARGET_V, TARGET_Q, TARGET_GATE, TARGET_DOWN},
                                     most[] = {TARGET_Q, TARGET_K, TARGET_V, TARGET_UP};
    (void)state;
    check_targets("gpt2", fused, ARRAY_LEN(fused), 0, false);
    check_targets("llama", some, ARRAY_LEN(some), 0, true);
    check_targets("llama", most, ARRAY_LEN(most), 0.3, false);
    check_targets("bert", most, ARRAY_LEN(most), 0, false);
    check_targets("bert", fused, ARRAY_LEN(fused), 0.3, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gpt2),     cmocka_unit_test(llama),
                                       cmocka_unit_test(bert),     cmocka_unit_test(with_dropout),
                                       cmocka_unit_test(mixtures), cmocka_unit_test(branches),
                                       cmocka_unit_test(adapters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
