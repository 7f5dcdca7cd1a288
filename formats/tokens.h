/* SPDX-License-Identifier: Apache-2.0 */
/* tokens.h: the columns of a tokens stream, by name, and a view of one row.
 *
 * A row is one document, or a cut of one; nothing is packed or padded.
 *   ids     U16 (vocabulary <= 65536) or U32, ragged    token ids
 *   doc     U64   XXH3-64 of the document's text; of a pair, of both with a zero byte between
 *   part    U32   number of the cut within its document
 *   skip    U32   leading tokens that are context only (not scored)
 *   bytes   U32   bytes of text that the scored tokens stand for
 *   chars   U32   Unicode characters of it
 * and, where a stream has them:
 *   types   U8 ragged    token types
 *   loss    U8 ragged    0 = not scored
 *   weight  F32          of the row
 *   group   U64          hash of the group field
 *   keep    U8 ragged    JSON object of the other fields
 *   label.NAME           a label of the row (labels.h), any number of them
 *
 * meta:
 *   "tokenizer"  id (bin 16) of the tokenizer's meaning
 *   "vocab"      size
 *   "family"     "causal" | "encoder"
 *   "special"    {"bos": id, "eos": id, ...}, those that exist
 *   "length"     of the longest cut, or 0 for whole documents
 *   "labels"     what the label columns say (labels.h) */
#ifndef GRAFT_FORMATS_TOKENS_H
#define GRAFT_FORMATS_TOKENS_H

#include <stdbool.h>
#include <stdint.h>
#include "formats/stream.h"

struct tokens_layout { /* column indices, -1 when absent */
    int64_t ids, doc, part, skip, bytes, chars, types, loss, weight, group, keep;
    enum dtype ids_dtype;
    int64_t vocab;
    uint8_t tokenizer[16];
};

/* Finds and checks the columns. ERR_INPUT names the missing or ill-typed one. */
enum err tokens_layout_find(struct errctx *e, const struct stream_begin *b, const char *name,
                            struct tokens_layout *out) MUST_USE;

struct tokens_row {
    int64_t n;       /* tokens */
    const void *ids; /* U16 or U32 */
    enum dtype ids_dtype;
    uint64_t doc, group;
    uint32_t part, skip, bytes, chars;
    const uint8_t *types, *loss; /* n each, or NULL */
    float weight;                /* 1 when absent */
    const char *keep;
    int64_t keep_len;
};
/* View of row i; checks skip <= n and equal lengths of the ragged columns (ERR_INPUT with the row's
 * number). */
enum err tokens_row_view(struct errctx *e, const struct tokens_layout *l,
                         const struct stream_rows *rows, int64_t i,
                         struct tokens_row *out) MUST_USE;
/* Token i of a row, unchecked. */
uint32_t tokens_row_id(const struct tokens_row *row, int64_t i);
/* ids as U32 with the range check id < vocab (ERR_INPUT names row, position, id). out: n numbers.
 */
enum err tokens_row_ids(struct errctx *e, const struct tokens_layout *l,
                        const struct tokens_row *row, int64_t ordinal, uint32_t *out) MUST_USE;

#endif
