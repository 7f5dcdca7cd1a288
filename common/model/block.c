/* SPDX-License-Identifier: Apache-2.0 */
/* block.c: see block.h for the equations; here they are in the order in which they run, the
 * backward pass in reverse.
 *
 * The forward pass has steps 0 to 7, the backward pass 0 to 8 (behind the steps of a
 * recomputation); `slots` says in which steps a tensor is alive. A tensor that is wanted in fewer
 * steps by one kind of block than by another lives as long as the longer needs it. */
#include "common/model/block.h"

#include "common/base/mem.h"

enum { AGAIN_STEPS = 8 };

/* from, to: forward steps (backward steps for the SLOT_B_*); back: last backward step that reads
 * it, -1: not kept. */
static const struct slot {
    const char *name;
    int from, to, back;
} slots[SLOT_COUNT] = {
    [SLOT_NORMED1] = {"input of qkv", 0, 1, -1},
    [SLOT_MEAN1] = {"norm statistics", 0, 4, 8},
    [SLOT_RSTD1] = {"norm statistics", 0, 4, 8},
    [SLOT_RAW] = {"queries, keys, values before their norms", 1, 2, 7},
    [SLOT_RAW_RSTD] = {"norm statistics", 1, 2, 7},
    [SLOT_QKV] = {"queries, keys, values", 1, 2, 6},
    [SLOT_LSE] = {"attention log-sum-exp", 2, 2, 6},
    [SLOT_ATT] = {"attention output", 2, 3, 6},
    [SLOT_BRANCH1] = {"branch before its norm", 3, 3, 5},
    [SLOT_BRANCH1_MEAN] = {"norm statistics", 3, 3, 5},
    [SLOT_BRANCH1_RSTD] = {"norm statistics", 3, 3, 5},
    [SLOT_DROPPED] = {"branch before dropout", 3, 6, -1},
    [SLOT_MID] = {"stream after attention", 3, 6, 4},
    [SLOT_X1] = {"stream after norm1", 4, 7, -1},
    [SLOT_NORMED2] = {"input of the MLP", 4, 5, -1},
    [SLOT_MEAN2] = {"norm statistics", 4, 7, 4},
    [SLOT_RSTD2] = {"norm statistics", 4, 7, 4},
    [SLOT_UP] = {"MLP before activation", 5, 6, 3},
    [SLOT_H] = {"MLP after activation", 5, 6, -1},
    [SLOT_BRANCH2] = {"branch before its norm", 6, 6, 0},
    [SLOT_BRANCH2_MEAN] = {"norm statistics", 6, 6, 0},
    [SLOT_BRANCH2_RSTD] = {"norm statistics", 6, 6, 0},
    [SLOT_SUM] = {"stream after the MLP", 6, 7, 0},
    [SLOT_LOW] = {"low-rank products", 1, 6, -1},
    [SLOT_LOW_DROPPED] = {"input of low-rank products", 1, 6, -1},
    [SLOT_B_STREAM] = {"gradient of the inner stream", 0, 8, -1},
    [SLOT_B_NORM] = {"gradient of a branch before its norm", 0, 5, -1},
    [SLOT_B_BRANCH] = {"gradient of a branch", 0, 5, -1},
    [SLOT_B_DH] = {"gradient of the MLP", 1, 3, -1},
    [SLOT_B_NORMED] = {"norm output, again", 3, 7, -1},
    [SLOT_B_DNORMED] = {"gradient of a norm output", 3, 8, -1},
    [SLOT_B_DATT] = {"gradient of attention output", 5, 6, -1},
    [SLOT_B_DQKV] = {"gradient of qkv", 6, 7, -1},
    [SLOT_B_DELTA] = {"attention delta", 6, 6, -1},
    [SLOT_B_LOW] = {"low-rank products, again", 1, 8, -1},
    [SLOT_B_DLOW] = {"gradient of low-rank products", 1, 8, -1},
    [SLOT_B_LOW_DROPPED] = {"input of low-rank products", 1, 8, -1},
};

