/* SPDX-License-Identifier: Apache-2.0 */
/* reduce.c: sums over tokens, and the sum of squares. */
#include "kernels/internal.h"

static void colsum(struct kernels *k, int64_t N, int64_t C, struct mat x, struct buf out)
{
    (void)k;
    struct view v = view_of(x, N, C);
    float *sum = buf_host(out, C, sizeof *sum);
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++) sum[c] += view_get(v, n, c);
}

static double sumsq(struct kernels *k, int64_t n, struct buf x)
{
    (void)k;
    const float *p = buf_host(x, n, sizeof *p);
    double total = 0;
    for (int64_t first = 0; first < n; first += SUM_BLOCK) {
        double sum = 0;
        for (int64_t i = first; i < n && i < first + SUM_BLOCK; i++) sum += (double)p[i] * p[i];
        total += sum;
    }
    return total;
}

void reduce_ref(struct kernels *k)
{
    k->colsum = colsum;
    k->sumsq = sumsq;
}
