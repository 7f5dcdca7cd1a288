/* SPDX-License-Identifier: Apache-2.0 */
/* params.h: the one parameter table: it drives init, import, optimiser, checkpoint, freezing, diff
 * and --plan.
 *
 * Names (L = layer number), shapes as [rows, columns] of y = x W^T:
 *   embed.tokens.weight [V, C]
 *   embed.positions.weight [context + position_offset, C]     (learned positions)
 *   embed.types.weight [types, C]
 *   embed.norm.{weight,bias} [C]
 *   layers.L.norm1.{weight,bias} [C]                          before attention (post-norm: behind)
 *   layers.L.attention.qkv.{weight [(H + 2 G) D, C], bias}    rows: q, k, v
 *   layers.L.attention.{q_norm,k_norm}.weight [D]             (qk_norm)
 *   layers.L.attention.out.{weight [C, H D], bias}
 *   layers.L.attention.norm.{weight,bias} [C]                 (norm_branch)
 *   layers.L.norm2.{weight,bias} [C]
 *   layers.L.mlp.up.{weight [F or 2 F, C], bias}              gated: rows gate, up
 *   layers.L.mlp.down.{weight [C, F], bias}
 *   layers.L.mlp.norm.{weight,bias} [C]                       (norm_branch)
 *   norm.{weight,bias} [C]
 *   head.dense.{weight [C, C], bias}, head.norm.{weight,bias} (mlm_head)
 *   head.weight [V, C]                                        (untied)
 *   head.bias [V]                                             (mlm_head)
 * All live in one flat F32 array: `offset` in elements, each a multiple of 16. But matrices that
 * are not trained may be kept in another type, that in which the stream has them or BF16: they lie
 * in an array of bytes, `offset` in it. Gradient and moments have flat arrays of what is trained
 * alone: there `gradient` is the place. */
#ifndef GRAFT_MODEL_PARAMS_H
#define GRAFT_MODEL_PARAMS_H

#include "common/model/adapter.h"
#include "common/model/config.h"
#include "common/model/task.h"

enum param_role {
    PARAM_EMBEDDING,
    PARAM_MATRIX,
    PARAM_RESIDUAL_MATRIX, /* out, down: scaled init */
    PARAM_BIAS,
    PARAM_NORM,
    PARAM_LORA_A,
    PARAM_LORA_B
};

struct param {
    char name[64];
    int dims;
    int64_t shape[2];
    int64_t elements;
    enum dtype dtype; /* F32, or the type that it is kept in */
    int64_t offset;   /* in the flat arrays, or bytes in that of what is kept otherwise */
    int64_t gradient; /* in the flat arrays of what is trained; -1: it is frozen */
    enum param_role role;
    int layer;  /* -1: none */
    bool decay; /* weight decay group: matrices and embeddings yes, biases and norms no */
};

struct param_table {
    struct param *items;
    int64_t count;
    int64_t own;      /* so many are the model's, those of adapter and tasks are behind them */
    int64_t elements; /* of the flat arrays, padding included */
    int64_t kept;     /* bytes of what is kept in other types */
    int64_t trained;  /* elements of the flat arrays of what is trained, padding included */
};

enum err param_table_build(struct errctx *e, const struct model_config *c,
                           struct param_table *t) MUST_USE;
/* The same with those of an adapter and of tasks behind them (NULL: none). */
enum err param_table_build_adapted(struct errctx *e, const struct model_config *c,
                                   const struct adapter *a, const struct task_heads *heads,
                                   struct param_table *t) MUST_USE;
/* Keeps parameter i < own in types[i] where that is not F32: it leaves the flat arrays. */
enum err param_table_keep(struct errctx *e, struct param_table *t,
                          const enum dtype *types) MUST_USE;
/* Trains those for which `trains` says so, of those that are kept in F32 (NULL: all), and freezes
 * the others. A new table trains all. */
typedef bool param_choice(const void *ctx, const struct param *p);
void param_table_train(struct param_table *t, param_choice *trains, const void *ctx);
void param_table_fini(struct param_table *t);
/* Whether it is a low-rank part's, and no head's nor the model's own. */
bool param_is_adapters(const struct param *p);
/* NULL when absent. */
const struct param *param_table_find(const struct param_table *t, const char *name);
/* N(0, init_std), residual matrices init_std / sqrt(2 layers), biases 0, norms 1; of adapters see
 * adapter.h. Numbers depend on (seed, name, element). */
void param_init(const struct model_config *c, const struct param *p, uint64_t seed, float *out);

#endif
