/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.c: the matrix product on a fixed grid of tiles, each one or a few single-threaded calls of
 * OpenBLAS.
 *
 *     rows (M is tokens)            depth (K is tokens)
 *     grain 0 | tile tile tile |    tile tile    every tile: C += A_0 B_0, then += A_1 B_1, ...
 *             | tile tile tile |    tile tile                grain by grain, in order
 *     grain 1 | tile tile tile |
 *
 * The grid follows from the size of a grain and the shapes, never from the number of threads, as
 * OpenBLAS gives other bits for another cut. F32 operands are used where they lie. BF16 ones are
 * widened into the thread's scratch in chunks of DEPTH and the chunks added in order; a BF16 result
 * is rounded once. Bias, activation and residual follow while the tile is hot. */
#include <string.h>
#include "kernels/cpu/cpu.h"

/* Measured with OpenBLAS 0.3.21 on AVX-512, K = 384: tiles of 512 x 768 and more are within 5 % of
 * whole matrices, 256 x 384 lose 15 %. A tile of 512 x 1024 just fits the second cache, for what
 * follows the product. */
enum {
    TILE_M = 512,    /* most rows of a tile when M is tokens */
    TILE_N = 1024,   /* and most columns, F32 */
    TILE_WIDE = 512, /* most columns when something is widened */
    TILE_LEAST = 4,  /* tiles of a grain worth having, as long as they keep TILE_NARROW columns */
    TILE_NARROW = 256,
    TILE_DEPTH = 384, /* most columns of a tile when K is tokens, and rows when widened */
    TILE_TALL = 768,  /* and most rows, F32: a tenth faster than 384 */
    DEPTH = 512,      /* of a chunk */
};

/* The scratch of a thread. */
struct room {
    float a[TILE_WIDE * DEPTH], b[TILE_WIDE * DEPTH], c[TILE_M * TILE_N];
};

struct tiling {
    int64_t m, n;         /* size of a tile */
    int64_t down, across; /* tiles */
};

struct gemm_job {
    const struct kernels *k;
    const struct gemm_args *a;
    struct view A, B, C, before, residual;
    const float *bias;
    bool widened, finished, through_room;
};

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static void tiling_set(struct tiling *t, int64_t M, int64_t N)
{
    t->m = divide_up(divide_up(M, t->down), 16) * 16;
    t->n = divide_up(divide_up(N, t->across), 16) * 16;
    t->down = divide_up(M, t->m);
    t->across = divide_up(N, t->n);
}

/* Tiles of one grain of M tokens. */
static struct tiling tiling_of_rows(int64_t M, int64_t N, bool widened)
{
    struct tiling t = {.down = divide_up(M, TILE_M),
                       .across = divide_up(N, widened ? TILE_WIDE : TILE_N)};
    while (t.down * t.across < TILE_LEAST && divide_up(N, t.across + 1) >= TILE_NARROW) t.across++;
    tiling_set(&t, M, N);
    return t;
}

/* Tiles of a gradient of weights: a multiple of four, as these products are few and their tiles
 * take long. */
static struct tiling tiling_of_depth(int64_t M, int64_t N, bool widened)
{
    struct tiling t = {.down = divide_up(M, widened ? TILE_DEPTH : TILE_TALL),
                       .across = divide_up(N, TILE_DEPTH)};
    while (t.down * t.across < 4 || (t.down * t.across % 4 && t.down * t.across < 16)) {
        int64_t high = M / t.down, wide = N / t.across;
        if (high < 96 && wide < 96) break;
        if (high >= wide)
            t.down++;
        else
            t.across++;
    }
    tiling_set(&t, M, N);
    return t;
}

/* rows x cols of v in F32: v itself, or a copy in room with the lines as they are in memory. */
static struct view widened(const struct gemm_job *job, struct view v, int64_t rows, int64_t cols,
                           float *room)
{
    if (v.dtype == DTYPE_F32) return v;
    bool trans = v.trans;
    int64_t lines = trans ? cols : rows, length = trans ? rows : cols;
    struct view straight = {v.p, trans ? v.col : v.row, 1, v.dtype, false};
    state_of(job->k)->tiles->widen(straight, lines, length, room, length);
    return (struct view){(unsigned char *)room, trans ? 1 : length, trans ? length : 1, DTYPE_F32,
                         trans};
}

/* c (m, n) = beta c + A B over the depth from k0 to k1. */
static void product(const struct gemm_job *job, int64_t i, int64_t j, int64_t m, int64_t n,
                    int64_t k0, int64_t k1, float beta, float *c, int64_t ldc, struct room *room)
{
    int64_t step = job->widened ? DEPTH : k1 - k0;
    for (int64_t k = k0; k < k1; k += step) {
        int64_t depth = least(step, k1 - k);
        struct view a = widened(job, view_part(job->A, i, k), m, depth, room->a);
        struct view b = widened(job, view_part(job->B, k, j), depth, n, room->b);
        blas_sgemm(job->k, m, n, depth, a, b, k == k0 ? beta : 1, c, ldc);
    }
    if (k0 == k1 && beta == 0)
        for (int64_t r = 0; r < m; r++) memset(c + r * ldc, 0, (size_t)n * sizeof *c);
}

