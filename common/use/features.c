/* SPDX-License-Identifier: Apache-2.0 */
/* features.c: hidden states come to the host a batch at a time; a task is a row. */
#include "common/use/features.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/pool.h"

#define FIELD(f) offsetof(struct features_cfg, f)

const struct opt features_table[] = {
    {"pooling", 0, OPT_CHOICE, FIELD(pooling), "auto|cls|mean|max|last",
     "how the vectors of a row's tokens become one; auto: mean"},
    {"normalize", 0, OPT_FLAG, FIELD(normalize), NULL, "make each vector one of length 1"},
    {"layer", 0, OPT_INT, FIELD(layer), "N",
     "take the vectors behind block N, 0: of the embeddings (default: the last)", OPT_NO_DEFAULT,
     -1, 1e9},
    OPT_END};

struct features {
    struct model *model;
    struct features_cfg cfg;
    const struct stream_begin *tokens;
    struct stream_writer *output;
    struct row_columns columns;
    int64_t width;
    double *sums; /* [threads, C] */
    float *x;     /* [rows, C] */
    uint8_t *hidden;
    size_t x_capacity, hidden_capacity;
    /* of the batch at hand */
    const struct batch *batch;
    struct mat states;
};

/* ---- opening ---- */

static const char *pooling_name(int pooling)
{
    static const char *const names[] = {"auto", "cls", "mean", "max", "last"};
    return names[pooling];
}

static bool is_about_tokens(const char *key)
{
    static const char *const keys[] = {"tokenizer", "vocab", "family", "special", "length"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

static enum err declare_meta(struct errctx *e, const struct features *f, struct mp_value *meta)
{
    const struct mp_value *from = &f->tokens->meta;
    for (size_t i = 0; i + 1 < from->as.list.count; i += 2) {
        const char *key = from->as.list.items[i].as.bytes.data;
        if (!is_about_tokens(key)) TRY(mp_set(e, meta, key, &from->as.list.items[i + 1]));
    }
    TRY(mp_set_binary(e, meta, "base", model_id(f->model), 16));
    TRY(mp_set_int(e, meta, "layer", f->cfg.layer));
    TRY(mp_set_string(e, meta, "pooling", pooling_name(f->cfg.pooling)));
    return mp_set_bool(e, meta, "normalize", f->cfg.normalize);
}

static enum err declare(struct errctx *e, struct features *f, struct stream_begin *begin)
{
    TRY(row_columns_pass(e, f->tokens, false, begin, &f->columns));
    TRY(stream_begin_column(e, begin, "x", DTYPE_F32, 1, &f->width));
    begin->expect.rows = f->tokens->expect.rows;
    return declare_meta(e, f, &begin->meta);
}

static enum err resolve(struct errctx *e, struct features *f)
{
    const int64_t layers = model_config_of(f->model)->layers;
    if (f->cfg.layer > layers)
        return err_set(e, ERR_USAGE, "--layer %" PRId64 ": the model has %" PRId64 " blocks",
                       f->cfg.layer, layers);
    if (f->cfg.layer < 0) f->cfg.layer = layers;
    if (f->cfg.pooling == FEATURES_AUTO) f->cfg.pooling = FEATURES_MEAN;
    return ERR_OK;
}

enum err features_new(struct errctx *e, struct model *m, const struct features_cfg *cfg,
                      const struct stream_begin *tokens, struct stream_begin *begin,
                      struct features **out)
{
    struct features *f;
    *out = NULL;
    TRY(mem_new(e, &f, 1, sizeof *f, "features"));
    f->model = m;
    f->cfg = *cfg;
    f->tokens = tokens;
    f->width = model_config_of(m)->width;
    const size_t threads = (size_t)pool_threads(model_kernels(m)->pool);
    if (resolve(e, f) != ERR_OK || declare(e, f, begin) != ERR_OK ||
        mem_new(e, &f->sums, threads * (size_t)f->width, sizeof *f->sums, "features") != ERR_OK) {
        features_free(f);
        return e->code;
    }
    *out = f;
    return ERR_OK;
}

void features_free(struct features *f)
{
    if (!f) return;
    mem_free(f->sums);
    mem_free(f->x);
    mem_free(f->hidden);
    mem_free(f);
}

void features_set_output(struct features *f, struct stream_writer *w)
{
    f->output = w;
}

/* ---- pooling ---- */

static double state(const struct features *f, int64_t token, int64_t c)
{
    const int64_t at = token * f->states.ld + c;
    if (f->states.dtype == DTYPE_F32) return ((const float *)f->hidden)[at];
    return bf16_to_f32(((const uint16_t *)f->hidden)[at]);
}

static void pool_tokens(const struct features *f, int64_t first, int64_t n, double *x)
{
    const int64_t start = f->cfg.pooling == FEATURES_LAST ? first + n - 1 : first;
    const bool one = f->cfg.pooling == FEATURES_LAST || f->cfg.pooling == FEATURES_CLS;
    for (int64_t c = 0; c < f->width; c++) x[c] = state(f, start, c);
    for (int64_t t = first + 1; !one && t < first + n; t++)
        for (int64_t c = 0; c < f->width; c++) {
            const double v = state(f, t, c);
            if (f->cfg.pooling == FEATURES_MEAN)
                x[c] += v;
            else if (v > x[c] || isnan(v))
                x[c] = v;
        }
    for (int64_t c = 0; c < f->width && f->cfg.pooling == FEATURES_MEAN; c++) x[c] /= (double)n;
}

static void pool_row(void *ctx, int64_t row, int thread)
{
    struct features *f = ctx;
    double *x = f->sums + thread * f->width, squares = 0;
    pool_tokens(f, f->batch->row_start[row], f->batch->row_length[row], x);
    for (int64_t c = 0; c < f->width; c++) squares += x[c] * x[c];
    const double length = f->cfg.normalize ? fmax(sqrt(squares), 1e-12) : 1;
    for (int64_t c = 0; c < f->width; c++) f->x[row * f->width + c] = (float)(x[c] / length);
}

static enum err check_row(struct errctx *e, const struct features *f, int64_t row)
{
    for (int64_t c = 0; c < f->width; c++)
        if (!isfinite(f->x[row * f->width + c]))
            return err_set(e, ERR_INPUT,
                           "row %" PRId64 ": what the model makes of it is not a finite number",
                           f->batch->row_ordinal[row]);
    return ERR_OK;
}

enum err features_batch(struct errctx *e, void *features, const struct batch *b,
                        const struct stream_rows *rows)
{
    struct features *f = features;
    struct kernels *k = model_kernels(f->model);
    TRY(model_forward_to(e, f->model, b, f->cfg.layer, &f->states));
    const size_t numbers = (size_t)b->tokens * (size_t)f->states.ld;
    const size_t bytes = numbers * dtype_size(f->states.dtype);
    TRY(mem_grow(e, &f->hidden, &f->hidden_capacity, bytes, 1, "hidden states"));
    TRY(mem_grow(e, &f->x, &f->x_capacity, (size_t)(b->rows * f->width), sizeof *f->x, "features"));
    k->sync(k);
    k->download(k, f->states.buf, f->hidden, bytes);
    f->batch = b;
    pool_run(k->pool, pool_row, f, b->rows);
    for (int64_t r = 0; r < b->rows; r++) {
        TRY(check_row(e, f, r));
        row_columns_put(&f->columns, f->tokens, rows, r);
        f->columns.cells[f->columns.count] = f->x + r * f->width;
        TRY(stream_writer_row(e, f->output, f->columns.cells, f->columns.elements));
    }
    return ERR_OK;
}
