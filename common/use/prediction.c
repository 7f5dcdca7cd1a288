/* SPDX-License-Identifier: Apache-2.0 */
/* prediction.c: outputs of heads turned into probabilities and names; a line goes out for each row
 * as soon as its batch is computed. */
#include "common/use/prediction.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "formats/tokens.h"

#define FIELD(f) offsetof(struct prediction_cfg, f)

const struct opt prediction_table[] = {
    {"task", 0, OPT_STRING, FIELD(tasks), "LABEL,...",
     "the heads of these labels (default: all the model has)", OPT_NO_DEFAULT},
    {"top", 0, OPT_INT, FIELD(top), "N", "also the N likeliest classes with their probabilities", 0,
     0, 1e9},
    {"least", 0, OPT_REAL, FIELD(least), "P",
     "say null, or leave a class out of several, below this probability (default: 0, of several "
     "0.5)",
     OPT_NO_DEFAULT, 0, 1},
    OPT_END};

struct prediction {
    struct model *m;
    const struct prediction_cfg *cfg;
    const struct task_heads *heads;
    bool *wanted; /* [heads] */
    int64_t wanted_count;
    struct tokens_layout layout;
    struct outfile *out;
    float **outputs; /* [heads] */
    size_t *capacities;
    double *chances; /* [most outputs] */
    int64_t *order;
};

/* ------------------------------------------------------------------ opening */

static enum err choose(struct errctx *e, struct prediction *p, const char *names)
{
    const struct labels *labels = &p->heads->labels;
    for (const char *at = names; *at;) {
        const size_t n = strcspn(at, ",");
        const struct label *label;
        char *name;
        TRY(mem_printf(e, &name, "%.*s", (int)n, at));
        enum err r = labels_find(e, labels, name, "the model", &label);
        mem_free(name);
        TRY(r);
        p->wanted_count += !p->wanted[label - labels->items];
        p->wanted[label - labels->items] = true;
        at += n + (at[n] == ',');
    }
    return ERR_OK;
}

static enum err open_all(struct errctx *e, struct prediction *p)
{
    const size_t n = (size_t)p->heads->count;
    int64_t most = 1;
    TRY(mem_new(e, &p->wanted, n, sizeof *p->wanted, "heads"));
    TRY(mem_new(e, &p->outputs, n, sizeof *p->outputs, "heads"));
    TRY(mem_new(e, &p->capacities, n, sizeof *p->capacities, "heads"));
    for (size_t i = 0; i < n; i++)
        most = p->heads->items[i].outputs > most ? p->heads->items[i].outputs : most;
    TRY(mem_new(e, &p->chances, (size_t)most, sizeof *p->chances, "heads"));
    TRY(mem_new(e, &p->order, (size_t)most, sizeof *p->order, "heads"));
    if (p->cfg->tasks) return choose(e, p, p->cfg->tasks);
    for (size_t i = 0; i < n; i++) p->wanted[i] = true;
    p->wanted_count = (int64_t)n;
    return ERR_OK;
}

enum err prediction_new(struct errctx *e, struct model *m, const struct prediction_cfg *cfg,
                        const struct stream_begin *tokens, struct outfile *out,
                        struct prediction **prediction)
{
    struct prediction *p;
    *prediction = NULL;
    if (!model_heads(m) || model_heads(m)->count == 0)
        return err_set(e, ERR_INPUT,
                       "the model has no heads for labels: 'graft finetune --task' and 'graft "
                       "lora-train --task' make some");
    TRY(mem_new(e, &p, 1, sizeof *p, "prediction"));
    p->m = m;
    p->cfg = cfg;
    p->heads = model_heads(m);
    p->out = out;
    if (tokens_layout_find(e, tokens, "the input", &p->layout) != ERR_OK ||
        open_all(e, p) != ERR_OK) {
        prediction_free(p);
        return e->code;
    }
    *prediction = p;
    return ERR_OK;
}

void prediction_free(struct prediction *p)
{
    if (!p) return;
    for (int64_t i = 0; p->outputs && i < p->heads->count; i++) mem_free(p->outputs[i]);
    mem_free(p->outputs);
    mem_free(p->capacities);
    mem_free(p->wanted);
    mem_free(p->chances);
    mem_free(p->order);
    mem_free(p);
}

/* ------------------------------------------------------------------ one row */

static void softmax(const float *y, int64_t n, double *p)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, (double)y[i]);
    for (int64_t i = 0; i < n; i++) sum += p[i] = exp((double)y[i] - most);
    for (int64_t i = 0; i < n; i++) p[i] /= sum;
}

/* The n likeliest first, of equals the first. */
static void best_first(struct prediction *p, int64_t count, int64_t n)
{
    for (int64_t i = 0; i < count; i++) p->order[i] = i;
    for (int64_t k = 0; k < n && k < count; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < count; i++)
            if (p->chances[p->order[i]] > p->chances[p->order[best]] ||
                (p->chances[p->order[i]] == p->chances[p->order[best]] &&
                 p->order[i] < p->order[best]))
                best = i;
        const int64_t t = p->order[k];
        p->order[k] = p->order[best];
        p->order[best] = t;
    }
}

