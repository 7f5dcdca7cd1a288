/* SPDX-License-Identifier: Apache-2.0 */
/* loss.c: the head: from hidden states to logits and loss, and back, in chunks: the [N, V] logits
 * never exist whole.
 *
 *   scored places of each grain, laid end to end, zero-padded to KERNEL_STEP
 *        (places that predict nothing cost nothing)
 *        -> [dense, activation, norm: masked head] -> pieces of at most model_piece rows
 *        -> logits = x W^T + b (F32) -> loss, d logits (in place)
 *        -> dx = d logits W, dW += d logits^T x
 *
 * A grain's pieces follow from its scored places and the shapes alone, and each piece is a grain of
 * the products; as many whole pieces as fit into `chunk` rows go into one call. So neither chunk
 * nor micro-batch shows in the bits. */
#include <math.h>
#include <string.h>

#include "common/model/parts.h"

enum { PIECE_ROWS = 512 };
/* Of the logits of a piece. The fewer exist at a time, the more often W (V C numbers) and its
 * gradient are read. */
#define PIECE_BYTES ((int64_t)32 << 20)

int64_t model_piece(int64_t vocab)
{
    int64_t rows = PIECE_BYTES / (4 * vocab) / KERNEL_STEP * KERNEL_STEP;
    if (rows < KERNEL_STEP) rows = KERNEL_STEP;
    return rows < PIECE_ROWS ? rows : PIECE_ROWS;
}

/* Rows begin with a cache line, and no two near each other at the same place of a page, which would
 * push each other out of the caches. */
int64_t model_logits_ld(int64_t vocab)
{
    return (vocab + 31) / 32 * 32 + 16;
}

static struct mat rows_from(struct mat m, int64_t row)
{
    const size_t skip = (size_t)row * (size_t)m.ld * dtype_size(m.dtype);
    m.buf = buf_at(m.buf, skip, m.buf.bytes - skip);
    return m;
}

static struct buf numbers_from(struct buf b, int64_t first)
{
    return buf_at(b, (size_t)first * 4, b.bytes - (size_t)first * 4);
}

static struct mat activation(const struct model *m, const struct buf *slots, enum model_slot slot)
{
    return mat_rows(slots[slot], m->use.dtype, m->c.width);
}

struct mat head_prepare(const struct model *m, const struct pass *p, const struct buf *slots,
                        int64_t n, struct grid grains, struct mat x)
{
    if (!m->c.mlm_head) return x;
    const struct mat none = {0}, dense = activation(m, slots, MODEL_DENSE);
    const struct mat acted = activation(m, slots, MODEL_ACTED),
                     normed = activation(m, slots, MODEL_NORMED);
    if (p->skinny)
        linear_decode(p->k, &m->dense, n, x, acted, m->c.act, none, NULL);
    else
        linear_forward(p->k, &m->dense, n, grains, x, acted, m->c.act, dense, none, NULL);
    norm_apply(p, &m->head_norm, n, acted, normed, slots[MODEL_HEAD_MEAN], slots[MODEL_HEAD_RSTD]);
    return normed;
}

/* Fills index, back, target, weight and the pieces from the batch; returns Nc. */
static int64_t find_scored(struct model *m, const struct batch *b)
{
    const int64_t piece = model_piece(m->c.vocab);
    int64_t n = 0;
    m->pieces = 0;
    for (int64_t g = 0; g < b->grains; g++) {
        const int64_t first = n;
        for (int64_t i = b->grain_start[g]; i < b->grain_start[g + 1]; i++) {
            m->back[i] = -1;
            if (b->target[i] < 0) continue;
            m->back[i] = (int32_t)n;
            m->index[n] = (int32_t)i;
            m->target[n] = b->target[i];
            m->weight[n++] = b->weight[i];
        }
        for (; n % KERNEL_STEP != 0; n++) {
            m->index[n] = m->target[n] = -1;
            m->weight[n] = 0;
        }
        for (int64_t at = first; at < n; at += piece) m->piece[m->pieces++] = at;
    }
    m->piece[m->pieces] = n;
    return n;
}

/* One call's worth of pieces, from `first` on: returns the one behind. The grid is relative to its
 * first row. */
