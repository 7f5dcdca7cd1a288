/* SPDX-License-Identifier: Apache-2.0 */
/* lora-train.c: trains a low-rank adapter beside a frozen model.
 *
 *     tokens (stdin or files), -m model  ->  adapter
 *
 * What an adapter is says common/model/adapter.h; the loop is that of pretrain. */
#include "common/train/lora_cfg.h"
#include "common/train/training.h"

static struct opts {
    struct training training;
    struct lora_cfg lora;
    struct adapters_cfg start;
    const char *from;
    struct adapter adapter;
} opts = {.training = TRAINING, .lora = LORA_CFG};

static const struct opt model_table[] = {
    {"model", 'm', OPT_STRING, offsetof(struct training, model), "FILE",
     "the model, which stays as it is", OPT_REQUIRED | OPT_PATH},
    OPT_END};

static const struct opt start_table[] = {{"start", 0, OPT_STRING, offsetof(struct opts, from),
                                          "FILE", "go on from this adapter: its parts are trained",
                                          OPT_PATH},
                                         OPT_END};

static struct opt_set sets[] = {
    {"Model", model_table, &opts.training}, {"Adapter", lora_table, &opts.lora},
    {"Adapter", start_table, &opts},        {"Labels", task_table, &opts.training.task},
    TRAINING_SETS(&opts.training),          OPT_SET_END};

static enum err adapt(struct errctx *e, void *ctx, const struct model_config *c,
                      struct model_use *use)
{
    (void)ctx;
    TRY(lora_parts(e, &opts.lora, c, &opts.adapter));
    use->adapter = &opts.adapter;
    return ERR_OK;
}

/* An adapter that goes on has its parts already. */
static enum err check_start(struct errctx *e)
{
    const struct opt *const tables[] = {lora_table, task_table};
    for (size_t i = 0; opts.from && i < ARRAY_LEN(tables); i++)
        for (const struct opt *o = tables[i]; o->name; o++)
            if (opts_given(sets, o->name))
                return err_set(e, ERR_USAGE,
                               "--%s has no use beside --start, whose adapter has its own",
                               o->name);
    return ERR_OK;
}

/* What people train adapters with: small steps, nothing decays. */
static void set_defaults(void)
{
    opts.training.adamw.lr = 2e-4;
    opts.training.adamw.weight_decay = 0;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    opts.start.paths = (struct opt_list){.items = &opts.from, .count = opts.from ? 1 : 0};
    const struct training_kind kind = {.trains = adapter_trains,
                                       .adapters = &opts.start,
                                       .adapt = adapt,
                                       .added = opts.from == NULL,
                                       .goes_on = opts.from != NULL,
                                       .extension = "adapter",
                                       .save = adapter_save};
    TRY(check_start(e));
    enum err r = training_run(e, p, operands, sets, &opts.training, &kind);
    adapter_fini(&opts.adapter);
    return r;
}

int main(int argc, char **argv)
{
    static const struct prog prog = {
        .name = "lora-train",
        .summary = "train a low-rank adapter beside a model",
        .synopsis = "-m MODEL [-r RANK] [--targets NAME,...] [-o FILE] [OPTION ...] [TOKENS ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    set_defaults();
    return prog_main(&prog, argc, argv);
}
