/* SPDX-License-Identifier: Apache-2.0 */
/* features.c: hidden states come to the host a batch at a time; a task is a row. */
#include "common/use/features.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/pool.h"
#include "common/base/prog.h"
#include "common/model/pooling.h"
#include "common/text/tokenizer_run.h"

#define FIELD(f) offsetof(struct features_cfg, f)

const struct opt features_table[] = {
    {"pooling", 0, OPT_STRING, FIELD(pooling), "NAME,...",
     "how the vectors of a row's tokens become one: cls, max, mean, mean_sqrt_len, weighted_mean, "
     "last "
     "(default: as the model says, else mean)",
     0},
    {"normalize", 0, OPT_FLAG, FIELD(normalize), NULL,
     "make each vector one of length 1 (default: as the model says)", OPT_NO_DEFAULT},
    {"layer", 0, OPT_INT, FIELD(layer), "N",
     "take the vectors behind block N, 0: of the embeddings (default: the last)", OPT_NO_DEFAULT,
     -1, 1e9},
    {"prompt", 0, OPT_STRING, FIELD(prompt), "NAME",
     "the model's prompt that the texts begin with, which is not pooled where the model says so"},
    OPT_END};

struct features {
    struct model *model;
    struct features_cfg cfg;
    unsigned pooling; /* bits of enum pooling */
    int64_t longest;  /* tokens of a row that the model was meant for */
    bool warned;
    struct id_list prompt; /* with which rows begin and that is not pooled */
    const struct stream_begin *tokens;
    struct stream_writer *output;
    struct row_columns columns;
    int64_t width; /* C */
    int64_t size;  /* of a vector */
    double *sums;  /* [threads, size] */
    float *x;      /* [rows, size] */
    uint8_t *hidden;
    size_t x_capacity, hidden_capacity;
    /* of the batch at hand */
    const struct batch *batch;
    struct mat states;
};

/* ---- opening ---- */

void features_note_given(struct features_cfg *cfg, const struct opt_set *sets)
{
    cfg->normalize_given = opts_given(sets, "normalize");
}