static int64_t qkv_columns(const struct model_config *c)
{
    return (c->heads + 2 * c->kv_heads) * c->head_size;
}

/* Of the layer's matrices the largest sum of ranks, and the most that a part reads. */
static int64_t most_low(const struct block_memory *m)
{
    int64_t most = 0;
    for (int i = 0; i < MATRIX_COUNT; i++) {
        const int64_t rank = adapter_rank(m->adapter, m->config, m->layer, (enum adapter_matrix)i);
        if (rank > most) most = rank;
    }
    return most;
}

static int64_t most_low_dropped(const struct block_memory *m)
{
    const struct model_config *c = m->config;
    const int64_t att = c->heads * c->head_size, most = att > c->width ? att : c->width;
    if (!m->training || most_low(m) == 0 || !(m->adapter->dropout > 0)) return 0;
    return c->mlp > most ? c->mlp : most;
}

/* Columns of a slot (0: such a block has none) and their type. */
static int64_t slot_columns(const struct block_memory *m, enum block_slot s, enum dtype *t)
{
    const struct model_config *c = m->config;
    const bool mixed = m->dtype != DTYPE_F32;
    *t = m->dtype;
    switch (s) {
    case SLOT_NORMED1:
    case SLOT_NORMED2:
        return !c->norm_post || mixed ? c->width : 0;
    case SLOT_MEAN1:
    case SLOT_MEAN2:
        *t = DTYPE_F32;
        return m->training && c->norm == NORM_LAYER ? 1 : 0;
    case SLOT_RSTD1:
    case SLOT_RSTD2:
        *t = DTYPE_F32;
        return m->training ? 1 : 0;
    case SLOT_QKV:
    case SLOT_B_DQKV:
        return qkv_columns(c);
    case SLOT_RAW:
        return c->qk_norm ? qkv_columns(c) : 0;
    case SLOT_RAW_RSTD:
        *t = DTYPE_F32;
        return m->training && c->qk_norm ? c->heads + c->kv_heads : 0;
    case SLOT_BRANCH1:
    case SLOT_BRANCH2:
    case SLOT_B_NORM:
        return c->norm_branch ? c->width : 0;
    case SLOT_BRANCH1_MEAN:
    case SLOT_BRANCH2_MEAN:
        *t = DTYPE_F32;
        return m->training && c->norm_branch && c->norm == NORM_LAYER ? 1 : 0;
    case SLOT_BRANCH1_RSTD:
    case SLOT_BRANCH2_RSTD:
        *t = DTYPE_F32;
        return m->training && c->norm_branch ? 1 : 0;
    case SLOT_LSE:
    case SLOT_B_DELTA:
        *t = DTYPE_F32;
        return c->heads;
    case SLOT_ATT:
    case SLOT_B_DATT:
        return c->heads * c->head_size;
    case SLOT_DROPPED:
        *t = DTYPE_F32;
        return (m->training && m->dropout) || c->norm_branch ? c->width : 0;
    case SLOT_MID:
        *t = DTYPE_F32;
        return c->width;
    case SLOT_X1:
    case SLOT_SUM:
        *t = DTYPE_F32;
        return c->norm_post ? c->width : 0;
    case SLOT_B_STREAM:
        *t = DTYPE_F32;
        return c->norm_post || c->parallel ? c->width : 0;
    case SLOT_UP:
        return c->gated ? 2 * c->mlp : m->training ? c->mlp : 0;
    case SLOT_H:
    case SLOT_B_DH:
        return c->mlp;
    case SLOT_B_BRANCH:
        return m->dropout || mixed ? c->width : 0;
    case SLOT_B_NORMED:
        return c->width;
    case SLOT_B_DNORMED:
        return c->norm_post ? 0 : c->width;
    case SLOT_LOW:
    case SLOT_B_LOW:
    case SLOT_B_DLOW:
        return most_low(m);
    case SLOT_LOW_DROPPED:
    case SLOT_B_LOW_DROPPED:
        return most_low_dropped(m);
    case SLOT_COUNT:
        break;
    }
    return 0;
}

