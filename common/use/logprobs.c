/* SPDX-License-Identifier: Apache-2.0 */
/* logprobs.c: rows of a batch go out in runs whose results have room, a run's places are computed
 * in chunks whose logits have room. Neither shows in the numbers: a place's are its own. */
#include "common/use/logprobs.h"

#include <inttypes.h>
#include <math.h>

#include "common/base/mem.h"
#include "common/base/pool.h"
#include "common/model/tokens_check.h"

/* Of the results of a run, and of the logits of a chunk. */
#define RUN_BYTES   ((int64_t)64 << 20)
#define CHUNK_BYTES ((int64_t)32 << 20)

#define FIELD(f) offsetof(struct logprobs_cfg, f)

const struct opt logprobs_table[] = {
    {"top", 0, OPT_INT, FIELD(top), "K", "only the K likeliest tokens, and the rest; 0: all", 0, 0,
     1e9},
    {"temperature", 'T', OPT_REAL, FIELD(temperature), "X", "divide the scores by X", 0, 1e-4, 1e4},
    OPT_END};

/* What a thread needs for a place. */
struct desk {
    double *x, *weight, *sum; /* [V], [V], [blocks] */
    uint32_t *heap;           /* [K] ids, the least likely first */
};

struct logprobs {
    struct model *model;
    struct logprobs_cfg cfg;
    const struct stream_begin *tokens;
    struct stream_writer *output;
    struct row_columns columns;
    int64_t vocab, each; /* each: log-probabilities of a place */
    int64_t chunk;       /* places */
    bool narrow;         /* ids as U16 */
    struct desk *desks;  /* [threads] */
    int threads;
    float *scores;  /* [chunk, V] */
    int32_t *index; /* [places of a run] tokens of the batch */
    float *logp, *rest;
    uint8_t *top;
    size_t index_capacity, logp_capacity, rest_capacity, top_capacity;
    int64_t first; /* place of the run at which the chunk begins */
    bool *bad;     /* [chunk] not finite */
};

/* ---- opening ---- */

static enum err declare(struct errctx *e, struct logprobs *l, struct stream_begin *begin)
{
    const int64_t ragged = -1;
    TRY(row_columns_pass(e, l->tokens, true, begin, &l->columns));
    if (l->cfg.top)
        TRY(stream_begin_column(e, begin, "top", l->narrow ? DTYPE_U16 : DTYPE_U32, 1, &ragged));
    TRY(stream_begin_column(e, begin, "logp", DTYPE_F32, 1, &ragged));
    if (l->cfg.top) TRY(stream_begin_column(e, begin, "rest", DTYPE_F32, 1, &ragged));
    begin->expect = l->tokens->expect;
    mp_fini(&begin->meta);
    TRY(mp_copy(e, &l->tokens->meta, &begin->meta));
    TRY(mp_set_binary(e, &begin->meta, "base", model_id(l->model), 16));
    TRY(mp_set_real(e, &begin->meta, "temperature", l->cfg.temperature));
    return mp_set_int(e, &begin->meta, "top", l->cfg.top);
}

static enum err open_desks(struct errctx *e, struct logprobs *l)
{
    const size_t V = (size_t)l->vocab;
    l->threads = pool_threads(model_kernels(l->model)->pool);
    TRY(mem_new(e, &l->desks, (size_t)l->threads, sizeof *l->desks, "logits"));
    for (int t = 0; t < l->threads; t++) {
        struct desk *d = &l->desks[t];
        TRY(mem_new(e, &d->x, V, sizeof *d->x, "logits"));
        TRY(mem_new(e, &d->weight, V, sizeof *d->weight, "logits"));
        TRY(mem_new(e, &d->sum, V / KERNEL_WEIGHTS + 1, sizeof *d->sum, "logits"));
        TRY(mem_new(e, &d->heap, (size_t)l->cfg.top + 1, sizeof *d->heap, "logits"));
    }
    return ERR_OK;
}

static enum err open_all(struct errctx *e, struct logprobs *l, struct stream_begin *begin)
{
    size_t numbers;
    TRY(tokens_check_causal(e, l->model, "logits"));
    if (l->cfg.top > l->vocab)
        return err_set(e, ERR_USAGE, "--top %" PRId64 ": the vocabulary has %" PRId64 " tokens",
                       l->cfg.top, l->vocab);
    TRY(declare(e, l, begin));
    TRY(open_desks(e, l));
    if (!size_mul((size_t)l->chunk, (size_t)l->vocab, &numbers))
        return err_memory(e, "logits", UINT64_MAX);
    TRY(mem_new(e, &l->scores, numbers, sizeof *l->scores, "logits"));
    return mem_new(e, &l->bad, (size_t)l->chunk, sizeof *l->bad, "logits");
}

