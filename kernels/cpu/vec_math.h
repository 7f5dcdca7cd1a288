/* SPDX-License-Identifier: Apache-2.0 */
/* vec_math.h: exponential, tanh and the activations on vectors, and rows of either dtype as
 * vectors. Included after vec_avx2.h or vec_avx512.h. Polynomials are Chebyshev fits in 40 digits;
 * the errors named are of the fit, relative. NaN in gives NaN out: a limit is put first in vf_min
 * and vf_max, which then give the argument. */
#ifndef GRAFT_KERNELS_CPU_VEC_MATH_H
#define GRAFT_KERNELS_CPU_VEC_MATH_H

#include <assert.h>
#include <string.h>
#include "common/base/dtype.h"
#include "kernels/cpu/cpu.h"

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln(2) / 2: e^r = 1 + r + r^2 P(r), 2e-8. At most 2 ulp
 * (tests/kernels); what would be below the least normal float is 0, as subnormal results cost a
 * hundred cycles each. */
static inline vf vf_exp(vf x)
{
    vf least_normal = vf_set(-87.33654f), y = vf_max(least_normal, vf_min(vf_set(100.0f), x));
    vf n = vf_round(vf_mul(y, vf_set(1.44269504f)));
    vf r = vf_fnma(n, vf_set(0.693359375f), y);
    r = vf_fnma(n, vf_set(-2.12194440e-4f), r);
    vf p = vf_set(0.00139262034f);
    p = vf_fma(p, r, vf_set(0.00836319488f));
    p = vf_fma(p, r, vf_set(0.0416665545f));
    p = vf_fma(p, r, vf_set(0.166665769f));
    p = vf_fma(p, r, vf_set(0.5f));
    p = vf_fma(vf_mul(r, r), p, r);
    p = vf_scale2(vf_add(p, vf_set(1.0f)), n);
    return vf_select(vf_less(x, least_normal), vf_set(0.0f), p);
}

/* 1 / (1 + e^-x) */
static inline vf vf_sigmoid(vf x)
{
    return vf_div(vf_set(1.0f), vf_add(vf_set(1.0f), vf_exp(vf_sub(vf_set(0.0f), x))));
}

/* Near zero x + x^3 P(x^2), 1e-7 of x^3; beyond 0.7, 1 - 2 / (e^2x + 1). */
static inline vf vf_tanh(vf x)
{
    vf z = vf_mul(x, x), p = vf_set(-0.00557782211f);
    p = vf_fma(p, z, vf_set(0.0205958704f));
    p = vf_fma(p, z, vf_set(-0.0537552964f));
    p = vf_fma(p, z, vf_set(0.133320556f));
    p = vf_fma(p, z, vf_set(-0.333333209f));
    p = vf_fma(vf_mul(z, x), p, x);
    vf e = vf_exp(vf_add(x, x));
    vf far = vf_sub(vf_set(1.0f), vf_div(vf_set(2.0f), vf_add(e, vf_set(1.0f))));
    return vf_select(vf_less(vf_abs(x), vf_set(0.7f)), p, far);
}

/* The normal distribution's Phi(x), and density = e^(-x^2 / 2) (without 1 / sqrt(2 pi)):
 * Phi(-a) = density(a) t Q(t), t = 1 / (1 + 0.3 a), for 0 <= a < 15: 2e-8. */
static inline vf vf_normal(vf x, vf *density)
{
    vf a = vf_abs(x), one = vf_set(1.0f), t = vf_div(one, vf_fma(a, vf_set(0.3f), one));
    *density = vf_exp(vf_mul(vf_mul(a, a), vf_set(-0.5f)));
    vf q = vf_set(-0.0209846694f);
    q = vf_fma(q, t, vf_set(0.114402112f));
    q = vf_fma(q, t, vf_set(-0.232835483f));
    q = vf_fma(q, t, vf_set(0.197921644f));
    q = vf_fma(q, t, vf_set(-0.0844812825f));
    q = vf_fma(q, t, vf_set(0.0988308413f));
    q = vf_fma(q, t, vf_set(0.0774857706f));
    q = vf_fma(q, t, vf_set(0.110423197f));
    q = vf_fma(q, t, vf_set(0.119550118f));
    q = vf_fma(q, t, vf_set(0.11968775f));
    vf tail = vf_mul(*density, vf_mul(t, q));
    return vf_select(vf_less(vf_set(0.0f), x), vf_sub(one, tail), tail);
}

/* gelu_tanh(x) = x times this, which is 1 / (1 + 2^t), t = -2 sqrt(2 / pi) (x + 0.044715 x^3) over
 * ln 2. 2^t = 2^n 2^f, n = round(t), |f| <= 1/2, 1e-7: simpler than vf_exp, as t carries the
 * rounding of three operations in any case. */
