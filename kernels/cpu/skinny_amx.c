/* SPDX-License-Identifier: Apache-2.0 */
/* skinny_amx.c: y (M, N) = act(x W^T + bias) + residual in BF16 for few rows by AMX: sixteen rows
 * of W are a tile as they lie, so W is read once and never packed; what is packed is x, which is
 * small.
 *
 *        depth ->            rows of x              rows of x
 *   W    w w w w ...   x   | x x | pairs of    =    y y    16 outputs each
 *        w w w w ...       | x x | the depth        y y
 *
 * An output is one chain over the depth in steps of 32, within which the instruction has its own
 * order: a row has the same bits alone and among others. Products whose depth does not divide into
 * steps go to the vectors' kernel, whatever the number of rows. */
#include <string.h>
#include "kernels/cpu/amx.h"
#include "kernels/cpu/cpu.h"

enum {
    GROUP = 2 * SIDE,  /* rows of W, and of x, that stand in registers together */
    TASK = 2 * GROUP,  /* rows of W */
    DEPTH_SHORT = 768, /* below, the processor does not see in time that lines follow each other */
    DEPTH_MOST = 1 << 14, /* for which there is room */
    ROWS_MOST = KERNEL_PANELS / (DEPTH_MOST * 2) / GROUP * GROUP
};

struct skinny_job {
    const struct kernels *k;
    const struct gemm_args *a;
    struct view w, y, residual; /* w (N, K) */
    const float *bias;
    int64_t first, rows; /* of x that are packed */
    const uint16_t *x;   /* [rows / SIDE][K / STEP][SIDE pairs][SIDE][2] */
};

struct skinny_room {
    uint16_t w[GROUP * DEPTH_MOST]; /* rows of W where fewer than a group are left */
    float turned[GROUP * GROUP];    /* [output][row] */
    float y[GROUP * TASK];          /* [row][output] */
};

/* Rows first .. + rows of x, of which a pair of elements is a word. */
static void pack_x(struct view x, int64_t first, int64_t rows, int64_t K, uint16_t *to)
{
    for (int64_t i = 0; i < rows; i += SIDE)
        for (int64_t k = 0; k < K; k += STEP, to += TILE) {
            __m512i v[SIDE];
            for (int r = 0; r < SIDE; r++)
                v[r] = i + r < rows ? _mm512_loadu_si512(x.p + ((first + i + r) * x.row + k) * 2)
                                    : _mm512_setzero_si512();
            transpose(v);
            for (int w = 0; w < SIDE; w++) _mm512_storeu_si512(to + w * STEP, v[w]);
        }
}

/* turned = W x^T of GROUP rows of W; `both`: two tiles of x. Where W is `dense`, the rows GROUP
 * further are asked for as they lie, a step's worth in each step. */
