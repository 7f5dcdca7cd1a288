/* SPDX-License-Identifier: Apache-2.0 */
/* vec_functions.h: the vector functions of each level on arrays of n (a multiple of 16) floats, for
 * test_vec_math.c. */
#ifndef GRAFT_TESTS_KERNELS_VEC_FUNCTIONS_H
#define GRAFT_TESTS_KERNELS_VEC_FUNCTIONS_H

#include <stdint.h>

struct vec_functions {
    const char *level;
    void (*exp)(int64_t n, const float *x, float *y);
    void (*sigmoid)(int64_t n, const float *x, float *y);
    void (*tanh)(int64_t n, const float *x, float *y);
    void (*normal)(int64_t n, const float *x, float *y); /* the distribution function */
    void (*narrow)(int64_t n, const float *x, uint16_t *y);
};

extern const struct vec_functions vec_functions_avx2, vec_functions_avx512;

#endif
