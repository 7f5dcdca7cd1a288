/* SPDX-License-Identifier: Apache-2.0 */
/* cases_rows.c: cases of what goes row by row: tables, norms, activations, pointwise ops, dropout,
 * rotary positions. */
#include "common/base/attr.h"
#include "tests/kernels/cases.h"

static int64_t tokens(const struct shape *s)
{
    return s->N;
}

static int cuts(const struct shape *s, int64_t out[CUTS_MAX])
{
    out[0] = 0;
    out[1] = s->N / 3;
    out[2] = s->N / 2;
    out[3] = s->N;
    return s->N > 3 ? 3 : 1;
}

static double size_of(enum dtype t)
{
    return (double)dtype_size(dtype_or_f32(t));
}
static double elements(const struct shape *s)
{
    return (double)s->N * (double)s->C;
}

/* ---- tables ---- */

enum { E_ID, E_TABLE, E_Y };

static void embed_forward_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add_dense(p, "id", IN, DTYPE_I32, s->N, 1, IDS_OR_NONE);
    array_add(p, "table", IN, s->w, s->V, s->C, UNIFORM);
    array_add(p, "y", s->add ? INOUT : OUT, s->x, s->N, s->C, UNIFORM);
    p->a[E_ID].limit = s->V;
}
static void embed_forward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    k->embed_forward(k, last - first, s->C, buf_from(p, E_ID, first), mat_from(p, E_TABLE, 0), s->p,
                     mat_from(p, E_Y, first), s->add);
}

enum { EB_ID, EB_DY, EB_DTABLE };

static void embed_backward_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add_dense(p, "id", IN, DTYPE_I32, s->N, 1, IDS_OR_NONE);
    array_add(p, "dy", IN, s->x, s->N, s->C, UNIFORM);
    array_add_dense(p, "dtable", INOUT, DTYPE_F32, s->V, s->C, UNIFORM);
    p->a[EB_ID].limit = s->V;
}
static void embed_backward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    k->embed_backward(k, last - first, s->C, buf_from(p, EB_ID, first), mat_from(p, EB_DY, first),
                      s->p, buf_from(p, EB_DTABLE, 0));
}

static const struct shape embed_shapes[] = {
    {.N = 1, .V = 1, .C = 1, .p = 1},
    {.N = 37, .V = 11, .C = 19, .p = 1},
    {.N = 130, .V = 50, .C = 131, .p = 0.5f, .add = true},
    {.N = 60, .V = 9, .C = 65, .p = 1, .w = DTYPE_BF16},
    {.N = 60, .V = 9, .C = 65, .p = 2, .x = DTYPE_BF16, .add = true},
};
static const struct shape embed_perf[] = {{.N = 4096, .V = 8192, .C = 384, .p = 1}};

static double embed_bytes(const struct shape *s)
{
    return elements(s) * (size_of(s->x) + size_of(s->w));
}
static double embed_back_bytes(const struct shape *s)
{
    return elements(s) * 12;
}

static const struct op embed_forward = {.name = "embed_forward",
                                        .shapes = embed_shapes,
                                        .shape_count = ARRAY_LEN(embed_shapes),
                                        .perf = embed_perf,
                                        .perf_count = 1,
                                        .setup = embed_forward_setup,
                                        .call = embed_forward_call,
                                        .units = tokens,
                                        .cuts = cuts,
                                        .bytes = embed_bytes};
static const struct op embed_backward = {.name = "embed_backward",
                                         .shapes = embed_shapes,
                                         .shape_count = ARRAY_LEN(embed_shapes),
                                         .perf = embed_perf,
                                         .perf_count = 1,
                                         .setup = embed_backward_setup,
                                         .call = embed_backward_call,
                                         .units = tokens,
                                         .cuts = cuts,
                                         .bytes = embed_back_bytes};

/* gather: x (V, C) by index into y (N, C); scatter: x (N, C) into y (V, C), V > N, indices
 * distinct. */