static enum err declare(struct errctx *e, const struct block_memory *m, struct arena *a,
                        enum block_slot s, int64_t first, int64_t last, size_t *index)
{
    enum dtype t;
    size_t bytes;
    const int64_t columns = slot_columns(m, s, &t);
    *index = BLOCK_ABSENT;
    if (columns == 0) return ERR_OK;
    if (!size_mul((size_t)columns, dtype_size(t), &bytes) ||
        !size_mul(bytes, (size_t)m->tokens, &bytes))
        return err_memory(e, slots[s].name, UINT64_MAX);
    return arena_add(e, a, slots[s].name, bytes, first, last, index);
}

enum err block_declare(struct errctx *e, const struct block_memory *m, struct arena *a,
                       int64_t forward, int64_t backward, struct block_items *out)
{
    for (int s = 0; s < SLOT_COUNT; s++) out->forward[s] = out->backward[s] = BLOCK_ABSENT;
    const int64_t behind = backward + AGAIN_STEPS;
    for (int s = 0; s < SLOT_FORWARD_COUNT; s++) {
        const bool kept = m->training && slots[s].back >= 0;
        const int64_t last = kept && !m->recompute ? behind + slots[s].back : forward + slots[s].to;
        TRY(declare(e, m, a, s, forward + slots[s].from, last, &out->forward[s]));
        if (!m->training) continue;
        if (!m->recompute)
            out->backward[s] = kept ? out->forward[s] : BLOCK_ABSENT;
        else
            TRY(declare(e, m, a, s, backward + slots[s].from,
                        kept ? behind + slots[s].back : backward + slots[s].to, &out->backward[s]));
    }
    for (int s = SLOT_FORWARD_COUNT; s < SLOT_COUNT && m->training; s++)
        TRY(declare(e, m, a, s, behind + slots[s].from, behind + slots[s].to, &out->backward[s]));
    return ERR_OK;
}

/* ------------------------------------------------------------------ small pieces */

static struct mat slot_mat(const struct pass *p, const struct buf *s, enum block_slot slot)
{
    const struct block_memory m = {
        .config = p->config, .dtype = p->dtype, .training = true, .dropout = true};
    enum dtype t;
    const int64_t columns = slot_columns(&m, slot, &t);
    return mat_rows(s[slot], t, columns);
}

static struct mat mat_from_row(struct mat m, int64_t row)
{
    const size_t skip = (size_t)row * (size_t)m.ld * dtype_size(m.dtype);
    m.buf = buf_at(m.buf, skip, m.buf.bytes - skip);
    return m;
}

static float weight_offset(const struct model_config *c)
{
    return c->norm_plus_one ? 1 : 0;
}

void norm_apply(const struct pass *p, const struct norm *n, int64_t N, struct mat x, struct mat y,
                struct buf mean, struct buf rstd)
{
    const struct model_config *c = p->config;
    p->k->norm_forward(p->k, c->norm, N, c->width, x, n->weight, weight_offset(c), n->bias,
                       (float)c->norm_eps, y, mean, rstd);
}

void norm_apply_backward(const struct pass *p, const struct norm *n, int64_t N, struct mat dy,
                         struct mat x, struct buf mean, struct buf rstd, struct mat dx, bool add)
{
    const struct model_config *c = p->config;
    p->k->norm_backward(p->k, c->norm, N, c->width, dy, x, n->weight, weight_offset(c), mean, rstd,
                        dx, add, n->dweight, n->dbias);
}

void dropout_apply(const struct pass *p, uint32_t place, struct mat x, struct mat y)
{
    const struct dropout_args a = {.N = p->N,
                                   .C = p->config->width,
                                   .x = x,
                                   .y = y,
                                   .p = p->dropout,
                                   .key = p->key,
                                   .step = p->step,
                                   .lane = place << 20,
                                   .ordinal = p->ordinal,
                                   .position = p->position};
    p->k->dropout(p->k, &a);
}

