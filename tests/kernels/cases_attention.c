/* SPDX-License-Identifier: Apache-2.0 */
/* cases_attention.c: cases of attention, forward and backward. Shape: B rows of up to T tokens (all
 * shorter but the first when ragged), K keys before them (a cache), H heads of size D in G groups.
 */
#include <stdlib.h>
#include "common/base/attr.h"
#include "tests/kernels/cases.h"

enum { Q, KEY, VALUE, OUTPUT, LSE, DOUT, DELTA, DQ, DK, DV };

static int32_t length(const struct shape *s, int64_t b)
{
    return (int32_t)(s->ragged && b > 0 ? 1 + (s->T * 5 * b / 8 + 3 * b) % s->T : s->T);
}

/* Rows lie apart: what is between them is padding. */
static int64_t lists(const struct shape *s, int32_t *list, int64_t *keys)
{
    int64_t queries = 0;
    *keys = 0;
    for (int64_t b = 0; b < s->B; b++) {
        int32_t n = length(s, b);
        if (list) {
            list[b] = (int32_t)queries;
            list[s->B + b] = n;
            list[2 * s->B + b] = (int32_t)*keys;
            list[3 * s->B + b] = n + (int32_t)s->K;
            list[4 * s->B + b] = (int32_t)s->K;
        }
        queries += n + s->ragged;
        *keys += n + s->K + s->ragged;
    }
    return queries;
}

static struct attention_args args(struct problem *p, int64_t first, int64_t last)
{
    const struct shape *s = p->s;
    const int32_t *l = p->lists;
    struct attention_args a = {.B = last - first,
                               .H = s->H,
                               .G = s->G,
                               .D = s->D,
                               .scale = s->p,
                               .softcap = s->softcap,
                               .window = s->window,
                               .causal = s->causal};
    a.q = mat_from(p, Q, 0);
    a.k = mat_from(p, KEY, 0);
    a.v = mat_from(p, VALUE, 0);
    a.out = mat_from(p, OUTPUT, 0);
    a.lse = buf_from(p, LSE, 0);
    a.lse_ld = p->a[LSE].cols;
    a.q_start = l + first;
    a.q_len = l + s->B + first;
    a.kv_start = l + 2 * s->B + first;
    a.kv_len = l + 3 * s->B + first;
    a.q_offset = l + 4 * s->B + first;
    return a;
}

static void setup(struct problem *p, enum role result)
{
    const struct shape *s = p->s;
    int64_t keys, queries = lists(s, NULL, &keys);
    p->lists = calloc((size_t)(5 * s->B), sizeof *p->lists);
    if (!p->lists) abort();
    lists(s, p->lists, &keys);
    array_add(p, "q", IN, s->x, queries, s->H * s->D, UNIFORM);
    array_add(p, "k", IN, s->x, keys, s->G * s->D, UNIFORM);
    array_add(p, "v", IN, s->x, keys, s->G * s->D, UNIFORM);
    array_add(p, "out", result, s->x, queries, s->H * s->D, ZERO);
    array_add_dense(p, "lse", result, DTYPE_F32, s->H, queries, ZERO);
}

static void forward_setup(struct problem *p)
{
    setup(p, OUT);
}

static void backward_setup(struct problem *p)
{
    const struct shape *s = p->s;
    setup(p, ROOM);
    int64_t queries = p->a[Q].rows, keys = p->a[KEY].rows;
    array_add(p, "dout", IN, s->x, queries, s->H * s->D, UNIFORM);
    array_add_dense(p, "delta", ROOM, DTYPE_F32, s->H, queries, ZERO);
    array_add(p, "dq", OUT, s->y, queries, s->H * s->D, ZERO);
    array_add(p, "dk", OUT, s->y, keys, s->G * s->D, ZERO);
    array_add(p, "dv", OUT, s->y, keys, s->G * s->D, ZERO);
    p->a[OUTPUT].gradient = DOUT;
    p->a[Q].gradient = DQ;
    p->a[KEY].gradient = DK;
    p->a[VALUE].gradient = DV;
}

static void forward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    struct attention_args a = args(p, first, last);
    k->attention_forward(k, &a);
}

static void forward_whole(struct kernels *k, struct problem *p)
{
    forward_call(k, p, 0, p->s->B);
}

static void backward_call(struct kernels *k, struct problem *p, int64_t first, int64_t last)
{
    struct attention_args a = args(p, first, last);
    k->attention_backward(k, &a, mat_from(p, DOUT, 0), buf_from(p, DELTA, 0), mat_from(p, DQ, 0),
                          mat_from(p, DK, 0), mat_from(p, DV, 0));
}

static int64_t units(const struct shape *s)
{
    return s->B;
}

static int cuts(const struct shape *s, int64_t out[CUTS_MAX])
{
    out[0] = 0;
    out[1] = s->B / 2;
    out[2] = s->B;
    return s->B > 1 ? 2 : 1;
}

