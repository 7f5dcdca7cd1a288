/* SPDX-License-Identifier: Apache-2.0 */
/* llama2c_model.c: a model out of llama2.c's .bin: Llama with rows of q and k in rotary pairs. The
 * tables of rotary positions in it follow from its header. */
#include "common/convert/family_tables.h"
#include "common/convert/model_source.h"
#include "formats/llama2c.h"
#include "formats/mp_json.h"

static const struct key_rule keys[] = {{"dim", KEY_INT, KEY_C(width), NULL, KEY_NEEDED},
                                       {"hidden_dim", KEY_INT, KEY_C(mlp), NULL, KEY_NEEDED},
                                       {"n_layers", KEY_INT, KEY_C(layers), NULL, KEY_NEEDED},
                                       {"n_heads", KEY_INT, KEY_C(heads), NULL, KEY_NEEDED},
                                       {"n_kv_heads", KEY_INT, KEY_C(kv_heads), NULL, KEY_NEEDED},
                                       {"max_seq_len", KEY_INT, KEY_C(context), NULL, KEY_NEEDED},
                                       {"shared_classifier", KEY_BOOL, KEY_C(tied)},
                                       KEY_RULES_END};

static const struct tensor_rule tensors[] = {
    {"tok_embeddings.weight", "embed.tokens.weight"},
    {"layers.%.attention_norm.weight", "layers.%.norm1.weight"},
    {"layers.%.attention.wq.weight", "layers.%.attention.qkv.weight", PART_Q, TENSOR_PAIRED},
    {"layers.%.attention.wk.weight", "layers.%.attention.qkv.weight", PART_K, TENSOR_PAIRED},
    {"layers.%.attention.wv.weight", "layers.%.attention.qkv.weight", PART_V},
    {"layers.%.attention.wo.weight", "layers.%.attention.out.weight"},
    {"layers.%.ffn_norm.weight", "layers.%.norm2.weight"},
    {"layers.%.feed_forward.w1.weight", "layers.%.mlp.up.weight", PART_GATE},
    {"layers.%.feed_forward.w3.weight", "layers.%.mlp.up.weight", PART_UP},
    {"layers.%.feed_forward.w2.weight", "layers.%.mlp.down.weight"},
    {"norm.weight", "norm.weight"},
    {"output.weight", "head.weight"},
    {"freqs_cos", NULL},
    {"freqs_sin", NULL},
    TENSOR_RULES_END};

static const struct family_config base = {.c = {.arch = "llama",
                                                .norm = NORM_RMS,
                                                .norm_eps = 1e-5,
                                                .final_norm = true,
                                                .position = POSITION_ROPE,
                                                .rope_theta = 10000,
                                                .causal = true,
                                                .act = ACT_SILU,
                                                .gated = true,
                                                .init_std = 0.02}};

static const struct family family = {.name = "llama",
                                     .gguf = true,
                                     .prefix = "",
                                     .base = &base,
                                     .keys = {keys, keys_gguf_everywhere},
                                     .tensors = {tensors}};

enum err llama2c_model_open(struct errctx *e, struct model_source *s, const char *path)
{
    s->format = "llama2.c";
    s->family = &family;
    TRY(llama2c_open(e, path, &s->tensors));
    TRY(model_source_record_large(e, s, path));
    s->config = mp_to_json(&s->tensors.meta, false);
    if (!s->config) return err_memory(e, "keys", 0);
    TRY(mp_set_string(e, &s->about, "family", family.name));
    return model_source_match(e, s);
}
