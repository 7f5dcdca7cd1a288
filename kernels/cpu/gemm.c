/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.c: the matrix product, from the whole down to blocks in registers (product.h).
 *
 *     for a slab of columns and a stretch of the depth that fit the panels:
 *         threads pack B into panels                               | for all threads to read
 *         threads take tiles of C:
 *             for a chunk of the depth:                            | A's part fits the second cache
 *                 [pack A: columns in memory, or widened]
 *                 for a strip of columns:                          | B's part, too
 *                     for a block of rows, for a block of columns: | A's part fits the first
 *                         C block += A block B block
 *                         bias, activation, residual, rounding of the block before
 *
 * The bits of C do not depend on any of these borders (product.h), so grains need no care here:
 * their padding is zero and adds nothing. */
#include <string.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/product.h"

enum {
    NEAR = 1 << 20, /* bytes that stay in a second cache, beside others */
    TILE_M = 128,   /* most rows and columns of a tile */
    TILE_N = 1024,
    TILE_LEAST = 32, /* least rows, where that makes enough tiles */
    TILES = 3,       /* tiles worth having, to share out, for each thread */
    STRIP = 384,     /* columns */
    LONG = 2048,     /* a depth to be cut into stretches where its panels do not fit */
    STRETCH = 512,   /* of the depth, where C can hold partial sums */
    CLASH = 2048,    /* rows so many bytes, or a multiple, apart push each other out of caches */
    BESIDE = 16,     /* columns that keep the rows of a tile from such a distance */
    PIECE = 32,      /* of the depth, to pack by one task: a multiple of any unit's step */
    BLOCK_MOST = 64, /* rows and columns of any unit's block */
};

/* The scratch of a thread. */
struct room {
    unsigned char a[TILE_M * CHUNK_MOST * SIZE_MOST];
    float c[TILE_M * (TILE_N + BLOCK_MOST)];    /* a tile that does not go straight to C */
    float edge[BLOCK_MOST * BLOCK_MOST];        /* a block that sticks out of C */
    float complete[2][BLOCK_MOST * BLOCK_MOST]; /* this block and the one before */
};

struct gemm_job {
    const struct kernels *k;
    const struct gemm_args *a;
    const struct product_unit *unit;
    struct view A, B, C, before, residual;
    const float *bias;
    bool finished; /* something is left to do for a block after its sums */
    finish_lines *finish;
    bool through_room; /* its sums do not lie in C */
    float *partial;    /* [band][partial_ld]: sums between stretches that C cannot hold, or NULL */
    int64_t partial_ld;
    int64_t tile_m, tile_n, down, across; /* tiles of the slab */
    bool by_columns; /* the order of tiles: one part of the panels stays near for all rows */
    int64_t i0, i1, j0, j1, k0, k1; /* band, slab and stretch */
    unsigned char *panels;
};

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

static size_t panel_bytes(const struct gemm_job *job)
{
    const struct product_unit *u = job->unit;
    int64_t elements = round_up(job->k1 - job->k0, u->step) * u->cols;
    return (size_t)elements * u->size;
}

static size_t slab_bytes(const struct gemm_job *job)
{
    return panel_bytes(job) * (size_t)tasks_of(job->j1 - job->j0, job->unit->cols);
}

static bool is_in_place(const struct gemm_job *job)
{
    return job->unit->in_place && job->A.dtype == job->unit->dtype;
}

/* A task takes what lies together in memory: the rows of a panel's columns where these are lines,
 * else some of the depth of all panels. */
static void pack_task(void *ctx, int64_t task, int thread)
{
    const struct gemm_job *job = ctx;
    const struct product_unit *u = job->unit;
    int64_t k = 0, j = 0, depth = job->k1 - job->k0, cols = job->j1 - job->j0;
    if (job->B.trans) {
        j = task * u->cols;
        cols = least(u->cols, cols - j);
    } else {
        k = task * PIECE;
        depth = least(PIECE, depth - k);
    }
    unsigned char *to =
        job->panels + (size_t)(j / u->cols) * panel_bytes(job) + (size_t)(k * u->cols) * u->size;
    k += job->k0;
    j += job->j0;
    if (dtype_is_blocks(job->B.dtype))
        decode_panels(job->k, u, job->B, k, depth, j, cols, to, panel_bytes(job),
                      thread_scratch(job->k, thread));
    else
        u->pack_b(view_part(job->B, k, j), depth, cols, to, panel_bytes(job));
}

