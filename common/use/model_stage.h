/* SPDX-License-Identifier: Apache-2.0 */
/* model_stage.h: a stage of a pipeline that computes with a model: opens the stage, the kernels and
 * the model around a program's own work, or under --plan prints what they would take.
 *
 *     const struct model_stage s = {.common = &opts.common, .compute = &opts.compute,
 *                                   .model = opts.model, .work = work};
 *     return model_stage_run(e, p, operands, &s);
 */
#ifndef GRAFT_USE_MODEL_STAGE_H
#define GRAFT_USE_MODEL_STAGE_H

#include "common/flow/stage.h"
#include "common/model/adapter_file.h"
#include "common/model/compute.h"
#include "common/model/model.h"

struct model_stage {
    const struct common *common;
    const struct compute_cfg *compute;
    const char *model; /* its file */
    /* The operands are streams of tokens, and stage->input the first; otherwise they are not
     * opened. */
    bool reads_tokens;
    /* As in struct model_use, of which the type is filled in. May be NULL: no forward pass. */
    void (*fit)(struct model_use *use, const struct model_config *c);
    const void *fit_ctx;
    param_choice *trains; /* likewise */
    /* Beside the model; NULL: none. The options have passed adapters_check. */
    const struct adapters_cfg *adapters;
    /* As in struct model_use; where there are no adapters. May be NULL. */
    enum err (*adapt)(struct errctx *e, void *ctx, const struct model_config *c,
                      struct model_use *use);
    void *adapt_ctx;
    void *ctx; /* of these: */
    /* Before the model is loaded; may be NULL. */
    enum err (*prepare)(struct errctx *e, void *ctx, struct stage *stage);
    enum err (*work)(struct errctx *e, void *ctx, struct stage *stage, struct model *m);
    /* For --plan: adds what the program takes beside such a model; may be NULL. */
    enum err (*plan)(struct errctx *e, void *ctx, const struct model_config *c,
                     const struct model_use *use, struct plan *plan);
};

/* What a program's `run` returns. stage->operands are set in any case. */
enum err model_stage_run(struct errctx *e, const struct prog *p, const struct opt_list *operands,
                         const struct model_stage *s) MUST_USE;

#endif