static void gather_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add_dense(p, "index", IN, DTYPE_I32, s->N, 1, IDS_OR_NONE);
    array_add(p, "x", IN, s->x, s->V, s->C, UNIFORM);
    array_add(p, "y", OUT, s->x, s->N, s->C, ZERO);
    p->a[0].limit = s->V;
}
static void gather_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->gather(k, last - first, p->s->C, buf_from(p, 0, first), mat_from(p, 1, 0),
              mat_from(p, 2, first));
}
static void scatter_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add_dense(p, "index", IN, DTYPE_I32, s->N, 1, COUNTING);
    array_add(p, "x", IN, s->x, s->N, s->C, UNIFORM);
    array_add(p, "y", OUT, s->x, s->V, s->C, ZERO);
    p->a[0].limit = s->V;
}
static void scatter_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    (void)first, (void)last;
    k->scatter(k, p->s->N, p->s->V, p->s->C, buf_from(p, 0, 0), mat_from(p, 1, 0),
               mat_from(p, 2, 0));
}
static const struct shape gather_shapes[] = {
    {.N = 1, .V = 1, .C = 1},
    {.N = 40, .V = 71, .C = 33},
    {.N = 50, .V = 53, .C = 130, .x = DTYPE_BF16},
};
static const struct shape gather_perf[] = {{.N = 614, .V = 4099, .C = 384}};
static const struct op gather = {.name = "gather",
                                 .shapes = gather_shapes,
                                 .shape_count = ARRAY_LEN(gather_shapes),
                                 .perf = gather_perf,
                                 .perf_count = 1,
                                 .setup = gather_setup,
                                 .call = gather_call,
                                 .units = tokens,
                                 .cuts = cuts,
                                 .bytes = embed_bytes};
static const struct op scatter = {.name = "scatter",
                                  .shapes = gather_shapes,
                                  .shape_count = ARRAY_LEN(gather_shapes),
                                  .perf = gather_perf,
                                  .perf_count = 1,
                                  .setup = scatter_setup,
                                  .call = scatter_call,
                                  .units = tokens,
                                  .bytes = embed_bytes};

/* ---- norms ---- */

enum { NF_X, NF_W, NF_B, NF_Y, NF_MEAN, NF_RSTD };

static void norm_forward_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add(p, "x", IN, s->x, s->N, s->C, UNIFORM);
    array_add_dense(p, "weight", IN, DTYPE_F32, 1, s->C, UNIFORM);
    array_add_dense(p, "bias", IN, DTYPE_F32, s->bias ? 1 : 0, s->C, UNIFORM);
    array_add(p, "y", OUT, s->y, s->N, s->C, ZERO);
    array_add_dense(p, "mean", OUT, DTYPE_F32, s->norm == NORM_LAYER ? s->N : 0, 1, ZERO);
    array_add_dense(p, "rstd", OUT, DTYPE_F32, s->N, 1, ZERO);
}
static void norm_forward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    k->norm_forward(k, s->norm, last - first, s->C, mat_from(p, NF_X, first), buf_from(p, NF_W, 0),
                    s->offset, buf_from(p, NF_B, 0), 1e-5f, mat_from(p, NF_Y, first),
                    buf_from(p, NF_MEAN, first), buf_from(p, NF_RSTD, first));
}

enum { NB_X, NB_W, NB_B, NB_Y, NB_MEAN, NB_RSTD, NB_DY, NB_DX, NB_DW, NB_DB };

static void norm_backward_setup(struct problem *p)
{
    const struct shape *s = p->s;
    norm_forward_setup(p);
    p->a[NB_Y].role = p->a[NB_MEAN].role = p->a[NB_RSTD].role = ROOM;
    array_add(p, "dy", IN, s->y, s->N, s->C, UNIFORM);
    array_add(p, "dx", s->add ? INOUT : OUT, s->x, s->N, s->C, UNIFORM);
    array_add_dense(p, "dweight", INOUT, DTYPE_F32, 1, s->C, UNIFORM);
    array_add_dense(p, "dbias", INOUT, DTYPE_F32, s->bias ? 1 : 0, s->C, UNIFORM);
    p->a[NB_Y].gradient = NB_DY;
    p->a[NB_X].gradient = NB_DX;
    p->a[NB_W].gradient = NB_DW;
    p->a[NB_B].gradient = NB_DB;
}
static void norm_forward_whole(struct kernels *k, struct problem *p)
{
    norm_forward_call(k, p, 0, p->s->N);
}
static void norm_backward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    k->norm_backward(
        k, s->norm, last - first, s->C, mat_from(p, NB_DY, first), mat_from(p, NB_X, first),
        buf_from(p, NB_W, 0), s->offset, buf_from(p, NB_MEAN, first), buf_from(p, NB_RSTD, first),
        mat_from(p, NB_DX, first), s->add, buf_from(p, NB_DW, 0), buf_from(p, NB_DB, 0));
}

