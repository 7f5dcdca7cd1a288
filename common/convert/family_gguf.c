/* SPDX-License-Identifier: Apache-2.0 */
/* family_gguf.c: the families as GGUF has them: one way of naming for all of them, products as
 * [out, in]. What its converter has changed stays changed: norms of Gemma have their 1 added,
 * RoBERTa's places count from 0. Rows of Llama's q and k stand in rotary pairs.
 *
 * Source: llama.cpp, gguf-py/gguf/constants.py and convert_hf_to_gguf.py. */
#include <math.h>
#include <string.h>

#include "common/convert/family_gguf_rope.h"
#include "common/convert/family_tables.h"

static const struct key_rule keys_all[] = {
    {"block_count", KEY_INT, KEY_C(layers), NULL, KEY_NEEDED},
    {"context_length", KEY_INT, KEY_C(context), NULL, KEY_NEEDED},
    {"embedding_length", KEY_INT, KEY_C(width), NULL, KEY_NEEDED},
    {"feed_forward_length", KEY_INT, KEY_C(mlp), NULL, KEY_NEEDED},
    {"attention.head_count", KEY_INT, KEY_C(heads), NULL, KEY_NEEDED},
    {"attention.head_count_kv", KEY_INT, KEY_C(kv_heads)},
    {"expert_count", KEY_MUST, 0, "0", KEY_READ},
    {"expert_used_count", KEY_MUST, 0, "0", KEY_READ},
    {"tensor_data_layout", KEY_NOTHING},
    KEY_RULES_END};
static const struct key_rule keys_rope[] = {
    {"attention.key_length", KEY_INT, KEY_C(head_size)},
    {"attention.value_length", KEY_INT, KEY_AT(value_size)},
    {"rope.dimension_count", KEY_INT, KEY_C(rope_dims)},
    {"rope.freq_base", KEY_REAL, KEY_C(rope_theta)},
    {"rope.scaling.type", KEY_JSON, KEY_AT(scaling)},
    {"rope.scaling.factor", KEY_REAL, KEY_C(rope_factor), NULL, KEY_NULL},
    {"rope.scale_linear", KEY_REAL, KEY_C(rope_factor), NULL, KEY_READ},
    {"rope.scaling.original_context_length", KEY_INT, KEY_C(rope_original), NULL, KEY_NULL},
    {"rope.scaling.attn_factor", KEY_REAL, KEY_AT(attention), NULL, KEY_NULL},
    {"rope.scaling.yarn_log_multiplier", KEY_REAL, KEY_AT(log_multiplier), NULL, KEY_READ},
    {"rope.scaling.yarn_beta_fast", KEY_REAL, KEY_C(rope_high), NULL, KEY_NULL},
    {"rope.scaling.yarn_beta_slow", KEY_REAL, KEY_C(rope_low), NULL, KEY_NULL},
    {"rope.scaling.yarn_ext_factor", KEY_MUST, 0, "1.0|-1.0", KEY_READ},
    {"rope.scaling.yarn_attn_factor", KEY_NOTHING}, /* with yarn, llama.cpp makes its own */
    {"rope.scaling.finetuned", KEY_NOTHING},
    KEY_RULES_END};
static const struct key_rule keys_rms[] = {
    {"attention.layer_norm_rms_epsilon", KEY_REAL, KEY_C(norm_eps), NULL, KEY_NEEDED},
    KEY_RULES_END};
static const struct key_rule keys_layer_norm[] = {
    {"attention.layer_norm_epsilon", KEY_REAL, KEY_C(norm_eps), NULL, KEY_NEEDED}, KEY_RULES_END};

static const struct key_rule llama_keys[] = {
    {"attention.sliding_window", KEY_INT, KEY_C(window), NULL, KEY_NULL}, KEY_RULES_END};
static const struct key_rule gemma2_keys[] = {
    {"attention.sliding_window", KEY_INT, KEY_C(window)},
    {"attn_logit_softcapping", KEY_REAL, KEY_C(attention_softcap)},
    {"final_logit_softcapping", KEY_REAL, KEY_C(logit_softcap)},
    KEY_RULES_END};
