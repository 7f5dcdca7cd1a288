/* SPDX-License-Identifier: Apache-2.0 */
/* config_opts.c: see config_opts.h. What an option left out comes to is model_config_finish's. */
#include "common/model/config_opts.h"

#include <inttypes.h>
#include <math.h>

#define ARCHITECTURES "gpt2|llama|bert"
static const char *const arch_names[] = {"gpt2", "llama", "bert"};

#define AT(member) offsetof(struct config_opts, member)
const struct opt config_opts_table[] = {
    {"arch", 0, OPT_CHOICE, AT(arch), ARCHITECTURES, "architecture: defaults of all fields"},
    {"config", 0, OPT_STRING, AT(config), "FILE", "JSON file with the fields, instead of --arch",
     OPT_PATH},
    {"layers", 0, OPT_INT, AT(layers), "N", "blocks", 0, 1, 4096},
    {"width", 0, OPT_INT, AT(width), "N", "channels of the residual stream", 0, 1, 1 << 20},
    {"heads", 0, OPT_INT, AT(heads), "N", "attention heads", 0, 1, 1 << 16},
    {"kv-heads", 0, OPT_INT, AT(kv_heads), "N",
     "heads of keys and values, each shared by heads / N; as many as heads when not given", 0, 1,
     1 << 16},
    {"head-size", 0, OPT_INT, AT(head_size), "N",
     "channels of a head; width / heads when not given", 0, 1, KERNEL_HEAD_MOST},
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

enum err config_opts_start(struct errctx *e, struct run *run, const struct config_opts *o,
                           struct model_config *c)
{
    if (o->config && o->arch >= 0)
        return err_set(e, ERR_USAGE,
                       "--arch and --config exclude each other: the file names its own");
    if (o->config) return model_config_from_json(e, run, o->config, c);
    if (o->arch < 0)
        return err_set(e, ERR_USAGE, "--arch " ARCHITECTURES " or --config FILE is needed");
    return model_config_preset(e, arch_names[o->arch], c);
}

enum err config_opts_change(struct errctx *e, const struct config_opts *o,
                            const struct tokenizer_spec *spec, struct model_config *c)
{
    const struct {
        int64_t value, *field;
        const char *name;
    } sizes[] = {
        {o->layers, &c->layers, "layers"}, {o->width, &c->width, "width"},
        {o->heads, &c->heads, "heads"},    {o->vocab, &c->vocab, "vocab"},
        {o->kv_heads, &c->kv_heads, NULL}, {o->head_size, &c->head_size, NULL},
        {o->mlp, &c->mlp, NULL},           {o->context, &c->context, NULL},
        {o->window, &c->window, NULL},
    };
    if (o->tied && o->untied)
        return err_set(e, ERR_USAGE, "--tied and --untied exclude each other");
    if (o->tied || o->untied) c->tied = o->tied;
    if (!isnan(o->rope_theta)) c->rope_theta = o->rope_theta;
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
