/* SPDX-License-Identifier: Apache-2.0 */
/* test_product.c: products in F32 are products in F32, whatever unit computes them: with the
 * identity they give back every bit, and their error against double precision is that of sums in
 * F32, not of a narrower type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/base/rng.h"
#include "kernels/kernels.h"

struct fixture {
    struct pool *pool;
    struct kernels k;
    struct buf a, b, c;
};

static float *floats(struct fixture *f, int64_t n, struct buf *out)
{
    struct errctx e = ERRCTX_INIT;
    assert_int_equal(f->k.alloc(&f->k, &e, (size_t)n * sizeof(float), out), ERR_OK);
    return f->k.map(&f->k, *out);
}

static void enter(struct fixture *f)
{
    struct errctx e = ERRCTX_INIT;
    assert_int_equal(pool_new(&e, 2, &f->pool), ERR_OK);
    assert_int_equal(kernels_open(&e, "cpu", f->pool, &f->k), ERR_OK);
}

static void leave(struct fixture *f)
{
    f->k.free(&f->k, f->a);
    f->k.free(&f->k, f->b);
    f->k.free(&f->k, f->c);
    kernels_close(&f->k);
    pool_free(f->pool);
}

/* Numbers with all their 24 bits, of many sizes and both signs. */
static void fill(float *x, int64_t n, uint32_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t counter[4] = {(uint32_t)i, seed, 0, 0}, r[4];
        rng_philox((struct rng_key){{1, 2}}, counter, r);
        uint32_t bits = (r[0] & 0x807fffff) | (100 + r[1] % 50) << 23;
        memcpy(&x[i], &bits, sizeof bits);
    }
}

static void identity_returns_every_bit(void **state)
{
    (void)state;
    enum { N = 75 };
    for (int way = 0; way < 8; way++) {
        struct fixture f;
        enter(&f);
        float *a = floats(&f, N * N, &f.a), *b = floats(&f, N * N, &f.b);
        const float *c = floats(&f, N * N, &f.c);
        bool left = way & 1;
        float *numbers = left ? b : a, *identity = left ? a : b;
        fill(numbers, N * N, 5);
        for (int64_t i = 0; i < N; i++) identity[i * N + i] = 1;
        struct gemm_args g = {.M = N, .N = N, .K = N};
        g.A = mat_rows(f.a, DTYPE_F32, N);
        g.B = mat_rows(f.b, DTYPE_F32, N);
        g.C = mat_rows(f.c, DTYPE_F32, N);
        g.A.trans = way & 2;
        g.B.trans = way & 4;
        f.k.gemm(&f.k, &g);
        bool turned = left ? g.B.trans : g.A.trans;
        for (int64_t i = 0; i < N; i++)
            for (int64_t j = 0; j < N; j++)
                assert_memory_equal(&c[i * N + j], &numbers[turned ? j * N + i : i * N + j],
                                    sizeof *c);
        leave(&f);
    }
}

/* The largest error, in parts of the sum of the absolute products. */
static void error_is_of_f32(void **state)
{
    (void)state;
    enum { M = 64, N = 96, K = 1500 };
    struct fixture f;
    enter(&f);
    float *a = floats(&f, M * K, &f.a), *b = floats(&f, K * N, &f.b);
    const float *c = floats(&f, M * N, &f.c);
    fill(a, M * K, 1);
    fill(b, K * N, 2);
    struct gemm_args g = {.M = M, .N = N, .K = K};
    g.A = mat_rows(f.a, DTYPE_F32, K);
    g.B = mat_rows(f.b, DTYPE_F32, N);
    g.C = mat_rows(f.c, DTYPE_F32, N);
    f.k.gemm(&f.k, &g);
    double worst = 0;
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            double sum = 0, size = 0;
            for (int64_t k = 0; k < K; k++) {
                double x = (double)a[i * K + k] * (double)b[k * N + j];
                sum += x;
                size += fabs(x);
            }
            worst = fmax(worst, fabs((double)c[i * N + j] - sum) / size);
        }
    print_message("error %.2g of 2^-24\n", ldexp(worst, 24));
    assert_true(worst < ldexp(32, -24));
    leave(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_returns_every_bit),
        cmocka_unit_test(error_is_of_f32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
