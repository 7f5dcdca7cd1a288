/* SPDX-License-Identifier: Apache-2.0 */
/* passes.c: the forward and backward pass of a whole model over a batch: embeddings, blocks, final
 * norm; the loss is in loss.c. */
#include <string.h>

#include "common/model/parts.h"
#include "common/model/rope.h"

static enum err check_batch(struct errctx *e, const struct model *m, const struct batch *b)
{
    const struct model_config *c = &m->c;
    if (b->shares && !m->use.shares)
        return err_set(e, ERR_USAGE, "BUG: rows that share beginnings, without memory for it");
    if (b->tokens > m->use.tokens)
        return err_set(e, ERR_USAGE, "BUG: a micro-batch of %lld tokens in memory for %lld",
                       (long long)b->tokens, (long long)m->use.tokens);
    for (int64_t r = 0; r < b->rows; r++) {
        if (b->row_before[r] + b->row_length[r] > c->context)
            return err_set(
                e, ERR_INPUT,
                "row %lld: %d tokens, but the model's context is %lld: tokenize with --length %lld",
                (long long)b->row_ordinal[r], b->row_before[r] + b->row_length[r],
                (long long)c->context, (long long)c->context);
        for (int64_t i = b->row_start[r]; i < b->row_start[r] + b->row_length[r]; i++) {
            if (b->ids[i] < 0 || b->ids[i] >= c->vocab)
                return err_set(
                    e, ERR_INPUT,
                    "row %lld: id %d at place %lld is not in the model's vocabulary of %lld",
                    (long long)b->row_ordinal[r], b->ids[i], (long long)(i - b->row_start[r]),
                    (long long)c->vocab);
            if (c->types && b->type[i] >= c->types)
                return err_set(
                    e, ERR_INPUT,
                    "row %lld: token type %d at place %lld, but the model has %lld types",
                    (long long)b->row_ordinal[r], b->type[i], (long long)(i - b->row_start[r]),
                    (long long)c->types);
        }
    }
    return ERR_OK;
}

/* Puts the batch where the kernels see it. `index` and `target` of the head serve as scratch. */
static void upload_batch(struct model *m, const struct batch *b)
{
    struct kernels *k = m->k;
    const size_t bytes = (size_t)b->tokens * 4;
    k->upload(k, m->work.slots[MODEL_IDS], b->ids, bytes);
    k->upload(k, m->work.slots[MODEL_POSITION], b->position, bytes);
    k->upload(k, m->work.slots[MODEL_ORDINAL], b->ordinal, bytes);
    if (buf_present(m->work.slots[MODEL_PLACE])) {
        for (int64_t i = 0; i < b->tokens; i++)
            m->index[i] = b->ids[i] < 0 ? -1 : b->position[i] + (int32_t)m->c.position_offset;
        k->upload(k, m->work.slots[MODEL_PLACE], m->index, bytes);
    }
    if (buf_present(m->work.slots[MODEL_TYPE])) {
        for (int64_t i = 0; i < b->tokens; i++) m->index[i] = b->ids[i] < 0 ? -1 : b->type[i];
        k->upload(k, m->work.slots[MODEL_TYPE], m->index, bytes);
    }
}

static struct mat stream(const struct model *m, int64_t layer)
{
    return layer < m->c.layers ? m->work.streams[layer]
                               : mat_rows(m->work.slots[MODEL_FINAL], DTYPE_F32, m->c.width);
}

static void enter(const struct model *m, enum model_part part, int64_t layer)
{
    workspace_enter(m->k, &m->c, &m->work, part, layer);
}

bool model_can_share(const struct model *m)
{
    return m->c.causal && !rope_by_length(&m->c);
}

/* Rows that begin with tokens of others have keys and values in a cache. */
static enum err share(struct errctx *e, struct model *m, const struct batch *b, struct mat *cache)
{
    struct shared_rows *s = &m->shared;
    TRY(shared_rows_of(e, b, s));
    m->pass.q_start = s->q_start;
    m->pass.q_len = s->q_len;
    m->pass.kv_start = s->kv_start;
    m->pass.kv_len = s->kv_len;
    m->pass.q_offset = s->q_offset;
    m->pass.cache_row = s->cache_row;
    m->pass.turns = s->turns;
    m->pass.turn = s->turn;
    *cache =
        mat_rows(m->work.slots[MODEL_SHARED], m->use.dtype, 2 * m->c.kv_heads * m->c.head_size);
    return ERR_OK;
}