/* Zeroes the tokens that stand in no row. */
static void zero_padding(const struct pass *p, struct mat m)
{
    for (int64_t b = 0; b < p->rows; b++) {
        const int64_t end = p->q_start[b] + p->q_len[b];
        const int64_t next = b + 1 < p->rows ? p->q_start[b + 1] : p->N;
        const size_t row = (size_t)m.ld * dtype_size(m.dtype);
        if (next > end)
            p->k->zero(p->k, buf_at(m.buf, (size_t)end * row, (size_t)(next - end) * row));
    }
}

/* Lanes of dropout before low-rank parts: far from those of the branches. */
enum { LOW_PLACES = 2048 };

/* Where the low-rank parts beside l compute. Which of the block's matrices l is decides the lane of
 * their dropout. */
struct low {
    struct lora_work work;
    struct dropout_args dropout;
};

static const struct lora_work *low_of(const struct pass *p, const struct block *b,
                                      const struct linear *l, const struct buf *s, bool backward,
                                      struct low *out)
{
    const struct linear *const matrices[] = {&b->qkv, &b->out, &b->up, &b->down};
    uint32_t place = LOW_PLACES + 4 * (uint32_t)b->layer;
    int64_t rank = 0;
    if (l->lora_count == 0) return NULL;
    for (int64_t i = 0; i < l->lora_count; i++) rank += l->lora[i].rank;
    for (uint32_t i = 0; i < ARRAY_LEN(matrices); i++)
        if (l == matrices[i]) place += i;
    out->dropout = (struct dropout_args){.p = p->lora_dropout,
                                         .key = p->key,
                                         .step = p->step,
                                         .lane = place << 20,
                                         .ordinal = p->ordinal,
                                         .position = p->position};
    out->work = (struct lora_work){
        .low = mat_rows(s[backward ? SLOT_B_LOW : SLOT_LOW], p->dtype, rank),
        .dropped = mat_rows(s[backward ? SLOT_B_LOW_DROPPED : SLOT_LOW_DROPPED], p->dtype, l->in),
        .dropout = p->lora_dropout > 0 ? &out->dropout : NULL};
    if (backward) out->work.dlow = mat_rows(s[SLOT_B_DLOW], p->dtype, rank);
    return &out->work;
}

static void product(const struct pass *p, const struct block *b, const struct linear *l,
                    const struct buf *s, struct mat x, struct mat y, enum activation act,
                    struct mat before, struct mat residual)
{
    struct low low;
    const struct lora_work *w = low_of(p, b, l, s, false, &low);
    if (p->skinny)
        linear_decode(p->k, l, p->N, x, y, act, residual, w);
    else
        linear_forward(p->k, l, p->N, p->grains, x, y, act, before, residual, w);
}

static void product_backward(const struct pass *p, const struct block *b, const struct linear *l,
                             const struct buf *s, struct mat x, struct mat dy, struct mat dx,
                             struct mat residual)
{
    struct low low;
    linear_backward(p->k, l, p->N, p->grains, x, dy, dx, residual, low_of(p, b, l, s, true, &low));
}

/* The norm of a branch, and where what it reads and its statistics are kept. */
struct branch_norm {
    const struct norm *norm;
    enum block_slot raw, mean, rstd;
};

static struct branch_norm attention_norm(const struct block *b)
{
    return (struct branch_norm){&b->attention_norm, SLOT_BRANCH1, SLOT_BRANCH1_MEAN,
                                SLOT_BRANCH1_RSTD};
}

static struct branch_norm mlp_norm(const struct block *b)
{
    return (struct branch_norm){&b->mlp_norm, SLOT_BRANCH2, SLOT_BRANCH2_MEAN, SLOT_BRANCH2_RSTD};
}

