/* SPDX-License-Identifier: Apache-2.0 */
/* cases_product.c: cases of gemm and skinny. Shape: M, N, K; T is the size of a grain (0: one),
 * along K when `fused`. */
#include "common/base/attr.h"
#include "tests/kernels/cases.h"

enum { A, B, C, BIAS, BEFORE, RESIDUAL };

static void gemm_setup(struct problem *p)
{
    const struct shape *s = p->s;
    if (s->fused)
        array_add(p, "A", IN, s->x, s->K, s->M, UNIFORM); /* tokens are rows */
    else
        array_add(p, "A", IN, s->x, s->M, s->K, UNIFORM);
    array_add(p, "B", IN, s->w, s->K, s->N, UNIFORM);
    array_add(p, "C", s->beta != 0 || s->in_place ? INOUT : OUT, s->y, s->M, s->N, UNIFORM);
    array_add_dense(p, "bias", IN, DTYPE_F32, s->bias ? 1 : 0, s->N, UNIFORM);
    array_add(p, "before", OUT, s->y, s->before ? s->M : 0, s->N, ZERO);
    array_add(p, "residual", IN, s->y, s->residual ? s->M : 0, s->N, UNIFORM);
    p->a[A].trans = !s->fused && s->a_trans;
    p->a[B].trans = s->b_trans;
}

static int gemm_cuts(const struct shape *s, int64_t out[CUTS_MAX])
{
    int64_t units = s->fused ? s->K : s->M;
    int n = 0;
    out[0] = 0;
    while (s->T && out[n] < units) {
        int64_t half = (s->T / 2 + KERNEL_STEP - 1) / KERNEL_STEP * KERNEL_STEP;
        out[n + 1] = out[n] + (n % 2 ? half : s->T);
        if (out[n + 1] > units) out[n + 1] = units;
        n++;
    }
    return n;
}

static int64_t gemm_units(const struct shape *s)
{
    return s->fused ? s->K : s->M;
}

static void gemm_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    int64_t cuts[CUTS_MAX], start[CUTS_MAX];
    int n = 0, all = gemm_cuts(s, cuts);
    start[0] = 0;
    for (int i = 0; i < all; i++)
        if (cuts[i] >= first && cuts[i + 1] <= last) start[++n] = cuts[i + 1] - first;
    struct gemm_args a = {.M = s->M, .N = s->N, .K = s->K, .beta = s->beta, .act = s->act};
    struct grid grid = {n, start};
    if (s->fused) {
        a.K = last - first;
        a.A = mat_transposed(mat_from(p, A, first));
        a.B = mat_from(p, B, first);
        a.C = mat_from(p, C, 0);
        a.depth = grid;
        if (first > 0) a.beta = 1;
    } else {
        a.M = last - first;
        a.A = mat_from(p, A, first);
        a.B = mat_from(p, B, 0);
        a.C = mat_from(p, C, first);
        a.before = mat_from(p, BEFORE, first);
        a.residual = s->in_place ? a.C : mat_from(p, RESIDUAL, first);
        a.rows = grid;
    }
    a.bias = buf_from(p, BIAS, 0);
    k->gemm(k, &a);
}

static void skinny_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    struct gemm_args a = {.M = last - first, .N = s->N, .K = s->K, .act = s->act};
    a.A = mat_from(p, A, first);
    a.B = mat_from(p, B, 0);
    a.C = mat_from(p, C, first);
    a.residual = s->in_place ? a.C : mat_from(p, RESIDUAL, first);
    a.bias = buf_from(p, BIAS, 0);
    k->skinny(k, &a);
}

/* One by one: a row alone has the bits it has among others. */
static int skinny_cuts(const struct shape *s, int64_t out[CUTS_MAX])
{
    int64_t n = s->M < CUTS_MAX - 1 ? s->M : CUTS_MAX - 2;
    for (int64_t i = 0; i < n; i++) out[i] = i;
    out[n] = s->M;
    return (int)n;
}

static double gemm_flops(const struct shape *s)
{
    return 2.0 * (double)s->M * (double)s->N * (double)s->K;
}

static double skinny_bytes(const struct shape *s)
{
    return (double)s->N * (double)s->K * (double)dtype_size(dtype_or_f32(s->w));
}

