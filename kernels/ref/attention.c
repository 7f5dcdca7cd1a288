/* SPDX-License-Identifier: Apache-2.0 */
/* attention.c: out[i] = sum over visible j of p[i, j] v[j], p = softmax(s) over j,
 * s[i, j] = softcap(scale q[i] . k[j]).
 *
 * The scores are computed anew wherever they are needed, so nothing of size T x T is kept.
 * Backward, with delta[i] = dout[i] . out[i] (Dao et al., arXiv:2205.14135, appendix B):
 *
 *   ds[i, j] = p (dout[i] . v[j] - delta[i]) scale (1 - (s / softcap)^2)
 *   dq[i] = sum over j of ds k[j]
 *   dk[j] = sum over i of ds q[i];  dv[j] = sum over i of p dout[i]
 *
 * the last two over the heads of the group and, within one, the queries in order. */
#include <math.h>
#include "kernels/internal.h"

struct attention_views attention_views_of(const struct attention_args *a)
{
    struct attention_views v = {0};
    assert(a->G > 0 && a->H % a->G == 0 && (a->window == 0 || a->causal));
    for (int64_t b = 0; b < a->B; b++) {
        assert(a->q_start[b] >= 0 && a->q_len[b] >= 0 && a->kv_start[b] >= 0 && a->kv_len[b] >= 0);
        if (a->q_start[b] + a->q_len[b] > v.queries) v.queries = a->q_start[b] + a->q_len[b];
        if (a->kv_start[b] + a->kv_len[b] > v.keys) v.keys = a->kv_start[b] + a->kv_len[b];
    }
    v.q = view_of(a->q, v.queries, a->H * a->D);
    v.k = view_of(a->k, v.keys, a->G * a->D);
    v.v = view_of(a->v, v.keys, a->G * a->D);
    v.out = view_of(a->out, v.queries, a->H * a->D);
    assert(a->lse_ld >= v.queries || !buf_present(a->lse));
    v.lse = v.queries ? buf_host(a->lse, (a->H - 1) * a->lse_ld + v.queries, sizeof *v.lse) : NULL;
    return v;
}

static double dot(struct view a, int64_t i, int64_t a0, struct view b, int64_t j, int64_t b0,
                  int64_t D)
{
    double sum = 0;
    for (int64_t d = 0; d < D; d++) sum += (double)view_get(a, i, a0 + d) * view_get(b, j, b0 + d);
    return sum;
}

/* The score of query row i (of the matrix) and key row j for head h; *slope: its derivative by q .
 * k. */
static double score(const struct attention_args *a, const struct attention_views *v, int64_t h,
                    int64_t i, int64_t j, double *slope)
{
    double s = a->scale * dot(v->q, i, h * a->D, v->k, j, h / (a->H / a->G) * a->D, a->D);
    *slope = a->scale;
    if (a->softcap > 0) {
        double t = tanh(s / a->softcap);
        s = a->softcap * t;
        *slope *= 1 - t * t;
    }
    return s;
}

static void forward_query(const struct attention_args *a, const struct attention_views *v,
                          int64_t b, int64_t h, int64_t i, double *sum)
{
    int64_t first, last, row = a->q_start[b] + i, column = h / (a->H / a->G) * a->D;
    double top = -INFINITY, total = 0, slope;
    attention_span(a, b, i, &first, &last);
    for (int64_t j = first; j < last; j++)
        top = fmax(top, score(a, v, h, row, a->kv_start[b] + j, &slope));
    for (int64_t d = 0; d < a->D; d++) sum[d] = 0;
    for (int64_t j = first; j < last; j++) {
        double p = exp(score(a, v, h, row, a->kv_start[b] + j, &slope) - top);
        total += p;
        for (int64_t d = 0; d < a->D; d++)
            sum[d] += p * view_get(v->v, a->kv_start[b] + j, column + d);
    }
    for (int64_t d = 0; d < a->D; d++)
        view_put(v->out, row, h * a->D + d, last > first ? sum[d] / total : 0);
    if (v->lse) v->lse[h * a->lse_ld + row] = (float)(last > first ? top + log(total) : -INFINITY);
}

