/* SPDX-License-Identifier: Apache-2.0 */
/* task.h: heads for labels, trained with the model: a linear map of a row's pooled hidden states,
 * or of each token's.
 *
 *     x = pooling of the row's last hidden states          rows; of LABEL_TOKENS the token's state
 *     x = act(x D^T + d)                                   with a dense part (BERT's pooler: tanh)
 *     y = drop(x) W^T + w
 *
 *     class, tokens   -log softmax(y)[label]
 *     classes         mean over outputs of log(1 + e^y) - z y, z = 1 for the row's labels, else 0
 *     number          (y - label)^2
 *
 * These are the losses of transformers' models for classification of sequences and of tokens. All
 * is F32, whatever the model computes in. Parameters of task I stand behind the model's and the
 * adapter's: task.I.dense.{weight,bias}, task.I.{weight,bias}; they begin as N(0, init_std) and 0.
 */
#ifndef GRAFT_MODEL_TASK_H
#define GRAFT_MODEL_TASK_H

#include "common/model/config.h"
#include "common/model/pooling.h"
#include "formats/labels.h"

struct task {
    enum label_kind kind;
    int64_t outputs;  /* classes; 1 of a number */
    unsigned pooling; /* of rows */
    bool dense;
    enum activation act; /* of the dense part */
};
#define TASK_PREFIX "task." /* of the parameters of heads */
/* The heads of a model, an adapter or a run. */
struct task_heads {
    struct task *items;
    int64_t count;
    struct labels labels; /* what they tell apart: label i is that of head i */
};
void task_heads_fini(struct task_heads *h);
enum err task_heads_copy(struct errctx *e, const struct task_heads *from,
                         struct task_heads *to) MUST_USE;
/* Meta of a stream whose tensors they are: "labels" (formats/labels.h) and
 * "heads" [{"pooling": ["mean", ..], "dense": "none" | "tanh" | "gelu" | "relu"}, ..]. */
enum err task_heads_to_meta(struct errctx *e, const struct task_heads *h,
                            struct mp_value *meta) MUST_USE;
/* None: count 0. ERR_INPUT. */
enum err task_heads_from_meta(struct errctx *e, const struct mp_value *meta,
                              struct task_heads *out) MUST_USE;

/* Numbers that the dense part, or W, reads. */
int64_t task_width(const struct task *t, const struct model_config *c);

/* What a row of a batch is labelled with. */
struct task_label {
    float weight;        /* 0: not at all */
    int32_t cls;         /* LABEL_CLASS */
    float number;        /* LABEL_NUMBER */
    const int32_t *list; /* LABEL_CLASSES: ascending; LABEL_TOKENS: one per token, -1: not scored */
    int64_t count;       /* of the list */
};

/* The loss of n outputs, and when d is present its gradient, without weight. */
double task_loss(enum label_kind kind, int64_t n, const float *y, const struct task_label *label,
                 int64_t token, float *d);

#endif
