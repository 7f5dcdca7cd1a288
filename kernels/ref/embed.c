/* SPDX-License-Identifier: Apache-2.0 */
/* embed.c: rows of tables: look up, accumulate back, gather and scatter. */
#include <string.h>
#include "kernels/internal.h"

static void embed_forward(struct kernels *k, int64_t N, int64_t C, struct buf id, struct mat table,
                          float scale, struct mat y, bool add)
{
    const int32_t *ids = buf_host(id, N, sizeof *ids);
    struct view vy = view_of(y, N, C);
    for (int64_t n = 0; n < N; n++) {
        assert(ids[n] >= -1);
        struct view row = view_of(table, ids[n] + 1, C);
        if (ids[n] >= 0) row = line_decoded(row, ids[n], C, thread_scratch(k, 0));
        for (int64_t c = 0; c < C; c++) {
            double x = ids[n] < 0 ? 0 : (double)scale * view_get(row, c, 0);
            view_put(vy, n, c, add ? view_get(vy, n, c) + x : x);
        }
    }
}

static void embed_backward(struct kernels *k, int64_t N, int64_t C, struct buf id, struct mat dy,
                           float scale, struct buf dtable)
{
    (void)k;
    const int32_t *ids = buf_host(id, N, sizeof *ids);
    struct view vdy = view_of(dy, N, C);
    for (int64_t n = 0; n < N; n++) {
        assert(ids[n] >= -1);
        float *row = buf_host(dtable, (ids[n] + 1) * C, sizeof *row);
        for (int64_t c = 0; c < C && ids[n] >= 0; c++)
            row[ids[n] * C + c] =
                (float)(row[ids[n] * C + c] + (double)scale * view_get(vdy, n, c));
    }
}

static void gather(struct kernels *k, int64_t n, int64_t C, struct buf index, struct mat x,
                   struct mat y)
{
    (void)k;
    const int32_t *from = buf_host(index, n, sizeof *from);
    struct view vy = view_of(y, n, C);
    for (int64_t i = 0; i < n; i++) {
        assert(from[i] >= -1);
        struct view vx = view_of(x, from[i] + 1, C);
        for (int64_t c = 0; c < C; c++)
            view_put(vy, i, c, from[i] < 0 ? 0 : view_get(vx, from[i], c));
    }
}

static void scatter(struct kernels *k, int64_t n, int64_t N, int64_t C, struct buf index,
                    struct mat x, struct mat y)
{
    (void)k;
    const int32_t *to = buf_host(index, n, sizeof *to);
    struct view vx = view_of(x, n, C), vy = view_of(y, N, C);
    for (int64_t i = 0; i < N; i++)
        for (int64_t c = 0; c < C; c++) view_put(vy, i, c, 0);
    for (int64_t i = 0; i < n; i++) {
        assert(to[i] >= -1 && to[i] < N);
        for (int64_t c = 0; c < C && to[i] >= 0; c++) view_put(vy, to[i], c, view_get(vx, i, c));
    }
}

void embed_ref(struct kernels *k)
{
    k->embed_forward = embed_forward;
    k->embed_backward = embed_backward;
    k->gather = gather;
    k->scatter = scatter;
}
