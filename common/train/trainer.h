/* SPDX-License-Identifier: Apache-2.0 */
/* trainer.h: the training loop: reads rows once, in order, and turns them into steps.
 *
 *   rows -> batch of --batch-tokens -> micro-batches of whole grains -> forward, loss, backward
 *        (sums) -> one AdamW step with 1/count and clipping -> log, validate, snapshot, checkpoint
 *
 * A batch closes before the row that would exceed it; the last, partial batch trains. A batch in
 * which no token is scored makes no step. Bytes of the result depend on the model, the rows, the
 * recorded options and the seed; not on threads, micro-batch, pipe chunks, crashes and restarts. */
#ifndef GRAFT_TRAIN_TRAINER_H
#define GRAFT_TRAIN_TRAINER_H

#include "common/base/opts.h"
#include "common/model/model.h"
#include "common/model/objective.h"
#include "common/train/adamw.h"
#include "common/train/feed.h"

struct trainer_cfg {
    int64_t batch_tokens, micro_tokens, grain;
    int64_t steps;      /* stop after so many, and the horizon of the schedule; 0: all rows */
    int64_t horizon;    /* of the schedule; 0: `steps`, else what the stream expects */
    int64_t stop_after; /* 0: no */
    bool drain;         /* read the input to its end also after an early stop */
    bool recompute;
    double dropout;
    int64_t seed;
    const char *checkpoint;    /* NULL: none */
    int64_t checkpoint_every;  /* steps; 0: by time alone */
    double checkpoint_minutes; /* 0: by steps alone */
    const char *log;           /* NULL: none */
    const char *val;           /* validation stream, NULL: none */
    int64_t val_every;         /* steps; 0: only at the start and the end */
    int64_t val_rows;          /* at most so many rows of it; 0: all */
    int64_t patience;          /* stop after so many validations without gain; 0: never */
    bool keep_best;            /* the result is the model of the best validation */
    const char *snapshots;     /* "log2:DIR" or "N:DIR", NULL: none */
    double spike;              /* times the running mean; 0: off */
};
extern const struct opt trainer_table[]; /* all but seed and log */
#define TRAINER_CFG                                                                                \
    ((struct trainer_cfg){.batch_tokens = 32 << 10,                                                \
                          .micro_tokens = 4 << 10,                                                 \
                          .grain = 1 << 10,                                                        \
                          .drain = true,                                                           \
                          .checkpoint_minutes = 10,                                                \
                          .val_every = 100,                                                        \
                          .spike = 3})

/* Fills in what depends on the input, horizon and warm-up, here and in what `run` has recorded of
 * it. ERR_USAGE for options that contradict each other, and for a schedule that decays towards an
 * unknown end. */
enum err trainer_settle(struct errctx *e, struct trainer_cfg *cfg, struct adamw_cfg *adamw,
                        const struct stream_begin *input, struct run *run) MUST_USE;

/* Longest row of a tokens stream, when its begin says so, else 0. */
int64_t trainer_input_length(const struct stream_begin *input);
/* Memory a model needs for this training. `context`: of the model; `length`: of the longest row or
 * 0. */
void trainer_use(const struct trainer_cfg *cfg, int64_t context, int64_t length, enum dtype dtype,
                 struct model_use *use);
/* Adds what the trainer itself allocates. */
enum err trainer_plan(struct errctx *e, const struct trainer_cfg *cfg,
                      const struct model_config *model, struct plan *plan) MUST_USE;

struct trainer_result {
    int64_t steps, rows, tokens;
    double loss_first, loss_last, val_first, val_last, val_best; /* NaN when there was none */
    int64_t val_best_step;
    bool stopped_early;
};

struct trainer_job {
    struct run *run;
    struct model *model;    /* opened with trainer_use; the result is left in it */
    const char *model_name; /* for messages */
    const struct row_source *input;
    const struct objective_cfg *objective;
    const struct adamw_cfg *adamw;
    const struct trainer_cfg *cfg;
};

/* Trains. The input is read to its end whatever stops the training, unless cfg->drain is false. A
 * loss that is not finite, or a spike, is ERR_IO with step and rows, after the state before that
 * step has gone to the checkpoint. SIGINT and SIGTERM likewise, when there is a checkpoint and the
 * caller has called io_defer_signals before it opened the input. Goes on from cfg->checkpoint when
 * it exists: reads the rows it has used again, which must be the same, and cuts the log back.
 */
enum err trainer_run(struct errctx *e, const struct trainer_job *job,
                     struct trainer_result *result) MUST_USE;

#endif
