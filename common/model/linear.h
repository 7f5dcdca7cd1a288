/* SPDX-License-Identifier: Apache-2.0 */
/* linear.h: the one matrix product of the model: y = act(x W^T + b) + residual, forward and
 * backward; embeddings use its weight as a table. Frozen weights, adapters and quantised bases live
 * here and nowhere else.
 *
 * Beside W may stand low-rank parts (adapter.h): each adds scale (x A^T) B^T to its columns of y,
 * before the activation. */
#ifndef GRAFT_MODEL_LINEAR_H
#define GRAFT_MODEL_LINEAR_H

#include "common/model/params.h"
#include "kernels/kernels.h"

struct lora {
    int64_t rank, from, out; /* rows from .. from + out of W */
    int64_t column;          /* of x A^T among those of all parts of W */
    float scale;
    bool again;        /* an earlier part of W has some of the same rows */
    struct mat A, B;   /* (rank, in), (out, rank): what the products read */
    struct buf dA, dB; /* F32: += ; absent when not training */
};

struct linear {
    int64_t in, out;
    struct mat weight;  /* (out, in), F32 or BF16: what the products read */
    struct buf bias;    /* F32 [out] or absent */
    struct buf dweight; /* F32 (out, in): += ; absent when frozen or not training */
    struct buf dbias;
    const struct lora *lora;
    int64_t lora_count;
    bool lora_whole; /* the parts have all rows of W */
};

/* Where the low-rank parts compute; only read where there are any. */
struct lora_work {
    struct mat low, dlow;               /* (N, sum of the ranks) */
    struct mat dropped;                 /* (N, in), with dropout */
    const struct dropout_args *dropout; /* of what A reads, x and y are filled in; NULL: none */
};

/* x (N, in), y (N, out); before, residual may be absent. Tokens in grains. y is none of the others.
 */
void linear_forward(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                    struct mat x, struct mat y, enum activation act, struct mat before,
                    struct mat residual, const struct lora_work *w);
/* dx = dy W (+ residual) when dx is present; dweight += dy^T x, dbias += column sums, when present;
 * of low-rank parts likewise. */
void linear_backward(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                     struct mat x, struct mat dy, struct mat dx, struct mat residual,
                     const struct lora_work *w);
/* One half of it each; w->dlow stays between the two. */
void linear_backward_input(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                           struct mat dy, struct mat dx, struct mat residual,
                           const struct lora_work *w);
void linear_backward_weight(struct kernels *k, const struct linear *l, int64_t N,
                            struct grid grains, struct mat x, struct mat dy,
                            const struct lora_work *w);
/* For decoding: M sequences, one token each. */
void linear_decode(struct kernels *k, const struct linear *l, int64_t M, struct mat x, struct mat y,
                   enum activation act, struct mat residual, const struct lora_work *w);

/* The columns of m from `first` on. */
struct mat mat_columns(struct mat m, int64_t first);

#endif