/* A tile of C: where its sums are kept, and whether whole blocks may be kept there. */
struct tile {
    int64_t i, m, j, n;
    float *sums;
    int64_t ld;
    bool whole;
};

static void copy_block(const float *from, int64_t from_ld, float *to, int64_t to_ld, int64_t rows,
                       int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * to_ld, from + i * from_ld, (size_t)cols * sizeof *to);
}

/* The block at (r, s) of a tile is complete in `from`: it waits to be finished. */
static void wait_for(const struct gemm_job *job, const struct tile *t, int64_t r, int64_t s,
                     const float *from, struct waiting *w)
{
    const struct product_unit *u = job->unit;
    struct tile_end *end = &w->end;
    int64_t i = t->i + r, j = t->j + s;
    end->rows = least(u->rows, t->m - r);
    end->cols = least(u->cols, t->n - s);
    end->from = from;
    end->from_ld = u->cols;
    end->bias = job->bias ? job->bias + j : NULL;
    end->before.p = view_at(&job->before, i, j);
    end->residual.p = view_at(&job->residual, i, j);
    end->to.p = view_at(&job->C, i, j);
    w->next = 0;
}

static void ahead_add(const struct view *v, int64_t i, int64_t j, int64_t cols, struct waiting *w)
{
    int64_t size = v->dtype == DTYPE_F32 ? 4 : 2;
    if (!v->p) return;
    for (int64_t at = 0; at < cols * size && w->aheads < AHEAD_MOST; at += 64)
        w->ahead[w->aheads++] = (struct ahead){view_at(v, i, j) + at, v->row * size};
}

/* What will be touched when the block at (i, j) of C is finished. */
static void aheads_set(const struct gemm_job *job, int64_t i, int64_t j, struct waiting *w)
{
    int64_t cols = job->unit->cols;
    w->aheads = 0;
    ahead_add(&job->C, i, j, cols, w);
    ahead_add(&job->before, i, j, cols, w);
    if (job->residual.p != job->C.p) ahead_add(&job->residual, i, j, cols, w);
}

static void waiting_rest(struct waiting *w)
{
    waiting_some(w, BLOCK_MOST);
    w->end.rows = 0;
}

/* One block: sums from where they are kept to there, or, if they are complete, to where they wait
 * in turn. */
static void block_run(const struct gemm_job *job, const struct tile *t, int64_t r, int64_t s,
                      const struct lines *a, const void *b, int64_t depth, bool add, bool complete,
                      struct waiting *w, struct room *room)
{
    const struct product_unit *u = job->unit;
    int64_t rows = least(u->rows, t->m - r), cols = least(u->cols, t->n - s);
    float *kept = t->sums + r * t->ld + s;
    bool inside = t->whole || (rows == u->rows && cols == u->cols);
    struct sums c = {add ? kept : NULL, t->ld, kept, t->ld};
    if (!inside) {
        if (add) copy_block(kept, t->ld, room->edge, u->cols, rows, cols);
        c = (struct sums){add ? room->edge : NULL, u->cols, room->edge, u->cols};
    }
    if (!complete) {
        u->block(a, b, depth, &c, w->aheads > 0 || w->source.lines > 0 ? w : NULL);
        if (!inside) copy_block(room->edge, u->cols, kept, t->ld, rows, cols);
        return;
    }
    c.to = w->end.from == room->complete[0] ? room->complete[1] : room->complete[0];
    c.to_ld = u->cols;
    aheads_set(job, t->i + r, t->j + s, w);
    w->ahead_rows = rows;
    u->block(a, b, depth, &c, w);
    waiting_rest(w);
    wait_for(job, t, r, s, c.to, w);
}

