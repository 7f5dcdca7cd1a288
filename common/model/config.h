/* SPDX-License-Identifier: Apache-2.0 */
/* config.h: the shape of the one transformer: orthogonal fields, of which GPT-2, Llama, BERT are
 * values.
 *
 * Travels as meta "config" of a model stream (a msgpack map whose keys are the field names below).
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

struct model_config {
    char arch[32]; /* "gpt2" | "llama" | "bert": for people; nothing depends on it */
    int64_t vocab, layers, width, heads, kv_heads, head_size, mlp, context;
    enum norm_kind norm; /* "layer" | "rms" */
    bool norm_post;      /* norm after the residual sum (BERT), else before the block */
    double norm_eps;
    bool embed_norm; /* norm of the embeddings (BERT) */
    bool final_norm; /* norm before the head (pre-norm models) */
    enum position_kind position;
    int64_t position_offset; /* first position id (RoBERTa: 2) */
    double rope_theta;
    int64_t rope_dims; /* rotated dimensions of a head */
    bool causal;
    int64_t window;         /* 0: none */
    double attention_scale; /* 1 / sqrt(head_size) */
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
