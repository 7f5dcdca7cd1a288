/* SPDX-License-Identifier: Apache-2.0 */
/* product_amx.c: blocks of a product in BF16, two units with the same packing:
 *
 *   AMX           32 x 32 sums in four tile registers; an instruction adds 16 x 16 x 32 products
 *   AVX512-BF16   8 x 32 sums in sixteen vectors; an instruction adds 16 pairs of products
 *
 *   A   rows, elements of the depth side by side, as they lie or packed
 *   B   panels of 32 columns; 32 of the depth make two tiles of [16 pairs][16 columns][2]
 *
 * Both round sums to nearest and take denormals as zero; the order within a step of the depth is
 * the instruction's. Reference: Intel 64 and IA-32 Architectures Software Developer's Manual,
 * TDPBF16PS, VDPBF16PS. */
#include <immintrin.h>
#include <string.h>
#include "kernels/cpu/amx.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec_avx512.h"
#include "kernels/cpu/vec_math.h"

/* ---- packing ---- */

/* Line i of v where lines lie in memory one behind the other. */
static const uint16_t *line_of(struct view v, int64_t i)
{
    int64_t step = v.trans ? v.col : v.row;
    return (const uint16_t *)(const void *)v.p + i * step;
}

static __m512i load_n(const uint16_t *p, int64_t n)
{
    if (n >= STEP) return _mm512_loadu_si512(p);
    return _mm512_maskz_loadu_epi16(n > 0 ? (1u << n) - 1 : 0, p);
}

/* Element i of both, for 16 i, side by side: columns 0 to 15, 16 to 31. */
static void interleave(__m512i a, __m512i b, __m512i out[2])
{
    static const uint16_t order[2][STEP] = {
        {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
         8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47},
        {16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55,
         24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63}};
    for (int i = 0; i < 2; i++)
        out[i] = _mm512_permutex2var_epi16(a, _mm512_loadu_si512(order[i]), b);
}

/* STEP lines from `first` on, elements at .. + STEP of each: out[i] holds elements at + i of all
 * lines. */
static void load_columns(struct view v, int64_t first, int64_t lines, int64_t at, int64_t length,
                         __m512i out[STEP])
{
    for (int pair = 0; pair < SIDE; pair++) {
        __m512i two[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()}, side[2];
        for (int i = 0; i < 2; i++)
            if (first + 2 * pair + i < lines)
                two[i] = load_n(line_of(v, first + 2 * pair + i) + at, length - at);
        interleave(two[0], two[1], side);
        out[pair] = side[0];
        out[pair + SIDE] = side[1];
    }
    transpose(out);
    transpose(out + SIDE);
}

static void lines_ahead(struct view v, int64_t first, int64_t lines, int64_t length)
{
    for (int64_t i = first; i < least(first + STEP, lines); i++)
        line_ahead(line_of(v, i), (size_t)length * sizeof(uint16_t));
}

/* Rows in blocks of 32, a block's steps of the depth `step` elements apart, its rows within a step
 * `row`. Where rows are lines, these are read along their whole length; else a step of all rows
 * lies along 32 lines. */
static void pack_lines(struct view a, int64_t rows, int64_t depth, uint16_t *to, int64_t row,
                       int64_t step)
{
    int64_t deep = tasks_of(depth, STEP) * STEP, whole = tasks_of(rows, STEP) * STEP;
    for (int64_t i = 0; i < whole; i++) {
        uint16_t *out = to + i / STEP * STEP * deep + i % STEP * row;
        if (i + 1 < rows) line_ahead(line_of(a, i + 1), (size_t)depth * sizeof(uint16_t));
        for (int64_t k = 0; k < depth; k += STEP, out += step)
            _mm512_storeu_si512(out, i < rows ? load_n(line_of(a, i) + k, depth - k)
                                              : _mm512_setzero_si512());
    }
}

static void pack_steps(struct view a, int64_t rows, int64_t depth, uint16_t *to, int64_t row,
                       int64_t step)
{
    int64_t deep = tasks_of(depth, STEP) * STEP;
    if (!a.trans) {
        pack_lines(a, rows, depth, to, row, step);
        return;
    }
    lines_ahead(a, 0, depth, rows);
    for (int64_t k = 0; k < depth; k += STEP) {
        lines_ahead(a, k + STEP, depth, rows);
        for (int64_t i = 0; i < rows; i += STEP) {
            __m512i lines[STEP];
            load_columns(a, k, depth, i, rows, lines);
            for (int64_t r = 0; r < STEP; r++)
                _mm512_storeu_si512(to + i * deep + k / STEP * step + r * row, lines[r]);
        }
    }
}

/* Two tiles for each step, one behind the other. */
static struct lines pack_tiles(struct view a, int64_t rows, int64_t depth, void *to)
{
    pack_steps(a, rows, depth, to, STEP, 2 * TILE);
    return (struct lines){to, STEP, STEP, tasks_of(depth, STEP) * 2 * TILE};
}

