/* SPDX-License-Identifier: Apache-2.0 */
/* vec_functions_avx512.c: the vector functions compiled for avx512. */
#include "kernels/cpu/vec_avx512.h"
#include "kernels/cpu/vec_math.h"
/* after the vectors */
#include "tests/kernels/vec_functions.inc"

const struct vec_functions vec_functions_avx512 = {"avx512", do_exp,    do_sigmoid,
                                                   do_tanh,  do_normal, do_narrow};
