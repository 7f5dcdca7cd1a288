/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.h: everything a run needs to go on from where it was, as one stream of kind
 * checkpoint.
 *
 *   meta: "state"    the numbers of struct train_state
 *         "options"  recorded options of the run, name -> value: a changed one is another run
 *         "version"  of graft: another one may compute something else
 *         "mode", "cpu"  numeric mode and CPU type: on others the bytes would differ
 *         "model", "val"  content ids of the start model and of the validation stream
 *   tensors, F32, shaped as the parameters that are trained: weights.NAME, mean.NAME, square.NAME
 *         (AdamW's moments), best.NAME (with --keep-best: the weights of the best validation)
 *
 * It needs no state of random numbers: they are functions of step and row. Written whole or not at
 * all: the old one stays until the new one is in place. */
#ifndef GRAFT_TRAIN_CHECKPOINT_H
#define GRAFT_TRAIN_CHECKPOINT_H

#include "common/train/adamw.h"

struct train_state {
    int64_t step, rows, tokens; /* done */
    uint8_t digest[16];         /* of the rows, see feed.h */
    int64_t log_bytes;
    double seconds, joules; /* spent on it, all sessions together */
    double loss_first, loss_last, loss_mean;
    double val_first, val_last, val_best;
    int64_t val_best_step, val_last_step; /* -1: no validation yet */
    int64_t val_worse;                    /* validations since the best one */
    bool stopped_early;
};

struct checkpoint {
    const char *path;
    struct run *run;        /* options, mode and CPU that must be the same */
    const char *model_name; /* for messages */
    uint8_t val[16];        /* content of the validation stream, zero without */
    struct model *model;
    struct adamw *adamw;
    struct buf best; /* absent without --keep-best */
    int lock;        /* descriptor of PATH.lock, -1 */
};

/* Takes the lock of this path, so that two runs cannot write one checkpoint: ERR_IO when another
 * run holds it. checkpoint_unlock removes the lock file. */
enum err checkpoint_lock(struct errctx *e, struct checkpoint *c) MUST_USE;
void checkpoint_unlock(struct checkpoint *c);

/* `lineage`: the run as far as it has come (see snapshot.h). */
enum err checkpoint_save(struct errctx *e, const struct checkpoint *c, struct run *lineage,
                         const struct train_state *s) MUST_USE;
/* *found is false when there is no file. ERR_USAGE names the option that is not as it was;
 * ERR_INPUT says what does not belong together or is damaged. */
enum err checkpoint_load(struct errctx *e, struct checkpoint *c, struct train_state *s,
                         bool *found) MUST_USE;

#endif
