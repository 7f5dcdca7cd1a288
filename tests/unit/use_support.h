/* SPDX-License-Identifier: Apache-2.0 */
/* use_support.h: what the tests of judging and generating share: a tokenizer of single bytes, small
 * models that have it, and token streams of texts. Failures end the test. */
#ifndef GRAFT_TESTS_USE_SUPPORT_H
#define GRAFT_TESTS_USE_SUPPORT_H

#include "common/model/model.h"

struct use_support {
    struct pool *pool;
    struct kernels k;
    struct tokenizer_spec spec;
    struct model_config config;
};
/* Opens threads, kernels and the tokenizer for "llama" or "bert" of context 32, V = 257 or 260. */
void use_support_open(struct use_support *s, const char *arch, int threads);
void use_support_close(struct use_support *s);

/* A model with random weights, spread so widely that its choices differ. */
struct model *use_support_model(struct use_support *s, const struct model_use *use);
/* A model that continues each byte of the cycle by the next one, with near certainty. Distinct
 * bytes, at most 16. */
struct model *use_support_cycle(struct use_support *s, const char *cycle);

/* Writes each text as a document, cut at `length`, to the file. */
void use_support_tokens(struct use_support *s, const char *path, const char *const *texts, size_t n,
                        int64_t length);

#endif
