/* SPDX-License-Identifier: Apache-2.0 */
/* config.h: the shape of the one transformer: orthogonal fields, of which GPT-2, Llama, BERT are
 * values.
 *
 * Travels as meta "config" of a model stream (a msgpack map whose keys are the field names below;
 * those that most models do not have are left out where they are 0).
 * A key that is not known is an error that names it: a model whose configuration is only half
 * understood computes something else. */
#ifndef GRAFT_MODEL_CONFIG_H
#define GRAFT_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include "formats/lineage.h"
#include "formats/msgpack.h"
#include "kernels/kernels.h"

enum position_kind { POSITION_LEARNED, POSITION_ROPE, POSITION_NONE };
/* How rotary positions reach beyond the context of the first training (rope.h). */
enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_YARN, ROPE_LLAMA3, ROPE_LONGROPE };

enum { CONFIG_NUMBERS = 256 };
struct config_numbers {
    int64_t count;
    double items[CONFIG_NUMBERS];
};

struct model_config {
    char arch[32]; /* "gpt2" | "llama" | "bert": for people; nothing depends on it */
    int64_t vocab, layers, width, heads, kv_heads, head_size, mlp, context;
    enum norm_kind norm; /* "layer" | "rms" */
    bool norm_post;      /* norm after the residual sum (BERT), else before the block */
    bool norm_branch;    /* also of a branch before it joins the stream (Gemma 2) */
    bool norm_plus_one;  /* weights of norms are kept less 1 (Gemma) */
    double norm_eps;
    double embed_scale; /* of token embeddings (Gemma: sqrt(width)); 0: none */
    bool embed_norm;    /* norm of the embeddings (BERT) */
    bool parallel;      /* both branches read the block's input (NeoX) */
    bool final_norm;    /* norm before the head (pre-norm models) */
    enum position_kind position;
    int64_t position_offset; /* first position id (RoBERTa: 2) */
    double rope_theta;
    int64_t rope_dims; /* rotated dimensions of a head */
    enum rope_scaling rope_scaling;
    double rope_factor;         /* of the context */
    int64_t rope_original;      /* context of the first training */
    double rope_low, rope_high; /* llama3: low_, high_freq_factor; yarn: beta_slow, beta_fast */
    double rope_attention;      /* factor of cosines and sines (yarn, longrope); 0: 1 */
    bool rope_exact;            /* yarn: the ramp's ends are not made whole */
    struct config_numbers rope_short, rope_long; /* longrope: divisors of the frequencies */
    bool causal;
    int64_t window;         /* 0: none */
    int64_t window_every;   /* every so many layers one has no window (Gemma 2: 2); 0: all have */
    double attention_scale; /* 1 / sqrt(head_size) */
    bool qk_norm;           /* of each head's query and key, before the rotation (Qwen3) */
    double attention_softcap, logit_softcap; /* x -> cap tanh(x / cap); 0: none */
    bool qkv_bias, out_bias, mlp_bias;
    enum activation act;
    bool gated;    /* act(gate) * up */
    bool tied;     /* the head is the token embedding */
    int64_t types; /* token types; 0: none */
    bool mlm_head; /* dense + act + norm before the decoder, decoder bias (BERT) */
    double init_std;
};

/* Defaults of an architecture by name ("gpt2", "llama", "bert"); sizes are then set by the caller.
 * ERR_USAGE. */
enum err model_config_preset(struct errctx *e, const char *arch, struct model_config *out) MUST_USE;
/* Derived values (head_size, mlp, kv_heads 0 -> default), then all cross checks. ERR_USAGE names
 * the field. */
enum err model_config_finish(struct errctx *e, struct model_config *c) MUST_USE;
enum err model_config_to_meta(struct errctx *e, const struct model_config *c,
                              struct mp_value *map) MUST_USE;
/* ERR_INPUT names a missing, unknown or out-of-range key. */
enum err model_config_from_meta(struct errctx *e, const struct mp_value *map,
                                struct model_config *c) MUST_USE;
/* From a JSON file with the same keys (`init --config`), which is recorded in `run` (may be NULL)
 * as the input "config". "arch" is needed and gives the defaults of the others; sizes that are
 * missing stay 0 for model_config_finish. */
enum err model_config_from_json(struct errctx *e, struct run *run, const char *path,
                                struct model_config *c) MUST_USE;
int64_t model_config_parameters(const struct model_config *c);

#endif
