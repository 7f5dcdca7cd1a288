/* SPDX-License-Identifier: Apache-2.0 */
/* bpe.h: byte-pair encoding of one piece: repeatedly join the neighbours whose merge has the lowest
 * rank, leftmost first (Sennrich et al. 2016; Radford et al. 2019 for bytes).
 *
 * It begins with bytes, or with characters (byte_level: false), of which those without a token are
 * the tokens of their bytes (byte_fallback) or unknown. A byte without a token is unknown or, with
 * drop_unknown, left out. A specification with scores instead of
 * merges joins any two tokens whose bytes end to end are a token, the highest score first, as
 * SentencePiece does.
 *
 * The pairs of short pieces are searched anew after every merge; long ones use a heap of (rank,
 * position) over a linked list, so that a piece of n letters costs n log n whatever is in it. Knows
 * nothing of pieces, caches or special tokens. */
#ifndef GRAFT_TEXT_BPE_H
#define GRAFT_TEXT_BPE_H

#include "common/text/vocab_map.h"

struct bpe; /* immutable, shared by threads */
/* `vocab` is borrowed. ERR_INPUT names a byte without token or a merge whose result is no token. */
enum err bpe_new(struct errctx *e, const struct tokenizer_spec *spec, const struct vocab_map *vocab,
                 struct bpe **out) MUST_USE;
void bpe_free(struct bpe *b);
/* True when pieces begin as bytes, each of which has a token. */
bool bpe_takes_bytes(const struct bpe *b);

struct bpe_scratch { /* zero-initialised; one per thread */
    uint32_t *next, *previous, *rank;
    uint64_t *heap;
    size_t next_capacity, previous_capacity, rank_capacity, heap_capacity, heap_count;
    uint64_t heap_steps; /* taken in the heap so far, for a test of its growth */
};
void bpe_scratch_fini(struct bpe_scratch *s);

/* ids of piece[0..n), n >= 1 (characters: valid UTF-8), into ids (room for n); *count. */
enum err bpe_encode(struct errctx *e, const struct bpe *b, struct bpe_scratch *s,
                    const uint8_t *piece, size_t n, uint32_t *ids, size_t *count) MUST_USE;

#endif
