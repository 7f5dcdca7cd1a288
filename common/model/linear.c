/* SPDX-License-Identifier: Apache-2.0 */
/* linear.c: the three products of a linear map and nothing else:
 *   y = x W^T + b          dx = dy W          dW += dy^T x,  db += 1^T dy */
#include "common/model/linear.h"

void linear_forward(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                    struct mat x, struct mat y, enum activation act, struct mat before,
                    struct mat residual)
{
    const struct gemm_args a = {.M = N,
                                .N = l->out,
                                .K = l->in,
                                .A = x,
                                .B = mat_transposed(l->weight),
                                .C = y,
                                .bias = l->bias,
                                .act = act,
                                .before = before,
                                .residual = residual,
                                .rows = grains};
    k->gemm(k, &a);
}

void linear_backward(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                     struct mat x, struct mat dy, struct mat dx, struct mat residual)
{
    linear_backward_input(k, l, N, grains, dy, dx, residual);
    linear_backward_weight(k, l, N, grains, x, dy);
}

void linear_backward_input(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                           struct mat dy, struct mat dx, struct mat residual)
{
    if (!buf_present(dx.buf)) return;
    const struct gemm_args a = {.M = N,
                                .N = l->in,
                                .K = l->out,
                                .A = dy,
                                .B = l->weight,
                                .C = dx,
                                .residual = residual,
                                .rows = grains};
    k->gemm(k, &a);
}

void linear_backward_weight(struct kernels *k, const struct linear *l, int64_t N,
                            struct grid grains, struct mat x, struct mat dy)
{
    if (buf_present(l->dweight)) {
        const struct gemm_args a = {.M = l->out,
                                    .N = l->in,
                                    .K = N,
                                    .A = mat_transposed(dy),
                                    .B = x,
                                    .C = mat_rows(l->dweight, DTYPE_F32, l->in),
                                    .beta = 1,
                                    .depth = grains};
        k->gemm(k, &a);
    }
    if (buf_present(l->dbias)) k->colsum(k, N, l->out, dy, l->dbias);
}

void linear_decode(struct kernels *k, const struct linear *l, int64_t M, struct mat x, struct mat y,
                   enum activation act, struct mat residual)
{
    const struct gemm_args a = {.M = M,
                                .N = l->out,
                                .K = l->in,
                                .A = x,
                                .B = mat_transposed(l->weight),
                                .C = y,
                                .bias = l->bias,
                                .act = act,
                                .residual = residual};
    k->skinny(k, &a);
}