/* Nothing waits but the lines of the next block's sums, at (r, s), for being asked for. */
static void sums_ahead(const struct gemm_job *job, const struct tile *t, int64_t r, int64_t s,
                       struct waiting *w)
{
    const struct product_unit *u = job->unit;
    w->next = w->aheads = 0;
    w->ahead_rows = least(u->rows, t->m - r);
    if (t->whole || r >= t->m) return;
    const struct view sums = {(unsigned char *)(t->sums + r * t->ld + s), t->ld, 1, DTYPE_F32,
                              false};
    ahead_add(&sums, 0, 0, least(u->cols, t->n - s), w);
}

/* Lines of A that follow are asked for while `blocks` blocks of the depth `depth` run. */
static void source_set(const struct gemm_job *job, struct view from, int64_t rows, int64_t depth,
                       int64_t blocks, struct waiting *w)
{
    const struct product_unit *u = job->unit;
    const int64_t size = from.dtype == DTYPE_F32 ? 4 : 2;
    const int64_t times = blocks * (u->beside ? tasks_of(depth, u->step) : 1);
    struct source *s = &w->source;
    *s = (struct source){.p = from.p, .step = (from.trans ? from.col : from.row) * size};
    s->lines = from.trans ? depth : rows;
    s->bytes = (from.trans ? rows : depth) * size;
    s->each = tasks_of(s->lines * tasks_of(s->bytes, 64), times);
}

/* The tile's sums = or += (add) A B over the depth k .. + depth, which may complete them. */
static void tile_chunk(const struct gemm_job *job, const struct tile *t, int64_t k, int64_t depth,
                       bool add, bool complete, struct waiting *w, struct room *room)
{
    const struct product_unit *u = job->unit;
    size_t size = u->size, panel = panel_bytes(job);
    int64_t deep = round_up(depth, u->step);
    struct view from = view_part(job->A, t->i, k);
    struct lines lines = {from.p, from.row, 1, u->rows * from.row};
    if (!is_in_place(job) || from.trans || t->m % u->rows != 0 || deep != depth ||
        from.row * (int64_t)size % CLASH == 0)
        lines = u->pack_a(from, t->m, depth, room->a);
    int64_t left = least(depth, job->k1 - k - depth);
    if (lines.p != from.p && left > 0)
        source_set(job, view_part(from, 0, depth), t->m, left,
                   tasks_of(t->m, u->rows) * tasks_of(t->n, u->cols), w);
    const unsigned char *panels = job->panels + (size_t)((t->j - job->j0) / u->cols) * panel +
                                  (size_t)((k - job->k0) * u->cols) * size;
    for (int64_t strip = 0; strip < t->n; strip += STRIP)
        for (int64_t r = 0; r < t->m; r += u->rows) {
            struct lines a = lines;
            a.p = (const unsigned char *)lines.p + (size_t)(r / u->rows * lines.block) * size;
            int64_t end = least(strip + STRIP, t->n);
            if (strip == 0 && lines.p == from.p && r + u->rows < t->m)
                source_set(job, view_part(from, r + u->rows, 0), u->rows, depth,
                           tasks_of(end, u->cols), w);
            for (int64_t s = strip; s < end; s += u->cols) {
                const void *b = panels + (size_t)(s / u->cols) * panel;
                bool turn = s + u->cols >= end;
                if (!complete)
                    sums_ahead(job, t, turn ? r + u->rows : r, turn ? strip : s + u->cols, w);
                block_run(job, t, r, s, &a, b, deep, add, complete, w, room);
            }
        }
}

