/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.h: from the logits of one place to the next token, through a chain of stages whose order
 * is the user's.
 *
 *     logits -> stage -> stage -> ... -> softmax -> inverse CDF in order of ids, at u in [0, 1)
 *
 *   penalty      scores of tokens that stand in the history: s / r if s > 0, s * r otherwise
 *   temperature  s / t; t = 0: the highest score wins whatever the other stages do, of equals the
 *                lowest id
 *   top-k        keeps the k highest scores and what equals the last of them
 *   top-p        keeps the fewest highest scores whose probabilities reach p (of equals lower ids
 *                first)
 *   min-p        keeps what has at least m times the probability of the best
 *
 * Probabilities are taken at the stage's own place in the chain, so the order matters. Two orders
 * have names: "huggingface" (the default) and "llama.cpp". Arithmetic is in double precision.
 *
 * Sources: transformers generation/logits_process.py; llama.cpp common/sampling.cpp. Owner:
 * sampler_new's caller, sampler_free; the kernels are borrowed. A sampler is used by one thread at
 * a time. */
#ifndef GRAFT_USE_SAMPLER_H
#define GRAFT_USE_SAMPLER_H

#include <stdint.h>
#include "common/base/err.h"
#include "common/base/opts.h"
#include "kernels/kernels.h"

struct sampler_cfg {
    double temperature;
    int64_t top_k;     /* 0: all */
    double top_p;      /* 1: all */
    double min_p;      /* 0: all */
    double repetition; /* the penalty's r; 1: none */
    const char *chain; /* names of stages with commas, or the name of an order */
};
extern const struct opt sampler_table[];
#define SAMPLER_CFG                                                                                \
    ((struct sampler_cfg){.temperature = 1, .top_p = 1, .repetition = 1, .chain = "huggingface"})

struct sampler;

/* ERR_USAGE: an unknown stage, a stage named twice, or an option whose stage the chain leaves out.
 */
enum err sampler_new(struct errctx *e, const struct kernels *k, const struct sampler_cfg *cfg,
                     int64_t vocab, struct sampler **out) MUST_USE;
void sampler_free(struct sampler *s);
/* Never draws this id: a hole in a vocabulary, a score without a token. */
void sampler_exclude(struct sampler *s, uint32_t id);

/* Draws an id from logits [V] at u in [0, 1), after history[0 .. n) (prompt and what has been
 * drawn; ids < V). ERR_INPUT when no logit is finite or one is NaN or +infinity. */
enum err sampler_draw(struct errctx *e, struct sampler *s, const float *logits,
                      const uint32_t *history, size_t n, double u, uint32_t *id) MUST_USE;

/* The scores [V] the last draw was made from, after the chain: -infinity for what it removed. With
 * temperature 0 only the penalty has been applied. */
const double *sampler_scores(const struct sampler *s);

/* log softmax(logits)[id]: what the model itself gives the token, in nats. */
double sampler_logprob(const struct sampler *s, const float *logits, uint32_t id);
/* The same of the id that the last draw gave from these logits. */
double sampler_drawn_logprob(const struct sampler *s, const float *logits, uint32_t id);

#endif
