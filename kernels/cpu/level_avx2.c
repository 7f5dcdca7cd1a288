/* SPDX-License-Identifier: Apache-2.0 */
/* level_avx2.c: the vector kernels, compiled for AVX2 with FMA. */
#include "kernels/cpu/vec_avx2.h"
/* after its vectors */
#include "kernels/cpu/level.inc"

void cpu_fill_avx2(struct kernels *k)
{
    level_fill(k);
}