static int64_t next_run(const struct model *m, int64_t first, struct grid *grid)
{
    int64_t last = first + 1;
    while (last < m->pieces && m->piece[last + 1] - m->piece[first] <= m->work.layout.chunk) last++;
    for (int64_t i = first; i <= last; i++) m->run[i - first] = m->piece[i] - m->piece[first];
    *grid = (struct grid){.n = last - first, .start = m->run};
    return last;
}

/* The gradient lies where the logits were, in the type that products read. */
static struct mat gradient_in_place(const struct model *m, struct mat logits)
{
    if (m->use.dtype == logits.dtype) return logits;
    return mat_rows(logits.buf, m->use.dtype,
                    logits.ld * (int64_t)(dtype_size(logits.dtype) / dtype_size(m->use.dtype)));
}

static void score(struct model *m, struct mat x, bool gradient, bool ranks)
{
    struct kernels *k = m->k;
    const struct mat none = {0}, logits = mat_rows(m->work.slots[MODEL_LOGITS], DTYPE_F32,
                                                   model_logits_ld(m->c.vocab));
    const struct mat dlogits = gradient_in_place(m, logits);
    const struct buf absent = {0};
    struct grid grid;
    for (int64_t i = 0, next; i < m->pieces; i = next) {
        next = next_run(m, i, &grid);
        const int64_t at = m->piece[i], n = m->piece[next] - at;
        const struct mat part = rows_from(x, at);
        linear_forward(k, &m->head, n, grid, part, logits, ACT_NONE, none, none, NULL);
        const struct cross_entropy_args a = {
            .N = n,
            .V = m->c.vocab,
            .logits = logits,
            .target = numbers_from(m->work.slots[MODEL_TARGET], at),
            .weight = numbers_from(m->work.slots[MODEL_WEIGHT], at),
            .loss = numbers_from(m->work.slots[MODEL_LOSS], at),
            .softcap = (float)m->c.logit_softcap,
            .rank = ranks ? numbers_from(m->work.slots[MODEL_RANK], at) : absent,
            .gradient = gradient ? dlogits : none};
        k->cross_entropy(k, &a);
        if (gradient)
            linear_backward(k, &m->head, n, grid, part, dlogits,
                            rows_from(activation(m, m->work.slots, MODEL_DSCORED), at), none, NULL);
    }
}

/* From the gradient of what the decoder reads to that of the stream. */
static void head_backward(struct model *m, int64_t n)
{
    struct kernels *k = m->k;
    const struct pass *p = &m->pass;
    const int64_t C = m->c.width;
    const struct grid pieces = {.n = m->pieces, .start = m->piece};
    const struct mat none = {0}, dscored = activation(m, m->work.slots, MODEL_DSCORED);
    const struct mat dx = mat_rows(m->work.slots[MODEL_DX], DTYPE_F32, C);
    if (m->c.mlm_head && n > 0) {
        const struct mat dacted = activation(m, m->work.slots, MODEL_DACTED);
        norm_apply_backward(p, &m->head_norm, n, dscored, activation(m, m->work.slots, MODEL_ACTED),
                            m->work.slots[MODEL_HEAD_MEAN], m->work.slots[MODEL_HEAD_RSTD], dacted,
                            false);
        k->act_backward(k, m->c.act, n, C, activation(m, m->work.slots, MODEL_DENSE), dacted,
                        dacted, none);
        linear_backward(k, &m->dense, n, pieces, activation(m, m->work.slots, MODEL_SCORED), dacted,
                        dscored, none, NULL);
    }
    const struct mat back = m->c.final_norm ? activation(m, m->work.slots, MODEL_DHIDDEN) : dx;
    k->gather(k, p->N, C, m->work.slots[MODEL_BACK], dscored, back);
    if (m->c.final_norm)
        norm_apply_backward(
            p, &m->final_norm, p->N, back, mat_rows(m->work.slots[MODEL_FINAL], DTYPE_F32, C),
            m->work.slots[MODEL_FINAL_MEAN], m->work.slots[MODEL_FINAL_RSTD], dx, false);
}

static void upload_numbers(struct model *m, enum model_slot slot, const void *from, int64_t n)
{
    m->k->upload(m->k, m->work.slots[slot], from, (size_t)n * 4);
}

