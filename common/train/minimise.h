/* SPDX-License-Identifier: Apache-2.0 */
/* minimise.h: the minimum of a smooth function of many variables: L-BFGS (Liu and Nocedal, "On the
 * limited memory BFGS method for large scale optimization", Mathematical Programming 45, 1989) with
 * steps that meet the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization,
 * algorithms 3.5, 3.6 and 7.5).
 *
 * All in double, in one order: the same start gives the same bits. For functions whose value and
 * gradient cost far more than the vectors do. */
#ifndef GRAFT_TRAIN_MINIMISE_H
#define GRAFT_TRAIN_MINIMISE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"

/* f and gradient g [n] at x [n]. */
typedef enum err minimise_fn(struct errctx *e, void *ctx, const double *x, double *f, double *g);

struct minimise_cfg {
    int64_t most;     /* iterations */
    double tolerance; /* of the largest element of the gradient, where it is done */
    int64_t history;  /* pairs kept */
};
#define MINIMISE_CFG ((struct minimise_cfg){.most = 1000, .tolerance = 1e-6, .history = 10})

struct minimise_result {
    int64_t iterations, evaluations;
    double f, gradient; /* largest element */
    bool converged;     /* else `most`, or no step that makes f smaller in its last digits */
};

/* x is the start, and becomes the minimum. ERR_IO: f is not finite at the start. Errors of fn are
 * passed on. */
enum err minimise(struct errctx *e, int64_t n, double *x, minimise_fn *fn, void *ctx,
                  const struct minimise_cfg *cfg, struct minimise_result *out) MUST_USE;

#endif
