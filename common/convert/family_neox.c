/* SPDX-License-Identifier: Apache-2.0 */
/* family_neox.c: GPT-NeoX and Pythia: q, k and v head by head in one product, some dimensions of a
 * head rotated, both branches side by side. */
#include "common/convert/family_tables.h"

static const struct key_rule keys[] = {
    {"hidden_act", KEY_ACT, KEY_C(act)},
    {"layer_norm_eps", KEY_REAL, KEY_C(norm_eps)},
    {"attention_bias", KEY_BOOL, KEY_C(qkv_bias)},
    {"use_parallel_residual", KEY_BOOL, KEY_C(parallel)},
    {"rotary_emb_base", KEY_REAL, KEY_AT(rope_theta), NULL, KEY_READ},
    {"rotary_pct", KEY_REAL, KEY_AT(partial_rotary), NULL, KEY_READ},
    {"partial_rotary_factor", KEY_REAL, KEY_AT(partial_rotary), NULL, KEY_READ},
    {"hidden_dropout", KEY_NOTHING},
    {"classifier_dropout", KEY_NOTHING},
    KEY_RULES_END};

static const struct tensor_rule tensors[] = {
    {"embed_in.weight", "embed.tokens.weight"},
    {"layers.%.input_layernorm.*", "layers.%.norm1.*"},
    {"layers.%.attention.query_key_value.*", "layers.%.attention.qkv.*", PART_ALL, TENSOR_PER_HEAD},
    {"layers.%.attention.dense.*", "layers.%.attention.out.*"},
    {"layers.%.post_attention_layernorm.*", "layers.%.norm2.*"},
    {"layers.%.mlp.dense_h_to_4h.*", "layers.%.mlp.up.*"},
    {"layers.%.mlp.dense_4h_to_h.*", "layers.%.mlp.down.*"},
    {"final_layer_norm.*", "norm.*"},
    {"embed_out.weight", "head.weight", PART_ALL, TENSOR_BARE},
    {"layers.%.attention.bias", NULL}, /* the causal mask */
    {"layers.%.attention.masked_bias", NULL},
    {"layers.%.attention.rotary_emb.inv_freq", NULL},
    TENSOR_RULES_END};

static const struct family_config base = {.c = {.arch = "gpt_neox",
                                                .norm = NORM_LAYER,
                                                .norm_eps = 1e-5,
                                                .final_norm = true,
                                                .parallel = true,
                                                .position = POSITION_ROPE,
                                                .causal = true,
                                                .qkv_bias = true,
                                                .mlp_bias = true,
                                                .act = ACT_GELU,
                                                .init_std = 0.02},
                                          .partial_rotary = 0.25};

static enum err finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    x->c.out_bias = x->c.qkv_bias;
    return family_finish_rope(e, x, f);
}

const struct family family_gpt_neox = {.name = "gpt_neox",
                                       .architecture = "GPTNeoXForCausalLM",
                                       .prefix = "gpt_neox.",
                                       .base = &base,
                                       .keys = {keys_shape, keys_rotary, keys, keys_everywhere},
                                       .tensors = {tensors},
                                       .finish = finish,
                                       .unfinish = family_unfinish_both};
