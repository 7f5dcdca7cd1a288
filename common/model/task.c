/* SPDX-License-Identifier: Apache-2.0 */
/* task.c: see task.h for the equations. The rows of a batch are its units, or their tokens are;
 * units lie end to end, those of each grain padded with zeros to KERNEL_STEP, and go through the
 * head in pieces, as in loss.c. */
#include "common/model/task.h"

#include <math.h>
#include <string.h>

#include "common/base/pool.h"
#include "common/model/parts.h"

enum { TASK_PLACE = 2047 }; /* of dropout: between the branches' and the low-rank parts' */

int64_t task_width(const struct task *t, const struct model_config *c)
{
    return t->kind == LABEL_TOKENS ? c->width : pooling_size(t->pooling, c->width);
}

/* ------------------------------------------------------------------ losses */

static double loss_of_class(int64_t n, const float *y, int64_t label, float *d)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, (double)y[i]);
    for (int64_t i = 0; i < n; i++) sum += exp((double)y[i] - most);
    const double loss = most + log(sum) - (double)y[label];
    for (int64_t i = 0; d && i < n; i++)
        d[i] = (float)(exp((double)y[i] - most) / sum - (i == label ? 1 : 0));
    return loss;
}

/* log(1 + e^y) without overflow. */
static double softplus(double y)
{
    return fmax(y, 0) + log1p(exp(-fabs(y)));
}

static double loss_of_classes(int64_t n, const float *y, const struct task_label *label, float *d)
{
    double sum = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)y[i];
        const bool is = at < label->count && label->list[at] == i;
        at += is;
        sum += softplus(v) - (is ? v : 0);
        if (d) d[i] = (float)((1 / (1 + exp(-v)) - (is ? 1 : 0)) / (double)n);
    }
    return sum / (double)n;
}

double task_loss(enum label_kind kind, int64_t n, const float *y, const struct task_label *label,
                 int64_t token, float *d)
{
    double difference;
    switch (kind) {
    case LABEL_CLASS:
        return loss_of_class(n, y, label->cls, d);
    case LABEL_TOKENS:
        return loss_of_class(n, y, label->list[token], d);
    case LABEL_CLASSES:
        return loss_of_classes(n, y, label, d);
    case LABEL_NUMBER:
        break;
    }
    difference = (double)y[0] - (double)label->number;
    if (d) d[0] = (float)(2 * difference);
    return difference * difference;
}

/* ------------------------------------------------------------------ units */

/* The units of one task in a batch, in the model's host arrays: first token in `index` (-1:
 * padding), tokens in `back`, row in `target`, weight in `weight`; pieces as in loss.c. */
struct pass_of_task {
    struct model *m;
    const struct task *t;
    const struct batch *b;
    const struct task_label *labels; /* [rows] or NULL */
    int64_t width, units;
    struct pooling_states states;
    float *x, *d; /* [units, width], [N, C] */
};

static void add_unit(struct model *m, int64_t *n, int64_t first, int64_t tokens, int64_t row,
                     float weight)
{
    m->index[*n] = (int32_t)first;
    m->back[*n] = (int32_t)tokens;
    m->target[*n] = (int32_t)row;
    m->weight[(*n)++] = weight;
}

static void add_row(struct pass_of_task *p, int64_t row, int64_t *n)
{
    const int64_t first = p->b->row_start[row], tokens = p->b->row_length[row];
    const struct task_label *label = p->labels ? &p->labels[row] : NULL;
    if (p->t->kind != LABEL_TOKENS) {
        add_unit(p->m, n, first, tokens, row, label ? label->weight : 1);
        return;
    }
    for (int64_t i = 0; i < tokens; i++) {
        const bool scored = label && label->list[i] >= 0;
        add_unit(p->m, n, first + i, 1, row, !label ? 1 : scored ? label->weight : 0);
    }
}

static void find_units(struct pass_of_task *p)
{
    struct model *m = p->m;
    const int64_t piece = model_piece(p->t->outputs);
    int64_t n = 0, row = 0;
    m->pieces = 0;
    for (int64_t g = 0; g < p->b->grains; g++) {
        const int64_t first = n;
        for (; row < p->b->rows && p->b->row_start[row] < p->b->grain_start[g + 1]; row++)
            add_row(p, row, &n);
        while (n % KERNEL_STEP != 0) add_unit(m, &n, -1, 0, 0, 0);
        for (int64_t at = first; at < n; at += piece) m->piece[m->pieces++] = at;
    }
    m->piece[m->pieces] = n;
    p->units = n;
}

