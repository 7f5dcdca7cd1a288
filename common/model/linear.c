/* SPDX-License-Identifier: Apache-2.0 */
/* linear.c: the three products of a linear map,
 *   y = x W^T + b          dx = dy W          dW += dy^T x,  db += 1^T dy
 * and, of each low-rank part (of its rows of y),
 *   low = scale drop(x) A^T            y += low B^T
 *   dlow = scale dy B                  dx += drop(dlow A)
 *   dA += dlow^T drop(x)               dB += dy^T low
 *
 * The low-rank parts are computed first and W's product is added onto them: so it can still be
 * followed by bias, activation and residual in one pass. low is computed again in the backward
 * pass: that costs less than keeping it. */
#include "common/model/linear.h"

struct mat mat_columns(struct mat m, int64_t first)
{
    const size_t skip = (size_t)first * dtype_size(m.dtype);
    m.buf = buf_at(m.buf, skip, m.buf.bytes - skip);
    return m;
}

/* ------------------------------------------------------------------ low-rank parts */

static struct mat dropped(struct kernels *k, int64_t N, int64_t C, struct mat x, struct mat y,
                          const struct lora_work *w)
{
    if (!w->dropout) return x;
    struct dropout_args a = *w->dropout;
    a.N = N;
    a.C = C;
    a.x = x;
    a.y = y;
    k->dropout(k, &a);
    return y;
}

/* low, of all parts. */
static void lora_down(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                      struct mat x, const struct lora_work *w)
{
    for (int64_t i = 0; i < l->lora_count; i++) {
        const struct lora *p = &l->lora[i];
        const struct mat low = mat_columns(w->low, p->column);
        const struct gemm_args a = {.M = N,
                                    .N = p->rank,
                                    .K = l->in,
                                    .A = x,
                                    .B = mat_transposed(p->A),
                                    .C = low,
                                    .rows = grains};
        k->gemm(k, &a);
        k->scale(k, N, p->rank, p->scale, low);
    }
}

/* y = low B^T; rows of y that no part has are zero. */
static void lora_up(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                    struct mat y, const struct lora_work *w)
{
    if (!l->lora_whole) k->zero(k, buf_at(y.buf, 0, (size_t)(N * y.ld) * dtype_size(y.dtype)));
    for (int64_t i = 0; i < l->lora_count; i++) {
        const struct lora *p = &l->lora[i];
        const struct gemm_args a = {.M = N,
                                    .N = p->out,
                                    .K = p->rank,
                                    .A = mat_columns(w->low, p->column),
                                    .B = mat_transposed(p->B),
                                    .C = mat_columns(y, p->from),
                                    .beta = p->again ? 1 : 0,
                                    .rows = grains};
        k->gemm(k, &a);
    }
}

/* dlow of all parts, and dx = drop(dlow A) where it is wanted. */
static void lora_backward_input(struct kernels *k, const struct linear *l, int64_t N,
                                struct grid grains, struct mat dy, struct mat dx,
                                const struct lora_work *w)
{
    const struct mat to = w->dropout ? w->dropped : dx;
    for (int64_t i = 0; i < l->lora_count; i++) {
        const struct lora *p = &l->lora[i];
        const struct mat dlow = mat_columns(w->dlow, p->column);
        const struct gemm_args up = {.M = N,
                                     .N = p->rank,
                                     .K = p->out,
                                     .A = mat_columns(dy, p->from),
                                     .B = p->B,
                                     .C = dlow,
                                     .rows = grains};
        const struct gemm_args down = {.M = N,
                                       .N = l->in,
                                       .K = p->rank,
                                       .A = dlow,
                                       .B = p->A,
                                       .C = to,
                                       .beta = i ? 1 : 0,
                                       .rows = grains};
        k->gemm(k, &up);
        k->scale(k, N, p->rank, p->scale, dlow);
        if (buf_present(dx.buf)) k->gemm(k, &down);
    }
    if (buf_present(dx.buf)) (void)dropped(k, N, l->in, to, dx, w);
}

static void lora_backward_weight(struct kernels *k, const struct linear *l, int64_t N,
                                 struct grid grains, struct mat x, struct mat dy,
                                 const struct lora_work *w)
{
    const struct mat from = dropped(k, N, l->in, x, w->dropped, w);
    lora_down(k, l, N, grains, from, w);
    for (int64_t i = 0; i < l->lora_count; i++) {
        const struct lora *p = &l->lora[i];
        const struct gemm_args A = {.M = p->rank,
                                    .N = l->in,
                                    .K = N,
                                    .A = mat_transposed(mat_columns(w->dlow, p->column)),
                                    .B = from,
                                    .C = mat_rows(p->dA, DTYPE_F32, l->in),
                                    .beta = 1,
                                    .depth = grains};
        const struct gemm_args B = {.M = p->out,
                                    .N = p->rank,
                                    .K = N,
                                    .A = mat_transposed(mat_columns(dy, p->from)),
                                    .B = mat_columns(w->low, p->column),
                                    .C = mat_rows(p->dB, DTYPE_F32, p->rank),
                                    .beta = 1,
                                    .depth = grains};
        if (buf_present(p->dA)) k->gemm(k, &A);
        if (buf_present(p->dB)) k->gemm(k, &B);
    }
}

