/* SPDX-License-Identifier: Apache-2.0 */
/* rope.h: angles of rotary positions as tables of cosines and sines, with every scaling that
 * reaches beyond the context of the first training. L is the length of the row so far.
 *
 *   linear    frequency / factor
 *   dynamic   base (factor L / original - factor + 1)^(R / (R - 2)) once L > original: rows longer
 *             than it each have their own angles
 *   yarn      from frequency / factor to frequency along a ramp of the dimensions
 *   llama3    from frequency / factor to frequency along a ramp of the wavelengths
 *   longrope  frequency / short, or / long once L > original
 *
 * Numbers are rounded to F32 where transformers rounds them, because checkpoints were trained with
 * these. Reference: transformers, modeling_rope_utils.py. */
#ifndef GRAFT_MODEL_ROPE_H
#define GRAFT_MODEL_ROPE_H

#include "common/model/config.h"

/* Whether a token's angles depend on its row's length: on one of two tables (longrope), or so that
 * each pass needs tables of its own (dynamic). */
bool rope_by_length(const struct model_config *c);
bool rope_by_pass(const struct model_config *c);

/* Rows of the model's tables: the positions, with longrope those of long rows behind them. */
int64_t rope_rows(const struct model_config *c);
/* Fills them: [rows][rope_dims / 2]. */
void rope_tables(const struct model_config *c, float *cosine, float *sine);
/* Where the table of a row of `length` begins among them. */
int64_t rope_table_of(const struct model_config *c, int64_t length);

/* The angles of n positions from `first` on in a row of `length`: [n][rope_dims / 2]. */
void rope_fill(const struct model_config *c, int64_t first, int64_t n, int64_t length,
               float *cosine, float *sine);

#endif