enum err logprobs_new(struct errctx *e, struct model *m, const struct logprobs_cfg *cfg,
                      const struct stream_begin *tokens, struct stream_begin *begin,
                      struct logprobs **out)
{
    struct logprobs *l;
    *out = NULL;
    TRY(mem_new(e, &l, 1, sizeof *l, "logits"));
    l->model = m;
    l->cfg = *cfg;
    l->tokens = tokens;
    l->vocab = model_config_of(m)->vocab;
    l->each = cfg->top ? cfg->top : l->vocab;
    l->narrow = l->vocab <= UINT16_MAX + 1;
    l->chunk = CHUNK_BYTES / ((int64_t)sizeof *l->scores * l->vocab) + 1;
    if (l->chunk > 512) l->chunk = 512;
    if (open_all(e, l, begin) != ERR_OK) {
        logprobs_free(l);
        return e->code;
    }
    *out = l;
    return ERR_OK;
}

void logprobs_free(struct logprobs *l)
{
    if (!l) return;
    for (int t = 0; l->desks && t < l->threads; t++) {
        mem_free(l->desks[t].x);
        mem_free(l->desks[t].weight);
        mem_free(l->desks[t].sum);
        mem_free(l->desks[t].heap);
    }
    void *const arrays[] = {l->desks, l->scores, l->bad, l->index, l->logp, l->rest, l->top};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) mem_free(arrays[i]);
    mem_free(l);
}

void logprobs_set_output(struct logprobs *l, struct stream_writer *w)
{
    l->output = w;
}

/* ---- one place ---- */

/* Whether id a is less likely than id b. */
static bool is_below(const double *x, uint32_t a, uint32_t b)
{
    return x[a] < x[b] || (x[a] == x[b] && a > b);
}

/* Lets the id at place i of the heap [0 .. n) sink to where it belongs. */
static void sink(const double *x, uint32_t *heap, int64_t n, int64_t i)
{
    const uint32_t id = heap[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_below(x, heap[child + 1], heap[child])) child++;
        if (!is_below(x, heap[child], id)) break;
        heap[i] = heap[child];
    }
    heap[i] = id;
}

/* heap[0 .. k): the k likeliest of V, in order. */
static void find_top(const double *x, int64_t V, uint32_t *heap, int64_t k)
{
    for (int64_t i = 0; i < k; i++) heap[i] = (uint32_t)i;
    for (int64_t i = k / 2; i-- > 0;) sink(x, heap, k, i);
    for (int64_t v = k; v < V; v++) {
        if (!is_below(x, heap[0], (uint32_t)v)) continue;
        heap[0] = (uint32_t)v;
        sink(x, heap, k, 0);
    }
    for (int64_t n = k; n-- > 1;) {
        const uint32_t least = heap[0];
        heap[0] = heap[n];
        heap[n] = least;
        sink(x, heap, n, 0);
    }
}

static double sum_blocks(const double *weight, int64_t V)
{
    double sum = 0;
    for (int64_t b = 0; b < V; b += KERNEL_WEIGHTS) {
        double block = 0;
        for (int64_t v = b; v < V && v < b + KERNEL_WEIGHTS; v++) block += weight[v];
        sum += block;
    }
    return sum;
}

static void put_top(struct logprobs *l, const struct desk *d, int64_t place, double lse, double sum)
{
    const int64_t at = place * l->cfg.top;
    find_top(d->x, l->vocab, d->heap, l->cfg.top);
    for (int64_t i = 0; i < l->cfg.top; i++) {
        const uint32_t id = d->heap[i];
        l->logp[at + i] = (float)(d->x[id] - lse);
        d->weight[id] = 0;
        if (l->narrow)
            ((uint16_t *)l->top)[at + i] = (uint16_t)id;
        else
            ((uint32_t *)l->top)[at + i] = id;
    }
    l->rest[place] = (float)(log(sum_blocks(d->weight, l->vocab)) - log(sum));
}

