/* SPDX-License-Identifier: Apache-2.0 */
/* trainer.h: the training loop: reads rows once, in order, and turns them into steps.
 *
 *   rows -> batch of --batch-tokens -> micro-batches of whole grains -> forward, loss, backward (sums)
 *        -> one AdamW step with 1/count and clipping -> log, validate, checkpoint
 *
 * A batch closes before the row that would exceed it; the last, partial batch trains. Bytes of the result depend on the
 * model, the rows, the recorded options and the seed; not on threads, micro-batch, pipe chunks, crashes and restarts. */
#ifndef GRAFT_TRAIN_TRAINER_H
#define GRAFT_TRAIN_TRAINER_H

#include "common/base/opts.h"
#include "common/model/model.h"
#include "common/model/objective.h"

enum schedule_kind { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_WSD, SCHEDULE_CONSTANT };

struct optimiser_cfg { /* adamw.c */
    double lr, beta1, beta2, eps, weight_decay, clip; /* clip 0: none */
    int schedule;        /* enum schedule_kind */
    int64_t warmup;      /* steps */
    double lr_min;       /* fraction of lr at the end of a decay */
    double decay_part;   /* WSD: last part of the steps that decays */
};
extern const struct opt optimiser_table[];
#define OPTIMISER_CFG                                                                              \
    ((struct optimiser_cfg){.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1.0, \
                            .warmup = 100, .lr_min = 0.1, .decay_part = 0.2})
/* Learning rate of step t (from 1) of `steps` (-1: open-ended; only SCHEDULE_CONSTANT allows it). */
double schedule_rate(const struct optimiser_cfg *c, int64_t t, int64_t steps);

struct trainer_cfg {
    int64_t batch_tokens, micro_tokens, grain;
    int64_t steps;            /* horizon; 0: from `expect` */
    int64_t stop_after;       /* 0: at the horizon or the end of the rows */
    bool recompute;
    double dropout;
    int64_t seed;
    const char *checkpoint;   /* NULL: none */
    int64_t checkpoint_every; /* steps; 0: by time, every checkpoint_minutes */
    double checkpoint_minutes;
    const char *log;
    const char *val;          /* validation stream, NULL: none */
    int64_t val_every;        /* steps; 0: only at the end */
    int64_t val_rows;         /* at most so many rows of it; 0: all */
    int64_t patience;         /* early stopping after so many validations without gain; 0: never */
    bool keep_best;           /* the result is the model of the best validation */
    const char *snapshots;    /* "log2:DIR", "every=N:DIR" */
    double spike;             /* a loss above `spike` times the running mean stops the run; 0: off */
};
extern const struct opt trainer_table[];
#define TRAINER_CFG                                                                                \
    ((struct trainer_cfg){.batch_tokens = 32 << 10, .micro_tokens = 4 << 10, .grain = 1 << 10, .checkpoint_minutes = 10, \
                          .val_every = 100})

struct trainer_result {
    int64_t steps, rows, tokens;
    double loss_first, loss_last, val_first, val_last, val_best;
    bool stopped_early;
};

/* Trains `m` (opened for training with the micro-batch of cfg) from the open token stream `input` (drained to its end) and leaves
 * the result in m. A NaN, infinity or spike: ERR_IO with step and rows, after the last good state has been saved to the
 * checkpoint. Resumes from cfg->checkpoint when it exists: re-reads and checks the rows consumed, cuts the log back. */
enum err trainer_run(struct errctx *e, struct run *run, struct model *m, struct stream_reader *input,
                     const struct objective_cfg *objective, const struct optimiser_cfg *optimiser,
                     const struct trainer_cfg *cfg, struct trainer_result *result) MUST_USE;

#endif
