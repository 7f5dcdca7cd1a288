/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c: the memory of a model's passes as a table of lifetimes, and its plan.
 *
 * Phases, each of BLOCK_PHASES steps:
 *     0 embed | 1 .. L blocks forward | L + 1 head
 *     L + 2 .. 2 L + 1 blocks backward, last first | 2 L + 2 tables */
#include "common/base/asan.h"
#include "common/base/mem.h"
#include "common/model/parts.h"
#include "common/model/rope.h"

/* When a tensor of the model is alive. */
enum span {
    SPAN_ALL,      /* the whole pass */
    SPAN_EMBED,    /* embedding forward; in training until its backward */
    SPAN_FINAL,    /* from the last block to the end of the head */
    SPAN_HEAD,     /* steps from .. to of the head */
    SPAN_GRADIENT, /* from step `from` of the head to the end */
    SPAN_TABLES,   /* the last phase */
};

/* Steps of the head: 0 norm, 1 gather, 2 dense, 3 chunks, 4 dense backward, 5 gather back, 6 norm
 * backward. */
enum { HEAD_LAST = BLOCK_PHASES - 1, ASAN_ZONE = 1024 };
static const struct spec {
    const char *name;
    enum span span;
    int from, to;
} specs[MODEL_SLOT_COUNT] = {
    [MODEL_IDS] = {"batch", SPAN_ALL, 0, 0},
    [MODEL_POSITION] = {"batch", SPAN_ALL, 0, 0},
    [MODEL_ANGLE] = {"batch", SPAN_ALL, 0, 0},
    [MODEL_COSINE] = {"angles", SPAN_ALL, 0, 0},
    [MODEL_SINE] = {"angles", SPAN_ALL, 0, 0},
    [MODEL_SHARED] = {"keys and values of shared beginnings", SPAN_ALL, 0, 0},
    [MODEL_PLACE] = {"batch", SPAN_ALL, 0, 0},
    [MODEL_TYPE] = {"batch", SPAN_ALL, 0, 0},
    [MODEL_ORDINAL] = {"batch", SPAN_ALL, 0, 0},
    [MODEL_EMBEDDED] = {"embeddings before their norm", SPAN_EMBED, 0, 0},
    [MODEL_EMBED_MEAN] = {"norm statistics", SPAN_EMBED, 0, 0},
    [MODEL_EMBED_RSTD] = {"norm statistics", SPAN_EMBED, 0, 0},
    [MODEL_FINAL] = {"stream", SPAN_FINAL, 0, 0},
    [MODEL_FINAL_MEAN] = {"norm statistics", SPAN_HEAD, 0, HEAD_LAST},
    [MODEL_FINAL_RSTD] = {"norm statistics", SPAN_HEAD, 0, HEAD_LAST},
    [MODEL_HIDDEN] = {"hidden states", SPAN_HEAD, 0, HEAD_LAST},
    [MODEL_DX] = {"gradient of the stream", SPAN_GRADIENT, 5, 0},
    [MODEL_DEMBEDDED] = {"gradient of the embeddings", SPAN_TABLES, 0, 0},
    [MODEL_INDEX] = {"scored places", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_BACK] = {"scored places", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_TARGET] = {"scored places", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_WEIGHT] = {"scored places", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_LOSS] = {"scored places", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_RANK] = {"scored places", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_SCORED] = {"hidden states of scored places", SPAN_HEAD, 1, 4},
    [MODEL_DENSE] = {"masked head", SPAN_HEAD, 2, 4},
    [MODEL_ACTED] = {"masked head", SPAN_HEAD, 2, 4},
    [MODEL_NORMED] = {"masked head", SPAN_HEAD, 2, 3},
    [MODEL_HEAD_MEAN] = {"norm statistics", SPAN_HEAD, 2, 4},
    [MODEL_HEAD_RSTD] = {"norm statistics", SPAN_HEAD, 2, 4},
    [MODEL_LOGITS] = {"logits of a chunk", SPAN_HEAD, 3, 3},
    [MODEL_DSCORED] = {"gradient of scored places", SPAN_HEAD, 3, 5},
    [MODEL_DACTED] = {"gradient of the masked head", SPAN_HEAD, 4, 4},
    [MODEL_DHIDDEN] = {"gradient of the hidden states", SPAN_HEAD, 5, 6},
    [MODEL_TASK_X] = {"heads for labels", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_TASK_BEFORE] = {"heads for labels", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_TASK_AFTER] = {"heads for labels", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_TASK_Y] = {"heads for labels", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_TASK_DX] = {"heads for labels", SPAN_HEAD, 1, HEAD_LAST},
    [MODEL_DSTATES] = {"gradient of the hidden states", SPAN_HEAD, 1, HEAD_LAST},
};