/* y = x + drop([norm](l(branch))); without y only what the backward pass wants is done. */
static void join(const struct pass *p, const struct block *b, const struct linear *l,
                 uint32_t place, struct branch_norm norm, const struct buf *s, struct mat branch,
                 struct mat x, struct mat y)
{
    const struct mat none = {0}, dropped = slot_mat(p, s, SLOT_DROPPED);
    const bool normed = p->config->norm_branch, wanted = buf_present(y.buf);
    if (!normed && !wanted) return;
    if (!normed && !(p->dropout > 0)) {
        product(p, b, l, s, branch, y, ACT_NONE, none, x);
        return;
    }
    const struct mat raw = normed ? slot_mat(p, s, norm.raw) : dropped;
    product(p, b, l, s, branch, raw, ACT_NONE, none, none);
    if (normed) norm_apply(p, norm.norm, p->N, raw, dropped, s[norm.mean], s[norm.rstd]);
    if (!wanted) return;
    if (p->dropout > 0) dropout_apply(p, place, dropped, dropped);
    p->k->add(p->k, p->N, p->config->width, x, dropped, y);
}

/* An F32 stream as a product reads it. */
static struct mat as_activation(const struct pass *p, struct mat stream, struct mat place)
{
    if (p->dtype == DTYPE_F32) return stream;
    p->k->convert(p->k, p->N, p->config->width, stream, place);
    return place;
}

/* ------------------------------------------------------------------ forward */

/* Tokens that a query of the layer sees, 0: all. */
static int64_t window_of(const struct model_config *c, int layer)
{
    const bool without = c->window_every > 0 && (layer + 1) % c->window_every == 0;
    return without ? 0 : c->window;
}

/* Of `rows` rows of the pass from `first` on. */
static struct attention_args attention_of(const struct pass *p, const struct block *b,
                                          const struct buf *s, struct mat cache, int64_t first,
                                          int64_t rows)
{
    const struct model_config *c = p->config;
    const int64_t q = c->heads * c->head_size, kv = c->kv_heads * c->head_size;
    const struct mat qkv = slot_mat(p, s, SLOT_QKV);
    const bool cached = buf_present(cache.buf);
    return (struct attention_args){.B = rows,
                                   .H = c->heads,
                                   .G = c->kv_heads,
                                   .D = c->head_size,
                                   .q = qkv,
                                   .k = cached ? cache : mat_columns(qkv, q),
                                   .v = cached ? mat_columns(cache, kv) : mat_columns(qkv, q + kv),
                                   .out = slot_mat(p, s, SLOT_ATT),
                                   .lse = s[SLOT_LSE],
                                   .lse_ld = p->capacity,
                                   .q_start = p->q_start + first,
                                   .q_len = p->q_len + first,
                                   .kv_start = p->kv_start + first,
                                   .kv_len = p->kv_len + first,
                                   .q_offset = p->q_offset + first,
                                   .scale = (float)c->attention_scale,
                                   .softcap = (float)c->attention_softcap,
                                   .window = window_of(c, b->layer),
                                   .causal = c->causal};
}

static void rotate(const struct pass *p, struct mat qkv, bool inverse)
{
    const struct model_config *c = p->config;
    if (c->position != POSITION_ROPE) return;
    /* Queries and keys stand side by side: heads of one width. */
    p->k->rope(p->k, p->N, c->heads + c->kv_heads, c->head_size, c->rope_dims, p->angle, p->cosine,
               p->sine, qkv, inverse);
}

/* The norms of heads: queries' first, then keys'. Their statistics lie head by head. */
static struct mat head_of(const struct pass *p, struct mat m, int64_t h)
{
    return mat_columns(m, h * p->config->head_size);
}

static struct buf head_rstd(const struct pass *p, const struct buf *s, int64_t h)
{
    const size_t bytes = (size_t)p->capacity * sizeof(float);
    if (!buf_present(s[SLOT_RAW_RSTD])) return s[SLOT_RAW_RSTD];
    return buf_at(s[SLOT_RAW_RSTD], (size_t)h * bytes, bytes);
}

