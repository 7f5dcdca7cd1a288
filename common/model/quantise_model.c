/* SPDX-License-Identifier: Apache-2.0 */
/* quantise_model.c: see quantise_model.h. Blocks follow each other through a whole tensor, as rows
 * are whole blocks: so pieces are taken as they come, and what is left of a block waits for the
 * next piece. */
#include "common/model/quantise_model.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/quantise.h"
#include "formats/stream_begin.h"
#include "kernels/values.h"

static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_NF4};
enum { TASK = 1 << 14 }; /* values, whole blocks */

const struct opt quantise_opts[] = {
    {"type", 't', OPT_CHOICE, offsetof(struct quantise_cfg, type), "q8_0|q4_0|q4_1|nf4",
     "of the matrices", OPT_REQUIRED},
    {"embeddings", 0, OPT_CHOICE, offsetof(struct quantise_cfg, embeddings),
     "as-is|q8_0|q4_0|q4_1|nf4", "type of the token embedding and of the head's matrix"},
    {"double-quant", 0, OPT_FLAG, offsetof(struct quantise_cfg, double_quant), NULL,
     "with nf4: its scales in 8 bits"},
    {"only", 0, OPT_LIST, offsetof(struct quantise_cfg, only), "PATTERN",
     "of the matrices only those of such names"},
    {"keep", 0, OPT_LIST, offsetof(struct quantise_cfg, keep), "PATTERN",
     "tensors of such names stay as they are"},
    OPT_END};

/* ------------------------------------------------------------------ which, and to what */

static bool matches(const struct opt_list *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (fnmatch(patterns->items[i], name, 0) == 0) return true;
    return false;
}

static enum err check_patterns(struct errctx *e, const char *option,
                               const struct opt_list *patterns, const struct stream_begin *b)
{
    for (size_t i = 0; i < patterns->count; i++) {
        bool any = false;
        for (int64_t t = 0; t < b->tensors_count && !any; t++)
            any = fnmatch(patterns->items[i], b->tensors[t].name, 0) == 0;
        if (!any)
            return err_set(e, ERR_USAGE, "--%s '%s': no tensor has such a name", option,
                           patterns->items[i]);
    }
    return ERR_OK;
}

/* DTYPE_NONE: it stays as it is. */
static enum dtype wanted_type(const struct quantise_cfg *c, const struct stream_field *f)
{
    const bool head = !strcmp(f->name, "embed.tokens.weight") || !strcmp(f->name, "head.weight");
    if (f->dims != 2 || !strncmp(f->name, "tokenizer.", 10) || matches(&c->keep, f->name))
        return DTYPE_NONE;
    if (matches(&c->only, f->name)) return types[c->type];
    if (head && c->embeddings > 0) return types[c->embeddings - 1];
    return c->only.count > 0 || head || !strncmp(f->name, "embed.", 6) ? DTYPE_NONE
                                                                       : types[c->type];
}

/* Declares the scales of tensors of NF4 before them: these become NF4_DQ. */
static enum err plan_scales(struct errctx *e, const struct stream_begin *from,
                            const struct stream_begin *as, struct stream_begin *to)
{
    stream_begin_init(to, from->kind);
    to->expect = from->expect;
    TRY(mp_copy(e, &from->meta, &to->meta));
    for (int64_t i = 0; i < from->tensors_count; i++) {
        const struct stream_field *f = &as->tensors[i];
        const bool now = f->dtype == DTYPE_NF4 && from->tensors[i].dtype != DTYPE_NF4;
        const int64_t n = f->dims == 2 ? dtype_scales(f->shape[0] * f->shape[1]) : 0;
        char name[STREAM_MAX_NAME + 8];
        snprintf(name, sizeof name, "%s.scales", f->name);
        if (now) TRY(stream_begin_tensor(e, to, name, DTYPE_F32, 1, &n));
        TRY(stream_begin_tensor(e, to, f->name, now ? DTYPE_NF4_DQ : f->dtype, f->dims, f->shape));
    }
    return ERR_OK;
}

