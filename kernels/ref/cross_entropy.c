/* SPDX-License-Identifier: Apache-2.0 */
/* cross_entropy.c: loss = log(sum over v of exp(x[v])) - x[target], its gradient softmax(x) - [v ==
 * target], and the rank of the target. With a soft cap, x = cap tanh(logit / cap), and the gradient
 * is times 1 - (x / cap)^2. */
#include <math.h>
#include "kernels/internal.h"

static double capped(double x, double cap)
{
    return cap > 0 ? cap * tanh(x / cap) : x;
}

static void cross_entropy(struct kernels *k, const struct cross_entropy_args *a)
{
    (void)k;
    struct view x = view_of(a->logits, a->N, a->V), to = view_of(a->gradient, a->N, a->V);
    const int32_t *target = buf_host(a->target, a->N, sizeof *target);
    const float *weight = buf_host(a->weight, a->N, sizeof *weight);
    float *loss = buf_host(a->loss, a->N, sizeof *loss);
    int32_t *rank = buf_host(a->rank, a->N, sizeof *rank);
    for (int64_t n = 0; n < a->N; n++) {
        int64_t t = target[n];
        assert(t >= -1 && t < a->V);
        if (t < 0) {
            loss[n] = 0;
            if (rank) rank[n] = -1;
            for (int64_t v = 0; v < a->V && to.p; v++) view_put(to, n, v, 0);
            continue;
        }
        double top = -INFINITY, sum = 0, own = capped(view_get(x, n, t), a->softcap);
        int32_t above = 0;
        for (int64_t v = 0; v < a->V; v++) {
            float z = view_get(x, n, v), zt = view_get(x, n, t);
            top = fmax(top, capped(z, a->softcap));
            above += z > zt || (z == zt && v < t);
        }
        for (int64_t v = 0; v < a->V; v++) sum += exp(capped(view_get(x, n, v), a->softcap) - top);
        loss[n] = (float)(log(sum) + top - own);
        if (rank) rank[n] = above;
        for (int64_t v = 0; v < a->V && to.p; v++) {
            double z = capped(view_get(x, n, v), a->softcap), d = exp(z - top) / sum - (v == t);
            if (a->softcap > 0) d *= 1 - (z / a->softcap) * (z / a->softcap);
            view_put(to, n, v, weight ? d * weight[n] : d);
        }
    }
}

void cross_entropy_ref(struct kernels *k)
{
    k->cross_entropy = cross_entropy;
}