static void norm_heads(const struct pass *p, const struct block *b, const struct buf *s,
                       struct mat raw, struct mat qkv)
{
    const struct model_config *c = p->config;
    const int64_t both = c->heads + c->kv_heads;
    const struct buf absent = {0};
    for (int64_t h = 0; h < both; h++)
        p->k->norm_forward(p->k, NORM_RMS, p->N, c->head_size, head_of(p, raw, h),
                           (h < c->heads ? &b->q_norm : &b->k_norm)->weight, weight_offset(c),
                           absent, (float)c->norm_eps, head_of(p, qkv, h), absent,
                           head_rstd(p, s, h));
    p->k->convert(p->k, p->N, c->kv_heads * c->head_size, head_of(p, raw, both),
                  head_of(p, qkv, both));
}

static void norm_heads_backward(const struct pass *p, const struct block *b, const struct buf *s,
                                struct mat dqkv)
{
    const struct model_config *c = p->config;
    const struct mat raw = slot_mat(p, s, SLOT_RAW);
    const struct buf absent = {0};
    for (int64_t h = 0; h < c->heads + c->kv_heads; h++) {
        const struct norm *n = h < c->heads ? &b->q_norm : &b->k_norm;
        p->k->norm_backward(p->k, NORM_RMS, p->N, c->head_size, head_of(p, dqkv, h),
                            head_of(p, raw, h), n->weight, weight_offset(c), absent,
                            head_rstd(p, s, h), head_of(p, dqkv, h), false, n->dweight, absent);
    }
}

static void append_to_cache(const struct pass *p, struct mat qkv, struct mat cache, int64_t first,
                            int64_t rows)
{
    const struct model_config *c = p->config;
    const struct mat new = mat_columns(qkv, c->heads * c->head_size);
    for (int64_t b = first; b < first + rows; b++)
        p->k->convert(p->k, p->q_len[b], 2 * c->kv_heads * c->head_size,
                      mat_from_row(new, p->q_start[b]), mat_from_row(cache, p->cache_row[b]));
}

static void attend(const struct pass *p, const struct block *b, const struct buf *s, struct mat x,
                   struct mat cache)
{
    const struct mat none = {0}, qkv = slot_mat(p, s, SLOT_QKV), raw = slot_mat(p, s, SLOT_RAW);
    product(p, b, &b->qkv, s, x, p->config->qk_norm ? raw : qkv, ACT_NONE, none, none);
    if (p->config->qk_norm) norm_heads(p, b, s, raw, qkv);
    rotate(p, qkv, false);
    zero_padding(p, slot_mat(p, s, SLOT_ATT));
    for (int64_t i = 0; i < (p->turns ? p->turns : 1); i++) {
        const int64_t first = p->turns ? p->turn[i] : 0;
        const int64_t rows = p->turns ? p->turn[i + 1] - first : p->rows;
        if (buf_present(cache.buf)) append_to_cache(p, qkv, cache, first, rows);
        const struct attention_args a = attention_of(p, b, s, cache, first, rows);
        p->k->attention_forward(p->k, &a);
    }
}

/* h = act(up(x)), keeping what stands before the activation where it is wanted. */
static struct mat expand(const struct pass *p, const struct block *b, const struct buf *s,
                         struct mat x)
{
    const struct model_config *c = p->config;
    const struct mat none = {0}, h = slot_mat(p, s, SLOT_H);
    const struct mat up = slot_mat(p, s, SLOT_UP);
    if (c->gated) {
        product(p, b, &b->up, s, x, up, ACT_NONE, none, none);
        p->k->gate_forward(p->k, c->act, p->N, c->mlp, up, h);
    } else {
        product(p, b, &b->up, s, x, h, c->act, up, none);
    }
    return h;
}

static uint32_t attention_place(const struct block *b)
{
    return 1 + 2 * (uint32_t)b->layer;
}

