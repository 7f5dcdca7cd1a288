/* SPDX-License-Identifier: Apache-2.0 */
/* act.c: activations and gated products, and their derivatives.
 *
 *   gelu       x Phi(x), Phi the normal distribution (Hendrycks and Gimpel, arXiv:1606.08415)
 *   gelu_tanh  x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
 *   silu       x / (1 + exp(-x)) */
#include <math.h>
#include "kernels/internal.h"

static const double root_2_over_pi = 0.79788456080286535588, cubic = 0.044715;

double act_value(enum activation act, double x)
{
    switch (act) {
    case ACT_NONE:
        return x;
    case ACT_GELU:
        return 0.5 * x * erfc(-x * 0.70710678118654752440);
    case ACT_GELU_TANH:
        return x / (1 + exp(-2 * root_2_over_pi * (x + cubic * x * x * x)));
    case ACT_SILU:
        return x / (1 + exp(-x));
    case ACT_RELU:
        return x < 0 ? 0 : x; /* NaN stays */
    case ACT_TANH:
        return tanh(x);
    }
    assert(!"an activation");
    return x;
}

static double act_derivative(enum activation act, double x)
{
    switch (act) {
    case ACT_NONE:
        return 1;
    case ACT_GELU:
        return 0.5 * erfc(-x * 0.70710678118654752440) +
               x * 0.39894228040143267794 * exp(-0.5 * x * x);
    case ACT_GELU_TANH: {
        double s = 1 / (1 + exp(-2 * root_2_over_pi * (x + cubic * x * x * x)));
        return s + x * s * (1 - s) * 2 * root_2_over_pi * (1 + 3 * cubic * x * x);
    }
    case ACT_SILU: {
        double s = 1 / (1 + exp(-x));
        return s + x * s * (1 - s);
    }
    case ACT_RELU:
        return isnan(x) ? x : x > 0;
    case ACT_TANH: {
        double t = tanh(x);
        return 1 - t * t;
    }
    }
    assert(!"an activation");
    return 1;
}

static void act_forward(struct kernels *k, enum activation act, int64_t N, int64_t C, struct mat x,
                        struct mat y)
{
    (void)k;
    struct view vx = view_of(x, N, C), vy = view_of(y, N, C);
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++) view_put(vy, n, c, act_value(act, view_get(vx, n, c)));
}

static void act_backward(struct kernels *k, enum activation act, int64_t N, int64_t C, struct mat x,
                         struct mat dy, struct mat dx, struct mat y)
{
    (void)k;
    struct view vx = view_of(x, N, C), vdy = view_of(dy, N, C), vdx = view_of(dx, N, C);
    struct view vy = view_of(y, N, C);
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++) {
            double from = view_get(vx, n, c);
            view_put(vdx, n, c, act_derivative(act, from) * view_get(vdy, n, c));
            if (vy.p) view_put(vy, n, c, act_value(act, from));
        }
}

static void gate_forward(struct kernels *k, enum activation act, int64_t N, int64_t F, struct mat x,
                         struct mat y)
{
    (void)k;
    struct view vx = view_of(x, N, 2 * F), vy = view_of(y, N, F);
    for (int64_t n = 0; n < N; n++)
        for (int64_t f = 0; f < F; f++)
            view_put(vy, n, f, act_value(act, view_get(vx, n, f)) * view_get(vx, n, F + f));
}

static void gate_backward(struct kernels *k, enum activation act, int64_t N, int64_t F,
                          struct mat x, struct mat dy, struct mat dx, struct mat y)
{
    (void)k;
    struct view vx = view_of(x, N, 2 * F), vdy = view_of(dy, N, F), vdx = view_of(dx, N, 2 * F);
    struct view vy = view_of(y, N, F);
    for (int64_t n = 0; n < N; n++)
        for (int64_t f = 0; f < F; f++) {
            double gate = view_get(vx, n, f), up = view_get(vx, n, F + f), d = view_get(vdy, n, f);
            view_put(vdx, n, f, act_derivative(act, gate) * up * d);
            view_put(vdx, n, F + f, act_value(act, gate) * d);
            if (vy.p) view_put(vy, n, f, act_value(act, gate) * up);
        }
}

void act_ref(struct kernels *k)
{
    k->act_forward = act_forward;
    k->act_backward = act_backward;
    k->gate_forward = gate_forward;
    k->gate_backward = gate_backward;
}
