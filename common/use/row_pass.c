/* SPDX-License-Identifier: Apache-2.0 */
/* row_pass.c: a batch of ids for the model, beside a batch of packed rows for what comes after it.
 */
#include "common/use/row_pass.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/flow/rowpack.h"
#include "common/model/tokens_check.h"
#include "formats/labels.h"
#include "formats/stream_begin.h"

#define FIELD(f) offsetof(struct row_pass_cfg, f)

const struct opt row_pass_table[] = {{"micro-tokens", 0, OPT_INT, FIELD(micro_tokens), "N",
                                      "tokens computed at once: memory, not results",
                                      OPT_UNRECORDED, 32, 1 << 30},
                                     OPT_END};

const struct opt row_pass_cuts_table[] = {
    {"truncate", 0, OPT_FLAG, FIELD(first_cuts), NULL,
     "only the first row of each document: what is longer is left out"},
    OPT_END};

struct row_pass {
    struct model *model;
    const struct row_pass_cfg *cfg;
    struct tokens_layout layout;
    struct rowpack pack;
    struct rowpack_batch rows;
    struct batch batch;
    uint8_t *packed; /* one row */
    uint32_t *ids;
    size_t packed_capacity, ids_capacity;
    bool full; /* of rows */
    row_pass_fn *fn;
    void *ctx;
};

void row_pass_fit(struct model_use *use, const struct model_config *c)
{
    const struct row_pass_cfg *cfg = use->fit_ctx;
    use->tokens = batch_padded(cfg->micro_tokens, cfg->micro_tokens, c->context);
}

static enum err compute(struct errctx *e, void *ctx)
{
    struct row_pass *p = ctx;
    if (p->batch.rows == 0) return ERR_OK;
    TRY(batch_close(e, &p->batch));
    TRY(p->fn(e, p->ctx, &p->batch, &p->rows.rows));
    batch_clear(&p->batch);
    p->rows.rows.n = 0;
    p->rows.bytes = 0;
    p->full = false;
    return ERR_OK;
}

static enum err keep_row(struct errctx *e, struct row_pass *p, const struct stream_rows *rows,
                         int64_t i)
{
    uint32_t size;
    TRY(rowpack_size(e, &p->pack, rows, i, &size));
    TRY(mem_grow(e, &p->packed, &p->packed_capacity, (size_t)size + 1, 1, "row"));
    rowpack_put(&p->pack, rows, i, p->packed);
    if (p->rows.rows.n == 0) p->rows.rows.first = rows->first + i;
    return rowpack_batch_add(e, &p->pack, &p->rows, p->packed, &p->full);
}

static enum err take_row(struct errctx *e, struct row_pass *p, const struct stream_rows *rows,
                         int64_t i)
{
    struct tokens_row row;
    const int64_t ordinal = rows->first + i, most = p->cfg->micro_tokens;
    TRY(tokens_row_view(e, &p->layout, rows, i, &row));
    if (p->cfg->first_cuts && row.part != 0) return ERR_OK;
    TRY(tokens_check_row(e, p->model, &row, ordinal));
    if (p->full || p->batch.tokens + row.n > most) TRY(compute(e, p));
    TRY(mem_grow(e, &p->ids, &p->ids_capacity, (size_t)row.n + 1, sizeof *p->ids, "row"));
    TRY(tokens_row_ids(e, &p->layout, &row, ordinal, p->ids));
    TRY(batch_append(e, &p->batch, INT32_MAX, row.n, p->ids, row.types, NULL, NULL, ordinal));
    return keep_row(e, p, rows, i);
}

static enum err read_all(struct errctx *e, struct row_pass *p, const struct row_source *source)
{
    struct stream_rows rows;
    enum stream_event event;
    TRY(tokens_layout_find(e, source->begin, source->name, &p->layout));
    TRY(tokens_check_stream(e, p->model, source->name, &p->layout));
    TRY(rowpack_init(e, source->begin, source->name, &p->pack));
    TRY(rowpack_batch_init(e, &p->pack, &p->rows));
    TRY(batch_init(e, &p->batch, p->cfg->micro_tokens, ROWPACK_BATCH));
    for (;;) {
        TRY(source->next(e, source->ctx, &event, &rows));
        if (event == STREAM_EVENT_END) return compute(e, p);
        for (int64_t i = 0; i < rows.n; i++)
            if (take_row(e, p, &rows, i) != ERR_OK) return err_prefix(e, "'%s'", source->name);
    }
}

