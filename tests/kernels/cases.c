/* SPDX-License-Identifier: Apache-2.0 */
/* cases.c: arrays of a case, and the modes test and grad. */
#include "tests/kernels/cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/thin.h"

/* Unused elements and guards: a NaN that no arithmetic makes. */
static const uint32_t pattern32 = 0x7fedbeefu;

enum dtype dtype_or_f32(enum dtype t)
{
    return t == DTYPE_NONE ? DTYPE_F32 : t;
}

static int add(struct problem *p, const char *name, enum role role, enum dtype t, int64_t rows,
               int64_t cols, enum fill fill, bool dense)
{
    struct array *a = &p->a[p->arrays];
    if (p->arrays == ARRAYS_MAX) abort();
    *a = (struct array){.name = name,
                        .role = role,
                        .dtype = dtype_or_f32(t),
                        .fill = fill,
                        .rows = rows,
                        .cols = cols};
    a->dense = dense;
    return p->arrays++;
}

int array_add(struct problem *p, const char *name, enum role role, enum dtype t, int64_t rows,
              int64_t cols, enum fill fill)
{
    return add(p, name, role, t, rows, cols, fill, false);
}

int array_add_dense(struct problem *p, const char *name, enum role role, enum dtype t, int64_t rows,
                    int64_t cols, enum fill fill)
{
    return add(p, name, role, t, rows, cols, fill, true);
}

static int64_t lines_of(const struct array *a)
{
    return a->trans ? a->cols : a->rows;
}
static int64_t length_of(const struct array *a)
{
    return a->trans ? a->rows : a->cols;
}

static size_t place(const struct array *a, int64_t i, int64_t j)
{
    int64_t at = a->trans ? j * a->ld + i : i * a->ld + j;
    return a->mat.buf.offset + (size_t)at * dtype_size(a->dtype);
}

double array_get(const struct array *a, int64_t i, int64_t j)
{
    const unsigned char *p = a->host + place(a, i, j);
    if (a->dtype == DTYPE_BF16) {
        uint16_t h;
        memcpy(&h, p, sizeof h);
        return (double)bf16_to_f32(h);
    }
    if (a->dtype == DTYPE_F32) {
        float f;
        memcpy(&f, p, sizeof f);
        return (double)f;
    }
    int32_t n;
    memcpy(&n, p, sizeof n);
    return n;
}

void array_set(struct array *a, int64_t i, int64_t j, double x)
{
    unsigned char *p = a->host + place(a, i, j);
    if (a->dtype == DTYPE_BF16) {
        uint16_t h = f32_to_bf16((float)x);
        memcpy(p, &h, sizeof h);
    } else if (a->dtype == DTYPE_F32) {
        float f = (float)x;
        memcpy(p, &f, sizeof f);
    } else {
        int32_t n = (int32_t)x;
        memcpy(p, &n, sizeof n);
    }
}

/* The bits of an element. */
static uint32_t array_bits(const struct array *a, int64_t i, int64_t j)
{
    const unsigned char *p = a->host + place(a, i, j);
    uint32_t word;
    uint16_t half;
    if (a->dtype != DTYPE_BF16) {
        memcpy(&word, p, sizeof word);
        return word;
    }
    memcpy(&half, p, sizeof half);
    return half;
}

static bool unwritten(const struct array *a, int64_t i, int64_t j)
{
    uint16_t half;
    memcpy(&half, &pattern32, sizeof half);
    return array_bits(a, i, j) == (a->dtype == DTYPE_BF16 ? half : pattern32);
}