static const struct shape gemm_shapes[] = {
    {.M = 1, .N = 1, .K = 1},
    {.M = 7, .N = 13, .K = 5, .a_trans = true},
    {.M = 7, .N = 13, .K = 5, .b_trans = true, .bias = true, .act = ACT_GELU},
    {.M = 33, .N = 1, .K = 300, .b_trans = true},
    {.M = 1, .N = 331, .K = 17, .beta = 1, .bias = true},
    {.M = 33, .N = 20, .K = 1, .b_trans = true},
    {.M = 1, .N = 20, .K = 33, .a_trans = true},
    {.M = 33, .N = 1, .K = 1, .a_trans = true, .b_trans = true},
    {.M = 1, .N = 90, .K = 160, .T = 96, .fused = true},
    {.M = 31, .N = 17, .K = 0, .bias = true, .act = ACT_SILU, .residual = true},
    {.M = 300,
     .N = 97,
     .K = 101,
     .b_trans = true,
     .bias = true,
     .before = true,
     .act = ACT_GELU_TANH,
     .residual = true},
    {.M = 96, .N = 600, .K = 65, .b_trans = true, .bias = true, .in_place = true},
    {.M = 96, .N = 75, .K = 65, .in_place = true, .act = ACT_TANH},
    {.M = 64, .N = 2100, .K = 40, .b_trans = true, .bias = true, .beta = 1, .act = ACT_RELU},
    {.M = 1024,
     .N = 96,
     .K = 64,
     .T = 320,
     .b_trans = true,
     .bias = true,
     .act = ACT_GELU,
     .before = true},
    {.M = 416, .N = 530, .K = 48, .T = 64, .residual = true},
    {.M = 96, .N = 80, .K = 416, .T = 64, .fused = true, .beta = 1},
    {.M = 97, .N = 1, .K = 160, .T = 96, .fused = true, .beta = 1},
    {.M = 8, .N = 400, .K = 320, .T = 128, .fused = true},
    {.M = 800, .N = 130, .K = 96, .T = 96, .fused = true, .beta = 1},
    {.M = 100,
     .N = 90,
     .K = 700,
     .x = DTYPE_BF16,
     .w = DTYPE_BF16,
     .y = DTYPE_BF16,
     .b_trans = true,
     .bias = true,
     .act = ACT_GELU,
     .before = true},
    {.M = 288,
     .N = 530,
     .K = 64,
     .T = 96,
     .x = DTYPE_BF16,
     .w = DTYPE_BF16,
     .y = DTYPE_BF16,
     .b_trans = true,
     .in_place = true},
    {.M = 64, .N = 40, .K = 33, .x = DTYPE_BF16, .y = DTYPE_BF16, .beta = 1},
    {.M = 64, .N = 40, .K = 33, .w = DTYPE_BF16, .b_trans = true, .residual = true},
    /* so deep that the sums of a result in BF16 wait elsewhere; and with sums of F32, in C */
    {.M = 8, .N = 1100, .K = 2100, .y = DTYPE_BF16, .bias = true, .beta = 1},
    {.M = 9,
     .N = 2100,
     .K = 2101,
     .x = DTYPE_BF16,
     .w = DTYPE_BF16,
     .y = DTYPE_BF16,
     .b_trans = true,
     .residual = true},
    {.M = 7, .N = 1101, .K = 2100, .bias = true},
    {.M = 90,
     .N = 100,
     .K = 1312,
     .T = 640,
     .x = DTYPE_BF16,
     .w = DTYPE_BF16,
     .fused = true,
     .beta = 1},
};

/* The three products of a linear map in -> out over N tokens (forward with what follows it,
 * gradient of the input, of the weights), activations of type X; the head's, whose logits are F32.
 */
#define PRODUCTS(N_, IN_, OUT_, X_, ...)                                                           \
    {.M = N_, .N = OUT_, .K = IN_, .x = X_, .w = X_, .y = X_, .b_trans = true, __VA_ARGS__},       \
        {.M = N_, .N = IN_, .K = OUT_, .x = X_, .w = X_, .y = X_},                                 \
    {                                                                                              \
        .M = OUT_, .N = IN_, .K = N_, .x = X_, .w = X_, .fused = true, .beta = 1, .T = 1024        \
    }
#define HEAD(N_, C_, V_, X_)                                                                       \
    {.M = N_, .N = V_, .K = C_, .x = X_, .w = X_, .b_trans = true},                                \
        {.M = N_, .N = C_, .K = V_, .x = X_, .w = X_, .y = X_},                                    \
    {                                                                                              \
        .M = V_, .N = C_, .K = N_, .x = X_, .w = X_, .fused = true, .beta = 1, .T = 1024           \
    }
