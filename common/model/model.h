/* SPDX-License-Identifier: Apache-2.0 */
/* model.h: a transformer in memory: configuration, tokenizer, parameters; loaded from and saved to
 * a model stream; forward, loss and backward over a batch. Explicit forward and backward per block
 * (block.c), no tape. One token after another: decoder.h.
 *
 * Two models in one process work. Ownership: model_load/_create, model_free. The kernels are
 * borrowed. */
#ifndef GRAFT_MODEL_MODEL_H
#define GRAFT_MODEL_MODEL_H

#include "common/model/batch.h"
#include "common/model/config.h"
#include "common/model/embedding.h"
#include "common/model/linear.h"
#include "common/model/params.h"
#include "common/model/plan.h"
#include "common/model/task.h"
#include "formats/stream.h"
#include "formats/tokenizer.h"

/* What a model is opened for: decides what memory it has. */
struct model_use {
    enum dtype dtype; /* F32 or BF16: of activations and of the weights that products read */
    bool training;    /* gradients */
    bool recompute;   /* keep only block inputs, compute the rest again in the backward pass */
    bool shares;      /* rows may begin with tokens of others (batch_append_after); not training */
    int64_t tokens;   /* most tokens in a micro-batch (padded), 0: no forward pass */
    int64_t learned;  /* most tokens between two calls of model_finish_gradients, 0: any number */
    double dropout; /* training only; after the embeddings, and after `out` and `down` of each block
                     * (GPT-2's embd and resid dropout, BERT's hidden dropout). Dropout of attention
                     * probabilities is not offered. */
    uint64_t seed;  /* of dropout */
    /* When what is wanted depends on the configuration: model_load calls it with a copy of the use,
     * to be filled in, before any memory is taken. May be NULL. */
    void (*fit)(struct model_use *use, const struct model_config *c);
    const void *fit_ctx;
    /* Training: which parameters; NULL: all. What is frozen has no gradient, and the backward pass
     * ends where nothing below is trained. */
    param_choice *trains;
    const void *trains_ctx;
    const struct adapter *adapter;  /* beside the model's matrices; NULL: none. Borrowed */
    const struct task_heads *heads; /* for labels; NULL: none. Borrowed */
    /* Likewise for adapter and tasks, which it sets in `use`. May be NULL. */
    enum err (*adapt)(struct errctx *e, void *ctx, const struct model_config *c,
                      struct model_use *use);
    void *adapt_ctx;
};

struct model;

/* A new model with initial weights. The spec is copied; NULL: a model without tokenizer. */
enum err model_create(struct errctx *e, struct kernels *k, const struct model_config *c,
                      const struct tokenizer_spec *spec, uint64_t seed, const struct model_use *use,
                      struct model **out) MUST_USE;
/* From a model stream: every parameter of the table must be there with its shape, and no other
 * tensor. Without training, matrices that are block-quantised or BF16 in it stay so in memory, and
 * products read them as they are; others become F32, or BF16 with a use's dtype of it, and are in
 * memory once. For training all become F32. NaN or infinite weights: ERR_INPUT with the tensor's
 * name. */
enum err model_load(struct errctx *e, struct kernels *k, struct run *run, const char *path,
                    const struct model_use *use, struct model **out) MUST_USE;
void model_free(struct model *m);
/* First numbers for what was added to the model by its use: adapter and heads. */
void model_init_added(struct model *m, uint64_t seed);

/* Writes the model as a stream (parameters F32, tokenizer inside), with `run`'s lineage; atomic.
 * *bytes, unless NULL, is the size of what was written. */
enum err model_save(struct errctx *e, const struct model *m, struct run *run, const char *path,
                    int level, int threads, uint64_t *bytes) MUST_USE;

/* A function like it, for what is trained of a model. */
typedef enum err model_saver(struct errctx *e, const struct model *m, struct run *run,
                             const char *path, int level, int threads, uint64_t *bytes);

