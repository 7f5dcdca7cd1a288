/* SPDX-License-Identifier: Apache-2.0 */
/* finetune.c: adapts all weights of a model, or those that are named, to labels or to more text.
 *
 *     tokens (stdin or files), -m model  ->  model
 *
 * With --task the rows' labels are learned, by heads that become part of the model. */
#include <fnmatch.h>
#include <string.h>

#include "common/train/training.h"

static struct opts {
    struct training training;
    const char *only;
} opts = {.training = TRAINING};

static const struct opt model_table[] = {{"model", 'm', OPT_STRING,
                                          offsetof(struct training, model), "FILE",
                                          "the model to start from", OPT_REQUIRED | OPT_PATH},
                                         OPT_END};

static const struct opt only_table[] = {
    {"train", 0, OPT_STRING, offsetof(struct opts, only), "PATTERN,...",
     "train these parameters alone, by patterns of the shell, and the heads: 'layers.5.*,norm.*'; "
     "the others are frozen"},
    OPT_END};

static struct opt_set sets[] = {{"Model", model_table, &opts.training},
                                {"Model", only_table, &opts},
                                {"Labels", task_table, &opts.training.task},
                                TRAINING_SETS(&opts.training),
                                OPT_SET_END};

static bool trains(const void *ctx, const struct param *p)
{
    (void)ctx;
    if (strncmp(p->name, TASK_PREFIX, sizeof TASK_PREFIX - 1) == 0) return true;
    for (const char *at = opts.only; *at;) {
        const size_t n = strcspn(at, ",");
        char pattern[128];
        if (n < sizeof pattern) {
            memcpy(pattern, at, n);
            pattern[n] = '\0';
            if (fnmatch(pattern, p->name, 0) == 0) return true;
        }
        at += n + (at[n] == ',');
    }
    return false;
}

/* What is trained must be there. */
static enum err check_trained(struct errctx *e, void *ctx, const struct model_config *c,
                              struct model_use *use)
{
    struct param_table t;
    int64_t count = 0;
    (void)ctx;
    (void)use;
    if (!opts.only) return ERR_OK;
    TRY(param_table_build(e, c, &t));
    for (int64_t i = 0; i < t.count; i++) count += trains(NULL, &t.items[i]);
    param_table_fini(&t);
    if (count > 0) return ERR_OK;
    return err_set(e, ERR_USAGE,
                   "--train '%s' matches no parameter: 'graft inspect' of the model names them",
                   opts.only);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const struct training_kind kind = {.trains = opts.only ? trains : NULL,
                                       .adapt = check_trained,
                                       .added = opts.training.task.names != NULL,
                                       .goes_on = true,
                                       .extension = "model",
                                       .save = model_save};
    return training_run(e, p, operands, sets, &opts.training, &kind);
}

/* What people adapt models with: small steps. */
static void set_defaults(void)
{
    opts.training.adamw.lr = 2e-5;
    opts.training.adamw.beta2 = 0.999;
    opts.training.adamw.weight_decay = 0.01;
    opts.training.adamw.schedule = SCHEDULE_LINEAR;
    opts.training.adamw.lr_min = 0;
}

int main(int argc, char **argv)
{
    static const struct prog prog = {
        .name = "finetune",
        .summary = "adapt a model's weights to labels or to more text",
        .synopsis = "-m MODEL [--task LABEL,...] [-o FILE] [OPTION ...] [TOKENS ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    set_defaults();
    return prog_main(&prog, argc, argv);
}
