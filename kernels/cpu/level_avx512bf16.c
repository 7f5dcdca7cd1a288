/* SPDX-License-Identifier: Apache-2.0 */
/* level_avx512bf16.c: the same, where the processor rounds to BF16 by itself. */
#include "kernels/cpu/vec_avx512.h"
/* after its vectors */
#include "kernels/cpu/level.inc"

void cpu_fill_avx512_narrow(struct kernels *k)
{
    level_fill(k);
}
