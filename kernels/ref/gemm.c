/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.c: C = act(A B + bias + beta C) + residual, element by element. Grains along M change
 * nothing here; those along K are sums of their own, each rounded onto C, as the contract has it.
 */
#include "kernels/internal.h"

static double dot(struct view a, struct view b, int64_t i, int64_t first, int64_t last)
{
    double sum = 0;
    for (int64_t k = first; k < last; k++) sum += (double)view_get(a, i, k) * view_get(b, k, 0);
    return sum;
}

/* Column j of b, whose element k is at (k, 0). */
static struct view column_of(struct kernels *k, struct view b, int64_t j, int64_t length)
{
    if (b.trans) return line_decoded(b, j, length, thread_scratch(k, 0));
    if (dtype_is_blocks(b.dtype)) return column_decoded(b, j, length, thread_scratch(k, 0));
    if (b.p) b.p += j * (int64_t)dtype_size(b.dtype);
    return b;
}

static void gemm(struct kernels *k, const struct gemm_args *a)
{
    assert(!a->C.trans && !a->before.trans && !a->residual.trans);
    assert(!a->depth.n || (a->C.dtype == DTYPE_F32 && !buf_present(a->bias) && a->act == ACT_NONE &&
                           !buf_present(a->before.buf) && !buf_present(a->residual.buf)));
    assert((a->beta == 0 || a->beta == 1) && !(a->rows.n && a->depth.n));
    struct view A = view_of(a->A, a->M, a->K), B = view_of(a->B, a->K, a->N),
                C = view_of(a->C, a->M, a->N);
    struct view before = view_of(a->before, a->M, a->N),
                residual = view_of(a->residual, a->M, a->N);
    const float *bias = buf_host(a->bias, a->N, sizeof *bias);
    for (int64_t j = 0; j < a->N; j++) {
        struct view column = column_of(k, B, j, a->K);
        for (int64_t i = 0; i < a->M; i++) {
            double x = a->beta != 0 ? view_get(C, i, j) : 0;
            if (a->depth.n == 0) x += dot(A, column, i, 0, a->K);
            for (int64_t g = 0; g < a->depth.n; g++)
                x = (float)(x + dot(A, column, i, a->depth.start[g], a->depth.start[g + 1]));
            if (bias) x += bias[j];
            if (before.p) view_put(before, i, j, x);
            x = act_value(a->act, x);
            if (residual.p) x += view_get(residual, i, j);
            view_put(C, i, j, x);
        }
    }
}

void gemm_ref(struct kernels *k)
{
    k->gemm = gemm;
}
