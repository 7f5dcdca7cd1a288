/* SPDX-License-Identifier: Apache-2.0 */
/* cases.h: one table of cases drives every op of kernels.h in three modes.
 *
 *   test  the backend against the reference, and the laws: the same bits for 1, 2 and 4 threads,
 * for grains in one call or one by one, for any alignment and leading dimension; nothing outside
 * the operands is touched; NaN is not swallowed grad  backward ops against central differences of
 * the forward op perf  GFLOP/s or GB/s, beside what this machine can do
 *
 * A case is a shape; an op builds its arrays from it (setup) and calls the op on a range of tokens
 * (call). */
#ifndef GRAFT_TESTS_KERNELS_CASES_H
#define GRAFT_TESTS_KERNELS_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/kernels.h"

/* Letters as in kernels.h; what an op does not use is 0. */
struct shape {
    int64_t N, M, K, C, V, B, T, H, G, D, R, window;
    enum dtype x, w, y; /* of activations, weights, results; DTYPE_NONE: F32 */
    enum activation act;
    enum norm_kind norm;
    bool a_trans, b_trans, before, residual, in_place, bias, add, causal, inverse, gradient, fused,
        ragged;
    float beta, softcap, offset, p;
};

enum role {
    IN,    /* read */
    OUT,   /* written whole; holds NaN before */
    INOUT, /* read and written */
    ROOM,  /* scratch, or written in part: not compared */
};

/* How an array is filled. */
enum fill { ZERO, UNIFORM, POSITIVE, IDS, IDS_OR_NONE, COUNTING, LOGITS, ANGLES_COS, ANGLES_SIN };

enum { ARRAYS_MAX = 16, GUARD = 32, CUTS_MAX = 64 };

struct array {
    const char *name;
    enum role role;
    enum dtype dtype;
    enum fill fill;
    int64_t rows, cols, ld, limit; /* limit: ids are below it */
    bool dense, trans;
    int gradient; /* index of the array of d(loss) / d(this), 0: none */
    size_t bytes; /* of the block, guards included */
    unsigned char *host, *before;
    struct buf block;
    struct mat mat; /* the operand in it */
};

struct problem {
    const struct shape *s;
    uint64_t seed;
    int64_t shift, extra_ld; /* elements by which operands are displaced, and rows lengthened */
    int arrays;
    struct array a[ARRAYS_MAX];
    int32_t *lists; /* of attention */
    double result;  /* of sumsq */
    const struct kernels *owner;
};

struct op {
    const char *name;
    double half;      /* where activations are BF16; 0: 1/128, two units */
    double tolerance; /* F32, relative to the element and the array's root mean square; 0: 2e-6 */
    const struct shape *shapes, *perf;
    size_t shape_count, perf_count;
    void (*setup)(struct problem *p);
    /* Ops that need something made first: the forward pass. */
    void (*prepare)(struct kernels *k, struct problem *p);
    /* Tokens (rows of attention) first .. last. */
    void (*call)(struct kernels *k, struct problem *p, int64_t first, int64_t last);
    int64_t (*units)(const struct shape *s);
    /* Where a call may be cut into several: n + 1 ascending numbers from 0 to units. NULL: nowhere.
     */
    int (*cuts)(const struct shape *s, int64_t out[CUTS_MAX]);
    /* grad: the function whose derivative `call` gives; the arrays' `gradient` say which. */
    void (*forward)(struct kernels *k, struct problem *p);
    int nan_in; /* 1 + index of the array that is given a NaN; some result must have one. 0: not
                   asked */
    double (*flops)(const struct shape *s);
    double (*bytes)(const struct shape *s);
};

/* Adds an array; its index. */
int array_add(struct problem *p, const char *name, enum role role, enum dtype t, int64_t rows,
              int64_t cols, enum fill fill);
/* The same without gaps between rows: for operands that are a buf. */
int array_add_dense(struct problem *p, const char *name, enum role role, enum dtype t, int64_t rows,
                    int64_t cols, enum fill fill);
/* Operands, from row `first`. An absent array (rows == 0) gives the absent operand. */
struct mat mat_from(const struct problem *p, int array, int64_t first);
struct buf buf_from(const struct problem *p, int array, int64_t first);
enum dtype dtype_or_f32(enum dtype t);

extern const struct op *const ops_product[], *const ops_attention[], *const ops_rows[],
                                                                         *const ops_loss[];

/* Host access, after the arrays were fetched. */
double array_get(const struct array *a, int64_t i, int64_t j);
void array_set(struct array *a, int64_t i, int64_t j, double x);

/* " N=4 C=7": what of a shape is not 0. */
void shape_print(char *out, size_t size, const struct shape *s);
/* Shortest time of a call, by `clock`. */
double problem_time(struct kernels *k, const struct op *op, const struct shape *s,
                    double (*clock)(void));

/* The modes. Each prints TAP comments on failure and returns the number of failures. */
struct machine {
    struct kernels ref, under_test[3]; /* 1, 2 and 4 threads */
    struct pool *pools[3];
};
int mode_test(struct machine *m, const struct op *op, int64_t *cases);
int mode_grad(struct machine *m, const struct op *op, int64_t *cases);
void mode_perf(struct machine *m, const struct op *op);
void perf_ceiling(struct machine *m);

#endif
