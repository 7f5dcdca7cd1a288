/* SPDX-License-Identifier: Apache-2.0 */
/* init.c: a model with random weights, to be trained by graft-pretrain.
 *
 *     graft init -t bpe.tok --arch llama --layers 6 --width 384 --heads 6 -o init.model
 *
 * The configuration is made by common/model/config_opts.c, the weights are drawn in
 * common/model/model.c. */
#include <inttypes.h>

#include "common/flow/stage.h"
#include "common/model/compute.h"
#include "common/model/config_opts.h"
#include "common/model/model.h"

struct opts {
    struct common common;
    struct config_opts config;
    const char *tokenizer;
};
static struct opts opts = {.common = COMMON, .config = CONFIG_OPTS};

static const struct opt table[] = {
    {"tokenizer", 't', OPT_STRING, offsetof(struct opts, tokenizer), "FILE",
     "tokenizer to put into the model, or a model that has one", OPT_PATH},
    OPT_END};

static struct opt_set sets[] = {{"Model", table, &opts},
                                {"Model", config_opts_table, &opts.config},
                                {"Common", common_output, &opts.common},
                                {"Common", common_seed, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err plan(struct errctx *e, const struct model_config *c)
{
    const struct model_use use = {.dtype = DTYPE_F32};
    struct plan p;
    TRY(model_plan(e, c, &use, common_thread_count(&opts.common), &p));
    printf("%" PRId64 " parameters\n", model_config_parameters(c));
    plan_print(&p, stdout);
    plan_fini(&p);
    return ERR_OK;
}

static enum err make(struct errctx *e, struct stage *stage, const struct model_config *c,
                     const struct tokenizer_spec *spec)
{
    /* Weights are drawn, not computed: no kernel but those for memory is used. */
    const struct compute_cfg cfg = {.device = "ref"};
    const struct model_use use = {.dtype = DTYPE_F32};
    struct compute compute;
    struct model *m = NULL;
    enum err r = stage_output_check(e, stage);
    if (r != ERR_OK) return r;
    r = compute_open(e, &cfg, common_thread_count(&opts.common), &stage->run, &compute);
    if (r == ERR_OK)
        r = model_create(e, &compute.kernels, c, spec, (uint64_t)opts.common.seed, &use, &m);
    if (r == ERR_OK)
        r = model_save(e, m, &stage->run, opts.common.output, stage_writer_cfg(&opts.common).level,
                       common_thread_count(&opts.common), &stage->bytes_written);
    if (r == ERR_OK) prog_note("%" PRId64 " parameters", model_config_parameters(c));
    model_free(m);
    compute_close(&compute);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct tokenizer_spec spec;
    struct model_config c;
    struct stage stage;
    tokenizer_spec_init(&spec);
    enum err r = stage_open_run(e, &stage, p, &opts.common);
    if (r == ERR_OK && operands->count)
        r = err_set(e, ERR_USAGE, "'%s': there are no operands", operands->items[0]);
    if (r == ERR_OK) r = config_opts_start(e, &stage.run, &opts.config, &c);
    if (r == ERR_OK && opts.tokenizer)
        r = tokenizer_spec_load(e, &stage.run, opts.tokenizer, &spec);
    if (r == ERR_OK) r = config_opts_change(e, &opts.config, opts.tokenizer ? &spec : NULL, &c);
    if (r == ERR_OK)
        r = opts.common.plan ? plan(e, &c) : make(e, &stage, &c, opts.tokenizer ? &spec : NULL);
    tokenizer_spec_fini(&spec);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    const struct prog p = {
        .name = "init",
        .summary = "make a model with random weights",
        .synopsis =
            "--arch ARCH --layers N --width N --heads N [OPTION ...]\n--config FILE [OPTION ...]",
        .sets = sets,
        .run = run,
    };
    return prog_main(&p, argc, argv);
}