static enum err double_quantise(struct errctx *e, const struct stream_begin *stored,
                                struct stream_begin *begin)
{
    struct stream_begin doubled;
    if (plan_scales(e, stored, begin, &doubled) != ERR_OK) {
        stream_begin_fini(&doubled);
        return e->code;
    }
    stream_begin_fini(begin);
    *begin = doubled;
    return ERR_OK;
}

enum err quantise_plan(struct errctx *e, const struct quantise_cfg *c, const char *name,
                       const struct stream_begin *stored, struct stream_begin *begin)
{
    if (c->double_quant && types[c->type] != DTYPE_NF4 &&
        !(c->embeddings > 0 && types[c->embeddings - 1] == DTYPE_NF4))
        return err_set(e, ERR_USAGE, "--double-quant is for type nf4");
    TRY(check_patterns(e, "only", &c->only, begin));
    TRY(check_patterns(e, "keep", &c->keep, begin));
    for (int64_t i = 0; i < begin->tensors_count; i++) {
        struct stream_field *f = &begin->tensors[i];
        const enum dtype t = wanted_type(c, f);
        if (t == DTYPE_NONE || t == f->dtype || stream_begin_is_scales(begin, i)) continue;
        if (f->dtype == DTYPE_NF4_DQ && t == DTYPE_NF4) continue; /* it is */
        if (!dtype_is_float(f->dtype))
            return err_set(e, ERR_INPUT,
                           "'%s': tensor '%s' is of type %s: quantising it again would lose more "
                           "(--keep '%s' leaves it)",
                           name, f->name, dtype_name(f->dtype), f->name);
        if (f->shape[1] % dtype_unit(t) != 0)
            return err_set(e, ERR_INPUT,
                           "'%s': tensor '%s' has rows of %" PRId64
                           " values, which are no whole blocks of %d (--keep '%s' leaves it)",
                           name, f->name, f->shape[1], dtype_unit(t), f->name);
        f->dtype = t;
    }
    return c->double_quant ? double_quantise(e, stored, begin) : ERR_OK;
}

/* ------------------------------------------------------------------ quantising */

struct work {
    struct pool *pool;
    const char *name; /* of the stream */
    const struct stream_field *field;
    enum dtype from, to;
    float *values; /* `held` of them, from element `first` of the tensor on */
    size_t capacity, blocks_capacity;
    int64_t held, first;
    const uint8_t *piece; /* to be widened behind those held */
    int64_t elements;
    uint8_t *blocks;
    int64_t blocks_held; /* bytes of the tensor that wait for its scales */
    float *scales;
    size_t scales_capacity;
    int64_t *bad; /* per task: the first value that cannot be, or -1 */
    size_t bad_capacity;
};

static int64_t tasks_of(int64_t n)
{
    return (n + TASK - 1) / TASK;
}

static int64_t part_of(int64_t n, int64_t task)
{
    return n - task * TASK < TASK ? n - task * TASK : TASK;
}

static void widen_task(void *ctx, int64_t task, int thread)
{
    const struct work *w = ctx;
    (void)thread;
    values_to_f32(w->from, w->piece + dtype_offset(w->from, task * TASK),
                  part_of(w->elements, task), w->values + w->held + task * TASK);
}

static void quantise_task(void *ctx, int64_t task, int thread)
{
    const struct work *w = ctx;
    const int64_t at = task * TASK,
                  n = part_of(w->held / dtype_unit(w->to) * dtype_unit(w->to), task);
    (void)thread;
    w->bad[task] = -1;
    for (int64_t i = at; i < at + n && w->bad[task] < 0; i++)
        if (!isfinite(w->values[i])) w->bad[task] = i;
    if (w->bad[task] >= 0) return;
    const int64_t bad = quantise_row(w->to, w->values + at, n,
                                     w->blocks + w->blocks_held + dtype_offset(w->to, at));
    if (bad >= 0) w->bad[task] = at + bad;
}

static enum err name_bad(struct errctx *e, const struct work *w, int64_t i)
{
    const float x = w->values[i];
    if (!isfinite(x))
        return err_set(e, ERR_INPUT, "'%s': tensor '%s', element %" PRId64 " is %s", w->name,
                       w->field->name, w->first + i, isnan(x) ? "NaN" : "infinite");
    return err_set(e, ERR_INPUT,
                   "'%s': tensor '%s', block of elements from %" PRId64
                   " on: its values are too large for the scale of %s (--keep '%s' leaves it)",
                   w->name, w->field->name, w->first + i, dtype_name(w->to), w->field->name);
}

