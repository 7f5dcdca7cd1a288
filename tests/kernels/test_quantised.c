/* SPDX-License-Identifier: Apache-2.0 */
/* test_quantised.c: products and tables of block-quantised matrices: the bits are those of the same
 * op with the matrix decoded before, at every level this CPU has; the reference agrees; one row of
 * x alone has the bits it has among others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/quantise.h"
#include "kernels/internal.h"
#include "kernels/values.h"

static const char *const levels[] = {"ref", "avx2", "avx512", "avx512bf16", "amx"};
static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_NF4};

struct kit {
    struct pool *pool;
    struct kernels k;
};

static void kit_open(struct kit *kit, const char *level, int threads)
{
    struct errctx e = ERRCTX_INIT;
    setenv("GRAFT_CPU", level, 1);
    assert_int_equal(pool_new(&e, threads, &kit->pool), ERR_OK);
    assert_int_equal(kernels_open(&e, "cpu", kit->pool, &kit->k), ERR_OK);
}

static void kit_close(struct kit *kit)
{
    kernels_close(&kit->k);
    pool_free(kit->pool);
}

static struct buf take(struct kit *kit, size_t bytes)
{
    struct errctx e = ERRCTX_INIT;
    struct buf b;
    assert_int_equal(kit->k.alloc(&kit->k, &e, bytes, &b), ERR_OK);
    return b;
}

static float uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) / (1 << 23) - 1;
}

static struct buf random_rows(struct kit *kit, int64_t n, enum dtype t, uint64_t seed)
{
    struct buf b = take(kit, (size_t)n * dtype_size(t));
    void *p = kit->k.map(&kit->k, b);
    for (int64_t i = 0; i < n; i++) element_put(p, t, i, uniform(&seed));
    return b;
}

/* A matrix (N, K): quantised, and what that decodes to. */
static void matrix(struct kit *kit, enum dtype t, int64_t N, int64_t K, struct mat *blocks,
                   struct mat *decoded)
{
    size_t bytes;
    assert_true(dtype_bytes(t, N * K, &bytes));
    struct buf numbers = random_rows(kit, N * K, DTYPE_F32, 7), b = take(kit, bytes);
    float *x = kit->k.map(&kit->k, numbers);
    uint8_t *q = kit->k.map(&kit->k, b);
    assert_int_equal(quantise_row(t, x, N * K, q), -1);
    values_to_f32(t, q, N * K, x);
    *blocks = mat_rows(b, t, K);
    *decoded = mat_rows(numbers, DTYPE_F32, K);
}

struct product {
    int64_t M, N, K;
    enum dtype x, y;
    bool skinny;
    bool back; /* dx = dy W: K is that of W's rows, of which each output has one number */
};

/* y of M rows, `at` of which come first by themselves. */
static void run_product(struct kit *kit, const struct product *p, struct mat w, struct buf x,
                        struct buf bias, int64_t at, struct buf y)
{
    const size_t x_row = (size_t)p->K * dtype_size(p->x), y_row = (size_t)p->N * dtype_size(p->y);
    for (int part = 0; part < 2; part++) {
        int64_t first = part ? at : 0, rows = part ? p->M - at : at;
        if (rows == 0) continue;
        struct gemm_args a = {
            .M = rows, .N = p->N, .K = p->K, .B = p->back ? w : mat_transposed(w)};
        a.A = mat_rows(buf_at(x, (size_t)first * x_row, (size_t)rows * x_row), p->x, p->K);
        a.C = mat_rows(buf_at(y, (size_t)first * y_row, (size_t)rows * y_row), p->y, p->N);
        a.bias = bias;
        a.act = ACT_SILU;
        (p->skinny ? kit->k.skinny : kit->k.gemm)(&kit->k, &a);
    }
}

static bool same_bytes(struct kit *kit, struct buf a, struct buf b)
{
    return memcmp(kit->k.map(&kit->k, a), kit->k.map(&kit->k, b), a.bytes) == 0;
}

static void check_product(struct kit *kit, enum dtype t, const struct product *p)
{
    struct mat blocks, decoded;
    const int64_t lines = p->back ? p->K : p->N, length = p->back ? p->N : p->K;
    if (length % dtype_unit(t) != 0) return;
    matrix(kit, t, lines, length, &blocks, &decoded);
    const struct buf numbers = decoded.buf;
    struct buf x = random_rows(kit, p->M * p->K, p->x, 11);
    struct buf bias = random_rows(kit, p->N, DTYPE_F32, 13);
    const size_t bytes = (size_t)(p->M * p->N) * dtype_size(p->y);
    struct buf y = take(kit, bytes), z = take(kit, bytes), half = {0};
    run_product(kit, p, blocks, x, bias, 0, y);
    run_product(kit, p, blocks, x, bias, p->M / 3, z);
    assert_true(same_bytes(kit, y, z)); /* rows alone and among others */
    if (!p->skinny && p->x == DTYPE_BF16 && state_of(&kit->k)->product_bf16 &&
        state_of(&kit->k)->small_bf16) { /* a unit for BF16: as of weights rounded to it */
        half = take(kit, (size_t)(p->N * p->K) * 2);
        struct mat rounded = mat_rows(half, DTYPE_BF16, length);
        kit->k.convert(&kit->k, lines, length, decoded, rounded);
        decoded = rounded;
    }
    run_product(kit, p, decoded, x, bias, 0, z);
    assert_true(same_bytes(kit, y, z));
    const struct buf all[] = {blocks.buf, numbers, half, x, bias, y, z};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (buf_present(all[i])) kit->k.free(&kit->k, all[i]);
}

