/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate.c: rows go into a micro-batch until it is full; a full one is computed and its losses
 * are added to the sums of the documents its rows belong to. Memory: one micro-batch, and one sum
 * per document. */
#include "common/judge/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/model/tokens_check.h"

#define FIELD(f) offsetof(struct evaluate_cfg, f)

const struct opt evaluate_table[] = {
    {"pseudo-likelihood", 0, OPT_FLAG, FIELD(pseudo), NULL,
     "masked models: mask each token in turn and predict it from all others"},
    {"window", 0, OPT_CHOICE, FIELD(window), "row|rolling|half",
     "judge rows as they are, or whole documents in windows: rolling ones, each token once, or "
     "side "
     "by side, the second half of each"},
    {"length", 0, OPT_INT, FIELD(length), "N", "tokens of a window; 0: the model's context", 0, 0,
     1e9},
    {"rows", 0, OPT_INT, FIELD(rows), "N", "judge the first N rows only; 0: all", 0, 0, 1e18},
    {"bootstrap", 0, OPT_INT, FIELD(bootstrap), "N", "resamples for the intervals; 0: no intervals",
     0, 0, 1e6},
    {"confidence", 0, OPT_REAL, FIELD(confidence), "X", "probability of the intervals", 0, 0.01,
     0.9999},
    {"grain", 0, OPT_INT, FIELD(grain), "N", "tokens that are computed as one piece", 0, 32,
     1 << 20},
    {"micro-tokens", 0, OPT_INT, FIELD(micro_tokens), "N",
     "tokens computed at once: memory, not results", OPT_UNRECORDED, 32, 1 << 30},
    OPT_END};

const char *evaluate_metric_name(enum evaluate_metric m)
{
    static const char *const names[METRIC_COUNT] = {"loss",          "perplexity", "bits_per_byte",
                                                    "bits_per_char", "top1",       "top5"};
    return names[m];
}

struct evaluation {
    struct model *model;
    struct objective *objective; /* NULL: pseudo-likelihood */
    struct evaluate_cfg cfg;
    uint32_t mask;   /* id, for pseudo-likelihood */
    int64_t unknown; /* id or -1 */

    struct batch batch;
    int64_t *owner; /* [rows of the batch] index of the document */
    size_t owner_capacity;
    int64_t batch_tokens, grain_tokens; /* real ones, of the batch and its last grain */
    float *loss;                        /* [tokens of the batch] */
    int32_t *rank;
    size_t loss_capacity, rank_capacity;
    uint32_t *ids; /* of one row */
    int32_t *targets;
    float *weights;
    size_t ids_capacity, targets_capacity, weights_capacity;

    struct evaluate_document *documents;
    size_t documents_count, documents_capacity;
    int64_t *table; /* open addressing by doc: index + 1, 0 is free */
    size_t table_size;

    int64_t rows;     /* read so far, over all streams */
    bool covers_text; /* every token of the text is scored once, with weight 1 */
    double computed;  /* tokens through the model */
    double started;
};

/* ---- documents ---- */

static size_t table_place(const struct evaluation *v, uint64_t doc)
{
    size_t i = (size_t)doc & (v->table_size - 1);
    while (v->table[i] && v->documents[v->table[i] - 1].doc != doc)
        i = (i + 1) & (v->table_size - 1);
    return i;
}

static enum err table_double(struct errctx *e, struct evaluation *v)
{
    size_t size = v->table_size ? 2 * v->table_size : 1024;
    int64_t *table;
    TRY(mem_new(e, &table, size, sizeof *table, "documents"));
    mem_free(v->table);
    v->table = table;
    v->table_size = size;
    for (size_t d = 0; d < v->documents_count; d++)
        v->table[table_place(v, v->documents[d].doc)] = (int64_t)d + 1;
    return ERR_OK;
}

