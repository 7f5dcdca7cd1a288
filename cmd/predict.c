/* SPDX-License-Identifier: Apache-2.0 */
/* predict.c: labels of texts, by a model with heads for them.
 *
 *     tokens (stdin or files), -m model [-a adapter]  ->  JSON lines
 *
 * An answer goes out as soon as nothing more can be read without waiting. */
#include "common/use/model_stage.h"
#include "common/use/prediction.h"

struct opts {
    struct common common;
    struct adapters_cfg adapters;
    struct compute_cfg compute;
    struct prediction_cfg prediction;
    struct row_pass_cfg pass;
    const char *model;
};
static struct opts opts = {
    .common = COMMON, .compute = COMPUTE_CFG, .prediction = PREDICTION_CFG, .pass = ROW_PASS_CFG};

static const struct opt table[] = {{"model", 'm', OPT_STRING, offsetof(struct opts, model), "FILE",
                                    "the model, which has heads, or gets them with its adapter",
                                    OPT_REQUIRED | OPT_PATH},
                                   OPT_END};

static struct opt_set sets[] = {{"Predicting", table, &opts},
                                {"Predicting", prediction_table, &opts.prediction},
                                {"Predicting", row_pass_cuts_table, &opts.pass},
                                {"Adapters", adapters_table, &opts.adapters},
                                {"Computing", row_pass_table, &opts.pass},
                                {"Computing", compute_table, &opts.compute},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err predict_to(struct errctx *e, struct stage *stage, struct model *model,
                           struct outfile *out)
{
    const struct row_source source = stage_rows(stage);
    struct prediction *p;
    TRY(prediction_new(e, model, &opts.prediction, source.begin, out, &p));
    enum err r = row_pass_run(e, model, &opts.pass, &source, &stage->run, prediction_batch, p);
    prediction_free(p);
    return r;
}

static enum err predict(struct errctx *e, void *ctx, struct stage *stage, struct model *model)
{
    struct outfile out;
    (void)ctx;
    TRY(outfile_open(e, opts.common.output, &out));
    if (predict_to(e, stage, model, &out) == ERR_OK) return outfile_commit(e, &out);
    outfile_abort(&out);
    return e->code;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const struct model_stage stage = {.common = &opts.common,
                                      .compute = &opts.compute,
                                      .model = opts.model,
                                      .adapters = &opts.adapters,
                                      .reads_tokens = true,
                                      .fit = row_pass_fit,
                                      .fit_ctx = &opts.pass,
                                      .work = predict};
    opts.prediction.least_given = opts_given(sets, "least");
    TRY(common_check_overwrite(e, "-o", opts.common.output, &opts.model, 1, operands));
    TRY(adapters_check(e, &opts.adapters));
    return model_stage_run(e, p, operands, &stage);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "predict",
        .summary = "say the labels of texts with a model",
        .synopsis = "-m MODEL [-a ADAPTER] [OPTION ...] [TOKENS ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
