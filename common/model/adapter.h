/* SPDX-License-Identifier: Apache-2.0 */
/* adapter.h: low-rank products that are trained beside frozen matrices (LoRA: Hu et al., "LoRA:
 * Low-rank adaptation of large language models", ICLR 2022).
 *
 *     y = x W^T + b + scale (drop(x) A^T) B^T        A (rank, in), B (out, rank)
 *     scale = alpha / rank, or alpha / sqrt(rank)    (rsLoRA: Kalajdzievski 2023)
 *
 * A part belongs to a target: all rows of one of the model's matrices, or those of them that are
 * another program's whole matrix (queries, keys and values are one matrix here). Its A and B are
 * parameters like all others, in the table behind those of the model:
 *     layers.L.attention.{qkv|q|k|v|out}.lora.{A|B}
 *     layers.L.mlp.{gate_up|gate|up|down}.lora.{A|B}
 * (those of the second adapter of several with .lora1. and so on). A begins as U(-1, 1) / sqrt(in),
 * B as zero: the model begins as what it was, to the bit. */
#ifndef GRAFT_MODEL_ADAPTER_H
#define GRAFT_MODEL_ADAPTER_H

#include "common/model/config.h"

enum adapter_target {
    TARGET_QKV,
    TARGET_Q,
    TARGET_K,
    TARGET_V,
    TARGET_OUT,
    TARGET_GATE_UP,
    TARGET_GATE,
    TARGET_UP,
    TARGET_DOWN,
    TARGET_COUNT
};
/* "q", "gate_up", ... */
const char *adapter_target_name(enum adapter_target t);

struct adapter_part {
    int source; /* of several adapters at once: which */
    int layer;
    enum adapter_target target;
    int64_t rank;
    double scale;
};

struct adapter {
    struct adapter_part *parts;
    int64_t count;
    size_t capacity;
    double dropout; /* of what A reads, in training */
};
void adapter_fini(struct adapter *a);

/* The matrix that a part stands beside, and its place there. */
enum adapter_matrix { MATRIX_QKV, MATRIX_OUT, MATRIX_UP, MATRIX_DOWN, MATRIX_COUNT };
struct adapter_place {
    enum adapter_matrix matrix;
    int64_t in, from, out; /* rows from .. from + out of W (.., in) */
};
/* False: such a model has no target of that name. */
bool adapter_find(const struct model_config *c, enum adapter_target t, struct adapter_place *out);

/* Adds a part. ERR_USAGE: the model has no such target, a rank that is larger than the matrix, rows
 * that another part of the same source has already. */
enum err adapter_add(struct errctx *e, struct adapter *a, const struct model_config *c,
                     const struct adapter_part *part) MUST_USE;
/* Sum of the ranks beside one matrix of a layer; a may be NULL. */
int64_t adapter_rank(const struct adapter *a, const struct model_config *c, int64_t layer,
                     enum adapter_matrix matrix);
/* Name of a part's parameter behind "layers.L."; which: 'A' or 'B'. */
void adapter_param_name(const struct adapter_part *part, char which, char name[64]);

#endif