enum err row_pass_run(struct errctx *e, struct model *m, const struct row_pass_cfg *cfg,
                      const struct row_source *source, struct run *run, row_pass_fn *fn, void *ctx)
{
    struct row_pass p = {.model = m, .cfg = cfg, .fn = fn, .ctx = ctx};
    run->before_wait = compute;
    run->before_wait_ctx = &p;
    const enum err r = read_all(e, &p, source);
    run->before_wait = NULL;
    batch_fini(&p.batch);
    if (p.pack.columns) rowpack_batch_fini(&p.pack, &p.rows);
    rowpack_fini(&p.pack);
    mem_free(p.packed);
    mem_free(p.ids);
    return r;
}

/* ---- columns ---- */

static bool is_per_token(const struct labels *labels, const char *name)
{
    static const char *const names[] = {"ids", "types", "loss", "skip"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0) return true;
    for (int64_t i = 0; i < labels->count; i++)
        if (labels->items[i].kind == LABEL_TOKENS &&
            strncmp(name, LABELS_PREFIX, sizeof LABELS_PREFIX - 1) == 0 &&
            strcmp(name + sizeof LABELS_PREFIX - 1, labels->items[i].name) == 0)
            return true;
    return false;
}

static enum err pass_columns(struct errctx *e, const struct stream_begin *tokens,
                             const struct labels *labels, bool per_token, struct stream_begin *out,
                             struct row_columns *columns)
{
    columns->count = 0;
    for (int64_t c = 0; c < tokens->columns_count; c++) {
        const struct stream_field *f = &tokens->columns[c];
        if (!per_token && is_per_token(labels, f->name)) continue;
        columns->from[columns->count++] = c;
        TRY(stream_begin_column(e, out, f->name, f->dtype, f->dims, f->shape));
    }
    return ERR_OK;
}

/* What the columns that went on are labels of; `labels` has those of the tokens stream. */
static enum err pass_labels(struct errctx *e, const struct labels *labels, bool per_token,
                            struct stream_begin *out)
{
    struct labels passed = {0};
    if (labels->count == 0) return ERR_OK;
    TRY(mem_new(e, &passed.items, (size_t)labels->count, sizeof *passed.items, "labels"));
    for (int64_t i = 0; i < labels->count; i++)
        if (per_token || labels->items[i].kind != LABEL_TOKENS)
            passed.items[passed.count++] = labels->items[i];
    const enum err r = passed.count > 0 ? labels_to_meta(e, &passed, &out->meta) : ERR_OK;
    mem_free(passed.items); /* the labels themselves are the caller's */
    return r;
}

enum err row_columns_pass(struct errctx *e, const struct stream_begin *tokens, bool per_token,
                          struct stream_begin *out, struct row_columns *columns)
{
    struct labels labels;
    TRY(labels_from_begin(e, tokens, &labels));
    enum err r = pass_columns(e, tokens, &labels, per_token, out, columns);
    if (r == ERR_OK) r = pass_labels(e, &labels, per_token, out);
    labels_fini(&labels);
    return r;
}

void row_columns_put(struct row_columns *columns, const struct stream_begin *tokens,
                     const struct stream_rows *rows, int64_t i)
{
    for (int64_t c = 0; c < columns->count; c++) {
        const int64_t from = columns->from[c], *start = rows->start[from];
        const size_t bytes = stream_field_cell(&tokens->columns[from]);
        const int64_t first = start ? start[i] : i;
        columns->cells[c] = rows->data[from] + (size_t)first * bytes;
        columns->elements[c] = start ? start[i + 1] - first : 1;
    }
}