const struct model_config *model_config_of(const struct model *m);
const struct tokenizer_spec *model_tokenizer(const struct model *m); /* NULL without */
/* How it makes a vector of a text; NULL when nobody has said so. */
const struct embedding *model_embedding(const struct model *m);
/* Its heads for labels; NULL without. */
const struct task_heads *model_heads(const struct model *m);
const struct param_table *model_params(const struct model *m);
struct kernels *model_kernels(const struct model *m);
/* Content id of the stream it was loaded from (zero for a created one). */
const uint8_t *model_id(const struct model *m);

/* Flat F32 arrays: master weights of params()->elements, of a model that was loaded without
 * training only what is kept in F32; gradients of params()->trained (absent when not training). */
struct buf model_weights(const struct model *m);
struct buf model_gradients(const struct model *m);
/* BF16 copy of these, which products read, absent with F32; model_refresh makes it. */
struct buf model_weights16(const struct model *m);
void model_refresh(struct model *m);

/* Lines for everything this use allocates, kernels' scratch included. Nothing is allocated. */
enum err model_plan(struct errctx *e, const struct model_config *c, const struct model_use *use,
                    int threads, struct plan *out) MUST_USE;

/* The same for the model of a file, by what its stream begins with: its tensors are not read. *c:
 * its configuration; *use is filled in by use.fit. */
enum err model_plan_file(struct errctx *e, const char *path, struct model_use *use, int threads,
                         struct model_config *c, struct plan *out) MUST_USE;

/* One micro-batch forward, hidden states after the final norm stay in the arena. step keys dropout.
 */
enum err model_forward(struct errctx *e, struct model *m, const struct batch *b,
                       uint32_t step) MUST_USE;

/* The same through the first `layers` blocks only, without a loss afterwards. *hidden: the states
 * (N, C) behind them, F32 or the use's dtype; behind the last block as model_hidden has them. A
 * row's numbers do not depend on the other rows of the batch. */
enum err model_forward_to(struct errctx *e, struct model *m, const struct batch *b, int64_t layers,
                          struct mat *hidden) MUST_USE;

/* Whether what comes behind the tokens that rows share leaves what is computed of them as it is:
 * causal models, but for scalings of rotary positions that look at a row's length. */
bool model_can_share(const struct model *m);

/* Loss at the scored places after model_forward. Per-token losses and ranks, host arrays [N], may
 * be NULL; *sum += sum of weight * loss in token order (double). gradient: also runs the head's
 * backward (unnormalised sums) so that model_backward can follow; the [N, V] logits never exist
 * whole. */
enum err model_loss(struct errctx *e, struct model *m, const struct batch *b, bool gradient,
                    float *loss, int32_t *rank, double *sum) MUST_USE;
/* The heads for labels, in place of model_loss: labels[i][r] is that of task i and row r of the
 * batch, losses[i] += their sum of weight * loss (double, in the order of rows). With outputs, that
 * of row r goes to outputs[i] + r K, of LABEL_TOKENS that of token t of the batch to t K. labels
 * NULL: outputs alone, without dropout; outputs NULL: none. gradient: model_backward can follow. */
enum err model_tasks(struct errctx *e, struct model *m, const struct batch *b,
                     const struct task_label *const *labels, bool gradient, float *const *outputs,
                     double *losses) MUST_USE;
/* Backward of all blocks and embeddings: gradients += . After model_loss(gradient = true). */
enum err model_backward(struct errctx *e, struct model *m, const struct batch *b) MUST_USE;

/* Once per optimiser step, after the last model_backward and before the gradients are read: adds
 * what the token embedding received as a table to what it received as the head. (With tied
 * embeddings the two are summed apart, because a batch cut otherwise into micro-batches would mix
 * them in another order, and so in other bits. The sum apart has rows for the ids that occurred
 * alone.) The caller zeroes model_gradients for the next step. No-op without tied embeddings. */
void model_finish_gradients(struct model *m);
/* Dropout, the adapter's included, from the next forward on: on for training, off for validation.
 */
void model_set_dropout(struct model *m, bool on);

/* Hidden states (N, C) of the last forward. */
struct mat model_hidden(const struct model *m);
/* Logits F32 (n, V) of n token places (index into the batch) after a forward: for scoring, tests.
 * out: host. */
enum err model_logits(struct errctx *e, struct model *m, const struct batch *b, int64_t n,
                      const int32_t *index, float *out) MUST_USE;

#endif