/* Blocks with scales in 8 bits go out when their tensor is whole: the mean scale is known then. */
static enum err put_doubled(struct errctx *e, struct work *w, int64_t elements, int64_t tensor,
                            struct stream_writer *out)
{
    const int64_t n = w->blocks_held / (int64_t)dtype_unit_bytes(DTYPE_NF4);
    if (n * dtype_unit(DTYPE_NF4) < elements) return ERR_OK;
    TRY(mem_grow(e, &w->scales, &w->scales_capacity, (size_t)dtype_scales(elements),
                 sizeof *w->scales, "scales"));
    quantise_scales(w->blocks, n, w->blocks, w->scales);
    TRY(stream_writer_tensor(e, out, tensor - 1, w->scales, dtype_scales(elements)));
    w->blocks_held = 0;
    return stream_writer_tensor(e, out, tensor, w->blocks, elements);
}

/* The piece, and what was left of the one before; whole blocks go out as output tensor `tensor`. */
static enum err take_piece(struct errctx *e, struct work *w, const struct stream_tensor_piece *p,
                           int64_t tensor, bool doubled, struct stream_writer *out)
{
    w->piece = p->data;
    w->elements = p->elements;
    TRY(mem_grow(e, &w->values, &w->capacity, (size_t)(w->held + p->elements), sizeof *w->values,
                 "values"));
    pool_run(w->pool, widen_task, w, tasks_of(p->elements));
    w->held += p->elements;
    const int64_t n = w->held / dtype_unit(w->to) * dtype_unit(w->to), tasks = tasks_of(n);
    TRY(mem_grow(e, &w->blocks, &w->blocks_capacity,
                 (size_t)w->blocks_held + dtype_offset(w->to, n), 1, "blocks"));
    TRY(mem_grow(e, &w->bad, &w->bad_capacity, (size_t)tasks, sizeof *w->bad, "blocks"));
    pool_run(w->pool, quantise_task, w, tasks);
    for (int64_t t = 0; t < tasks; t++)
        if (w->bad[t] >= 0) return name_bad(e, w, w->bad[t]);
    if (doubled)
        w->blocks_held += (int64_t)dtype_offset(w->to, n);
    else if (n > 0)
        TRY(stream_writer_tensor(e, out, tensor, w->blocks, n));
    memmove(w->values, w->values + n, (size_t)(w->held - n) * sizeof *w->values);
    w->held -= n;
    w->first += n;
    return doubled ? put_doubled(e, w, stream_field_elements(w->field), tensor, out) : ERR_OK;
}

static enum err take_all(struct errctx *e, struct work *w, struct stream_reader *r,
                         const struct stream_begin *begin, struct stream_writer *out)
{
    struct stream_tensor_piece p;
    enum stream_event event;
    for (;;) {
        TRY(stream_reader_next(e, r, &event, NULL, &p));
        if (event == STREAM_EVENT_END) return ERR_OK;
        w->field = &stream_reader_begin(r)->tensors[p.tensor];
        w->from = w->field->dtype;
        const int64_t tensor = stream_begin_find_tensor(begin, w->field->name);
        const bool doubled = begin->tensors[tensor].dtype == DTYPE_NF4_DQ;
        w->to = doubled ? DTYPE_NF4 : begin->tensors[tensor].dtype;
        if (p.first == 0) w->first = w->held = 0;
        if (w->from == begin->tensors[tensor].dtype)
            TRY(stream_writer_tensor(e, out, tensor, p.data, p.elements));
        else
            TRY(take_piece(e, w, &p, tensor, doubled, out));
    }
}

enum err quantise_tensors(struct errctx *e, struct pool *pool, struct stream_reader *r,
                          const struct stream_begin *begin, struct stream_writer *w)
{
    struct work work = {.pool = pool, .name = stream_reader_name(r)};
    const enum err code = take_all(e, &work, r, begin, w);
    mem_free(work.values);
    mem_free(work.blocks);
    mem_free(work.scales);
    mem_free(work.bad);
    return code;
}
