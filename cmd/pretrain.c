/* SPDX-License-Identifier: Apache-2.0 */
/* pretrain.c: trains all weights of a model on a stream of tokens.
 *
 *     tokens (stdin or files), -m model  ->  model
 *
 * The rows are read once and in order: epochs, shuffling and mixtures are made upstream. See
 * common/train/trainer.h for the loop. */
#include "common/base/io.h"
#include "common/flow/stage.h"
#include "common/model/compute.h"
#include "common/train/trainer.h"

struct opts {
    struct common common;
    const char *model;
    struct compute_cfg compute;
    struct objective_cfg objective;
    struct adamw_cfg adamw;
    struct trainer_cfg trainer;
};

static struct opts opts = {.common = COMMON,
                           .compute = COMPUTE_CFG,
                           .objective = OBJECTIVE_CFG,
                           .adamw = ADAMW_CFG,
                           .trainer = TRAINER_CFG};

static const struct opt model_table[] = {{"model", 'm', OPT_STRING, offsetof(struct opts, model),
                                          "FILE", "the model to start from: of graft-init, or any",
                                          OPT_REQUIRED | OPT_PATH},
                                         OPT_END};

static struct opt_set sets[] = {{"Model", model_table, &opts},
                                {"Objective", objective_table, &opts.objective},
                                {"Optimiser", adamw_table, &opts.adamw},
                                {"Training", trainer_table, &opts.trainer},
                                {"Arithmetic", compute_table, &opts.compute},
                                {"Common", common_output, &opts.common},
                                {"Common", common_seed, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_log, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* What is written as the run goes on must be no file that something else is kept in. */
static enum err check_files(struct errctx *e, const struct opt_list *operands)
{
    const char *used[] = {opts.common.output, opts.model, opts.trainer.val,
                          opts.trainer.checkpoint};
    const size_t count = ARRAY_LEN(used);
    TRY(common_check_overwrite(e, "--checkpoint", used[count - 1], used, count - 1, operands));
    return common_check_overwrite(e, "--log", opts.trainer.log, used, count, operands);
}

/* ---- the model ---- */

/* The model's memory depends on its configuration and on the longest row. */
static void fit_model(struct model_use *use, const struct model_config *c)
{
    const int64_t *length = use->fit_ctx;
    trainer_use(&opts.trainer, c->context, *length, compute_dtype(&opts.compute), use);
}

static enum err print_plan(struct errctx *e, struct kernels *k)
{
    struct model_config c;
    struct plan plan;
    TRY(model_load_config(e, k, opts.model, &c));
    TRY(trainer_plan(e, &opts.trainer, &c, compute_dtype(&opts.compute),
                     common_thread_count(&opts.common), &plan));
    plan_print(&plan, stdout);
    plan_fini(&plan);
    return ERR_OK;
}

/* ---- the run ---- */

static enum err train(struct errctx *e, struct stage *stage, struct model *m)
{
    const struct row_source source = stage_rows(stage);
    const struct trainer_job job = {.run = &stage->run,
                                    .model = m,
                                    .model_name = opts.model,
                                    .input = &source,
                                    .objective = &opts.objective,
                                    .adamw = &opts.adamw,
                                    .cfg = &opts.trainer};
    struct trainer_result r;
    TRY(trainer_run(e, &job, &r));
    trainer_note(&r);
    return model_save(e, m, &stage->run, opts.common.output, stage_writer_cfg(&opts.common).level,
                      common_thread_count(&opts.common), &stage->bytes_written);
}

static enum err load_and_train(struct errctx *e, struct stage *stage, struct kernels *k)
{
    const int64_t length = trainer_input_length(&stage->begin);
    const struct model_use use = {.fit = fit_model, .fit_ctx = &length};
    struct model *m;
    TRY(stage_output_check(e, stage));
    TRY(feed_expect(e, stage->operands, common_thread_count(&opts.common),
                    trainer_needs_length(&opts.trainer, &opts.adamw), &stage->begin));
    TRY(trainer_settle(e, &opts.trainer, &opts.adamw, &stage->begin, &stage->run));
    TRY(model_load(e, k, &stage->run, opts.model, &use, &m));
    enum err r = train(e, stage, m);
    model_free(m);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct compute compute;
    struct stage stage;
    objective_note_given(&opts.objective, sets);
    opts.trainer.seed = opts.common.seed;
    opts.trainer.log = opts.common.log;
    TRY(trainer_check_options(e, sets, &opts.trainer, &opts.adamw));
    TRY(check_files(e, operands));
    if (opts.trainer.checkpoint) TRY(io_defer_signals(e)); /* before anything waits for input */
    enum err r = opts.common.plan ? stage_open_run(e, &stage, p, &opts.common)
                                  : stage_open(e, &stage, p, operands, &opts.common, STREAM_TOKENS);
    if (r == ERR_OK) {
        r = compute_open(e, &opts.compute, common_thread_count(&opts.common), &stage.run, &compute);
        if (r == ERR_OK)
            r = opts.common.plan ? print_plan(e, &compute.kernels)
                                 : load_and_train(e, &stage, &compute.kernels);
        compute_close(&compute);
    }
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog prog = {
        .name = "pretrain",
        .summary = "train a model on a stream of tokens",
        .synopsis = "-m MODEL [-o FILE] [--val FILE] [--checkpoint FILE] [OPTION ...] [TOKENS ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&prog, argc, argv);
}
