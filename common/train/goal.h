/* SPDX-License-Identifier: Apache-2.0 */
/* goal.h: what a run teaches a model: how a row of tokens joins a batch, what the loss of a batch
 * is, and how the model is judged on held-out rows. The trainer knows no more of it.
 *
 * Losses and gradients are sums over what is scored: the step divides by the sum of weights. Which
 * rows a batch holds, and how it is cut into micro-batches of whole grains, must not show in them.
 */
#ifndef GRAFT_TRAIN_GOAL_H
#define GRAFT_TRAIN_GOAL_H

#include "common/judge/evaluate.h"
#include "common/model/model.h"
#include "common/model/objective.h"
#include "formats/tokens.h"

/* A row where it stands in its record. */
struct goal_row {
    const struct tokens_layout *layout;
    const struct tokens_row *row;
    const struct stream_rows *rows; /* the record, and the row's place in it */
    int64_t place;
    int64_t ordinal; /* in the stream, for random numbers */
};

enum { JUDGEMENT_FIGURES = 8 };
struct judgement {
    double loss; /* what the best model is chosen by */
    struct judgement_figure {
        const char *name; /* static text */
        double value;     /* NaN: none */
    } figures[JUDGEMENT_FIGURES];
    int count;
};

struct goal {
    void *state;
    /* Before the first row; close also after a failure. */
    enum err (*open)(struct errctx *e, void *state, struct model *m,
                     const struct stream_begin *input, const char *input_name, uint64_t seed);
    void (*close)(void *state);
    /* Adds the row to the batch, in grains of `grain` tokens. *scored: the sum of its weights. */
    enum err (*append)(struct errctx *e, void *state, const struct goal_row *row, int64_t grain,
                       struct batch *b, double *scored);
    /* After model_forward of the batch: adds its loss, and leaves the gradient of the last hidden
     * states in the model, for model_backward. The batch is cleared afterwards. */
    enum err (*learn)(struct errctx *e, void *state, struct model *m, const struct batch *b,
                      double *loss);
    /* Reads held-out rows to their end, without dropout. */
    enum err (*judge)(struct errctx *e, void *state, struct model *m, struct stream_reader *rows,
                      const struct evaluate_cfg *cfg, struct judgement *out);
};

/* The next token, or masked ones. */
struct language_goal {
    struct objective_cfg cfg;
    struct objective *objective; /* goal_language's own */
};
struct goal goal_language(struct language_goal *state);

#endif
