/* SPDX-License-Identifier: Apache-2.0 */
/* eval.c: judges a model on token streams: loss, perplexity, bits per byte and character, accuracy,
 * with intervals.
 *
 *     graft eval -m base.model data/val.tokens
 *
 * The arithmetic is common/judge/evaluate.c. */
#include "common/flow/stage.h"
#include "common/judge/evaluate.h"
#include "common/judge/evaluate_print.h"
#include "common/judge/require.h"
#include "common/model/compute.h"

struct opts {
    struct common common;
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

static enum err judge(struct errctx *e, struct stage *stage, struct evaluation *v)
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

static struct model_use use_of(void)
{
    return (struct model_use){
        .dtype = compute_dtype(&opts.compute), .fit = evaluate_fit, .fit_ctx = &opts.evaluate};
}

static enum err load_and_judge(struct errctx *e, struct stage *stage, struct kernels *k)
{
    const struct model_use use = use_of();
    struct model *model;
    struct evaluation *v = NULL;
    TRY(model_load(e, k, &stage->run, opts.model, &use, &model));
    enum err r = evaluation_new(e, model, &opts.objective, &opts.evaluate, &v);
    if (r == ERR_OK) r = judge(e, stage, v);
    evaluation_free(v);
    model_free(model);
    return r;
}

static enum err print_plan(struct errctx *e, struct kernels *k)
{
    const struct model_use use = use_of();
    struct plan plan;
    TRY(model_plan_file(e, k, opts.model, &use, common_thread_count(&opts.common), &plan));
    plan_print(&plan, stdout);
    plan_fini(&plan);
    return ERR_OK;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct compute compute;
    struct stage stage;
    objective_note_given(&opts.objective, sets);
    opts.evaluate.seed = opts.common.seed;
    TRY(requirements_parse(e, &opts.require));
    if (opts.evaluate.bootstrap == 0 && opts_given(sets, "confidence"))
        return err_set(e, ERR_USAGE, "--confidence has no use: --bootstrap 0 makes no intervals");
    TRY(common_check_overwrite(e, "--per-document", opts.per_document, &opts.model, 1, operands));
    enum err r = opts.common.plan ? stage_open_run(e, &stage, p, &opts.common)
                                  : stage_open(e, &stage, p, operands, &opts.common, STREAM_TOKENS);
    if (r == ERR_OK) {
        r = compute_open(e, &opts.compute, common_thread_count(&opts.common), &stage.run, &compute);
        if (r == ERR_OK)
            r = opts.common.plan ? print_plan(e, &compute.kernels)
                                 : load_and_judge(e, &stage, &compute.kernels);
        compute_close(&compute);
    }
    return stage_close(e, &stage, r);
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