static void products(void **state)
{
    static const struct product cases[] = {
        {1, 1, 32, DTYPE_F32, DTYPE_F32, true},
        {1, 67, 96, DTYPE_F32, DTYPE_F32, true},
        {3, 130, 64, DTYPE_F32, DTYPE_F32, true},
        {7, 71, 160, DTYPE_BF16, DTYPE_BF16, true},
        {2, 9, 2048, DTYPE_BF16, DTYPE_F32, true},
        {70, 65, 32, DTYPE_F32, DTYPE_F32, true},
        {33, 100, 96, DTYPE_F32, DTYPE_F32, false},
        {5, 1100, 2080, DTYPE_F32, DTYPE_BF16, false},
        {40, 65, 32, DTYPE_BF16, DTYPE_BF16, false},
        {9, 97, 576, DTYPE_BF16, DTYPE_F32, false},
        {2, 9, 192, DTYPE_F32, DTYPE_F32, true},
        {7, 2112, 40, DTYPE_F32, DTYPE_F32, false, true},
        {5, 64, 33, DTYPE_BF16, DTYPE_BF16, false, true},
        {9, 1600, 70, DTYPE_BF16, DTYPE_F32, false, true},
        {3, 128, 2100, DTYPE_F32, DTYPE_BF16, false, true},
    };
    (void)state;
    for (size_t l = 0; l < ARRAY_LEN(levels); l++)
        for (int threads = 1; threads <= 2; threads++) {
            struct kit kit;
            kit_open(&kit, levels[l], threads);
            for (size_t t = 0; t < ARRAY_LEN(types); t++)
                for (size_t c = 0; c < ARRAY_LEN(cases); c++)
                    check_product(&kit, types[t], &cases[c]);
            kit_close(&kit);
        }
}

/* Of the reference, which decodes a number at a time, within the rounding of sums. */
static void reference(void **state)
{
    const struct product p = {4, 50, 320, DTYPE_F32, DTYPE_F32, true};
    (void)state;
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        struct kit kits[2];
        float *y[2];
        struct buf outs[2];
        for (int i = 0; i < 2; i++) {
            struct mat blocks, decoded;
            kit_open(&kits[i], i ? "amx" : "ref", 1);
            matrix(&kits[i], types[t], p.N, p.K, &blocks, &decoded);
            struct buf x = random_rows(&kits[i], p.M * p.K, p.x, 11), out;
            struct buf bias = random_rows(&kits[i], p.N, DTYPE_F32, 13);
            out = take(&kits[i], (size_t)(p.M * p.N) * 4);
            run_product(&kits[i], &p, blocks, x, bias, 0, out);
            y[i] = kits[i].k.map(&kits[i].k, out);
            outs[i] = out;
            const struct buf all[] = {blocks.buf, decoded.buf, x, bias};
            for (size_t j = 0; j < ARRAY_LEN(all); j++) kits[i].k.free(&kits[i].k, all[j]);
            if (i == 0) continue;
            for (int64_t j = 0; j < p.M * p.N; j++) assert_true(fabsf(y[0][j] - y[1][j]) < 1e-4f);
        }
        for (int i = 0; i < 2; i++) {
            kits[i].k.free(&kits[i].k, outs[i]);
            kit_close(&kits[i]);
        }
    }
}

static void tables(void **state)
{
    static const int32_t ids[] = {3, 0, -1, 4, 3, 2};
    const int64_t n = (int64_t)ARRAY_LEN(ids), C = 192;
    (void)state;
    for (size_t l = 0; l < ARRAY_LEN(levels); l++)
        for (size_t t = 0; t < ARRAY_LEN(types); t++) {
            struct kit kit;
            struct mat blocks, decoded;
            kit_open(&kit, levels[l], 2);
            matrix(&kit, types[t], 5, C, &blocks, &decoded);
            struct buf id = take(&kit, sizeof ids), y = take(&kit, (size_t)(n * C) * 4),
                       z = take(&kit, (size_t)(n * C) * 4);
            kit.k.upload(&kit.k, id, ids, sizeof ids);
            for (int add = 0; add < 2; add++) {
                kit.k.embed_forward(&kit.k, n, C, id, blocks, 1.5f, mat_rows(y, DTYPE_F32, C), add);
                kit.k.embed_forward(&kit.k, n, C, id, decoded, 1.5f, mat_rows(z, DTYPE_F32, C),
                                    add);
                assert_true(same_bytes(&kit, y, z));
            }
            const struct buf all[] = {blocks.buf, decoded.buf, id, y, z};
            for (size_t i = 0; i < ARRAY_LEN(all); i++) kit.k.free(&kit.k, all[i]);
            kit_close(&kit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(reference),
        cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
