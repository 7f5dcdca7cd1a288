/* SPDX-License-Identifier: Apache-2.0 */
/* family_llama.c: Llama and those that differ from it in a few fields: Mistral (a window), Qwen2
 * (biases of q, k and v), Qwen3 (norms of q and k), Phi-3 (products stored together). */
#include "common/convert/family_tables.h"

#define KEYS_LLAMA                                                                                 \
    {"hidden_size", KEY_INT, KEY_C(width), NULL, KEY_NEEDED},                                      \
        {"num_hidden_layers", KEY_INT, KEY_C(layers), NULL, KEY_NEEDED},                           \
        {"num_attention_heads", KEY_INT, KEY_C(heads), NULL, KEY_NEEDED},                          \
        {"num_key_value_heads", KEY_INT, KEY_C(kv_heads)},                                         \
        {"head_dim", KEY_INT, KEY_C(head_size)},                                                   \
        {"intermediate_size", KEY_INT, KEY_C(mlp), NULL, KEY_NEEDED},                              \
        {"max_position_embeddings", KEY_INT, KEY_C(context), NULL, KEY_NEEDED},                    \
        {"hidden_act", KEY_ACT, KEY_C(act)}, {"rms_norm_eps", KEY_REAL, KEY_C(norm_eps)},          \
        {"rope_parameters", KEY_JSON, KEY_AT(rope)},                                               \
        {"rope_scaling", KEY_JSON, KEY_AT(rope), NULL, KEY_READ},                                  \
        {"rope_theta", KEY_REAL, KEY_AT(rope_theta), NULL, KEY_READ},                              \
        {"partial_rotary_factor", KEY_REAL, KEY_AT(partial_rotary), NULL, KEY_READ},               \
        {"layer_types", KEY_JSON, KEY_AT(layer_types)}, {"attention_dropout", KEY_NOTHING},        \
    {                                                                                              \
        "pretraining_tp", KEY_NOTHING                                                              \
    } /* the same sum cut into pieces */

static const struct key_rule llama_keys[] = {KEYS_LLAMA,
                                             {"attention_bias", KEY_BOOL, KEY_C(qkv_bias)},
                                             {"mlp_bias", KEY_BOOL, KEY_C(mlp_bias)},
                                             {"rope_interleaved", KEY_MUST, 0, "false", KEY_READ},
                                             KEY_RULES_END};

static const struct key_rule mistral_keys[] = {
    KEYS_LLAMA, {"sliding_window", KEY_INT, KEY_AT(window), NULL, KEY_NULL}, KEY_RULES_END};

static const struct key_rule qwen2_keys[] = {
    KEYS_LLAMA,
    {"sliding_window", KEY_INT, KEY_AT(window), NULL, KEY_NULL},
    {"use_sliding_window", KEY_BOOL, KEY_AT(use_window)},
    {"max_window_layers", KEY_INT, KEY_AT(window_from)},
    {"use_mrope", KEY_MUST, 0, "false", KEY_READ},
    KEY_RULES_END};

static const struct key_rule qwen3_keys[] = {
    KEYS_LLAMA,
    {"attention_bias", KEY_BOOL, KEY_C(qkv_bias)},
    {"sliding_window", KEY_INT, KEY_AT(window), NULL, KEY_NULL},
    {"use_sliding_window", KEY_BOOL, KEY_AT(use_window)},
    {"max_window_layers", KEY_INT, KEY_AT(window_from)},
    KEY_RULES_END};

static const struct key_rule phi3_keys[] = {
    KEYS_LLAMA,
    {"attention_bias", KEY_MUST, 0, "false", KEY_READ},
    {"sliding_window", KEY_INT, KEY_AT(window), NULL, KEY_NULL},
    {"original_max_position_embeddings", KEY_INT, KEY_AT(original)},
    {"embd_pdrop", KEY_NOTHING},
    {"resid_pdrop", KEY_NOTHING},
    KEY_RULES_END};

#define TENSORS_LLAMA                                                                              \
    {"embed_tokens.weight", "embed.tokens.weight"},                                                \
        {"layers.%.input_layernorm.weight", "layers.%.norm1.weight"},                              \
        {"layers.%.self_attn.o_proj.*", "layers.%.attention.out.*"},                               \
        {"layers.%.post_attention_layernorm.weight", "layers.%.norm2.weight"},                     \
        {"layers.%.mlp.down_proj.*", "layers.%.mlp.down.*"}, {"norm.weight", "norm.weight"},       \
        {"lm_head.weight", "head.weight", PART_ALL, TENSOR_BARE},                                  \
        {"layers.%.self_attn.rotary_emb.inv_freq", NULL},                                          \
    {                                                                                              \
        "rotary_emb.inv_freq", NULL                                                                \
    }
#define TENSORS_APART                                                                              \
    {"layers.%.self_attn.q_proj.*", "layers.%.attention.qkv.*", PART_Q},                           \
        {"layers.%.self_attn.k_proj.*", "layers.%.attention.qkv.*", PART_K},                       \
        {"layers.%.self_attn.v_proj.*", "layers.%.attention.qkv.*", PART_V},                       \
        {"layers.%.mlp.gate_proj.*", "layers.%.mlp.up.*", PART_GATE},                              \
    {                                                                                              \
        "layers.%.mlp.up_proj.*", "layers.%.mlp.up.*", PART_UP                                     \
    }

static const struct tensor_rule tensors[] = {TENSORS_LLAMA, TENSORS_APART, TENSOR_RULES_END};
static const struct tensor_rule qwen3_tensors[] = {
    TENSORS_LLAMA,
    TENSORS_APART,
    {"layers.%.self_attn.q_norm.weight", "layers.%.attention.q_norm.weight"},
    {"layers.%.self_attn.k_norm.weight", "layers.%.attention.k_norm.weight"},
    TENSOR_RULES_END};
static const struct tensor_rule phi3_tensors[] = {
    TENSORS_LLAMA,
    {"layers.%.self_attn.qkv_proj.*", "layers.%.attention.qkv.*"},
    {"layers.%.mlp.gate_up_proj.*", "layers.%.mlp.up.*"},
    TENSOR_RULES_END};

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
                                    .keys = llama_keys,
                                    .tensors = tensors,
                                    .finish = llama_finish,
                                    .unfinish = family_unfinish_both};
const struct family family_mistral = {.name = "mistral",
                                      .architecture = "MistralForCausalLM",
                                      .prefix = "model.",
                                      .base = &mistral_base,
                                      .keys = mistral_keys,
                                      .tensors = tensors,
                                      .finish = family_finish_both,
                                      .unfinish = family_unfinish_both};
const struct family family_qwen2 = {.name = "qwen2",
                                    .architecture = "Qwen2ForCausalLM",
                                    .prefix = "model.",
                                    .base = &qwen2_base,
                                    .keys = qwen2_keys,
                                    .tensors = tensors,
                                    .finish = family_finish_both,
                                    .unfinish = family_unfinish_both};
const struct family family_qwen3 = {.name = "qwen3",
                                    .architecture = "Qwen3ForCausalLM",
                                    .prefix = "model.",
                                    .base = &qwen3_base,
                                    .keys = qwen3_keys,
                                    .tensors = qwen3_tensors,
                                    .finish = qwen3_finish,
                                    .unfinish = family_unfinish_both};
const struct family family_phi3 = {.name = "phi3",
                                   .architecture = "Phi3ForCausalLM",
                                   .prefix = "model.",
                                   .base = &phi3_base,
                                   .keys = phi3_keys,
                                   .tensors = phi3_tensors,
                                   .finish = family_finish_both,
                                   .unfinish = family_unfinish_both};
