/* SPDX-License-Identifier: Apache-2.0 */
/* statistics.c: one task of the pool is one resample, summed in the order of its draws. */
#include "common/judge/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rng.h"

enum { MOST_COLUMNS = 16 };

struct job {
    const double *units;
    int64_t n;
    int columns;
    const struct bootstrap_ratio *ratios;
    int count;
    int64_t resamples;
    struct rng_key key;
    double *drawn; /* [count, resamples] */
};

static double ratio_of(const double *sum, struct bootstrap_ratio r)
{
    return sum[r.denominator] != 0 ? sum[r.numerator] / sum[r.denominator] : NAN;
}

static void add_unit(const struct job *j, int64_t i, double *sum)
{
    const double *x = j->units + i * j->columns;
    for (int c = 0; c < j->columns; c++) sum[c] += x[c];
}

static void resample(void *ctx, int64_t task, int thread)
{
    (void)thread;
    const struct job *j = ctx;
    double sum[MOST_COLUMNS] = {0};
    for (int64_t i = 0; i < j->n; i += 4) {
        const uint32_t counter[4] = {(uint32_t)task, (uint32_t)(i / 4), (uint32_t)(i >> 34), 0};
        uint32_t word[4];
        rng_philox(j->key, counter, word);
        for (int w = 0; w < 4 && i + w < j->n; w++)
            add_unit(j, (int64_t)(((uint64_t)word[w] * (uint64_t)j->n) >> 32), sum);
    }
    for (int r = 0; r < j->count; r++)
        j->drawn[r * j->resamples + task] = ratio_of(sum, j->ratios[r]);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double statistics_quantile(const double *sorted, int64_t n, double q)
{
    if (n == 0) return NAN;
    double place = q * (double)(n - 1);
    int64_t below = (int64_t)place;
    if (below >= n - 1) return sorted[n - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

static void set_bounds(double *drawn, int64_t n, double confidence, struct interval *out)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(drawn[i])) drawn[kept++] = drawn[i];
    qsort(drawn, (size_t)kept, sizeof *drawn, ascending);
    out->low = statistics_quantile(drawn, kept, (1 - confidence) / 2);
    out->high = statistics_quantile(drawn, kept, (1 + confidence) / 2);
}

enum err bootstrap_ratios(struct errctx *e, struct pool *pool, const double *units, int64_t n,
                          int columns, const struct bootstrap_ratio *ratios, int count,
                          const struct bootstrap_cfg *cfg, struct interval *out)
{
    struct job j = {.units = units,
                    .n = n,
                    .columns = columns,
                    .ratios = ratios,
                    .count = count,
                    .resamples = cfg->resamples,
                    .key = rng_key_make(cfg->seed, RNG_BOOTSTRAP)};
    double sum[MOST_COLUMNS] = {0};
    if (columns > MOST_COLUMNS || n > UINT32_MAX)
        return err_set(e, ERR_INPUT, "BUG: bootstrap of %d columns, %lld units", columns,
                       (long long)n);
    for (int64_t i = 0; i < n; i++) add_unit(&j, i, sum);
    for (int r = 0; r < count; r++) out[r] = (struct interval){ratio_of(sum, ratios[r]), NAN, NAN};
    if (n < 2 || cfg->resamples == 0) return ERR_OK;
    size_t numbers;
    if (!size_mul((size_t)count, (size_t)cfg->resamples, &numbers))
        return err_memory(e, "bootstrap", UINT64_MAX);
    TRY(mem_new(e, &j.drawn, numbers, sizeof *j.drawn, "bootstrap"));
    pool_run(pool, resample, &j, cfg->resamples);
    for (int r = 0; r < count; r++)
        set_bounds(j.drawn + (int64_t)r * cfg->resamples, cfg->resamples, cfg->confidence, &out[r]);
    mem_free(j.drawn);
    return ERR_OK;
}