static uint32_t mlp_place(const struct block *b)
{
    return 2 + 2 * (uint32_t)b->layer;
}

static void run(const struct pass *p, const struct block *b, const struct buf *s, struct mat x,
                struct mat y, struct mat cache, bool again)
{
    const struct mat normed1 = slot_mat(p, s, SLOT_NORMED1), normed2 = slot_mat(p, s, SLOT_NORMED2);
    const struct mat mid = slot_mat(p, s, SLOT_MID), att = slot_mat(p, s, SLOT_ATT);
    if (!p->config->norm_post) {
        norm_apply(p, &b->norm1, p->N, x, normed1, s[SLOT_MEAN1], s[SLOT_RSTD1]);
        attend(p, b, s, normed1, cache);
        join(p, b, &b->out, attention_place(b), attention_norm(b), s, att, x, mid);
        norm_apply(p, &b->norm2, p->N, p->config->parallel ? x : mid, normed2, s[SLOT_MEAN2],
                   s[SLOT_RSTD2]);
        const struct mat h = expand(p, b, s, normed2);
        join(p, b, &b->down, mlp_place(b), mlp_norm(b), s, h, mid, y);
    } else {
        const struct mat x1 = slot_mat(p, s, SLOT_X1), sum = slot_mat(p, s, SLOT_SUM);
        attend(p, b, s, as_activation(p, x, normed1), cache);
        join(p, b, &b->out, attention_place(b), attention_norm(b), s, att, x, mid);
        norm_apply(p, &b->norm1, p->N, mid, x1, s[SLOT_MEAN1], s[SLOT_RSTD1]);
        const struct mat h = expand(p, b, s, as_activation(p, x1, normed2));
        join(p, b, &b->down, mlp_place(b), mlp_norm(b), s, h, x1, sum);
        /* Again: only the statistics are wanted; x1 has been read. */
        norm_apply(p, &b->norm2, p->N, sum, again ? x1 : y, s[SLOT_MEAN2], s[SLOT_RSTD2]);
    }
}

void block_forward(const struct pass *p, const struct block *b, const struct buf *s, struct mat x,
                   struct mat y, struct mat cache)
{
    run(p, b, s, x, y, cache, false);
}

void block_again(const struct pass *p, const struct block *b, const struct buf *s, struct mat x)
{
    run(p, b, s, x, (struct mat){0}, (struct mat){0}, true);
}

/* ------------------------------------------------------------------ backward */

/* The gradient of a branch's last product from that of the stream it joined. */
static struct mat branch_gradient(const struct pass *p, const struct buf *s, uint32_t place,
                                  struct branch_norm norm, struct mat dstream)
{
    const struct mat branch = slot_mat(p, s, SLOT_B_BRANCH);
    struct mat d = branch;
    if (p->dropout > 0)
        dropout_apply(p, place, dstream, branch);
    else
        d = as_activation(p, dstream, branch);
    if (!p->config->norm_branch) return d;
    const struct mat before = slot_mat(p, s, SLOT_B_NORM);
    norm_apply_backward(p, norm.norm, p->N, d, slot_mat(p, s, norm.raw), s[norm.mean], s[norm.rstd],
                        before, false);
    return before;
}

/* From the gradient of down's output to that of up's output, which is returned. */
static struct mat contract_backward(const struct pass *p, const struct block *b,
                                    const struct buf *s, struct mat d)
{
    const struct model_config *c = p->config;
    const struct mat none = {0}, up = slot_mat(p, s, SLOT_UP);
    const struct mat dh = slot_mat(p, s, SLOT_B_DH);
    struct low low;
    const struct lora_work *w = low_of(p, b, &b->down, s, true, &low);
    linear_backward_input(p->k, &b->down, p->N, p->grains, d, dh, none, w);
    /* h once more, beside its gradient: each goes where the other came from. */
    const struct mat h = c->gated ? dh : up, dup = c->gated ? up : dh;
    if (c->gated)
        p->k->gate_backward(p->k, c->act, p->N, c->mlp, up, dh, dup, h);
    else
        p->k->act_backward(p->k, c->act, p->N, c->mlp, up, dh, dup, h);
    linear_backward_weight(p->k, &b->down, p->N, p->grains, h, d, w);
    return dup;
}

