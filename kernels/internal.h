/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h: what the backends on the host share: from a buf to a pointer, elements of either
 * dtype, the state behind struct kernels, and the registration of each family of ops. Not for
 * callers of kernels.h. */
#ifndef GRAFT_KERNELS_INTERNAL_H
#define GRAFT_KERNELS_INTERNAL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/dtype.h"
#include "kernels/kernels.h"

enum { KERNEL_SCRATCH = 4 << 20, KERNEL_PANELS = 8 << 20, SUM_BLOCK = 1 << 15, SUM_BLOCKS = 4096 };

struct kmem {
    unsigned char *block, *data; /* as allocated; aligned to 64 bytes */
    size_t bytes;
};

struct tile_ops;
struct product_unit;

struct kernels_state {
    int threads;
    unsigned char *scratch;       /* [threads][KERNEL_SCRATCH], 64-byte aligned */
    double *partial;              /* [SUM_BLOCKS]: sums of blocks, waiting to be added in order */
    const struct tile_ops *tiles; /* what the products need from the vector level */
    const struct product_unit *product_f32, *product_bf16; /* by the operands; the second may be
                                                            * the first */
    const struct product_unit *small_bf16; /* for products of the blocks of attention, or NULL */
    unsigned char *panels; /* [KERNEL_PANELS]: packed operands of the product at hand */
    char cpu[160];
};

static inline struct kernels_state *state_of(const struct kernels *k)
{
    return k->state;
}
static inline void *thread_scratch(const struct kernels *k, int thread)
{
    return state_of(k)->scratch + (size_t)thread * KERNEL_SCRATCH;
}

/* Host pointer of `count` elements of `size` bytes; NULL when absent. */
static inline void *buf_host(struct buf b, int64_t count, size_t size)
{
    if (!b.mem) return NULL;
    assert(count >= 0 && (size_t)count <= b.bytes / size);
    assert(b.offset + b.bytes <= b.mem->bytes);
    return b.mem->data + b.offset;
}

/* A matrix on the host: element (i, j) at i * row + j * col. p == NULL: absent. */
struct view {
    unsigned char *p;
    int64_t row, col;
    enum dtype dtype;
    bool trans; /* lines in memory are columns; the steps do not tell where both are 1 */
};

/* The view of a matrix of rows x cols elements; asserts that these lie within the buffer. */
static inline struct view view_of(struct mat m, int64_t rows, int64_t cols)
{
    struct view v = {
        .dtype = m.dtype, .row = m.trans ? 1 : m.ld, .col = m.trans ? m.ld : 1, .trans = m.trans};
    if (!m.buf.mem) return v;
    assert(m.dtype == DTYPE_F32 || m.dtype == DTYPE_BF16 || dtype_is_blocks(m.dtype));
    assert(rows >= 0 && cols >= 0);
    int64_t lines = m.trans ? cols : rows, length = m.trans ? rows : cols;
    assert(m.ld >= length || lines <= 1);
    int64_t count = lines > 0 && length > 0 ? (lines - 1) * m.ld + length : 0;
    assert(count % dtype_unit(m.dtype) == 0 && m.ld % dtype_unit(m.dtype) == 0);
    v.p = buf_host(m.buf, count / dtype_unit(m.dtype), dtype_unit_bytes(m.dtype));
    return v;
}

/* Line i of a matrix, from its element `at`: of a block-quantised one, where a block begins. */
static inline unsigned char *view_line(struct view v, int64_t i, int64_t at)
{
    int64_t step = v.trans ? v.col : v.row;
    return v.p + (i * step + at) / dtype_unit(v.dtype) * (int64_t)dtype_unit_bytes(v.dtype);
}

static inline float element_get(const void *p, enum dtype t, int64_t i)
{
    return t == DTYPE_F32 ? ((const float *)p)[i] : bf16_to_f32(((const uint16_t *)p)[i]);
}
static inline void element_put(void *p, enum dtype t, int64_t i, float x)
{
    if (t == DTYPE_F32)
        ((float *)p)[i] = x;
    else
        ((uint16_t *)p)[i] = f32_to_bf16(x);
}
static inline float view_get(struct view v, int64_t i, int64_t j)
{
    return element_get(v.p, v.dtype, i * v.row + j * v.col);
}
static inline void view_put(struct view v, int64_t i, int64_t j, double x)
{
    element_put(v.p, v.dtype, i * v.row + j * v.col, (float)x);
}

/* Line i of v, `length` elements: where it lies, or of a block-quantised matrix decoded into `room`
 * (ref/quantised.c). Element j is at view_get(line, j, 0). */
struct view line_decoded(struct view v, int64_t i, int64_t length, float *room);
/* The same of column j of a block-quantised matrix, whose lines are rows. */
struct view column_decoded(struct view v, int64_t j, int64_t length, float *room);

/* First and one past the last key that query i of row b sees. */
static inline void attention_span(const struct attention_args *a, int64_t b, int64_t i,
                                  int64_t *first, int64_t *last)
{
    int64_t position = a->q_offset[b] + i;
    *first = 0;
    *last = a->kv_len[b];
    if (a->causal && position + 1 < *last) *last = position + 1;
    if (a->causal && a->window > 0 && position + 1 - a->window > 0)
        *first = position + 1 - a->window;
    if (*first > *last) *first = *last;
}

/* The plain form, in double (ref/act.c). */
double act_value(enum activation act, double x);

/* The matrices of attention on the host (ref/attention.c): asserts shapes. */
struct attention_views {
    struct view q, k, v, out;
    float *lse;
    int64_t queries, keys; /* one past the last row of q, of k */
};
struct attention_views attention_views_of(const struct attention_args *a);

/* Each puts its ops into the table; called by dispatch.c. */
void mem_ref(struct kernels *k);
void gemm_ref(struct kernels *k);
void skinny_ref(struct kernels *k);
void attention_ref(struct kernels *k);
void embed_ref(struct kernels *k);
void norm_ref(struct kernels *k);
void act_ref(struct kernels *k);
void pointwise_ref(struct kernels *k);
void dropout_ref(struct kernels *k);
void rope_ref(struct kernels *k);
void softmax_ref(struct kernels *k);
void cross_entropy_ref(struct kernels *k);
void reduce_ref(struct kernels *k);
void optimiser_ref(struct kernels *k);

#endif
