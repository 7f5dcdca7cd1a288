/* SPDX-License-Identifier: Apache-2.0 */
/* skinny.c: the product for few rows: y (M, N) = act(x W^T + bias) + residual. In double there is
 * nothing to do differently. */
#include "kernels/internal.h"

static void skinny(struct kernels *k, const struct gemm_args *a)
{
    assert(!a->A.trans && a->B.trans && !a->C.trans && !a->residual.trans);
    assert(a->beta == 0 && !buf_present(a->before.buf) && a->rows.n == 0 && a->depth.n == 0);
    struct view x = view_of(a->A, a->M, a->K), w = view_of(a->B, a->K, a->N),
                y = view_of(a->C, a->M, a->N);
    struct view residual = view_of(a->residual, a->M, a->N);
    const float *bias = buf_host(a->bias, a->N, sizeof *bias);
    for (int64_t j = 0; j < a->N; j++) {
        struct view line = line_decoded(w, j, a->K, thread_scratch(k, 0));
        for (int64_t i = 0; i < a->M; i++) {
            double sum = bias ? bias[j] : 0;
            for (int64_t c = 0; c < a->K; c++)
                sum += (double)view_get(x, i, c) * view_get(line, c, 0);
            sum = act_value(a->act, sum);
            if (residual.p) sum += view_get(residual, i, j);
            view_put(y, i, j, sum);
        }
    }
}

void skinny_ref(struct kernels *k)
{
    k->skinny = skinny;
}
