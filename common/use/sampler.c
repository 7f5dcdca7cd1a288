/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.c: the stages of the chain as functions on one array of scores, in which a removed token
 * is -infinity. top-k and top-p take the best scores from a heap: O(V) to build it, O(log V) for
 * each token that is kept, and no sort of the vocabulary. */
#include "common/use/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/mem.h"

const struct opt sampler_table[] = {
    {.name = "temperature",
     .letter = 'T',
     .type = OPT_REAL,
     .offset = offsetof(struct sampler_cfg, temperature),
     .argument = "X",
     .help = "divide the scores by X; 0: always the likeliest token",
     .min = 0,
     .max = 1e6},
    {.name = "top-k",
     .type = OPT_INT,
     .offset = offsetof(struct sampler_cfg, top_k),
     .argument = "K",
     .help = "draw from the K likeliest tokens; 0: from all",
     .min = 0,
     .max = 2147483647},
    {.name = "top-p",
     .type = OPT_REAL,
     .offset = offsetof(struct sampler_cfg, top_p),
     .argument = "P",
     .help = "draw from the fewest tokens whose probabilities reach P; 1: from all",
     .min = 0,
     .max = 1},
    {.name = "min-p",
     .type = OPT_REAL,
     .offset = offsetof(struct sampler_cfg, min_p),
     .argument = "P",
     .help = "leave out tokens with less than P times the probability of the likeliest",
     .min = 0,
     .max = 1},
    {.name = "repetition-penalty",
     .type = OPT_REAL,
     .offset = offsetof(struct sampler_cfg, repetition),
     .argument = "R",
     .help = "divide positive scores of tokens already there by R, multiply negative ones",
     .min = 1e-3,
     .max = 1e3},
    {.name = "chain",
     .type = OPT_STRING,
     .offset = offsetof(struct sampler_cfg, chain),
     .argument = "STAGE,...",
     .help = "order of penalty, temperature, top-k, top-p, min-p; or huggingface (this order), or "
             "llama.cpp (temperature last)"},
    OPT_END,
};

enum stage { PENALTY, TEMPERATURE, TOP_K, TOP_P, MIN_P, STAGES };

static const char *const stage_names[STAGES] = {"penalty", "temperature", "top-k", "top-p",
                                                "min-p"};
static const struct {
    const char *name, *chain;
} orders[] = {
    {"huggingface", "penalty,temperature,top-k,top-p,min-p"},
    {"llama.cpp", "penalty,top-k,top-p,min-p,temperature"},
};

struct sampler {
    const struct kernels *kernels;
    struct sampler_cfg cfg;
    enum stage chain[STAGES];
    int stages;
    int64_t vocab;
    double *score;   /* [V] */
    double *weight;  /* [V] exp of it */
    double *sum;     /* of each KERNEL_WEIGHTS of them */
    uint32_t *heap;  /* [V] ids, the best first */
    uint32_t *drawn; /* [V] number of the draw in which the penalty met the id last */
    uint32_t draw;
    float *excluded;    /* [V] -infinity, or 0 */
    bool plain;         /* the chain changes no score, and nothing is excluded */
    double best, total; /* of the last draw by chance: the highest score, the sum of weights */
};

/* ---- the chain ---- */

static enum err chain_append(struct errctx *e, struct sampler *s, const char *name, size_t n)
{
    for (int i = 0; i < STAGES; i++) {
        if (strlen(stage_names[i]) != n || memcmp(stage_names[i], name, n) != 0) continue;
        for (int k = 0; k < s->stages; k++)
            if ((int)s->chain[k] == i)
                return err_set(e, ERR_USAGE, "--chain names '%s' twice", stage_names[i]);
        s->chain[s->stages++] = (enum stage)i;
        return ERR_OK;
    }
    return err_set(e, ERR_USAGE,
                   "--chain: '%.*s' is no stage; there are penalty, temperature, top-k, top-p, "
                   "min-p, and the orders huggingface and llama.cpp",
                   (int)n, name);
}

/* An option whose stage is not in the chain would silently do nothing. */
static enum err chain_check(struct errctx *e, const struct sampler *s)
{
    const struct {
        bool wanted;
        const char *option;
    } uses[STAGES] = {
        [PENALTY] = {s->cfg.repetition != 1, "repetition-penalty"},
        [TEMPERATURE] = {s->cfg.temperature != 1, "temperature"},
        [TOP_K] = {s->cfg.top_k != 0, "top-k"},
        [TOP_P] = {s->cfg.top_p != 1, "top-p"},
        [MIN_P] = {s->cfg.min_p != 0, "min-p"},
    };
    if (s->cfg.temperature > 0 && s->cfg.temperature < 1e-6)
        return err_set(e, ERR_USAGE,
                       "--temperature %g is too low to divide by: 0 takes the "
                       "likeliest token",
                       s->cfg.temperature);
    for (int i = 0; i < STAGES; i++) {
        bool found = false;
        for (int k = 0; k < s->stages; k++) found |= (int)s->chain[k] == i;
        if (uses[i].wanted && !found)
            return err_set(e, ERR_USAGE, "--%s has no effect: --chain '%s' leaves out '%s'",
                           uses[i].option, s->cfg.chain, stage_names[i]);
    }
    return ERR_OK;
}

