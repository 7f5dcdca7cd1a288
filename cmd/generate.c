/* SPDX-License-Identifier: Apache-2.0 */
/* generate.c: continues prompts with a causal model.
 *
 *     graft generate -m base.model -p 'A lamp is' -n 60 --temperature 0.8 --seed 7
 *
 * The loop is common/use/generator.c, the choice of tokens common/use/sampler.c, input and output
 * common/use/prompts.c. */
#include <inttypes.h>

#include "common/model/decoder.h"
#include "common/text/chat_documents.h"
#include "common/use/generator.h"
#include "common/use/model_stage.h"
#include "common/use/prompts.h"

struct opts {
    struct common common;
    struct adapters_cfg adapters;
    struct compute_cfg compute;
    struct generator_cfg generate;
    struct sampler_cfg sampler;
    struct prompts_cfg prompts;
    struct documents_cfg documents;
    struct chat_cfg chat;
    const char *model;
};
static struct opts opts = {.common = COMMON,
                           .compute = COMPUTE_CFG,
                           .generate = GENERATOR_CFG,
                           .sampler = SAMPLER_CFG,
                           .prompts = PROMPTS_CFG,
                           .documents = DOCUMENTS_CFG};

static const struct opt table[] = {{"model", 'm', OPT_STRING, offsetof(struct opts, model), "FILE",
                                    "the model", OPT_REQUIRED | OPT_PATH},
                                   OPT_END};

static struct opt_set sets[] = {{"Generating", table, &opts},
                                {"Generating", prompts_table, &opts.prompts},
                                {"Generating", generator_table, &opts.generate},
                                {"Files of prompts", prompts_documents_table, &opts.documents},
                                {"Conversations", chat_answer_opts, &opts.chat},
                                {"Choosing tokens", sampler_table, &opts.sampler},
                                {"Adapters", adapters_table, &opts.adapters},
                                {"Computing", compute_table, &opts.compute},
                                {"Common", common_seed, &opts.common},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_json, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

/* How conversations become prompts: NULL without --chat. */
static enum err open_chat(struct errctx *e, struct stage *stage, const struct model *model)
{
    opts.documents.chat = NULL;
    if (!opts.chat.on) return ERR_OK;
    if (opts.prompts.prompt.count == 0) opts.documents.form = DOCUMENT_JSONL;
    opts.generate.chat = opts.chat.generation_prompt = true;
    if (!model_tokenizer(model)) return err_set(e, ERR_INPUT, "the model has no tokenizer");
    return chat_new(e, &stage->run, &opts.chat, model_tokenizer(model), opts.model,
                    &opts.documents.chat);
}

static enum err generate(struct errctx *e, void *ctx, struct stage *stage, struct model *model)
{
    struct generator_stats stats = {0};
    struct prompts *prompts;
    (void)ctx;
    TRY(open_chat(e, stage, model));
    enum err r = prompts_open(e, &stage->run, &opts.prompts, &opts.documents, stage->operands,
                              opts.common.output, &prompts);
    if (r == ERR_OK) {
        const struct generator_io io = prompts_io(prompts);
        r = generator_run(e, model, &opts.generate, &opts.sampler, &io, &stats);
        r = prompts_close(e, prompts, r);
    }
    chat_free(opts.documents.chat);
    TRY(r);
    prog_note("%" PRId64 " prompts of %" PRId64 " tokens, %" PRId64 " of them shared; %" PRId64
              " tokens drawn in %.2f s, %.1f tokens/s",
              stats.prompts, stats.prompt_tokens, stats.shared, stats.tokens, stats.seconds,
              (double)stats.tokens / (stats.seconds + 1e-9));
    return ERR_OK;
}

static enum err plan_decoder(struct errctx *e, void *ctx, const struct model_config *c,
                             const struct model_use *use, struct plan *plan)
{
    int64_t context;
    (void)ctx;
    TRY(generator_context(e, &opts.generate, c, &context));
    return decoder_plan(e, c, use, opts.generate.batch, context, plan);
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    const struct model_stage stage = {.common = &opts.common,
                                      .compute = &opts.compute,
                                      .model = opts.model,
                                      .adapters = &opts.adapters,
                                      .work = generate,
                                      .plan = plan_decoder};
    opts.generate.seed = opts.common.seed;
    opts.prompts.json = opts.common.json;
    TRY(common_check_overwrite(e, "-o", opts.common.output, &opts.model, 1, operands));
    TRY(adapters_check(e, &opts.adapters));
    TRY(chat_cfg_check(e, &opts.chat, &opts.documents));
    return model_stage_run(e, p, operands, &stage);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "generate",
        .summary = "continue prompts with a model",
        .synopsis = "-m MODEL -p TEXT [OPTION ...]\n-m MODEL [OPTION ...] [FILE ...]",
        .needs_input = true,
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
