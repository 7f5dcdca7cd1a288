/* SPDX-License-Identifier: Apache-2.0 */
/* cases_loss.c: cases of the loss, sums over tokens, the norm of the gradient and the optimiser. */
#include "common/base/attr.h"
#include "tests/kernels/cases.h"

static int64_t tokens(const struct shape *s)
{
    return s->N;
}
static int64_t one(const struct shape *s)
{
    return s->N > 0;
}

static int cuts(const struct shape *s, int64_t out[CUTS_MAX])
{
    out[0] = 0;
    out[1] = s->N / 3;
    out[2] = s->N / 2;
    out[3] = s->N;
    return s->N > 3 ? 3 : 1;
}

/* ---- cross entropy ---- */

enum { X_LOGITS, X_TARGET, X_WEIGHT, X_LOSS, X_RANK };

static void cross_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add(p, "logits", s->gradient ? INOUT : IN, s->x, s->N, s->V, LOGITS);
    array_add_dense(p, "target", IN, DTYPE_I32, s->N, 1, IDS_OR_NONE);
    array_add_dense(p, "weight", IN, DTYPE_F32, s->add ? s->N : 0, 1, POSITIVE);
    array_add_dense(p, "loss", OUT, DTYPE_F32, s->N, 1, ZERO);
    array_add_dense(p, "rank", OUT, DTYPE_I32, s->before ? s->N : 0, 1, ZERO);
    p->a[X_TARGET].limit = s->V;
}
static void cross_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    struct cross_entropy_args a = {.N = last - first, .V = s->V, .softcap = s->softcap};
    a.logits = mat_from(p, X_LOGITS, first);
    if (s->gradient) a.gradient = a.logits;
    a.target = buf_from(p, X_TARGET, first);
    a.weight = buf_from(p, X_WEIGHT, first);
    a.loss = buf_from(p, X_LOSS, first);
    a.rank = buf_from(p, X_RANK, first);
    k->cross_entropy(k, &a);
}
/* add: weighted; before: with rank. */
static const struct shape cross_shapes[] = {
    {.N = 1, .V = 1, .gradient = true, .before = true},
    {.N = 9, .V = 7, .gradient = true, .before = true, .add = true},
    {.N = 40, .V = 67, .before = true},
    {.N = 40, .V = 1031, .gradient = true, .add = true},
    {.N = 20, .V = 300, .gradient = true, .softcap = 8, .before = true, .add = true},
    {.N = 20, .V = 131, .softcap = 3},
    {.N = 20, .V = 131, .gradient = true, .x = DTYPE_BF16, .before = true},
};
static const struct shape cross_perf[] = {
    {.N = 1024, .V = 8192, .gradient = true},
    {.N = 1024, .V = 8192, .before = true},
};
static double cross_bytes(const struct shape *s)
{
    return (double)s->N * (double)s->V * (double)dtype_size(dtype_or_f32(s->x)) *
           (s->gradient ? 2 : 1);
}
static const struct op cross_entropy = {.name = "cross_entropy",
                                        .tolerance = 3e-6,
                                        .shapes = cross_shapes,
                                        .shape_count = ARRAY_LEN(cross_shapes),
                                        .perf = cross_perf,
                                        .perf_count = ARRAY_LEN(cross_perf),
                                        .setup = cross_setup,
                                        .call = cross_call,
                                        .units = tokens,
                                        .cuts = cuts,
                                        .nan_in = 1 + X_LOGITS,
                                        .bytes = cross_bytes};

/* Its gradient, of its own type and beside a copy of the logits; the loss of every token counts its
 * weight. */
enum { G_LOGITS, G_TARGET, G_WEIGHT, G_LOSS, G_GRADIENT, G_COPY };

static void gradient_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add(p, "logits", IN, s->x, s->N, s->V, UNIFORM);
    array_add_dense(p, "target", IN, DTYPE_I32, s->N, 1, IDS_OR_NONE);
    array_add_dense(p, "weight", IN, DTYPE_F32, s->N, 1, POSITIVE);
    array_add_dense(p, "loss", ROOM, DTYPE_F32, s->N, 1, ZERO);
    array_add(p, "dlogits", OUT, s->y, s->N, s->V, ZERO);
    array_add(p, "copy", ROOM, s->x, s->N, s->V, ZERO);
    p->a[G_TARGET].limit = s->V;
    p->a[G_LOSS].gradient = G_WEIGHT;
    p->a[G_LOGITS].gradient = G_GRADIENT;
}
static void gradient_run(struct kernels *k, struct problem *p, int logits, bool gradient,
                         int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    struct cross_entropy_args a = {.N = last - first, .V = s->V, .softcap = s->softcap};
    a.logits = mat_from(p, logits, first);
    if (gradient) a.gradient = mat_from(p, G_GRADIENT, first);
    a.target = buf_from(p, G_TARGET, first);
    a.weight = buf_from(p, G_WEIGHT, first);
    a.loss = buf_from(p, G_LOSS, first);
    k->cross_entropy(k, &a);
}
static void gradient_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->convert(k, last - first, p->s->V, mat_from(p, G_LOGITS, first), mat_from(p, G_COPY, first));
    gradient_run(k, p, G_COPY, true, first, last);
}
static void gradient_forward(struct kernels *k, struct problem *p)
{
    gradient_run(k, p, G_LOGITS, false, 0, p->s->N);
}