static enum err chain_parse(struct errctx *e, struct sampler *s)
{
    const char *text = s->cfg.chain;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        if (strcmp(text, orders[i].name) == 0) text = orders[i].chain;
    for (;;) {
        size_t n = strcspn(text, ",");
        TRY(chain_append(e, s, text, n));
        if (text[n] == '\0') break;
        text += n + 1;
    }
    return chain_check(e, s);
}

enum err sampler_new(struct errctx *e, const struct kernels *k, const struct sampler_cfg *cfg,
                     int64_t vocab, struct sampler **out)
{
    struct sampler *s = NULL;
    size_t n = (size_t)vocab;
    *out = NULL;
    TRY(mem_new(e, &s, 1, sizeof *s, "sampler"));
    s->kernels = k;
    s->cfg = *cfg;
    s->vocab = vocab;
    s->plain = cfg->temperature == 1 && cfg->top_k == 0 && cfg->top_p == 1 && cfg->min_p == 0 &&
               cfg->repetition == 1;
    if (chain_parse(e, s) != ERR_OK ||
        mem_new(e, &s->score, n, sizeof *s->score, "scores") != ERR_OK ||
        mem_new(e, &s->excluded, n, sizeof *s->excluded, "scores") != ERR_OK ||
        mem_new(e, &s->weight, n, sizeof *s->weight, "scores") != ERR_OK ||
        mem_new(e, &s->sum, n / KERNEL_WEIGHTS + 1, sizeof *s->sum, "scores") != ERR_OK ||
        mem_new(e, &s->heap, n, sizeof *s->heap, "scores") != ERR_OK ||
        mem_new(e, &s->drawn, n, sizeof *s->drawn, "scores") != ERR_OK) {
        sampler_free(s);
        return e->code;
    }
    *out = s;
    return ERR_OK;
}

void sampler_free(struct sampler *s)
{
    if (!s) return;
    mem_free(s->score);
    mem_free(s->weight);
    mem_free(s->sum);
    mem_free(s->heap);
    mem_free(s->drawn);
    mem_free(s->excluded);
    mem_free(s);
}

void sampler_exclude(struct sampler *s, uint32_t id)
{
    s->excluded[id] = -INFINITY;
    s->plain = false;
}

/* ---- a heap of ids: the highest score on top, of equals the lowest id ---- */

static bool better(const double *score, uint32_t a, uint32_t b)
{
    return score[a] > score[b] || (score[a] == score[b] && a < b);
}

static void heap_sift(const double *score, uint32_t *heap, size_t n, size_t i)
{
    uint32_t id = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && better(score, heap[child + 1], heap[child])) child++;
        if (!better(score, heap[child], id)) break;
        heap[i] = heap[child];
    }
    heap[i] = id;
}

/* All ids not yet removed; returns how many. */
static size_t heap_build(struct sampler *s)
{
    size_t n = 0;
    for (int64_t v = 0; v < s->vocab; v++)
        if (s->score[v] > -INFINITY) s->heap[n++] = (uint32_t)v;
    for (size_t i = n / 2; i-- > 0;) heap_sift(s->score, s->heap, n, i);
    return n;
}

/* Takes the best out; it goes behind the shrunken heap, so that the taken ones stand at its end. */
static uint32_t heap_pop(const struct sampler *s, size_t *n)
{
    uint32_t top = s->heap[0];
    s->heap[0] = s->heap[--*n];
    s->heap[*n] = top;
    heap_sift(s->score, s->heap, *n, 0);
    return top;
}

/* ---- the stages ---- */

static void apply_penalty(struct sampler *s, const uint32_t *history, size_t n)
{
    if (++s->draw == 0) { /* after 2^32 draws the marks of the first ones would look new */
        memset(s->drawn, 0, (size_t)s->vocab * sizeof *s->drawn);
        s->draw = 1;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t id = history[i];
        if (s->drawn[id] == s->draw) continue;
        s->drawn[id] = s->draw;
        s->score[id] =
            s->score[id] > 0 ? s->score[id] / s->cfg.repetition : s->score[id] * s->cfg.repetition;
    }
}

static void apply_temperature(struct sampler *s)
{
    for (int64_t v = 0; v < s->vocab; v++) s->score[v] /= s->cfg.temperature;
}

static void apply_top_k(struct sampler *s)
{
    size_t n = heap_build(s);
    if (n <= (size_t)s->cfg.top_k) return;
    double last = 0;
    for (int64_t i = 0; i < s->cfg.top_k; i++) last = s->score[heap_pop(s, &n)];
    for (int64_t v = 0; v < s->vocab; v++)
        if (s->score[v] < last) s->score[v] = -INFINITY;
}

static double top_of(const double *x, int64_t n)
{
    enum { LANES = 8 };
    double top[LANES], best = -INFINITY;
    int64_t i = 0;
    for (int l = 0; l < LANES; l++) top[l] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) top[l] = x[i + l] > top[l] ? x[i + l] : top[l];
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    for (int l = 0; l < LANES; l++) best = top[l] > best ? top[l] : best;
    return best;
}

