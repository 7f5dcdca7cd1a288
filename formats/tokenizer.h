/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.h: the canonical specification of a tokenizer as data: five ordered lists of
 * operations, a vocabulary, and what the model needs (merges, scores). Importers make it, streams
 * carry it, common/text compiles and runs it.
 *
 * An operation is a msgpack map {"op": name, ...parameters}; the names and parameters that exist
 * are listed in tokenizer.c, and anything else is refused by name.
 *
 * In a stream: meta "tokenizer":
 *   {"normalizer": [..], "pretokenizer": [..], "model": {..}, "postprocessor": [..],
 *    "decoder": [..], "special": {"bos": id, "eos": id, "unk", "pad", "cls", "sep", "mask"},
 *    "chat_template": Jinja, of a chat model; no part of the tokenizer's identity}
 * and tensors (behind a prefix, "" in a tokenizer stream, "tokenizer." in a model stream):
 *   vocab.bytes U8 [total], vocab.start U64 [V + 1]      the bytes of each token
 *   vocab.flags U8 [V]                                   TOKEN_* bits
 *   merges U32 [M, 2] (BPE), scores F32 [V] (Unigram; SentencePiece's BPE, which has no merges and
 *   joins the pair whose token has the highest score)
 *
 * The bytes of a token are those of the text it stands for: the alphabets in which other programs
 * write bytes, and the mark U+2581 for a space, are undone by importers.
 *
 * Owner of a spec: the caller, tokenizer_spec_fini. */
#ifndef GRAFT_FORMATS_TOKENIZER_H
#define GRAFT_FORMATS_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>
#include "formats/stream.h"

enum token_flags {
    TOKEN_SPECIAL = 1, /* control: matched only as a whole (or never, in plain text), not part of
                          decoded text */
    TOKEN_ADDED = 2,   /* split off before the normaliser */
    TOKEN_LSTRIP = 4,  /* takes the whitespace on its left with it */
    TOKEN_RSTRIP = 8,
    TOKEN_SINGLE_WORD = 16,
    TOKEN_NORMALIZED = 32, /* matched in normalised text */
    TOKEN_BYTE = 64,       /* <0xNN> of byte fallback: its bytes are the byte */
    TOKEN_UNUSED = 128,    /* a hole in the ids: never produced */
};

struct tokenizer_spec {
    struct mp_value ops; /* the map of meta "tokenizer" */
    int64_t vocab;       /* V */
    uint8_t *bytes;      /* of all tokens, end to end */
    uint64_t *start;     /* V + 1 */
    uint8_t *flags;      /* V */
    uint32_t *merges;    /* 2 * merges_count token ids, in order of rank; NULL without */
    int64_t merges_count;
    float *scores; /* V, or NULL */
};
void tokenizer_spec_init(struct tokenizer_spec *s);
void tokenizer_spec_fini(struct tokenizer_spec *s);
/* Deep copy; after a failure *to is to be given back as well. */
enum err tokenizer_spec_copy(struct errctx *e, const struct tokenizer_spec *from,
                             struct tokenizer_spec *to) MUST_USE;

/* Identity of meaning: XXH3-128 over ops and tables: equal for the same tokenizer from different
 * files. */
void tokenizer_spec_id(const struct tokenizer_spec *s, uint8_t id[16]);
/* Whether two have the same operations in a list ("normalizer", .., "decoder"), or as "model". */
bool tokenizer_spec_same_ops(const struct tokenizer_spec *a, const struct tokenizer_spec *b,
                             const char *list);
/* Id of a special by role ("bos", "eos", ...), -1 when there is none. */
int64_t tokenizer_spec_special(const struct tokenizer_spec *s, const char *role);
/* The chat template that came with the tokenizer, NULL without. */
const char *tokenizer_spec_chat_template(const struct tokenizer_spec *s);
/* True when rows are made the encoder's way (postprocessor puts cls/sep around each cut). */
bool tokenizer_spec_is_encoder(const struct tokenizer_spec *s);
/* Checks ranges, names of operations, merges that name tokens, ...: ERR_INPUT names what is wrong.
 */
enum err tokenizer_spec_check(struct errctx *e, const struct tokenizer_spec *s,
                              const char *name) MUST_USE;

/* Writes the operations in one way: parameters in the order of the table and only where they are
 * not the default, roles in their order. For importers, so that what means the same is the same. */
enum err tokenizer_spec_tidy(struct errctx *e, struct tokenizer_spec *s) MUST_USE;

/* Adds meta "tokenizer" and the tensors to a begin under construction; *first gets the index of the
 * first tensor. */
enum err tokenizer_spec_declare(struct errctx *e, const struct tokenizer_spec *s,
                                const char *prefix, struct stream_begin *b,
                                int64_t *first) MUST_USE;
/* The begin of a tokenizer stream: its tensors are from 0 on. */
enum err tokenizer_spec_begin(struct errctx *e, const struct tokenizer_spec *s,
                              struct stream_begin *b) MUST_USE;
/* Writes the tensors that _declare has announced. */
enum err tokenizer_spec_write(struct errctx *e, const struct tokenizer_spec *s,
                              struct stream_writer *w, int64_t first) MUST_USE;
/* From loaded tensors; ERR_INPUT "'x' holds no tokenizer" when meta has none. Checked. */
enum err tokenizer_spec_read(struct errctx *e, const struct stream_tensors *t, const char *prefix,
                             const char *name, struct tokenizer_spec *out) MUST_USE;
/* Loads the tokenizer of a tokenizer or a model stream, whichever `path` is, as an input of the
 * run in role "tokenizer"; of a model only these tensors are kept. */
enum err tokenizer_spec_load(struct errctx *e, struct run *run, const char *path,
                             struct tokenizer_spec *out) MUST_USE;

#endif
