/* SPDX-License-Identifier: Apache-2.0 */
/* init.c: a model with random weights, to be trained by graft-pretrain.
 *
 *     graft init -t bpe.tok --arch llama --layers 6 --width 384 --heads 6 -o init.model
 *
 * A configuration begins as an architecture's defaults or as a file; options change single fields
 * of it. The fields are those of common/model/config.h. */
#include <inttypes.h>
#include <math.h>

#include "cmd/cmd.h"
#include "common/model/compute.h"
#include "common/model/model.h"

static const char *const arch_names[] = {"gpt2", "llama", "bert"};

struct opts {
    struct common common;
    const char *tokenizer, *config;
    int arch;
    int64_t vocab, layers, width, heads, kv_heads, head_size, mlp, context, window;
    double rope_theta;
    bool tied, untied;
};

static struct opts opts = {
    .common = COMMON,
    .arch = -1,
    .vocab = OPT_UNSET,
    .layers = OPT_UNSET,
    .width = OPT_UNSET,
    .heads = OPT_UNSET,
    .kv_heads = OPT_UNSET,
    .head_size = OPT_UNSET,
    .mlp = OPT_UNSET,
    .context = OPT_UNSET,
    .window = OPT_UNSET,
    .rope_theta = NAN,
};

#define AT(member) offsetof(struct opts, member)
static const struct opt table[] = {
    {"tokenizer", 't', OPT_STRING, AT(tokenizer), "FILE",
     "tokenizer to put into the model, or a model that has one", OPT_PATH},
    {"arch", 0, OPT_CHOICE, AT(arch), "gpt2|llama|bert", "architecture: defaults of all fields"},
    {"config", 0, OPT_STRING, AT(config), "FILE", "JSON file with the fields, instead of --arch",
     OPT_PATH},
    {"layers", 0, OPT_INT, AT(layers), "N", "blocks", 0, 1, 4096},
    {"width", 0, OPT_INT, AT(width), "N", "channels of the residual stream", 0, 1, 1 << 20},
    {"heads", 0, OPT_INT, AT(heads), "N", "attention heads", 0, 1, 1 << 16},
    {"kv-heads", 0, OPT_INT, AT(kv_heads), "N",
     "heads of keys and values, each shared by heads / N; as many as heads when not given", 0, 1,
     1 << 16},
    {"head-size", 0, OPT_INT, AT(head_size), "N",
     "channels of a head; width / heads when not given", 0, 1, 1 << 12},
    {"mlp", 0, OPT_INT, AT(mlp), "N",
     "channels inside the MLP; 4 times the width when not given, in llama 8/3 of it, up to a "
     "multiple of 64",
     0, 1, 1 << 22},
    {"context", 0, OPT_INT, AT(context), "N",
     "longest row; 1024 in gpt2, 2048 in llama, 512 in bert when not given", 0, 1, 1 << 24},
    {"vocab", 0, OPT_INT, AT(vocab), "N",
     "rows of the token embedding; the tokenizer's when not given", 0, 1, INT32_MAX},
    {"window", 0, OPT_INT, AT(window), "N", "let a token see only the last N, itself included", 0,
     1, 1 << 24},
    {"rope-theta", 0, OPT_REAL, AT(rope_theta), "X",
     "base of the rotary positions; 10000 in llama when not given", 0, 1, 1e12},
    {"tied", 0, OPT_FLAG, AT(tied), NULL, "let the head be the token embedding (gpt2 and bert do)"},
    {"untied", 0, OPT_FLAG, AT(untied), NULL, "give the head a matrix of its own (llama does)"},
    OPT_END};
#undef AT