static const struct shape gradient_shapes[] = {
    {.N = 9, .V = 7},
    {.N = 12, .V = 67},
    {.N = 12, .V = 33, .softcap = 2},
    {.N = 30, .V = 300, .y = DTYPE_BF16},
};
static const struct op cross_entropy_gradient = {.name = "cross_entropy_gradient",
                                                 .tolerance = 3e-6,
                                                 .shapes = gradient_shapes,
                                                 .shape_count = ARRAY_LEN(gradient_shapes),
                                                 .setup = gradient_setup,
                                                 .call = gradient_call,
                                                 .units = tokens,
                                                 .cuts = cuts,
                                                 .forward = gradient_forward,
                                                 .nan_in = 1 + G_LOGITS};

/* ---- sums ---- */

static void colsum_setup(struct problem *p)
{
    array_add(p, "x", IN, p->s->x, p->s->N, p->s->C, UNIFORM);
    array_add_dense(p, "out", INOUT, DTYPE_F32, 1, p->s->C, UNIFORM);
}
static void colsum_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->colsum(k, last - first, p->s->C, mat_from(p, 0, first), buf_from(p, 1, 0));
}
static const struct shape colsum_shapes[] = {{.N = 1, .C = 1},
                                             {.N = 50, .C = 131},
                                             {.N = 333, .C = 300},
                                             {.N = 100, .C = 77, .x = DTYPE_BF16}};
static const struct shape colsum_perf[] = {{.N = 4096, .C = 384}, {.N = 4096, .C = 1536}};
static double colsum_bytes(const struct shape *s)
{
    return (double)s->N * (double)s->C * (double)dtype_size(dtype_or_f32(s->x));
}
static const struct op colsum = {.name = "colsum",
                                 .shapes = colsum_shapes,
                                 .shape_count = ARRAY_LEN(colsum_shapes),
                                 .perf = colsum_perf,
                                 .perf_count = ARRAY_LEN(colsum_perf),
                                 .setup = colsum_setup,
                                 .call = colsum_call,
                                 .units = tokens,
                                 .cuts = cuts,
                                 .nan_in = 1,
                                 .bytes = colsum_bytes};

static void sumsq_setup(struct problem *p)
{
    array_add_dense(p, "x", IN, DTYPE_F32, p->s->N, 1, UNIFORM);
}
static void sumsq_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    (void)first, (void)last;
    p->result = k->sumsq(k, p->s->N, buf_from(p, 0, 0));
}
static const struct shape sumsq_shapes[] = {{.N = 1}, {.N = 1013}, {.N = 100003}};
static const struct shape sumsq_perf[] = {{.N = 13900000, .C = 1}};
static const struct op sumsq = {.name = "sumsq",
                                .shapes = sumsq_shapes,
                                .shape_count = ARRAY_LEN(sumsq_shapes),
                                .perf = sumsq_perf,
                                .perf_count = 1,
                                .setup = sumsq_setup,
                                .call = sumsq_call,
                                .units = one,
                                .nan_in = 1,
                                .bytes = colsum_bytes};

/* ---- AdamW ---- */

static void adamw_setup(struct problem *p)
{
    int64_t n = p->s->N;
    array_add_dense(p, "w", INOUT, DTYPE_F32, n, 1, UNIFORM);
    array_add_dense(p, "g", IN, DTYPE_F32, n, 1, UNIFORM);
    array_add_dense(p, "m", INOUT, DTYPE_F32, n, 1, UNIFORM);
    array_add_dense(p, "v", INOUT, DTYPE_F32, n, 1, POSITIVE);
    array_add_dense(p, "w16", OUT, DTYPE_BF16, p->s->before ? n : 0, 1, ZERO);
}
static void adamw_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    struct adamw_args a = {
        .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .decay = 0.1f, .scale = 0.25f};
    a.step = p->s->T;
    a.correct = p->s->add;
    k->adamw(k, last - first, &a, buf_from(p, 0, first), buf_from(p, 1, first),
             buf_from(p, 2, first), buf_from(p, 3, first), buf_from(p, 4, first));
}
static const struct shape adamw_shapes[] = {
    {.N = 1, .T = 1, .add = true},
    {.N = 1013, .T = 7, .add = true},
    {.N = 40001, .T = 1000, .before = true},
};
static const struct shape adamw_perf[] = {{.N = 13900000, .T = 10, .add = true}};
static double adamw_bytes(const struct shape *s)
{
    return (double)s->N * 28;
}
static const struct op adamw = {.name = "adamw",
                                .shapes = adamw_shapes,
                                .shape_count = ARRAY_LEN(adamw_shapes),
                                .perf = adamw_perf,
                                .perf_count = 1,
                                .setup = adamw_setup,
                                .call = adamw_call,
                                .units = tokens,
                                .cuts = cuts,
                                .nan_in = 2,
                                .bytes = adamw_bytes};

const struct op *const ops_loss[] = {
    &cross_entropy, &cross_entropy_gradient, &colsum, &sumsq, &adamw, NULL};
