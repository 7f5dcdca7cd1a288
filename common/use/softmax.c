/* SPDX-License-Identifier: Apache-2.0 */
/* softmax.c: exp without branches or calls, on as many numbers as the least of the machines has in
 * a vector: the operations on a number, and the order of a sum, are the same on all.
 *
 *     x = k ln 2 + r, |r| <= ln 2 / 2:   exp(x) = 2^k (1 + r + r^2 / 2! + ... + r^13 / 13!)
 *
 * The series is cut where its rest, r^14 / 14!, is 4e-18. ln 2 is two numbers, the first with 32
 * zeros at its end, so that k times it is exact (Cody, Waite, Software Manual for the Elementary
 * Functions, 1980). */
#include "common/use/softmax.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LANES = 8, WIDE = 2 };

typedef double doubles __attribute__((vector_size(WIDE * sizeof(double))));
typedef int64_t words __attribute__((vector_size(WIDE * sizeof(int64_t))));

static inline doubles all(double x)
{
    return (doubles){x, x};
}

double softmax_top(const double *x, int64_t n)
{
    double top[LANES], best = -INFINITY;
    int64_t i = 0;
    for (int l = 0; l < LANES; l++) top[l] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) top[l] = x[i + l] > top[l] ? x[i + l] : top[l];
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    for (int l = 0; l < LANES; l++) best = top[l] > best ? top[l] : best;
    return best;
}

/* y[i] = exp(x[i] - top) for a whole block. */
static void block_weights(const double *restrict x, double top, double *restrict y)
{
    static const double series[] = {1.0 / 479001600,
                                    1.0 / 39916800,
                                    1.0 / 3628800,
                                    1.0 / 362880,
                                    1.0 / 40320,
                                    1.0 / 5040,
                                    1.0 / 720,
                                    1.0 / 120,
                                    1.0 / 24,
                                    1.0 / 6,
                                    0.5,
                                    1,
                                    1};
    const double lowest = -708, rounder = 0x1.8p52, per_octave = 0x1.71547652b82fep0,
                 ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    for (int i = 0; i < SOFTMAX_BLOCK; i += WIDE) {
        doubles at, k, r, p = all(1.0 / 6227020800);
        memcpy(&at, x + i, sizeof at);
        at -= top;
        const words counts = at >= lowest;
        at = (doubles)(((words)at & counts) | ((words)all(lowest) & ~counts));
        const doubles shifted = at * per_octave + rounder;
        k = shifted - rounder;
        r = (at - k * ln2_high) - k * ln2_low;
        for (size_t t = 0; t < sizeof series / sizeof *series; t++) p = p * r + series[t];
        /* k stands in the last bits of `shifted`, and is added to the exponent */
        p = (doubles)(((words)p + ((words)shifted << 52)) & counts);
        memcpy(y + i, &p, sizeof p);
    }
}

static double block_sum(const double *x)
{
    double sum[LANES] = {0};
    for (int i = 0; i < SOFTMAX_BLOCK; i += LANES)
        for (int l = 0; l < LANES; l++) sum[l] += x[i + l];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* A chain removes most scores. */
static bool block_empty(const double *x, int64_t n)
{
    int64_t i = 0;
    while (i < n && x[i] == -INFINITY) i++;
    return i == n;
}

double softmax_weights(const double *x, int64_t n, double top, double *weight, double *sum)
{
    double total = 0;
    for (int64_t i = 0; i < n; i += SOFTMAX_BLOCK) {
        const int64_t some = n - i < SOFTMAX_BLOCK ? n - i : SOFTMAX_BLOCK;
        double from[SOFTMAX_BLOCK], to[SOFTMAX_BLOCK] = {0};
        if (block_empty(x + i, some)) {
            memcpy(weight + i, to, (size_t)some * sizeof *to);
            sum[i / SOFTMAX_BLOCK] = 0;
            continue;
        }
        if (some == SOFTMAX_BLOCK) {
            block_weights(x + i, top, weight + i);
            sum[i / SOFTMAX_BLOCK] = block_sum(weight + i);
        } else {
            for (int64_t l = 0; l < SOFTMAX_BLOCK; l++) from[l] = l < some ? x[i + l] : -INFINITY;
            block_weights(from, top, to);
            sum[i / SOFTMAX_BLOCK] = block_sum(to);
            memcpy(weight + i, to, (size_t)some * sizeof *to);
        }
        total += sum[i / SOFTMAX_BLOCK];
    }
    return total;
}