/* ------------------------------------------------------------------ the whole */

void linear_forward(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                    struct mat x, struct mat y, enum activation act, struct mat before,
                    struct mat residual, const struct lora_work *w)
{
    if (l->lora_count > 0) {
        lora_down(k, l, N, grains, dropped(k, N, l->in, x, w->dropped, w), w);
        lora_up(k, l, N, grains, y, w);
    }
    const struct gemm_args a = {.M = N,
                                .N = l->out,
                                .K = l->in,
                                .A = x,
                                .B = mat_transposed(l->weight),
                                .C = y,
                                .beta = l->lora_count > 0 ? 1 : 0,
                                .bias = l->bias,
                                .act = act,
                                .before = before,
                                .residual = residual,
                                .rows = grains};
    k->gemm(k, &a);
}

void linear_backward(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                     struct mat x, struct mat dy, struct mat dx, struct mat residual,
                     const struct lora_work *w)
{
    linear_backward_input(k, l, N, grains, dy, dx, residual, w);
    linear_backward_weight(k, l, N, grains, x, dy, w);
}

void linear_backward_input(struct kernels *k, const struct linear *l, int64_t N, struct grid grains,
                           struct mat dy, struct mat dx, struct mat residual,
                           const struct lora_work *w)
{
    if (l->lora_count > 0) lora_backward_input(k, l, N, grains, dy, dx, w);
    if (!buf_present(dx.buf)) return;
    const struct gemm_args a = {.M = N,
                                .N = l->in,
                                .K = l->out,
                                .A = dy,
                                .B = l->weight,
                                .C = dx,
                                .beta = l->lora_count > 0 ? 1 : 0,
                                .residual = residual,
                                .rows = grains};
    k->gemm(k, &a);
}

void linear_backward_weight(struct kernels *k, const struct linear *l, int64_t N,
                            struct grid grains, struct mat x, struct mat dy,
                            const struct lora_work *w)
{
    if (l->lora_count > 0) lora_backward_weight(k, l, N, grains, x, dy, w);
    if (buf_present(l->dweight)) {
        const struct gemm_args a = {.M = l->out,
                                    .N = l->in,
                                    .K = N,
                                    .A = mat_transposed(dy),
                                    .B = x,
                                    .C = mat_rows(l->dweight, DTYPE_F32, l->in),
                                    .beta = 1,
                                    .depth = grains};
        k->gemm(k, &a);
    }
    if (buf_present(l->dbias)) k->colsum(k, N, l->out, dy, l->dbias);
}

/* The skinny product is followed by a residual, before which there may be no activation: the parts
 * go there, with the residual on top, and the activation is a pass of its own. */
static void lora_decode(struct kernels *k, const struct linear *l, int64_t M, struct mat x,
                        struct mat y, struct mat residual, const struct lora_work *w)
{
    const bool zero = !l->lora_whole && !buf_present(residual.buf);
    const struct mat none = {0};
    if (zero) k->zero(k, buf_at(y.buf, 0, (size_t)(M * y.ld) * dtype_size(y.dtype)));
    if (buf_present(residual.buf)) k->convert(k, M, l->out, residual, y);
    for (int64_t i = 0; i < l->lora_count; i++) {
        const struct lora *p = &l->lora[i];
        const struct mat low = mat_columns(w->low, p->column), to = mat_columns(y, p->from);
        const bool onto = p->again || buf_present(residual.buf);
        const struct gemm_args down = {
            .M = M, .N = p->rank, .K = l->in, .A = x, .B = mat_transposed(p->A), .C = low};
        const struct gemm_args up = {.M = M,
                                     .N = p->out,
                                     .K = p->rank,
                                     .A = low,
                                     .B = mat_transposed(p->B),
                                     .C = to,
                                     .residual = onto ? to : none};
        k->skinny(k, &down);
        k->scale(k, M, p->rank, p->scale, low);
        k->skinny(k, &up);
    }
}

void linear_decode(struct kernels *k, const struct linear *l, int64_t M, struct mat x, struct mat y,
                   enum activation act, struct mat residual, const struct lora_work *w)
{
    struct gemm_args a = {.M = M,
                          .N = l->out,
                          .K = l->in,
                          .A = x,
                          .B = mat_transposed(l->weight),
                          .C = y,
                          .bias = l->bias,
                          .act = act,
                          .residual = residual};
    if (l->lora_count > 0) {
        lora_decode(k, l, M, x, y, residual, w);
        a.act = ACT_NONE;
        a.residual = y;
    }
    k->skinny(k, &a);
    if (a.act != act) k->act_forward(k, act, M, l->out, y, y);
}
