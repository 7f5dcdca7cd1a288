/* SPDX-License-Identifier: Apache-2.0 */
/* family_gpt2.c: GPT-2 as transformers keeps it: products transposed, masks stored as tensors. */
#include "common/convert/family_tables.h"

static const struct key_rule keys[] = {
    {"n_embd", KEY_INT, KEY_C(width), NULL, KEY_NEEDED},
    {"n_layer", KEY_INT, KEY_C(layers), NULL, KEY_NEEDED},
    {"n_head", KEY_INT, KEY_C(heads), NULL, KEY_NEEDED},
    {"n_positions", KEY_INT, KEY_C(context), NULL, KEY_NEEDED},
    {"n_inner", KEY_INT, KEY_C(mlp)},
    {"activation_function", KEY_ACT, KEY_C(act)},
    {"layer_norm_epsilon", KEY_REAL, KEY_C(norm_eps)},
    {"scale_attn_weights", KEY_MUST, 0, "true"},
    {"scale_attn_by_inverse_layer_idx", KEY_MUST, 0, "false"},
    {"add_cross_attention", KEY_MUST, 0, "false"},
    {"reorder_and_upcast_attn", KEY_NOTHING}, /* the same product in another precision */
    {"n_ctx", KEY_NOTHING},
    {"attn_pdrop", KEY_NOTHING},
    {"embd_pdrop", KEY_NOTHING},
    {"resid_pdrop", KEY_NOTHING},
    {"summary_activation", KEY_NOTHING},
    {"summary_first_dropout", KEY_NOTHING},
    {"summary_proj_to_labels", KEY_NOTHING},
    {"summary_type", KEY_NOTHING},
    {"summary_use_proj", KEY_NOTHING},
    KEY_RULES_END};

static const struct tensor_rule tensors[] = {
    {"wte.weight", "embed.tokens.weight"},
    {"wpe.weight", "embed.positions.weight"},
    {"h.%.ln_1.*", "layers.%.norm1.*"},
    {"h.%.attn.c_attn.*", "layers.%.attention.qkv.*", PART_ALL, TENSOR_TRANSPOSED},
    {"h.%.attn.c_proj.*", "layers.%.attention.out.*", PART_ALL, TENSOR_TRANSPOSED},
    {"h.%.ln_2.*", "layers.%.norm2.*"},
    {"h.%.mlp.c_fc.*", "layers.%.mlp.up.*", PART_ALL, TENSOR_TRANSPOSED},
    {"h.%.mlp.c_proj.*", "layers.%.mlp.down.*", PART_ALL, TENSOR_TRANSPOSED},
    {"ln_f.*", "norm.*"},
    {"lm_head.weight", "head.weight", PART_ALL, TENSOR_BARE},
    {"h.%.attn.bias", NULL}, /* the causal mask */
    {"h.%.attn.masked_bias", NULL},
    TENSOR_RULES_END};

static const struct family_config base = {.c = {.arch = "gpt2",
                                                .norm = NORM_LAYER,
                                                .norm_eps = 1e-5,
                                                .final_norm = true,
                                                .position = POSITION_LEARNED,
                                                .causal = true,
                                                .qkv_bias = true,
                                                .out_bias = true,
                                                .mlp_bias = true,
                                                .act = ACT_GELU_TANH,
                                                .tied = true,
                                                .init_std = 0.02}};

const struct family family_gpt2 = {.name = "gpt2",
                                   .architecture = "GPT2LMHeadModel",
                                   .prefix = "transformer.",
                                   .base = &base,
                                   .keys = {keys, keys_everywhere},
                                   .tensors = {tensors}};