static enum err find_document(struct errctx *e, struct evaluation *v, uint64_t doc, int64_t *index)
{
    if (2 * (v->documents_count + 1) > v->table_size) TRY(table_double(e, v));
    size_t place = table_place(v, doc);
    if (!v->table[place]) {
        TRY(mem_grow(e, &v->documents, &v->documents_capacity, v->documents_count + 1,
                     sizeof *v->documents, "documents"));
        v->documents[v->documents_count] = (struct evaluate_document){.doc = doc};
        v->table[place] = (int64_t)++v->documents_count;
    }
    *index = v->table[place] - 1;
    return ERR_OK;
}

/* ---- opening ---- */

void evaluate_fit(struct model_use *use, const struct model_config *c)
{
    const struct evaluate_cfg *cfg = use->fit_ctx;
    int64_t most = cfg->micro_tokens > c->context ? cfg->micro_tokens : c->context;
    if (most < cfg->grain) most = cfg->grain;
    use->tokens = batch_padded(most, cfg->grain, c->context);
}

static enum err choose_window(struct errctx *e, struct evaluation *v, bool masked)
{
    const int64_t context = model_config_of(v->model)->context;
    if (v->cfg.window == WINDOW_ROW)
        return v->cfg.length == 0
                   ? ERR_OK
                   : err_set(e, ERR_USAGE, "--length has no use without --window rolling or half");
    if (masked) return err_set(e, ERR_USAGE, "--window is for causal models: this one is masked");
    if (v->cfg.length > context)
        return err_set(e, ERR_USAGE,
                       "--length %" PRId64 " is more than the model's context of %" PRId64,
                       v->cfg.length, context);
    if (v->cfg.length == 0) v->cfg.length = context;
    if (v->cfg.window == WINDOW_HALF && v->cfg.length < 4)
        return err_set(e, ERR_USAGE,
                       "--window half: windows of at least 4 tokens have a half to score");
    if (v->cfg.window == WINDOW_HALF) v->covers_text = false;
    return ERR_OK;
}

static enum err choose_objective(struct errctx *e, struct evaluation *v,
                                 const struct objective_cfg *objective)
{
    const struct tokenizer_spec *spec = model_tokenizer(v->model);
    bool causal = model_config_of(v->model)->causal;
    if (!v->cfg.pseudo) {
        v->covers_text = causal && objective->kind != OBJECTIVE_MASKED;
        TRY(choose_window(e, v, !causal));
        return objective_new(e, objective, causal, spec, (uint64_t)v->cfg.seed, &v->objective);
    }
    if (causal)
        return err_set(e, ERR_USAGE,
                       "--pseudo-likelihood is for masked models: this one is causal");
    if (objective->kind != OBJECTIVE_AUTO || objective->given)
        return err_set(e, ERR_USAGE,
                       "--pseudo-likelihood masks each token in turn: --%s has no use",
                       objective->given ? objective->given : "objective");
    int64_t mask = spec ? tokenizer_spec_special(spec, "mask") : -1;
    if (mask < 0) return err_set(e, ERR_INPUT, "the model's tokenizer has no mask token");
    TRY(choose_window(e, v, true));
    v->mask = (uint32_t)mask;
    v->unknown = tokenizer_spec_special(spec, "unk");
    v->covers_text = true;
    return ERR_OK;
}

enum err evaluation_new(struct errctx *e, struct model *m, const struct objective_cfg *objective,
                        const struct evaluate_cfg *cfg, struct evaluation **out)
{
    const struct model_config *c = model_config_of(m);
    struct evaluation *v;
    *out = NULL;
    if (!c->causal && !c->mlm_head)
        return err_set(e, ERR_INPUT,
                       "the model has no head that tells masked tokens: it makes vectors of texts "
                       "(graft extract-features)");
    TRY(mem_new(e, &v, 1, sizeof *v, "evaluation"));
    v->model = m;
    v->cfg = *cfg;
    v->started = prog_seconds();
    if (choose_objective(e, v, objective) != ERR_OK ||
        batch_init(e, &v->batch, cfg->micro_tokens, cfg->micro_tokens / 16) != ERR_OK) {
        evaluation_free(v);
        return e->code;
    }
    *out = v;
    return ERR_OK;
}