static void tile(const struct gemm_job *job, int64_t i, int64_t j, int64_t m, int64_t n, int thread)
{
    const struct gemm_args *a = job->a;
    struct room *room = thread_scratch(job->k, thread);
    struct view to = view_part(job->C, i, j);
    float *c = job->through_room ? room->c : (float *)(void *)to.p;
    int64_t ldc = job->through_room ? n : to.row;
    if (job->through_room && a->beta != 0) state_of(job->k)->tiles->widen(to, m, n, c, ldc);
    if (a->depth.n == 0) product(job, i, j, m, n, 0, a->K, a->beta, c, ldc, room);
    for (int64_t g = 0; g < a->depth.n; g++)
        product(job, i, j, m, n, a->depth.start[g], a->depth.start[g + 1], g == 0 ? a->beta : 1, c,
                ldc, room);
    if (!job->finished) return;
    struct tile_end end = {
        .rows = m, .cols = n, .from = c, .from_ld = ldc, .act = a->act, .to = to};
    end.bias = job->bias ? job->bias + j : NULL;
    end.before = view_part(job->before, i, j);
    end.residual = view_part(job->residual, i, j);
    state_of(job->k)->tiles->finish(&end);
}

/* Tasks are numbered grain by grain; within one, rows of tiles run fastest, so that neighbours
 * share the columns of B. */
static void rows_task(void *ctx, int64_t task, int thread)
{
    const struct gemm_job *job = ctx;
    const struct gemm_args *a = job->a;
    int64_t first = 0, last = a->M;
    struct tiling t;
    for (int64_t g = 0;; g++) {
        if (a->rows.n) {
            assert(g < a->rows.n);
            first = a->rows.start[g];
            last = a->rows.start[g + 1];
        }
        t = tiling_of_rows(last - first, a->N, job->widened);
        if (task < t.down * t.across) break;
        task -= t.down * t.across;
    }
    int64_t i = first + task % t.down * t.m, j = task / t.down * t.n;
    tile(job, i, j, least(t.m, last - i), least(t.n, a->N - j), thread);
}

static void depth_task(void *ctx, int64_t task, int thread)
{
    const struct gemm_job *job = ctx;
    struct tiling t = tiling_of_depth(job->a->M, job->a->N, job->widened);
    int64_t i = task % t.down * t.m, j = task / t.down * t.n;
    tile(job, i, j, least(t.m, job->a->M - i), least(t.n, job->a->N - j), thread);
}

static bool overlap(struct view a, struct view b, int64_t M, int64_t N)
{
    if (!a.p || !b.p) return false;
    const unsigned char *a_end = a.p + ((M - 1) * a.row + N) * (int64_t)dtype_size(a.dtype);
    const unsigned char *b_end = b.p + ((M - 1) * b.row + N) * (int64_t)dtype_size(b.dtype);
    return a.p < b_end && b.p < a_end;
}

static void gemm(struct kernels *k, const struct gemm_args *a)
{
    assert(!a->C.trans && !a->before.trans && !a->residual.trans);
    assert((a->beta == 0 || a->beta == 1) && !(a->rows.n && a->depth.n));
    assert(!a->depth.n || (a->C.dtype == DTYPE_F32 && !buf_present(a->bias) && a->act == ACT_NONE &&
                           !buf_present(a->before.buf) && !buf_present(a->residual.buf)));
    if (a->M == 0 || a->N == 0) return;
    struct gemm_job job = {
        .k = k, .a = a, .A = view_of(a->A, a->M, a->K), .B = view_of(a->B, a->K, a->N)};
    job.C = view_of(a->C, a->M, a->N);
    job.before = view_of(a->before, a->M, a->N);
    job.residual = view_of(a->residual, a->M, a->N);
    job.bias = buf_host(a->bias, a->N, sizeof *job.bias);
    job.widened = a->A.dtype != DTYPE_F32 || a->B.dtype != DTYPE_F32 || a->C.dtype != DTYPE_F32;
    job.through_room = a->C.dtype != DTYPE_F32 || overlap(job.C, job.residual, a->M, a->N);
    job.finished =
        job.through_room || job.bias || a->act != ACT_NONE || job.before.p || job.residual.p;
    if (a->depth.n) {
        struct tiling t = tiling_of_depth(a->M, a->N, job.widened);
        pool_run(k->pool, depth_task, &job, t.down * t.across);
        return;
    }
    int64_t tasks = 0;
    for (int64_t g = 0; g < (a->rows.n ? a->rows.n : 1); g++) {
        int64_t m = a->rows.n ? a->rows.start[g + 1] - a->rows.start[g] : a->M;
        struct tiling t = tiling_of_rows(m, a->N, job.widened);
        tasks += t.down * t.across;
    }
    pool_run(k->pool, rows_task, &job, tasks);
}

void cpu_fill_gemm(struct kernels *k)
{
    _Static_assert(sizeof(struct room) <= KERNEL_SCRATCH, "scratch");
    k->gemm = gemm;
}