static const struct shape norm_shapes[] = {
    {.N = 1, .C = 3, .norm = NORM_LAYER, .bias = true},
    {.N = 5, .C = 37, .norm = NORM_LAYER, .bias = true},
    {.N = 130, .C = 131, .norm = NORM_LAYER, .add = true},
    {.N = 3, .C = 2, .norm = NORM_RMS},
    {.N = 70, .C = 48, .norm = NORM_RMS, .offset = 1},
    {.N = 33, .C = 257, .norm = NORM_RMS, .add = true},
    {.N = 40, .C = 100, .norm = NORM_LAYER, .bias = true, .x = DTYPE_BF16, .y = DTYPE_BF16},
    {.N = 40, .C = 100, .norm = NORM_RMS, .x = DTYPE_BF16, .y = DTYPE_BF16, .add = true},
    {.N = 40, .C = 64, .norm = NORM_RMS, .y = DTYPE_BF16},
};
static const struct shape norm_perf[] = {
    {.N = 4096, .C = 384, .norm = NORM_LAYER, .bias = true, .add = true},
    {.N = 4096, .C = 384, .norm = NORM_RMS, .add = true},
};
static double norm_bytes(const struct shape *s)
{
    return elements(s) * (size_of(s->x) + size_of(s->y));
}
static double norm_back_bytes(const struct shape *s)
{
    return elements(s) * (2 * size_of(s->x) + size_of(s->y) + (s->add ? size_of(s->x) : 0));
}
static const struct op norm_forward = {.name = "norm_forward",
                                       .tolerance = 4e-6,
                                       .shapes = norm_shapes,
                                       .shape_count = ARRAY_LEN(norm_shapes),
                                       .perf = norm_perf,
                                       .perf_count = 2,
                                       .setup = norm_forward_setup,
                                       .call = norm_forward_call,
                                       .units = tokens,
                                       .cuts = cuts,
                                       .nan_in = 1 + NF_X,
                                       .bytes = norm_bytes};
/* Two sums over the channels that cancel. */
static const struct op norm_backward = {.name = "norm_backward",
                                        .tolerance = 2e-5,
                                        .shapes = norm_shapes,
                                        .shape_count = ARRAY_LEN(norm_shapes),
                                        .perf = norm_perf,
                                        .perf_count = 2,
                                        .setup = norm_backward_setup,
                                        .prepare = norm_forward_whole,
                                        .call = norm_backward_call,
                                        .units = tokens,
                                        .cuts = cuts,
                                        .forward = norm_forward_whole,
                                        .nan_in = 1 + NB_DY,
                                        .bytes = norm_back_bytes};

/* ---- activations ---- */

enum { AF_X, AF_Y };
enum { AB_X, AB_Y, AB_DY, AB_DX, AB_AGAIN };

static void act_setup(struct problem *p, int64_t width)
{
    const struct shape *s = p->s;
    array_add(p, "x", IN, s->x, s->N, width * s->C, s->V ? LOGITS : UNIFORM);
    array_add(p, "y", OUT, s->x, s->N, s->C, ZERO);
}
static void act_back_setup(struct problem *p, int64_t width)
{
    const struct shape *s = p->s;
    act_setup(p, width);
    p->a[AB_Y].role = ROOM;
    array_add(p, "dy", IN, s->x, s->N, s->C, UNIFORM);
    array_add(p, "dx", OUT, s->x, s->N, width * s->C, ZERO);
    array_add(p, "y again", OUT, s->x, s->N, s->C, ZERO);
    p->a[AB_Y].gradient = AB_DY;
    p->a[AB_X].gradient = AB_DX;
}
static void act_forward_setup(struct problem *p)
{
    act_setup(p, 1);
}
static void gate_forward_setup(struct problem *p)
{
    act_setup(p, 2);
}
static void act_backward_setup(struct problem *p)
{
    act_back_setup(p, 1);
}
static void gate_backward_setup(struct problem *p)
{
    act_back_setup(p, 2);
}

static void act_forward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->act_forward(k, p->s->act, last - first, p->s->C, mat_from(p, AF_X, first),
                   mat_from(p, AF_Y, first));
}
static void gate_forward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->gate_forward(k, p->s->act, last - first, p->s->C, mat_from(p, AF_X, first),
                    mat_from(p, AF_Y, first));
}
static void act_forward_whole(struct kernels *k, struct problem *p)
{
    act_forward_call(k, p, 0, p->s->N);
}
static void gate_forward_whole(struct kernels *k, struct problem *p)
{
    gate_forward_call(k, p, 0, p->s->N);
}
static void act_backward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->act_backward(k, p->s->act, last - first, p->s->C, mat_from(p, AB_X, first),
                    mat_from(p, AB_DY, first), mat_from(p, AB_DX, first),
                    mat_from(p, AB_AGAIN, first));
}
static void gate_backward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->gate_backward(k, p->s->act, last - first, p->s->C, mat_from(p, AB_X, first),
                     mat_from(p, AB_DY, first), mat_from(p, AB_DX, first),
                     mat_from(p, AB_AGAIN, first));
}

