/* SPDX-License-Identifier: Apache-2.0 */
/* optimiser.c: one AdamW step (Loshchilov and Hutter, arXiv:1711.05101), in the order of
 * torch.optim.AdamW. */
#include <math.h>
#include "kernels/internal.h"

static void adamw(struct kernels *k, int64_t n, const struct adamw_args *a, struct buf w,
                  struct buf g, struct buf m, struct buf v, struct buf w16)
{
    (void)k;
    assert(a->step >= 1);
    float *weight = buf_host(w, n, sizeof *weight), *first = buf_host(m, n, sizeof *first);
    float *second = buf_host(v, n, sizeof *second);
    const float *gradient = buf_host(g, n, sizeof *gradient);
    uint16_t *half = buf_host(w16, n, sizeof *half);
    double c1 = a->correct ? 1 - pow(a->beta1, (double)a->step) : 1;
    double c2 = a->correct ? 1 - pow(a->beta2, (double)a->step) : 1;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)gradient[i] * a->scale;
        double m1 = (double)a->beta1 * first[i] + (1 - (double)a->beta1) * d;
        double v1 = (double)a->beta2 * second[i] + (1 - (double)a->beta2) * d * d;
        double x = weight[i] * (1 - (double)a->lr * a->decay);
        weight[i] = (float)(x - a->lr / c1 * m1 / (sqrt(v1) / sqrt(c2) + a->eps));
        first[i] = (float)m1;
        second[i] = (float)v1;
        if (half) half[i] = f32_to_bf16(weight[i]);
    }
}

void optimiser_ref(struct kernels *k)
{
    k->adamw = adamw;
}
