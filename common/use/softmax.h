/* SPDX-License-Identifier: Apache-2.0 */
/* softmax.h: exponentials of all scores of a vocabulary and their sum, several at a time. The bits
 * follow from the scores only, on every CPU. */
#ifndef GRAFT_USE_SOFTMAX_H
#define GRAFT_USE_SOFTMAX_H

#include <stdint.h>

/* Scores whose weights are added by themselves, before the sums are. */
enum { SOFTMAX_BLOCK = 64 };

/* The highest of x[0 .. n); -infinity where there is none. No x is NaN. */
double softmax_top(const double *x, int64_t n);

/* weight[i] = exp(x[i] - top), within 2 units of the last place; 0 below e^-708. x[i] <= top, which
 * is finite; x[i] may be -infinity. sum[b]: the sum of block b. Returns the sum of these, in order.
 */
double softmax_weights(const double *x, int64_t n, double top, double *weight, double *sum);

#endif