/* V: inputs up to 26 instead of 1. */
static const struct shape act_shapes[] = {
    {.N = 1, .C = 1, .act = ACT_GELU},
    {.N = 19, .C = 77, .act = ACT_GELU},
    {.N = 19, .C = 77, .act = ACT_GELU, .V = 1},
    {.N = 19, .C = 77, .act = ACT_GELU_TANH},
    {.N = 19, .C = 77, .act = ACT_GELU_TANH, .V = 1},
    {.N = 200, .C = 128, .act = ACT_SILU},
    {.N = 20, .C = 128, .act = ACT_SILU, .V = 1},
    {.N = 20, .C = 31, .act = ACT_RELU},
    {.N = 20, .C = 31, .act = ACT_TANH},
    {.N = 20, .C = 31, .act = ACT_TANH, .V = 1},
    {.N = 20, .C = 31, .act = ACT_NONE},
    {.N = 20, .C = 50, .act = ACT_GELU, .x = DTYPE_BF16},
    {.N = 20, .C = 50, .act = ACT_SILU, .x = DTYPE_BF16},
};
static const struct shape act_perf[] = {
    {.N = 4096, .C = 1536, .act = ACT_GELU},
    {.N = 4096, .C = 1536, .act = ACT_GELU_TANH},
    {.N = 4096, .C = 1536, .act = ACT_SILU},
};
static double act_bytes(const struct shape *s)
{
    return elements(s) * 2 * size_of(s->x);
}
static double act_back_bytes(const struct shape *s)
{
    return elements(s) * 3 * size_of(s->x);
}
static double gate_back_bytes(const struct shape *s)
{
    return elements(s) * 5 * size_of(s->x);
}

#define ACT_OP(named, forward_whole, byte_count, nan)                                              \
    static const struct op named = {.name = #named,                                                \
                                    .tolerance = 3e-6,                                             \
                                    .shapes = act_shapes,                                          \
                                    .shape_count = ARRAY_LEN(act_shapes),                          \
                                    .perf = act_perf,                                              \
                                    .perf_count = ARRAY_LEN(act_perf),                             \
                                    .setup = named##_setup,                                        \
                                    .call = named##_call,                                          \
                                    .units = tokens,                                               \
                                    .cuts = cuts,                                                  \
                                    .forward = forward_whole,                                      \
                                    .nan_in = nan,                                                 \
                                    .bytes = byte_count}
ACT_OP(act_forward, NULL, act_bytes, 1 + AF_X);
ACT_OP(gate_forward, NULL, act_back_bytes, 1 + AF_X);
ACT_OP(act_backward, act_forward_whole, act_back_bytes, 1 + AB_DY);
ACT_OP(gate_backward, gate_forward_whole, gate_back_bytes, 1 + AB_DY);

/* ---- pointwise ---- */

static void add_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add(p, "a", IN, s->x, s->N, s->C, UNIFORM);
    array_add(p, "b", IN, s->w, s->N, s->C, UNIFORM);
    array_add(p, "y", OUT, s->y, s->N, s->C, ZERO);
}
static void add_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->add(k, last - first, p->s->C, mat_from(p, 0, first), mat_from(p, 1, first),
           mat_from(p, 2, first));
}
static void scale_setup(struct problem *p)
{
    array_add(p, "x", INOUT, p->s->x, p->s->N, p->s->C, UNIFORM);
}
static void scale_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->scale(k, last - first, p->s->C, 0.37f, mat_from(p, 0, first));
}
static void convert_setup(struct problem *p)
{
    array_add(p, "x", IN, p->s->x, p->s->N, p->s->C, UNIFORM);
    array_add(p, "y", OUT, p->s->y, p->s->N, p->s->C, ZERO);
}
static void convert_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    k->convert(k, last - first, p->s->C, mat_from(p, 0, first), mat_from(p, 1, first));
}
static const struct shape pointwise_shapes[] = {
    {.N = 1, .C = 1},
    {.N = 23, .C = 41},
    {.N = 300, .C = 96},
    {.N = 30, .C = 47, .x = DTYPE_BF16, .w = DTYPE_BF16, .y = DTYPE_BF16},
    {.N = 30, .C = 47, .x = DTYPE_BF16},
    {.N = 30, .C = 47, .y = DTYPE_BF16},
};
static const struct shape pointwise_perf[] = {{.N = 4096, .C = 384},
                                              {.N = 4096, .C = 384, .y = DTYPE_BF16}};