void evaluation_free(struct evaluation *v)
{
    if (!v) return;
    objective_free(v->objective);
    batch_fini(&v->batch);
    mem_free(v->owner);
    mem_free(v->loss);
    mem_free(v->rank);
    mem_free(v->ids);
    mem_free(v->targets);
    mem_free(v->weights);
    mem_free(v->documents);
    mem_free(v->table);
    mem_free(v);
}

/* ---- computing ---- */

static enum err add_row(struct errctx *e, struct evaluation *v, int64_t row)
{
    const struct batch *b = &v->batch;
    struct evaluate_document *d = &v->documents[v->owner[row]];
    for (int64_t i = b->row_start[row]; i < (int64_t)b->row_start[row] + b->row_length[row]; i++) {
        if (b->target[i] < 0 || b->weight[i] == 0) continue;
        if (!isfinite(v->loss[i]))
            return err_set(e, ERR_INPUT,
                           "row %" PRId64 ", token %d: the model's loss is not a finite number",
                           b->row_ordinal[row], b->position[i]);
        double weight = b->weight[i];
        d->scored += weight;
        d->loss += weight * v->loss[i];
        d->top1 += v->rank[i] < 1 ? weight : 0;
        d->top5 += v->rank[i] < 5 ? weight : 0;
    }
    return ERR_OK;
}

static enum err compute(struct errctx *e, struct evaluation *v)
{
    double sum = 0;
    if (v->batch.rows == 0) return ERR_OK;
    if (io_pending_signal()) /* of a run that saves its state: it must not wait for all rows */
        return err_set(e, ERR_IO, "stopped by signal %d", io_pending_signal());
    TRY(batch_close(e, &v->batch));
    size_t n = (size_t)v->batch.tokens;
    TRY(mem_grow(e, &v->loss, &v->loss_capacity, n, sizeof *v->loss, "losses"));
    TRY(mem_grow(e, &v->rank, &v->rank_capacity, n, sizeof *v->rank, "losses"));
    if (v->batch.scored != 0) {
        TRY(model_forward(e, v->model, &v->batch, 0));
        TRY(model_loss(e, v->model, &v->batch, false, v->loss, v->rank, &sum));
    }
    for (int64_t r = 0; r < v->batch.rows; r++) TRY(add_row(e, v, r));
    v->computed += (double)v->batch_tokens;
    v->batch_tokens = 0;
    batch_clear(&v->batch);
    return ERR_OK;
}

/* Makes room for a row of n tokens and says whose it is. A micro-batch is whole grains: it is
 * computed before a grain that might not fit, so that grains, and with them all bits, follow from
 * the rows. */
static enum err next_row(struct errctx *e, struct evaluation *v, int64_t n, int64_t document)
{
    const int64_t grain = v->cfg.grain, most = n > grain ? n : grain;
    if (v->grain_tokens + n > grain) {
        if (v->batch_tokens + most > v->cfg.micro_tokens) TRY(compute(e, v));
        v->grain_tokens = 0;
    }
    TRY(mem_grow(e, &v->owner, &v->owner_capacity, (size_t)v->batch.rows + 1, sizeof *v->owner,
                 "rows"));
    v->owner[v->batch.rows] = document;
    v->batch_tokens += n;
    v->grain_tokens += n;
    return ERR_OK;
}

/* ---- pseudo-likelihood ---- */

static bool pseudo_scored(const struct evaluation *v, const struct tokens_row *row, int64_t i)
{
    return i >= row->skip && !(row->loss && !row->loss[i]) &&
           !(model_tokenizer(v->model)->flags[v->ids[i]] & TOKEN_SPECIAL);
}

