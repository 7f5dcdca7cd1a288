/* SPDX-License-Identifier: Apache-2.0 */
/* product.h: what a CPU's matrix unit offers to the product of gemm.c: blocks of C that stay in
 * registers, and the packing of operands into the order in which a block reads them.
 *
 *         depth ->             cols
 *   rows  a a a a ...   x   | b b b |  depth    =    c c c   rows x cols, in registers
 *         a a a a ...       | b b b |                c c c
 *
 * An element of C is one chain of sums in the order of the depth, begun with what C
 * holds or with zero. So its bits depend on nothing but its row of A and its column of B: not on
 * where blocks, tiles, grains or chunks of the depth begin (these begin at multiples of `step`,
 * within which the unit adds in its own fixed order). */
#ifndef GRAFT_KERNELS_CPU_PRODUCT_H
#define GRAFT_KERNELS_CPU_PRODUCT_H

#include "kernels/internal.h"

/* A block's rows of A, where they lie or packed: element (i, k) at i * row + k * col. */
struct lines {
    const void *p;
    int64_t row, col;
};

struct product_unit {
    size_t size;   /* bytes of an element as a block reads it */
    bool in_place; /* a block reads rows of A also where they lie, if their elements are: */
    enum dtype dtype;
    int64_t rows, cols; /* of a block */
    int64_t step;       /* the depth of a block is a multiple of it; packing fills up with zeros */
    int64_t chunk;      /* of the depth, at a time: a block's part of A and of B fit the caches */
    /* Packs rows x depth of a into blocks of [block's rows][depth, whole steps], one behind the
     * other; returns the first. */
    struct lines (*pack_a)(struct view a, int64_t rows, int64_t depth, void *to);
    /* Packs depth x cols of b into panels of [depth, whole steps][block's cols], `panel` bytes
     * from one to the next. */
    void (*pack_b)(struct view b, int64_t depth, int64_t cols, void *to, size_t panel);
    /* c = a b, or c += a b (add), of a whole block. */
    void (*block)(struct lines a, const void *b, int64_t depth, float *c, int64_t ldc, bool add);
    /* Around the blocks of one task, or NULL: the unit's registers set up and let go. */
    void (*begin)(void);
    void (*end)(void);
};

enum { CHUNK_MOST = 512, SIZE_MOST = 6 }; /* of any unit */

/* Asks for a line of a matrix before it is read: lines lie too far apart for the processor to
 * guess the next. */
static inline void line_ahead(const void *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const unsigned char *)p + i, 0, 2);
}

#endif
