/* SPDX-License-Identifier: Apache-2.0 */
/* score.c: how likely a causal model holds continuations of contexts, or whole texts.
 *
 *     graft score -m base.model choices.jsonl >scores.jsonl
 *
 * The conventions and the loop are common/use/scoring.c. */
#include <inttypes.h>

#include "common/flow/stage.h"
#include "common/model/compute.h"
#include "common/use/scoring.h"

struct opts {
    struct common common;
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
                                {"Computing", compute_table, &opts.compute},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err score(struct errctx *e, struct stage *stage, const struct opt_list *files,
                      struct model *model)
{
    struct scoring_stats stats;
    struct outfile out;
    TRY(outfile_open(e, opts.common.output, &out));
    if (scoring_run(e, model, &opts.scoring, &stage->run, files, &out, &stats) != ERR_OK) {
        outfile_abort(&out);
        return e->code;
    }
    TRY(outfile_commit(e, &out));
    prog_note("%" PRId64 " requests; %" PRId64 " tokens scored, %" PRId64 " computed",
              stats.requests, stats.tokens, stats.computed);
    return ERR_OK;
}

static enum err load_and_score(struct errctx *e, struct stage *stage, const struct opt_list *files,
                               struct kernels *k, const struct model_use *use)
{
    struct model *model;
    TRY(model_load(e, k, &stage->run, opts.model, use, &model));
    const enum err r = score(e, stage, files, model);
    model_free(model);
    return r;
}

static enum err print_plan(struct errctx *e, struct kernels *k, const struct model_use *use)
{
    struct plan plan;
    TRY(model_plan_file(e, k, opts.model, use, common_thread_count(&opts.common), &plan));
    plan_print(&plan, stdout);
    plan_fini(&plan);
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const struct model_use use = {
        .dtype = compute_dtype(&opts.compute), .fit = scoring_fit, .fit_ctx = &opts.scoring};
    struct compute compute;
    struct stage stage;
    TRY(common_check_overwrite(e, "-o", opts.common.output, &opts.model, 1, operands));
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK) {
        r = compute_open(e, &opts.compute, common_thread_count(&opts.common), &stage.run, &compute);
        if (r == ERR_OK)
            r = opts.common.plan ? print_plan(e, &compute.kernels, &use)
                                 : load_and_score(e, &stage, operands, &compute.kernels, &use);
        compute_close(&compute);
    }
    return stage_close(e, &stage, r);
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
