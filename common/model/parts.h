/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h: what the files of the model share: its parts bound to memory, and the slots of its arena
 * outside the blocks. For common/model only; everyone else sees model.h. */
#ifndef GRAFT_MODEL_PARTS_H
#define GRAFT_MODEL_PARTS_H

#include "common/model/block.h"
#include "common/model/model.h"

/* Tensors of the model outside its blocks. */
enum model_slot {
    /* the batch, I32 or U32 [N] */
    MODEL_IDS,
    MODEL_POSITION, /* within the row */
    MODEL_ANGLE,    /* row of the angles' tables, where it depends on more than the position */
    MODEL_PLACE,    /* row of the position table, -1: padding */
    MODEL_TYPE,
    MODEL_ORDINAL,
    MODEL_COSINE, /* angles of this pass, a row for each token (rope_by_pass) */
    MODEL_SINE,
    MODEL_SHARED,   /* keys and values of a block, where rows share beginnings */
    MODEL_EMBEDDED, /* before the norm of the embeddings */
    MODEL_EMBED_MEAN,
    MODEL_EMBED_RSTD,
    MODEL_FINAL, /* stream after the last block */
    MODEL_FINAL_MEAN,
    MODEL_FINAL_RSTD,
    MODEL_HIDDEN, /* activation that the head reads; absent: the stream itself */
    MODEL_DX,     /* gradient of the stream */
    MODEL_DEMBEDDED,
    /* the head, over scored places laid end to end, Nc <= N of them */
    MODEL_INDEX, /* I32 [Nc]: token of a scored place */
    MODEL_BACK,  /* I32 [N]: scored place of a token */
    MODEL_TARGET,
    MODEL_WEIGHT,
    MODEL_LOSS,
    MODEL_RANK,
    MODEL_SCORED, /* hidden states of scored places */
    MODEL_DENSE,  /* masked head: before its activation, after it, after its norm */
    MODEL_ACTED,
    MODEL_NORMED,
    MODEL_HEAD_MEAN,
    MODEL_HEAD_RSTD,
    MODEL_LOGITS, /* F32 [chunk, V] */
    MODEL_DSCORED,
    MODEL_DACTED,
    MODEL_DHIDDEN,
    /* heads for labels, F32: what they read, behind their dense part before and after its
     * activation, outputs of a piece, gradient of what W reads, of the hidden states */
    MODEL_TASK_X,
    MODEL_TASK_BEFORE,
    MODEL_TASK_AFTER,
    MODEL_TASK_Y,
    MODEL_TASK_DX,
    MODEL_DSTATES,
    MODEL_SLOT_COUNT
};

/* The plan of everything that a use needs, before anything is allocated. */
struct layout {
    struct arena arena;
    size_t slots[MODEL_SLOT_COUNT]; /* items; BLOCK_ABSENT */
    size_t *streams;                /* [layers]: input of each block */
    struct block_items *blocks;     /* [layers] */
    int64_t tokens;                 /* of a pass, at most */
    int64_t chunk;                  /* rows of logits that exist at a time */
};
enum err layout_plan(struct errctx *e, const struct model_config *c, const struct model_use *use,
                     struct layout *l) MUST_USE;
void layout_fini(struct layout *l);

/* The same as memory. */
struct workspace {
    struct layout layout;
    struct buf memory;
    struct buf slots[MODEL_SLOT_COUNT];
    struct mat *streams;           /* [layers] */
    struct block_buffers *buffers; /* [layers] */
    int64_t largest;               /* pass so far, in tokens */
};
/* use->tokens is a multiple of KERNEL_STEP; with 0 the workspace is empty. workspace_free also
 * after a failure. */
enum err workspace_new(struct errctx *e, struct kernels *k, const struct model_config *c,
                       const struct model_use *use, struct workspace *w) MUST_USE;
/* Before a pass over so many tokens: the memory is laid out for the largest pass there has been, so
 * that what was reserved for a larger one is not touched. */
enum err workspace_fit(struct errctx *e, const struct model_config *c, const struct model_use *use,
                       int64_t tokens, struct workspace *w) MUST_USE;
void workspace_free(struct kernels *k, struct workspace *w);

/* Said before each part of a pass: under AddressSanitizer whatever is not alive in that part, and
 * what lies between tensors, is out of bounds until the next part. `layer` is of blocks only. */
