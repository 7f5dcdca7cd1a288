/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h: some rows laid end to end, cut into grains, ready for a model: the place where tokens
 * become arrays.
 *
 * A grain is whole rows, at most `grain` tokens (a longer row is a grain of its own), padded with
 * ids -1 to a multiple of KERNEL_STEP. The cut into grains follows from the rows and the grain size
 * only.
 *
 * A row may begin with tokens of the row before it, which are not computed again
 * (batch_append_after): rows that share beginnings are a tree, walked depth first. */
#ifndef GRAFT_MODEL_BATCH_H
#define GRAFT_MODEL_BATCH_H

#include <stdint.h>
#include "common/base/err.h"
#include "kernels/kernels.h"

struct batch {
    int64_t tokens; /* N, padding included */
    int64_t rows;   /* B */
    int64_t grains;
    int32_t *ids;      /* [N]; -1: padding */
    int32_t *position; /* [N] within its row (0 .., or row_before ..) */
    int32_t *type;     /* [N]; 0 without token types */
    int32_t *target;   /* [N] id to predict at this place; -1: not scored */
    float *weight;     /* [N] weight of that loss */
    uint32_t *ordinal; /* [N] row's ordinal in the stream (low 32 bits), for random numbers */
    int32_t *row_start, *row_length; /* [B] */
    int32_t *row_before;             /* [B] tokens it has from the row before it; mostly 0 */
    bool shares;                     /* some have */
    int64_t *row_ordinal;            /* [B] */
    int64_t *grain_start;            /* [grains + 1] tokens */
    double scored;                   /* sum of weights of scored places */
    int64_t real;                    /* tokens without padding */
    int64_t capacity_tokens, capacity_rows;
};

enum err batch_init(struct errctx *e, struct batch *b, int64_t capacity_tokens,
                    int64_t capacity_rows) MUST_USE;
void batch_fini(struct batch *b);
void batch_clear(struct batch *b);

/* Most padded tokens that `tokens` tokens in rows can become (for the arena): depends on grain and
 * the longest row. */
int64_t batch_padded(int64_t tokens, int64_t grain, int64_t longest);

/* Appends a row of n ids: opens a new grain when the current one would exceed `grain` tokens.
 * targets/weights [n] (see objective.h) or NULL (nothing scored). Grows the arrays when needed. */
enum err batch_append(struct errctx *e, struct batch *b, int64_t grain, int64_t n,
                      const uint32_t *ids, const uint8_t *types, const int32_t *targets,
                      const float *weights, int64_t ordinal) MUST_USE;
/* The same for a row of `before` + n tokens, the first of which are those that the row appended
 * last begins with, its own and those it has from others: only the n behind are given. They join
 * that row's grain. For models opened with model_use.shares. */
enum err batch_append_after(struct errctx *e, struct batch *b, int64_t before, int64_t n,
                            const uint32_t *ids, const int32_t *targets, const float *weights,
                            int64_t ordinal) MUST_USE;
/* Pads the last grain. To be called before use. */
enum err batch_close(struct errctx *e, struct batch *b) MUST_USE;
struct grid batch_grid(const struct batch *b);
/* Replaces `out` (initialised) by a copy of the grains first .. first + count - 1 of a closed
 * batch: a micro-batch. */
enum err batch_slice(struct errctx *e, const struct batch *b, int64_t first, int64_t count,
                     struct batch *out) MUST_USE;

#endif
