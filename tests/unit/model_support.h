/* SPDX-License-Identifier: Apache-2.0 */
/* model_support.h: what the tests of the model share: small models of each architecture with
 * weights of ordinary size, and ragged batches. All numbers are functions of their place (Philox),
 * so that every test sees the same. */
#ifndef GRAFT_TESTS_MODEL_SUPPORT_H
#define GRAFT_TESTS_MODEL_SUPPORT_H

#include "common/model/model.h"

extern const char *const support_archs[3]; /* gpt2, llama (grouped, untied), bert */

/* A pool and a backend for it; failures end the test. */
struct support {
    struct pool *pool;
    struct kernels k;
};
void support_open(struct support *s, const char *device, int threads);
void support_close(struct support *s);

/* 2 layers, 16 wide, 4 heads, 37 tokens, context 24. */
struct model_config support_config(const char *arch);
/* 2 layers, 48 wide, 6 heads, 301 tokens, context 96: wider than a tile of any kernel somewhere. */
struct model_config support_config_wide(const char *arch);
/* Opens a model with support_weights. */
struct model *support_model(struct support *s, const struct model_config *c,
                            const struct model_use *use);
/* Matrices N(0, 0.25), biases N(0, 0.1), norms N(1, 0.2): nothing is zero, so nothing hides. */
void support_weights(struct model *m);
/* Rows of the lengths given, in grains of `grain` tokens; causal: the next token, else every third
 * place, weights 0.5 .. 1.5; `ordinal` of the first row. Closed. */
void support_batch(struct batch *b, const struct model_config *c, int64_t grain, int64_t rows,
                   const int64_t *lengths, int64_t ordinal);
/* forward, loss (+ backward): the sum of losses. */
double support_loss(struct model *m, const struct batch *b, bool gradient);
/* The numbers of a flat buffer on the host. */
float *support_numbers(struct model *m, struct buf b);
void support_zero_gradients(struct model *m);

#endif
