/* SPDX-License-Identifier: Apache-2.0 */
/* family_llama.c: Llama and those that differ from it in a few fields: Mistral (a window), Qwen2
 * (biases of q, k and v), Qwen3 (norms of q and k), Phi-3 (products stored together). */
#include "common/convert/family_tables.h"

static const struct key_rule common_keys[] = {
    {"hidden_act", KEY_ACT, KEY_C(act)},
    {"partial_rotary_factor", KEY_REAL, KEY_AT(partial_rotary), NULL, KEY_READ},
    {"pretraining_tp", KEY_NOTHING}, /* the same sum cut into pieces */
    KEY_RULES_END};

static const struct key_rule llama_keys[] = {{"attention_bias", KEY_BOOL, KEY_C(qkv_bias)},
                                             {"mlp_bias", KEY_BOOL, KEY_C(mlp_bias)},
                                             {"rope_interleaved", KEY_MUST, 0, "false", KEY_READ},
                                             KEY_RULES_END};

static const struct key_rule qwen_keys[] = {{"use_sliding_window", KEY_BOOL, KEY_AT(use_window)},
                                            {"max_window_layers", KEY_INT, KEY_AT(window_from)},
                                            KEY_RULES_END};

static const struct key_rule qwen2_keys[] = {{"use_mrope", KEY_MUST, 0, "false", KEY_READ},
                                             KEY_RULES_END};

static const struct key_rule qwen3_keys[] = {{"attention_bias", KEY_BOOL, KEY_C(qkv_bias)},
                                             KEY_RULES_END};

static const struct key_rule phi3_keys[] = {
    {"attention_bias", KEY_MUST, 0, "false", KEY_READ},
    {"original_max_position_embeddings", KEY_INT, KEY_AT(original)},
    {"embd_pdrop", KEY_NOTHING},
    {"resid_pdrop", KEY_NOTHING},
    KEY_RULES_END};

static const struct tensor_rule llama_tensors[] = {
    {"layers.%.post_attention_layernorm.weight", "layers.%.norm2.weight"},
    {"rotary_emb.inv_freq", NULL},
    TENSOR_RULES_END};

static const struct tensor_rule qwen3_tensors[] = {
    {"layers.%.self_attn.q_norm.weight", "layers.%.attention.q_norm.weight"},
    {"layers.%.self_attn.k_norm.weight", "layers.%.attention.k_norm.weight"},
    TENSOR_RULES_END};

static const struct tensor_rule phi3_tensors[] = {
    {"layers.%.self_attn.qkv_proj.*", "layers.%.attention.qkv.*"},
    {"layers.%.mlp.gate_up_proj.*", "layers.%.mlp.up.*"},
    TENSOR_RULES_END};

#define KEYS_LLAMA keys_shape, keys_rotary, keys_grouped, common_keys
#define BASE_LLAMA                                                                                 \
    .arch = "llama", .norm = NORM_RMS, .norm_eps = 1e-6, .final_norm = true,                       \
    .position = POSITION_ROPE, .causal = true, .act = ACT_SILU, .gated = true, .init_std = 0.02
static const struct family_config llama_base = {.c = {BASE_LLAMA}};
static const struct family_config mistral_base = {
    .c = {BASE_LLAMA, .kv_heads = 8}, .window = 4096, .use_window = true};
static const struct family_config qwen2_base = {
    .c = {BASE_LLAMA, .qkv_bias = true}, .window = 4096, .window_from = 28};

static const struct family_config qwen3_base = {
    .c = {BASE_LLAMA, .qk_norm = true, .head_size = 128, .kv_heads = 32},
    .window = 4096,
    .window_from = 28};
static const struct family_config phi3_base = {
    .c = {BASE_LLAMA}, .use_window = true, .partial_rotary = 1};

/* ------------------------------------------------------------------ both ways */

/* attention_bias is of all four products. */
static enum err llama_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    x->c.out_bias = x->c.qkv_bias;
    return family_finish_rope(e, x, f);
}

static enum err qwen3_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    x->c.out_bias = x->c.qkv_bias;
    return family_finish_both(e, x, f);
}

const struct family family_llama = {.name = "llama",
                                    .architecture = "LlamaForCausalLM",
                                    .prefix = "model.",
                                    .base = &llama_base,
                                    .keys = {KEYS_LLAMA, llama_keys, keys_everywhere},
                                    .tensors = {tensors_decoder, tensors_apart, llama_tensors},
                                    .finish = llama_finish,
                                    .unfinish = family_unfinish_both};
const struct family family_mistral = {.name = "mistral",
                                      .architecture = "MistralForCausalLM",
                                      .prefix = "model.",
                                      .base = &mistral_base,
                                      .keys = {KEYS_LLAMA, keys_window, keys_everywhere},
                                      .tensors = {tensors_decoder, tensors_apart, llama_tensors},
                                      .finish = family_finish_both,
                                      .unfinish = family_unfinish_both};
const struct family family_qwen2 = {
    .name = "qwen2",
    .architecture = "Qwen2ForCausalLM",
    .prefix = "model.",
    .base = &qwen2_base,
    .keys = {KEYS_LLAMA, keys_window, qwen_keys, qwen2_keys, keys_everywhere},
    .tensors = {tensors_decoder, tensors_apart, llama_tensors},
    .finish = family_finish_both,
    .unfinish = family_unfinish_both};
const struct family family_qwen3 = {
    .name = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .prefix = "model.",
    .base = &qwen3_base,
    .keys = {KEYS_LLAMA, keys_window, qwen_keys, qwen3_keys, keys_everywhere},
    .tensors = {tensors_decoder, tensors_apart, llama_tensors, qwen3_tensors},
    .finish = qwen3_finish,
    .unfinish = family_unfinish_both};
const struct family family_phi3 = {.name = "phi3",
                                   .architecture = "Phi3ForCausalLM",
                                   .prefix = "model.",
                                   .base = &phi3_base,
                                   .keys = {KEYS_LLAMA, keys_window, phi3_keys, keys_everywhere},
                                   .tensors = {tensors_decoder, llama_tensors, phi3_tensors},
                                   .finish = family_finish_both,
                                   .unfinish = family_unfinish_both};
