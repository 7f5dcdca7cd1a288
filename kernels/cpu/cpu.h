/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.h: the fast host backend. What is written once for vectors (NAME.inc) is compiled for each
 * level by level_avx2.c, level_avx512.c and level_avx512bf16.c; what needs no vectors of its own
 * (the matrix product around its blocks) is gemm.c. */
#ifndef GRAFT_KERNELS_CPU_CPU_H
#define GRAFT_KERNELS_CPU_CPU_H

#include "kernels/internal.h"

/* A part of a product to be finished while it is hot: x = from + bias; before = x;
 * to = act(x) + residual. */
struct tile_end {
    int64_t rows, cols;
    const float *from;
    int64_t from_ld;
    const float *bias; /* [cols] or NULL */
    enum activation act;
    struct view before, residual,
        to; /* at the tile's first element; p == NULL: absent. `to` may be `from` */
};

typedef void finish_lines(const struct tile_end *t, int64_t first, int64_t last);

struct tile_ops {
    finish_lines *finish;
    /* rows x cols of v, widened to F32. */
    void (*widen)(struct view v, int64_t rows, int64_t cols, float *to, int64_t to_ld);
    /* n numbers of a line of a block-quantised matrix, as F32 or BF16 (half). */
    void (*decode)(enum dtype t, const unsigned char *p, int64_t n, void *to, bool half);
    /* kernels.skinny, for what a matrix unit does not take. */
    void (*skinny)(struct kernels *k, const struct gemm_args *a);
};

/* Where element (i, j) of a matrix lies, or NULL. */
static inline unsigned char *view_at(const struct view *v, int64_t i, int64_t j)
{
    return v->p ? v->p + (i * v->row + j * v->col) * (v->dtype == DTYPE_F32 ? 4 : 2) : NULL;
}

/* The part of a matrix that begins at (i, j). */
static inline struct view view_part(struct view v, int64_t i, int64_t j)
{
    v.p = view_at(&v, i, j);
    return v;
}

/* The same matrix, transposed. */
static inline struct view view_turned(struct view v)
{
    return (struct view){v.p, v.col, v.row, v.dtype, !v.trans};
}

/* Rows of C elements that make a task: enough work to be worth handing out. */
static inline int64_t rows_per_task(int64_t C)
{
    int64_t rows = (1 << 14) / (C > 0 ? C : 1);
    return rows > 0 ? rows : 1;
}
static inline int64_t tasks_of(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}
static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void cpu_fill_avx2(struct kernels *k);
void cpu_fill_avx512(struct kernels *k);
void cpu_fill_avx512_narrow(struct kernels *k);
/* On top of it: products of BF16 by AVX512-BF16, by AMX. */
void cpu_fill_avx512bf16(struct kernels *k);
void cpu_fill_amx(struct kernels *k);
void cpu_fill_skinny_amx(struct kernels *k);
/* The matrix product, after one of the above. */
void cpu_fill_gemm(struct kernels *k);

#endif
