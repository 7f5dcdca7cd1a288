/* SPDX-License-Identifier: Apache-2.0 */
/* logprobs.h: what a causal model gives every token of a vocabulary at each place of a row, as
 * log-probabilities at a temperature: of all tokens, or of the likeliest and of the rest together.
 *
 *     tokens -> row_pass -> runs of rows -> chunks of places -> logits (n, V) -> a task is a place:
 *            x = logit / temperature,  logp = x - log sum exp x       (in double precision)
 *
 * A row of kind logits is its tokens row with all its columns, and, for T tokens,
 *   top   U16 or U32 ragged, T K   ids, place by place, the likeliest first, of equals the lowest
 *   logp  F32 ragged, T K          their log-probabilities, nats; without a limit T V, by id
 *   rest  F32 ragged, T            log of what all others have together; with a limit only
 * Place t is what the model expects behind token t.
 *
 * meta: that of the tokens, and "base" (id of the model), "temperature", "top" (K, 0: all). The
 * (T, V) logits of a batch never exist whole. */
#ifndef GRAFT_USE_LOGPROBS_H
#define GRAFT_USE_LOGPROBS_H

#include "common/use/row_pass.h"

struct logprobs_cfg {
    int64_t top; /* 0: all */
    double temperature;
};
extern const struct opt logprobs_table[];
#define LOGPROBS_CFG ((struct logprobs_cfg){.temperature = 1})

struct logprobs;
/* The begin of the output for tokens that begin with `tokens`. ERR_INPUT: a model that is not
 * causal. ERR_USAGE: more likeliest tokens than there are. */
enum err logprobs_new(struct errctx *e, struct model *m, const struct logprobs_cfg *cfg,
                      const struct stream_begin *tokens, struct stream_begin *begin,
                      struct logprobs **out) MUST_USE;
void logprobs_free(struct logprobs *l);
/* Where rows go; before the first. */
void logprobs_set_output(struct logprobs *l, struct stream_writer *w);
/* For row_pass_run, with the logits as ctx. */
enum err logprobs_batch(struct errctx *e, void *logits, const struct batch *b,
                        const struct stream_rows *rows) MUST_USE;

#endif
