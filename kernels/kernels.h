/* SPDX-License-Identifier: Apache-2.0 */
/* kernels.h: the op table: arrays in, arrays out. Every op's contract is written here once;
 * kernels/ref is the oracle in plain C, kernels/cpu overrides it by CPU features, a GPU backend may
 * override it again. An op is absent nowhere.
 *
 * Letters: N tokens (rows of activations, padding included), B rows (documents), T tokens of one
 * row, C channels, H query heads, G key/value heads, D head size, F width of the MLP, V vocabulary.
 *
 * Activations are row-major [N, C] in F32 or BF16 (dtype is an argument, sums are at least F32),
 * parameters and gradients F32; a matrix operand may also be BF16. Ops never allocate: each thread
 * has SCRATCH bytes of its own. Ops run in order on one queue; results are on the host after sync
 * (the CPU backends are always in sync).
 *
 * How bytes stay equal. A batch is cut into grains of whole rows, each starting at a multiple of
 * KERNEL_STEP tokens (zero rows pad it). Products whose M is tokens may restart at each grain;
 * products whose K is tokens (weight gradients) add grain by grain onto C. (The products of
 * kernels/cpu need neither: an element is one chain of sums along K, whatever the borders; a
 * library's product on a GPU does.) Sums over tokens go in token order, by the owner of the output.
 * Tasks go to threads in any order. So an output depends on the grains, never on threads or on how
 * many grains one call holds.
 *
 * Errors: ops cannot fail; wrong arguments are programmer errors (assert). */
#ifndef GRAFT_KERNELS_KERNELS_H
#define GRAFT_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/dtype.h"
#include "common/base/err.h"
#include "common/base/pool.h"
#include "common/base/rng.h"

enum {
    KERNEL_STEP = 32,
    KERNEL_HEAD_MOST = 1024, /* channels of a head of attention */
    KERNEL_WEIGHTS = 64      /* of a sampler that are added by themselves, before the sums are */
};

struct kmem; /* a block of device memory */

/* A piece of device memory. mem == NULL: absent operand. */
struct buf {
    struct kmem *mem;
    size_t offset, bytes;
};
static inline bool buf_present(struct buf b)
{
    return b.mem != NULL;
}
/* The part of b that begins `offset` bytes in. */
struct buf buf_at(struct buf b, size_t offset, size_t bytes);

/* A matrix in memory: element (i, j) at i * ld + j, or at j * ld + i when trans. B of a product
 * and the table of embed_forward may be block-quantised: their lines are decoded as they are read,
 * to the F32 that values.h says (for operands in BF16, rounded to it). */
struct mat {
    struct buf buf;
    enum dtype dtype; /* F32, BF16, or block-quantised: then ld is whole blocks */
    int64_t ld;
    bool trans;
};
static inline struct mat mat_rows(struct buf b, enum dtype t, int64_t ld)
{
    return (struct mat){b, t, ld, false};
}
static inline struct mat mat_transposed(struct mat m)
{
    m.trans = !m.trans;
    return m;
}

/* Grains: rows start[g] .. start[g + 1] (multiples of KERNEL_STEP), g < n. On the host. */
struct grid {
    int64_t n;
    const int64_t *start;
};

enum activation { ACT_NONE, ACT_GELU, ACT_GELU_TANH, ACT_SILU, ACT_RELU, ACT_TANH };
enum norm_kind { NORM_LAYER, NORM_RMS };

/* C = act(A B + bias + beta C) + residual, (M, K) (K, N) -> (M, N).
 *   rows   grains along M (forward, gradient of the input). n == 0: one grain of M rows.
 *   depth  grains along K (gradient of weights); C += one product per grain, in order. n == 0: one
 *          grain of K. With n > 0, C is F32 and there is no bias, act, before or residual.
 *   At most one of the two has n > 0.
 *   beta      0 or 1
 *   bias      F32 [N] or absent
 *   before    when present, A B + bias (before the activation) is stored there, for the backward
 *             pass; shape of C
 *   residual  shape of C, or absent; C may be residual
 *   C, before and residual are not transposed. K == 0 gives act(bias + beta C) + residual. */
struct gemm_args {
    int64_t M, N, K;
    struct mat A, B, C;
    float beta;
    struct buf bias;
    enum activation act;
    struct mat before, residual;
    struct grid rows, depth;
};

/* Rows of attention. Row b: queries q_start[b] .. + q_len[b] of q, keys kv_start[b] .. + kv_len[b]
 * of k and v; query i stands at position q_offset[b] + i of its keys.
 *   causal   it sees keys 0 .. its position
 *   window   > 0 (causal only): only the last `window` of these, itself included
 *   softcap  > 0: s = softcap * tanh(s / softcap) after scaling
 *   q (N, H D), k, v (Nkv, G D), out (N, H D): matrices with their ld (parts of a fused buffer);
 *   head h uses group h / (H / G). lse F32 [H, Nq_total] with leading dimension lse_ld: log-sum-exp
 *   of each query's scores.
 * Where all of them are BF16, the probabilities and their gradients may be rounded to it, as
 * operands of products. The T x T scores never exist whole. A task is (row, head), backward (row,
 * group): sums in fixed order. A query that sees nothing gives zeros. Padding tokens are in no row
 * and their outputs are left as they are (the caller zeroes `out` once). */