/* From the gradient of out's output to that of qkv's output, which is returned. */
static struct mat attend_backward(const struct pass *p, const struct block *b, const struct buf *s,
                                  struct mat d)
{
    const struct model_config *c = p->config;
    const int64_t q = c->heads * c->head_size, kv = c->kv_heads * c->head_size;
    const struct mat none = {0}, datt = slot_mat(p, s, SLOT_B_DATT),
                     dqkv = slot_mat(p, s, SLOT_B_DQKV);
    product_backward(p, b, &b->out, s, slot_mat(p, s, SLOT_ATT), d, datt, none);
    const struct attention_args a = attention_of(p, b, s, none, 0, p->rows);
    zero_padding(p, dqkv);
    p->k->attention_backward(p->k, &a, datt, s[SLOT_B_DELTA], dqkv, mat_columns(dqkv, q),
                             mat_columns(dqkv, q + kv));
    rotate(p, dqkv, true);
    if (c->qk_norm) norm_heads_backward(p, b, s, dqkv);
    return dqkv;
}

void block_backward(const struct pass *p, const struct block *b, const struct buf *s, struct mat x,
                    struct mat dx)
{
    const struct mat none = {0}, mid = slot_mat(p, s, SLOT_MID);
    const struct mat normed = slot_mat(p, s, SLOT_B_NORMED);
    struct mat d;
    if (!p->config->norm_post) {
        const bool parallel = p->config->parallel;
        const struct mat dnormed = slot_mat(p, s, SLOT_B_DNORMED), from = parallel ? x : mid;
        const struct mat by_mlp = parallel ? slot_mat(p, s, SLOT_B_STREAM) : dx;
        d = contract_backward(p, b, s, branch_gradient(p, s, mlp_place(b), mlp_norm(b), dx));
        norm_apply(p, &b->norm2, p->N, from, normed, none.buf, none.buf);
        product_backward(p, b, &b->up, s, normed, d, dnormed, none);
        norm_apply_backward(p, &b->norm2, p->N, dnormed, from, s[SLOT_MEAN2], s[SLOT_RSTD2], by_mlp,
                            !parallel);

        d = attend_backward(p, b, s,
                            branch_gradient(p, s, attention_place(b), attention_norm(b), dx));
        if (parallel) p->k->add(p->k, p->N, p->config->width, dx, by_mlp, dx);
        norm_apply(p, &b->norm1, p->N, x, normed, none.buf, none.buf);
        product_backward(p, b, &b->qkv, s, normed, d, dnormed, none);
        norm_apply_backward(p, &b->norm1, p->N, dnormed, x, s[SLOT_MEAN1], s[SLOT_RSTD1], dx, true);
    } else {
        const struct mat inner = slot_mat(p, s, SLOT_B_STREAM), sum = slot_mat(p, s, SLOT_SUM);
        norm_apply_backward(p, &b->norm2, p->N, dx, sum, s[SLOT_MEAN2], s[SLOT_RSTD2], inner,
                            false);
        d = contract_backward(p, b, s, branch_gradient(p, s, mlp_place(b), mlp_norm(b), inner));
        norm_apply(p, &b->norm1, p->N, mid, normed, none.buf, none.buf);
        product_backward(p, b, &b->up, s, normed, d, dx, inner);

        norm_apply_backward(p, &b->norm1, p->N, dx, mid, s[SLOT_MEAN1], s[SLOT_RSTD1], inner,
                            false);
        d = attend_backward(p, b, s,
                            branch_gradient(p, s, attention_place(b), attention_norm(b), inner));
        product_backward(p, b, &b->qkv, s, as_activation(p, x, normed), d, dx, inner);
    }
}
