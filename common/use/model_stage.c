/* SPDX-License-Identifier: Apache-2.0 */
/* model_stage.c: see model_stage.h. */
#include "common/use/model_stage.h"

/* Opens the adapters, for the run or for a plan alone (NULL). */
static enum err open_adapters(struct errctx *e, struct run *run, const struct model_stage *s,
                              struct adapters *a)
{
    *a = (struct adapters){0};
    return s->adapters ? adapters_open(e, run, s->adapters, a) : ERR_OK;
}

static struct model_use use_of(const struct model_stage *s, struct adapters *a)
{
    struct model_use use = {.dtype = compute_dtype(s->compute),
                            .fit = s->fit,
                            .fit_ctx = s->fit_ctx,
                            .trains = s->trains,
                            .adapt = s->adapt,
                            .adapt_ctx = s->adapt_ctx};
    if (a->count > 0) {
        use.adapt = adapters_bind;
        use.adapt_ctx = a;
    }
    return use;
}

static enum err with_model(struct errctx *e, struct stage *stage, struct kernels *k,
                           const struct model_stage *s, struct adapters *a)
{
    const struct model_use use = use_of(s, a);
    struct model *m;
    if (s->prepare) TRY(s->prepare(e, s->ctx, stage));
    TRY(model_load(e, k, &stage->run, s->model, &use, &m));
    enum err r = a->count > 0 ? adapters_load(e, a, m) : ERR_OK;
    if (r == ERR_OK) r = s->work(e, s->ctx, stage, m);
    model_free(m);
    return r;
}

static enum err load_and_work(struct errctx *e, struct stage *stage, struct kernels *k,
                              const struct model_stage *s)
{
    struct adapters a;
    enum err r = open_adapters(e, &stage->run, s, &a);
    if (r == ERR_OK) r = with_model(e, stage, k, s, &a);
    adapters_fini(&a);
    return r;
}

static enum err plan_with(struct errctx *e, const struct model_stage *s, struct adapters *a)
{
    struct model_use use = use_of(s, a);
    struct model_config c;
    struct plan plan;
    TRY(model_plan_file(e, s->model, &use, common_thread_count(s->common), &c, &plan));
    const enum err r = s->plan ? s->plan(e, s->ctx, &c, &use, &plan) : ERR_OK;
    if (r == ERR_OK) plan_print(&plan, stdout);
    plan_fini(&plan);
    return r;
}

static enum err print_plan(struct errctx *e, const struct model_stage *s)
{
    struct adapters a;
    enum err r = open_adapters(e, NULL, s, &a);
    if (r == ERR_OK) r = plan_with(e, s, &a);
    adapters_fini(&a);
    return r;
}

enum err model_stage_run(struct errctx *e, const struct prog *p, const struct opt_list *operands,
                         const struct model_stage *s)
{
    struct compute compute;
    struct stage stage;
    enum err r = s->reads_tokens && !s->common->plan
                     ? stage_open(e, &stage, p, operands, s->common, STREAM_TOKENS)
                     : stage_open_run(e, &stage, p, s->common);
    stage.operands = operands;
    if (r == ERR_OK) {
        r = compute_open(e, s->compute, common_thread_count(s->common), &stage.run, &compute);
        if (r == ERR_OK)
            r = s->common->plan ? print_plan(e, s) : load_and_work(e, &stage, &compute.kernels, s);
        compute_close(&compute);
    }
    return stage_close(e, &stage, r);
}