struct attention_args {
    int64_t B, H, G, D;
    struct mat q, k, v, out;
    struct buf lse;
    int64_t lse_ld;
    const int32_t *q_start, *q_len, *kv_start, *kv_len, *q_offset; /* [B], host */
    float scale, softcap;
    int64_t window;
    bool causal;
};

/* Per-parameter-group constants of one AdamW step. Source: torch.optim.AdamW: w *= 1 - lr * decay
 * first, then w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps). correct = false
 * leaves both corrections out. */
struct adamw_args {
    float lr, beta1, beta2, eps, decay;
    int64_t step; /* t, from 1 */
    bool correct;
    float scale; /* of the gradient, applied first: 1 / count * clip */
};

/* Cross entropy over rows of logits. target -1: not scored (loss 0, gradient 0). */
struct cross_entropy_args {
    int64_t N, V;
    struct mat logits; /* (N, V); scratch afterwards, where a gradient is asked for */
    struct mat
        gradient;      /* of sum(weight * loss), (N, V), or absent. It may lie in the memory of the
                        * logits, each row where the row of these begins: as BF16 in half of it */
    struct buf target; /* I32 [N] */
    struct buf weight; /* F32 [N] or absent (1) */
    struct buf loss;   /* F32 [N]: -log softmax(logits)[target] (not weighted) = */
    struct buf rank;   /* I32 [N] or absent: how many tokens have a higher logit, or an equal one
                        * and a lower id; -1 where target is -1 = */
    float softcap;     /* > 0: logits are capped first */
};

/* Dropout: y = x * keep / (1 - p), keep from Philox key, counter (step, ordinal[n], position[n],
 * lane + c / 4). The backward pass is the same call on the gradient. */
struct dropout_args {
    int64_t N, C;
    struct mat x, y; /* may be the same */
    float p;
    struct rng_key key;
    uint32_t step, lane;          /* lane: a multiple of 2^20 per place in the model */
    struct buf ordinal, position; /* U32 [N] */
};

struct kernels {
    const char *name; /* "ref", "avx2", ...: for the lineage */
    struct pool *pool;
    void *state; /* of the backend */

    /* ---- memory ---- */
    enum err (*alloc)(struct kernels *k, struct errctx *e, size_t bytes,
                      struct buf *out); /* zeroed, 64-byte aligned */
    void (*free)(struct kernels *k, struct buf b);
    void *(*map)(struct kernels *k, struct buf b); /* host pointer, valid until the next op on it */
    void (*upload)(struct kernels *k, struct buf to, const void *from, size_t bytes);
    void (*download)(struct kernels *k, struct buf from, void *to, size_t bytes);
    void (*sync)(struct kernels *k);
    void (*zero)(struct kernels *k, struct buf b);

    /* ---- products ---- */
    void (*gemm)(struct kernels *k, const struct gemm_args *a);
    /* y (M, N) = act(x (M, K) W^T + bias) + residual, W (N, K) rows: each output a dot product in
     * one fixed order, the same for every M. For decoding, where M is the number of sequences. Uses
     * a->{M,N,K,A,B,C,bias,act,residual} with B.trans; no beta, before or grids. */
    void (*skinny)(struct kernels *k, const struct gemm_args *a);

    /* ---- attention ---- */
    void (*attention_forward)(struct kernels *k, const struct attention_args *a);
    /* dq, dk, dv = (not +=) for all tokens in rows. a->out holds the forward result. dout (N, H D).
     * delta: F32 scratch, as lse. */
    void (*attention_backward)(struct kernels *k, const struct attention_args *a, struct mat dout,
                               struct buf delta, struct mat dq, struct mat dk, struct mat dv);

    /* ---- rows of tables ---- */
    /* y[n] (+)= scale * table[id[n]]; id -1 gives zeros (adds nothing). table (V, C) F32 or BF16,
     * id I32 [N]. */
    void (*embed_forward)(struct kernels *k, int64_t N, int64_t C, struct buf id, struct mat table,
                          float scale, struct mat y, bool add);
    /* dtable[id[n]] += scale * dy[n], in token order. dtable F32 (V, C). */
    void (*embed_backward)(struct kernels *k, int64_t N, int64_t C, struct buf id, struct mat dy,
                           float scale, struct buf dtable);
    /* y[i] = x[index[i]] for i < n (index -1: zeros);  y[index[i]] = x[i], the other rows of y
     * zero. index I32 [n]. */
    void (*gather)(struct kernels *k, int64_t n, int64_t C, struct buf index, struct mat x,
                   struct mat y);
    void (*scatter)(struct kernels *k, int64_t n, int64_t N, int64_t C, struct buf index,
                    struct mat x, struct mat y);