static void tile_task(void *ctx, int64_t task, int thread)
{
    const struct gemm_job *job = ctx;
    const struct product_unit *u = job->unit;
    const struct tile_ops *ops = state_of(job->k)->tiles;
    struct room *room = thread_scratch(job->k, thread);
    int64_t down = job->by_columns ? task % job->down : task / job->across;
    int64_t across = job->by_columns ? task / job->down : task % job->across;
    struct tile t = {.i = job->i0 + down * job->tile_m, .j = job->j0 + across * job->tile_n};
    t.m = least(job->tile_m, job->i1 - t.i);
    t.n = least(job->tile_n, job->j1 - t.j);
    struct view to = view_part(job->C, t.i, t.j);
    t.sums = (float *)(void *)to.p;
    t.ld = to.row;
    bool first = job->k0 == 0, last = job->k1 == job->a->K;
    if (job->partial) {
        t.sums = job->partial + (t.i - job->i0) * job->partial_ld + (t.j - job->j0);
        t.ld = job->partial_ld;
    } else if (job->through_room) {
        t.sums = room->c;
        t.ld = round_up(t.n, u->cols) + BESIDE;
        t.whole = true;
    }
    bool add = !first || job->a->beta != 0;
    if (first && job->through_room && add) ops->widen(to, t.m, t.n, t.sums, t.ld);
    struct waiting w = {
        .end = {.act = job->a->act, .before = job->before, .residual = job->residual, .to = job->C},
        .finish = job->finish};
    int64_t depth = job->k1 - job->k0;
    int64_t chunk = round_up(tasks_of(depth, tasks_of(depth + 1, u->chunk)), u->step);
    if (u->begin) u->begin();
    for (int64_t k = job->k0; k < job->k1; k += chunk) {
        bool complete = last && job->finished && k + chunk >= job->k1;
        tile_chunk(job, &t, k, least(chunk, job->k1 - k), add, complete, &w, room);
        add = true;
    }
    if (u->end) u->end();
    waiting_rest(&w);
    if (depth > 0) return;
    if (!add)
        for (int64_t r = 0; r < t.m; r++) memset(t.sums + r * t.ld, 0, (size_t)t.n * sizeof(float));
    if (!job->finished) return;
    wait_for(job, &t, 0, 0, t.sums, &w);
    w.end.rows = t.m;
    w.end.cols = t.n;
    w.end.from_ld = t.ld;
    ops->finish(&w.end, 0, t.m);
}

/* Tiles of M x N elements. */
static void tiles_set(struct gemm_job *job, int64_t M, int64_t N)
{
    const struct product_unit *u = job->unit;
    const int64_t wanted = TILES * (int64_t)state_of(job->k)->threads;
    job->tile_m = TILE_M;
    job->across = tasks_of(N, TILE_N);
    job->tile_n = round_up(tasks_of(N, job->across), u->cols);
    job->across = tasks_of(N, job->tile_n);
    while (job->tile_m > TILE_LEAST && tasks_of(M, job->tile_m) * job->across < wanted)
        job->tile_m /= 2;
    job->down = tasks_of(M, job->tile_m);
    while (job->tile_n > u->cols && job->down * job->across < wanted / 2) {
        job->tile_n = round_up(job->tile_n / 2, u->cols);
        job->across = tasks_of(N, job->tile_n);
    }
}

/* How much is packed at a time: a stretch of the depth and a slab of columns. Where C cannot hold
 * the sums between stretches, half of the panels' memory holds those of a band of rows. */
static void extents_set(struct gemm_job *job, int64_t *stretch, int64_t *slab, int64_t *band)
{
    const struct product_unit *u = job->unit;
    const struct gemm_args *a = job->a;
    size_t line = (size_t)u->cols * u->size, bytes = KERNEL_PANELS;
    size_t all = (size_t)(round_up(a->K, u->step) * tasks_of(a->N, u->cols)) * line;
    bool fits = all <= bytes;
    *stretch = a->K;
    *band = a->M;
    /* sums that stay near cost less than panels that do not */
    int64_t sums = a->M * a->N * (int64_t)sizeof(float) / state_of(job->k)->threads;
    bool near = all <= NEAR, sums_near = !job->through_room && sums <= NEAR * 5 / 4;
    if (a->K > STRETCH && !near && sums_near) {
        *stretch = STRETCH;
    } else if (a->K > LONG && !fits) {
        *stretch = STRETCH;
        if (job->through_room) {
            bytes /= 2;
            job->partial = (float *)(void *)(job->panels + bytes);
        }
    }
    size_t panel = (size_t)round_up(*stretch, u->step) * line;
    *slab = panel ? (int64_t)(bytes / panel) * u->cols : a->N;
    if (!job->partial) return;
    job->partial_ld = round_up(least(*slab, a->N), u->cols);
    *band = (int64_t)(bytes / sizeof(float)) / job->partial_ld;
}

