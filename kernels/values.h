/* SPDX-License-Identifier: Apache-2.0 */
/* values.h: numbers of any type that weights are stored in, as F32: in host memory, without a
 * struct kernels.
 *
 * A block holds a scale d (F16) and small integers q; what a value is:
 *
 *   Q8_0  32   d q                  q from -128 on      Q4_K  256   8 sub-blocks of 32, each with a
 *   Q4_0  32   d (q - 8)            4 bits                          6-bit scale s and minimum m:
 *   Q4_1  32   d q + m              m: F16                          (d s) q - (e m), e: F16, 4 bits
 *   Q5_0  32   d (q - 16)           5 bits              Q5_K  256   the same, 5 bits
 *   Q5_1  32   d q + m              m: F16              Q6_K  256   16 sub-blocks of 16, 8-bit
 *                                                                   scales: (d s) (q - 32), 6 bits
 *
 *   NF4   64   d dtype_nf4[q]       4 bits, d: F32; of two neighbours in a byte the first stands
 *                                   in the upper four
 *
 * Each product and sum is rounded to F32 in the order written, as ggml's reference code and
 * gguf-py, for NF4 bitsandbytes, do: the same bits.
 *
 * NF4_DQ is NF4 whose scales are quantised in turn: a block has one of 256 codes c for its scale,
 * d = dtype_dynamic[c] s + m, with s for 256 blocks and m for the tensor: F32 numbers m, s, s, ..
 * that stand in a tensor of their own, NAME.scales for the tensor NAME. quantise_restore
 * (base/quantise.h) makes NF4 of it; the functions here do not take it. */
#ifndef GRAFT_KERNELS_VALUES_H
#define GRAFT_KERNELS_VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/dtype.h"

/* to[i] = value i of `from` (little-endian, any alignment), a float or block-quantised type;
 * elements: whole units. F64 is rounded. */
void values_to_f32(enum dtype t, const void *from, int64_t elements, float *to);
/* How many of them are NaN or infinite; which one is the first, or -1. Of blocks only the scales
 * are looked at, unless one is bad. */
int64_t values_not_finite(enum dtype t, const void *from, int64_t elements);
int64_t values_first_not_finite(enum dtype t, const void *from, int64_t elements);
/* The same values as type `to`: that which they have, F32, or BF16 (rounded to nearest even). */
void values_as(enum dtype t, const void *from, int64_t elements, enum dtype to, void *out);

#endif