static double fill_value(const struct problem *p, int index, const struct array *a, int64_t i,
                         int64_t j)
{
    struct rng_key key = rng_key_make(p->seed, RNG_TEST);
    double u = rng_uniform(key, (uint32_t)index, (uint32_t)i, (uint32_t)j, 0);
    switch (a->fill) {
    case ZERO:
        return 0;
    case UNIFORM:
        return 2 * u - 1;
    case POSITIVE:
        return 0.1 + u;
    case IDS:
        return floor(u * (double)a->limit);
    case IDS_OR_NONE:
        return u < 0.2 ? -1 : floor((u - 0.2) / 0.8 * (double)a->limit);
    case COUNTING:
        return (double)(i * 7 % (a->limit ? a->limit : 1));
    case LOGITS:
        return 12 * u - 6 + (u > 0.99 ? 20 : 0);
    case ANGLES_COS:
        return cos((double)i * pow(10, -(double)j / 8));
    case ANGLES_SIN:
        return sin((double)i * pow(10, -(double)j / 8));
    }
    return 0;
}

static void pattern_fill(unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i + 4 <= bytes; i += 4) memcpy(p + i, &pattern32, 4);
}

/* Allocates and fills the arrays that setup declared. */
static void problem_open(struct kernels *k, struct problem *p)
{
    struct errctx e = ERRCTX_INIT;
    p->owner = k;
    for (int n = 0; n < p->arrays; n++) {
        struct array *a = &p->a[n];
        if (a->rows == 0) continue;
        size_t size = dtype_size(a->dtype), guard = GUARD * 4;
        a->ld = length_of(a) + (a->dense ? 0 : p->extra_ld);
        size_t bytes = (size_t)((lines_of(a) - 1) * a->ld + length_of(a)) * size;
        size_t shift = (size_t)p->shift * size;
        a->bytes = (guard + shift + bytes + guard + 3) / 4 * 4;
        a->host = malloc(a->bytes);
        a->before = malloc(a->bytes);
        if (!a->host || !a->before || k->alloc(k, &e, a->bytes, &a->block) != ERR_OK) abort();
        a->mat = (struct mat){buf_at(a->block, guard + shift, bytes), a->dtype, a->ld, a->trans};
        pattern_fill(a->host, a->bytes);
        for (int64_t i = 0; i < a->rows && a->role != OUT && a->role != ROOM; i++)
            for (int64_t j = 0; j < a->cols; j++) array_set(a, i, j, fill_value(p, n, a, i, j));
        memcpy(a->before, a->host, a->bytes);
        k->upload(k, a->block, a->host, a->bytes);
    }
}

static void problem_close(struct kernels *k, struct problem *p)
{
    for (int n = 0; n < p->arrays; n++) {
        if (p->a[n].rows == 0) continue;
        k->free(k, p->a[n].block);
        free(p->a[n].host);
        free(p->a[n].before);
    }
    free(p->lists);
}

static void problem_fetch(struct kernels *k, struct problem *p)
{
    k->sync(k);
    for (int n = 0; n < p->arrays; n++)
        if (p->a[n].rows) k->download(k, p->a[n].block, p->a[n].host, p->a[n].bytes);
}

struct mat mat_from(const struct problem *p, int array, int64_t first)
{
    const struct array *a = &p->a[array];
    if (a->rows == 0) return (struct mat){.dtype = a->dtype};
    struct mat m = a->mat;
    size_t skip = (size_t)(a->trans ? first : first * a->ld) * dtype_size(a->dtype);
    if (first >= a->rows) skip = m.buf.bytes;
    m.buf = buf_at(m.buf, skip, m.buf.bytes - skip);
    return m;
}

struct buf buf_from(const struct problem *p, int array, int64_t first)
{
    return mat_from(p, array, first).buf;
}

