/* SPDX-License-Identifier: Apache-2.0 */
/* adamw.c: the table of parameters turned into a few long runs for the kernel, and the schedules.
 *
 * Schedules follow llm.c in that the first step is not lost to a rate of zero, and in the shape of
 * warm-up-stable-decay: 1 - sqrt(x) over the last part (Hägele et al., "Scaling laws and
 * compute-optimal training beyond fixed training durations", 2024). */
#include "common/train/adamw.h"

#include <math.h>

#include "common/base/mem.h"

#define FIELD(f) offsetof(struct adamw_cfg, f)

const struct opt adamw_table[] = {
    {"lr", 0, OPT_REAL, FIELD(lr), "RATE", "learning rate after the warm-up", 0, 0, 1e6},
    {"schedule", 0, OPT_CHOICE, FIELD(schedule), "cosine|linear|wsd|constant",
     "how the rate goes down; wsd: constant, then down in the last part"},
    {"warmup", 0, OPT_INT, FIELD(warmup), "STEPS",
     "the rate rises over so many steps; -1: a tenth of all, at most 100", 0, -1, 1e15},
    {"lr-min", 0, OPT_REAL, FIELD(lr_min), "FRACTION", "of --lr, where a schedule ends", 0, 0, 1},
    {"decay-part", 0, OPT_REAL, FIELD(decay_part), "FRACTION", "of the steps, for wsd", 0, 0, 1},
    {"weight-decay", 0, OPT_REAL, FIELD(weight_decay), "X",
     "of matrices and embeddings, times the rate", 0, 0, 1e6},
    {"clip", 0, OPT_REAL, FIELD(clip), "NORM", "scale the gradient down to this norm; 0: leave it",
     0, 0, 1e30},
    {"beta1", 0, OPT_REAL, FIELD(beta1), "X", "memory of the mean gradient", 0, 0, 0.999999},
    {"beta2", 0, OPT_REAL, FIELD(beta2), "X", "memory of its square", 0, 0, 0.9999999},
    {"eps", 0, OPT_REAL, FIELD(eps), "X", "added to the root of the square", 0, 0, 1},
    {"bias-correction", 0, OPT_FLAG, FIELD(bias_correction), NULL,
     "of the moments in the first steps; the original BERT trained without"},
    OPT_END};

/* ---- schedules ---- */

static double decayed(const struct adamw_cfg *c, int64_t t, int64_t horizon)
{
    int64_t from = c->warmup;
    if (c->schedule == SCHEDULE_WSD) {
        int64_t last = (int64_t)ceil(c->decay_part * (double)horizon);
        if (horizon - last > from) from = horizon - last;
    }
    if (t <= from) return 1;
    if (t >= horizon) return 0;
    double x = (double)(t - from) / (double)(horizon - from);
    switch ((enum schedule_kind)c->schedule) {
    case SCHEDULE_COSINE:
        return 0.5 * (1 + cos(3.14159265358979323846 * x));
    case SCHEDULE_LINEAR:
        return 1 - x;
    case SCHEDULE_WSD:
        return 1 - sqrt(x);
    case SCHEDULE_CONSTANT:
        break;
    }
    return 1;
}

double schedule_rate(const struct adamw_cfg *c, int64_t t, int64_t horizon)
{
    if (t < c->warmup) return c->lr * (double)t / (double)c->warmup;
    if (c->schedule == SCHEDULE_CONSTANT) return c->lr;
    return c->lr * (c->lr_min + (1 - c->lr_min) * decayed(c, t, horizon));
}

double adamw_clip(const struct adamw_cfg *c, double norm)
{
    double scale = c->clip / (norm + 1e-6);
    return c->clip > 0 && scale < 1 ? scale : 1;
}

/* ---- the optimiser ---- */

/* Parameters that touch and are treated alike become one run; what pads them is zero and stays so.
 */
static enum err runs_build(struct errctx *e, struct adamw *o, const struct param_table *table)
{
    TRY(mem_new(e, &o->runs, (size_t)table->count, sizeof *o->runs, "runs of parameters"));
    for (int64_t i = 0; i < table->count; i++) {
        const struct param *p = &table->items[i];
        if (p->gradient < 0) continue;
        struct adamw_run *last = o->runs_count ? &o->runs[o->runs_count - 1] : NULL;
        const struct param *before = i > 0 ? &table->items[i - 1] : NULL;
        bool touches = last && before->gradient >= 0 && last->decay == p->decay &&
                       p->offset - last->offset == p->gradient - last->gradient;
        if (touches)
            last->elements = p->offset + p->elements - last->offset;
        else
            o->runs[o->runs_count++] =
                (struct adamw_run){p->offset, p->gradient, p->elements, p->decay};
    }
    return ERR_OK;
}

