/* SPDX-License-Identifier: Apache-2.0 */
/* logits.c: what a causal model expects behind each token, as log-probabilities.
 *
 *     graft logits -m base.model --top 16 data/train.tokens -o train.logits
 *
 * The numbers are common/use/logprobs.c, the way of rows common/use/row_pass.c. */
#include "common/use/logprobs.h"
#include "common/use/model_stage.h"

struct opts {
    struct common common;
    struct compute_cfg compute;
    struct logprobs_cfg logits;
    struct row_pass_cfg pass;
    const char *model;
};
static struct opts opts = {
    .common = COMMON_READING, .compute = COMPUTE_CFG, .logits = LOGPROBS_CFG, .pass = ROW_PASS_CFG};

static const struct opt table[] = {{"model", 'm', OPT_STRING, offsetof(struct opts, model), "FILE",
                                    "the model", OPT_REQUIRED | OPT_PATH},
                                   OPT_END};

static struct opt_set sets[] = {{"Log-probabilities", table, &opts},
                                {"Log-probabilities", logprobs_table, &opts.logits},
                                {"Computing", compute_table, &opts.compute},
                                {"Computing", row_pass_table, &opts.pass},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err compute_all(struct errctx *e, void *ctx, struct stage *stage, struct model *model)
{
    const struct row_source source = stage_rows(stage);
    struct stream_begin begin;
    struct logprobs *logits;
    (void)ctx;
    stream_begin_init(&begin, STREAM_LOGITS);
    enum err r = logprobs_new(e, model, &opts.logits, &stage->begin, &begin, &logits);
    if (r == ERR_OK) r = stage_output(e, stage, &begin);
    if (r == ERR_OK) {
        logprobs_set_output(logits, stage->output);
        r = row_pass_run(e, model, &opts.pass, &source, &stage->run, logprobs_batch, logits);
    }
    logprobs_free(logits);
    stream_begin_fini(&begin);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    static const struct opt_list none = {0}; /* the input may be replaced, the model not */
    const struct model_stage stage = {.common = &opts.common,
                                      .compute = &opts.compute,
                                      .model = opts.model,
                                      .reads_tokens = true,
                                      .fit = row_pass_fit,
                                      .fit_ctx = &opts.pass,
                                      .work = compute_all};
    TRY(common_check_overwrite(e, "-o", opts.common.output, &opts.model, 1, &none));
    return model_stage_run(e, p, operands, &stage);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "logits",
        .summary = "say what a model expects behind each token",
        .synopsis = "-m MODEL [OPTION ...] [FILE ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
