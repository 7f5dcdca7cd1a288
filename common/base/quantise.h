/* SPDX-License-Identifier: Apache-2.0 */
/* quantise.h: rows of floats into blocks of few bits (the way back is base/blocks.h).
 *
 *   Q8_0   32 values: d, 32 x i8            d = max |x| / 127           q = round(x / d)
 *   Q4_0   32 values: d, 32 x 4 bits        d = (x of max |x|) / -8     q = x / d + 8, 0 to 15
 *   Q4_1   32 values: d, m, 32 x 4 bits     d = (max - min) / 15        q = (x - m) / d, m = min
 *
 * d and m are F16; of the two values in a byte the lower four bits come first in the row and the
 * upper four sixteen later. Rounding is half away from zero, by a multiplication with 1 / d in F32:
 * the bytes are those of ggml's reference (ggml-quants.c, quantize_row_*_ref). */
#ifndef GRAFT_BASE_QUANTISE_H
#define GRAFT_BASE_QUANTISE_H

#include "common/base/dtype.h"

enum { QUANTISE_BLOCK = 32 };

/* Q8_0, Q4_0 and Q4_1. */
bool quantise_can(enum dtype t);
/* n values, whole blocks of them, all finite, to n / 32 blocks at `to`. Returns the first value
 * whose block has a scale that F16 cannot hold, or -1: that block is not to be used. */
int64_t quantise_row(enum dtype t, const float *x, int64_t n, uint8_t *to);

#endif