static bool is_about_tokens(const char *key)
{
    static const char *const keys[] = {"tokenizer", "vocab", "family", "special", "length"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

static enum err declare_pooling(struct errctx *e, const struct features *f, struct mp_value *meta)
{
    struct mp_value list;
    mp_array_init(&list);
    for (unsigned bit = 1; bit <= POOLING_LAST; bit <<= 1) {
        struct mp_value name = {.type = MP_STRING};
        if (!(f->pooling & bit)) continue;
        name.as.bytes.data = (char *)(uintptr_t)pooling_name(bit);
        name.as.bytes.len = strlen(name.as.bytes.data);
        if (mp_append(e, &list, &name) != ERR_OK) break;
    }
    if (e->code == ERR_OK) (void)!mp_set(e, meta, "pooling", &list);
    mp_fini(&list);
    return e->code;
}

static enum err declare_meta(struct errctx *e, const struct features *f, struct mp_value *meta)
{
    const struct mp_value *from = &f->tokens->meta;
    for (size_t i = 0; i + 1 < from->as.list.count; i += 2) {
        const char *key = from->as.list.items[i].as.bytes.data;
        /* labels went on with their columns */
        if (!is_about_tokens(key) && strcmp(key, "labels") != 0)
            TRY(mp_set(e, meta, key, &from->as.list.items[i + 1]));
    }
    TRY(mp_set_binary(e, meta, "base", model_id(f->model), 16));
    TRY(mp_set_int(e, meta, "layer", f->cfg.layer));
    TRY(declare_pooling(e, f, meta));
    return mp_set_bool(e, meta, "normalize", f->cfg.normalize);
}

static enum err declare(struct errctx *e, struct features *f, struct stream_begin *begin)
{
    TRY(row_columns_pass(e, f->tokens, false, begin, &f->columns));
    TRY(stream_begin_column(e, begin, "x", DTYPE_F32, 1, &f->size));
    begin->expect.rows = f->tokens->expect.rows;
    return declare_meta(e, f, &begin->meta);
}

/* The tokens with which a row of this text begins: the template's before it, then its own. */
static enum err encode_prompt(struct errctx *e, const struct tokenizer_spec *spec, const char *text,
                              struct id_list *ids)
{
    const struct mp_value *list = mp_get(&spec->ops, "postprocessor"), *before = NULL;
    struct tokenizer *t;
    struct tokenizer_scratch *scratch;
    if (list && list->type == MP_ARRAY && list->as.list.count)
        before = mp_get(&list->as.list.items[0], "before");
    for (size_t i = 0; before && i < before->as.list.count; i++) {
        const char *role = before->as.list.items[i].as.bytes.data;
        TRY(mem_grow(e, &ids->data, &ids->capacity, ids->count + 1, sizeof *ids->data, "prompt"));
        ids->data[ids->count++] = (uint32_t)tokenizer_spec_special(spec, role);
    }
    TRY(tokenizer_new(e, spec, &t));
    if (tokenizer_scratch_new(e, t, &scratch) == ERR_OK) {
        (void)!tokenizer_encode(e, t, scratch, text, strlen(text), false, ids, NULL);
        tokenizer_scratch_free(scratch);
    }
    tokenizer_free(t);
    return e->code;
}

static enum err take_prompt(struct errctx *e, struct features *f)
{
    const struct embedding *model = model_embedding(f->model);
    const char *text = model ? embedding_find_prompt(model, f->cfg.prompt) : NULL;
    if (!text)
        return err_set(e, ERR_USAGE, "--prompt '%s': the model has no prompt of this name",
                       f->cfg.prompt);
    if (model->include_prompt) return ERR_OK;
    if (!model_tokenizer(f->model)) return err_set(e, ERR_INPUT, "the model has no tokenizer");
    return encode_prompt(e, model_tokenizer(f->model), text, &f->prompt);
}

static enum err resolve(struct errctx *e, struct features *f)
{
    const struct embedding *model = model_embedding(f->model);
    const int64_t layers = model_config_of(f->model)->layers;
    if (f->cfg.layer > layers)
        return err_set(e, ERR_USAGE, "--layer %" PRId64 ": the model has %" PRId64 " blocks",
                       f->cfg.layer, layers);
    if (f->cfg.layer < 0) f->cfg.layer = layers;
    f->pooling = model ? model->pooling : POOLING_MEAN;
    if (f->cfg.pooling) TRY(pooling_parse(e, f->cfg.pooling, &f->pooling));
    if (!f->cfg.normalize_given) f->cfg.normalize = model && model->normalize;
    if (f->cfg.prompt)
        TRY(take_prompt(e, f));
    else if (model && model->default_prompt)
        prog_warn("the model wants '%s' before each text (its prompt '%s'): graft adds none",
                  embedding_find_prompt(model, model->default_prompt), model->default_prompt);
    f->longest = model && model->max_length ? model->max_length : INT64_MAX;
    f->size = pooling_size(f->pooling, f->width);
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
        mem_new(e, &f->sums, threads * (size_t)f->size, sizeof *f->sums, "features") != ERR_OK) {
        features_free(f);
        return e->code;
    }
    *out = f;
    return ERR_OK;
}

void features_free(struct features *f)
{
    if (!f) return;
    mem_free(f->prompt.data);
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

static void pool_row(void *ctx, int64_t row, int thread)
{
    struct features *f = ctx;
    const struct pooling_states states = {
        .data = f->hidden, .dtype = f->states.dtype, .width = f->width, .ld = f->states.ld};
    double *x = f->sums + thread * f->size, squares = 0;
    pooling_forward_behind(f->pooling, &states, f->batch->row_start[row], f->batch->row_length[row],
                           (int64_t)f->prompt.count, x);
    for (int64_t c = 0; c < f->size; c++) squares += x[c] * x[c];
    const double length = f->cfg.normalize ? fmax(sqrt(squares), 1e-12) : 1;
    for (int64_t c = 0; c < f->size; c++) f->x[row * f->size + c] = (float)(x[c] / length);
}

/* That rows begin with the prompt and go on. */
static enum err check_prompt(struct errctx *e, const struct features *f, const struct batch *b)
{
    const size_t n = f->prompt.count;
    for (int64_t r = 0; r < b->rows && n > 0; r++) {
        const int32_t *ids = b->ids + b->row_start[r];
        bool begins = (size_t)b->row_length[r] > n;
        for (size_t i = 0; i + 1 < n && begins; i++) begins = (uint32_t)ids[i] == f->prompt.data[i];
        if (!begins)
            return err_set(e, ERR_INPUT,
                           "row %" PRId64 " does not begin with the model's prompt '%s': it stands "
                           "before each text, and rows are whole texts (--truncate)",
                           b->row_ordinal[r], f->cfg.prompt);
    }
    return ERR_OK;
}

static enum err check_row(struct errctx *e, struct features *f, int64_t row)
{
    for (int64_t c = 0; c < f->size; c++)
        if (!isfinite(f->x[row * f->size + c]))
            return err_set(e, ERR_INPUT,
                           "row %" PRId64 ": what the model makes of it is not a finite number",
                           f->batch->row_ordinal[row]);
    if (f->batch->row_length[row] > f->longest && !f->warned) {
        f->warned = true;
        prog_warn("row %" PRId64 " has %d tokens, the model makes vectors of at most %" PRId64
                  ": cut the documents with 'graft tokenize --length %" PRId64 "'",
                  f->batch->row_ordinal[row], f->batch->row_length[row], f->longest, f->longest);
    }
    return ERR_OK;
}

enum err features_batch(struct errctx *e, void *features, const struct batch *b,
                        const struct stream_rows *rows)
{
    struct features *f = features;
    struct kernels *k = model_kernels(f->model);
    TRY(check_prompt(e, f, b));
    TRY(model_forward_to(e, f->model, b, f->cfg.layer, &f->states));
    const size_t numbers = (size_t)b->tokens * (size_t)f->states.ld;
    const size_t bytes = numbers * dtype_size(f->states.dtype);
    TRY(mem_grow(e, &f->hidden, &f->hidden_capacity, bytes, 1, "hidden states"));
    TRY(mem_grow(e, &f->x, &f->x_capacity, (size_t)(b->rows * f->size), sizeof *f->x, "features"));
    k->sync(k);
    k->download(k, f->states.buf, f->hidden, bytes);
    f->batch = b;
    pool_run(k->pool, pool_row, f, b->rows);
    for (int64_t r = 0; r < b->rows; r++) {
        TRY(check_row(e, f, r));
        row_columns_put(&f->columns, f->tokens, rows, r);
        f->columns.cells[f->columns.count] = f->x + r * f->size;
        TRY(stream_writer_row(e, f->output, f->columns.cells, f->columns.elements));
    }
    return ERR_OK;
}
