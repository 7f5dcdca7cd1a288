/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.h: the fast host backend, by vector level. */
#ifndef GRAFT_KERNELS_CPU_CPU_H
#define GRAFT_KERNELS_CPU_CPU_H

#include "kernels/internal.h"

/* What is written once for vectors and compiled for each level. */
void cpu_fill_avx2(struct kernels *k);
void cpu_fill_avx512(struct kernels *k);
/* What is written for any level: the matrix product. After one of the above. */
void cpu_fill(struct kernels *k);

#endif
