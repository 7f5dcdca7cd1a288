/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_run.h: a tokenizer specification compiled for use: text -> ids and ids -> text.
 *
 *   text -> [added tokens split off] -> normalizer -> pretokenizer -> model -> ids
 *   ids -> bytes (decoder), exact inverse where the normalizer is an identity
 *
 * The compiled tokenizer is immutable and shared by threads; each thread has its own scratch (word
 * cache, buffers). Rows (BOS, end of text, special tokens per cut, skip) are made by text/rows.h,
 * not here. */
#ifndef GRAFT_TEXT_TOKENIZER_RUN_H
#define GRAFT_TEXT_TOKENIZER_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include "formats/tokenizer.h"

struct tokenizer; /* borrows the spec, which must outlive it */
enum err tokenizer_new(struct errctx *e, const struct tokenizer_spec *spec,
                       struct tokenizer **out) MUST_USE;
void tokenizer_free(struct tokenizer *t);
const struct tokenizer_spec *tokenizer_spec_of(const struct tokenizer *t);

struct tokenizer_scratch;
enum err tokenizer_scratch_new(struct errctx *e, const struct tokenizer *t,
                               struct tokenizer_scratch **out) MUST_USE;
void tokenizer_scratch_free(struct tokenizer_scratch *s);

/* ids of valid UTF-8 text[0..n), appended to *ids; per id the offset in `text` at which it ends,
 * appended to *ends when not NULL (so that bytes and chars of a cut are known). `special`: special
 * tokens spelled out in the text are recognised; otherwise they are plain text. */
struct id_list {
    uint32_t *data;
    size_t count, capacity;
};
struct offset_list {
    uint64_t *data;
    size_t count, capacity;
};
enum err tokenizer_encode(struct errctx *e, const struct tokenizer *t, struct tokenizer_scratch *s,
                          const char *text, size_t n, bool special, struct id_list *ids,
                          struct offset_list *ends) MUST_USE;

/* The same for a part of a text that tokenizer_border has cut: whether it begins the text, and ends
 * it. Offsets count from the part. */
enum err tokenizer_encode_part(struct errctx *e, const struct tokenizer *t,
                               struct tokenizer_scratch *s, const char *text, size_t n,
                               bool special, bool begins, bool ends_text, struct id_list *ids,
                               struct offset_list *ends) MUST_USE;

/* The first place >= from where text[0..n) may be cut so that both sides give the ids of the whole,
 * or n. For handing a long document to several threads. */
size_t tokenizer_border(const struct tokenizer *t, const char *text, size_t n, size_t from,
                        bool special);

/* True when the bytes of the ids of a text, end to end, are the text: an id ends where its bytes
 * do. */
bool tokenizer_is_lossless(const struct tokenizer *t);

/* Appends the text of ids to *out. `special`: special tokens are spelled out, else left out. */
enum err tokenizer_decode(struct errctx *e, const struct tokenizer *t, const uint32_t *ids,
                          size_t n, bool special, struct bytes *out) MUST_USE;
/* The same for ids that follow others of one document: *started is false before the first. */
enum err tokenizer_decode_more(struct errctx *e, const struct tokenizer *t, const uint32_t *ids,
                               size_t n, bool special, bool *started, struct bytes *out) MUST_USE;

/* Decoding one id at a time for output as it is made: bytes come out when they form whole UTF-8
 * sequences. */
struct tokenizer_stream_decoder {
    uint8_t held[8];
    int held_count;
    bool started;
};
enum err tokenizer_decode_next(struct errctx *e, const struct tokenizer *t,
                               struct tokenizer_stream_decoder *d, uint32_t id,
                               struct bytes *out) MUST_USE;
/* What is left at the end: an incomplete sequence becomes U+FFFD. */
enum err tokenizer_decode_finish(struct errctx *e, struct tokenizer_stream_decoder *d,
                                 struct bytes *out) MUST_USE;

#endif