/* Embeddings and blocks, before layer `layers`. */
static enum err run_blocks(struct errctx *e, struct model *m, const struct batch *b, uint32_t step,
                           int64_t layers)
{
    struct mat cache = {0};
    m->batch = NULL;
    m->head_done = false;
    TRY(check_batch(e, m, b));
    TRY(workspace_fit(e, &m->c, &m->use, b->tokens, &m->work));
    enter(m, PART_EMBED, 0);
    upload_batch(m, b);
    m->pass = (struct pass){.k = m->k,
                            .config = &m->c,
                            .dtype = m->use.dtype,
                            .training = m->use.training,
                            .N = b->tokens,
                            .capacity = m->work.layout.tokens,
                            .grains = batch_grid(b),
                            .rows = b->rows,
                            .q_start = b->row_start,
                            .q_len = b->row_length,
                            .kv_start = b->row_start,
                            .kv_len = b->row_length,
                            .q_offset = m->zeros,
                            .position = m->work.slots[MODEL_POSITION],
                            .dropout = (float)m->dropout,
                            .lora_dropout = (float)m->lora_dropout,
                            .key = rng_key_make(m->use.seed, RNG_DROPOUT),
                            .step = step,
                            .ordinal = m->work.slots[MODEL_ORDINAL]};
    if (b->shares) TRY(share(e, m, b, &cache));
    model_set_angles(m, &m->pass, m->work.slots);
    const struct pass *p = &m->pass;
    embed_tokens(m, p, m->work.slots, stream(m, 0));
    for (int64_t l = 0; l < layers; l++) {
        enter(m, PART_FORWARD, l);
        block_forward(p, &m->blocks[l], m->work.buffers[l].forward, stream(m, l), stream(m, l + 1),
                      cache);
    }
    return ERR_OK;
}

enum err model_forward(struct errctx *e, struct model *m, const struct batch *b, uint32_t step)
{
    const struct pass *p = &m->pass;
    TRY(run_blocks(e, m, b, step, m->c.layers));
    enter(m, PART_HEAD, 0);
    if (m->c.final_norm)
        norm_apply(p, &m->final_norm, p->N, stream(m, m->c.layers), model_hidden(m),
                   m->work.slots[MODEL_FINAL_MEAN], m->work.slots[MODEL_FINAL_RSTD]);
    m->batch = b;
    return ERR_OK;
}

enum err model_forward_to(struct errctx *e, struct model *m, const struct batch *b, int64_t layers,
                          struct mat *hidden)
{
    if (layers == m->c.layers) {
        TRY(model_forward(e, m, b, 0));
        *hidden = model_hidden(m);
        return ERR_OK;
    }
    TRY(run_blocks(e, m, b, 0, layers));
    enter(m, PART_FORWARD, layers);
    *hidden = stream(m, layers);
    return ERR_OK;
}

/* Puts the row of each token's gradient where the ids were: with tied embeddings it is one of the
 * lookup table's, which are given out as ids occur. */
static enum err find_rows(struct errctx *e, struct model *m, const struct batch *b)
{
    if (!buf_present(m->lookup)) return ERR_OK;
    for (int64_t i = 0; i < b->tokens; i++) {
        const int32_t id = b->ids[i];
        m->index[i] = -1;
        if (id < 0) continue;
        if (m->lookup_row[id] < 0) {
            if (m->lookup_used == m->lookup_rows)
                return err_set(e, ERR_USAGE, "BUG: a step of more ids than it was opened for");
            m->lookup_row[id] = (int32_t)m->lookup_used;
            m->looked_up[m->lookup_used++] = id;
        }
        m->index[i] = m->lookup_row[id];
    }
    m->k->upload(m->k, m->work.slots[MODEL_IDS], m->index, (size_t)b->tokens * 4);
    return ERR_OK;
}

enum err model_backward(struct errctx *e, struct model *m, const struct batch *b)
{
    const struct pass *p = &m->pass;
    const struct mat dx = mat_rows(m->work.slots[MODEL_DX], DTYPE_F32, m->c.width);
    if (m->batch != b || !m->head_done)
        return err_set(e, ERR_USAGE, "BUG: a backward pass without its loss");
    for (int64_t l = m->c.layers - 1; l >= 0 && l >= m->lowest; l--) {
        const struct buf *s = m->work.buffers[l].backward;
        enter(m, PART_BACKWARD, l);
        if (m->use.recompute) block_again(p, &m->blocks[l], s, stream(m, l));
        block_backward(p, &m->blocks[l], s, stream(m, l), dx);
    }
    if (m->lowest < 0) {
        enter(m, PART_TABLES, 0);
        TRY(find_rows(e, m, b));
        embed_tokens_backward(m, p, m->work.slots, dx);
    }
    m->k->sync(m->k);
    m->batch = NULL; /* the gates' places hold gradients now */
    return ERR_OK;
}

void model_finish_gradients(struct model *m)
{
    const int64_t C = m->c.width, n = m->lookup_used;
    if (n == 0) return;
    m->k->upload(m->k, m->lookup_ids, m->looked_up, (size_t)n * sizeof *m->looked_up);
    m->k->embed_backward(m->k, n, C, m->lookup_ids, mat_rows(m->lookup, DTYPE_F32, C), 1,
                         m->head.dweight);
    m->k->zero(m->k, buf_at(m->lookup, 0, (size_t)(n * C) * sizeof(float)));
    for (int64_t i = 0; i < n; i++) m->lookup_row[m->looked_up[i]] = -1;
    m->lookup_used = 0;
}

void model_set_dropout(struct model *m, bool on)
{
    on = on && m->use.training;
    m->dropout = on ? m->use.dropout : 0;
    m->lora_dropout = on && m->use.adapter ? m->use.adapter->dropout : 0;
}