static double add_bytes(const struct shape *s)
{
    return elements(s) * (size_of(s->x) + size_of(s->w) + size_of(s->y));
}
#define POINTWISE_OP(named, byte_count)                                                            \
    static const struct op named = {.name = #named,                                                \
                                    .shapes = pointwise_shapes,                                    \
                                    .shape_count = ARRAY_LEN(pointwise_shapes),                    \
                                    .perf = pointwise_perf,                                        \
                                    .perf_count = ARRAY_LEN(pointwise_perf),                       \
                                    .setup = named##_setup,                                        \
                                    .call = named##_call,                                          \
                                    .units = tokens,                                               \
                                    .cuts = cuts,                                                  \
                                    .nan_in = 1,                                                   \
                                    .bytes = byte_count}
POINTWISE_OP(add, add_bytes);
POINTWISE_OP(scale, act_bytes);
POINTWISE_OP(convert, norm_bytes);

/* ---- dropout ---- */

static void dropout_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add(p, "x", IN, s->x, s->N, s->C, UNIFORM);
    array_add(p, "y", OUT, s->y, s->N, s->C, ZERO);
    array_add_dense(p, "ordinal", IN, DTYPE_U32, s->N, 1, COUNTING);
    array_add_dense(p, "position", IN, DTYPE_U32, s->N, 1, IDS);
    p->a[2].limit = 5;
    p->a[3].limit = 1000;
}
static void dropout_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    struct dropout_args a = {
        .N = last - first, .C = s->C, .p = s->p, .key = rng_key_make(5, RNG_DROPOUT), .step = 9};
    a.lane = 3u << 20;
    a.x = mat_from(p, 0, first);
    a.y = mat_from(p, 1, first);
    a.ordinal = buf_from(p, 2, first);
    a.position = buf_from(p, 3, first);
    k->dropout(k, &a);
}
static const struct shape dropout_shapes[] = {
    {.N = 1, .C = 1, .p = 0.5f},
    {.N = 40, .C = 67, .p = 0.1f},
    {.N = 30, .C = 256, .p = 0.9f, .x = DTYPE_BF16, .y = DTYPE_BF16},
    {.N = 30, .C = 10, .p = 0},
};
static const struct shape dropout_perf[] = {{.N = 4096, .C = 384, .p = 0.1f}};
static const struct op dropout = {.name = "dropout",
                                  .shapes = dropout_shapes,
                                  .shape_count = ARRAY_LEN(dropout_shapes),
                                  .perf = dropout_perf,
                                  .perf_count = 1,
                                  .setup = dropout_setup,
                                  .call = dropout_call,
                                  .units = tokens,
                                  .cuts = cuts,
                                  .bytes = act_bytes};

/* ---- rotary positions ---- */

static void rope_setup(struct problem *p)
{
    const struct shape *s = p->s;
    array_add(p, "x", INOUT, s->x, s->N, s->H * s->D, UNIFORM);
    array_add_dense(p, "position", IN, DTYPE_I32, s->N, 1, IDS);
    array_add_dense(p, "cosine", IN, DTYPE_F32, s->T, s->R / 2, ANGLES_COS);
    array_add_dense(p, "sine", IN, DTYPE_F32, s->T, s->R / 2, ANGLES_SIN);
    p->a[1].limit = s->T;
}
static void rope_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    k->rope(k, last - first, s->H, s->D, s->R, buf_from(p, 1, first), buf_from(p, 2, 0),
            buf_from(p, 3, 0), mat_from(p, 0, first), s->inverse);
}
static const struct shape rope_shapes[] = {
    {.N = 1, .H = 1, .D = 2, .R = 2, .T = 1},
    {.N = 37, .H = 3, .D = 22, .R = 22, .T = 50},
    {.N = 100, .H = 2, .D = 64, .R = 32, .T = 80, .inverse = true},
    {.N = 40, .H = 2, .D = 64, .R = 64, .T = 80, .x = DTYPE_BF16},
};
static const struct shape rope_perf[] = {{.N = 4096, .H = 6, .D = 64, .R = 64, .T = 256, .C = 384}};
static const struct op rope = {.name = "rope",
                               .shapes = rope_shapes,
                               .shape_count = ARRAY_LEN(rope_shapes),
                               .perf = rope_perf,
                               .perf_count = 1,
                               .setup = rope_setup,
                               .call = rope_call,
                               .units = tokens,
                               .cuts = cuts,
                               .nan_in = 1,
                               .bytes = act_bytes};

const struct op *const ops_rows[] = {&embed_forward, &embed_backward, &gather,      &scatter,
                                     &norm_forward,  &norm_backward,  &act_forward, &act_backward,
                                     &gate_forward,  &gate_backward,  &add,         &scale,
                                     &convert,       &dropout,        &rope,        NULL};
