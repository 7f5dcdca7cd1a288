/* SPDX-License-Identifier: Apache-2.0 */
/* bpe.c: see bpe.h. Merges live in a hash table from (left, right) to what the pair makes. */
#include "common/text/bpe.h"
#include <assert.h>
#include <string.h>

enum { SHORT_PIECE = 64 };
#define NO_KEY  UINT64_MAX
#define NO_PAIR UINT64_MAX
#define NO_RANK UINT32_MAX
#define NO_NEXT UINT32_MAX

/* What a pair makes, as one number: rank << 32 | joined id << 8, so that the pair to join first is
 * the least number; with the position in the low bits it is the leftmost of equals. NO_PAIR is
 * above all. */
struct merge {
    uint64_t key; /* left << 32 | right */
    uint64_t pair;
};

struct bpe {
    const struct vocab_map *vocab;
    bool ignore_merges;
    uint32_t byte_id[256];
    uint64_t byte_pair[65536]; /* of the pairs of bytes that begin every piece: left << 8 | right */
    struct merge *table;
    size_t mask;
    /* A bit for each hash that occurs, one in eight set: small enough to stay near the processor,
     * it answers most questions, as most neighbours make no pair. */
    uint8_t *filter;
    size_t filter_mask;
};

static inline uint64_t hash_key(uint64_t key)
{
    key *= 0x9e3779b97f4a7c15u;
    return key ^ key >> 32;
}

static inline uint64_t pair_of(const struct bpe *b, uint32_t left, uint32_t right)
{
    uint64_t key = (uint64_t)left << 32 | right, hash = hash_key(key);
    size_t i = (size_t)hash & b->mask, bit = (size_t)(hash >> 16) & b->filter_mask;

    if (!(b->filter[bit / 8] >> bit % 8 & 1)) return NO_PAIR;
    while (b->table[i].key != key && b->table[i].key != NO_KEY) i = (i + 1) & b->mask;
    return b->table[i].pair; /* an empty slot has NO_PAIR */
}

static inline uint32_t joined_id(uint64_t pair)
{
    return (uint32_t)pair >> 8;
}

static enum err add_merge(struct errctx *e, struct bpe *b, const struct tokenizer_spec *s,
                          int64_t rank, struct bytes *joined)
{
    uint32_t left = s->merges[2 * rank], right = s->merges[2 * rank + 1];
    uint64_t key = (uint64_t)left << 32 | right;
    uint64_t hash = hash_key(key);
    size_t i = (size_t)hash & b->mask, bit = (size_t)(hash >> 16) & b->filter_mask;
    int64_t id;

    joined->len = 0;
    TRY(bytes_append(e, joined, s->bytes + s->start[left],
                     (size_t)(s->start[left + 1] - s->start[left])));
    TRY(bytes_append(e, joined, s->bytes + s->start[right],
                     (size_t)(s->start[right + 1] - s->start[right])));
    id = vocab_map_find(b->vocab, joined->data, joined->len);
    if (id < 0)
        return err_set(e, ERR_INPUT, "merge %lld joins tokens %u and %u to bytes that are no token",
                       (long long)rank, left, right);
    while (b->table[i].key != NO_KEY) {
        if (b->table[i].key == key) return ERR_OK; /* the lower rank counts */
        i = (i + 1) & b->mask;
    }
    assert(id < 1 << 24); /* tokenizer_spec_check sees to it */
    b->filter[bit / 8] |= (uint8_t)(1 << bit % 8);
    b->table[i] = (struct merge){key, (uint64_t)rank << 32 | (uint64_t)id << 8};
    return ERR_OK;
}

static enum err fill(struct errctx *e, struct bpe *b, const struct tokenizer_spec *s)
{
    struct bytes joined = {0};
    size_t slots = 256;
    enum err code = ERR_OK;

    for (int c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        int64_t id = vocab_map_find(b->vocab, &byte, 1);
        if (id < 0) return err_set(e, ERR_INPUT, "byte 0x%02x has no token", c);
        b->byte_id[c] = (uint32_t)id;
    }
    while (slots < 2 * (size_t)s->merges_count) slots *= 2;
    if (s->merges_count >= NO_RANK) return err_set(e, ERR_INPUT, "too many merges");
    TRY(mem_new_table(e, &b->table, slots, sizeof *b->table, "merges"));
    b->mask = slots - 1;
    TRY(mem_new(e, &b->filter, slots / 2, 1, "merges"));
    b->filter_mask = 4 * slots - 1;
    for (size_t i = 0; i < slots; i++) b->table[i] = (struct merge){NO_KEY, NO_PAIR};
    for (int64_t r = 0; r < s->merges_count && code == ERR_OK; r++)
        code = add_merge(e, b, s, r, &joined);
    for (unsigned pair = 0; pair < 65536; pair++)
        b->byte_pair[pair] = pair_of(b, b->byte_id[pair >> 8], b->byte_id[pair & 255]);
    bytes_fini(&joined);
    return code;
}

enum err bpe_new(struct errctx *e, const struct tokenizer_spec *spec, const struct vocab_map *vocab,
                 bool ignore_merges, struct bpe **out)
{
    struct bpe *b;

    *out = NULL;
    TRY(mem_new(e, &b, 1, sizeof *b, "byte-pair encoding"));
    b->vocab = vocab;
    b->ignore_merges = ignore_merges;
    if (fill(e, b, spec) != ERR_OK) {
        bpe_free(b);
        return e->code;
    }
    *out = b;
    return ERR_OK;
}

void bpe_free(struct bpe *b)
{
    if (b == NULL) return;
    mem_free(b->table);
    mem_free(b->filter);
    mem_free(b);
}

