/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate.h: a model judged on token streams: loss, perplexity, bits per byte and character,
 * accuracy, with bootstrap intervals over documents.
 *
 *     rows -> micro-batches of whole grains -> loss and rank of each scored token
 *          -> sums per document -> ratios of sums
 *
 * A document is all rows with one `doc`: its cuts, wherever they stand, and its duplicates. Sums
 * are taken in the order of rows, so results do not depend on threads or on the micro-batch.
 *
 * Bits per byte (character) = loss in bits of all scored tokens / bytes (characters) they stand
 * for. They exist where every token of the text is scored once: causal models and
 * pseudo-likelihood, without loss masks or weights; else NaN.
 *
 * Pseudo-likelihood: each token in turn is replaced by the mask and predicted from all others
 * (Salazar et al. 2020, "Masked language model scoring"); a row of n tokens costs n rows.
 *
 * Usage: evaluation_new, evaluation_read per stream, evaluation_finish once, evaluation_free. */
#ifndef GRAFT_JUDGE_EVALUATE_H
#define GRAFT_JUDGE_EVALUATE_H

#include "common/base/opts.h"
#include "common/judge/statistics.h"
#include "common/model/model.h"
#include "common/model/objective.h"
#include "formats/tokens.h"

struct evaluate_document {
    uint64_t doc;
    int64_t rows;
    double loss;   /* sum of weight * loss over scored tokens, nats */
    double scored; /* sum of weights: tokens */
    double top1, top5;
    double bytes, chars;
};

/* Windows over whole documents, for figures beside those of other programs:
 *   rolling   lm-evaluation-harness: every token is scored once. The first window begins with the
 *             row's first token, each later one with the last token before those it scores, the
 *             last with as many tokens before as make it full
 *   half      llama.cpp: windows side by side, of each the second half is scored; what is left over
 *             at the end is not. Each begins with bos, where the row does and the tokenizer's
 *             template puts it there. The end-of-text token does not count, nor what a row begins
 *             with else */
enum evaluate_window { WINDOW_ROW, WINDOW_ROLLING, WINDOW_HALF };

struct evaluate_cfg {
    int64_t micro_tokens, grain;
    int64_t rows;      /* at most; 0: all */
    int64_t bootstrap; /* resamples; 0: no intervals */
    double confidence;
    int64_t seed;   /* of masks and resamples */
    bool pseudo;    /* masked models: pseudo-likelihood */
    int window;     /* enum evaluate_window */
    int64_t length; /* tokens of a window; 0: the model's context */
};
extern const struct opt evaluate_table[]; /* all but seed */
#define EVALUATE_CFG                                                                               \
    ((struct evaluate_cfg){                                                                        \
        .micro_tokens = 4 << 10, .grain = 1 << 10, .bootstrap = 1000, .confidence = 0.95})

enum evaluate_metric {
    METRIC_LOSS,
    METRIC_PERPLEXITY,
    METRIC_BITS_PER_BYTE,
    METRIC_BITS_PER_CHAR,
    METRIC_TOP1,
    METRIC_TOP5,
    METRIC_COUNT
};
const char *evaluate_metric_name(enum evaluate_metric m); /* "loss", "bits_per_byte", "top1", ... */

struct evaluate_result {
    int64_t documents, rows;
    int64_t window_tokens; /* 0: rows as they are */
    double scored, bytes, chars;
    struct interval metric[METRIC_COUNT];
};

struct evaluation;

/* The model must have been opened with evaluate_fit. ERR_USAGE: --pseudo-likelihood of a causal
 * model. */
enum err evaluation_new(struct errctx *e, struct model *m, const struct objective_cfg *objective,
                        const struct evaluate_cfg *cfg, struct evaluation **out) MUST_USE;
void evaluation_free(struct evaluation *v);
/* For model_use.fit, with the evaluate_cfg as fit_ctx: memory for a micro-batch or the longest row.
 */
void evaluate_fit(struct model_use *use, const struct model_config *c);

/* Reads a tokens stream to its end (or the rows that are still wanted, and drains it). ERR_INPUT:
 * another tokenizer than the model's, a row longer than the context, an id out of range, a loss
 * that is not finite. */
enum err evaluation_read(struct errctx *e, struct evaluation *v,
                         struct stream_reader *input) MUST_USE;

/* Computes the result. ERR_INPUT when nothing was scored. */
enum err evaluation_finish(struct errctx *e, struct evaluation *v,
                           struct evaluate_result *out) MUST_USE;

/* The documents in the order of their first rows, after evaluation_finish. */
const struct evaluate_document *evaluation_documents(const struct evaluation *v, int64_t *count);

#endif
