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

#include "common/train/feed.h"
#include "common/train/goal.h"
#include "common/train/trainer_cfg.h"

struct trainer_result {
    int64_t steps, rows, tokens;
    double loss_first, loss_last, val_first, val_last, val_best; /* NaN when there was none */
    int64_t val_best_step;
};

struct trainer_job {
    struct run *run;
    struct model *model;    /* opened with trainer_fit; the result is left in it */
    const char *model_name; /* for messages */
    const struct row_source *input;
    const struct goal *goal;
    const struct adamw_cfg *adamw;
    const struct trainer_cfg *cfg;
    const char *extension; /* of the names of snapshots, */
    model_saver *save;     /* and what writes them: model_save, adapter_save */
};

/* Trains. The input is read to its end whatever stops the training, unless cfg->drain is false. A
 * loss that is not finite, or a spike, is ERR_IO with step and rows, after the state before that
 * step has gone to the checkpoint. SIGINT and SIGTERM likewise, when there is a checkpoint and the
 * caller has called io_defer_signals before it opened the input. Goes on from cfg->checkpoint when
 * it exists: reads the rows it has used again, which must be the same, and cuts the log back.
 */
enum err trainer_run(struct errctx *e, const struct trainer_job *job,
                     struct trainer_result *result) MUST_USE;
/* What came of it, under -v. */
void trainer_note(const struct trainer_result *r);

#endif
