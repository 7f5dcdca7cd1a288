/* SPDX-License-Identifier: Apache-2.0 */
/* minimise.c: see minimise.h. A point carries its value, its gradient and its slope along the
 * direction of search; the line search moves between three of them. */
#include "common/train/minimise.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"

#define ENOUGH  1e-4 /* of the decrease that the slope promises */
#define FLATTER 0.9  /* than the slope at the start */
enum { LINE_MOST = 40 };

struct point {
    double step, f, slope;
    double *x, *g;
};

struct search {
    int64_t n;
    minimise_fn *fn;
    void *ctx;
    const double *from, *direction;
    double f, slope; /* at `from` */
    int64_t evaluations;
};

static double dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static double largest(int64_t n, const double *a)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(a[i]) <= most)) most = fabs(a[i]);
    return most;
}

/* The function at from + step direction. */
static enum err look(struct errctx *e, struct search *s, double step, struct point *p)
{
    for (int64_t i = 0; i < s->n; i++) p->x[i] = s->from[i] + step * s->direction[i];
    p->step = step;
    s->evaluations++;
    TRY(s->fn(e, s->ctx, p->x, &p->f, p->g));
    p->slope = dot(s->n, p->g, s->direction);
    return ERR_OK;
}

static void swap(struct point *a, struct point *b)
{
    const struct point t = *a;
    *a = *b;
    *b = t;
}

static bool decreases(const struct search *s, const struct point *p)
{
    return isfinite(p->f) && p->f <= s->f + ENOUGH * p->step * s->slope;
}

static bool flat(const struct search *s, const struct point *p)
{
    return fabs(p->slope) <= -FLATTER * s->slope;
}

/* Where the cubic through two points with their slopes is least, kept away from both ends. */
static double between(const struct point *a, const struct point *b)
{
    const double d1 = a->slope + b->slope - 3 * (a->f - b->f) / (a->step - b->step);
    const double square = d1 * d1 - a->slope * b->slope, width = b->step - a->step;
    double at = NAN;
    if (square >= 0 && isfinite(square)) {
        const double d2 = (width > 0 ? 1 : -1) * sqrt(square);
        at = b->step - width * (b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2);
    }
    const double low = fmin(a->step, b->step), high = fmax(a->step, b->step),
                 margin = 0.1 * (high - low);
    return at >= low + margin && at <= high - margin ? at : (low + high) / 2;
}

/* A step between two that hold one which meets the conditions: `low` has the smaller f. The result
 * is in `low`. */
static enum err narrow(struct errctx *e, struct search *s, struct point *low, struct point *high,
                       struct point *p)
{
    for (int i = 0; i < LINE_MOST; i++) {
        TRY(look(e, s, between(low, high), p));
        if (!decreases(s, p) || p->f >= low->f) {
            swap(high, p);
            continue;
        }
        if (flat(s, p)) {
            swap(low, p);
            return ERR_OK;
        }
        if (p->slope * (high->step - low->step) >= 0) {
            high->step = low->step;
            high->f = low->f;
            high->slope = low->slope;
        }
        swap(low, p);
    }
    return ERR_OK;
}

/* A step that meets the conditions, into *best; best->step is 0 when there is none. points: three
 * that may be used, the first is `best`. */
static enum err search_line(struct errctx *e, struct search *s, double first, struct point *points)
{
    struct point *best = &points[0], *next = &points[1], *spare = &points[2];
    double step = first;
    best->step = 0;
    best->f = s->f;
    best->slope = s->slope;
    memcpy(best->x, s->from, (size_t)s->n * sizeof *best->x);
    for (int i = 0; i < LINE_MOST; i++) {
        TRY(look(e, s, step, next));
        if (!decreases(s, next) || (i > 0 && next->f >= best->f))
            return narrow(e, s, best, next, spare);
        swap(best, next);
        if (flat(s, best)) return ERR_OK;
        if (best->slope >= 0) return narrow(e, s, best, next, spare);
        step *= 2;
    }
    return ERR_OK;
}

struct memory {
    double *s, *y, *rho, *alpha; /* [history][n], [history] */
    int64_t count, next, history;
};

