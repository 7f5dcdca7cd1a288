/* SPDX-License-Identifier: Apache-2.0 */
/* decoder.c: one token after another: each block's keys and values of what has been read are kept,
 * so that a new token costs one row of every product.
 *
 *   cache    [layers][sequences * context][k | v: 2 G D], of the activations' type
 *   prompt   a grain of its own, in pieces of PROMPT_TOKENS counted from its first token: products
 *            as in training
 *   step     one row per sequence: products by `skinny`, whose rows do not depend on each other
 *
 * So the numbers of a sequence do not depend on its company, to the bit. */
#include "common/model/decoder.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/model/parts.h"

enum { PROMPT_TOKENS = 512 };

struct decoder {
    struct model *m;
    int64_t sequences, context, tokens; /* tokens: most in one pass */
    int64_t *length;                    /* [sequences] */
    struct workspace work;
    struct buf cache;
    /* of one pass, [tokens] or [sequences] */
    int32_t *ids, *position, *place, *type;
    int32_t *q_start, *q_len, *kv_start, *kv_len, *q_offset;
    int64_t *cache_row;
};

static int64_t round_up(int64_t n)
{
    return (n + KERNEL_STEP - 1) / KERNEL_STEP * KERNEL_STEP;
}

/* Most tokens of one pass. */
static int64_t pass_tokens(int64_t sequences, int64_t context)
{
    const int64_t prompt = round_up(context < PROMPT_TOKENS ? context : PROMPT_TOKENS);
    return round_up(sequences) > prompt ? round_up(sequences) : prompt;
}

static enum err cache_bytes(struct errctx *e, const struct model_config *c, enum dtype dtype,
                            int64_t sequences, int64_t context, size_t *layer, size_t *all)
{
    const size_t row = 2 * (size_t)c->kv_heads * (size_t)c->head_size * dtype_size(dtype);
    size_t rows;
    if (!size_mul((size_t)sequences, (size_t)context, &rows) || rows > INT32_MAX)
        return err_set(e, ERR_USAGE, "%lld sequences of %lld tokens are too many for one cache",
                       (long long)sequences, (long long)context);
    if (!size_mul(row, rows, layer) || !size_mul(*layer, (size_t)c->layers, all))
        return err_memory(e, "cache of keys and values", UINT64_MAX);
    return ERR_OK;
}

static struct model_use decoder_use(enum dtype dtype, const struct adapter *adapter,
                                    int64_t sequences, int64_t context)
{
    return (struct model_use){
        .dtype = dtype, .tokens = pass_tokens(sequences, context), .adapter = adapter};
}

static enum err take_memory(struct errctx *e, struct decoder *d)
{
    struct model *m = d->m;
    const size_t n = (size_t)d->tokens, B = (size_t)d->sequences;
    const struct model_use use =
        decoder_use(m->use.dtype, m->use.adapter, d->sequences, d->context);
    size_t layer = 0, all = 0;
    TRY(cache_bytes(e, &m->c, use.dtype, d->sequences, d->context, &layer, &all));
    TRY(m->k->alloc(m->k, e, all, &d->cache));
    TRY(workspace_new(e, m->k, &m->c, &use, &d->work));
    TRY(mem_new(e, &d->length, B, sizeof *d->length, "decoder"));
    TRY(mem_new(e, &d->ids, n, sizeof *d->ids, "decoder"));
    TRY(mem_new(e, &d->position, n, sizeof *d->position, "decoder"));
    TRY(mem_new(e, &d->place, n, sizeof *d->place, "decoder"));
    TRY(mem_new(e, &d->type, n, sizeof *d->type, "decoder"));
    TRY(mem_new(e, &d->q_start, B, sizeof *d->q_start, "decoder"));
    TRY(mem_new(e, &d->q_len, B, sizeof *d->q_len, "decoder"));
    TRY(mem_new(e, &d->kv_start, B, sizeof *d->kv_start, "decoder"));
    TRY(mem_new(e, &d->kv_len, B, sizeof *d->kv_len, "decoder"));
    TRY(mem_new(e, &d->q_offset, B, sizeof *d->q_offset, "decoder"));
    return mem_new(e, &d->cache_row, B, sizeof *d->cache_row, "decoder");
}

enum err decoder_new(struct errctx *e, struct model *m, int64_t sequences, int64_t context,
                     struct decoder **out)
{
    struct decoder *d;
    *out = NULL;
    if (!m->c.causal)
        return err_set(e, ERR_INPUT, "the model is not causal: it cannot continue a text");
    if (sequences < 1 || context < 1 || context > m->c.context)
        return err_set(e, ERR_USAGE,
                       "a decoder for %lld sequences of %lld tokens: the model's context is %lld",
                       (long long)sequences, (long long)context, (long long)m->c.context);
    TRY(mem_new(e, &d, 1, sizeof *d, "decoder"));
    d->m = m;
    d->sequences = sequences;
    d->context = context;
    d->tokens = pass_tokens(sequences, context);
    if (take_memory(e, d) != ERR_OK) {
        decoder_free(d);
        return e->code;
    }
    *out = d;
    return ERR_OK;
}

