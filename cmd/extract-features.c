/* SPDX-License-Identifier: Apache-2.0 */
/* extract-features.c: a vector for each text: hidden states of a model, pooled.
 *
 *     graft extract-features -m base.model data/train.tokens -o train.features
 *
 * The pooling is common/use/features.c, the way of rows through the model common/use/row_pass.c. */
#include "common/use/features.h"
#include "common/use/model_stage.h"

struct opts {
    struct common common;
    struct compute_cfg compute;
    struct features_cfg features;
    struct row_pass_cfg pass;
    const char *model;
};
static struct opts opts = {.common = COMMON_READING,
                           .compute = COMPUTE_CFG,
                           .features = FEATURES_CFG,
                           .pass = ROW_PASS_CFG};

static const struct opt table[] = {{"model", 'm', OPT_STRING, offsetof(struct opts, model), "FILE",
                                    "the model", OPT_REQUIRED | OPT_PATH},
                                   OPT_END};

static struct opt_set sets[] = {{"Features", table, &opts},
                                {"Features", features_table, &opts.features},
                                {"Features", row_pass_cuts_table, &opts.pass},
                                {"Computing", compute_table, &opts.compute},
                                {"Computing", row_pass_table, &opts.pass},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err extract(struct errctx *e, void *ctx, struct stage *stage, struct model *model)
{
    const struct row_source source = stage_rows(stage);
    struct stream_begin begin;
    struct features *features;
    (void)ctx;
    stream_begin_init(&begin, STREAM_FEATURES);
    enum err r = features_new(e, model, &opts.features, &stage->begin, &begin, &features);
    if (r == ERR_OK) r = stage_output(e, stage, &begin);
    if (r == ERR_OK) {
        features_set_output(features, stage->output);
        r = row_pass_run(e, model, &opts.pass, &source, &stage->run, features_batch, features);
    }
    features_free(features);
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
                                      .work = extract};
    features_note_given(&opts.features, sets);
    TRY(common_check_overwrite(e, "-o", opts.common.output, &opts.model, 1, &none));
    return model_stage_run(e, p, operands, &stage);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "extract-features",
        .summary = "turn texts into vectors with a model",
        .synopsis = "-m MODEL [OPTION ...] [FILE ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
