/* SPDX-License-Identifier: Apache-2.0 */
/* norm.c: layer norm (Ba et al., arXiv:1607.06450) and RMS norm (Zhang and Sennrich,
 * arXiv:1910.07467).
 *
 * With xhat = (x - mean) rstd and g = dy weight, over the C channels of one token:
 *   layer  dx = rstd (g - mean(g) - xhat mean(g xhat))
 *   rms    dx = rstd (g - xhat mean(g xhat)),  mean = 0
 * dweight[c] += dy xhat and dbias[c] += dy are rounded at every token, so that they do not depend
 * on how a batch is cut. */
#include <math.h>
#include "kernels/internal.h"

static void norm_forward(struct kernels *k, enum norm_kind kind, int64_t N, int64_t C, struct mat x,
                         struct buf weight, float weight_offset, struct buf bias, float eps,
                         struct mat y, struct buf mean, struct buf rstd)
{
    (void)k;
    struct view vx = view_of(x, N, C), vy = view_of(y, N, C);
    const float *w = buf_host(weight, C, sizeof *w), *b = buf_host(bias, C, sizeof *b);
    float *means = buf_host(mean, N, sizeof *means), *rstds = buf_host(rstd, N, sizeof *rstds);
    for (int64_t n = 0; n < N; n++) {
        double m = 0, square = 0;
        if (kind == NORM_LAYER) {
            for (int64_t c = 0; c < C; c++) m += view_get(vx, n, c);
            m /= (double)C;
        }
        for (int64_t c = 0; c < C; c++)
            square += (view_get(vx, n, c) - m) * (view_get(vx, n, c) - m);
        double r = 1 / sqrt(square / (double)C + eps);
        for (int64_t c = 0; c < C; c++)
            view_put(vy, n, c,
                     (view_get(vx, n, c) - m) * r * ((double)w[c] + weight_offset) +
                         (b ? b[c] : 0));
        if (means && kind == NORM_LAYER) means[n] = (float)m;
        if (rstds) rstds[n] = (float)r;
    }
}

static void norm_backward(struct kernels *k, enum norm_kind kind, int64_t N, int64_t C,
                          struct mat dy, struct mat x, struct buf weight, float weight_offset,
                          struct buf mean, struct buf rstd, struct mat dx, bool add,
                          struct buf dweight, struct buf dbias)
{
    (void)k;
    struct view vdy = view_of(dy, N, C), vx = view_of(x, N, C), vdx = view_of(dx, N, C);
    const float *w = buf_host(weight, C, sizeof *w);
    const float *means = buf_host(mean, N, sizeof *means),
                *rstds = buf_host(rstd, N, sizeof *rstds);
    float *dw = buf_host(dweight, C, sizeof *dw), *db = buf_host(dbias, C, sizeof *db);
    assert(rstds && (means || kind == NORM_RMS));
    for (int64_t n = 0; n < N; n++) {
        double m = kind == NORM_LAYER ? means[n] : 0, r = rstds[n], sum = 0, product = 0;
        for (int64_t c = 0; c < C; c++) {
            double d = view_get(vdy, n, c), xhat = (view_get(vx, n, c) - m) * r,
                   g = d * ((double)w[c] + weight_offset);
            sum += g;
            product += g * xhat;
            if (dw) dw[c] = (float)(dw[c] + d * xhat);
            if (db) db[c] = (float)(db[c] + d);
        }
        sum = kind == NORM_LAYER ? sum / (double)C : 0;
        product /= (double)C;
        for (int64_t c = 0; c < C && vdx.p; c++) {
            double xhat = (view_get(vx, n, c) - m) * r,
                   g = view_get(vdy, n, c) * ((double)w[c] + weight_offset);
            view_put(vdx, n, c, r * (g - sum - xhat * product) + (add ? view_get(vdx, n, c) : 0));
        }
    }
}

void norm_ref(struct kernels *k)
{
    k->norm_forward = norm_forward;
    k->norm_backward = norm_backward;
}
