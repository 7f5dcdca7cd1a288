/* SPDX-License-Identifier: Apache-2.0 */
/* training.h: what programs that train a model have in common: their options, and a run from the
 * tokens and the model to the file of what was trained. They differ in what of the model learns and
 * what they save, which is struct training_kind. */
#ifndef GRAFT_TRAIN_TRAINING_H
#define GRAFT_TRAIN_TRAINING_H

#include "common/train/goal_task.h"
#include "common/train/trainer.h"
#include "common/use/model_stage.h"

struct training {
    struct common common;
    const char *model;
    struct compute_cfg compute;
    struct task_cfg task; /* programs without task_table leave it zero */
    struct objective_cfg objective;
    struct adamw_cfg adamw;
    struct trainer_cfg trainer;
};
#define TRAINING                                                                                   \
    {                                                                                              \
        .common = COMMON, .compute = COMPUTE_CFG, .objective = OBJECTIVE_CFG, .adamw = ADAMW_CFG,  \
        .trainer = TRAINER_CFG                                                                     \
    }
/* The sets of a program's options behind its own, `t` a struct training *. */
#define TRAINING_SETS(t)                                                                           \
    {"Objective", objective_table, &(t)->objective}, {"Optimiser", adamw_table, &(t)->adamw},      \
        {"Training", trainer_table, &(t)->trainer}, {"Arithmetic", compute_table, &(t)->compute},  \
        {"Common", common_output, &(t)->common}, {"Common", common_seed, &(t)->common},            \
        {"Common", common_threads, &(t)->common}, {"Common", common_level, &(t)->common},          \
        {"Common", common_log, &(t)->common}, {"Common", common_plan, &(t)->common},               \
    {                                                                                              \
        "Common", common_chatter, &(t)->common                                                     \
    }

struct training_kind {
    param_choice *trains; /* as in struct model_use; NULL: all */
    /* Beside the model, as in struct model_stage. */
    const struct adapters_cfg *adapters;
    enum err (*adapt)(struct errctx *e, void *ctx, const struct model_config *c,
                      struct model_use *use);
    void *ctx;
    bool goes_on;          /* heads that model or adapter have already are those that learn */
    bool added;            /* adapter and heads are new, and begin with model_init_added */
    const char *extension; /* of the names of snapshots: "model" */
    model_saver *save;
};

/* What a program's `run` returns. `sets` are all its options, parsed. */
enum err training_run(struct errctx *e, const struct prog *p, const struct opt_list *operands,
                      struct opt_set *sets, struct training *t,
                      const struct training_kind *kind) MUST_USE;

#endif