static inline vf vf_gelu_share(vf x)
{
    vf z = vf_mul(x, x), one = vf_set(1.0f);
    vf t = vf_mul(x, vf_fma(z, vf_set(-0.102943240f), vf_set(-2.30220820f)));
    t = vf_max(vf_set(-125.0f), vf_min(vf_set(125.0f), t));
    vf n = vf_round(t), f = vf_sub(t, n), p = vf_set(0.00133908634f);
    p = vf_fma(p, f, vf_set(0.00967603192f));
    p = vf_fma(p, f, vf_set(0.0555035711f));
    p = vf_fma(p, f, vf_set(0.240221075f));
    p = vf_fma(p, f, vf_set(0.693147188f));
    p = vf_fma(p, f, one);
    return vf_div(one, vf_add(one, vf_scale2(p, n)));
}

static inline vf vf_act(enum activation act, vf x)
{
    vf unused;
    switch (act) {
    case ACT_NONE:
        return x;
    case ACT_GELU:
        return vf_mul(x, vf_normal(x, &unused));
    case ACT_GELU_TANH:
        return vf_mul(x, vf_gelu_share(x));
    case ACT_SILU:
        return vf_mul(x, vf_sigmoid(x));
    case ACT_RELU:
        return vf_max(vf_set(0.0f), x);
    case ACT_TANH:
        return vf_tanh(x);
    }
    assert(!"an activation");
    return x;
}

/* The value of the activation and its derivative, which share their exponential. */
static inline vf vf_act_both(enum activation act, vf x, vf *derivative)
{
    vf one = vf_set(1.0f), zero = vf_set(0.0f), s, y;
    switch (act) {
    case ACT_NONE:
        *derivative = one;
        return x;
    case ACT_GELU:
        s = vf_normal(x, &y);
        *derivative = vf_fma(vf_mul(x, vf_set(0.398942280f)), y, s);
        return vf_mul(x, s);
    case ACT_GELU_TANH: {
        s = vf_gelu_share(x);
        y = vf_mul(x, s);
        vf slope =
            vf_fma(vf_mul(x, x), vf_set(6 * 0.797884561f * 0.044715f), vf_set(2 * 0.797884561f));
        *derivative = vf_fma(vf_mul(y, vf_sub(one, s)), slope, s);
        return y;
    }
    case ACT_SILU:
        s = vf_sigmoid(x);
        y = vf_mul(x, s);
        *derivative = vf_fma(y, vf_sub(one, s), s);
        return y;
    case ACT_RELU:
        *derivative = vf_select(vf_less(zero, x), one, vf_select(vf_equal(x, x), zero, x));
        return vf_max(zero, x);
    case ACT_TANH:
        s = vf_sigmoid(
            vf_mul(vf_abs(x), vf_set(-2.0f))); /* 1 - tanh^2 = 4 s (1 - s), without cancelling */
        *derivative = vf_mul(vf_mul(vf_set(4.0f), s), vf_sub(one, s));
        return vf_tanh(x);
    }
    assert(!"an activation");
    return x;
}

/* One row of a matrix: elements i, i + 1, ... of it; n of them are left. */
struct row {
    unsigned char *p;
    bool half; /* BF16 */
};
static inline struct row row_of(struct view v, int64_t n)
{
    assert(v.col == 1 || !v.p);
    return (struct row){view_at(&v, n, 0), v.dtype == DTYPE_BF16};
}
static inline vf row_get(struct row r, int64_t i, int64_t n)
{
    if (r.half) {
        const uint16_t *p = (const uint16_t *)(const void *)r.p + i;
        return n >= VF ? vf_load_bf16(p) : vf_load_bf16_n(p, n);
    }
    const float *p = (const float *)(const void *)r.p + i;
    return n >= VF ? vf_load(p) : vf_load_n(p, n);
}
static inline void row_put(struct row r, int64_t i, int64_t n, vf x)
{
    if (r.half) {
        uint16_t *p = (uint16_t *)(void *)r.p + i;
        n >= VF ? vf_store_bf16(p, x) : vf_store_bf16_n(p, x, n);
    } else {
        float *p = (float *)(void *)r.p + i;
        n >= VF ? vf_store(p, x) : vf_store_n(p, x, n);
    }
}
/* The same of plain floats. */
static inline vf floats_get(const float *p, int64_t i, int64_t n)
{
    return n >= VF ? vf_load(p + i) : vf_load_n(p + i, n);
}
static inline void floats_put(float *p, int64_t i, int64_t n, vf x)
{
    n >= VF ? vf_store(p + i, x) : vf_store_n(p + i, x, n);
}

/* Columns of a task where tasks own columns: a share for each thread, and few enough for the sums
 * to stay in the first cache. A column's sum is the same whichever its neighbours are. */
static inline int64_t columns_per_task(const struct kernels *k, int64_t C)
{
    int64_t share = tasks_of(C > 0 ? C : 1, state_of(k)->threads);
    return least(tasks_of(share, VF) * VF, 1024);
}

#endif