/* direction = -H g by the two loops over the pairs that are kept. */
static void direction_of(struct memory *m, int64_t n, const double *g, double *direction)
{
    for (int64_t i = 0; i < n; i++) direction[i] = -g[i];
    for (int64_t k = 0; k < m->count; k++) {
        const int64_t at = (m->next - 1 - k + 2 * m->history) % m->history;
        m->alpha[at] = m->rho[at] * dot(n, m->s + at * n, direction);
        for (int64_t i = 0; i < n; i++) direction[i] -= m->alpha[at] * m->y[at * n + i];
    }
    if (m->count > 0) {
        const int64_t last = (m->next - 1 + m->history) % m->history;
        const double *y = m->y + last * n, scale = 1 / (m->rho[last] * dot(n, y, y));
        for (int64_t i = 0; i < n; i++) direction[i] *= scale;
    }
    for (int64_t k = m->count - 1; k >= 0; k--) {
        const int64_t at = (m->next - 1 - k + 2 * m->history) % m->history;
        const double beta = m->rho[at] * dot(n, m->y + at * n, direction);
        for (int64_t i = 0; i < n; i++) direction[i] += (m->alpha[at] - beta) * m->s[at * n + i];
    }
}

/* Keeps the pair of a step, where the function curves upwards along it. */
static void remember(struct memory *m, int64_t n, const double *x, const double *g,
                     const struct point *p)
{
    double *s = m->s + m->next * n, *y = m->y + m->next * n;
    for (int64_t i = 0; i < n; i++) {
        s[i] = p->x[i] - x[i];
        y[i] = p->g[i] - g[i];
    }
    const double curve = dot(n, s, y);
    if (!(curve > 1e-300)) return;
    m->rho[m->next] = 1 / curve;
    m->next = (m->next + 1) % m->history;
    if (m->count < m->history) m->count++;
}

struct work {
    struct memory memory;
    struct point points[3];
    double *g, *direction, *all;
};

static enum err take_work(struct errctx *e, int64_t n, int64_t history, struct work *w)
{
    const size_t vectors = 2 * (size_t)history + 8;
    size_t elements;
    *w = (struct work){0};
    if (!size_mul(vectors, (size_t)n, &elements)) return err_memory(e, "a minimum", UINT64_MAX);
    TRY(mem_new(e, &w->all, elements + 2 * (size_t)history, sizeof *w->all, "a minimum"));
    double *at = w->all;
    w->memory = (struct memory){.history = history, .s = at, .y = at + history * n};
    at += 2 * history * n;
    for (int i = 0; i < 3; i++, at += 2 * n) w->points[i] = (struct point){.x = at, .g = at + n};
    w->g = at;
    w->direction = at + n;
    w->memory.rho = at + 2 * n;
    w->memory.alpha = w->memory.rho + history;
    return ERR_OK;
}

static enum err descend(struct errctx *e, int64_t n, double *x, minimise_fn *fn, void *ctx,
                        const struct minimise_cfg *cfg, struct work *w, struct minimise_result *out)
{
    struct search s = {.n = n, .fn = fn, .ctx = ctx, .from = x, .direction = w->direction};
    TRY(fn(e, ctx, x, &s.f, w->g));
    s.evaluations = 1;
    if (!isfinite(s.f)) return err_set(e, ERR_IO, "the loss is not a finite number at the start");
    for (; out->iterations < cfg->most; out->iterations++) {
        out->gradient = largest(n, w->g);
        out->converged = out->gradient <= cfg->tolerance;
        if (out->converged) break;
        direction_of(&w->memory, n, w->g, w->direction);
        s.slope = dot(n, w->g, w->direction);
        if (!(s.slope < 0)) { /* rounding has spoilt what is kept */
            if (w->memory.count == 0) break;
            w->memory.count = 0;
            continue;
        }
        const double first = w->memory.count ? 1 : fmin(1, 1 / sqrt(dot(n, w->g, w->g)));
        memcpy(w->points[0].g, w->g, (size_t)n * sizeof *w->g);
        TRY(search_line(e, &s, first, w->points));
        if (w->points[0].step == 0) {
            if (w->memory.count == 0) break;
            w->memory.count = 0;
            continue;
        }
        remember(&w->memory, n, x, w->g, &w->points[0]);
        memcpy(x, w->points[0].x, (size_t)n * sizeof *x);
        memcpy(w->g, w->points[0].g, (size_t)n * sizeof *x);
        s.f = w->points[0].f;
    }
    out->gradient = largest(n, w->g);
    out->converged = out->gradient <= cfg->tolerance;
    out->f = s.f;
    out->evaluations = s.evaluations;
    return ERR_OK;
}

enum err minimise(struct errctx *e, int64_t n, double *x, minimise_fn *fn, void *ctx,
                  const struct minimise_cfg *cfg, struct minimise_result *out)
{
    struct work w;
    *out = (struct minimise_result){0};
    TRY(take_work(e, n, cfg->history, &w));
    (void)!descend(e, n, x, fn, ctx, cfg, &w, out);
    mem_free(w.all);
    return e->code;
}