/* The same for heads for labels: of the largest. */
static size_t task_row_bytes(const struct model_config *c, const struct model_use *use,
                             enum model_slot s)
{
    int64_t width = 0, dense = 0, outputs = 0;
    for (int64_t i = 0; use->heads && i < use->heads->count; i++) {
        const struct task *t = &use->heads->items[i];
        const int64_t w = task_width(t, c);
        width = w > width ? w : width;
        dense = t->dense && w > dense ? w : dense;
        outputs = t->outputs > outputs ? t->outputs : outputs;
    }
    switch (s) {
    case MODEL_TASK_X:
        return (size_t)width * sizeof(float);
    case MODEL_TASK_BEFORE:
    case MODEL_TASK_AFTER:
        return (size_t)dense * sizeof(float);
    case MODEL_TASK_Y:
        return (size_t)outputs * sizeof(float);
    case MODEL_TASK_DX:
        return use->training ? (size_t)width * sizeof(float) : 0;
    default: /* MODEL_DSTATES */
        return use->training && width > 0 ? (size_t)c->width * sizeof(float) : 0;
    }
}

/* Bytes per row, 0: this use has none. */
static size_t row_bytes(const struct model_config *c, const struct model_use *use,
                        enum model_slot s)
{
    const size_t C = (size_t)c->width, act = dtype_size(use->dtype), f32 = dtype_size(DTYPE_F32);
    switch (s) {
    case MODEL_IDS:
    case MODEL_POSITION:
    case MODEL_ORDINAL:
    case MODEL_INDEX:
    case MODEL_BACK:
    case MODEL_TARGET:
    case MODEL_WEIGHT:
    case MODEL_LOSS:
    case MODEL_RANK:
        return 4;
    case MODEL_ANGLE:
        return rope_by_length(c) ? 4 : 0;
    case MODEL_COSINE:
    case MODEL_SINE:
        return rope_by_pass(c) ? (size_t)c->rope_dims / 2 * f32 : 0;
    case MODEL_SHARED:
        return use->shares ? 2 * (size_t)(c->kv_heads * c->head_size) * act : 0;
    case MODEL_PLACE:
        return c->position == POSITION_LEARNED ? 4 : 0;
    case MODEL_TYPE:
        return c->types ? 4 : 0;
    case MODEL_EMBEDDED:
        return c->embed_norm ? C * f32 : 0;
    case MODEL_EMBED_MEAN:
    case MODEL_EMBED_RSTD:
        return c->embed_norm && use->training ? f32 : 0;
    case MODEL_FINAL:
        return C * f32;
    case MODEL_FINAL_MEAN:
    case MODEL_FINAL_RSTD:
        return c->final_norm && use->training ? f32 : 0;
    case MODEL_HIDDEN:
        return c->final_norm ? C * act : 0;
    case MODEL_DX:
        return use->training ? C * f32 : 0;
    case MODEL_DEMBEDDED:
        return use->training && c->embed_norm ? C * f32 : 0;
    case MODEL_SCORED:
        return C * act;
    case MODEL_DENSE:
    case MODEL_ACTED:
    case MODEL_NORMED:
        return c->mlm_head ? C * act : 0;
    case MODEL_HEAD_MEAN:
    case MODEL_HEAD_RSTD:
        return c->mlm_head && use->training ? f32 : 0;
    case MODEL_LOGITS:
        return (size_t)model_logits_ld(c->vocab) * f32;
    case MODEL_DSCORED:
        return use->training ? C * act : 0;
    case MODEL_DACTED:
        return use->training && c->mlm_head ? C * act : 0;
    case MODEL_DHIDDEN:
        return use->training && c->final_norm ? C * act : 0;
    case MODEL_TASK_X:
    case MODEL_TASK_BEFORE:
    case MODEL_TASK_AFTER:
    case MODEL_TASK_Y:
    case MODEL_TASK_DX:
    case MODEL_DSTATES:
        return task_row_bytes(c, use, s);
    case MODEL_SLOT_COUNT:
        break;
    }
    return 0;
}