static const struct key_rule neox_keys[] = {{"use_parallel_residual", KEY_BOOL, KEY_C(parallel)},
                                            KEY_RULES_END};
static const struct key_rule bert_keys[] = {
    {"attention.causal", KEY_MUST, 0, "false"},
    {"pooling_type", KEY_NOTHING}, /* read beside the keys */
    KEY_RULES_END};

/* ------------------------------------------------------------------ tensors */

static const struct tensor_rule tensors_all[] = {
    {"token_embd.weight", "embed.tokens.weight"},
    {"blk.%.attn_output.*", "layers.%.attention.out.*"},
    {"blk.%.ffn_down.*", "layers.%.mlp.down.*"},
    {"rope_freqs.weight", NULL, PART_ALL, TENSOR_SAID},
    {"rope_factors_short.weight", NULL, PART_ALL, TENSOR_SAID},
    {"rope_factors_long.weight", NULL, PART_ALL, TENSOR_SAID},
    {"output.weight", "head.weight"},
    TENSOR_RULES_END};
static const struct tensor_rule tensors_pre[] = {{"blk.%.attn_norm.*", "layers.%.norm1.*"},
                                                 {"blk.%.ffn_norm.*", "layers.%.norm2.*"},
                                                 {"output_norm.*", "norm.*"},
                                                 TENSOR_RULES_END};
static const struct tensor_rule tensors_qkv[] = {
    {"blk.%.attn_q.*", "layers.%.attention.qkv.*", PART_Q},
    {"blk.%.attn_k.*", "layers.%.attention.qkv.*", PART_K},
    {"blk.%.attn_v.*", "layers.%.attention.qkv.*", PART_V},
    TENSOR_RULES_END};
static const struct tensor_rule tensors_paired[] = {
    {"blk.%.attn_q.*", "layers.%.attention.qkv.*", PART_Q, TENSOR_PAIRED},
    {"blk.%.attn_k.*", "layers.%.attention.qkv.*", PART_K, TENSOR_PAIRED},
    {"blk.%.attn_v.*", "layers.%.attention.qkv.*", PART_V},
    TENSOR_RULES_END};
static const struct tensor_rule tensors_gated[] = {
    {"blk.%.ffn_gate.*", "layers.%.mlp.up.*", PART_GATE},
    {"blk.%.ffn_up.*", "layers.%.mlp.up.*", PART_UP},
    TENSOR_RULES_END};
static const struct tensor_rule tensors_joined[] = {
    {"blk.%.attn_qkv.*", "layers.%.attention.qkv.*"},
    {"blk.%.ffn_up.*", "layers.%.mlp.up.*"},
    TENSOR_RULES_END};

static const struct tensor_rule qwen_tensors[] = {
    {"blk.%.attn_q_norm.weight", "layers.%.attention.q_norm.weight"},
    {"blk.%.attn_k_norm.weight", "layers.%.attention.k_norm.weight"},
    TENSOR_RULES_END};
static const struct tensor_rule gemma_tensors[] = {
    {"blk.%.attn_norm.weight", "layers.%.norm1.weight", PART_ALL, TENSOR_PLUS_ONE},
    {"blk.%.ffn_norm.weight", "layers.%.norm2.weight", PART_ALL, TENSOR_PLUS_ONE},
    {"output_norm.weight", "norm.weight", PART_ALL, TENSOR_PLUS_ONE},
    TENSOR_RULES_END};
static const struct tensor_rule gemma2_tensors[] = {
    {"blk.%.post_attention_norm.weight", "layers.%.attention.norm.weight", PART_ALL,
     TENSOR_PLUS_ONE},
    {"blk.%.post_ffw_norm.weight", "layers.%.mlp.norm.weight", PART_ALL, TENSOR_PLUS_ONE},
    TENSOR_RULES_END};
static const struct tensor_rule gpt2_tensors[] = {
    {"position_embd.weight", "embed.positions.weight", PART_ALL, TENSOR_F32 | TENSOR_PLACES},
    TENSOR_RULES_END};
