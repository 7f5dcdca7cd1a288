/* SPDX-License-Identifier: Apache-2.0 */
/* goal_task.c: see goal_task.h. The labels of the rows of a micro-batch are gathered beside it;
 * classes of another stream are found by their names. */
#include "common/train/goal_task.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/judge/decisions.h"
#include "common/use/row_pass.h"

#define FIELD(f) offsetof(struct task_cfg, f)

const struct opt task_table[] = {
    {"task", 0, OPT_STRING, FIELD(names), "LABEL,...",
     "learn these labels of the rows, with a head for each, instead of the text"},
    {"pooling", 0, OPT_STRING, FIELD(pooling), "NAME,...",
     "what a head reads of a row: cls, max, mean, mean_sqrt_len, weighted_mean, last (default: "
     "last "
     "of causal models, mean of others)",
     OPT_NO_DEFAULT},
    {"head-dense", 0, OPT_CHOICE, FIELD(dense), "none|tanh|gelu|relu",
     "a map of its own before the head, with this activation"},
    OPT_END};

/* ------------------------------------------------------------------ heads */

static enum err add_head(struct errctx *e, const struct label *from, struct labels *out)
{
    struct label *label;
    TRY(labels_add(e, out, from->name, from->kind, &label));
    TRY(label_set_classes(e, label, (const char *const *)from->classes, from->classes_count));
    label->column = from->column;
    return ERR_OK;
}

static enum err find_heads(struct errctx *e, const char *names, const char *input_name,
                           const struct labels *all, struct labels *out)
{
    for (const char *at = names; *at;) {
        const size_t n = strcspn(at, ",");
        const struct label *label;
        char *name;
        TRY(mem_printf(e, &name, "%.*s", (int)n, at));
        enum err r = labels_find(e, all, name, input_name, &label);
        mem_free(name);
        TRY(r);
        TRY(add_head(e, label, out));
        at += n + (at[n] == ',');
    }
    if (out->count == 0) return err_set(e, ERR_USAGE, "--task: nothing is named");
    return ERR_OK;
}

enum err task_heads_find(struct errctx *e, const struct task_cfg *cfg, const char *input_name,
                         const struct stream_begin *input, struct task_heads *out)
{
    struct labels all;
    *out = (struct task_heads){0};
    TRY(labels_from_begin(e, input, &all));
    enum err r = find_heads(e, cfg->names, input_name, &all, &out->labels);
    labels_fini(&all);
    TRY(r);
    TRY(mem_new(e, &out->items, (size_t)out->labels.count, sizeof *out->items, "heads"));
    for (int64_t i = 0; i < out->labels.count; i++) {
        const struct label *l = &out->labels.items[i];
        if (l->kind == LABEL_CLASS && l->classes_count < 2)
            return err_set(e, ERR_INPUT,
                           "'%s': the label '%s' has a single class: there is nothing to learn",
                           input_name, l->name);
        out->items[i] = (struct task){.kind = l->kind,
                                      .outputs = l->kind == LABEL_NUMBER ? 1 : l->classes_count};
    }
    out->count = out->labels.count;
    return ERR_OK;
}