static void place_task(void *ctx, int64_t task, int thread)
{
    struct logprobs *l = ctx;
    const struct desk *d = &l->desks[thread];
    const float *scores = l->scores + task * l->vocab;
    const struct kernels *k = model_kernels(l->model);
    const int64_t place = l->first + task;
    double top = -INFINITY;
    l->bad[task] = false;
    for (int64_t v = 0; v < l->vocab; v++) {
        l->bad[task] |= !isfinite(scores[v]);
        d->x[v] = (double)scores[v] / l->cfg.temperature;
        if (d->x[v] > top) top = d->x[v];
    }
    if (l->bad[task]) return;
    const double sum = k->softmax_weights(l->vocab, d->x, top, d->weight, d->sum);
    const double lse = top + log(sum);
    if (l->cfg.top)
        put_top(l, d, place, lse, sum);
    else
        for (int64_t v = 0; v < l->vocab; v++)
            l->logp[place * l->vocab + v] = (float)(d->x[v] - lse);
}

/* ---- a run of rows ---- */

static enum err reserve(struct errctx *e, struct logprobs *l, int64_t places)
{
    const size_t n = (size_t)places, each = (size_t)l->each;
    TRY(mem_grow(e, &l->index, &l->index_capacity, n, sizeof *l->index, "logits"));
    TRY(mem_grow(e, &l->logp, &l->logp_capacity, n * each, sizeof *l->logp, "log-probabilities"));
    if (!l->cfg.top) return ERR_OK;
    TRY(mem_grow(e, &l->rest, &l->rest_capacity, n, sizeof *l->rest, "log-probabilities"));
    return mem_grow(e, &l->top, &l->top_capacity, n * each * sizeof(uint32_t), 1, "likeliest ids");
}

static enum err compute(struct errctx *e, struct logprobs *l, const struct batch *b, int64_t places)
{
    for (l->first = 0; l->first < places; l->first += l->chunk) {
        const int64_t left = places - l->first, n = left < l->chunk ? left : l->chunk;
        TRY(model_logits(e, l->model, b, n, l->index + l->first, l->scores));
        pool_run(model_kernels(l->model)->pool, place_task, l, n);
        for (int64_t i = 0; i < n; i++)
            if (l->bad[i])
                return err_set(e, ERR_INPUT,
                               "row %" PRId64 ", token %d: the model's scores are not finite",
                               (int64_t)b->ordinal[l->index[l->first + i]],
                               b->position[l->index[l->first + i]]);
    }
    return ERR_OK;
}

static enum err write(struct errctx *e, struct logprobs *l, const struct batch *b,
                      const struct stream_rows *rows, int64_t from, int64_t to)
{
    struct row_columns *c = &l->columns;
    int64_t place = 0;
    for (int64_t r = from; r < to; r++) {
        const int64_t n = b->row_length[r];
        int64_t own = c->count;
        row_columns_put(c, l->tokens, rows, r);
        if (l->cfg.top) {
            c->elements[own] = n * l->each;
            c->cells[own++] = l->top + (size_t)(place * l->each) * (l->narrow ? 2 : 4);
        }
        c->elements[own] = n * l->each;
        c->cells[own++] = l->logp + place * l->each;
        if (l->cfg.top) {
            c->elements[own] = n;
            c->cells[own] = l->rest + place;
        }
        TRY(stream_writer_row(e, l->output, c->cells, c->elements));
        place += n;
    }
    return ERR_OK;
}

static enum err check_cell(struct errctx *e, const struct logprobs *l, const struct batch *b,
                           int64_t row)
{
    size_t numbers;
    if (size_mul((size_t)b->row_length[row], (size_t)l->each, &numbers) &&
        numbers <= STREAM_MAX_CELL / sizeof *l->logp)
        return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "row %" PRId64 ": %" PRId64 " log-probabilities of each of its %d tokens are "
                   "over 1 GiB: use --top, or shorter rows",
                   b->row_ordinal[row], l->each, b->row_length[row]);
}

enum err logprobs_batch(struct errctx *e, void *logits, const struct batch *b,
                        const struct stream_rows *rows)
{
    struct logprobs *l = logits;
    const int64_t most = RUN_BYTES / ((int64_t)sizeof *l->logp * l->each); /* places of a run */
    TRY(model_forward(e, l->model, b, 0));
    for (int64_t from = 0, to; from < b->rows; from = to) {
        int64_t places = 0;
        TRY(check_cell(e, l, b, from));
        for (to = from; to < b->rows && (to == from || places + b->row_length[to] <= most); to++)
            places += b->row_length[to];
        TRY(reserve(e, l, places));
        places = 0;
        for (int64_t r = from; r < to; r++)
            for (int64_t t = 0; t < b->row_length[r]; t++)
                l->index[places++] = b->row_start[r] + (int32_t)t;
        TRY(compute(e, l, b, places));
        TRY(write(e, l, b, rows, from, to));
    }
    return ERR_OK;
}
