/* SPDX-License-Identifier: Apache-2.0 */
/* quantise.h: rows of floats into blocks of few bits (the way back is kernels/values.h).
 *
 *   Q8_0   32 values: d, 32 x i8            d = max |x| / 127           q = round(x / d)
 *   Q4_0   32 values: d, 32 x 4 bits        d = (x of max |x|) / -8     q = x / d + 8, 0 to 15
 *   Q4_1   32 values: d, m, 32 x 4 bits     d = (max - min) / 15        q = (x - m) / d, m = min
 *
 * d and m are F16; of the two values in a byte the lower four bits come first in the row and the
 * upper four sixteen later. Rounding is half away from zero, by a multiplication with 1 / d in F32:
 * the bytes are those of ggml's reference (ggml-quants.c, quantize_row_*_ref).
 *
 *   NF4    64 values: d, 32 x 2 x 4 bits    d = max |x|, F32            the code nearest to x / d
 *
 * by comparing x (1 / d) with the middles between codes; in the middle it is the lower one. As
 * bitsandbytes has it (backends/default/ops.py), whose blocks and scales stand in two tensors.
 * quantise_scales makes NF4_DQ of it, the scales of which are in 8 bits (values.h). */
#ifndef GRAFT_BASE_QUANTISE_H
#define GRAFT_BASE_QUANTISE_H

#include "common/base/dtype.h"

/* Most values of a block. */
enum { QUANTISE_BLOCK = 64 };

/* Q8_0, Q4_0, Q4_1 and NF4. */
bool quantise_can(enum dtype t);
/* n values, whole blocks of them, all finite, to blocks at `to`. Returns the first value whose
 * block has a scale that F16 cannot hold, or -1: that block is not to be used. */
int64_t quantise_row(enum dtype t, const float *x, int64_t n, uint8_t *to);
/* The scales of n blocks of NF4 to codes of 8 bits: blocks of NF4_DQ at `to`, which may be
 * `blocks`, and dtype_scales numbers at `scales`: their mean (of the exact sum), then for 256
 * blocks each the largest distance from it; a code is that of distance / largest. The bytes are
 * those of bitsandbytes 0.50 on a CPU, but where its sum is rounded otherwise. */
void quantise_scales(const uint8_t *blocks, int64_t n, uint8_t *to, float *scales);
/* The way back: blocks first .. + n of a tensor in NF4_DQ as NF4; scales: of the whole tensor. */
void quantise_restore(const uint8_t *from, int64_t first, int64_t n, const float *scales,
                      uint8_t *to);

#endif
