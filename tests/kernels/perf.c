/* SPDX-License-Identifier: Apache-2.0 */
/* perf.c: the mode perf: the best of several runs, beside the machine's ceiling, which is measured
 * first: one large product in F32 and a triad over memory (x = x + s y). */
#include "tests/kernels/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct triad {
    float *x, *y;
    int64_t n;
};

static void triad_task(void *ctx, int64_t task, int thread)
{
    const struct triad *t = ctx;
    (void)thread;
    for (int64_t i = task * 4096; i < (task + 1) * 4096 && i < t->n; i++) t->x[i] += 0.5f * t->y[i];
}

static double triad_best(struct pool *pool)
{
    struct triad t = {.n = 1 << 24};
    t.x = calloc((size_t)t.n, sizeof *t.x);
    t.y = calloc((size_t)t.n, sizeof *t.y);
    double best = 0;
    for (int i = 0; t.x && t.y && i < 5; i++) {
        double from = seconds();
        pool_run(pool, triad_task, &t, t.n / 4096);
        double rate = 12.0 * (double)t.n / (seconds() - from);
        if (i > 0 && rate > best) best = rate;
    }
    free(t.x);
    free(t.y);
    return best;
}

static double product_best(struct kernels *k)
{
    enum { SIDE = 1536 };
    struct errctx e = ERRCTX_INIT;
    struct buf b[3];
    double best = 0;
    for (int i = 0; i < 3; i++)
        if (k->alloc(k, &e, sizeof(float) * SIDE * SIDE, &b[i]) != ERR_OK) abort();
    struct gemm_args a = {.M = SIDE, .N = SIDE, .K = SIDE};
    a.A = mat_rows(b[0], DTYPE_F32, SIDE);
    a.B = mat_rows(b[1], DTYPE_F32, SIDE);
    a.C = mat_rows(b[2], DTYPE_F32, SIDE);
    for (int i = 0; i < 5; i++) {
        double from = seconds();
        k->gemm(k, &a);
        double rate = 2.0 * SIDE * SIDE * SIDE / (seconds() - from);
        if (rate > best) best = rate;
    }
    for (int i = 0; i < 3; i++) k->free(k, b[i]);
    return best;
}

void perf_ceiling(struct machine *m)
{
    for (int t = 0; t < 2; t++)
        printf("ceiling, %d thread%s: product %.1f GFLOP/s, triad %.1f GB/s\n", t + 1, t ? "s" : "",
               product_best(&m->under_test[t]) * 1e-9, triad_best(m->pools[t]) * 1e-9);
}

void mode_perf(struct machine *m, const struct op *op)
{
    for (size_t i = 0; i < op->perf_count; i++) {
        const struct shape *s = &op->perf[i];
        double best[2] = {0};
        for (int t = 0; t < 2; t++) best[t] = problem_time(&m->under_test[t], op, s, seconds);
        char text[512];
        shape_print(text, sizeof text, s);
        printf("%-18s", op->name);
        if (op->flops)
            printf(" %7.1f %7.1f GFLOP/s", op->flops(s) / best[0] * 1e-9,
                   op->flops(s) / best[1] * 1e-9);
        if (op->bytes)
            printf(" %7.1f %7.1f GB/s", op->bytes(s) / best[0] * 1e-9,
                   op->bytes(s) / best[1] * 1e-9);
        printf("  %8.0f %8.0f us  x%.2f %s\n", best[0] * 1e6, best[1] * 1e6, best[0] / best[1],
               text);
        fflush(stdout);
    }
}