#define GPT(N_, C_, X_)                                                                            \
    PRODUCTS(N_, C_, 3 * (C_), X_, .bias = true),                                                  \
        PRODUCTS(N_, C_, C_, X_, .bias = true, .residual = true),                                  \
        PRODUCTS(N_, C_, 4 * (C_), X_, .bias = true, .before = true, .act = ACT_GELU_TANH),        \
        PRODUCTS(N_, 4 * (C_), C_, X_, .bias = true, .residual = true)

/* Of GPTs of 13.9 M and 124 M parameters, and a small one. */
static const struct shape gemm_perf[] = {
    GPT(4096, 384, DTYPE_F32),
    HEAD(1024, 384, 8192, DTYPE_F32),
    GPT(2048, 768, DTYPE_F32),
    HEAD(288, 768, 50257, DTYPE_F32),
    GPT(4096, 384, DTYPE_BF16),
    HEAD(1024, 384, 8192, DTYPE_BF16),
    GPT(2048, 768, DTYPE_BF16),
    HEAD(288, 768, 50257, DTYPE_BF16),
    {.M = 32, .N = 1536, .K = 384, .b_trans = true},
};

static const struct shape skinny_shapes[] = {
    {.M = 1, .N = 1, .K = 1, .b_trans = true},
    {.M = 1,
     .N = 67,
     .K = 129,
     .b_trans = true,
     .bias = true,
     .act = ACT_GELU_TANH,
     .residual = true},
    {.M = 5, .N = 131, .K = 97, .b_trans = true, .bias = true, .in_place = true},
    {.M = 67, .N = 30, .K = 40, .b_trans = true},
    {.M = 7, .N = 70, .K = 100, .w = DTYPE_BF16, .b_trans = true},
    {.M = 4,
     .N = 70,
     .K = 103,
     .x = DTYPE_BF16,
     .w = DTYPE_BF16,
     .y = DTYPE_BF16,
     .b_trans = true,
     .bias = true},
    {.M = 1, .N = 33, .K = 32, .x = DTYPE_BF16, .w = DTYPE_BF16, .b_trans = true},
    {.M = 37,
     .N = 100,
     .K = 96,
     .x = DTYPE_BF16,
     .w = DTYPE_BF16,
     .y = DTYPE_BF16,
     .b_trans = true,
     .bias = true,
     .act = ACT_GELU_TANH,
     .residual = true},
    {.M = 17, .N = 131, .K = 128, .x = DTYPE_BF16, .w = DTYPE_BF16, .b_trans = true},
};

static const struct shape skinny_perf[] = {
    {.M = 1, .N = 8192, .K = 2048, .b_trans = true},
    {.M = 4, .N = 8192, .K = 2048, .b_trans = true},
    {.M = 16, .N = 8192, .K = 2048, .b_trans = true},
    {.M = 1, .N = 8192, .K = 2048, .w = DTYPE_BF16, .b_trans = true},
    {.M = 1, .N = 384, .K = 384, .b_trans = true},
    {.M = 32, .N = 1536, .K = 384, .b_trans = true},
    {.M = 32, .N = 384, .K = 1536, .b_trans = true},
    {.M = 32, .N = 1536, .K = 384, .x = DTYPE_BF16, .w = DTYPE_BF16, .b_trans = true},
};

/* Sums of up to 700 products in F32, in other orders than the reference's double. */
static const struct op gemm = {.name = "gemm",
                               .tolerance = 1e-5,
                               .shapes = gemm_shapes,
                               .shape_count = ARRAY_LEN(gemm_shapes),
                               .perf = gemm_perf,
                               .perf_count = ARRAY_LEN(gemm_perf),
                               .setup = gemm_setup,
                               .call = gemm_call,
                               .units = gemm_units,
                               .cuts = gemm_cuts,
                               .nan_in = 1 + B,
                               .flops = gemm_flops};
static const struct op skinny = {.name = "skinny",
                                 .tolerance = 1e-5,
                                 .shapes = skinny_shapes,
                                 .shape_count = ARRAY_LEN(skinny_shapes),
                                 .perf = skinny_perf,
                                 .perf_count = ARRAY_LEN(skinny_perf),
                                 .setup = gemm_setup,
                                 .call = skinny_call,
                                 .units = gemm_units,
                                 .cuts = skinny_cuts,
                                 .nan_in = 1 + B,
                                 .flops = gemm_flops,
                                 .bytes = skinny_bytes};

const struct op *const ops_product[] = {&gemm, &skinny, NULL};