/* Unnormalised probabilities of what is left; returns their sum. */
static double weigh(struct sampler *s)
{
    s->best = top_of(s->score, s->vocab);
    s->total = s->kernels->softmax_weights(s->vocab, s->score, s->best, s->weight, s->sum);
    return s->total;
}

static void apply_top_p(struct sampler *s)
{
    double total = weigh(s), above = 0;
    size_t n = heap_build(s);
    do above += s->weight[heap_pop(s, &n)];
    while (n > 0 && above < s->cfg.top_p * total);
    for (size_t i = 0; i < n; i++) s->score[s->heap[i]] = -INFINITY;
}

static void apply_min_p(struct sampler *s)
{
    (void)weigh(s);
    for (int64_t v = 0; v < s->vocab; v++)
        if (s->weight[v] < s->cfg.min_p) s->score[v] = -INFINITY;
}

static void apply_chain(struct sampler *s, const uint32_t *history, size_t n)
{
    bool greedy = s->cfg.temperature == 0;
    for (int i = 0; i < s->stages; i++) {
        enum stage stage = s->chain[i];
        if (stage == PENALTY && s->cfg.repetition != 1) apply_penalty(s, history, n);
        if (greedy) continue;
        if (stage == TEMPERATURE && s->cfg.temperature != 1) apply_temperature(s);
        if (stage == TOP_K && s->cfg.top_k != 0) apply_top_k(s);
        if (stage == TOP_P && s->cfg.top_p != 1) apply_top_p(s);
        if (stage == MIN_P && s->cfg.min_p != 0) apply_min_p(s);
    }
}

/* ---- drawing ---- */

static enum err bad_logit(struct errctx *e, const float *logits)
{
    int64_t v = 0;
    while (logits[v] < INFINITY) v++;
    return err_set(e, ERR_INPUT, "the model's score of token %lld is %s", (long long)v,
                   isnan(logits[v]) ? "not a number" : "infinite");
}

static enum err load_logits(struct errctx *e, struct sampler *s, const float *logits)
{
    double *restrict score = s->score;
    const float *restrict excluded = s->excluded;
    int bad = 0, any = 0;
    for (int64_t v = 0; v < s->vocab; v++) {
        float x = logits[v] + excluded[v];
        bad |= !(logits[v] < INFINITY);
        any |= x > -INFINITY;
        score[v] = x;
    }
    if (bad) return bad_logit(e, logits);
    if (!any) return err_set(e, ERR_INPUT, "the model excludes every token");
    return ERR_OK;
}

static uint32_t highest(const struct sampler *s)
{
    int64_t best = 0;
    for (int64_t v = 1; v < s->vocab; v++)
        if (s->score[v] > s->score[best]) best = v;
    return (uint32_t)best;
}

static uint32_t inverse_cdf(struct sampler *s, double u)
{
    double goal = u * weigh(s), sum = 0;
    int64_t v = 0;
    while (s->vocab - v > KERNEL_WEIGHTS && sum + s->sum[v / KERNEL_WEIGHTS] <= goal) {
        sum += s->sum[v / KERNEL_WEIGHTS];
        v += KERNEL_WEIGHTS;
    }
    for (; v < s->vocab && sum <= goal; v++) sum += s->weight[v];
    while (s->weight[v - 1] == 0)
        v--; /* what rounding leaves over is the last one's with a share */
    return (uint32_t)(v - 1);
}

enum err sampler_draw(struct errctx *e, struct sampler *s, const float *logits,
                      const uint32_t *history, size_t n, double u, uint32_t *id)
{
    TRY(load_logits(e, s, logits));
    apply_chain(s, history, n);
    *id = s->cfg.temperature == 0 ? highest(s) : inverse_cdf(s, u);
    return ERR_OK;
}

const double *sampler_scores(const struct sampler *s)
{
    return s->score;
}

double sampler_logprob(const struct sampler *s, const float *logits, uint32_t id)
{
    enum { PIECE = 16 * KERNEL_WEIGHTS };
    double x[PIECE], weight[PIECE], sum[PIECE / KERNEL_WEIGHTS], top = -INFINITY, total = 0;
    for (int twice = 0; twice < 2; twice++)
        for (int64_t v = 0; v < s->vocab; v += PIECE) {
            int64_t n = s->vocab - v < PIECE ? s->vocab - v : PIECE;
            for (int64_t i = 0; i < n; i++) x[i] = logits[v + i];
            if (twice == 0) {
                double highest = top_of(x, n);
                top = highest > top ? highest : top;
                continue;
            }
            (void)s->kernels->softmax_weights(n, x, top, weight, sum);
            for (int64_t b = 0; b * KERNEL_WEIGHTS < n; b++) total += sum[b];
        }
    return logits[id] - top - log(total);
}

double sampler_drawn_logprob(const struct sampler *s, const float *logits, uint32_t id)
{
    if (!s->plain) return sampler_logprob(s, logits, id);
    return logits[id] - s->best - log(s->total);
}