enum model_part { PART_EMBED, PART_FORWARD, PART_HEAD, PART_BACKWARD, PART_TABLES };
void workspace_enter(struct kernels *k, const struct model_config *c, const struct workspace *w,
                     enum model_part part, int64_t layer);

/* shared_rows.c: the rows of a batch some of which begin with tokens of others, as a pass takes
 * them, in the order of their turns. */
struct shared_rows { /* zero-initialised; shared_rows_fini */
    int32_t *q_start, *q_len, *kv_start, *kv_len, *q_offset; /* [rows] */
    int64_t *cache_row, *turn;                               /* [rows], [turns + 1] */
    int64_t turns, capacity;
};
enum err shared_rows_of(struct errctx *e, const struct batch *b, struct shared_rows *out) MUST_USE;
void shared_rows_fini(struct shared_rows *s);

struct model {
    struct kernels *k;
    struct model_config c;
    struct model_use use;
    struct param_table params;
    struct tokenizer_spec *tokenizer; /* owned, or NULL */
    struct embedding *embedding;      /* owned, or NULL */
    struct task_heads heads;          /* those of its stream, where use.heads are these */
    struct mp_value about;            /* a map, or nil */
    uint8_t id[16];

    struct buf weights, weights16, gradients; /* flat */
    struct buf kept;                          /* parameters that are kept in other types */
    /* Tied: gradient of the token embedding as a table, until it joins that of the head: rows for
     * the ids that have occurred, F32 [R, C]. */
    struct buf lookup, lookup_ids; /* I32 [R]: whose row it is */
    int32_t *lookup_row;           /* [V] an id's row, -1 */
    int32_t *looked_up;            /* [R], as lookup_ids */
    int64_t lookup_rows, lookup_used;
    struct buf cosine, sine;

    struct mat tokens, positions, types; /* tables */
    struct buf dtokens, dpositions, dtypes;
    struct norm embed_norm, final_norm, head_norm;
    struct linear dense, head;
    struct block *blocks;
    struct lora *lora; /* [use.adapter->count], by layer and matrix */
    struct task_head { /* [use.tasks->count] */
        struct linear dense, head;
    } * tasks;
    double *task_sums; /* [threads][numbers of a pooled vector] */

    struct workspace work;
    int32_t *zeros; /* [tokens]: q_offset of whole rows */
    struct shared_rows shared;

    /* of the last forward */
    struct pass pass;
    const struct batch *batch;
    double dropout, lora_dropout;
    bool head_done; /* the gradient of the stream is there */
    int64_t lowest; /* block that the backward pass ends with; -1: with the embeddings */

    /* host side of the head, [tokens] each; pieces [tokens + 1] */
    int32_t *index, *back, *target;
    float *weight, *loss;
    int32_t *rank;
    int64_t *piece, *run;
    int64_t pieces;
};

/* A model with its memory, weights zero. types: in which each parameter is kept (param_table_keep),
 * or NULL. */
enum err model_new(struct errctx *e, struct kernels *k, const struct model_config *c,
                   const struct model_use *use, const enum dtype *types,
                   struct model **out) MUST_USE;
/* Rows of logits that make a piece, for a vocabulary: half of what may exist at a time, all of it
 * with --recompute. */
int64_t model_piece(int64_t vocab);
/* From one row of logits to the next, in numbers. */
int64_t model_logits_ld(int64_t vocab);

/* embed.c: ids -> stream, and back onto the tables. */
void embed_tokens(const struct model *m, const struct pass *p, const struct buf *slots,
                  struct mat y);
void embed_tokens_backward(const struct model *m, const struct pass *p, const struct buf *slots,
                           struct mat dx);

/* model_plan for a model whose parameters are kept in such types. */
enum err model_plan_types(struct errctx *e, const struct model_config *c,
                          const struct model_use *use, const enum dtype *types, int threads,
                          struct plan *out) MUST_USE;

/* loss.c: capped as the configuration says, on the host. */
void cap_logits(const struct model *m, int64_t n, float *logits);
/* angles.c: pass.angle, cosine and sine for the pass's rows, which end at kv_len each. */
void model_set_angles(const struct model *m, struct pass *p, const struct buf *slots);

/* loss.c: the head's map of n hidden states (activations), up to what its decoder reads. Returns
 * that. */
struct mat head_prepare(const struct model *m, const struct pass *p, const struct buf *slots,
                        int64_t n, struct grid grains, struct mat x);

#endif