void decoder_free(struct decoder *d)
{
    if (!d) return;
    if (buf_present(d->cache)) d->m->k->free(d->m->k, d->cache);
    workspace_free(d->m->k, &d->work);
    void *const arrays[] = {d->length, d->ids,      d->position, d->place,
                            d->type,   d->q_start,  d->q_len,    d->kv_start,
                            d->kv_len, d->q_offset, d->cache_row};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) mem_free(arrays[i]);
    mem_free(d);
}

void decoder_reset(struct decoder *d, int64_t s)
{
    d->length[s] = 0;
}

int64_t decoder_length(const struct decoder *d, int64_t s)
{
    return d->length[s];
}

enum err decoder_plan(struct errctx *e, const struct model_config *c, const struct model_use *model,
                      int64_t sequences, int64_t context, struct plan *out)
{
    const struct model_use use = decoder_use(model->dtype, model->adapter, sequences, context);
    struct layout l;
    size_t layer = 0, all = 0;
    TRY(cache_bytes(e, c, use.dtype, sequences, context, &layer, &all));
    TRY(layout_plan(e, c, &use, &l));
    if (plan_add(e, out, "cache of keys and values", all, false) == ERR_OK)
        (void)!plan_add(e, out, "memory of a decoding pass", l.arena.bytes, false);
    layout_fini(&l);
    return e->code;
}

/* ------------------------------------------------------------------ one pass */

static enum err check_ids(struct errctx *e, const struct decoder *d, int64_t n, const uint32_t *ids)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] >= (uint64_t)d->m->c.vocab)
            return err_set(e, ERR_INPUT, "id %u is not in the model's vocabulary of %lld", ids[i],
                           (long long)d->m->c.vocab);
    return ERR_OK;
}

static void put_row(struct decoder *d, int64_t b, int64_t sequence, int64_t start, int64_t n)
{
    const int64_t length = d->length[sequence];
    d->q_start[b] = (int32_t)start;
    d->q_len[b] = (int32_t)n;
    d->kv_start[b] = (int32_t)(sequence * d->context);
    d->kv_len[b] = (int32_t)(length + n);
    d->q_offset[b] = (int32_t)length;
    d->cache_row[b] = sequence * d->context + length;
}

static void put_token(struct decoder *d, int64_t at, uint32_t id, int64_t position)
{
    d->ids[at] = (int32_t)id;
    d->position[at] = (int32_t)position;
    d->place[at] = (int32_t)(position + d->m->c.position_offset);
    d->type[at] = 0;
}

static void put_padding(struct decoder *d, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        d->ids[i] = d->place[i] = d->type[i] = -1;
        d->position[i] = 0;
    }
}

static void upload(struct decoder *d, enum model_slot slot, const int32_t *from, int64_t n)
{
    struct kernels *k = d->m->k;
    if (buf_present(d->work.slots[slot]))
        k->upload(k, d->work.slots[slot], from, (size_t)n * sizeof *from);
}

static struct mat layer_cache(const struct decoder *d, int64_t layer)
{
    const struct model_config *c = &d->m->c;
    const size_t bytes = d->cache.bytes / (size_t)c->layers;
    return mat_rows(buf_at(d->cache, (size_t)layer * bytes, bytes), d->m->use.dtype,
                    2 * c->kv_heads * c->head_size);
}

static struct mat stream(const struct decoder *d, int64_t layer)
{
    if (layer < d->m->c.layers) return d->work.streams[layer];
    return mat_rows(d->work.slots[MODEL_FINAL], DTYPE_F32, d->m->c.width);
}

/* Runs embeddings and blocks over the N tokens and rows that have been put. */
static void run(struct decoder *d, struct pass *p, int64_t N, int64_t rows, bool skinny)
{
    struct model *m = d->m;
    const int64_t ends[2] = {0, N};
    workspace_enter(m->k, &m->c, &d->work, PART_EMBED, 0);
    upload(d, MODEL_IDS, d->ids, N);
    upload(d, MODEL_POSITION, d->position, N);
    upload(d, MODEL_PLACE, d->place, N);
    upload(d, MODEL_TYPE, d->type, N);
    *p = (struct pass){.k = m->k,
                       .config = &m->c,
                       .dtype = m->use.dtype,
                       .N = N,
                       .capacity = d->tokens,
                       .grains = {.n = skinny ? 0 : 1, .start = ends},
                       .rows = rows,
                       .q_start = d->q_start,
                       .q_len = d->q_len,
                       .kv_start = d->kv_start,
                       .kv_len = d->kv_len,
                       .q_offset = d->q_offset,
                       .position = d->work.slots[MODEL_POSITION],
                       .skinny = skinny,
                       .cache_row = d->cache_row};
    model_set_angles(m, p, d->work.slots);
    embed_tokens(m, p, d->work.slots, stream(d, 0));
    for (int64_t l = 0; l < m->c.layers; l++) {
        workspace_enter(m->k, &m->c, &d->work, PART_FORWARD, l);
        block_forward(p, &m->blocks[l], d->work.buffers[l].forward, stream(d, l), stream(d, l + 1),
                      layer_cache(d, l));
    }
    workspace_enter(m->k, &m->c, &d->work, PART_HEAD, 0);
    p->grains = (struct grid){0};
}

