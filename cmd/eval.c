/* SPDX-License-Identifier: Apache-2.0 */
/* eval.c: judges a model on token streams: loss, perplexity, bits per byte and character, accuracy,
 * with intervals.
 *
 *     graft eval -m base.model data/val.tokens
 *
 * The arithmetic is common/judge/evaluate.c. */
#include "common/judge/evaluate.h"
#include "common/judge/evaluate_print.h"
#include "common/judge/require.h"
#include "common/use/model_stage.h"

struct opts {
    struct common common;
    struct adapters_cfg adapters;
    struct compute_cfg compute;
    struct evaluate_cfg evaluate;
    struct objective_cfg objective;
    const char *model, *per_document;
    struct opt_list require;
};
static struct opts opts = {
    .common = COMMON, .compute = COMPUTE_CFG, .evaluate = EVALUATE_CFG, .objective = OBJECTIVE_CFG};

static const struct opt table[] = {
    {"model", 'm', OPT_STRING, offsetof(struct opts, model), "FILE", "the model to judge",
     OPT_REQUIRED | OPT_PATH},
    {"per-document", 0, OPT_STRING, offsetof(struct opts, per_document), "FILE",
     "also write a JSON line for each document here", OPT_UNRECORDED | OPT_PATH},
    {"require", 0, OPT_LIST, offsetof(struct opts, require), "EXPRESSION",
     "exit 4 unless this holds, as in 'loss<=3.2'", OPT_UNRECORDED},
    OPT_END};

static struct opt_set sets[] = {{"Judging", table, &opts},
                                {"Measuring", evaluate_table, &opts.evaluate},
                                {"Objective", objective_table, &opts.objective},
                                {"Adapters", adapters_table, &opts.adapters},
                                {"Computing", compute_table, &opts.compute},
                                {"Common", common_seed, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_json, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err print(struct errctx *e, const struct stage *stage, const struct evaluate_result *r)
{
    if (opts.common.json) return evaluate_print_json(e, r, &opts.evaluate, &stage->run, stdout);
    evaluate_print_text(r, &opts.evaluate, stdout);
    return ERR_OK;
}

static enum err judge_all(struct errctx *e, struct stage *stage, struct evaluation *v)
{
    struct evaluate_result result;
    for (bool more = true; more;) {
        TRY(evaluation_read(e, v, stage->input));
        TRY(stage_next_input(e, stage, &more));
    }
    TRY(evaluation_finish(e, v, &result));
    if (opts.per_document) TRY(evaluate_documents_write(e, v, &result, opts.per_document));
    TRY(print(e, stage, &result));
    return requirements_check(e, &opts.require, &result);
}

static enum err judge(struct errctx *e, void *ctx, struct stage *stage, struct model *model)
{
    struct evaluation *v = NULL;
    enum err r = evaluation_new(e, model, &opts.objective, &opts.evaluate, &v);
    (void)ctx;
    if (r == ERR_OK) r = judge_all(e, stage, v);
    evaluation_free(v);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const struct model_stage stage = {.common = &opts.common,
                                      .compute = &opts.compute,
                                      .model = opts.model,
                                      .adapters = &opts.adapters,
                                      .reads_tokens = true,
                                      .fit = evaluate_fit,
                                      .fit_ctx = &opts.evaluate,
                                      .work = judge};
    objective_note_given(&opts.objective, sets);
    opts.evaluate.seed = opts.common.seed;
    TRY(requirements_parse(e, &opts.require));
    if (opts.evaluate.bootstrap == 0 && opts_given(sets, "confidence"))
        return err_set(e, ERR_USAGE, "--confidence has no use: --bootstrap 0 makes no intervals");
    TRY(common_check_overwrite(e, "--per-document", opts.per_document, &opts.model, 1, operands));
    TRY(adapters_check(e, &opts.adapters));
    return model_stage_run(e, p, operands, &stage);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "eval",
        .summary = "judge a model on a stream of tokens",
        .synopsis = "-m MODEL [OPTION ...] [FILE ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
