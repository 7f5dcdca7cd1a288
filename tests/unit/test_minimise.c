/* SPDX-License-Identifier: Apache-2.0 */
/* test_minimise.c: minima that are known: an ill-conditioned bowl, Rosenbrock's valley, a function
 * that is flat far out; and what there is no minimum of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "common/train/minimise.h"

enum { N = 12 };

static enum err bowl(struct errctx *e, void *ctx, const double *x, double *f, double *g)
{
    (void)e;
    (void)ctx;
    *f = 0;
    for (int i = 0; i < N; i++) {
        const double weight = pow(10, i / 2.0), d = x[i] - i;
        *f += weight * d * d / 2;
        g[i] = weight * d;
    }
    return ERR_OK;
}

static enum err valley(struct errctx *e, void *ctx, const double *x, double *f, double *g)
{
    int *calls = ctx;
    (void)e;
    ++*calls;
    *f = 0;
    for (int i = 0; i < N; i++) g[i] = 0;
    for (int i = 0; i + 1 < N; i++) {
        const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        *f += 100 * a * a + b * b;
        g[i] += -400 * x[i] * a - 2 * b;
        g[i + 1] += 200 * a;
    }
    return ERR_OK;
}

/* log cosh of distances: nearly linear far from the minimum. */
static enum err funnel(struct errctx *e, void *ctx, const double *x, double *f, double *g)
{
    (void)e;
    (void)ctx;
    *f = 0;
    for (int i = 0; i < N; i++) {
        const double d = x[i] + 2 * i;
        *f += fabs(d) + log1p(exp(-2 * fabs(d))) - log(2);
        g[i] = tanh(d);
    }
    return ERR_OK;
}

static enum err slope(struct errctx *e, void *ctx, const double *x, double *f, double *g)
{
    (void)e;
    (void)ctx;
    *f = 0;
    for (int i = 0; i < N; i++) {
        *f += x[i];
        g[i] = 1;
    }
    return ERR_OK;
}

static enum err no_number(struct errctx *e, void *ctx, const double *x, double *f, double *g)
{
    (void)e;
    (void)ctx;
    (void)x;
    (void)g;
    *f = NAN;
    return ERR_OK;
}

static enum err fails(struct errctx *e, void *ctx, const double *x, double *f, double *g)
{
    (void)ctx;
    (void)x;
    (void)f;
    (void)g;
    return err_set(e, ERR_INPUT, "no");
}

static struct minimise_result run(minimise_fn *fn, void *ctx, double *x)
{
    struct minimise_cfg cfg = MINIMISE_CFG;
    struct minimise_result r;
    struct errctx e = ERRCTX_INIT;
    cfg.tolerance = 1e-8;
    assert_int_equal(minimise(&e, N, x, fn, ctx, &cfg, &r), ERR_OK);
    return r;
}

static void known(void **state)
{
    double x[N] = {0}, y[N], z[N];
    int calls = 0;
    (void)state;
    struct minimise_result r = run(bowl, NULL, x);
    assert_true(r.converged && r.iterations < 800);
    for (int i = 0; i < N; i++) assert_true(fabs(x[i] - i) < 1e-7);
    for (int i = 0; i < N; i++) y[i] = 0;
    r = run(valley, &calls, y);
    assert_true(r.converged && r.evaluations == calls && calls < 400);
    for (int i = 0; i < N; i++) assert_true(fabs(y[i] - 1) < 1e-6);
    for (int i = 0; i < N; i++) z[i] = 1000.0 * (i + 1);
    r = run(funnel, NULL, z);
    assert_true(r.converged);
    for (int i = 0; i < N; i++) assert_true(fabs(z[i] + 2 * i) < 1e-7);
}

static void at_the_minimum(void **state)
{
    double x[N];
    (void)state;
    for (int i = 0; i < N; i++) x[i] = i;
    const struct minimise_result r = run(bowl, NULL, x);
    assert_true(r.converged && r.iterations == 0 && r.evaluations == 1);
}

static void none(void **state)
{
    struct minimise_cfg cfg = MINIMISE_CFG;
    struct minimise_result r;
    struct errctx e = ERRCTX_INIT;
    double x[N] = {0};
    (void)state;
    cfg.most = 50;
    assert_int_equal(minimise(&e, N, x, slope, NULL, &cfg, &r), ERR_OK);
    assert_true(!r.converged && r.iterations <= 50);
    assert_int_equal(minimise(&e, N, x, no_number, NULL, &cfg, &r), ERR_IO);
    e = (struct errctx)ERRCTX_INIT;
    assert_int_equal(minimise(&e, N, x, fails, NULL, &cfg, &r), ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known), cmocka_unit_test(at_the_minimum),
                                       cmocka_unit_test(none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
