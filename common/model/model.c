/* SPDX-License-Identifier: Apache-2.0 */
/* model.c: a model's memory: parameters, gradients, tables of angles, the arena of its passes; and
 * the binding of the parts to it. The passes are in passes.c, block.c, embed.c and loss.c, the
 * stream in model_file.c. */
#include "common/model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/parts.h"
#include "common/model/rope.h"

/* ------------------------------------------------------------------ binding parts to memory */

static struct buf part_of(struct buf flat, const struct param *p, size_t size)
{
    if (!p || !buf_present(flat)) return (struct buf){0};
    return buf_at(flat, (size_t)p->offset * size, (size_t)p->elements * size);
}

static const struct param *find_named(const struct model *m, int layer, const char *name)
{
    char full[96];
    if (layer >= 0)
        snprintf(full, sizeof full, "layers.%d.%s", layer, name);
    else
        snprintf(full, sizeof full, "%s", name);
    return param_table_find(&m->params, full);
}

static const struct param *find(const struct model *m, int layer, const char *name,
                                const char *kind)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, kind);
    return find_named(m, layer, full);
}

static struct buf gradient_of(const struct model *m, const struct param *p)
{
    if (!p || p->gradient < 0 || !buf_present(m->gradients)) return (struct buf){0};
    return buf_at(m->gradients, (size_t)p->gradient * sizeof(float),
                  (size_t)p->elements * sizeof(float));
}

/* Where a parameter lies that is kept in another type than F32. */
static struct buf kept_of(const struct model *m, const struct param *p)
{
    return buf_at(m->kept, (size_t)p->offset, dtype_offset(p->dtype, p->elements));
}

/* What products read: as it is kept, or the rounded copy where there is one. */
static struct mat matrix_of(const struct model *m, const struct param *p)
{
    if (!p) return (struct mat){0};
    if (p->dtype != DTYPE_F32) return mat_rows(kept_of(m, p), p->dtype, p->shape[1]);
    if (buf_present(m->weights16))
        return mat_rows(part_of(m->weights16, p, 2), DTYPE_BF16, p->shape[1]);
    return mat_rows(part_of(m->weights, p, sizeof(float)), DTYPE_F32, p->shape[1]);
}

static struct norm bind_norm(const struct model *m, int layer, const char *name)
{
    const struct param *w = find(m, layer, name, "weight"), *b = find(m, layer, name, "bias");
    return (struct norm){.weight = part_of(m->weights, w, sizeof(float)),
                         .bias = part_of(m->weights, b, sizeof(float)),
                         .dweight = gradient_of(m, w),
                         .dbias = gradient_of(m, b)};
}

static struct linear bind_linear(const struct model *m, int layer, const char *name)
{
    const struct param *w = find(m, layer, name, "weight"), *b = find(m, layer, name, "bias");
    if (!w) return (struct linear){0};
    return (struct linear){.in = w->shape[1],
                           .out = w->shape[0],
                           .weight = matrix_of(m, w),
                           .bias = part_of(m->weights, b, sizeof(float)),
                           .dweight = gradient_of(m, w),
                           .dbias = gradient_of(m, b)};
}

/* The parts beside one matrix, from `at` of m->lora on; returns where the next matrix's begin. */
static int64_t bind_parts_of(struct model *m, int64_t layer, enum adapter_matrix matrix,
                             struct linear *l, int64_t at)
{
    const struct adapter *a = m->use.adapter;
    struct adapter_place place;
    int64_t rows = 0, column = 0;
    l->lora = m->lora + at;
    for (int64_t i = 0; i < a->count; i++) {
        const struct adapter_part *part = &a->parts[i];
        char name[2][64];
        if (part->layer != layer || !adapter_find(&m->c, part->target, &place) ||
            place.matrix != matrix)
            continue;
        adapter_param_name(part, 'A', name[0]);
        adapter_param_name(part, 'B', name[1]);
        const struct param *A = find_named(m, (int)layer, name[0]),
                           *B = find_named(m, (int)layer, name[1]);
        struct lora new = {.rank = part->rank,
                           .from = place.from,
                           .out = place.out,
                           .column = column,
                           .scale = (float)part->scale,
                           .A = matrix_of(m, A),
                           .B = matrix_of(m, B),
                           .dA = gradient_of(m, A),
                           .dB = gradient_of(m, B)};
        for (int64_t j = 0; j < l->lora_count; j++)
            if (l->lora[j].from < new.from + new.out &&new.from < l->lora[j].from + l->lora[j].out)
                new.again = true;
        if (!new.again) rows += new.out;
        column += new.rank;
        m->lora[at + l->lora_count++] = new;
    }
    l->lora_whole = rows == l->out;
    return at + l->lora_count;
}