/* First phase of a part. */
static int64_t forward_phase(int64_t layer)
{
    return (1 + layer) * BLOCK_PHASES;
}
static int64_t head_phase(const struct model_config *c)
{
    return (1 + c->layers) * BLOCK_PHASES;
}
static int64_t backward_phase(const struct model_config *c, int64_t layer)
{
    return (2 * c->layers + 1 - layer) * BLOCK_PHASES;
}
static int64_t tables_phase(const struct model_config *c)
{
    return (2 * c->layers + 2) * BLOCK_PHASES;
}

/* Rows of outputs that exist at a time: a piece of the head with the fewest outputs. */
static int64_t task_rows(const struct model_use *use)
{
    int64_t most = KERNEL_STEP;
    for (int64_t i = 0; use->heads && i < use->heads->count; i++) {
        const int64_t piece = model_piece(use->heads->items[i].outputs);
        if (piece > most) most = piece;
    }
    return most;
}

static enum err declare_slot(struct errctx *e, const struct model_config *c,
                             const struct model_use *use, struct layout *l, enum model_slot s)
{
    const struct spec *spec = &specs[s];
    const int64_t head = head_phase(c), end = use->training ? tables_phase(c) : head + HEAD_LAST;
    int64_t first = 0, last = end, rows = use->tokens;
    size_t bytes;
    l->slots[s] = BLOCK_ABSENT;
    if (row_bytes(c, use, s) == 0) return ERR_OK;
    switch (spec->span) {
    case SPAN_ALL:
        break;
    case SPAN_EMBED:
        last = use->training ? end : 0;
        break;
    case SPAN_FINAL:
        first = forward_phase(c->layers - 1) + 6;
        last = head + HEAD_LAST;
        break;
    case SPAN_HEAD:
        first = head + spec->from;
        last = head + spec->to;
        break;
    case SPAN_GRADIENT:
        first = head + spec->from;
        break;
    case SPAN_TABLES:
        first = end;
        break;
    }
    if (s == MODEL_LOGITS && rows > l->chunk) rows = l->chunk;
    if (s == MODEL_TASK_Y && rows > task_rows(use)) rows = task_rows(use);
    if (!size_mul(row_bytes(c, use, s), (size_t)rows, &bytes))
        return err_memory(e, spec->name, UINT64_MAX);
    return arena_add(e, &l->arena, spec->name, bytes, first, last, &l->slots[s]);
}

static enum err declare_all(struct errctx *e, const struct model_config *c,
                            const struct model_use *use, struct layout *l)
{
    struct block_memory memory = {.config = c,
                                  .dtype = use->dtype,
                                  .tokens = use->tokens,
                                  .training = use->training,
                                  .recompute = use->recompute,
                                  .dropout = use->training && use->dropout > 0,
                                  .adapter = use->adapter};
    size_t stream;
    if (!size_mul((size_t)c->width * sizeof(float), (size_t)use->tokens, &stream))
        return err_memory(e, "the stream", UINT64_MAX);
    for (int s = 0; s < MODEL_SLOT_COUNT; s++) TRY(declare_slot(e, c, use, l, s));
    TRY(mem_new(e, &l->streams, (size_t)c->layers, sizeof *l->streams, "memory plan"));
    TRY(mem_new(e, &l->blocks, (size_t)c->layers, sizeof *l->blocks, "memory plan"));
    for (int64_t i = 0; i < c->layers; i++) {
        const int64_t forward = forward_phase(i), backward = backward_phase(c, i);
        TRY(arena_add(e, &l->arena, "stream", stream, i ? forward_phase(i - 1) + 6 : 0,
                      use->training ? backward + BLOCK_PHASES - 1 : forward + BLOCK_PHASES - 1,
                      &l->streams[i]));
        memory.layer = i;
        TRY(block_declare(e, &memory, &l->arena, forward, backward, &l->blocks[i]));
    }
    return arena_plan(e, &l->arena);
}

