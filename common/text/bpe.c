/* SPDX-License-Identifier: Apache-2.0 */
/* bpe.c: see bpe.h. Merges live in a hash table from (left, right) to (rank, joined id). */
#include "common/text/bpe.h"
#include <string.h>

enum { SHORT_PIECE = 64 };
#define NO_RANK UINT32_MAX
#define NO_KEY  UINT64_MAX
#define NO_NEXT UINT32_MAX

struct merge {
    uint64_t key; /* left << 32 | right */
    uint32_t rank, id;
};

struct bpe {
    const struct vocab_map *vocab;
    bool ignore_merges;
    uint32_t byte_id[256];
    uint32_t byte_rank[65536]; /* of the pairs of bytes that begin every piece: left << 8 | right */
    struct merge *table;
    size_t mask;
};

static inline size_t slot_of(const struct bpe *b, uint64_t key)
{
    key *= 0x9e3779b97f4a7c15u;
    return (size_t)(key ^ key >> 32) & b->mask;
}

static inline const struct merge *find(const struct bpe *b, uint32_t left, uint32_t right)
{
    uint64_t key = (uint64_t)left << 32 | right;
    size_t i = slot_of(b, key);

    while (b->table[i].key != key && b->table[i].key != NO_KEY) i = (i + 1) & b->mask;
    return &b->table[i]; /* an empty slot has NO_RANK */
}

static enum err add_merge(struct errctx *e, struct bpe *b, const struct tokenizer_spec *s,
                          int64_t rank, struct bytes *joined)
{
    uint32_t left = s->merges[2 * rank], right = s->merges[2 * rank + 1];
    uint64_t key = (uint64_t)left << 32 | right;
    size_t i = slot_of(b, key);
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
    b->table[i] = (struct merge){key, (uint32_t)rank, (uint32_t)id};
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
    TRY(mem_new_aligned(e, &b->table, slots, sizeof *b->table, "merges"));
    b->mask = slots - 1;
    for (size_t i = 0; i < slots; i++) b->table[i] = (struct merge){NO_KEY, NO_RANK, 0};
    for (int64_t r = 0; r < s->merges_count && code == ERR_OK; r++)
        code = add_merge(e, b, s, r, &joined);
    for (unsigned pair = 0; pair < 65536; pair++)
        b->byte_rank[pair] = find(b, b->byte_id[pair >> 8], b->byte_id[pair & 255])->rank;
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

static size_t merge_short(const struct bpe *b, const uint8_t *piece, uint32_t *ids, size_t n)
{
    uint32_t rank[SHORT_PIECE];

    for (size_t i = 0; i + 1 < n; i++) rank[i] = b->byte_rank[piece[i] << 8 | piece[i + 1]];
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == NO_RANK) break;
        ids[best] = find(b, ids[best], ids[best + 1])->id;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            rank[i - 1] = rank[i];
        }
        /* rank[best] still stands for a pair that is gone: both neighbours are looked up anew */
        if (best > 0) rank[best - 1] = find(b, ids[best - 1], ids[best])->rank;
        if (best + 1 < n) rank[best] = find(b, ids[best], ids[best + 1])->rank;
    }
    return n;
}

/* ------------------------------------------------------------------ long pieces */

static void heap_push(struct bpe_scratch *s, uint64_t entry)
{
    size_t i = s->heap_count++;

    while (i > 0 && s->heap[(i - 1) / 2] > entry) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = entry;
}

static uint64_t heap_pop(struct bpe_scratch *s)
{
    uint64_t top = s->heap[0], entry = s->heap[--s->heap_count];
    size_t i = 0, n = s->heap_count;

    for (;;) {
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
    s->rank[i] = s->next[i] == NO_NEXT ? NO_RANK : find(b, ids[i], ids[s->next[i]])->rank;
    if (s->rank[i] != NO_RANK) heap_push(s, (uint64_t)s->rank[i] << 32 | i);
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
        ids[i] = find(b, ids[i], ids[gone])->id;
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
