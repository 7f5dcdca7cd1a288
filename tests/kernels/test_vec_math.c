/* SPDX-License-Identifier: Apache-2.0 */
/* test_vec_math.c: the vector functions against double over all magnitudes: error in units of the
 * last place, NaN kept, limits reached, and rounding to BF16 exactly as base/dtype.h does it. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "common/base/attr.h"
#include "common/base/dtype.h"
#include "tests/kernels/vec_functions.h"

enum { BLOCK = 4096 };

static double exact_exp(double x)
{
    double y = exp(x);
    return y < 1.17549435e-38 ? 0 : y; /* as vf_exp says */
}
static double exact_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double exact_tanh(double x)
{
    return tanh(x);
}
static double exact_normal(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

/* In units of the last place of the exact value, which is at least 2^-126. */
static double error_of(float got, double want)
{
    float rounded = (float)want;
    if (got == rounded || (isnan(got) && isnan(rounded))) return 0;
    if (!isfinite(rounded)) return fabs(want) < 3.4028237e38 && got >= 3.4028233e38f ? 1 : INFINITY;
    double size = fmax(fabs(want), 1.17549435e-38);
    double unit = ldexp(1, (int)floor(log2(size)) - 23);
    return fabs((double)got - want) / unit;
}

/* The worst over every 499th float with |x| <= limit. */
static double worst(void (*f)(int64_t, const float *, float *), double (*exact)(double),
                    float limit, float *where)
{
    float x[BLOCK], y[BLOCK];
    double most = 0;
    uint64_t bits = 0;
    while (bits < 1ull << 32) {
        int n = 0;
        for (; n < BLOCK && bits < 1ull << 32; bits += 499) {
            uint32_t u = (uint32_t)bits;
            memcpy(&x[n], &u, sizeof u);
            if (!(fabsf(x[n]) > limit)) n++;
        }
        for (int i = n; i < BLOCK; i++) x[i] = 0;
        f(BLOCK, x, y);
        for (int i = 0; i < n; i++) {
            double e =
                isnan(x[i]) ? (isnan(y[i]) ? 0 : INFINITY) : error_of(y[i], exact((double)x[i]));
            if (e > most) {
                most = e;
                *where = x[i];
            }
        }
    }
    return most;
}

static int number = 1, failed = 0;

static void verdict(const char *level, const char *what, double got, double allowed, float where)
{
    if (got > allowed)
        printf("# off by %.3g units at %.9g, allowed %.3g\n", got, (double)where, allowed);
    printf("%sok %d - %s %s (%.2f units)\n", got > allowed ? "not " : "", number++, level, what,
           got);
    failed |= got > allowed;
}

static int narrow_differs(const struct vec_functions *f)
{
    float x[BLOCK];
    uint16_t y[BLOCK];
    for (uint64_t bits = 0; bits < 1ull << 32;) {
        for (int i = 0; i < BLOCK; i++, bits += 509) {
            uint32_t u = (uint32_t)bits;
            memcpy(&x[i], &u, sizeof u);
        }
        f->narrow(BLOCK, x, y);
        for (int i = 0; i < BLOCK; i++)
            if (y[i] != f32_to_bf16(x[i])) return 1;
    }
    return 0;
}

int main(void)
{
    const struct vec_functions *levels[] = {&vec_functions_avx2, &vec_functions_avx512};
    const int has[] = {__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512dq")};
    printf("1..%zu\n", 5 * ARRAY_LEN(levels));
    for (size_t l = 0; l < ARRAY_LEN(levels); l++) {
        const struct vec_functions *f = levels[l];
        float at = 0;
        if (!has[l]) {
            for (int i = 0; i < 5; i++)
                printf("ok %d - %s # SKIP this CPU has no such vectors\n", number++, f->level);
            continue;
        }
        verdict(f->level, "exp", worst(f->exp, exact_exp, INFINITY, &at), 2, at);
        verdict(f->level, "sigmoid", worst(f->sigmoid, exact_sigmoid, 80, &at), 4, at);
        verdict(f->level, "tanh", worst(f->tanh, exact_tanh, INFINITY, &at), 4, at);
        /* e^(-x^2 / 2): the rounding of x^2 weighs up to 25 / 2 at |x| = 5 */
        verdict(f->level, "normal", worst(f->normal, exact_normal, 5, &at), 32, at);
        verdict(f->level, "narrow to BF16", narrow_differs(f), 0, 0);
    }
    return failed;
}
