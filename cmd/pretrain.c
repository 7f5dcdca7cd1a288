/* SPDX-License-Identifier: Apache-2.0 */
/* pretrain.c: trains all weights of a model on a stream of tokens.
 *
 *     tokens (stdin or files), -m model  ->  model
 *
 * The rows are read once and in order: epochs, shuffling and mixtures are made upstream. See
 * common/train/trainer.h for the loop. */
#include "common/train/training.h"

static struct training opts = TRAINING;

static const struct opt model_table[] = {
    {"model", 'm', OPT_STRING, offsetof(struct training, model), "FILE",
     "the model to start from: of graft-init, or any", OPT_REQUIRED | OPT_PATH},
    OPT_END};

static struct opt_set sets[] = {{"Model", model_table, &opts}, TRAINING_SETS(&opts), OPT_SET_END};

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const struct training_kind kind = {.extension = "model", .save = model_save};
    return training_run(e, p, operands, sets, &opts, &kind);
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