static enum err check_call(struct errctx *e, const struct model *m, const struct batch *b,
                           bool gradient)
{
    if (m->batch != b)
        return err_set(e, ERR_USAGE, "BUG: the loss of a batch that was not the last forward");
    if (gradient && !m->use.training)
        return err_set(e, ERR_USAGE, "BUG: gradients of a model not opened for training");
    for (int64_t i = 0; i < b->tokens; i++)
        if (b->target[i] >= m->c.vocab)
            return err_set(e, ERR_INPUT, "target %d is not in the model's vocabulary of %lld",
                           b->target[i], (long long)m->c.vocab);
    return ERR_OK;
}

enum err model_loss(struct errctx *e, struct model *m, const struct batch *b, bool gradient,
                    float *loss, int32_t *rank, double *sum)
{
    struct kernels *k = m->k;
    TRY(check_call(e, m, b, gradient));
    const int64_t n = find_scored(m, b);
    upload_numbers(m, MODEL_BACK, m->back, b->tokens);
    upload_numbers(m, MODEL_INDEX, m->index, n);
    upload_numbers(m, MODEL_TARGET, m->target, n);
    upload_numbers(m, MODEL_WEIGHT, m->weight, n);
    if (n > 0) {
        const struct grid pieces = {.n = m->pieces, .start = m->piece};
        const struct mat scored = activation(m, m->work.slots, MODEL_SCORED);
        k->gather(k, n, m->c.width, m->work.slots[MODEL_INDEX], model_hidden(m), scored);
        score(m, head_prepare(m, &m->pass, m->work.slots, n, pieces, scored), gradient,
              rank != NULL);
    }
    if (gradient) head_backward(m, n);
    m->head_done = gradient;
    k->sync(k);
    k->download(k, m->work.slots[MODEL_LOSS], m->loss, (size_t)n * 4);
    if (rank) k->download(k, m->work.slots[MODEL_RANK], m->rank, (size_t)n * 4);
    for (int64_t i = 0; i < b->tokens; i++) {
        const int32_t at = m->back[i];
        if (loss) loss[i] = at < 0 ? 0 : m->loss[at];
        if (rank) rank[i] = at < 0 ? -1 : m->rank[at];
        if (at >= 0) *sum += (double)m->weight[at] * (double)m->loss[at];
    }
    return ERR_OK;
}

struct mat model_hidden(const struct model *m)
{
    if (m->c.final_norm) return activation(m, m->work.slots, MODEL_HIDDEN);
    return mat_rows(m->work.slots[MODEL_FINAL], DTYPE_F32, m->c.width);
}

void cap_logits(const struct model *m, int64_t n, float *logits)
{
    const float cap = (float)m->c.logit_softcap;
    for (int64_t i = 0; cap > 0 && i < n; i++) logits[i] = cap * tanhf(logits[i] / cap);
}

enum err model_logits(struct errctx *e, struct model *m, const struct batch *b, int64_t n,
                      const int32_t *index, float *out)
{
    struct kernels *k = m->k;
    const struct layout *l = &m->work.layout;
    const int64_t V = m->c.vocab, most = l->chunk < l->tokens ? l->chunk : l->tokens;
    const struct mat none = {0}, scored = activation(m, m->work.slots, MODEL_SCORED);
    const struct mat logits = mat_rows(m->work.slots[MODEL_LOGITS], DTYPE_F32, V);
    TRY(check_call(e, m, b, false));
    for (int64_t at = 0; at < n; at += most) {
        const int64_t part = n - at < most ? n - at : most;
        int64_t padded = part;
        memcpy(m->index, index + at, (size_t)part * sizeof *index);
        while (padded % KERNEL_STEP != 0) m->index[padded++] = -1;
        const int64_t ends[2] = {0, padded};
        const struct grid grid = {.n = 1, .start = ends};
        upload_numbers(m, MODEL_INDEX, m->index, padded);
        k->gather(k, padded, m->c.width, m->work.slots[MODEL_INDEX], model_hidden(m), scored);
        const struct mat x = head_prepare(m, &m->pass, m->work.slots, padded, grid, scored);
        linear_forward(k, &m->head, padded, grid, x, logits, ACT_NONE, none, none, NULL);
        k->sync(k);
        k->download(k, logits.buf, out + at * V, (size_t)part * (size_t)V * sizeof *out);
        cap_logits(m, part * V, out + at * V);
    }
    return ERR_OK;
}
