/* SPDX-License-Identifier: Apache-2.0 */
/* linear.h: the one matrix product of the model: y = act(x W^T + b) + residual, forward and
 * backward; embeddings use its weight as a table. Frozen weights, adapters and quantised bases live
 * here and nowhere else. */
#ifndef GRAFT_MODEL_LINEAR_H
#define GRAFT_MODEL_LINEAR_H

#include "common/model/params.h"
#include "kernels/kernels.h"

struct linear {
    int64_t in, out;
    struct mat weight;  /* (out, in), F32 or BF16: what the products read */
    struct buf bias;    /* F32 [out] or absent */
    struct buf dweight; /* F32 (out, in): += ; absent when frozen or not training */
    struct buf dbias;
};

/* x (N, in), y (N, out); before, residual may be absent. Tokens in grains. */
void linear_forward(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                    struct mat x, struct mat y, enum activation act, struct mat before,
                    struct mat residual);
/* dx = dy W (+ residual) when dx is present; dweight += dy^T x, dbias += column sums, when present.
 */
void linear_backward(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                     struct mat x, struct mat dy, struct mat dx, struct mat residual);
/* One half of it each. */
void linear_backward_input(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                           struct mat dy, struct mat dx, struct mat residual);
void linear_backward_weight(struct kernels *k, const struct linear *l, int64_t N,
                            struct grid grains, struct mat x, struct mat dy);
/* For decoding: M sequences, one token each. */
void linear_decode(struct kernels *k, const struct linear *l, int64_t M, struct mat x, struct mat y,
                   enum activation act, struct mat residual);

#endif