    /* ---- norms ---- */
    /* y = (x - mean) * rstd * weight + bias over C (layer), y = x * rstd * weight (rms, rstd of the
     * mean square; weight_offset is added to weight: 1 for Gemma). bias absent: 0. mean (layer
     * only), rstd F32 [N] are stored when present. */
    void (*norm_forward)(struct kernels *k, enum norm_kind kind, int64_t N, int64_t C, struct mat x,
                         struct buf weight, float weight_offset, struct buf bias, float eps,
                         struct mat y, struct buf mean, struct buf rstd);
    /* dx = or += (add); dweight, dbias += in token order, when present. */
    void (*norm_backward)(struct kernels *k, enum norm_kind kind, int64_t N, int64_t C,
                          struct mat dy, struct mat x, struct buf weight, float weight_offset,
                          struct buf mean, struct buf rstd, struct mat dx, bool add,
                          struct buf dweight, struct buf dbias);

    /* ---- pointwise, (N, C) ---- */
    void (*act_forward)(struct kernels *k, enum activation act, int64_t N, int64_t C, struct mat x,
                        struct mat y);
    /* dx = act'(x) dy, and, when y is present, y = act(x), which costs little beside it; dx may be
     * dy, y may be x. */
    void (*act_backward)(struct kernels *k, enum activation act, int64_t N, int64_t C, struct mat x,
                         struct mat dy, struct mat dx, struct mat y);
    /* x (N, 2 F) = [gate | up]: y (N, F) = act(gate) * up. Backward dx (N, 2 F) may be x, y dy. */
    void (*gate_forward)(struct kernels *k, enum activation act, int64_t N, int64_t F, struct mat x,
                         struct mat y);
    void (*gate_backward)(struct kernels *k, enum activation act, int64_t N, int64_t F,
                          struct mat x, struct mat dy, struct mat dx, struct mat y);
    void (*add)(struct kernels *k, int64_t N, int64_t C, struct mat a, struct mat b,
                struct mat y); /* y may be a or b */
    void (*scale)(struct kernels *k, int64_t N, int64_t C, float s, struct mat x);
    void (*convert)(struct kernels *k, int64_t N, int64_t C, struct mat x,
                    struct mat y); /* between dtypes; copy */
    void (*dropout)(struct kernels *k, const struct dropout_args *a);
    /* Rotates pairs (i, i + R/2), i < R/2, of each of `heads` heads of size D at x (N, heads D), in
     * place, by the angles of position[n] (I32 [N]): cosine, sine F32 [positions, R/2]. inverse:
     * backward. R <= D; the other dimensions stay. */
    void (*rope)(struct kernels *k, int64_t N, int64_t heads, int64_t D, int64_t R,
                 struct buf position, struct buf cosine, struct buf sine, struct mat x,
                 bool inverse);

    /* ---- sampling ---- */
    /* weight[i] = exp(x[i] - top) for i < n, 0 below e^-708; x[i] <= top, which is finite. sum[b]:
     * of those of block b, of KERNEL_WEIGHTS each; returns the sum of these, in order. Host arrays,
     * by the calling thread: of several texts, each is a thread's. */
    double (*softmax_weights)(int64_t n, const double *x, double top, double *weight, double *sum);

    /* ---- loss and optimiser ---- */
    void (*cross_entropy)(struct kernels *k, const struct cross_entropy_args *a);
    /* out[c] += sum over n of x[n, c], in token order. out F32 [C]. */
    void (*colsum)(struct kernels *k, int64_t N, int64_t C, struct mat x, struct buf out);
    /* Sum of squares of n F32 in fixed blocks added in order, as double; NaN and infinity
     * propagate. */
    double (*sumsq)(struct kernels *k, int64_t n, struct buf x);
    /* w, m, v, g F32 [n]; w16 BF16 [n] gets the rounded new weights when present. */
    void (*adamw)(struct kernels *k, int64_t n, const struct adamw_args *a, struct buf w,
                  struct buf g, struct buf m, struct buf v, struct buf w16);
};

/* Opens a backend. device: "cpu" (the best this CPU has, capped by the environment's
 * GRAFT_CPU=ref|avx2|avx512|avx512bf16|amx), or "ref". The pool is borrowed. ERR_USAGE for an
 * unknown name. k is filled; kernels_close when done. */
enum err kernels_open(struct errctx *e, const char *device, struct pool *pool,
                      struct kernels *k) MUST_USE;
void kernels_close(struct kernels *k);
/* CPU type for the lineage: "GenuineIntel 6/143 avx512" style: family, model, and the feature level
 * in use. */
const char *kernels_cpu(const struct kernels *k);
/* Bytes of scratch that a backend with so many threads has, to be included in plans. */
size_t kernels_scratch(int threads);

#endif
