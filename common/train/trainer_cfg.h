/* SPDX-License-Identifier: Apache-2.0 */
/* trainer_cfg.h: what a training run is told (batches, length, checkpoints, validation), what that
 * comes to when the input is known, and the memory it takes. The run itself is trainer.h. */
#ifndef GRAFT_TRAIN_TRAINER_CFG_H
#define GRAFT_TRAIN_TRAINER_CFG_H

#include "common/base/opts.h"
#include "common/model/model.h"
#include "common/train/adamw.h"

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
    int64_t length; /* of the longest row of the input, 0: not said; no option: trainer_settle */
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

/* ERR_USAGE for an option of the command line that would do nothing beside the others. `sets` are
 * the program's, after parsing. */
enum err trainer_check_options(struct errctx *e, const struct opt_set *sets,
                               const struct trainer_cfg *cfg,
                               const struct adamw_cfg *adamw) MUST_USE;
/* Whether the end of the schedule follows from the number of rows, which must then be known. */
bool trainer_needs_length(const struct trainer_cfg *cfg, const struct adamw_cfg *adamw);
/* Fills in what depends on the input: length, horizon and warm-up, here and in what `run` has
 * recorded of it. ERR_USAGE for a schedule that decays towards an unknown end. */
enum err trainer_settle(struct errctx *e, struct trainer_cfg *cfg, struct adamw_cfg *adamw,
                        const struct stream_begin *input, struct run *run) MUST_USE;

/* For model_use.fit, with the trainer_cfg as fit_ctx: memory for this training. */
void trainer_fit(struct model_use *use, const struct model_config *c);
/* Real tokens a micro-batch may hold: the longest row and a grain fit in any case. Rows to judge on
 * may be longer than those to learn from. */
int64_t trainer_micro_limit(const struct trainer_cfg *cfg, int64_t context);
/* Adds what the trainer itself allocates for such a model. */
enum err trainer_plan(struct errctx *e, const struct trainer_cfg *cfg,
                      const struct model_config *model, const struct model_use *use,
                      struct plan *plan) MUST_USE;

#endif