static enum err append_pseudo(struct errctx *e, struct evaluation *v, const struct tokens_row *row,
                              int64_t document, int64_t ordinal)
{
    size_t n = (size_t)row->n;
    TRY(mem_grow(e, &v->targets, &v->targets_capacity, n, sizeof *v->targets, "row"));
    TRY(mem_grow(e, &v->weights, &v->weights_capacity, n, sizeof *v->weights, "row"));
    for (size_t i = 0; i < n; i++) {
        v->targets[i] = -1;
        v->weights[i] = row->weight;
    }
    for (int64_t i = 0; i < row->n; i++) {
        if ((int64_t)v->ids[i] == v->unknown) v->covers_text = false; /* text without a token */
        if (!pseudo_scored(v, row, i)) continue;
        uint32_t id = v->ids[i];
        TRY(next_row(e, v, row->n, document));
        v->ids[i] = v->mask;
        v->targets[i] = (int32_t)id;
        TRY(batch_append(e, &v->batch, v->cfg.grain, row->n, v->ids, row->types, v->targets,
                         v->weights, ordinal));
        v->ids[i] = id;
        v->targets[i] = -1;
    }
    return ERR_OK;
}

/* ---- windows ---- */

/* A window of n ids from `start` on, of which those from `scored` on are predicted. */
static enum err append_window(struct errctx *e, struct evaluation *v, const struct tokens_row *row,
                              int64_t document, int64_t ordinal, int64_t start, int64_t n,
                              int64_t scored)
{
    const int64_t places = n - 1;
    for (int64_t t = 0; t < places; t++) {
        const int64_t next = start + t + 1;
        const bool counts = next >= scored && next >= row->skip && !(row->loss && !row->loss[next]);
        v->targets[t] = counts ? (int32_t)v->ids[next] : -1;
        v->weights[t] = counts ? row->weight : 0;
    }
    TRY(next_row(e, v, places, document));
    return batch_append(e, &v->batch, v->cfg.grain, places, v->ids + start,
                        row->types ? row->types + start : NULL, v->targets, v->weights, ordinal);
}

static enum err append_rolling(struct errctx *e, struct evaluation *v, const struct tokens_row *row,
                               int64_t document, int64_t ordinal)
{
    const int64_t most = v->cfg.length;
    for (int64_t done = 1, next; done < row->n; done = next) {
        next = row->n - done < most ? row->n : done + most;
        const int64_t start = done == 1 ? 0 : next - most - 1;
        TRY(append_window(e, v, row, document, ordinal, start, next - start, done));
    }
    return ERR_OK;
}

/* Whether the tokenizer's template begins texts with bos: llama.cpp's add_bos_token. */
static bool adds_bos(const struct tokenizer_spec *spec)
{
    const struct mp_value *list = mp_get(&spec->ops, "postprocessor"), *names;
    if (!list || list->type != MP_ARRAY || list->as.list.count == 0) return false;
    names = mp_get(&list->as.list.items[0], "before");
    return names && names->as.list.count > 0 &&
           strcmp(names->as.list.items[0].as.bytes.data, "bos") == 0;
}

static enum err append_halves(struct errctx *e, struct evaluation *v, const struct tokens_row *row,
                              int64_t document, int64_t ordinal)
{
    const struct tokenizer_spec *spec = model_tokenizer(v->model);
    const int64_t bos = spec ? tokenizer_spec_special(spec, "bos") : -1, most = v->cfg.length;
    const int64_t eos = spec ? tokenizer_spec_special(spec, "eos") : -1;
    const bool leads = row->n > 0 && v->ids[0] == bos && adds_bos(spec);
    int64_t end = row->n;
    if (end > 0 && v->ids[end - 1] == eos) end--;
    for (int64_t start = leads ? 0 : row->skip; start + most <= end; start += most) {
        const uint32_t first = v->ids[start];
        if (leads) v->ids[start] = (uint32_t)bos;
        TRY(append_window(e, v, row, document, ordinal, start, most, start + most / 2 + 1));
        v->ids[start] = first;
    }
    return ERR_OK;
}

