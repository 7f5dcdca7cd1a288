/* SPDX-License-Identifier: Apache-2.0 */
/* features.h: one vector for each row of tokens: a layer's hidden states, pooled.
 *
 *     tokens -> row_pass -> hidden states (T, C) of a row -> pooling -> [normalise]
 *            -> a row of kind features: `x` F32 [C, or C for each pooling] and the columns of the
 *               tokens row that are not about single tokens
 *
 * Poolings are those of common/model/embedding.h, several laid side by side in their order there.
 * Normalise: x / max(|x|, 1e-12), Euclidean. What is not said is done as the model says of itself
 * (meta "embedding"), where it says nothing by the mean, without normalising.
 *
 * With a prompt, the tokens that it has by itself (but for those at its end) are no part of what is
 * pooled, where the model says so (include_prompt false), as sentence-transformers have it. Rows
 * must begin with them; the last one, which may have joined the text, is not looked at.
 *
 * Layer 0 is what the embeddings give, layer L what block L does; the last one is taken behind the
 * final norm, where the model has one (transformers' hidden_states). Sums are in double precision
 * in the order of tokens.
 *
 * meta: "base" (id of the model), "layer", "pooling" (list of names), "normalize", and what that of
 * the tokens stream says besides the tokens themselves. */
#ifndef GRAFT_USE_FEATURES_H
#define GRAFT_USE_FEATURES_H

#include "common/use/row_pass.h"

struct features_cfg {
    const char *pooling; /* names with commas; NULL: as the model says */
    bool normalize, normalize_given;
    int64_t layer;      /* -1: the last */
    const char *prompt; /* of the model's prompts the one that the texts begin with; NULL: none */
};
extern const struct opt features_table[];
#define FEATURES_CFG ((struct features_cfg){.layer = -1})
/* Notes whether --normalize was given, in either way. To be called after opts_parse. */
void features_note_given(struct features_cfg *cfg, const struct opt_set *sets);

/* The begin of the output for tokens that begin with `tokens`. ERR_USAGE: a layer that the model
 * has not, a pooling that is none, a prompt that the model has not. */
struct features;
enum err features_new(struct errctx *e, struct model *m, const struct features_cfg *cfg,
                      const struct stream_begin *tokens, struct stream_begin *begin,
                      struct features **out) MUST_USE;
void features_free(struct features *f);
/* Where rows go; before the first. */
void features_set_output(struct features *f, struct stream_writer *w);
/* For row_pass_run, with the features as ctx. */
enum err features_batch(struct errctx *e, void *features, const struct batch *b,
                        const struct stream_rows *rows) MUST_USE;

#endif
