/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate.h: a model judged on a token stream: loss, perplexity, bits per byte and character, accuracy, with bootstrap
 * intervals over documents. Batches are ragged; results do not depend on threads or micro-batch. */
#ifndef GRAFT_JUDGE_EVALUATE_H
#define GRAFT_JUDGE_EVALUATE_H

#include "common/base/opts.h"
#include "common/model/model.h"
#include "common/model/objective.h"
#include "formats/tokens.h"

struct evaluate_document { /* one document: all its cuts */
    uint64_t doc;
    int64_t rows;
    double loss;   /* sum over scored tokens, nats */
    double scored; /* tokens */
    double top1, top5;
    double bytes, chars;
};

struct evaluate_cfg {
    int64_t micro_tokens, grain;
    int64_t rows;          /* at most; 0: all */
    int64_t bootstrap;     /* resamples; 0: no intervals */
    double confidence;
    int64_t seed;
    bool pseudo;           /* masked models: pseudo-likelihood, each token masked in turn */
};
#define EVALUATE_CFG                                                                               \
    ((struct evaluate_cfg){.micro_tokens = 4 << 10, .grain = 1 << 10, .bootstrap = 1000, .confidence = 0.95})

struct interval {
    double value, low, high;
};
struct evaluate_result {
    int64_t documents, rows;
    double scored, bytes, chars;
    struct interval loss, perplexity, bits_per_byte, bits_per_char, top1, top5;
};

/* Reads `input` (to its end, or cfg->rows then drained). `each` (may be NULL) is called per document, in order of first cut. */
enum err evaluate_run(struct errctx *e, struct model *m, struct stream_reader *input, const struct objective_cfg *objective,
                      const struct evaluate_cfg *cfg,
                      enum err (*each)(struct errctx *e, void *ctx, const struct evaluate_document *d), void *ctx,
                      struct evaluate_result *out) MUST_USE;

#endif