static const struct tensor_rule bert_tensors[] = {
    {"position_embd.weight", "embed.positions.weight", PART_ALL, TENSOR_F32 | TENSOR_PLACES},
    {"token_types.weight", "embed.types.weight", PART_ALL, TENSOR_F32},
    {"token_embd_norm.*", "embed.norm.*"},
    {"blk.%.attn_output_norm.*", "layers.%.norm1.*"},
    {"blk.%.ffn_up.*", "layers.%.mlp.up.*"},
    {"blk.%.layer_output_norm.*", "layers.%.norm2.*"},
    TENSOR_RULES_END};

/* ------------------------------------------------------------------ families */

#define BASE_RMS                                                                                   \
    .norm = NORM_RMS, .final_norm = true, .position = POSITION_ROPE, .causal = true,               \
    .rope_theta = 10000, .act = ACT_SILU, .gated = true, .init_std = 0.02
#define BASE_LAYER                                                                                 \
    .norm = NORM_LAYER, .qkv_bias = true, .out_bias = true, .mlp_bias = true, .init_std = 0.02
static const struct family_config llama_base = {.c = {.arch = "llama", BASE_RMS}};
static const struct family_config qwen2_base = {.c = {.arch = "llama", BASE_RMS, .qkv_bias = true}};
static const struct family_config qwen3_base = {.c = {.arch = "llama", BASE_RMS, .qk_norm = true}};
static const struct family_config gemma_base = {
    .c = {.arch = "gemma", BASE_RMS, .norm_plus_one = true}};
static const struct family_config gemma2_base = {.c = {.arch = "gemma2",
                                                       BASE_RMS,
                                                       .norm_plus_one = true,
                                                       .norm_branch = true,
                                                       .window = 4096,
                                                       .window_every = 2}};
static const struct family_config neox_base = {.c = {.arch = "gpt_neox",
                                                     BASE_LAYER,
                                                     .final_norm = true,
                                                     .parallel = true,
                                                     .position = POSITION_ROPE,
                                                     .rope_theta = 10000,
                                                     .causal = true,
                                                     .act = ACT_GELU}};
static const struct family_config gpt2_base = {.c = {.arch = "gpt2",
                                                     BASE_LAYER,
                                                     .final_norm = true,
                                                     .position = POSITION_LEARNED,
                                                     .causal = true,
                                                     .act = ACT_GELU_TANH}};
static const struct family_config bert_base = {.c = {.arch = "bert",
                                                     BASE_LAYER,
                                                     .norm_post = true,
                                                     .embed_norm = true,
                                                     .position = POSITION_LEARNED,
                                                     .act = ACT_GELU}};

/* ------------------------------------------------------------------ both ways */

enum parts { QKV_BIAS = 1, OTHER_BIASES = 2, NARROW = 4, TIED = 8, UNTIED = 16 };

/* What llama.cpp's models of an architecture may have; NARROW: heads that are not as wide, end to
 * end, as the model. */
static enum err check_parts(struct errctx *e, const struct model_config *c, struct findings *f,
                            unsigned may)
{
    if (c->qkv_bias && !(may & QKV_BIAS))
        return findings_add(e, f, "biases of q, k and v, which such models do not have");
    if ((c->out_bias || c->mlp_bias) && !(may & OTHER_BIASES))
        return findings_add(e, f, "biases of products that have none in such models");
    if (!(may & NARROW) && c->head_size && c->heads * c->head_size != c->width)
        return findings_add(e, f, "heads that are not as wide, end to end, as the model");
    if (!(may & TIED) && c->tied)
        return findings_add(e, f, "no head of its own, which such models have");
    if (!(may & UNTIED) && !c->tied)
        return findings_add(e, f, "a head of its own, which such models do not have");
    return ERR_OK;
}

static enum err llama_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    TRY(gguf_rope_finish(e, x, f, DIVISORS_FREQS | DIVISORS_LONGROPE));
    if (x->c.rope_dims && x->c.rope_dims != x->c.head_size)
        return findings_add(e, f, "only a part of each head is rotated");
    return check_parts(e, &x->c, f, QKV_BIAS | OTHER_BIASES | NARROW | TIED | UNTIED);
}

static enum err qwen2_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    TRY(gguf_rope_finish(e, x, f, DIVISORS_NONE));
    return check_parts(e, &x->c, f, QKV_BIAS | TIED | UNTIED);
}