static inline __attribute__((always_inline)) void group(const bool both, const uint16_t *w,
                                                        int64_t ld, bool dense, const uint16_t *x,
                                                        int64_t K, float *turned)
{
    const uint16_t *lower = w + SIDE * ld, *ahead = w + GROUP * ld, *right = x + SIDE * K;
    _tile_zero(0);
    _tile_zero(2);
    if (both) _tile_zero(1);
    if (both) _tile_zero(3);
    for (int64_t k = 0; k < K; k += STEP) {
        for (int i = 0; dense && i < GROUP; i++)
            _mm_prefetch(ahead + k * GROUP + i * STEP, _MM_HINT_T1);
        _tile_loadd(4, w + k, ld * 2);
        _tile_loadd(5, lower + k, ld * 2);
        _tile_loadd(6, x + k * SIDE, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
        if (!both) continue;
        _tile_loadd(7, right + k * SIDE, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, turned, GROUP * 4);
    _tile_stored(2, turned + SIDE * GROUP, GROUP * 4);
    if (both) _tile_stored(1, turned + SIDE, GROUP * 4);
    if (both) _tile_stored(3, turned + SIDE * GROUP + SIDE, GROUP * 4);
}

/* to [16][TASK] = transpose of 16 x 16 of from [.][GROUP] */
static void turn(const float *from, float *to)
{
    __m512i v[SIDE];
    for (int i = 0; i < SIDE; i++) v[i] = _mm512_loadu_si512(from + i * GROUP);
    transpose(v);
    for (int i = 0; i < SIDE; i++) _mm512_storeu_si512(to + i * TASK, v[i]);
}

/* y [rows][TASK] = rows i .. i + rows of what is packed, for rows j .. + cols of W. */
static void strip(const struct skinny_job *s, struct skinny_room *room, int64_t i, int64_t rows,
                  int64_t j, int64_t cols)
{
    const int64_t K = s->a->K;
    const uint16_t *x = s->x + i * K;
    for (int64_t c = 0; c < cols; c += GROUP) {
        const uint16_t *w = (const uint16_t *)(const void *)view_part(s->w, j + c, 0).p;
        int64_t ld = s->w.row, left = least(GROUP, cols - c);
        bool dense = ld == K && K < DEPTH_SHORT;
        if (left < GROUP) {
            memset(room->w, 0, (size_t)(GROUP * K) * sizeof *room->w);
            for (int64_t r = 0; r < left; r++)
                memcpy(room->w + r * K, w + r * ld, (size_t)K * sizeof *w);
            w = room->w;
            ld = K;
        }
        if (rows > SIDE)
            group(true, w, ld, dense, x, K, room->turned);
        else
            group(false, w, ld, dense, x, K, room->turned);
        for (int64_t r = 0; r < rows; r += SIDE)
            for (int64_t n = 0; n < left; n += SIDE)
                turn(room->turned + n * GROUP + r, room->y + r * TASK + c + n);
    }
}

static void task(void *ctx, int64_t number, int thread)
{
    const struct skinny_job *s = ctx;
    struct skinny_room *room = thread_scratch(s->k, thread);
    int64_t j = number * TASK, cols = least(TASK, s->a->N - j);
    amx_begin();
    for (int64_t i = 0; i < s->rows; i += GROUP) {
        int64_t rows = least(GROUP, s->rows - i);
        strip(s, room, i, rows, j, cols);
        struct tile_end end = {
            .rows = rows, .cols = cols, .from = room->y, .from_ld = TASK, .act = s->a->act};
        end.bias = s->bias ? s->bias + j : NULL;
        end.residual = view_part(s->residual, s->first + i, j);
        end.to = view_part(s->y, s->first + i, j);
        state_of(s->k)->tiles->finish(&end, 0, end.rows);
    }
    amx_end();
}

static void skinny(struct kernels *k, const struct gemm_args *a)
{
    _Static_assert(sizeof(struct skinny_room) <= KERNEL_SCRATCH, "scratch");
    if (a->A.dtype != DTYPE_BF16 || a->B.dtype != DTYPE_BF16 || a->K % STEP != 0 ||
        a->K > DEPTH_MOST || a->K == 0) {
        state_of(k)->tiles->skinny(k, a);
        return;
    }
    assert(!a->A.trans && a->B.trans && !a->C.trans && !a->residual.trans);
    assert(a->beta == 0 && !buf_present(a->before.buf) && a->rows.n == 0 && a->depth.n == 0);
    struct view x = view_of(a->A, a->M, a->K);
    struct skinny_job s = {.k = k, .a = a, .y = view_of(a->C, a->M, a->N)};
    s.w = view_of(mat_transposed(a->B), a->N, a->K);
    s.residual = view_of(a->residual, a->M, a->N);
    s.bias = buf_host(a->bias, a->N, sizeof *s.bias);
    s.x = (const uint16_t *)(const void *)state_of(k)->panels;
    for (s.first = 0; s.first < a->M; s.first += s.rows) {
        s.rows = least(ROWS_MOST, a->M - s.first);
        pack_x(x, s.first, s.rows, a->K, (uint16_t *)(void *)state_of(k)->panels);
        pool_run(k->pool, task, &s, tasks_of(a->N, TASK));
    }
}

void cpu_fill_skinny_amx(struct kernels *k)
{
    k->skinny = skinny;
}
