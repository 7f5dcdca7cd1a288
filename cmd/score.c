/* SPDX-License-Identifier: Apache-2.0 */
/* score.c: how likely a causal model holds continuations of contexts, or whole texts.
 *
 *     graft score -m base.model choices.jsonl >scores.jsonl
 *
 * The conventions and the loop are common/use/scoring.c. */
#include <inttypes.h>

#include "common/use/model_stage.h"
#include "common/use/scoring.h"

struct opts {
    struct common common;
    struct adapters_cfg adapters;
    struct compute_cfg compute;
    struct scoring_cfg scoring;
    const char *model;
};
static struct opts opts = {.common = COMMON, .compute = COMPUTE_CFG, .scoring = SCORING_CFG};

static const struct opt table[] = {{"model", 'm', OPT_STRING, offsetof(struct opts, model), "FILE",
                                    "the model", OPT_REQUIRED | OPT_PATH},
                                   OPT_END};

static struct opt_set sets[] = {{"Scoring", table, &opts},
                                {"Scoring", scoring_table, &opts.scoring},
                                {"Adapters", adapters_table, &opts.adapters},
                                {"Computing", compute_table, &opts.compute},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err score(struct errctx *e, void *ctx, struct stage *stage, struct model *model)
{
    struct scoring_stats stats;
    struct outfile out;
    (void)ctx;
    TRY(outfile_open(e, opts.common.output, &out));
    if (scoring_run(e, model, &opts.scoring, &stage->run, stage->operands, &out, &stats) !=
        ERR_OK) {
        outfile_abort(&out);
        return e->code;
    }
    TRY(outfile_commit(e, &out));
    prog_note("%" PRId64 " requests; %" PRId64 " tokens scored, %" PRId64 " computed",
              stats.requests, stats.tokens, stats.computed);
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const struct model_stage stage = {.common = &opts.common,
                                      .compute = &opts.compute,
                                      .model = opts.model,
                                      .adapters = &opts.adapters,
                                      .fit = scoring_fit,
                                      .fit_ctx = &opts.scoring,
                                      .work = score};
    TRY(common_check_overwrite(e, "-o", opts.common.output, &opts.model, 1, operands));
    TRY(adapters_check(e, &opts.adapters));
    return model_stage_run(e, p, operands, &stage);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "score",
        .summary = "say how likely a model holds texts",
        .synopsis = "-m MODEL [OPTION ...] [FILE ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