static enum err qwen3_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    TRY(gguf_rope_finish(e, x, f, DIVISORS_NONE));
    return check_parts(e, &x->c, f, QKV_BIAS | NARROW | TIED | UNTIED);
}

static enum err phi3_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    TRY(gguf_rope_finish(e, x, f, DIVISORS_LONGROPE));
    return check_parts(e, &x->c, f, QKV_BIAS | TIED | UNTIED);
}

static enum err neox_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    TRY(gguf_rope_finish(e, x, f, DIVISORS_NONE));
    return check_parts(e, &x->c, f, QKV_BIAS | OTHER_BIASES | UNTIED);
}

/* The 27 B model, which has 46 layers, scales scores by its width and not by its heads. */
static enum err gemma_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    struct model_config *c = &x->c;
    c->act = ACT_GELU_TANH;
    c->embed_scale = sqrt((double)c->width);
    if (c->norm_branch && c->layers == 46 && c->heads)
        c->attention_scale = 1 / sqrt((double)(c->width / c->heads));
    if (c->norm_branch && c->window == 0)
        return findings_add(e, f, "key 'gemma2.attention.sliding_window' is 0");
    TRY(gguf_rope_finish(e, x, f, DIVISORS_NONE));
    return check_parts(e, c, f, QKV_BIAS | NARROW | TIED);
}

static enum err bert_finish(struct errctx *e, struct family_config *x, struct findings *f)
{
    x->c.tied = true; /* there is no head at all */
    return check_parts(e, &x->c, f, QKV_BIAS | OTHER_BIASES | TIED);
}

#define KEYS(...)    keys_all, __VA_ARGS__, keys_gguf_everywhere
#define TENSORS(...) tensors_all, __VA_ARGS__
#define FAMILY(id, title, its_keys, its_tensors, its_base, its_finish)                             \
    const struct family gguf_##id = {.name = title,                                                \
                                     .gguf = true,                                                 \
                                     .prefix = "",                                                 \
                                     .base = &(its_base),                                          \
                                     .keys = {its_keys},                                           \
                                     .tensors = {its_tensors},                                     \
                                     .finish = its_finish,                                         \
                                     .unfinish = gguf_rope_unfinish}
FAMILY(llama, "llama", KEYS(keys_rope, keys_rms, llama_keys),
       TENSORS(tensors_pre, tensors_paired, tensors_gated), llama_base, llama_finish);
FAMILY(qwen2, "qwen2", KEYS(keys_rope, keys_rms, llama_keys),
       TENSORS(tensors_pre, tensors_qkv, tensors_gated, qwen_tensors), qwen2_base, qwen2_finish);
FAMILY(qwen3, "qwen3", KEYS(keys_rope, keys_rms, llama_keys),
       TENSORS(tensors_pre, tensors_qkv, tensors_gated, qwen_tensors), qwen3_base, qwen3_finish);
FAMILY(phi3, "phi3", KEYS(keys_rope, keys_rms, llama_keys), TENSORS(tensors_pre, tensors_joined),
       llama_base, phi3_finish);
FAMILY(gemma, "gemma", KEYS(keys_rope, keys_rms, llama_keys),
       TENSORS(tensors_qkv, tensors_gated, gemma_tensors), gemma_base, gemma_finish);
FAMILY(gemma2, "gemma2", KEYS(keys_rope, keys_rms, gemma2_keys),
       TENSORS(tensors_qkv, tensors_gated, gemma_tensors, gemma2_tensors), gemma2_base,
       gemma_finish);
FAMILY(gptneox, "gptneox", KEYS(keys_rope, keys_layer_norm, neox_keys),
       TENSORS(tensors_pre, tensors_joined), neox_base, neox_finish);
FAMILY(gpt2, "gpt2", KEYS(keys_layer_norm), TENSORS(tensors_pre, tensors_joined, gpt2_tensors),
       gpt2_base, NULL);
FAMILY(bert, "bert", KEYS(keys_layer_norm, bert_keys), TENSORS(tensors_qkv, bert_tensors),
       bert_base, bert_finish);