static struct opt_set sets[] = {{"Model", table, &opts},
                                {"Common", common_output, &opts.common},
                                {"Common", common_seed, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_level, &opts.common},
                                {"Common", common_plan, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err start(struct errctx *e, struct run *run, struct model_config *c)
{
    if (opts.config && opts.arch >= 0)
        return err_set(e, ERR_USAGE,
                       "--arch and --config exclude each other: the file names its own");
    if (opts.config) return model_config_from_json(e, run, opts.config, c);
    if (opts.arch < 0)
        return err_set(e, ERR_USAGE, "--arch gpt2|llama|bert or --config FILE is needed");
    return model_config_preset(e, arch_names[opts.arch], c);
}

static enum err change(struct errctx *e, struct model_config *c, const struct tokenizer_spec *spec)
{
    const struct {
        int64_t value, *field;
        const char *name;
    } sizes[] = {
        {opts.layers, &c->layers, "layers"}, {opts.width, &c->width, "width"},
        {opts.heads, &c->heads, "heads"},    {opts.vocab, &c->vocab, "vocab"},
        {opts.kv_heads, &c->kv_heads, NULL}, {opts.head_size, &c->head_size, NULL},
        {opts.mlp, &c->mlp, NULL},           {opts.context, &c->context, NULL},
        {opts.window, &c->window, NULL},
    };
    if (opts.tied && opts.untied)
        return err_set(e, ERR_USAGE, "--tied and --untied exclude each other");
    if (opts.tied || opts.untied) c->tied = opts.tied;
    if (!isnan(opts.rope_theta)) c->rope_theta = opts.rope_theta;
    if (spec && c->vocab == 0) c->vocab = spec->vocab;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (sizes[i].value != OPT_UNSET) *sizes[i].field = sizes[i].value;
        if (sizes[i].name && *sizes[i].field == 0)
            return err_set(e, ERR_USAGE, "--%s is needed%s", sizes[i].name,
                           sizes[i].field == &c->vocab ? " where there is no --tokenizer" : "");
    }
    if (spec && spec->vocab > c->vocab)
        return err_set(e, ERR_USAGE,
                       "the tokenizer has %" PRId64 " tokens: a vocabulary of %" PRId64
                       " is too small",
                       spec->vocab, c->vocab);
    return model_config_finish(e, c);
}

static enum err plan(struct errctx *e, const struct model_config *c)
{
    const struct model_use use = {.dtype = DTYPE_F32};
    struct plan p;
    TRY(model_plan(e, c, &use, cmd_threads(&opts.common), &p));
    printf("%" PRId64 " parameters\n", model_config_parameters(c));
    plan_print(&p, stdout);
    plan_fini(&p);
    return ERR_OK;
}

static enum err make(struct errctx *e, struct cmd *cmd, const struct model_config *c,
                     const struct tokenizer_spec *spec)
{
    /* Weights are drawn, not computed: no kernel but those for memory is used. */
    const struct compute_cfg cfg = {.device = "ref"};
    const struct model_use use = {.dtype = DTYPE_F32};
    struct compute compute;
    struct model *m = NULL;
    enum err r = cmd_output_check(e, cmd);
    if (r != ERR_OK) return r;
    r = compute_open(e, &cfg, cmd_threads(&opts.common), &cmd->run, &compute);
    if (r == ERR_OK)
        r = model_create(e, &compute.kernels, c, spec, (uint64_t)opts.common.seed, &use, &m);
    if (r == ERR_OK)
        r = model_save(e, m, &cmd->run, opts.common.output, cmd_writer_cfg(&opts.common).level,
                       cmd_threads(&opts.common), &cmd->bytes_written);
    if (r == ERR_OK) prog_note("%" PRId64 " parameters", model_config_parameters(c));
    model_free(m);
    compute_close(&compute);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct tokenizer_spec spec;
    struct model_config c;
    struct cmd cmd;
    tokenizer_spec_init(&spec);
    enum err r = cmd_open_run(e, &cmd, p, &opts.common);
    if (r == ERR_OK && operands->count)
        r = err_set(e, ERR_USAGE, "'%s': there are no operands", operands->items[0]);
    if (r == ERR_OK) r = start(e, &cmd.run, &c);
    if (r == ERR_OK && opts.tokenizer) r = tokenizer_spec_load(e, &cmd.run, opts.tokenizer, &spec);
    if (r == ERR_OK) r = change(e, &c, opts.tokenizer ? &spec : NULL);
    if (r == ERR_OK)
        r = opts.common.plan ? plan(e, &c) : make(e, &cmd, &c, opts.tokenizer ? &spec : NULL);
    tokenizer_spec_fini(&spec);
    return cmd_close(e, &cmd, r);
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
