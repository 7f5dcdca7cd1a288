/* SPDX-License-Identifier: Apache-2.0 */
/* softmax.c: weights of a vocabulary, for the sampler. */
#include <math.h>
#include "kernels/internal.h"

static double softmax_weights(int64_t n, const double *x, double top, double *weight, double *sum)
{
    double total = 0;
    for (int64_t b = 0; b < n; b += KERNEL_WEIGHTS) {
        double *s = &sum[b / KERNEL_WEIGHTS];
        *s = 0;
        for (int64_t i = b; i < n && i < b + KERNEL_WEIGHTS; i++) {
            weight[i] = x[i] - top < -708 ? 0 : exp(x[i] - top);
            *s += weight[i];
        }
        total += *s;
    }
    return total;
}

void softmax_ref(struct kernels *k)
{
    k->softmax_weights = softmax_weights;
}