void shape_print(char *out, size_t size, const struct shape *s)
{
    size_t n = 0;
    out[0] = 0;
#define FIELD(name, format, value)                                                                 \
    if (s->name && n < size) n += (size_t)snprintf(out + n, size - n, " " #name "=" format, value)
    FIELD(N, "%lld", (long long)s->N);
    FIELD(M, "%lld", (long long)s->M);
    FIELD(K, "%lld", (long long)s->K);
    FIELD(C, "%lld", (long long)s->C);
    FIELD(V, "%lld", (long long)s->V);
    FIELD(B, "%lld", (long long)s->B);
    FIELD(T, "%lld", (long long)s->T);
    FIELD(H, "%lld", (long long)s->H);
    FIELD(G, "%lld", (long long)s->G);
    FIELD(D, "%lld", (long long)s->D);
    FIELD(R, "%lld", (long long)s->R);
    FIELD(window, "%lld", (long long)s->window);
    FIELD(x, "%s", dtype_name(s->x));
    FIELD(w, "%s", dtype_name(s->w));
    FIELD(y, "%s", dtype_name(s->y));
    FIELD(act, "%d", (int)s->act);
    FIELD(norm, "%d", (int)s->norm);
    FIELD(a_trans, "%d", s->a_trans);
    FIELD(b_trans, "%d", s->b_trans);
    FIELD(before, "%d", s->before);
    FIELD(residual, "%d", s->residual);
    FIELD(in_place, "%d", s->in_place);
    FIELD(bias, "%d", s->bias);
    FIELD(add, "%d", s->add);
    FIELD(causal, "%d", s->causal);
    FIELD(inverse, "%d", s->inverse);
    FIELD(gradient, "%d", s->gradient);
    FIELD(fused, "%d", s->fused);
    FIELD(ragged, "%d", s->ragged);
    FIELD(beta, "%g", (double)s->beta);
    FIELD(softcap, "%g", (double)s->softcap);
    FIELD(offset, "%g", (double)s->offset);
    FIELD(p, "%g", (double)s->p);
#undef FIELD
}

static int failure(const struct op *op, const struct shape *s, const char *what)
{
    char text[512];
    shape_print(text, sizeof text, s);
    printf("# %s%s: %s\n", op->name, text, what);
    return 1;
}

static void problem_make(struct kernels *k, const struct op *op, const struct shape *s,
                         int64_t shift, int64_t extra_ld, struct problem *p)
{
    *p = (struct problem){.s = s, .seed = 7, .shift = shift, .extra_ld = extra_ld};
    op->setup(p);
    problem_open(k, p);
    if (op->prepare) op->prepare(k, p);
}

static void problem_run(struct kernels *k, const struct op *op, const struct shape *s,
                        int64_t shift, int64_t extra_ld, struct problem *p)
{
    problem_make(k, op, s, shift, extra_ld, p);
    op->call(k, p, 0, op->units(s));
    problem_fetch(k, p);
}

static bool is_result(const struct array *a)
{
    return a->rows && (a->role == OUT || a->role == INOUT);
}

/* What the reference has, relative to the element and the array's root mean square. */
static int compare_values(const struct op *op, const struct problem *want,
                          const struct problem *got)
{
    char what[256];
    double tolerance = op->tolerance > 0 ? op->tolerance : 2e-6;
    for (int n = 0; n < want->arrays; n++) {
        const struct array *w = &want->a[n], *g = &got->a[n];
        if (!is_result(w)) continue;
        double square = 0, worst = 0, allowed = tolerance;
        int64_t at_i = 0, at_j = 0, count = 0;
        if (w->dtype == DTYPE_BF16) allowed = 1.0 / 128;
        if (op->half > 0 && want->s->x == DTYPE_BF16) allowed = op->half;
        if (w->dtype == DTYPE_I32) allowed = 0;
        for (int64_t i = 0; i < w->rows; i++)
            for (int64_t j = 0; j < w->cols; j++)
                if (isfinite(array_get(w, i, j))) {
                    square += array_get(w, i, j) * array_get(w, i, j);
                    count++;
                }
        /* inputs are about 1: what is far below that is what differences of rounded numbers leave
         */
        double size = 1e-3 + (count ? sqrt(square / (double)count) : 0);
        for (int64_t i = 0; i < w->rows; i++)
            for (int64_t j = 0; j < w->cols; j++) {
                double x = array_get(w, i, j), y = array_get(g, i, j);
                double error =
                    x == y ? 0 : fabs(x - y) / (fabs(x) + (w->dtype == DTYPE_I32 ? 1 : size));
                if (unwritten(w, i, j) && unwritten(g, i, j)) error = 0;
                if (error > worst || !(error == error)) {
                    worst = error == error ? error : INFINITY;
                    at_i = i;
                    at_j = j;
                }
            }
        if (worst <= allowed) continue;
        snprintf(what, sizeof what, "%s[%lld, %lld] is %.9g, not %.9g (error %.3g, allowed %.3g)",
                 w->name, (long long)at_i, (long long)at_j, array_get(g, at_i, at_j),
                 array_get(w, at_i, at_j), worst, allowed);
        return failure(op, want->s, what);
    }
    return 0;
}

/* The same bits in every result. */
static int compare_bits(const struct op *op, const struct problem *a, const struct problem *b,
                        const char *law)
{
    char what[256];
    if (memcmp(&a->result, &b->result, sizeof a->result) != 0) return failure(op, a->s, law);
    for (int n = 0; n < a->arrays; n++) {
        const struct array *x = &a->a[n], *y = &b->a[n];
        if (!is_result(x)) continue;
        for (int64_t i = 0; i < x->rows; i++)
            for (int64_t j = 0; j < x->cols; j++)
                if (array_bits(x, i, j) != array_bits(y, i, j)) {
                    snprintf(what, sizeof what, "%s: %s[%lld, %lld] is %.9g and %.9g", law, x->name,
                             (long long)i, (long long)j, array_get(x, i, j), array_get(y, i, j));
                    return failure(op, a->s, what);
                }
    }
    return 0;
}

/* Inputs, the gaps between rows and the guards are as they were. */
static int compare_untouched(const struct op *op, const struct problem *p)
{
    char what[256];
    for (int n = 0; n < p->arrays; n++) {
        const struct array *a = &p->a[n];
        if (a->rows == 0 || a->role == ROOM) continue;
        unsigned char *mask = calloc(1, a->bytes);
        if (!mask) abort();
        for (int64_t i = 0; i < a->rows && a->role != IN; i++)
            for (int64_t j = 0; j < a->cols; j++)
                memset(mask + place(a, i, j), 1, dtype_size(a->dtype));
        size_t at = 0;
        while (at < a->bytes && (mask[at] || a->host[at] == a->before[at])) at++;
        free(mask);
        if (at == a->bytes) continue;
        snprintf(what, sizeof what,
                 "%s: byte %zu of its block, outside what the op may write, was changed", a->name,
                 at);
        return failure(op, p->s, what);
    }
    return 0;
}

static int test_cuts(struct machine *m, const struct op *op, const struct shape *s,
                     const struct problem *whole)
{
    int64_t cuts[CUTS_MAX];
    if (!op->cuts) return 0;
    int n = op->cuts(s, cuts);
    if (n < 2) return 0;
    struct kernels *k = &m->under_test[1];
    struct problem p;
    problem_make(k, op, s, 0, 0, &p);
    for (int i = 0; i < n; i++) op->call(k, &p, cuts[i], cuts[i + 1]);
    problem_fetch(k, &p);
    int failed = compare_bits(op, whole, &p, "grains in one call and one by one differ");
    problem_close(k, &p);
    return failed;
}

static int test_nan(struct machine *m, const struct op *op, const struct shape *s)
{
    if (!op->nan_in) return 0;
    struct kernels *k = &m->under_test[1];
    struct problem p;
    problem_make(k, op, s, 0, 0, &p);
    struct array *a = &p.a[op->nan_in - 1];
    if (a->rows == 0) {
        problem_close(k, &p);
        return 0;
    }
    for (int64_t i = 0; i < a->rows; i++) array_set(a, i, a->cols - 1, (double)NAN);
    k->upload(k, a->block, a->host, a->bytes);
    op->call(k, &p, 0, op->units(s));
    problem_fetch(k, &p);
    bool seen = isnan(p.result);
    for (int n = 0; n < p.arrays && !seen; n++)
        for (int64_t i = 0; i < p.a[n].rows && is_result(&p.a[n]) && p.a[n].dtype != DTYPE_I32; i++)
            for (int64_t j = 0; j < p.a[n].cols; j++)
                seen = seen || isnan(array_get(&p.a[n], i, j));
    problem_close(k, &p);
    return seen ? 0 : failure(op, s, "a NaN was swallowed");
}

static int test_values(struct machine *m, const struct op *op, const struct shape *s,
                       const struct problem *got)
{
    struct problem want;
    problem_run(&m->ref, op, s, 0, 0, &want);
    int failed =
        compare_values(op, &want, got) + compare_untouched(op, &want) + compare_untouched(op, got);
    double gap = fabs(want.result - got->result);
    if (!(gap <= 1e-12 * fabs(want.result)))
        failed += failure(op, s, "the number it returns is another one");
    problem_close(&m->ref, &want);
    return failed;
}

static int test_layout(struct machine *m, const struct op *op, const struct shape *s,
                       const struct problem *got)
{
    struct problem other;
    problem_run(&m->under_test[1], op, s, 1, 5, &other);
    int failed = compare_bits(op, got, &other, "alignment or leading dimension matter") +
                 compare_untouched(op, &other);
    problem_close(&m->under_test[1], &other);
    return failed;
}

static int test_threads(struct machine *m, const struct op *op, const struct shape *s,
                        const struct problem *got)
{
    static const char *const threads[] = {"1 and 2 threads differ", NULL, "2 and 4 threads differ"};
    int failed = 0;
    for (int t = thin_threads() ? 2 : 0; t < 3; t += 2) {
        struct problem other;
        problem_run(&m->under_test[t], op, s, 0, 0, &other);
        failed += compare_bits(op, got, &other, threads[t]);
        problem_close(&m->under_test[t], &other);
    }
    return failed;
}

static int test_shape(struct machine *m, const struct op *op, const struct shape *s)
{
    struct problem got;
    problem_run(&m->under_test[1], op, s, 0, 0, &got);
    int failed = test_threads(m, op, s, &got);
    if (!thin_threads())
        failed += test_values(m, op, s, &got) + test_layout(m, op, s, &got) +
                  test_cuts(m, op, s, &got) + test_nan(m, op, s);
    problem_close(&m->under_test[1], &got);
    return failed;
}

int mode_test(struct machine *m, const struct op *op, int64_t *cases)
{
    int failed = 0;
    for (size_t i = 0; i < op->shape_count; i++, (*cases)++)
        failed += test_shape(m, op, &op->shapes[i]) > 0;
    return failed;
}

double problem_time(struct kernels *k, const struct op *op, const struct shape *s,
                    double (*clock)(void))
{
    struct problem p;
    double best = INFINITY, spent = 0;
    problem_make(k, op, s, 0, 0, &p);
    for (int i = 0; i < 5 || (spent < 0.4 && i < 200); i++) {
        double from = clock();
        op->call(k, &p, 0, op->units(s));
        k->sync(k);
        double took = clock() - from;
        spent += took;
        if (took < best) best = took;
    }
    problem_close(k, &p);
    return best;
}

/* ---- derivatives ---- */

/* Sum of dy y over the results that have a gradient, y after the forward op on inputs as they are
 * on the host. */
static double grad_loss(struct kernels *k, const struct op *op, struct problem *p)
{
    double loss = 0;
    for (int n = 0; n < p->arrays; n++)
        if (p->a[n].rows && p->a[n].role == IN)
            k->upload(k, p->a[n].block, p->a[n].host, p->a[n].bytes);
    op->forward(k, p);
    problem_fetch(k, p);
    for (int n = 0; n < p->arrays; n++) {
        struct array *y = &p->a[n];
        if (!y->rows || y->role != ROOM || !y->gradient) continue;
        for (int64_t i = 0; i < y->rows; i++)
            for (int64_t j = 0; j < y->cols; j++) {
                double v = array_get(y, i, j);
                if (isfinite(v)) loss += v * array_get(&p->a[y->gradient], i, j);
            }
    }
    return loss;
}

/* The derivative of the loss along a direction of array x: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) /
 * 12 h. */
static double grad_along(struct kernels *k, const struct op *op, struct problem *p, struct array *x,
                         const double *u, double h)
{
    unsigned char *saved = malloc(x->bytes);
    if (!saved) abort();
    memcpy(saved, x->host, x->bytes);
    double value[4];
    static const double step[4] = {1, -1, 2, -2};
    for (int s = 0; s < 4; s++) {
        memcpy(x->host, saved, x->bytes);
        for (int64_t i = 0; i < x->rows; i++)
            for (int64_t j = 0; j < x->cols; j++)
                array_set(x, i, j, array_get(x, i, j) + step[s] * h * u[i * x->cols + j]);
        value[s] = grad_loss(k, op, p);
    }
    memcpy(x->host, saved, x->bytes);
    free(saved);
    return (8 * (value[0] - value[1]) - (value[2] - value[3])) / (12 * h);
}

static int grad_array(struct kernels *k, const struct op *op, struct problem *p, int index)
{
    enum { DIRECTIONS = 4 };
    struct array *x = &p->a[index], *dx = &p->a[x->gradient];
    int64_t count = x->rows * x->cols;
    double *u = calloc((size_t)count, sizeof *u), *d = calloc((size_t)count, sizeof *d);
    char what[256];
    int failed = 0;
    if (!u || !d) abort();
    for (int64_t i = 0; i < count; i++) {
        d[i] = array_get(dx, i / x->cols, i % x->cols);
        if (unwritten(dx, i / x->cols, i % x->cols)) d[i] = 0; /* a token of no row */
        if (dx->role == INOUT)
            d[i] -= fill_value(p, x->gradient, dx, i / x->cols, i % x->cols); /* it was added to */
    }
    for (int n = 0; n < DIRECTIONS && !failed; n++) {
        /* two directions through everything, two along one element */
        double want = 0, size = 0;
        for (int64_t i = 0; i < count; i++) {
            double r = rng_uniform(rng_key_make(11, RNG_TEST), (uint32_t)i, (uint32_t)n,
                                   (uint32_t)index, 1);
            u[i] = n < 2 ? (r < 0.5 ? -1 : 1) : i == (n * 7919 + 3) % count;
            want += u[i] * d[i];
            size += fabs(u[i] * d[i]);
        }
        double got = grad_along(k, op, p, x, u, 0.02);
        if (fabs(got - want) <= 2e-4 * size + 2e-4) continue;
        snprintf(what, sizeof what, "d%s: difference quotient %.6g, backward %.6g", x->name, got,
                 want);
        failed = failure(op, p->s, what);
    }
    free(u);
    free(d);
    return failed;
}

int mode_grad(struct machine *m, const struct op *op, int64_t *cases)
{
    int failed = 0;
    if (!op->forward) return 0;
    for (size_t s = 0; s < op->shape_count; s++) {
        const struct shape *shape = &op->shapes[s];
        if (shape->act == ACT_RELU) continue; /* it has a kink */
        if (shape->x == DTYPE_BF16 || shape->w == DTYPE_BF16 || shape->y == DTYPE_BF16) continue;
        struct kernels *k = &m->under_test[1];
        struct problem p;
        int bad = 0;
        problem_run(k, op, shape, 0, 0, &p);
        for (int n = 0; n < p.arrays && !bad; n++)
            if (p.a[n].rows && p.a[n].role == IN && p.a[n].gradient && p.a[p.a[n].gradient].rows)
                bad = grad_array(k, op, &p, n);
        problem_close(k, &p);
        failed += bad;
        (*cases)++;
    }
    return failed;
}