static void pool_unit(void *ctx, int64_t unit, int thread)
{
    const struct pass_of_task *p = ctx;
    const struct model *m = p->m;
    float *x = p->x + unit * p->width;
    double *sums = m->task_sums + thread * p->width;
    const unsigned how = p->t->kind == LABEL_TOKENS ? POOLING_CLS : p->t->pooling;
    if (m->index[unit] < 0) {
        memset(x, 0, (size_t)p->width * sizeof *x);
        return;
    }
    pooling_forward(how, &p->states, m->index[unit], m->back[unit], sums);
    for (int64_t c = 0; c < p->width; c++) x[c] = (float)sums[c];
}

static void pool_unit_backward(void *ctx, int64_t unit, int thread)
{
    const struct pass_of_task *p = ctx;
    const struct model *m = p->m;
    const unsigned how = p->t->kind == LABEL_TOKENS ? POOLING_CLS : p->t->pooling;
    (void)thread;
    if (m->index[unit] < 0) return;
    pooling_backward(how, &p->states, m->index[unit], m->back[unit], p->x + unit * p->width, p->d);
}

/* ------------------------------------------------------------------ one task */

static struct mat rows_of(const struct model *m, enum model_slot slot, int64_t width, int64_t first)
{
    const struct buf all = m->work.slots[slot];
    const size_t skip = (size_t)(first * width) * sizeof(float);
    if (!buf_present(all)) return (struct mat){0};
    return mat_rows(buf_at(all, skip, all.bytes - skip), DTYPE_F32, width);
}

/* Dropout of what W reads: by row and place of the unit in it. */
static void drop(struct pass_of_task *p, struct mat x)
{
    struct model *m = p->m;
    struct kernels *k = m->k;
    const size_t bytes = (size_t)p->units * 4;
    uint32_t *places = k->map(k, m->work.slots[MODEL_TARGET]),
             *ordinals = k->map(k, m->work.slots[MODEL_INDEX]);
    for (int64_t u = 0; u < p->units; u++) {
        const int64_t row = m->target[u];
        ordinals[u] = m->index[u] < 0 ? 0 : (uint32_t)p->b->row_ordinal[row];
        places[u] = m->index[u] < 0 ? 0 : (uint32_t)(m->index[u] - p->b->row_start[row]);
    }
    const struct dropout_args a = {.N = p->units,
                                   .C = x.ld,
                                   .x = x,
                                   .y = x,
                                   .p = m->pass.dropout,
                                   .key = m->pass.key,
                                   .step = m->pass.step,
                                   .lane = (uint32_t)TASK_PLACE << 20,
                                   .ordinal = buf_at(m->work.slots[MODEL_INDEX], 0, bytes),
                                   .position = buf_at(m->work.slots[MODEL_TARGET], 0, bytes)};
    k->dropout(k, &a);
}

/* Losses of the units of a piece, the gradients where the outputs were. */
static double score_units(const struct pass_of_task *p, int64_t at, int64_t n, float *y,
                          bool gradient)
{
    const struct model *m = p->m;
    const int64_t K = p->t->outputs;
    double sum = 0;
    for (int64_t u = at; u < at + n; u++, y += K) {
        const float weight = m->weight[u];
        if (weight == 0) {
            memset(y, 0, (size_t)K * sizeof *y);
            continue;
        }
        const int64_t row = m->target[u], token = m->index[u] - p->b->row_start[row];
        sum += (double)weight *
               task_loss(p->t->kind, K, y, &p->labels[row], token, gradient ? y : NULL);
        for (int64_t i = 0; gradient && i < K; i++) y[i] *= weight;
    }
    return sum;
}

static void take_outputs(const struct pass_of_task *p, int64_t at, int64_t n, const float *y,
                         float *outputs)
{
    const int64_t K = p->t->outputs;
    for (int64_t u = at; u < at + n; u++, y += K) {
        const int64_t to = p->t->kind == LABEL_TOKENS ? p->m->index[u] : p->m->target[u];
        if (p->m->index[u] >= 0) memcpy(outputs + to * K, y, (size_t)K * sizeof *y);
    }
}

static void run_pieces(struct pass_of_task *p, const struct task_head *h, struct mat x,
                       bool gradient, float *outputs, double *loss)
{
    struct model *m = p->m;
    struct kernels *k = m->k;
    const struct mat none = {0}, y = rows_of(m, MODEL_TASK_Y, p->t->outputs, 0);
    for (int64_t i = 0; i < m->pieces; i++) {
        const int64_t at = m->piece[i], n = m->piece[i + 1] - at, ends[] = {0, n};
        const struct grid grid = {.n = 1, .start = ends};
        const size_t skip = (size_t)(at * x.ld) * sizeof(float);
        const struct mat part = mat_rows(buf_at(x.buf, skip, x.buf.bytes - skip), DTYPE_F32, x.ld);
        linear_forward(k, &h->head, n, grid, part, y, ACT_NONE, none, none, NULL);
        k->sync(k);
        float *numbers = k->map(k, y.buf);
        if (outputs) take_outputs(p, at, n, numbers, outputs);
        if (loss) *loss += score_units(p, at, n, numbers, gradient);
        if (gradient)
            linear_backward(k, &h->head, n, grid, part, y, rows_of(m, MODEL_TASK_DX, x.ld, at),
                            none, NULL);
    }
}