/* Columns are lines: a line's pairs become the words of a tile's column. */
static void pack_tile(struct view b, int64_t k, int64_t depth, int64_t j, int64_t cols,
                      uint16_t *to)
{
    __m512i v[SIDE];
    for (int i = 0; i < SIDE; i++)
        v[i] = j + i < cols ? load_n(line_of(b, j + i) + k, depth - k) : _mm512_setzero_si512();
    transpose(v);
    for (int i = 0; i < SIDE; i++) _mm512_storeu_si512(to + i * STEP, v[i]);
}

static void pack_b(struct view b, int64_t depth, int64_t cols, void *to, size_t bytes)
{
    int64_t panel = (int64_t)(bytes / sizeof(uint16_t));
    for (int64_t k = 0; k < depth; k += STEP)
        for (int64_t j = 0; j < cols; j += PANEL) {
            uint16_t *out = (uint16_t *)to + j / PANEL * panel + k * PANEL;
            if (b.trans) {
                pack_tile(b, k, depth, j, cols, out);
                pack_tile(b, k, depth, j + SIDE, cols, out + TILE);
                continue;
            }
            for (int64_t pair = 0; pair < SIDE; pair++) {
                __m512i two[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()}, side[2];
                for (int i = 0; i < 2; i++)
                    if (k + 2 * pair + i < depth)
                        two[i] = load_n(line_of(b, k + 2 * pair + i) + j, cols - j);
                interleave(two[0], two[1], side);
                _mm512_storeu_si512(out + pair * STEP, side[0]);
                _mm512_storeu_si512(out + TILE + pair * STEP, side[1]);
            }
        }
}

/* ---- what follows ---- */

static inline __m512 widened(const uint16_t *p, __mmask16 some)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/* 32 columns from j on of line i: two vectors rounded to one. `keep`: `before` is present. */
static inline __attribute__((always_inline)) void finish_part(const enum activation act,
                                                              const bool keep,
                                                              const struct tile_end *t, int64_t i,
                                                              int64_t j, __mmask32 some)
{
    const float *from = t->from + i * t->from_ld + j;
    uint16_t *to = (uint16_t *)(void *)t->to.p + i * t->to.row + j;
    __mmask16 lower = (__mmask16)some, upper = (__mmask16)(some >> SIDE);
    __m512 x = _mm512_maskz_loadu_ps(lower, from), y = _mm512_maskz_loadu_ps(upper, from + SIDE);
    if (t->bias) {
        x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(lower, t->bias + j));
        y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(upper, t->bias + j + SIDE));
    }
    if (keep) {
        uint16_t *before = (uint16_t *)(void *)t->before.p + i * t->before.row + j;
        _mm512_mask_storeu_epi16(before, some, (__m512i)_mm512_cvtne2ps_pbh(y, x));
    }
    x = vf_act(act, x);
    y = vf_act(act, y);
    if (t->residual.p) {
        const uint16_t *residual =
            (const uint16_t *)(const void *)t->residual.p + i * t->residual.row + j;
        x = _mm512_add_ps(x, widened(residual, lower));
        y = _mm512_add_ps(y, widened(residual + SIDE, upper));
    }
    _mm512_mask_storeu_epi16(to, some, (__m512i)_mm512_cvtne2ps_pbh(y, x));
}

static inline __attribute__((always_inline)) void finish_as(const enum activation act,
                                                            const bool keep,
                                                            const struct tile_end *t, int64_t first,
                                                            int64_t last)
{
    for (int64_t i = first; i < last; i++)
        for (int64_t j = 0; j < t->cols; j += STEP)
            finish_part(act, keep, t, i, j, ~0u >> (STEP - least(STEP, t->cols - j)));
}

/* The activation is a constant where the work is. */
static inline __attribute__((always_inline)) void
finish_by(const bool keep, const struct tile_end *t, int64_t first, int64_t last)
{
    switch (t->act) {
    case ACT_NONE:
        finish_as(ACT_NONE, keep, t, first, last);
        return;
    case ACT_GELU:
        finish_as(ACT_GELU, keep, t, first, last);
        return;
    case ACT_GELU_TANH:
        finish_as(ACT_GELU_TANH, keep, t, first, last);
        return;
    case ACT_SILU:
        finish_as(ACT_SILU, keep, t, first, last);
        return;
    case ACT_RELU:
        finish_as(ACT_RELU, keep, t, first, last);
        return;
    case ACT_TANH:
        finish_as(ACT_TANH, keep, t, first, last);
        return;
    }
}

static void finish_half(const struct tile_end *t, int64_t first, int64_t last)
{
    if (t->before.p)
        finish_by(true, t, first, last);
    else
        finish_by(false, t, first, last);
}

/* ---- AMX ---- */

void amx_begin(void)
{
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t line_bytes[16];
        uint8_t lines[16];
    } tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&tiles);
}

void amx_end(void)
{
    _tile_release();
}