void bpe_scratch_fini(struct bpe_scratch *s)
{
    mem_free(s->next);
    mem_free(s->previous);
    mem_free(s->rank);
    mem_free(s->heap);
    memset(s, 0, sizeof *s);
}

/* Symbols stay where their first byte is, so that nothing moves: each round is one pass of minima
 * without branches over the pairs. */
static size_t merge_short(const struct bpe *b, const uint8_t *piece, uint32_t *ids, size_t n)
{
    uint64_t pair[SHORT_PIECE], best;
    uint8_t next[SHORT_PIECE], previous[SHORT_PIECE + 1];
    size_t count = 0;

    for (size_t i = 0; i + 1 < n; i++) pair[i] = b->byte_pair[piece[i] << 8 | piece[i + 1]] | i;
    for (size_t i = 0; i < n; i++) {
        next[i] = (uint8_t)(i + 1);
        previous[i + 1] = (uint8_t)i;
    }
    for (;;) {
        best = NO_PAIR;
        for (size_t i = 0; i + 1 < n; i++) best = pair[i] < best ? pair[i] : best;
        if (best == NO_PAIR) break;
        size_t i = best & (SHORT_PIECE - 1), gone = next[i], after = next[gone];
        ids[i] = joined_id(best);
        next[i] = (uint8_t)after;
        previous[after] = (uint8_t)i;
        pair[gone] = NO_PAIR;
        pair[i] = after < n ? pair_of(b, ids[i], ids[after]) | i : NO_PAIR;
        if (i > 0) pair[previous[i]] = pair_of(b, ids[previous[i]], ids[i]) | previous[i];
    }
    for (size_t i = 0; i < n; i = next[i]) ids[count++] = ids[i];
    return count;
}

/* ------------------------------------------------------------------ long pieces */

static void heap_push(struct bpe_scratch *s, uint64_t entry)
{
    size_t i = s->heap_count++;

    for (s->heap_steps++; i > 0 && s->heap[(i - 1) / 2] > entry; s->heap_steps++) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = entry;
}

static uint64_t heap_pop(struct bpe_scratch *s)
{
    uint64_t top = s->heap[0], entry = s->heap[--s->heap_count];
    size_t i = 0, n = s->heap_count;

    for (;; s->heap_steps++) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && s->heap[child + 1] < s->heap[child]) child++;
        if (s->heap[child] >= entry) break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = entry;
    return top;
}

/* Notes the pair that begins at symbol i. */
static void consider(const struct bpe *b, struct bpe_scratch *s, const uint32_t *ids, uint32_t i)
{
    uint64_t pair = s->next[i] == NO_NEXT ? NO_PAIR : pair_of(b, ids[i], ids[s->next[i]]);

    s->rank[i] = (uint32_t)(pair >> 32);
    if (pair != NO_PAIR) heap_push(s, (pair & ~(uint64_t)UINT32_MAX) | i);
}

static enum err merge_long(struct errctx *e, const struct bpe *b, struct bpe_scratch *s,
                           uint32_t *ids, size_t n, size_t *count)
{
    size_t entries;

    /* every merge pushes at most two pairs and there are at most n - 1 merges */
    if (n >= NO_NEXT || !size_mul(n, 3, &entries))
        return err_set(e, ERR_INPUT, "a piece of %zu bytes is too long", n);
    TRY(mem_grow(e, &s->next, &s->next_capacity, n, sizeof *s->next, "long word"));
    TRY(mem_grow(e, &s->previous, &s->previous_capacity, n, sizeof *s->previous, "long word"));
    TRY(mem_grow(e, &s->rank, &s->rank_capacity, n, sizeof *s->rank, "long word"));
    TRY(mem_grow(e, &s->heap, &s->heap_capacity, entries, sizeof *s->heap, "long word"));
    s->heap_count = 0;
    for (size_t i = 0; i < n; i++) {
        s->next[i] = i + 1 < n ? (uint32_t)(i + 1) : NO_NEXT;
        s->previous[i] = i > 0 ? (uint32_t)(i - 1) : NO_NEXT;
    }
    for (size_t i = 0; i < n; i++) consider(b, s, ids, (uint32_t)i);
    while (s->heap_count > 0) {
        uint64_t top = heap_pop(s);
        uint32_t i = (uint32_t)top, gone;
        if (s->rank[i] != (uint32_t)(top >> 32))
            continue; /* stale: the pair has changed or is gone */
        gone = s->next[i];
        ids[i] = joined_id(pair_of(b, ids[i], ids[gone]));
        s->rank[gone] = NO_RANK;
        s->next[i] = s->next[gone];
        if (s->next[i] != NO_NEXT) s->previous[s->next[i]] = i;
        consider(b, s, ids, i);
        if (s->previous[i] != NO_NEXT) consider(b, s, ids, s->previous[i]);
    }
    *count = 0;
    for (uint32_t i = 0; i != NO_NEXT; i = s->next[i]) ids[(*count)++] = ids[i];
    return ERR_OK;
}

enum err bpe_encode(struct errctx *e, const struct bpe *b, struct bpe_scratch *s,
                    const uint8_t *piece, size_t n, uint32_t *ids, size_t *count)
{
    if (b->ignore_merges && n <= b->vocab->longest) {
        int64_t id = vocab_map_find(b->vocab, piece, n);
        if (id >= 0) {
            ids[0] = (uint32_t)id;
            *count = 1;
            return ERR_OK;
        }
    }
    for (size_t i = 0; i < n; i++) ids[i] = b->byte_id[piece[i]];
    if (n > SHORT_PIECE) return merge_long(e, b, s, ids, n, count);
    *count = merge_short(b, piece, ids, n);
    return ERR_OK;
}
