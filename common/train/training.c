/* SPDX-License-Identifier: Apache-2.0 */
/* training.c: see training.h. */
#include "common/train/training.h"

#include "common/base/io.h"

struct training_run {
    struct training *t;
    const struct training_kind *kind;
    struct task_heads heads; /* with --task */
};

/* What is written as the run goes on must be no file that something else is kept in. */
static enum err check_files(struct errctx *e, const struct training *t,
                            const struct opt_list *operands)
{
    const char *used[] = {t->common.output, t->model, t->trainer.val, t->trainer.checkpoint};
    const size_t count = ARRAY_LEN(used);
    TRY(common_check_overwrite(e, "--checkpoint", used[count - 1], used, count - 1, operands));
    return common_check_overwrite(e, "--log", t->trainer.log, used, count, operands);
}

static enum err prepare(struct errctx *e, void *ctx, struct stage *stage)
{
    struct training_run *r = ctx;
    struct training *t = r->t;
    TRY(stage_output_check(e, stage));
    if (t->task.names)
        TRY(task_heads_find(e, &t->task, stage_rows(stage).name, &stage->begin, &r->heads));
    TRY(feed_expect(e, stage->operands, common_thread_count(&t->common),
                    trainer_needs_length(&t->trainer, &t->adamw), &stage->begin));
    return trainer_settle(e, &t->trainer, &t->adamw, &stage->begin, &stage->run);
}

static enum err train(struct errctx *e, void *ctx, struct stage *stage, struct model *m)
{
    const struct training_run *r = ctx;
    const struct training *t = r->t;
    const struct row_source source = stage_rows(stage);
    struct language_goal language = {.cfg = t->objective};
    struct task_goal task = {.heads = model_heads(m)};
    const bool labels = r->heads.count > 0 || (r->kind->goes_on && model_heads(m));
    const struct goal goal = labels ? goal_task(&task) : goal_language(&language);
    const struct trainer_job job = {.run = &stage->run,
                                    .model = m,
                                    .model_name = t->model,
                                    .input = &source,
                                    .goal = &goal,
                                    .adamw = &t->adamw,
                                    .cfg = &t->trainer,
                                    .extension = r->kind->extension,
                                    .save = r->kind->save};
    struct trainer_result result;
    if (r->kind->added) model_init_added(m, (uint64_t)t->trainer.seed);
    TRY(trainer_run(e, &job, &result));
    trainer_note(&result);
    return r->kind->save(e, m, &stage->run, t->common.output, stage_writer_cfg(&t->common).level,
                         common_thread_count(&t->common), &stage->bytes_written);
}

static enum err adapt(struct errctx *e, void *ctx, const struct model_config *c,
                      struct model_use *use)
{
    struct training_run *r = ctx;
    if (r->kind->adapt) TRY(r->kind->adapt(e, r->kind->ctx, c, use));
    TRY(task_heads_settle(e, &r->heads, &r->t->task, c));
    if (r->heads.count > 0) use->heads = &r->heads;
    return ERR_OK;
}

static enum err plan(struct errctx *e, void *ctx, const struct model_config *c,
                     const struct model_use *use, struct plan *plan)
{
    return trainer_plan(e, &((struct training_run *)ctx)->t->trainer, c, use, plan);
}

/* ERR_USAGE for an option that would do nothing: of heads without any, of the text beside them. */
static enum err check_task(struct errctx *e, const struct opt_set *sets, const struct training *t)
{
    for (const struct opt *o = task_table; o->name && !t->task.names; o++)
        if (opts_given(sets, o->name))
            return err_set(e, ERR_USAGE, "--%s has no use without --task", o->name);
    for (const struct opt *o = objective_table; o->name && t->task.names; o++)
        if (opts_given(sets, o->name))
            return err_set(e, ERR_USAGE, "--%s has no use beside --task", o->name);
    return ERR_OK;
}

enum err training_run(struct errctx *e, const struct prog *p, const struct opt_list *operands,
                      struct opt_set *sets, struct training *t, const struct training_kind *kind)
{
    struct training_run r = {.t = t, .kind = kind};
    const struct model_stage stage = {.common = &t->common,
                                      .compute = &t->compute,
                                      .model = t->model,
                                      .reads_tokens = true,
                                      .fit = trainer_fit,
                                      .fit_ctx = &t->trainer,
                                      .trains = kind->trains,
                                      .adapters = kind->adapters,
                                      .adapt = adapt,
                                      .adapt_ctx = &r,
                                      .ctx = &r,
                                      .prepare = prepare,
                                      .work = train,
                                      .plan = plan};
    objective_note_given(&t->objective, sets);
    t->trainer.seed = t->common.seed;
    t->trainer.log = t->common.log;
    TRY(check_task(e, sets, t));
    TRY(trainer_check_options(e, sets, &t->trainer, &t->adamw));
    TRY(check_files(e, t, operands));
    if (t->trainer.checkpoint) TRY(io_defer_signals(e)); /* before anything waits for input */
    (void)!model_stage_run(e, p, operands, &stage);
    task_heads_fini(&r.heads);
    return e->code;
}
