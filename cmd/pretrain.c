/* SPDX-License-Identifier: Apache-2.0 */
/* pretrain.c: trains all weights of a model on a stream of tokens.
 *
 *     tokens (stdin or files), -m model  ->  model
 *
 * The rows are read once and in order: epochs, shuffling and mixtures are made upstream. See
 * common/train/trainer.h for the loop. */
#include "common/base/io.h"
#include "common/train/trainer.h"
#include "common/use/model_stage.h"

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

static enum err prepare(struct errctx *e, struct stage *stage)
{
    TRY(stage_output_check(e, stage));
    TRY(feed_expect(e, stage->operands, common_thread_count(&opts.common),
                    trainer_needs_length(&opts.trainer, &opts.adamw), &stage->begin));
    return trainer_settle(e, &opts.trainer, &opts.adamw, &stage->begin, &stage->run);
}

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

static enum err plan(struct errctx *e, const struct model_config *c, const struct model_use *use,
                     struct plan *plan)
{
    return trainer_plan(e, &opts.trainer, c, use, plan);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const struct model_stage stage = {.common = &opts.common,
                                      .compute = &opts.compute,
                                      .model = opts.model,
                                      .reads_tokens = true,
                                      .fit = trainer_fit,
                                      .fit_ctx = &opts.trainer,
                                      .prepare = prepare,
                                      .work = train,
                                      .plan = plan};
    objective_note_given(&opts.objective, sets);
    opts.trainer.seed = opts.common.seed;
    opts.trainer.log = opts.common.log;
    TRY(trainer_check_options(e, sets, &opts.trainer, &opts.adamw));
    TRY(check_files(e, operands));
    if (opts.trainer.checkpoint) TRY(io_defer_signals(e)); /* before anything waits for input */
    return model_stage_run(e, p, operands, &stage);
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