static bool overlap(struct view a, struct view b, int64_t M, int64_t N)
{
    if (!a.p || !b.p) return false;
    const unsigned char *a_end = a.p + ((M - 1) * a.row + N) * (int64_t)dtype_size(a.dtype);
    const unsigned char *b_end = b.p + ((M - 1) * b.row + N) * (int64_t)dtype_size(b.dtype);
    return a.p < b_end && b.p < a_end;
}

/* All columns and the whole depth for rows i0 .. i1. */
static void band_run(struct gemm_job *job, int64_t stretch, int64_t slab)
{
    const struct gemm_args *a = job->a;
    for (job->j0 = 0; job->j0 < a->N; job->j0 = job->j1) {
        job->j1 = least(job->j0 + slab, a->N);
        tiles_set(job, job->i1 - job->i0, job->j1 - job->j0);
        job->k0 = 0;
        job->k1 = least(stretch, a->K);
        job->by_columns = !job->A.trans && is_in_place(job) && slab_bytes(job) > NEAR;
        do {
            job->k1 = least(job->k0 + stretch, a->K);
            pool_run(job->k->pool, pack_task, job,
                     job->B.trans ? tasks_of(job->j1 - job->j0, job->unit->cols)
                                  : tasks_of(job->k1 - job->k0, PIECE));
            pool_run(job->k->pool, tile_task, job, job->down * job->across);
            job->k0 = job->k1;
        } while (job->k0 < a->K);
    }
}

static void gemm(struct kernels *k, const struct gemm_args *a)
{
    assert(!a->C.trans && !a->before.trans && !a->residual.trans);
    assert((a->beta == 0 || a->beta == 1) && !(a->rows.n && a->depth.n));
    assert(!a->depth.n || (a->C.dtype == DTYPE_F32 && !buf_present(a->bias) && a->act == ACT_NONE &&
                           !buf_present(a->before.buf) && !buf_present(a->residual.buf)));
    if (a->M == 0 || a->N == 0) return;
    struct kernels_state *state = state_of(k);
    struct gemm_job job = {.k = k,
                           .a = a,
                           .A = view_of(a->A, a->M, a->K),
                           .B = view_of(a->B, a->K, a->N),
                           .C = view_of(a->C, a->M, a->N),
                           .before = view_of(a->before, a->M, a->N),
                           .residual = view_of(a->residual, a->M, a->N),
                           .bias = buf_host(a->bias, a->N, sizeof *job.bias),
                           .panels = state->panels};
    bool half =
        a->A.dtype == DTYPE_BF16 && (a->B.dtype == DTYPE_BF16 || dtype_is_blocks(a->B.dtype));
    job.unit = half ? state->product_bf16 : state->product_f32;
    job.through_room = a->C.dtype != DTYPE_F32 || overlap(job.C, job.residual, a->M, a->N);
    job.finished =
        job.through_room || job.bias || a->act != ACT_NONE || job.before.p || job.residual.p;
    bool all_half = a->C.dtype == DTYPE_BF16 && (!job.before.p || a->before.dtype == DTYPE_BF16) &&
                    (!job.residual.p || a->residual.dtype == DTYPE_BF16);
    job.finish = all_half && job.unit->finish_half ? job.unit->finish_half : state->tiles->finish;
    int64_t stretch, slab, band;
    extents_set(&job, &stretch, &slab, &band);
    for (job.i0 = 0; job.i0 < a->M; job.i0 = job.i1) {
        job.i1 = least(job.i0 + band, a->M);
        band_run(&job, stretch, slab);
    }
}

void cpu_fill_gemm(struct kernels *k)
{
    _Static_assert(sizeof(struct room) <= KERNEL_SCRATCH, "scratch");
    k->gemm = gemm;
}
