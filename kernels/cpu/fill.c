/* SPDX-License-Identifier: Apache-2.0 */
/* fill.c: registration of the vector levels. */
#include "kernels/cpu/cpu.h"
void cpu_fill_avx2(struct kernels *k)
{
    (void)k;
}
void cpu_fill_avx512(struct kernels *k)
{
    (void)k;
}
void cpu_fill(struct kernels *k)
{
    (void)k;
}