static void run_task(struct pass_of_task *p, const struct task_head *h, bool gradient,
                     float *outputs, double *loss)
{
    struct model *m = p->m;
    struct kernels *k = m->k;
    const struct mat none = {0}, x = rows_of(m, MODEL_TASK_X, p->width, 0),
                     dx = rows_of(m, MODEL_TASK_DX, p->width, 0),
                     before = rows_of(m, MODEL_TASK_BEFORE, p->width, 0),
                     after = rows_of(m, MODEL_TASK_AFTER, p->width, 0);
    const bool drops = m->pass.dropout > 0 && loss;
    find_units(p);
    const struct grid pieces = {.n = m->pieces, .start = m->piece};
    p->x = k->map(k, x.buf);
    pool_run(k->pool, pool_unit, p, p->units);
    if (p->t->dense)
        linear_forward(k, &h->dense, p->units, pieces, x, after, p->t->act, before, none, NULL);
    const struct mat read = p->t->dense ? after : x;
    if (drops) drop(p, read);
    run_pieces(p, h, read, gradient, outputs, loss);
    if (!gradient) return;
    if (drops) drop(p, dx);
    if (p->t->dense) {
        k->act_backward(k, p->t->act, p->units, p->width, before, dx, dx, none);
        linear_backward(k, &h->dense, p->units, pieces, x, dx, before, none, NULL);
    }
    k->sync(k);
    p->x = k->map(k, (p->t->dense ? before : dx).buf);
    pool_run(k->pool, pool_unit_backward, p, p->units);
}

/* ------------------------------------------------------------------ all of them */

/* From the gradient of the hidden states to that of the stream. */
static void finish(struct model *m)
{
    struct kernels *k = m->k;
    const struct pass *p = &m->pass;
    const int64_t C = m->c.width;
    const struct mat states = mat_rows(m->work.slots[MODEL_DSTATES], DTYPE_F32, C),
                     dx = mat_rows(m->work.slots[MODEL_DX], DTYPE_F32, C);
    if (!m->c.final_norm) {
        k->convert(k, p->N, C, states, dx);
        return;
    }
    norm_apply_backward(
        p, &m->final_norm, p->N, states, mat_rows(m->work.slots[MODEL_FINAL], DTYPE_F32, C),
        m->work.slots[MODEL_FINAL_MEAN], m->work.slots[MODEL_FINAL_RSTD], dx, false);
}

static enum err check_labels(struct errctx *e, const struct task *t, const struct batch *b,
                             const struct task_label *labels)
{
    for (int64_t r = 0; r < b->rows; r++) {
        const struct task_label *l = &labels[r];
        const bool inside = t->kind != LABEL_CLASS || (l->cls >= 0 && l->cls < t->outputs);
        if (l->weight != 0 && !inside)
            return err_set(e, ERR_USAGE, "BUG: a label that the task has not");
        if (t->kind == LABEL_TOKENS && l->count != b->row_length[r])
            return err_set(e, ERR_USAGE, "BUG: labels for other tokens than the row's");
    }
    return ERR_OK;
}

enum err model_tasks(struct errctx *e, struct model *m, const struct batch *b,
                     const struct task_label *const *labels, bool gradient, float *const *outputs,
                     double *losses)
{
    struct kernels *k = m->k;
    const struct task_heads *heads = m->use.heads;
    if (m->batch != b || (gradient && (!m->use.training || !labels)))
        return err_set(e, ERR_USAGE, "BUG: tasks of a batch that was not the last forward");
    k->sync(k);
    const struct mat hidden = model_hidden(m);
    struct pass_of_task p = {.m = m,
                             .b = b,
                             .states = {.data = k->map(k, hidden.buf),
                                        .dtype = hidden.dtype,
                                        .width = m->c.width,
                                        .ld = hidden.ld}};
    if (gradient) {
        k->zero(k, m->work.slots[MODEL_DSTATES]);
        k->sync(k);
        p.d = k->map(k, m->work.slots[MODEL_DSTATES]);
    }
    for (int64_t i = 0; i < heads->count; i++) {
        p.t = &heads->items[i];
        p.width = task_width(p.t, &m->c);
        p.labels = labels ? labels[i] : NULL;
        if (labels) TRY(check_labels(e, p.t, b, labels[i]));
        run_task(&p, &m->tasks[i], gradient, outputs ? outputs[i] : NULL,
                 labels ? &losses[i] : NULL);
    }
    if (gradient) finish(m);
    m->head_done = gradient;
    k->sync(k);
    return ERR_OK;
}