/* The lines of a block that waits, where they are whole and need rounding only. */
static inline void round_some(struct waiting *w, int64_t lines)
{
    int64_t last = least(w->next + lines, w->end.rows);
    for (; w->next < last; w->next++) {
        if (w->next < w->ahead_rows)
            __builtin_prefetch(w->ahead->p + w->next * w->ahead->step, 1, 3);
        finish_part(ACT_NONE, false, &w->end, w->next, 0, ~0u);
    }
}

static inline __attribute__((always_inline)) void steps(const bool round, const bool source,
                                                        const struct lines *a,
                                                        const uint16_t *right, int64_t depth,
                                                        struct waiting *w)
{
    const uint16_t *upper = a->p, *lower = upper + SIDE * a->row;
    const int64_t a_step = a->row * 2, next = STEP * a->col, some = waiting_lines(depth);
    for (int64_t k = 0; k < depth; k += STEP) {
        _tile_loadd(6, right, 64);
        _tile_loadd(4, upper, a_step);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, right + TILE, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, lower, a_step);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        upper += next;
        lower += next;
        right += 2 * TILE;
        if (round)
            round_some(w, some);
        else if (w)
            waiting_some(w, some);
        if (source) source_some(&w->source);
    }
}

/* What there is to do beside is known before the first step. */
static void amx_block(const struct lines *a, const void *b, int64_t depth, const struct sums *c,
                      struct waiting *w)
{
    bool round = w && w->finish == finish_half && w->end.act == ACT_NONE && !w->end.before.p &&
                 w->end.rows == 2 * SIDE && w->end.cols == PANEL;
    bool source = w && w->source.lines > 0;
    sums_begin(c);
    if (round && source)
        steps(true, true, a, b, depth, w);
    else if (round)
        steps(true, false, a, b, depth, w);
    else if (source)
        steps(false, true, a, b, depth, w);
    else
        steps(false, false, a, b, depth, w);
    sums_end(c);
}

void cpu_fill_amx(struct kernels *k)
{
    static const struct product_unit unit = {.size = sizeof(uint16_t),
                                             .in_place = true,
                                             .dtype = DTYPE_BF16,
                                             .rows = 2 * SIDE,
                                             .cols = PANEL,
                                             .step = STEP,
                                             .beside = true,
                                             .chunk = 512,
                                             .pack_a = pack_tiles,
                                             .pack_b = pack_b,
                                             .block = amx_block,
                                             .finish_half = finish_half,
                                             .begin = amx_begin,
                                             .end = amx_end};
    state_of(k)->product_bf16 = state_of(k)->small_bf16 = &unit;
    state_of(k)->product_f32 = &amx_split;
}

/* ---- AVX512-BF16 ---- */

enum { PAIR_ROWS = 8 };

/* Rows as they lie, those of a block one behind the other. */
static struct lines pack_rows(struct view a, int64_t rows, int64_t depth, void *to)
{
    int64_t deep = tasks_of(depth, STEP) * STEP;
    pack_steps(a, rows, depth, to, deep, STEP);
    return (struct lines){to, deep, 1, PAIR_ROWS * deep};
}

static void dot_block(const struct lines *a, const void *b, int64_t depth, const struct sums *c,
                      struct waiting *w)
{
    const uint16_t *left = a->p, *right = b;
    __m512 sum[PAIR_ROWS][2];
    if (w) waiting_some(w, PAIR_ROWS);
    if (w) source_some(&w->source);
    for (int i = 0; i < PAIR_ROWS; i++)
        for (int v = 0; v < 2; v++)
            sum[i][v] = c->from ? _mm512_loadu_ps(c->from + i * c->from_ld + v * SIDE)
                                : _mm512_setzero_ps();
    for (int64_t k = 0; k < depth; k += 2) {
        const uint16_t *pair = right + k / STEP * (2 * TILE) + k % STEP / 2 * STEP;
        __m512i line[2] = {_mm512_loadu_si512(pair), _mm512_loadu_si512(pair + TILE)};
        for (int i = 0; i < PAIR_ROWS; i++) {
            int two;
            memcpy(&two, left + i * a->row + k, sizeof two);
            __m512i both = _mm512_set1_epi32(two);
            for (int v = 0; v < 2; v++)
                sum[i][v] = _mm512_dpbf16_ps(sum[i][v], (__m512bh)both, (__m512bh)line[v]);
        }
    }
    for (int i = 0; i < PAIR_ROWS; i++)
        for (int v = 0; v < 2; v++) _mm512_storeu_ps(c->to + i * c->to_ld + v * SIDE, sum[i][v]);
}

void cpu_fill_avx512bf16(struct kernels *k)
{
    static const struct product_unit unit = {.size = sizeof(uint16_t),
                                             .in_place = true,
                                             .dtype = DTYPE_BF16,
                                             .rows = PAIR_ROWS,
                                             .cols = PANEL,
                                             .step = STEP,
                                             .chunk = 512,
                                             .pack_a = pack_rows,
                                             .pack_b = pack_b,
                                             .block = dot_block,
                                             .finish_half = finish_half};
    state_of(k)->product_bf16 = state_of(k)->small_bf16 = &unit;
}
