/* SPDX-License-Identifier: Apache-2.0 */
/* adamw.h: the optimiser of a whole model: AdamW (Loshchilov and Hutter, "Decoupled weight decay
 * regularization", ICLR 2019) with clipping by the norm of all gradients and a schedule of rates.
 *
 *     scale = min(1, clip / (|g| + 1e-6)) / count       g is the sum over `count` scored tokens
 *     rate  = schedule_rate(t)
 *
 * Biases and norms are not decayed. Source of clipping: torch.nn.utils.clip_grad_norm_. */
#ifndef GRAFT_TRAIN_ADAMW_H
#define GRAFT_TRAIN_ADAMW_H

#include "common/base/opts.h"
#include "common/model/model.h"

enum schedule_kind { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_WSD, SCHEDULE_CONSTANT };

/* Steps of warm-up when none are given: a tenth of the horizon, but no more than this, and this
 * where there is none. The trainer puts the number in before it begins, and records it. */
enum { WARMUP_MOST = 100 };

struct adamw_cfg {
    double lr, beta1, beta2, eps, weight_decay, clip; /* clip 0: none */
    bool bias_correction;                             /* BERT's original has none */
    int schedule;                                     /* enum schedule_kind */
    int64_t warmup;                                   /* steps; -1: see WARMUP_MOST */
    double lr_min;                                    /* fraction of lr at the end of a decay */
    double decay_part;                                /* WSD: last part of the steps that decays */
};
extern const struct opt adamw_table[];
#define ADAMW_CFG                                                                                  \
    ((struct adamw_cfg){.lr = 1e-3,                                                                \
                        .beta1 = 0.9,                                                              \
                        .beta2 = 0.95,                                                             \
                        .eps = 1e-8,                                                               \
                        .weight_decay = 0.1,                                                       \
                        .clip = 1.0,                                                               \
                        .bias_correction = true,                                                   \
                        .warmup = -1,                                                              \
                        .lr_min = 0.1,                                                             \
                        .decay_part = 0.2})

/* Learning rate of step t (from 1). Rises linearly over the warm-up, step 1 with lr / warmup, then
 * goes down to lr * lr_min at step `horizon` and stays there. SCHEDULE_CONSTANT needs no horizon.
 */
double schedule_rate(const struct adamw_cfg *c, int64_t t, int64_t horizon);

struct adamw {
    struct adamw_cfg cfg;
    struct kernels *kernels;
    struct buf m, v;                        /* F32, laid out as the model's gradients */
    struct adamw_run {                      /* parameters side by side that are treated alike */
        int64_t offset, gradient, elements; /* in the weights, in the gradients */
        bool decay;
    } * runs;
    int64_t runs_count;
};
/* Moments are zero. The model is opened for training and outlives the optimiser. */
enum err adamw_init(struct errctx *e, struct adamw *o, const struct adamw_cfg *cfg,
                    struct model *m) MUST_USE;
void adamw_fini(struct adamw *o);

/* |g| of the gradients of everything that is trained, as they stand. */
double adamw_norm(const struct adamw *o, const struct model *m);
/* Step t: updates weights and moments from gradient * scale at this rate. */
void adamw_step(struct adamw *o, struct model *m, int64_t t, double rate, double scale);
/* A copy of the weights that are trained, as they are at a time: laid out as the moments. Freed by
 * the caller. */
enum err adamw_keep_new(struct errctx *e, const struct adamw *o, struct buf *out) MUST_USE;
void adamw_keep(const struct adamw *o, const struct model *m, struct buf kept);
void adamw_put_back(const struct adamw *o, struct model *m, struct buf kept);
/* min(1, clip / (norm + 1e-6)); 1 without clipping. */
double adamw_clip(const struct adamw_cfg *c, double norm);

#endif