static void put_class(struct prediction *p, const struct label *l, const float *y, json_t *o)
{
    const int64_t n = l->classes_count;
    softmax(y, n, p->chances);
    best_first(p, n, p->cfg->top > 1 ? p->cfg->top : 1);
    const double chance = p->chances[p->order[0]];
    json_object_set_new(
        o, "label", chance < p->cfg->least ? json_null() : json_string(l->classes[p->order[0]]));
    json_object_set_new(o, "probability", json_real(chance));
    if (p->cfg->top == 0) return;
    json_t *top = json_array();
    for (int64_t k = 0; k < p->cfg->top && k < n; k++)
        json_array_append_new(top, json_pack("{s:s, s:f}", "label", l->classes[p->order[k]],
                                             "probability", p->chances[p->order[k]]));
    json_object_set_new(o, "top", top);
}

static void put_classes(const struct prediction *p, const struct label *l, const float *y,
                        json_t *o)
{
    const double least = p->cfg->least_given ? p->cfg->least : 0.5;
    json_t *said = json_array(), *chances = json_object();
    for (int64_t i = 0; i < l->classes_count; i++) {
        const double chance = 1 / (1 + exp(-(double)y[i]));
        if (chance < least) continue;
        json_array_append_new(said, json_string(l->classes[i]));
        json_object_set_new(chances, l->classes[i], json_real(chance));
    }
    json_object_set_new(o, "labels", said);
    json_object_set_new(o, "probabilities", chances);
}

static void put_tokens(struct prediction *p, const struct label *l, const float *y, int64_t n,
                       json_t *o)
{
    const int64_t K = l->classes_count;
    json_t *said = json_array();
    for (int64_t t = 0; t < n; t++) {
        softmax(y + t * K, K, p->chances);
        best_first(p, K, 1);
        json_array_append_new(said, p->chances[p->order[0]] < p->cfg->least
                                        ? json_null()
                                        : json_string(l->classes[p->order[0]]));
    }
    json_object_set_new(o, "labels", said);
}

static void put_head(struct prediction *p, int64_t head, const struct batch *b, int64_t row,
                     json_t *o)
{
    const struct label *l = &p->heads->labels.items[head];
    const int64_t K = p->heads->items[head].outputs;
    const float *y = p->outputs[head] + row * K;
    switch (l->kind) {
    case LABEL_CLASS:
        put_class(p, l, y, o);
        return;
    case LABEL_CLASSES:
        put_classes(p, l, y, o);
        return;
    case LABEL_NUMBER:
        json_object_set_new(o, "value", json_real((double)y[0]));
        return;
    case LABEL_TOKENS:
        put_tokens(p, l, p->outputs[head] + b->row_start[row] * K, b->row_length[row], o);
    }
}

static enum err check_outputs(struct errctx *e, const struct prediction *p, int64_t head,
                              const struct batch *b, int64_t row)
{
    const int64_t K = p->heads->items[head].outputs;
    const bool tokens = p->heads->items[head].kind == LABEL_TOKENS;
    const int64_t from = (tokens ? b->row_start[row] : row) * K,
                  n = tokens ? b->row_length[row] * K : K;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(p->outputs[head][from + i]))
            return err_set(e, ERR_INPUT, "row %lld: what the model makes of it is no finite number",
                           (long long)b->row_ordinal[row]);
    return ERR_OK;
}

static enum err write_line(struct errctx *e, struct prediction *p, const json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    if (!text) return err_memory(e, "a line", 0);
    enum err r = outfile_write(e, p->out, text, strlen(text));
    if (r == ERR_OK) r = outfile_write(e, p->out, "\n", 1);
    free(text);
    return r;
}

static enum err put_row(struct errctx *e, struct prediction *p, const struct batch *b,
                        const struct stream_rows *rows, int64_t row)
{
    struct tokens_row t;
    TRY(tokens_row_view(e, &p->layout, rows, row, &t));
    json_t *o = t.keep ? json_loadb(t.keep, (size_t)t.keep_len, 0, NULL) : json_object();
    if (!json_is_object(o)) {
        json_decref(o);
        return err_set(e, ERR_INPUT, "row %lld: what is kept with it is no JSON object",
                       (long long)b->row_ordinal[row]);
    }
    if (t.part > 0) json_object_set_new(o, "part", json_integer(t.part));
    for (int64_t i = 0; i < p->heads->count && e->code == ERR_OK; i++) {
        if (!p->wanted[i] || check_outputs(e, p, i, b, row) != ERR_OK) continue;
        json_t *to = p->wanted_count > 1 ? json_object() : o;
        put_head(p, i, b, row, to);
        if (to != o) json_object_set_new(o, p->heads->labels.items[i].name, to);
    }
    if (e->code == ERR_OK) (void)!write_line(e, p, o);
    json_decref(o);
    return e->code;
}

enum err prediction_batch(struct errctx *e, void *prediction, const struct batch *b,
                          const struct stream_rows *rows)
{
    struct prediction *p = prediction;
    for (int64_t i = 0; i < p->heads->count; i++) {
        const struct task *t = &p->heads->items[i];
        const int64_t units = t->kind == LABEL_TOKENS ? b->tokens : b->rows;
        TRY(mem_grow(e, &p->outputs[i], &p->capacities[i], (size_t)(units * t->outputs),
                     sizeof **p->outputs, "outputs"));
    }
    TRY(model_forward(e, p->m, b, 0));
    TRY(model_tasks(e, p->m, b, NULL, false, p->outputs, NULL));
    for (int64_t r = 0; r < b->rows; r++) TRY(put_row(e, p, b, rows, r));
    return ERR_OK;
}