static void bind_adapter(struct model *m)
{
    int64_t at = 0;
    for (int64_t i = 0; m->use.adapter && i < m->c.layers; i++) {
        struct block *b = &m->blocks[i];
        at = bind_parts_of(m, i, MATRIX_QKV, &b->qkv, at);
        at = bind_parts_of(m, i, MATRIX_OUT, &b->out, at);
        at = bind_parts_of(m, i, MATRIX_UP, &b->up, at);
        at = bind_parts_of(m, i, MATRIX_DOWN, &b->down, at);
    }
}

/* Heads for labels compute in F32, whatever the model does. */
static struct linear bind_task(const struct model *m, int64_t number, const char *part)
{
    char name[40];
    snprintf(name, sizeof name, TASK_PREFIX "%lld%s", (long long)number, part);
    const struct param *w = find(m, -1, name, "weight");
    struct linear l = bind_linear(m, -1, name);
    if (w) l.weight = mat_rows(part_of(m->weights, w, sizeof(float)), DTYPE_F32, w->shape[1]);
    return l;
}

static void bind_tasks(struct model *m)
{
    for (int64_t i = 0; m->use.heads && i < m->use.heads->count; i++)
        m->tasks[i] =
            (struct task_head){.dense = bind_task(m, i, ".dense"), .head = bind_task(m, i, "")};
}

/* How far down the backward pass must go: to the lowest block of which something is trained; -1:
 * down to the embeddings; the number of layers: not even to the last block. */
static int64_t lowest_trained(const struct param_table *t, int64_t layers)
{
    int64_t lowest = layers;
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &t->items[i];
        if (p->gradient < 0) continue;
        if (p->layer < 0 && strncmp(p->name, "embed.", 6) == 0) return -1;
        if (p->layer >= 0 && p->layer < lowest) lowest = p->layer;
    }
    return lowest;
}

/* The model's parts over memory (absent buffers where there are none). */
static void bind_parts(struct model *m)
{
    const struct param *tokens = find(m, -1, "embed.tokens", "weight");
    const struct param *positions = find(m, -1, "embed.positions", "weight");
    const struct param *types = find(m, -1, "embed.types", "weight"),
                       *bias = find(m, -1, "head", "bias");
    m->tokens = matrix_of(m, tokens);
    m->positions = matrix_of(m, positions);
    m->types = matrix_of(m, types);
    m->dtokens = m->c.tied ? m->lookup : gradient_of(m, tokens);
    m->dpositions = gradient_of(m, positions);
    m->dtypes = gradient_of(m, types);
    m->embed_norm = bind_norm(m, -1, "embed.norm");
    m->final_norm = bind_norm(m, -1, "norm");
    m->head_norm = bind_norm(m, -1, "head.norm");
    m->dense = bind_linear(m, -1, "head.dense");
    m->head = bind_linear(m, -1, m->c.tied ? "embed.tokens" : "head");
    m->head.bias = part_of(m->weights, bias, sizeof(float));
    m->head.dbias = gradient_of(m, bias);
    m->lowest = lowest_trained(&m->params, m->c.layers);
    for (int64_t l = 0; l < m->c.layers; l++)
        m->blocks[l] = (struct block){.norm1 = bind_norm(m, (int)l, "norm1"),
                                      .norm2 = bind_norm(m, (int)l, "norm2"),
                                      .attention_norm = bind_norm(m, (int)l, "attention.norm"),
                                      .mlp_norm = bind_norm(m, (int)l, "mlp.norm"),
                                      .q_norm = bind_norm(m, (int)l, "attention.q_norm"),
                                      .k_norm = bind_norm(m, (int)l, "attention.k_norm"),
                                      .qkv = bind_linear(m, (int)l, "attention.qkv"),
                                      .out = bind_linear(m, (int)l, "attention.out"),
                                      .up = bind_linear(m, (int)l, "mlp.up"),
                                      .down = bind_linear(m, (int)l, "mlp.down"),
                                      .layer = (int)l};
    bind_adapter(m);
    bind_tasks(m);
}

/* ------------------------------------------------------------------ memory */

