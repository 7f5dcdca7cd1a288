/* SPDX-License-Identifier: Apache-2.0 */
/* test_adamw.c: schedules at their corners, clipping, and one step of a whole model against the
 * formula applied parameter by parameter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "common/train/adamw.h"

static struct adamw_cfg schedule(int kind, int64_t warmup)
{
    struct adamw_cfg c = ADAMW_CFG;
    c.lr = 2;
    c.lr_min = 0.1;
    c.schedule = kind;
    c.warmup = warmup;
    return c;
}

static void warmup_rises_from_the_first_step(void **state)
{
    (void)state;
    for (int kind = SCHEDULE_COSINE; kind <= SCHEDULE_CONSTANT; kind++) {
        struct adamw_cfg c = schedule(kind, 4);
        for (int64_t t = 1; t <= 4; t++)
            assert_float_equal(schedule_rate(&c, t, 100), 0.5 * (double)t, 1e-12);
        c = schedule(kind, 0);
        assert_true(schedule_rate(&c, 1, 100) > 1.9);
    }
}

static void schedules_end_where_they_should(void **state)
{
    (void)state;
    struct adamw_cfg c = schedule(SCHEDULE_COSINE, 10);
    assert_float_equal(schedule_rate(&c, 60, 110), 2 * (0.1 + 0.9 * 0.5), 1e-12); /* half way */
    c = schedule(SCHEDULE_LINEAR, 10);
    assert_float_equal(schedule_rate(&c, 60, 110), 2 * (0.1 + 0.9 * 0.5), 1e-12);
    assert_float_equal(schedule_rate(&c, 85, 110), 2 * (0.1 + 0.9 * 0.25), 1e-12);
    c = schedule(SCHEDULE_WSD, 10); /* the last fifth goes down: 1 - sqrt(x) */
    assert_float_equal(schedule_rate(&c, 80, 100), 2, 1e-12);
    assert_float_equal(schedule_rate(&c, 85, 100), 2 * (0.1 + 0.9 * 0.5), 1e-12);
    for (int kind = SCHEDULE_COSINE; kind < SCHEDULE_CONSTANT; kind++) {
        c = schedule(kind, 10);
        assert_float_equal(schedule_rate(&c, 100, 100), 0.2, 1e-12);
        assert_float_equal(schedule_rate(&c, 1000, 100), 0.2, 1e-12); /* a longer stream */
    }
    c = schedule(SCHEDULE_CONSTANT, 10);
    assert_float_equal(schedule_rate(&c, 1 << 20, 0), 2, 1e-12);
}

static void clipping_is_torchs(void **state)
{
    (void)state;
    struct adamw_cfg c = ADAMW_CFG;
    c.clip = 1;
    assert_float_equal(adamw_clip(&c, 0.5), 1, 0);
    assert_float_equal(adamw_clip(&c, 4), 1 / (4 + 1e-6), 1e-15);
    assert_float_equal(adamw_clip(&c, 1), 1 / (1 + 1e-6), 1e-15);
    c.clip = 0;
    assert_float_equal(adamw_clip(&c, 1e9), 1, 0);
}

/* A little model with gradients made by hand. */
struct fixture {
    struct errctx e;
    struct pool *pool;
    struct kernels k;
    struct model *m;
    struct adamw o;
};

static int open_fixture(void **state)
{
    static struct fixture f;
    const struct model_use use = {.dtype = DTYPE_F32, .training = true};
    const struct adamw_cfg cfg = ADAMW_CFG;
    struct model_config c;
    f = (struct fixture){.e = ERRCTX_INIT};
    if (model_config_preset(&f.e, "gpt2", &c) != ERR_OK) return -1;
    c.vocab = 33;
    c.layers = 2;
    c.width = 16;
    c.heads = 2;
    c.context = 8;
    if (model_config_finish(&f.e, &c) != ERR_OK || pool_new(&f.e, 2, &f.pool) != ERR_OK ||
        kernels_open(&f.e, "ref", f.pool, &f.k) != ERR_OK ||
        model_create(&f.e, &f.k, &c, NULL, 1, &use, &f.m) != ERR_OK ||
        adamw_init(&f.e, &f.o, &cfg, f.m) != ERR_OK)
        return -1;
    const struct param_table *t = model_params(f.m);
    float *g = f.k.map(&f.k, model_gradients(f.m));
    for (int64_t i = 0; i < t->count; i++)
        for (int64_t j = 0; j < t->items[i].elements; j++)
            g[t->items[i].offset + j] = sinf((float)(i * 31 + j));
    *state = &f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    adamw_fini(&f->o);
    model_free(f->m);
    kernels_close(&f->k);
    pool_free(f->pool);
    return 0;
}

static void norm_is_that_of_all_gradients(void **state)
{
    struct fixture *f = *state;
    const struct param_table *t = model_params(f->m);
    const float *g = f->k.map(&f->k, model_gradients(f->m));
    double sum = 0;
    for (int64_t i = 0; i < t->count; i++)
        for (int64_t j = 0; j < t->items[i].elements; j++) {
            double x = g[t->items[i].offset + j];
            sum += x * x;
        }
    assert_float_equal(adamw_norm(&f->o, f->m), sqrt(sum), 1e-9 * sqrt(sum));
}

static void a_step_decays_what_it_should(void **state)
{
    struct fixture *f = *state;
    const struct param_table *t = model_params(f->m);
    const struct adamw_cfg c = ADAMW_CFG;
    size_t n = (size_t)t->elements;
    float *before = malloc(n * sizeof *before);
    const float *g = f->k.map(&f->k, model_gradients(f->m));
    const float *w = f->k.map(&f->k, model_weights(f->m));
    for (size_t i = 0; i < n; i++) before[i] = w[i];
    adamw_step(&f->o, f->m, 1, 1e-2, 0.25);
    int decayed = 0, plain = 0;
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &t->items[i];
        for (int64_t j = p->offset; j < p->offset + p->elements; j++) {
            /* after one step with bias correction: m = g, sqrt(v) = |g| */
            double d = 0.25 * g[j], decay = p->decay ? c.weight_decay : 0;
            double wanted = before[j] * (1 - 1e-2 * decay) - 1e-2 * d / (fabs(d) + c.eps);
            assert_float_equal(w[j], wanted, 1e-6);
        }
        p->decay ? decayed++ : plain++;
    }
    free(before);
    assert_true(decayed > 0 && plain > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warmup_rises_from_the_first_step),
        cmocka_unit_test(schedules_end_where_they_should),
        cmocka_unit_test(clipping_is_torchs),
        cmocka_unit_test_setup_teardown(norm_is_that_of_all_gradients, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_step_decays_what_it_should, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
