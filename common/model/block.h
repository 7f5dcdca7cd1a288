/* SPDX-License-Identifier: Apache-2.0 */
/* block.h: one transformer block, forward and backward, over rows laid end to end.
 *
 * The residual stream and its gradient are F32 whatever the dtype of the activations is: a block
 * adds a small vector to a large one, and with bf16's 8 bits what is 256 times smaller than the sum
 * would be lost, layer after layer. Everything that enters or leaves a product is an activation of
 * the pass's dtype.
 *
 *   pre-norm    mid = x + drop(out(attention(qkv(norm1(x)))))
 *               y = mid + drop(down(act(up(norm2(mid)))))
 *   parallel    the same with norm2(x) for norm2(mid)
 *   post-norm   mid = x + drop(out(attention(qkv(x)))),  x1 = norm1(mid)
 *               sum = x1 + drop(down(act(up(x1)))),      y = norm2(sum)
 *
 * With norm_branch a branch is normed before it joins the stream, with qk_norm each head's query
 * and key before they are rotated.
 *
 * A block's memory is declared by block_declare as {name, bytes, lifetime} and planned with all
 * others' (arena.h). Kept for the backward pass: x, qkv, att, lse, mid, up (before the activation),
 * sum, what the norms of branches and heads read, and the norms' statistics; norm outputs and
 * activations are cheap and computed again. With `recompute` only x is kept. */
#ifndef GRAFT_MODEL_BLOCK_H
#define GRAFT_MODEL_BLOCK_H

#include "common/model/arena.h"
#include "common/model/linear.h"

struct norm {
    struct buf weight, bias;   /* F32 [C]; bias absent for rms */
    struct buf dweight, dbias; /* += ; absent when frozen or not training */
};

struct block {
    struct norm norm1, norm2;
    struct norm attention_norm, mlp_norm; /* of the branches (norm_branch) */
    struct norm q_norm, k_norm;           /* of heads (qk_norm) */
    struct linear qkv, out, up, down;
    int layer;
};

/* Tensors of a block (names and lifetimes in block.c). */
enum block_slot {
    SLOT_NORMED1, /* what qkv reads */
    SLOT_MEAN1,
    SLOT_RSTD1,
    SLOT_RAW, /* qkv before the norm of heads; with qk_norm only, as the next */
    SLOT_RAW_RSTD,
    SLOT_QKV,
    SLOT_LSE,
    SLOT_ATT,
    SLOT_BRANCH1, /* out's output before the norm of the branch; with norm_branch only */
    SLOT_BRANCH1_MEAN,
    SLOT_BRANCH1_RSTD,
    SLOT_DROPPED, /* a branch before it joins the stream, with dropout or its norm */
    SLOT_MID,
    SLOT_X1,      /* post-norm only */
    SLOT_NORMED2, /* what up reads */
    SLOT_MEAN2,
    SLOT_RSTD2,
    SLOT_UP,
    SLOT_H,
    SLOT_BRANCH2, /* down's likewise */
    SLOT_BRANCH2_MEAN,
    SLOT_BRANCH2_RSTD,
    SLOT_SUM, /* post-norm only */
    SLOT_LOW, /* low-rank parts; with an adapter only, as what they read after dropout */
    SLOT_LOW_DROPPED,
    SLOT_FORWARD_COUNT,
    /* post-norm: gradient of mid and sum; parallel: of x by way of the MLP */
    SLOT_B_STREAM = SLOT_FORWARD_COUNT,
    SLOT_B_NORM,   /* gradient of a branch before its norm */
    SLOT_B_BRANCH, /* gradient of a branch: dropout, or rounded to the dtype */
    SLOT_B_DH,
    SLOT_B_NORMED,
    SLOT_B_DNORMED,
    SLOT_B_DATT,
    SLOT_B_DQKV,
    SLOT_B_DELTA,
    SLOT_B_LOW, /* low-rank parts again, and their gradient */
    SLOT_B_DLOW,
    SLOT_B_LOW_DROPPED,
    SLOT_COUNT
};

/* What decides a block's memory. */
struct block_memory {
    const struct model_config *config;
    enum dtype dtype;
    int64_t tokens;
    bool training, recompute, dropout;
    const struct adapter *adapter; /* NULL: none */
    int64_t layer;                 /* its parts beside which are meant */
};

/* Phases of a block: it declares lifetimes in first .. first + BLOCK_PHASES - 1 of forward and
 * backward. */
enum { BLOCK_PHASES = 32 };
#define BLOCK_ABSENT SIZE_MAX
struct block_items { /* indices of arena items, BLOCK_ABSENT where there is none */
    size_t forward[SLOT_COUNT], backward[SLOT_COUNT];
};
/* forward, backward: first phases of the two passes through this block (backward is ignored without
 * training). */
enum err block_declare(struct errctx *e, const struct block_memory *m, struct arena *a,
                       int64_t forward, int64_t backward, struct block_items *out) MUST_USE;

/* The same, placed. */
struct block_buffers {
    struct buf forward[SLOT_COUNT], backward[SLOT_COUNT];
};

/* One pass of all blocks over some tokens. */
struct pass {
    struct kernels *k;
    const struct model_config *config;
    enum dtype dtype;
    bool training;
    int64_t N;        /* tokens, padding included */
    int64_t capacity; /* leading dimension of lse and delta */
    struct grid grains;
    /* Rows of attention, as in kernels.h. */
    int64_t rows;
    const int32_t *q_start, *q_len, *kv_start, *kv_len, *q_offset;
    struct buf position;     /* I32 [N] */
    struct buf angle;        /* I32 [N]: rows of cosine and sine (rope.h); may be `position` */
    struct buf cosine, sine; /* rope */
    /* Decoding, and rows that share beginnings: keys and values of row b are appended to `cache`
     * (rows of 2 G D) at cache_row[b], and read from there. Rows turn[i] .. turn[i + 1] - 1 of the
     * arrays do so together, one turn after another; turns 0: all rows at once. */
    bool skinny; /* one token per row, products by `skinny` */
    const int64_t *cache_row;
    int64_t turns;
    const int64_t *turn;
    /* Dropout, 0: none. Places: after the embeddings (lane 0), after `out` and after `down` of each
     * block. */
    float dropout, lora_dropout; /* of the stream's branches; of what low-rank parts read */
    struct rng_key key;
    uint32_t step;
    struct buf ordinal; /* U32 [N] */
};

/* x (N, C) -> y (N, C), both F32. s: the forward slots. cache: present when decoding
 * and with shared beginnings. */
void block_forward(const struct pass *p, const struct block *b, const struct buf *s, struct mat x,
                   struct mat y, struct mat cache);
/* The forward pass again from x, as far as the backward pass needs it, into s (recompute). */
void block_again(const struct pass *p, const struct block *b, const struct buf *s, struct mat x);
/* dx (N, C): the gradient of y on entry, of x on return. Parameters' gradients += . s: the backward
 * slots. */
void block_backward(const struct pass *p, const struct block *b, const struct buf *s, struct mat x,
                    struct mat dx);

/* ---- shared with embedding and head ---- */

void norm_apply(const struct pass *p, const struct norm *n, int64_t N, struct mat x, struct mat y,
                struct buf mean, struct buf rstd);
void norm_apply_backward(const struct pass *p, const struct norm *n, int64_t N, struct mat dy,
                         struct mat x, struct buf mean, struct buf rstd, struct mat dx, bool add);
/* Dropout at place `place` (0: embeddings, 1 + 2 L attention, 2 + 2 L MLP); x may be y. */
void dropout_apply(const struct pass *p, uint32_t place, struct mat x, struct mat y);

#endif