static enum err append_windows(struct errctx *e, struct evaluation *v,
                               const struct tokens_layout *l, const struct tokens_row *row,
                               int64_t document, int64_t ordinal)
{
    const size_t room = (size_t)v->cfg.length;
    if (row->part > 0)
        return err_set(e, ERR_INPUT,
                       "row %" PRId64 " is a later cut of its document: --window takes whole "
                       "documents, tokenize them without --length",
                       ordinal);
    TRY(mem_grow(e, &v->ids, &v->ids_capacity, (size_t)row->n + 1, sizeof *v->ids, "row"));
    TRY(mem_grow(e, &v->targets, &v->targets_capacity, room, sizeof *v->targets, "window"));
    TRY(mem_grow(e, &v->weights, &v->weights_capacity, room, sizeof *v->weights, "window"));
    TRY(tokens_row_ids(e, l, row, ordinal, v->ids));
    if (v->cfg.window == WINDOW_HALF) return append_halves(e, v, row, document, ordinal);
    return append_rolling(e, v, row, document, ordinal);
}

/* ---- reading ---- */

static bool starts_special(const struct evaluation *v, const struct tokens_row *row)
{
    const struct tokenizer_spec *spec = model_tokenizer(v->model);
    uint32_t id = tokens_row_id(row, 0);
    return spec && id < (uint32_t)spec->vocab && (spec->flags[id] & TOKEN_SPECIAL);
}

/* True when not every token of the row's text counts once. A causal model cannot be asked for a
 * first token, so that must be context, or special, which stands for no text. */
static bool is_partial(const struct evaluation *v, const struct tokens_row *row)
{
    if (row->weight != 1) return true;
    if (v->objective && row->skip == 0 && row->n > 0 && !starts_special(v, row)) return true;
    for (int64_t i = row->skip; row->loss && i < row->n; i++)
        if (!row->loss[i]) return true;
    return false;
}

static enum err read_row(struct errctx *e, struct evaluation *v, const struct tokens_layout *l,
                         const struct tokens_row *row, int64_t ordinal)
{
    int64_t document;
    double scored;
    if (v->cfg.window == WINDOW_ROW) TRY(tokens_check_row(e, v->model, row, ordinal));
    TRY(find_document(e, v, row->doc, &document));
    if (v->cfg.window != WINDOW_ROW) {
        TRY(append_windows(e, v, l, row, document, ordinal));
    } else if (v->objective) {
        TRY(next_row(e, v, row->n, document));
        TRY(objective_append(e, v->objective, l, row, ordinal, v->cfg.grain, &v->batch, &scored));
    } else {
        TRY(mem_grow(e, &v->ids, &v->ids_capacity, (size_t)row->n, sizeof *v->ids, "row"));
        TRY(tokens_row_ids(e, l, row, ordinal, v->ids));
        TRY(append_pseudo(e, v, row, document, ordinal));
    }
    struct evaluate_document *d = &v->documents[document];
    d->rows++;
    d->bytes += row->bytes;
    d->chars += row->chars;
    if (is_partial(v, row)) v->covers_text = false;
    return ERR_OK;
}

static void show_progress(const struct evaluation *v, int64_t total)
{
    char eta[32];
    double seconds = prog_seconds() - v->started;
    if (v->cfg.rows > 0 && (total < 0 || v->cfg.rows < total)) total = v->cfg.rows;
    double left =
        total > 0 && v->rows > 0 ? seconds * (double)(total - v->rows) / (double)v->rows : -1;
    prog_progress("judging: %" PRId64 " rows, %.0f tokens/s, %s left", v->rows,
                  v->computed / fmax(seconds, 1e-9), prog_format_duration(left, eta));
}

static enum err read_rows(struct errctx *e, struct evaluation *v, const struct tokens_layout *l,
                          const struct stream_rows *rows, int64_t before)
{
    for (int64_t i = 0; i < rows->n && !(v->cfg.rows > 0 && v->rows >= v->cfg.rows); i++) {
        struct tokens_row row;
        TRY(tokens_row_view(e, l, rows, i, &row));
        TRY(read_row(e, v, l, &row, before + rows->first + i));
        v->rows++;
    }
    return ERR_OK;
}