enum err layout_plan(struct errctx *e, const struct model_config *c, const struct model_use *use,
                     struct layout *l)
{
    *l = (struct layout){.tokens = use->tokens,
                         .chunk = model_piece(c->vocab) * (use->recompute ? 1 : 2),
                         .arena.zone = ASAN_ON ? ASAN_ZONE : 0};
    if (use->tokens > 0 && declare_all(e, c, use, l) != ERR_OK) layout_fini(l);
    return e->code;
}

void layout_fini(struct layout *l)
{
    arena_fini(&l->arena);
    mem_free(l->streams);
    mem_free(l->blocks);
    *l = (struct layout){0};
}

/* The item's place. */
static struct buf place(const struct workspace *w, size_t item)
{
    const struct arena *a = &w->layout.arena;
    if (item == BLOCK_ABSENT) return (struct buf){0};
    return buf_at(w->memory, a->items[item].offset, a->items[item].bytes);
}

/* Every tensor's place in the memory, by the layout at hand. */
static void place_all(struct workspace *w, const struct model_config *c)
{
    const struct layout *l = &w->layout;
    for (int s = 0; s < MODEL_SLOT_COUNT; s++) w->slots[s] = place(w, l->slots[s]);
    for (int64_t i = 0; i < c->layers; i++) {
        w->streams[i] = mat_rows(place(w, l->streams[i]), DTYPE_F32, c->width);
        for (int s = 0; s < SLOT_COUNT; s++) {
            w->buffers[i].forward[s] = place(w, l->blocks[i].forward[s]);
            w->buffers[i].backward[s] = place(w, l->blocks[i].backward[s]);
        }
    }
}

enum err workspace_new(struct errctx *e, struct kernels *k, const struct model_config *c,
                       const struct model_use *use, struct workspace *w)
{
    *w = (struct workspace){0};
    TRY(layout_plan(e, c, use, &w->layout));
    if (use->tokens == 0) return ERR_OK;
    TRY(k->alloc(k, e, w->layout.arena.bytes, &w->memory));
    TRY(mem_new(e, &w->streams, (size_t)c->layers, sizeof *w->streams, "model"));
    TRY(mem_new(e, &w->buffers, (size_t)c->layers, sizeof *w->buffers, "model"));
    place_all(w, c);
    return ERR_OK;
}

enum err workspace_fit(struct errctx *e, const struct model_config *c, const struct model_use *use,
                       int64_t tokens, struct workspace *w)
{
    struct model_use now = *use;
    struct layout l;
    if (tokens <= w->largest) return ERR_OK;
    now.tokens = tokens;
    TRY(layout_plan(e, c, &now, &l));
    if (l.arena.bytes > w->memory.bytes) { /* placed less well: then as for the largest of all */
        layout_fini(&l);
        now.tokens = use->tokens;
        TRY(layout_plan(e, c, &now, &l));
    }
    w->largest = now.tokens;
    layout_fini(&w->layout);
    w->layout = l;
    place_all(w, c);
    return ERR_OK;
}

void workspace_enter(struct kernels *k, const struct model_config *c, const struct workspace *w,
                     enum model_part part, int64_t layer)
{
    const struct arena *a = &w->layout.arena;
    const int64_t first = part == PART_EMBED      ? 0
                          : part == PART_FORWARD  ? forward_phase(layer)
                          : part == PART_HEAD     ? head_phase(c)
                          : part == PART_BACKWARD ? backward_phase(c, layer)
                                                  : tables_phase(c);
    if (!ASAN_ON) return;
    uint8_t *memory = k->map(k, w->memory);
    asan_poison(memory, w->memory.bytes);
    for (size_t i = 0; i < a->count; i++)
        if (a->items[i].first < first + BLOCK_PHASES && first <= a->items[i].last)
            asan_unpoison(memory + a->items[i].offset, a->items[i].bytes);
}

void workspace_free(struct kernels *k, struct workspace *w)
{
    if (ASAN_ON && buf_present(w->memory)) asan_unpoison(k->map(k, w->memory), w->memory.bytes);
    if (buf_present(w->memory)) k->free(k, w->memory);
    mem_free(w->streams);
    mem_free(w->buffers);
    layout_fini(&w->layout);
    *w = (struct workspace){0};
}