enum err adamw_init(struct errctx *e, struct adamw *o, const struct adamw_cfg *cfg, struct model *m)
{
    const struct param_table *table = model_params(m);
    size_t bytes;
    *o = (struct adamw){.cfg = *cfg, .kernels = model_kernels(m)};
    if (!size_mul((size_t)table->trained, sizeof(float), &bytes))
        return err_memory(e, "the optimiser's moments", UINT64_MAX);
    enum err r = runs_build(e, o, table);
    if (r == ERR_OK) r = o->kernels->alloc(o->kernels, e, bytes, &o->m);
    if (r == ERR_OK) r = o->kernels->alloc(o->kernels, e, bytes, &o->v);
    if (r != ERR_OK) adamw_fini(o);
    return r;
}

void adamw_fini(struct adamw *o)
{
    if (buf_present(o->m)) o->kernels->free(o->kernels, o->m);
    if (buf_present(o->v)) o->kernels->free(o->kernels, o->v);
    mem_free(o->runs);
    *o = (struct adamw){0};
}

/* The run in an array of the weights, and in one of the gradients. */
static struct buf weights_of(struct buf flat, const struct adamw_run *run, size_t size)
{
    return buf_at(flat, (size_t)run->offset * size, (size_t)run->elements * size);
}

static struct buf gradients_of(struct buf flat, const struct adamw_run *run)
{
    return buf_at(flat, (size_t)run->gradient * sizeof(float),
                  (size_t)run->elements * sizeof(float));
}

double adamw_norm(const struct adamw *o, const struct model *m)
{
    double sum = 0;
    for (int64_t i = 0; i < o->runs_count; i++) {
        struct buf g = gradients_of(model_gradients(m), &o->runs[i]);
        sum += o->kernels->sumsq(o->kernels, o->runs[i].elements, g);
    }
    return sqrt(sum);
}

void adamw_step(struct adamw *o, struct model *m, int64_t t, double rate, double scale)
{
    struct buf w16 = model_weights16(m), none = {0};
    for (int64_t i = 0; i < o->runs_count; i++) {
        const struct adamw_run *run = &o->runs[i];
        struct adamw_args a = {.lr = (float)rate,
                               .beta1 = (float)o->cfg.beta1,
                               .beta2 = (float)o->cfg.beta2,
                               .eps = (float)o->cfg.eps,
                               .decay = run->decay ? (float)o->cfg.weight_decay : 0,
                               .step = t,
                               .correct = o->cfg.bias_correction,
                               .scale = (float)scale};
        o->kernels->adamw(
            o->kernels, run->elements, &a, weights_of(model_weights(m), run, sizeof(float)),
            gradients_of(model_gradients(m), run), gradients_of(o->m, run), gradients_of(o->v, run),
            buf_present(w16) ? weights_of(w16, run, 2) : none);
    }
}

enum err adamw_keep_new(struct errctx *e, const struct adamw *o, struct buf *out)
{
    return o->kernels->alloc(o->kernels, e, o->m.bytes, out);
}

void adamw_keep(const struct adamw *o, const struct model *m, struct buf kept)
{
    struct kernels *k = o->kernels;
    for (int64_t i = 0; i < o->runs_count; i++) {
        const struct buf from = weights_of(model_weights(m), &o->runs[i], sizeof(float));
        k->upload(k, gradients_of(kept, &o->runs[i]), k->map(k, from), from.bytes);
    }
}

void adamw_put_back(const struct adamw *o, struct model *m, struct buf kept)
{
    struct kernels *k = o->kernels;
    for (int64_t i = 0; i < o->runs_count; i++) {
        const struct buf from = gradients_of(kept, &o->runs[i]);
        k->upload(k, weights_of(model_weights(m), &o->runs[i], sizeof(float)), k->map(k, from),
                  from.bytes);
    }
    model_refresh(m);
}
