/* SPDX-License-Identifier: Apache-2.0 */
/* vec_functions_avx2.c: the vector functions compiled for avx2. */
#include "kernels/cpu/vec_avx2.h"
#include "kernels/cpu/vec_math.h"
/* after the vectors */
#include "tests/kernels/vec_functions.inc"

const struct vec_functions vec_functions_avx2 = {"avx2",  do_exp,    do_sigmoid,
                                                 do_tanh, do_normal, do_narrow};
