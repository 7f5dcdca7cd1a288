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

#include "kernels/cpu/cpu.h"

/* Rows of A, where they lie or packed: element (i, k) of a block at i * row + k * col where k is a
 * whole step; the next block's rows begin `block` elements further. */
struct lines {
    const void *p;
    int64_t row, col, block;
};

/* A block's sums: where they begin (NULL: at zero) and where they go. */
struct sums {
    const float *from;
    int64_t from_ld;
    float *to;
    int64_t to_ld;
};

/* 64 bytes of each line of a matrix that will be read or written soon. */
struct ahead {
    const unsigned char *p;
    int64_t step; /* from one line to the next */
};
enum { AHEAD_MOST = 6 };

/* Lines of A that will be read or packed next, asked for a few at a time: all at once they would
 * wait for each other. */
struct source {
    const unsigned char *p;
    int64_t step, lines, bytes; /* from one line to the next; lines that are left; of a line */
    int64_t at, each;           /* of the line at p, what was asked for; cache lines at a time */
};

/* The block before, whose sums are complete but for what follows them, of which the lines before
 * `next` are done; and where the lines of the present block will go. A unit that computes beside
 * the vectors does some lines of it at each step of its own block: its time hides theirs. */
struct waiting {
    struct tile_end end; /* rows 0: nothing waits */
    finish_lines *finish;
    int64_t next;
    struct ahead ahead[AHEAD_MOST]; /* the first one is C's */
    int64_t aheads, ahead_rows;
    struct source source;
};

struct product_unit {
    size_t size;   /* bytes of an element as a block reads it */
    bool in_place; /* a block reads rows of A also where they lie, if their elements are: */
    enum dtype dtype;
    int64_t rows, cols; /* of a block */
    int64_t step;       /* the depth of a block is a multiple of it; packing fills up with zeros */
    bool beside;        /* a block looks after what waits at each step, else once */
    int64_t chunk;      /* of the depth, at a time: a block's part of A and of B fit the caches */
    /* Packs rows x depth of a into blocks of [block's rows][depth, whole steps], one behind the
     * other; returns the first. */
    struct lines (*pack_a)(struct view a, int64_t rows, int64_t depth, void *to);
    /* Packs depth x cols of b into panels of [depth, whole steps][block's cols], `panel` bytes
     * from one to the next. */
    void (*pack_b)(struct view b, int64_t depth, int64_t cols, void *to, size_t panel);
    /* to = from + a b, of a whole block; w may be NULL, else some of its lines are done. */
    void (*block)(const struct lines *a, const void *b, int64_t depth, const struct sums *c,
                  struct waiting *w);
    /* What follows a block where all that is read and written is BF16, or NULL: as any other. */
    finish_lines *finish_half;
    /* Around the blocks of one task, or NULL: the unit's registers set up and let go. */
    void (*begin)(void);
    void (*end)(void);
};

/* u->pack_b of the part of a block-quantised B that begins at (k, j), k where a block does if its
 * columns are lines. It is decoded into `room`, a thread's scratch, some at a time
 * (decode_panels.c). */
void decode_panels(const struct kernels *kernels, const struct product_unit *u, struct view b,
                   int64_t k, int64_t depth, int64_t j, int64_t cols, void *to, size_t panel,
                   unsigned char *room);

enum { CHUNK_MOST = 512, SIZE_MOST = 6 }; /* of any unit */

static inline void source_some(struct source *s)
{
    for (int64_t n = 0; n < s->each && s->lines > 0; n++) {
        __builtin_prefetch(s->p + s->at, 0, 2);
        s->at += 64;
        if (s->at < s->bytes) continue;
        s->at = 0;
        s->p += s->step;
        s->lines--;
    }
}

/* Does at most `lines` more lines, and asks for those of the present block. */
static inline void waiting_some(struct waiting *w, int64_t lines)
{
    int64_t first = w->next, last = first + lines, rows = least(last, w->ahead_rows);
    for (int64_t a = 0; a < w->aheads; a++)
        for (int64_t i = first; i < rows; i++)
            __builtin_prefetch(w->ahead[a].p + i * w->ahead[a].step, 1, 3);
    if (first < w->end.rows) w->finish(&w->end, first, least(last, w->end.rows));
    w->next = last;
}

/* Asks for a line of a matrix before it is read: lines lie too far apart for the processor to
 * guess the next. */
static inline void line_ahead(const void *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const unsigned char *)p + i, 0, 2);
}

#endif