static void attention_forward(struct kernels *k, const struct attention_args *a)
{
    struct attention_views v = attention_views_of(a);
    double *sum = thread_scratch(k, 0);
    assert((size_t)a->D * sizeof *sum <= KERNEL_SCRATCH);
    for (int64_t b = 0; b < a->B; b++)
        for (int64_t h = 0; h < a->H; h++)
            for (int64_t i = 0; i < a->q_len[b]; i++) forward_query(a, &v, b, h, i, sum);
}

/* p and ds of one pair. */
static double pair(const struct attention_args *a, const struct attention_views *v,
                   struct view dout, const float *delta, int64_t b, int64_t h, int64_t i, int64_t j,
                   double *ds)
{
    int64_t row = a->q_start[b] + i, key = a->kv_start[b] + j;
    double slope, p = exp(score(a, v, h, row, key, &slope) - v->lse[h * a->lse_ld + row]);
    double dp = dot(dout, row, h * a->D, v->v, key, h / (a->H / a->G) * a->D, a->D);
    *ds = p * (dp - delta[h * a->lse_ld + row]) * slope;
    return p;
}

static void attention_backward(struct kernels *k, const struct attention_args *a, struct mat dout,
                               struct buf delta, struct mat dq, struct mat dk, struct mat dv)
{
    struct attention_views v = attention_views_of(a);
    struct view vdout = view_of(dout, v.queries, a->H * a->D),
                vdq = view_of(dq, v.queries, a->H * a->D);
    struct view vdk = view_of(dk, v.keys, a->G * a->D), vdv = view_of(dv, v.keys, a->G * a->D);
    if (v.queries == 0) return;
    float *deltas = buf_host(delta, (a->H - 1) * a->lse_ld + v.queries, sizeof *deltas);
    double *sum = thread_scratch(k, 0), ds;
    int64_t D = a->D, first, last, heads = a->H / a->G;
    assert(v.lse && 2 * (size_t)D * sizeof *sum <= KERNEL_SCRATCH);
    for (int64_t b = 0; b < a->B; b++) {
        for (int64_t h = 0; h < a->H; h++)
            for (int64_t i = 0; i < a->q_len[b]; i++) {
                int64_t row = a->q_start[b] + i;
                deltas[h * a->lse_ld + row] = (float)dot(vdout, row, h * D, v.out, row, h * D, D);
                for (int64_t d = 0; d < D; d++) sum[d] = 0;
                attention_span(a, b, i, &first, &last);
                for (int64_t j = first; j < last; j++) {
                    pair(a, &v, vdout, deltas, b, h, i, j, &ds);
                    for (int64_t d = 0; d < D; d++)
                        sum[d] += ds * view_get(v.k, a->kv_start[b] + j, h / heads * D + d);
                }
                for (int64_t d = 0; d < D; d++) view_put(vdq, row, h * D + d, sum[d]);
            }
        for (int64_t g = 0; g < a->G; g++)
            for (int64_t j = 0; j < a->kv_len[b]; j++) {
                for (int64_t d = 0; d < 2 * D; d++) sum[d] = 0;
                for (int64_t h = g * heads; h < (g + 1) * heads; h++)
                    for (int64_t i = 0; i < a->q_len[b]; i++) {
                        attention_span(a, b, i, &first, &last);
                        if (j < first || j >= last) continue;
                        double p = pair(a, &v, vdout, deltas, b, h, i, j, &ds);
                        for (int64_t d = 0; d < D; d++) {
                            sum[d] += ds * view_get(v.q, a->q_start[b] + i, h * D + d);
                            sum[D + d] += p * view_get(vdout, a->q_start[b] + i, h * D + d);
                        }
                    }
                for (int64_t d = 0; d < D; d++) {
                    view_put(vdk, a->kv_start[b] + j, g * D + d, sum[d]);
                    view_put(vdv, a->kv_start[b] + j, g * D + d, sum[D + d]);
                }
            }
    }
}

void attention_ref(struct kernels *k)
{
    k->attention_forward = attention_forward;
    k->attention_backward = attention_backward;
}