static enum err make_angles(struct errctx *e, struct model *m)
{
    const int64_t n = rope_rows(&m->c) * (m->c.rope_dims / 2);
    float *cosine = NULL, *sine = NULL;
    if (m->c.position != POSITION_ROPE) return ERR_OK;
    const size_t bytes = (size_t)n * sizeof(float);
    if (mem_new(e, &cosine, (size_t)n, sizeof *cosine, "angles") == ERR_OK &&
        mem_new(e, &sine, (size_t)n, sizeof *sine, "angles") == ERR_OK &&
        m->k->alloc(m->k, e, bytes, &m->cosine) == ERR_OK &&
        m->k->alloc(m->k, e, bytes, &m->sine) == ERR_OK) {
        rope_tables(&m->c, cosine, sine);
        m->k->upload(m->k, m->cosine, cosine, bytes);
        m->k->upload(m->k, m->sine, sine, bytes);
    }
    mem_free(cosine);
    mem_free(sine);
    return e->code;
}

/* Bytes of the parts that are not the arena. */
struct sizes {
    size_t weights, weights16, half, quantised, gradients, lookup, angles;
};

/* Rows of the tied table's gradient that one step can touch. */
static int64_t lookup_rows(const struct model_config *c, const struct model_use *use,
                           const struct param_table *t)
{
    if (!use->training || !c->tied) return 0;
    if (param_table_find(t, "embed.tokens.weight")->gradient < 0) return 0;
    return use->learned > 0 && use->learned < c->vocab ? use->learned : c->vocab;
}

static enum err sizes_of(struct errctx *e, const struct model_config *c,
                         const struct model_use *use, const struct param_table *t, struct sizes *s)
{
    const size_t n = (size_t)t->elements;
    *s = (struct sizes){0};
    if (!size_mul(n, sizeof(float), &s->weights)) return err_memory(e, "parameters", UINT64_MAX);
    if (use->dtype == DTYPE_BF16) s->weights16 = n * 2;
    bool blocks = false;
    for (int64_t i = 0; i < t->own; i++) {
        const struct param *p = &t->items[i];
        if (p->dtype == DTYPE_BF16) s->half += (size_t)p->elements * 2;
        blocks = blocks || dtype_is_blocks(p->dtype);
    }
    if (!blocks) s->half = (size_t)t->kept; /* what aligns them included */
    s->quantised = (size_t)t->kept - s->half;
    if (use->training) s->gradients = (size_t)t->trained * sizeof(float);
    s->lookup = (size_t)lookup_rows(c, use, t) * (size_t)c->width * sizeof(float);
    if (c->position == POSITION_ROPE)
        s->angles = (size_t)rope_rows(c) * (size_t)c->rope_dims *
                    sizeof(float); /* two tables of half the width */
    return ERR_OK;
}

static enum err take_lists(struct errctx *e, struct model *m)
{
    const size_t n = (size_t)m->use.tokens;
    if (n == 0) return ERR_OK;
    TRY(mem_new(e, &m->zeros, n, sizeof *m->zeros, "model"));
    TRY(mem_new(e, &m->index, n, sizeof *m->index, "model"));
    TRY(mem_new(e, &m->back, n, sizeof *m->back, "model"));
    TRY(mem_new(e, &m->target, n, sizeof *m->target, "model"));
    TRY(mem_new(e, &m->weight, n, sizeof *m->weight, "model"));
    TRY(mem_new(e, &m->loss, n, sizeof *m->loss, "model"));
    TRY(mem_new(e, &m->rank, n, sizeof *m->rank, "model"));
    TRY(mem_new(e, &m->piece, n + 1, sizeof *m->piece, "model"));
    return mem_new(e, &m->run, n + 1, sizeof *m->run, "model");
}

static enum err take_lookup(struct errctx *e, struct model *m, size_t bytes)
{
    struct kernels *k = m->k;
    const size_t rows = (size_t)lookup_rows(&m->c, &m->use, &m->params),
                 ids = rows * sizeof *m->looked_up;
    m->lookup_rows = (int64_t)rows;
    TRY(k->alloc(k, e, bytes, &m->lookup));
    TRY(k->alloc(k, e, ids, &m->lookup_ids));
    TRY(mem_new(e, &m->looked_up, rows, sizeof *m->looked_up, "model"));
    TRY(mem_new(e, &m->lookup_row, (size_t)m->c.vocab, sizeof *m->lookup_row, "model"));
    for (int64_t i = 0; i < m->c.vocab; i++) m->lookup_row[i] = -1;
    return ERR_OK;
}

static enum err take_tasks(struct errctx *e, struct model *m)
{
    const struct task_heads *heads = m->use.heads;
    const size_t threads = (size_t)pool_threads(m->k->pool);
    int64_t most = 0;
    if (!heads) return ERR_OK;
    for (int64_t i = 0; i < heads->count; i++) {
        const int64_t width = task_width(&heads->items[i], &m->c);
        most = width > most ? width : most;
    }
    TRY(mem_new(e, &m->tasks, (size_t)heads->count, sizeof *m->tasks, "heads"));
    return mem_new(e, &m->task_sums, threads * (size_t)most, sizeof *m->task_sums, "heads");
}

