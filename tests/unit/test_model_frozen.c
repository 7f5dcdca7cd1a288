/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_frozen.c: with some parameters frozen those that are trained get the bits they get
 * among all, and the optimiser moves no others. For each architecture and places above, below and
 * between what is frozen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/train/adamw.h"
#include "tests/unit/model_support.h"

static const int64_t lengths[] = {50, 7, 1, 96, 33};

static bool contains(const void *ctx, const struct param *p)
{
    return strstr(p->name, ctx) != NULL;
}

/* A model after one backward pass. */
static struct model *learned(struct support *s, const char *arch, const char *trains,
                             enum dtype dtype)
{
    struct errctx e = ERRCTX_INIT;
    struct batch b;
    const struct model_config c = support_config_wide(arch);
    const struct model_use use = {.dtype = dtype,
                                  .training = true,
                                  .tokens = 768,
                                  .trains = trains ? contains : NULL,
                                  .trains_ctx = trains};
    struct model *m = support_model(s, &c, &use);
    double loss = 0;
    support_batch(&b, &c, 768, ARRAY_LEN(lengths), lengths, 40);
    assert_int_equal(model_forward(&e, m, &b, 9), ERR_OK);
    assert_int_equal(model_loss(&e, m, &b, true, NULL, NULL, &loss), ERR_OK);
    assert_int_equal(model_backward(&e, m, &b), ERR_OK);
    model_finish_gradients(m);
    batch_fini(&b);
    return m;
}

/* Counts the trained. */
static int64_t assert_gradients(struct model *all, struct model *some, const char *trains)
{
    const float *x = support_numbers(all, model_gradients(all)),
                *y = support_numbers(some, model_gradients(some));
    const struct param_table *table = model_params(some);
    int64_t trained = 0;
    for (int64_t i = 0; i < table->count; i++) {
        const struct param *p = &table->items[i], *of_all = &model_params(all)->items[i];
        assert_int_equal(p->gradient >= 0, strstr(p->name, trains) != NULL);
        if (p->gradient < 0) continue;
        assert_memory_equal(x + of_all->gradient, y + p->gradient,
                            (size_t)p->elements * sizeof(float));
        trained++;
    }
    return trained;
}

static void assert_step(struct model *m, const char *trains)
{
    struct errctx e = ERRCTX_INIT;
    struct adamw o;
    struct buf kept;
    const struct adamw_cfg cfg = ADAMW_CFG;
    const struct param_table *table = model_params(m);
    const size_t bytes = (size_t)table->elements * sizeof(float);
    float *before = malloc(bytes), *w = support_numbers(m, model_weights(m));
    memcpy(before, w, bytes);
    assert_int_equal(adamw_init(&e, &o, &cfg, m), ERR_OK);
    assert_int_equal(adamw_keep_new(&e, &o, &kept), ERR_OK);
    adamw_keep(&o, m, kept);
    adamw_step(&o, m, 1, 0.1, 1);
    for (int64_t i = 0; i < table->count; i++) {
        const struct param *p = &table->items[i];
        const bool same =
            memcmp(before + p->offset, w + p->offset, (size_t)p->elements * sizeof(float)) == 0;
        assert_int_equal(same, strstr(p->name, trains) == NULL);
    }
    adamw_put_back(&o, m, kept);
    assert_memory_equal(before, w, bytes);
    o.kernels->free(o.kernels, kept);
    adamw_fini(&o);
    free(before);
}

static void frozen(const char *arch, const char *trains, enum dtype dtype)
{
    struct support s;
    support_open(&s, "cpu", 2);
    struct model *all = learned(&s, arch, NULL, dtype), *some = learned(&s, arch, trains, dtype);
    assert_true(assert_gradients(all, some, trains) > 0);
    assert_true(model_params(some)->trained < model_params(all)->trained);
    assert_step(some, trains);
    model_free(all);
    model_free(some);
    support_close(&s);
}

static void each_place(void **state)
{
    static const char *const places[] = {
        "layers.1.", "layers.0.attention.qkv", "mlp.down", "norm", "embed.", "embed.tokens"};
    (void)state;
    for (size_t a = 0; a < ARRAY_LEN(support_archs); a++)
        for (size_t i = 0; i < ARRAY_LEN(places); i++)
            frozen(support_archs[a], places[i], i % 2 ? DTYPE_BF16 : DTYPE_F32);
    frozen("llama", "head.weight", DTYPE_F32);
    frozen("bert", "head.", DTYPE_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
