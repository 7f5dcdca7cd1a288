/* SPDX-License-Identifier: Apache-2.0 */
/* statistics.h: how sure a figure is: percentile bootstrap intervals of ratios of sums over units.
 *
 *   units      x[i][c], i < n, drawn independently (documents, not tokens: tokens of one document
 *              are alike)
 *   ratio      R = sum_i x[i][a] / sum_i x[i][b]
 *   resample   n units drawn with replacement, and R of them
 *   interval   between the (1 - confidence) / 2 and the (1 + confidence) / 2 quantile of R over
 *              many resamples
 *
 * Draws are Philox numbers of (seed, resample, place): the same for any number of threads. A draw
 * is w n / 2^32 for a word w, off uniform by less than n / 2^32.
 *
 * Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13; quantiles: Hyndman
 * and Fan 1996, type 7. */
#ifndef GRAFT_JUDGE_STATISTICS_H
#define GRAFT_JUDGE_STATISTICS_H

#include <stdint.h>
#include "common/base/err.h"
#include "common/base/pool.h"

struct interval {
    double value, low, high; /* NaN where there is none */
};

struct bootstrap_cfg {
    int64_t resamples; /* 0: no intervals */
    double confidence;
    uint64_t seed;
};

struct bootstrap_ratio {
    int numerator, denominator; /* columns */
};

/* out[r] for each ratio: value over all units; low and high are NaN with fewer than two units or
 * without resamples. A ratio whose denominator is 0 is NaN; resamples in which it is so are left
 * out. units: row-major [n, columns]. */
enum err bootstrap_ratios(struct errctx *e, struct pool *pool, const double *units, int64_t n,
                          int columns, const struct bootstrap_ratio *ratios, int count,
                          const struct bootstrap_cfg *cfg, struct interval *out) MUST_USE;

/* The q-quantile (0 <= q <= 1) of n sorted numbers, linear between neighbours; NaN when n is 0. */
double statistics_quantile(const double *sorted, int64_t n, double q);

#endif
