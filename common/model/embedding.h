/* SPDX-License-Identifier: Apache-2.0 */
/* embedding.h: how a model makes one vector of a text, where whoever trained it has said so: meta
 * "embedding" of a model stream, beside "config".
 *
 *   {"pooling": ["mean", ..], "normalize": true, "max_length": 256, "similarity": "cosine",
 *    "include_prompt": true, "prompts": {"query": "query: ", ..}, "default_prompt": "query"}
 *
 * Pooling: of the hidden states (T, C) of a row, special tokens included, several laid side by side
 * in the order of the enum. It says what is to be computed and computes nothing. */
#ifndef GRAFT_MODEL_EMBEDDING_H
#define GRAFT_MODEL_EMBEDDING_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/msgpack.h"

enum pooling {
    POOLING_CLS = 1,            /* the first token's */
    POOLING_MAX = 2,            /* the greatest of each column */
    POOLING_MEAN = 4,           /* sum / T */
    POOLING_MEAN_SQRT = 8,      /* sum / sqrt(T) */
    POOLING_WEIGHTED_MEAN = 16, /* token t counts t + 1 times */
    POOLING_LAST = 32,          /* the last token's */
};

struct embedding_prompt {
    char *name, *text; /* put before the document */
};

struct embedding {
    unsigned pooling;   /* bits of enum pooling, at least one */
    bool normalize;     /* to length 1 */
    int64_t max_length; /* tokens of a text, special ones included; longer is cut; 0: the context */
    char similarity[16]; /* "cosine" | "dot" | "euclidean" | "manhattan": what it was trained for */
    bool include_prompt; /* pooling covers the tokens of the prompt */
    struct embedding_prompt *prompts;
    size_t prompts_count, prompts_capacity;
    char *default_prompt; /* name of one of them, or NULL */
};

/* Zero everywhere but include_prompt and "cosine". */
void embedding_init(struct embedding *x);
void embedding_fini(struct embedding *x);
enum err embedding_add_prompt(struct errctx *e, struct embedding *x, const char *name,
                              const char *text) MUST_USE;
/* NULL when there is none of that name. */
const char *embedding_find_prompt(const struct embedding *x, const char *name);
/* "cls", ...; NULL when the bit is none of them. */
const char *pooling_name(enum pooling bit);
/* 0 when it is not known. */
unsigned pooling_from_name(const char *name);
enum err embedding_to_meta(struct errctx *e, const struct embedding *x,
                           struct mp_value *map) MUST_USE;
/* ERR_INPUT names a key that is missing, unknown or out of range. On failure nothing is held. */
enum err embedding_from_meta(struct errctx *e, const struct mp_value *map,
                             struct embedding *out) MUST_USE;

#endif