/* Products of queries and visible keys. */
static double pairs(const struct shape *s)
{
    double sum = 0;
    for (int64_t b = 0; b < s->B; b++) {
        double n = length(s, b);
        sum += s->causal ? n * (n + 1) / 2 + n * (double)s->K : n * (n + (double)s->K);
    }
    return sum * (double)s->H * (double)s->D * 2;
}
static double forward_flops(const struct shape *s)
{
    return 2 * pairs(s);
}
static double backward_flops(const struct shape *s)
{
    return 5 * pairs(s);
}

static const struct shape shapes[] = {
    {.B = 1, .T = 1, .H = 1, .G = 1, .D = 1, .p = 1, .causal = true},
    {.B = 3, .T = 5, .H = 2, .G = 1, .D = 3, .p = 0.7f, .causal = true, .ragged = true},
    {.B = 3, .T = 70, .H = 4, .G = 2, .D = 16, .p = 0.5f, .causal = true, .ragged = true},
    {.B = 2, .T = 131, .H = 2, .G = 2, .D = 24, .p = 0.4f, .ragged = true},
    {.B = 2, .T = 67, .H = 3, .G = 1, .D = 32, .p = 0.4f, .K = 61, .causal = true},
    {.B = 2,
     .T = 140,
     .H = 2,
     .G = 1,
     .D = 8,
     .p = 0.6f,
     .window = 33,
     .causal = true,
     .ragged = true},
    {.B = 2, .T = 66, .H = 2, .G = 1, .D = 17, .p = 1.5f, .softcap = 2, .causal = true},
    {.B = 2, .T = 4, .H = 2, .G = 1, .D = 20, .p = 0.6f, .K = 300, .window = 100, .causal = true},
    {.B = 2,
     .T = 65,
     .H = 2,
     .G = 1,
     .D = 64,
     .p = 0.125f,
     .causal = true,
     .x = DTYPE_BF16,
     .y = DTYPE_BF16},
    {.B = 2, .T = 70, .H = 2, .G = 2, .D = 12, .p = 0.3f, .x = DTYPE_BF16},
};

/* A single query and many keys: decoding. */
static const struct shape decode_shapes[] = {
    {.B = 3, .T = 1, .H = 4, .G = 2, .D = 16, .p = 0.5f, .K = 130, .causal = true},
    {.B = 2,
     .T = 1,
     .H = 2,
     .G = 1,
     .D = 19,
     .p = 0.5f,
     .K = 63,
     .window = 40,
     .softcap = 3,
     .causal = true},
    {.B = 2, .T = 1, .H = 2, .G = 1, .D = 64, .p = 0.5f, .K = 200, .causal = true, .x = DTYPE_BF16},
};

static const struct shape perf[] = {
    {.B = 16, .T = 256, .H = 6, .G = 6, .D = 64, .p = 0.125f, .causal = true},
    {.B = 16, .T = 256, .H = 6, .G = 6, .D = 64, .p = 0.125f},
    {.B = 2, .T = 2048, .H = 6, .G = 2, .D = 64, .p = 0.125f, .causal = true},
    {.B = 16,
     .T = 256,
     .H = 6,
     .G = 6,
     .D = 64,
     .p = 0.125f,
     .causal = true,
     .x = DTYPE_BF16,
     .y = DTYPE_BF16},
};
static const struct shape decode_perf[] = {
    {.B = 16, .T = 1, .H = 6, .G = 6, .D = 64, .p = 0.125f, .K = 2047, .causal = true},
};

static const struct op forward = {.name = "attention_forward",
                                  .tolerance = 5e-6,
                                  .shapes = shapes,
                                  .shape_count = ARRAY_LEN(shapes),
                                  .perf = perf,
                                  .perf_count = ARRAY_LEN(perf),
                                  .setup = forward_setup,
                                  .call = forward_call,
                                  .units = units,
                                  .cuts = cuts,
                                  .nan_in = 1 + VALUE,
                                  .flops = forward_flops};
static const struct op decode = {.name = "attention_decode",
                                 .tolerance = 5e-6,
                                 .shapes = decode_shapes,
                                 .shape_count = ARRAY_LEN(decode_shapes),
                                 .perf = decode_perf,
                                 .perf_count = ARRAY_LEN(decode_perf),
                                 .setup = forward_setup,
                                 .call = forward_call,
                                 .units = units,
                                 .cuts = cuts,
                                 .nan_in = 1 + VALUE,
                                 .flops = forward_flops};
/* dq, dk, dv are differences of larger numbers (dp - delta). */
static const struct op backward = {.name = "attention_backward",
                                   .tolerance = 2e-5,
                                   .half = 1.0 / 32, /* sums of rounded terms cancel */
                                   .shapes = shapes,
                                   .shape_count = ARRAY_LEN(shapes),
                                   .perf = perf,
                                   .perf_count = ARRAY_LEN(perf),
                                   .setup = backward_setup,
                                   .prepare = forward_whole,
                                   .call = backward_call,
                                   .units = units,
                                   .cuts = cuts,
                                   .forward = forward_whole,
                                   .nan_in = 1 + DOUT,
                                   .flops = backward_flops};

const struct op *const ops_attention[] = {&forward, &decode, &backward, NULL};
