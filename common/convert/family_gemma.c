/* SPDX-License-Identifier: Apache-2.0 */
/* family_gemma.c: Gemma (scaled embeddings, norms kept less 1) and Gemma 2 (norms behind both
 * branches, soft caps, a window in every other layer). */
#include <math.h>

#include "common/convert/family_tables.h"

static const struct key_rule common_keys[] = {
    {"attention_bias", KEY_BOOL, KEY_C(qkv_bias)},
    {"use_bidirectional_attention", KEY_MUST, 0, "null|false", KEY_READ},
    KEY_RULES_END};

/* What the first files call gelu was always computed as its approximation. */
static const struct key_rule gemma_keys[] = {
    {"hidden_act", KEY_MUST, 0, "\"gelu_pytorch_tanh\"|\"gelu\""},
    {"hidden_activation", KEY_MUST, 0, "\"gelu_pytorch_tanh\"|null", KEY_READ},
    KEY_RULES_END};

static const struct key_rule gemma2_keys[] = {
    {"hidden_act", KEY_MUST, 0, "\"gelu_pytorch_tanh\"", KEY_READ},
    {"hidden_activation", KEY_ACT, KEY_C(act)},
    {"query_pre_attn_scalar", KEY_INT, KEY_AT(query_scale)},
    {"attn_logit_softcapping", KEY_REAL, KEY_C(attention_softcap), NULL, KEY_NULL},
    {"final_logit_softcapping", KEY_REAL, KEY_C(logit_softcap), NULL, KEY_NULL},
    {"cache_implementation", KEY_NOTHING},
    KEY_RULES_END};

static const struct tensor_rule gemma_tensors[] = {
    {"layers.%.post_attention_layernorm.weight", "layers.%.norm2.weight"}, TENSOR_RULES_END};

static const struct tensor_rule gemma2_tensors[] = {
    {"layers.%.post_attention_layernorm.weight", "layers.%.attention.norm.weight"},
    {"layers.%.pre_feedforward_layernorm.weight", "layers.%.norm2.weight"},
    {"layers.%.post_feedforward_layernorm.weight", "layers.%.mlp.norm.weight"},
    TENSOR_RULES_END};

#define BASE_GEMMA                                                                                 \
    .norm = NORM_RMS, .norm_plus_one = true, .norm_eps = 1e-6, .final_norm = true,                 \
    .position = POSITION_ROPE, .causal = true, .act = ACT_GELU_TANH, .gated = true, .tied = true,  \
    .head_size = 256, .init_std = 0.02
static const struct family_config gemma_base = {.c = {.arch = "gemma", BASE_GEMMA}};
static const struct family_config gemma2_base = {.c = {.arch = "gemma2",
                                                       BASE_GEMMA,
                                                       .norm_branch = true,
                                                       .window_every = 2,
                                                       .attention_softcap = 50,
                                                       .logit_softcap = 30},
                                                 .window = 4096,
                                                 .use_window = true,
                                                 .query_scale = 256};

static enum err gemma_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    x->c.out_bias = x->c.qkv_bias;
    x->c.embed_scale = sqrt((double)x->c.width);
    if (x->query_scale > 0) x->c.attention_scale = 1 / sqrt((double)x->query_scale);
    return family_finish_both(e, x, f);
}

static void gemma_unfinish(struct family_config *x)
{
    family_unfinish_both(x);
    /* What is no whole number is missed when it is read back. */
    x->query_scale = llround(1 / (x->c.attention_scale * x->c.attention_scale));
}

const struct family family_gemma = {
    .name = "gemma",
    .architecture = "GemmaForCausalLM",
    .prefix = "model.",
    .base = &gemma_base,
    .keys = {keys_shape, keys_rotary, keys_grouped, common_keys, gemma_keys, keys_everywhere},
    .tensors = {tensors_decoder, tensors_apart, gemma_tensors},
    .finish = gemma_finish,
    .unfinish = gemma_unfinish};
const struct family family_gemma2 = {.name = "gemma2",
                                     .architecture = "Gemma2ForCausalLM",
                                     .prefix = "model.",
                                     .base = &gemma2_base,
                                     .keys = {keys_shape, keys_rotary, keys_grouped, keys_window,
                                              common_keys, gemma2_keys, keys_everywhere},
                                     .tensors = {tensors_decoder, tensors_apart, gemma2_tensors},
                                     .finish = gemma_finish,
                                     .unfinish = gemma_unfinish};
