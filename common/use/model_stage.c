/* SPDX-License-Identifier: Apache-2.0 */
/* model_stage.c: see model_stage.h. */
#include "common/use/model_stage.h"

static struct model_use use_of(const struct model_stage *s)
{
    return (struct model_use){
        .dtype = compute_dtype(s->compute), .fit = s->fit, .fit_ctx = s->fit_ctx};
}

static enum err load_and_work(struct errctx *e, struct stage *stage, struct kernels *k,
                              const struct model_stage *s)
{
    const struct model_use use = use_of(s);
    struct model *m;
    if (s->prepare) TRY(s->prepare(e, stage));
    TRY(model_load(e, k, &stage->run, s->model, &use, &m));
    const enum err r = s->work(e, stage, m);
    model_free(m);
    return r;
}

static enum err print_plan(struct errctx *e, const struct model_stage *s)
{
    struct model_use use = use_of(s);
    struct model_config c;
    struct plan plan;
    TRY(model_plan_file(e, s->model, &use, common_thread_count(s->common), &c, &plan));
    const enum err r = s->plan ? s->plan(e, &c, &use, &plan) : ERR_OK;
    if (r == ERR_OK) plan_print(&plan, stdout);
    plan_fini(&plan);
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