enum err evaluation_read(struct errctx *e, struct evaluation *v, struct stream_reader *input)
{
    struct tokens_layout l;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    enum stream_event event;
    int64_t before = v->rows, total = stream_reader_rows_total(input);
    TRY(tokens_layout_find(e, stream_reader_begin(input), stream_reader_name(input), &l));
    TRY(tokens_check_stream(e, v->model, stream_reader_name(input), &l));
    for (;;) {
        if (v->cfg.rows > 0 && v->rows >= v->cfg.rows) return stream_reader_drain(e, input);
        TRY(stream_reader_next(e, input, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) return ERR_OK;
        if (event == STREAM_EVENT_ROWS && read_rows(e, v, &l, &rows, before) != ERR_OK)
            return err_prefix(e, "'%s'", stream_reader_name(input));
        show_progress(v, total < 0 ? total : before + total);
    }
}

/* ---- the result ---- */

enum column { LOSS, BITS, SCORED, TOP1, TOP5, BYTES, CHARS, COLUMNS };

static enum err bootstrap(struct errctx *e, struct evaluation *v, struct evaluate_result *out)
{
    static const struct bootstrap_ratio ratios[METRIC_COUNT] = {
        [METRIC_LOSS] = {LOSS, SCORED},         [METRIC_PERPLEXITY] = {LOSS, SCORED},
        [METRIC_BITS_PER_BYTE] = {BITS, BYTES}, [METRIC_BITS_PER_CHAR] = {BITS, CHARS},
        [METRIC_TOP1] = {TOP1, SCORED},         [METRIC_TOP5] = {TOP5, SCORED}};
    const struct bootstrap_cfg cfg = {v->cfg.bootstrap, v->cfg.confidence, (uint64_t)v->cfg.seed};
    double *units;
    TRY(mem_new(e, &units, v->documents_count * COLUMNS, sizeof *units, "bootstrap"));
    for (size_t i = 0; i < v->documents_count; i++) {
        const struct evaluate_document *d = &v->documents[i];
        double *x = units + i * COLUMNS;
        x[LOSS] = d->loss;
        x[BITS] = d->loss / log(2);
        x[SCORED] = d->scored;
        x[TOP1] = d->top1;
        x[TOP5] = d->top5;
        x[BYTES] = d->bytes;
        x[CHARS] = d->chars;
    }
    enum err r =
        bootstrap_ratios(e, model_kernels(v->model)->pool, units, (int64_t)v->documents_count,
                         COLUMNS, ratios, METRIC_COUNT, &cfg, out->metric);
    mem_free(units);
    return r;
}

enum err evaluation_finish(struct errctx *e, struct evaluation *v, struct evaluate_result *out)
{
    const struct interval none = {NAN, NAN, NAN};
    *out = (struct evaluate_result){
        .documents = (int64_t)v->documents_count, .rows = v->rows, .window_tokens = v->cfg.length};
    TRY(compute(e, v));
    prog_progress_done();
    for (size_t i = 0; i < v->documents_count; i++) {
        out->scored += v->documents[i].scored;
        out->bytes += v->documents[i].bytes;
        out->chars += v->documents[i].chars;
    }
    if (out->scored == 0)
        return err_set(e, ERR_INPUT,
                       "nothing to judge: %" PRId64 " rows, none of their tokens scored", v->rows);
    TRY(bootstrap(e, v, out));
    struct interval *p =
        &out->metric[METRIC_PERPLEXITY]; /* exp is monotonous: quantiles go through it */
    *p = (struct interval){exp(p->value), exp(p->low), exp(p->high)};
    if (!v->covers_text)
        out->metric[METRIC_BITS_PER_BYTE] = out->metric[METRIC_BITS_PER_CHAR] = none;
    return ERR_OK;
}

const struct evaluate_document *evaluation_documents(const struct evaluation *v, int64_t *count)
{
    *count = (int64_t)v->documents_count;
    return v->documents;
}
