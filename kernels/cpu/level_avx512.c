/* SPDX-License-Identifier: Apache-2.0 */
/* level_avx512.c: the vector kernels, compiled for AVX-512 (F, BW, VL, DQ). */
#include "kernels/cpu/vec_avx512.h"
/* after its vectors */
#include "kernels/cpu/level.inc"

void cpu_fill_avx512(struct kernels *k)
{
    level_fill(k);
}
