/* SPDX-License-Identifier: Apache-2.0 */
/* decoder.h: a causal model that reads one token after another: key/value caches of several
 * sequences, each of whose numbers are the same alone and in company. */
#ifndef GRAFT_MODEL_DECODER_H
#define GRAFT_MODEL_DECODER_H

#include "common/model/model.h"

/* Key/value caches of up to `sequences` sequences of `context` tokens each, and the memory of its
 * own passes: the model may be opened with tokens = 0. */
struct decoder;
enum err decoder_new(struct errctx *e, struct model *m, int64_t sequences, int64_t context,
                     struct decoder **out) MUST_USE;
void decoder_free(struct decoder *d);
/* Adds what decoder_new would allocate to a plan. */
enum err decoder_plan(struct errctx *e, const struct model_config *c, const struct model_use *model,
                      int64_t sequences, int64_t context, struct plan *out) MUST_USE;
/* Forgets sequence s. */
void decoder_reset(struct decoder *d, int64_t s);
int64_t decoder_length(const struct decoder *d, int64_t s);
/* Appends n tokens to sequence s (a prompt: computed as one grain, the same for every company and
 * however much of it is there already, see decoder_shared); logits F32 [V] of the last one,
 * host. */
enum err decoder_prompt(struct errctx *e, struct decoder *d, int64_t s, int64_t n,
                        const uint32_t *ids, float *logits) MUST_USE;
/* Makes sequence `to` the first n tokens of sequence `from`, which may have been forgotten since: a
 * prompt that has been computed is computed for all its continuations. */
void decoder_copy(struct decoder *d, int64_t from, int64_t to, int64_t n);
/* How many of its first tokens, `alike` of which another sequence has, a prompt of n tokens can
 * take from there and be to the bit what it is when all of it is computed; less than n. */
int64_t decoder_shared(const struct decoder *d, int64_t alike, int64_t n);
/* Appends one token to each of the listed sequences; logits F32 [count, V], host. A sequence's
 * numbers do not depend on the others. */
enum err decoder_step(struct errctx *e, struct decoder *d, int64_t count, const int64_t *sequences,
                      const uint32_t *ids, float *logits) MUST_USE;

#endif