enum err task_heads_settle(struct errctx *e, struct task_heads *h, const struct task_cfg *cfg,
                           const struct model_config *c)
{
    static const enum activation acts[] = {ACT_NONE, ACT_TANH, ACT_GELU, ACT_RELU};
    unsigned pooling = c->causal ? POOLING_LAST : POOLING_MEAN;
    if (cfg->pooling) TRY(pooling_parse(e, cfg->pooling, &pooling));
    for (int64_t i = 0; i < h->count; i++) {
        h->items[i].pooling = h->items[i].kind == LABEL_TOKENS ? 0 : pooling;
        h->items[i].dense = cfg->dense != 0;
        h->items[i].act = acts[cfg->dense];
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ labels of rows */

/* Where the labels of a stream are found, and what its classes are to the heads. */
struct source_label {
    struct label label;
    int32_t *map;
};

/* Labels of the rows of a micro-batch: of head i and row r at [i * capacity + r]. */
struct task_rows {
    const struct task_heads *heads;
    const char *name;
    struct labels found;
    struct source_label *sources; /* [heads] */
    struct task_label *labels;
    int64_t rows, capacity;
    int32_t *lists; /* of all of them, end to end */
    size_t used, lists_capacity;
    size_t *at;                         /* where the list of head i and row r begins */
    const struct task_label **pointers; /* [heads] */
};

static void rows_free(struct task_rows *t)
{
    if (!t) return;
    for (int64_t i = 0; t->sources && i < t->heads->count; i++) mem_free(t->sources[i].map);
    labels_fini(&t->found);
    mem_free(t->sources);
    mem_free(t->labels);
    mem_free(t->lists);
    mem_free(t->at);
    mem_free(t->pointers);
    mem_free(t);
}

static enum err find_sources(struct errctx *e, struct task_rows *t,
                             const struct stream_begin *begin)
{
    const struct labels *heads = &t->heads->labels;
    const size_t n = (size_t)heads->count;
    TRY(labels_from_begin(e, begin, &t->found));
    TRY(mem_new(e, &t->sources, n, sizeof *t->sources, "labels"));
    TRY(mem_new(e, &t->pointers, n, sizeof *t->pointers, "labels"));
    for (size_t i = 0; i < n; i++) {
        const struct label *found;
        if (labels_find(e, &t->found, heads->items[i].name, t->name, &found) != ERR_OK) {
            e->code = ERR_INPUT;
            return e->code;
        }
        t->sources[i].label = *found;
        TRY(label_map(e, found, t->name, &heads->items[i], "the head", &t->sources[i].map));
    }
    return ERR_OK;
}

static enum err rows_new(struct errctx *e, const struct task_heads *heads, const char *name,
                         const struct stream_begin *begin, struct task_rows **out)
{
    struct task_rows *t;
    *out = NULL;
    TRY(mem_new(e, &t, 1, sizeof *t, "labels"));
    t->heads = heads;
    t->name = name;
    if (find_sources(e, t, begin) != ERR_OK) {
        rows_free(t);
        return e->code;
    }
    *out = t;
    return ERR_OK;
}

/* Room for one more row; rows of several heads move apart when it grows. */
static enum err reserve(struct errctx *e, struct task_rows *t)
{
    const int64_t heads = t->heads->count, old = t->capacity, more = old ? 2 * old : 64;
    struct task_label *labels;
    size_t *at;
    if (t->rows < old) return ERR_OK;
    TRY(mem_new(e, &labels, (size_t)(heads * more), sizeof *labels, "labels"));
    if (mem_new(e, &at, (size_t)(heads * more), sizeof *at, "labels") != ERR_OK) {
        mem_free(labels);
        return e->code;
    }
    for (int64_t i = 0; i < heads && old > 0; i++) {
        memcpy(labels + i * more, t->labels + i * old, (size_t)old * sizeof *labels);
        memcpy(at + i * more, t->at + i * old, (size_t)old * sizeof *at);
    }
    mem_free(t->labels);
    mem_free(t->at);
    t->labels = labels;
    t->at = at;
    t->capacity = more;
    return ERR_OK;
}

static enum err take_list(struct errctx *e, struct task_rows *t, const struct source_label *source,
                          const struct stream_rows *rows, int64_t i, struct task_label *out)
{
    const int32_t *list;
    int64_t n;
    TRY(label_row_list(e, &source->label, rows, i, &list, &n));
    TRY(mem_grow(e, &t->lists, &t->lists_capacity, t->used + (size_t)n, sizeof *t->lists,
                 "labels"));
    for (int64_t k = 0; k < n; k++) t->lists[t->used++] = list[k] < 0 ? -1 : source->map[list[k]];
    out->count = n;
    return ERR_OK;
}

/* The label of one head; *scored: how many labels that is. Class numbers are in the order of their
 * names in both streams, so lists stay ascending. */
static enum err take_label(struct errctx *e, struct task_rows *t, int64_t head,
                           const struct stream_rows *rows, int64_t i, struct task_label *out,
                           int64_t *scored)
{
    const struct source_label *s = &t->sources[head];
    int32_t cls;
    *scored = 1;
    switch (s->label.kind) {
    case LABEL_CLASS:
        TRY(label_row_class(e, &s->label, rows, i, &cls));
        *scored = cls >= 0;
        out->cls = cls < 0 ? 0 : s->map[cls];
        return ERR_OK;
    case LABEL_NUMBER:
        TRY(label_row_number(e, &s->label, rows, i, &out->number));
        *scored = isfinite(out->number);
        return ERR_OK;
    case LABEL_CLASSES:
        return take_list(e, t, s, rows, i, out);
    case LABEL_TOKENS:
        break;
    }
    TRY(take_list(e, t, s, rows, i, out));
    *scored = 0;
    for (size_t k = t->used - (size_t)out->count; k < t->used; k++) *scored += t->lists[k] >= 0;
    return ERR_OK;
}

/* Adds row i of the record; *scored: the sum of its weights. */
static enum err rows_add(struct errctx *e, struct task_rows *t, const struct stream_rows *rows,
                         int64_t i, float weight, double *scored)
{
    *scored = 0;
    TRY(reserve(e, t));
    for (int64_t head = 0; head < t->heads->count; head++) {
        struct task_label *l = &t->labels[head * t->capacity + t->rows];
        int64_t count;
        *l = (struct task_label){0};
        t->at[head * t->capacity + t->rows] = t->used;
        TRY(take_label(e, t, head, rows, i, l, &count));
        l->weight = count > 0 ? weight : 0;
        *scored += (double)weight * (double)count;
    }
    t->rows++;
    return ERR_OK;
}

static void rows_clear(struct task_rows *t)
{
    t->rows = 0;
    t->used = 0;
}

/* For model_tasks: lists have stopped moving. */
static const struct task_label *const *rows_labels(struct task_rows *t)
{
    for (int64_t head = 0; head < t->heads->count; head++) {
        struct task_label *labels = t->labels + head * t->capacity;
        for (int64_t r = 0; r < t->rows; r++)
            labels[r].list = t->lists + t->at[head * t->capacity + r];
        t->pointers[head] = labels;
    }
    return t->pointers;
}

/* ------------------------------------------------------------------ learning */

static enum err open(struct errctx *e, void *state, struct model *m,
                     const struct stream_begin *input, const char *input_name, uint64_t seed)
{
    struct task_goal *g = state;
    (void)m;
    (void)seed;
    return rows_new(e, g->heads, input_name, input, &g->rows);
}

static void close(void *state)
{
    struct task_goal *g = state;
    rows_free(g->rows);
    g->rows = NULL;
}

static enum err append(struct errctx *e, void *state, const struct goal_row *row, int64_t grain,
                       struct batch *b, double *scored)
{
    struct task_goal *g = state;
    uint32_t *ids;
    *scored = 0;
    if (!isfinite(row->row->weight) || row->row->weight < 0)
        return err_set(e, ERR_INPUT, "row %lld: its weight is %g", (long long)row->ordinal,
                       (double)row->row->weight);
    if (b->rows == 0) rows_clear(g->rows);
    TRY(mem_new(e, &ids, (size_t)row->row->n, sizeof *ids, "a row"));
    enum err r = tokens_row_ids(e, row->layout, row->row, row->ordinal, ids);
    if (r == ERR_OK)
        r = batch_append(e, b, grain, row->row->n, ids, row->row->types, NULL, NULL, row->ordinal);
    mem_free(ids);
    TRY(r);
    TRY(rows_add(e, g->rows, row->rows, row->place, row->row->weight, scored));
    b->scored += *scored;
    return ERR_OK;
}

static enum err learn(struct errctx *e, void *state, struct model *m, const struct batch *b,
                      double *loss)
{
    struct task_goal *g = state;
    double *losses;
    TRY(mem_new(e, &losses, (size_t)g->heads->count, sizeof *losses, "losses"));
    enum err r = model_tasks(e, m, b, rows_labels(g->rows), true, NULL, losses);
    for (int64_t i = 0; i < g->heads->count; i++) *loss += losses[i];
    mem_free(losses);
    return r;
}

/* ------------------------------------------------------------------ judging */

/* One head's judgement. */
struct judged {
    struct decisions decisions;
    double squares, numbers; /* of LABEL_NUMBER: sum of squared errors, count */
};

struct judging {
    struct model *m;
    struct task_rows *rows;
    struct judged *heads;
    float **outputs;
    size_t *capacities;
    double *losses;
    double scored;
    int64_t left; /* rows still wanted, -1: all */
    struct stream_reader *reader;
};

static enum err next_row(struct errctx *e, void *ctx, enum stream_event *event,
                         struct stream_rows *rows)
{
    struct judging *j = ctx;
    struct stream_tensor_piece piece;
    if (j->left == 0) {
        *event = STREAM_EVENT_END;
        return stream_reader_drain(e, j->reader);
    }
    TRY(stream_reader_next(e, j->reader, event, rows, &piece));
    if (*event != STREAM_EVENT_ROWS || j->left < 0) return ERR_OK;
    if (rows->n > j->left) rows->n = j->left;
    j->left -= rows->n;
    return ERR_OK;
}

static enum err drain(struct errctx *e, void *ctx, bool stop)
{
    (void)stop;
    return stream_reader_drain(e, ((struct judging *)ctx)->reader);
}

static int64_t greatest(const float *y, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (y[i] > y[best]) best = i;
    return best;
}

static enum err decide_set(struct errctx *e, struct judged *h, const struct task_label *l,
                           const float *y, int64_t n)
{
    int32_t *said;
    int64_t count = 0;
    TRY(mem_new(e, &said, (size_t)n, sizeof *said, "classes"));
    for (int64_t i = 0; i < n; i++)
        if (y[i] > 0) said[count++] = (int32_t)i; /* a chance above a half */
    decisions_add_sets(&h->decisions, l->list, l->count, said, count);
    mem_free(said);
    return ERR_OK;
}

static enum err decide(struct errctx *e, struct judged *h, const struct task *t,
                       const struct batch *b, int64_t row, const struct task_label *l,
                       const float *outputs)
{
    const int64_t K = t->outputs;
    const float *y = outputs + row * K;
    if (l->weight == 0) return ERR_OK;
    switch (t->kind) {
    case LABEL_CLASS:
        decisions_add(&h->decisions, l->cls, greatest(y, K));
        return ERR_OK;
    case LABEL_NUMBER:
        h->squares += pow((double)y[0] - (double)l->number, 2);
        h->numbers++;
        return ERR_OK;
    case LABEL_CLASSES:
        return decide_set(e, h, l, y, K);
    case LABEL_TOKENS:
        break;
    }
    y = outputs + b->row_start[row] * K;
    for (int64_t i = 0; i < l->count; i++)
        if (l->list[i] >= 0) decisions_add(&h->decisions, l->list[i], greatest(y + i * K, K));
    return ERR_OK;
}

static enum err judge_batch(struct errctx *e, void *ctx, const struct batch *b,
                            const struct stream_rows *rows)
{
    struct judging *j = ctx;
    const struct task_heads *heads = j->rows->heads;
    rows_clear(j->rows);
    for (int64_t r = 0; r < b->rows; r++) {
        double scored;
        TRY(rows_add(e, j->rows, rows, r, 1, &scored));
        j->scored += scored;
    }
    for (int64_t i = 0; i < heads->count; i++) {
        const struct task *t = &heads->items[i];
        const int64_t units = t->kind == LABEL_TOKENS ? b->tokens : b->rows;
        TRY(mem_grow(e, &j->outputs[i], &j->capacities[i], (size_t)(units * t->outputs),
                     sizeof **j->outputs, "outputs"));
    }
    const struct task_label *const *labels = rows_labels(j->rows);
    TRY(model_forward(e, j->m, b, 0));
    TRY(model_tasks(e, j->m, b, labels, false, j->outputs, j->losses));
    for (int64_t i = 0; i < heads->count; i++)
        for (int64_t r = 0; r < b->rows; r++)
            TRY(decide(e, &j->heads[i], &heads->items[i], b, r, &labels[i][r], j->outputs[i]));
    return ERR_OK;
}

static enum err judging_open(struct errctx *e, struct judging *j, const struct task_heads *heads)
{
    const size_t n = (size_t)heads->count;
    TRY(rows_new(e, heads, stream_reader_name(j->reader), stream_reader_begin(j->reader),
                 &j->rows));
    TRY(mem_new(e, &j->heads, n, sizeof *j->heads, "judgement"));
    TRY(mem_new(e, &j->outputs, n, sizeof *j->outputs, "judgement"));
    TRY(mem_new(e, &j->capacities, n, sizeof *j->capacities, "judgement"));
    TRY(mem_new(e, &j->losses, n, sizeof *j->losses, "judgement"));
    for (size_t i = 0; i < n; i++)
        TRY(decisions_init(e, &j->heads[i].decisions, heads->items[i].outputs));
    return ERR_OK;
}

static void judging_close(struct judging *j)
{
    const int64_t n = j->rows ? j->rows->heads->count : 0;
    for (int64_t i = 0; i < n; i++) {
        if (j->heads) decisions_fini(&j->heads[i].decisions);
        if (j->outputs) mem_free(j->outputs[i]);
    }
    mem_free(j->heads);
    mem_free(j->outputs);
    mem_free(j->capacities);
    mem_free(j->losses);
    rows_free(j->rows);
}

/* A figure of the heads that have it: its mean. */
static void add_figure(struct judgement *out, const char *name, const struct judging *j,
                       bool (*has)(enum label_kind kind), double (*of)(const struct judged *h))
{
    const struct task_heads *heads = j->rows->heads;
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < heads->count; i++) {
        if (!has(heads->items[i].kind)) continue;
        sum += of(&j->heads[i]);
        count++;
    }
    if (count > 0)
        out->figures[out->count++] = (struct judgement_figure){name, sum / (double)count};
}

static bool has_classes(enum label_kind kind)
{
    return kind != LABEL_NUMBER;
}
static bool has_sets(enum label_kind kind)
{
    return kind == LABEL_CLASSES;
}
static bool has_number(enum label_kind kind)
{
    return kind == LABEL_NUMBER;
}
static double accuracy(const struct judged *h)
{
    return decisions_accuracy(&h->decisions);
}
static double macro_f1(const struct judged *h)
{
    return decisions_macro_f1(&h->decisions);
}
static double micro_f1(const struct judged *h)
{
    return decisions_micro_f1(&h->decisions);
}
static double rmse(const struct judged *h)
{
    return sqrt(h->squares / h->numbers);
}

static enum err judge_rows(struct errctx *e, struct judging *j, const struct evaluate_cfg *cfg,
                           struct judgement *out)
{
    const struct row_source source = {.name = stream_reader_name(j->reader),
                                      .begin = stream_reader_begin(j->reader),
                                      .next = next_row,
                                      .drain = drain,
                                      .ctx = j};
    const struct row_pass_cfg pass = {.micro_tokens = cfg->micro_tokens};
    struct run none = {0};
    double sum = 0;
    TRY(row_pass_run(e, j->m, &pass, &source, &none, judge_batch, j));
    if (!(j->scored > 0))
        return err_set(e, ERR_INPUT, "'%s': none of its rows has a label", source.name);
    for (int64_t i = 0; i < j->rows->heads->count; i++) sum += j->losses[i];
    *out = (struct judgement){.loss = sum / j->scored};
    add_figure(out, "accuracy", j, has_classes, accuracy);
    add_figure(out, "macro_f1", j, has_classes, macro_f1);
    add_figure(out, "micro_f1", j, has_sets, micro_f1);
    add_figure(out, "rmse", j, has_number, rmse);
    return ERR_OK;
}

static enum err judge(struct errctx *e, void *state, struct model *m, struct stream_reader *rows,
                      const struct evaluate_cfg *cfg, struct judgement *out)
{
    const struct task_goal *g = state;
    struct judging j = {.m = m, .reader = rows, .left = cfg->rows > 0 ? cfg->rows : -1};
    enum err r = judging_open(e, &j, g->heads);
    if (r == ERR_OK) r = judge_rows(e, &j, cfg, out);
    judging_close(&j);
    return r;
}

struct goal goal_task(struct task_goal *state)
{
    return (struct goal){.state = state,
                         .open = open,
                         .close = close,
                         .append = append,
                         .learn = learn,
                         .judge = judge};
}
