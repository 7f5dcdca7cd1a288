/* SPDX-License-Identifier: Apache-2.0 */
/* amx.h: what products on tile registers share (product_amx.c, split_amx.c, skinny_amx.c). A tile
 * register holds 16 lines of 64 bytes: 16 x 16 sums in F32, 16 rows of 32 elements in BF16, or 16
 * pairs of lines of 16 columns. */
#ifndef GRAFT_KERNELS_CPU_AMX_H
#define GRAFT_KERNELS_CPU_AMX_H

#include <immintrin.h>
#include "kernels/cpu/product.h"

enum { SIDE = 16, STEP = 2 * SIDE, PANEL = 2 * SIDE, TILE = SIDE * STEP };

/* The registers are set up for whole tiles, and let go. */
void amx_begin(void);
void amx_end(void);

/* The product in F32 (split_amx.c). */
extern const struct product_unit amx_split;

/* The sums of a block are tiles 0 to 3. */
static inline void sums_begin(const struct sums *c)
{
    if (!c->from) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        return;
    }
    const float *below = c->from + SIDE * c->from_ld;
    _tile_loadd(0, c->from, c->from_ld * 4);
    _tile_loadd(1, c->from + SIDE, c->from_ld * 4);
    _tile_loadd(2, below, c->from_ld * 4);
    _tile_loadd(3, below + SIDE, c->from_ld * 4);
}
static inline void sums_end(const struct sums *c)
{
    float *below = c->to + SIDE * c->to_ld;
    _tile_stored(0, c->to, c->to_ld * 4);
    _tile_stored(1, c->to + SIDE, c->to_ld * 4);
    _tile_stored(2, below, c->to_ld * 4);
    _tile_stored(3, below + SIDE, c->to_ld * 4);
}

/* Lines of a block that waits to do at each step of the present one. */
static inline int64_t waiting_lines(int64_t depth)
{
    return tasks_of(2 * SIDE, tasks_of(depth, STEP));
}

/* Rows become columns, in words of 32 bits: first within each quarter of the vectors, then the
 * quarters. */
static inline void transpose(__m512i v[SIDE])
{
    __m512i t[SIDE];
    for (int i = 0; i < SIDE; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < SIDE; i += 4) {
        v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++)
        for (int half = 0; half < SIDE; half += 8) {
            t[half + i] = _mm512_shuffle_i32x4(v[half + i], v[half + i + 4], 0x88);
            t[half + i + 4] = _mm512_shuffle_i32x4(v[half + i], v[half + i + 4], 0xdd);
        }
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

#endif