static enum err take_memory(struct errctx *e, struct model *m)
{
    struct kernels *k = m->k;
    struct sizes s;
    param_table_train(&m->params, m->use.trains, m->use.trains_ctx);
    TRY(sizes_of(e, &m->c, &m->use, &m->params, &s));
    TRY(k->alloc(k, e, s.weights, &m->weights));
    if (s.weights16) TRY(k->alloc(k, e, s.weights16, &m->weights16));
    if (s.half + s.quantised) TRY(k->alloc(k, e, s.half + s.quantised, &m->kept));
    if (s.gradients) TRY(k->alloc(k, e, s.gradients, &m->gradients));
    if (s.lookup) TRY(take_lookup(e, m, s.lookup));
    TRY(make_angles(e, m));
    TRY(workspace_new(e, k, &m->c, &m->use, &m->work));
    TRY(take_lists(e, m));
    TRY(mem_new(e, &m->blocks, (size_t)m->c.layers, sizeof *m->blocks, "model"));
    if (m->use.adapter)
        TRY(mem_new(e, &m->lora, (size_t)m->use.adapter->count, sizeof *m->lora, "adapter"));
    TRY(take_tasks(e, m));
    bind_parts(m);
    return ERR_OK;
}

enum err model_new(struct errctx *e, struct kernels *k, const struct model_config *c,
                   const struct model_use *use, const enum dtype *types, struct model **out)
{
    struct model *m;
    *out = NULL;
    TRY(mem_new(e, &m, 1, sizeof *m, "model"));
    m->k = k;
    m->c = *c;
    m->use = *use;
    m->use.tokens = (use->tokens + KERNEL_STEP - 1) / KERNEL_STEP * KERNEL_STEP;
    model_set_dropout(m, true);
    if (param_table_build_adapted(e, c, use->adapter, use->heads, &m->params) != ERR_OK ||
        (types && param_table_keep(e, &m->params, types) != ERR_OK) ||
        take_memory(e, m) != ERR_OK) {
        model_free(m);
        return e->code;
    }
    *out = m;
    return ERR_OK;
}

void model_free(struct model *m)
{
    if (!m) return;
    const struct buf bufs[] = {m->weights, m->weights16, m->gradients,  m->lookup,
                               m->kept,    m->cosine,    m->lookup_ids, m->sine};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        if (buf_present(bufs[i])) m->k->free(m->k, bufs[i]);
    shared_rows_fini(&m->shared);
    void *const arrays[] = {m->tasks, m->task_sums, m->blocks, m->lora,       m->zeros,
                            m->index, m->back,      m->target, m->weight,     m->loss,
                            m->rank,  m->piece,     m->run,    m->lookup_row, m->looked_up};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) mem_free(arrays[i]);
    workspace_free(m->k, &m->work);
    param_table_fini(&m->params);
    if (m->tokenizer) tokenizer_spec_fini(m->tokenizer);
    mem_free(m->tokenizer);
    if (m->embedding) embedding_fini(m->embedding);
    mem_free(m->embedding);
    mp_fini(&m->about);
    task_heads_fini(&m->heads);
    mem_free(m);
}

/* ------------------------------------------------------------------ initial weights */

struct init_task {
    const struct model *m;
    uint64_t seed;
    float *weights;
};

static void init_param(void *ctx, int64_t task, int thread)
{
    const struct init_task *t = ctx;
    const struct param *p = &t->m->params.items[task];
    (void)thread;
    param_init(&t->m->c, p, t->seed, t->weights + p->offset);
}

/* A copy of it. */
static enum err take_tokenizer(struct errctx *e, struct model *m, const struct tokenizer_spec *spec)
{
    if (spec->vocab > m->c.vocab)
        return err_set(e, ERR_USAGE, "the tokenizer has %lld tokens, the model only %lld",
                       (long long)spec->vocab, (long long)m->c.vocab);
    TRY(mem_new(e, &m->tokenizer, 1, sizeof *m->tokenizer, "tokenizer"));
    return tokenizer_spec_copy(e, spec, m->tokenizer);
}

enum err model_create(struct errctx *e, struct kernels *k, const struct model_config *c,
                      const struct tokenizer_spec *spec, uint64_t seed, const struct model_use *use,
                      struct model **out)
{
    struct model *m;
    TRY(model_new(e, k, c, use, NULL, &m));
    if (spec && take_tokenizer(e, m, spec) != ERR_OK) {
        model_free(m);
        *out = NULL;
        return e->code;
    }
    struct init_task t = {.m = m, .seed = seed, .weights = k->map(k, m->weights)};
    pool_run(k->pool, init_param, &t, m->params.count);
    model_refresh(m);
    *out = m;
    return ERR_OK;
}