static struct mat from_row(struct mat x, int64_t row)
{
    const size_t skip = (size_t)row * (size_t)x.ld * dtype_size(x.dtype);
    x.buf = buf_at(x.buf, skip, x.buf.bytes - skip);
    return x;
}

/* Logits of n rows of the last stream, from row `first` on. */
static void logits_of(struct decoder *d, struct pass *p, int64_t first, int64_t n, float *out)
{
    struct model *m = d->m;
    struct kernels *k = m->k;
    const struct mat none = {0},
                     logits = mat_rows(d->work.slots[MODEL_LOGITS], DTYPE_F32, m->c.vocab);
    const struct mat last = from_row(stream(d, m->c.layers), first);
    struct mat x = mat_rows(d->work.slots[MODEL_SCORED], m->use.dtype, m->c.width);
    const int64_t most = d->work.layout.chunk < d->tokens ? d->work.layout.chunk : d->tokens;
    p->skinny = true;
    if (m->c.final_norm)
        norm_apply(p, &m->final_norm, n, last, x, none.buf, none.buf);
    else
        k->convert(k, n, m->c.width, last, x);
    x = head_prepare(m, p, d->work.slots, n, (struct grid){0}, x);
    for (int64_t at = 0; at < n; at += most) {
        const int64_t part = n - at < most ? n - at : most;
        linear_decode(k, &m->head, part, from_row(x, at), logits, ACT_NONE, none, NULL);
        k->sync(k);
        k->download(k, logits.buf, out + at * m->c.vocab,
                    (size_t)part * (size_t)m->c.vocab * sizeof *out);
        cap_logits(m, part * m->c.vocab, out + at * m->c.vocab);
    }
}

/* Pieces of a prompt end at multiples of this. */
static int64_t piece_tokens(const struct decoder *d)
{
    return d->tokens < PROMPT_TOKENS ? d->tokens : PROMPT_TOKENS;
}

/* A single query is another sum than one among others (attention.inc), so none is made of what
 * would be one of several: at the end, or before the end of a piece. */
int64_t decoder_shared(const struct decoder *d, int64_t alike, int64_t n)
{
    const int64_t piece = piece_tokens(d);
    int64_t shared = alike < n - 2 ? alike : n - 2;
    if (shared % piece == piece - 1) shared--;
    return shared > 0 ? shared : 0;
}

enum err decoder_prompt(struct errctx *e, struct decoder *d, int64_t s, int64_t n,
                        const uint32_t *ids, float *logits)
{
    struct pass p;
    const int64_t most = piece_tokens(d);
    if (n < 1) return err_set(e, ERR_USAGE, "BUG: a prompt without tokens");
    if (n > d->context - d->length[s])
        return err_set(e, ERR_INPUT, "%lld tokens after %lld do not fit into a context of %lld",
                       (long long)n, (long long)d->length[s], (long long)d->context);
    TRY(check_ids(e, d, n, ids));
    for (int64_t at = 0, part; at < n; at += part) {
        const int64_t room = most - d->length[s] % most;
        part = n - at < room ? n - at : room;
        const int64_t padded = round_up(part);
        for (int64_t i = 0; i < part; i++) put_token(d, i, ids[at + i], d->length[s] + i);
        put_padding(d, part, padded);
        put_row(d, 0, s, 0, part);
        run(d, &p, padded, 1, false);
        d->length[s] += part;
        if (at + part == n) logits_of(d, &p, part - 1, 1, logits);
    }
    return ERR_OK;
}

void decoder_copy(struct decoder *d, int64_t from, int64_t to, int64_t n)
{
    struct kernels *k = d->m->k;
    for (int64_t l = 0; l < d->m->c.layers && from != to; l++) {
        const struct mat all = layer_cache(d, l);
        k->convert(k, n, all.ld, from_row(all, from * d->context), from_row(all, to * d->context));
    }
    d->length[to] = n;
}

enum err decoder_step(struct errctx *e, struct decoder *d, int64_t count, const int64_t *sequences,
                      const uint32_t *ids, float *logits)
{
    struct pass p;
    if (count < 1 || count > d->sequences)
        return err_set(e, ERR_USAGE, "BUG: a step of %lld sequences in a decoder for %lld",
                       (long long)count, (long long)d->sequences);
    TRY(check_ids(e, d, count, ids));
    for (int64_t b = 0; b < count; b++) {
        const int64_t s = sequences[b];
        if (d->length[s] >= d->context)
            return err_set(e, ERR_INPUT, "a sequence of %lld tokens has filled its context",
                           (long long)d->length[s]);
        put_token(d, b, ids[b], d->length[s]);
        put_row(d, b, s, b, 1);
    }
    run(d, &p, count, count, true);
    for (int64_t b = 0; b < count; b++) d->length[sequences[b]]++;
    logits_of(d, &p, 0, count, logits);
    return ERR_OK;
}