void model_init_added(struct model *m, uint64_t seed)
{
    float *weights = m->k->map(m->k, m->weights);
    for (int64_t i = m->params.own; i < m->params.count; i++)
        param_init(&m->c, &m->params.items[i], seed, weights + m->params.items[i].offset);
    model_refresh(m);
}

const struct task_heads *model_heads(const struct model *m)
{
    return m->use.heads;
}

void model_refresh(struct model *m)
{
    const int64_t n = m->params.elements;
    if (buf_present(m->weights16))
        m->k->convert(m->k, 1, n, mat_rows(m->weights, DTYPE_F32, n),
                      mat_rows(m->weights16, DTYPE_BF16, n));
}

/* ------------------------------------------------------------------ what others may see */

const struct model_config *model_config_of(const struct model *m)
{
    return &m->c;
}

const struct embedding *model_embedding(const struct model *m)
{
    return m->embedding;
}

const struct tokenizer_spec *model_tokenizer(const struct model *m)
{
    return m->tokenizer;
}

const struct param_table *model_params(const struct model *m)
{
    return &m->params;
}

struct kernels *model_kernels(const struct model *m)
{
    return m->k;
}

const uint8_t *model_id(const struct model *m)
{
    return m->id;
}

struct buf model_weights(const struct model *m)
{
    return m->weights;
}

struct buf model_gradients(const struct model *m)
{
    return m->gradients;
}

struct buf model_weights16(const struct model *m)
{
    return m->weights16;
}

/* ------------------------------------------------------------------ the plan */

/* One line per name: together they are more than the arena, where they share places. */
static enum err plan_arena(struct errctx *e, const struct arena *a, struct plan *p)
{
    TRY(plan_add(e, p, "arena of the passes, in which share places:", a->bytes, false));
    for (size_t i = 0; i < a->count; i++) {
        uint64_t bytes = 0;
        bool seen = false;
        for (size_t j = 0; j < a->count; j++) {
            if (strcmp(a->items[i].name, a->items[j].name) != 0) continue;
            if (j < i) seen = true;
            bytes += a->items[j].bytes;
        }
        if (!seen) TRY(plan_add(e, p, a->items[i].name, bytes, true));
    }
    return ERR_OK;
}

static enum err plan_all(struct errctx *e, const struct model_config *c,
                         const struct model_use *use, int threads, const struct param_table *t,
                         const struct layout *l, struct plan *out)
{
    struct sizes s;
    TRY(sizes_of(e, c, use, t, &s));
    TRY(plan_add(e, out, "parameters, F32", s.weights, false));
    TRY(plan_add(e, out, "parameters, BF16", s.weights16 + s.half, false));
    TRY(plan_add(e, out, "parameters, quantised", s.quantised, false));
    TRY(plan_add(e, out, "gradients, F32", s.gradients, false));
    TRY(plan_add(e, out, "gradient of the tied table, F32", s.lookup, false));
    TRY(plan_add(e, out, "angles of the positions", s.angles, false));
    TRY(plan_arena(e, &l->arena, out));
    return plan_add(e, out, "scratch of the kernels", kernels_scratch(threads), false);
}

enum err model_plan(struct errctx *e, const struct model_config *c, const struct model_use *use,
                    int threads, struct plan *out)
{
    return model_plan_types(e, c, use, NULL, threads, out);
}

enum err model_plan_types(struct errctx *e, const struct model_config *c,
                          const struct model_use *use, const enum dtype *types, int threads,
                          struct plan *out)
{
    struct param_table t;
    struct layout l;
    struct model_use padded = *use;
    padded.tokens = (use->tokens + KERNEL_STEP - 1) / KERNEL_STEP * KERNEL_STEP;
    *out = (struct plan){0};
    TRY(param_table_build_adapted(e, c, use->adapter, use->heads, &t));
    if (types && param_table_keep(e, &t, types) != ERR_OK) {
        param_table_fini(&t);
        return e->code;
    }
    param_table_train(&t, use->trains, use->trains_ctx);
    if (layout_plan(e, c, &padded, &l) == ERR_OK) {
        (void)!plan_all(e, c, &padded, threads, &t, &l, out);
        layout_fini(&l);
    }
    param_table_fini(&t);
    if (e->code != ERR_OK) plan_fini(out);
    return e->code;
}
