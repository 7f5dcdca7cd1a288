/* SPDX-License-Identifier: Apache-2.0 */
/* bpe.c: see bpe.h. Merges live in a hash table from (left, right) to what the pair makes. */
#include "common/text/bpe.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "common/text/utf8.h"

enum { SHORT_PIECE = 64 };
#define NO_KEY  UINT64_MAX
#define NO_PAIR UINT64_MAX
#define NO_RANK UINT32_MAX
#define NO_NEXT UINT32_MAX
#define NO_ID   UINT32_MAX

/* What a pair makes, as one number: rank << 32 | joined id, so that the pair to join first is the
 * least number; with the position in the 8 bits between them it is the leftmost of equals. NO_PAIR
 * is above all. */
enum { PLACE_BITS = 24 };
struct merge {
    uint64_t key; /* left << 32 | right */
    uint64_t pair;
};

struct bpe {
    const struct vocab_map *vocab;
    bool ignore_merges, characters, byte_fallback, fuse_unknown, drop_unknown;
    bool lacks_bytes;      /* some byte of UTF-8 has no token */
    uint32_t unknown;      /* NO_ID: there is none */
    uint32_t byte_id[256]; /* of a byte; characters: of one of ASCII, or NO_ID */
    uint32_t fallback[256];
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
    return (uint32_t)pair & ((UINT32_C(1) << PLACE_BITS) - 1);
}

/* Notes what a pair makes, unless it is there with a lower rank. */
static void insert(struct bpe *b, uint32_t left, uint32_t right, uint64_t rank, uint32_t id)
{
    uint64_t key = (uint64_t)left << 32 | right;
    uint64_t hash = hash_key(key);
    size_t i = (size_t)hash & b->mask, bit = (size_t)(hash >> 16) & b->filter_mask;

    while (b->table[i].key != NO_KEY) {
        if (b->table[i].key == key) return;
        i = (i + 1) & b->mask;
    }
    assert(id < 1 << PLACE_BITS); /* tokenizer_spec_check sees to it */
    b->filter[bit / 8] |= (uint8_t)(1 << bit % 8);
    b->table[i] = (struct merge){key, rank << 32 | id};
}

static enum err add_merge(struct errctx *e, struct bpe *b, const struct tokenizer_spec *s,
                          int64_t rank, struct bytes *joined)
{
    uint32_t left = s->merges[2 * rank], right = s->merges[2 * rank + 1];
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
    insert(b, left, right, (uint64_t)rank, (uint32_t)id);
    return ERR_OK;
}

static enum err make_table(struct errctx *e, struct bpe *b, size_t pairs)
{
    size_t slots = 256;

    if (pairs >= NO_RANK) return err_set(e, ERR_INPUT, "too many merges");
    while (slots < 2 * pairs) slots *= 2;
    TRY(mem_new_table(e, &b->table, slots, sizeof *b->table, "merges"));
    b->mask = slots - 1;
    TRY(mem_new(e, &b->filter, slots / 2, 1, "merges"));
    b->filter_mask = 4 * slots - 1;
    for (size_t i = 0; i < slots; i++) b->table[i] = (struct merge){NO_KEY, NO_PAIR};
    return ERR_OK;
}

/* ------------------------------------------------------------------ merges from scores */

struct scored {
    float score;
    uint32_t id;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The pairs of tokens that are the token `id` end to end; inserts them unless `rank` is NO_RANK.
 * Their number. */
static size_t add_splits(struct bpe *b, const struct tokenizer_spec *s, uint32_t id, uint32_t rank)
{
    const uint8_t *bytes = s->bytes + s->start[id];
    size_t n = (size_t)(s->start[id + 1] - s->start[id]), count = 0;

    if (s->flags[id] & (TOKEN_SPECIAL | TOKEN_BYTE | TOKEN_UNUSED)) return 0;
    for (size_t k = 1; k < n; k++) {
        if ((bytes[k] & 0xc0) == 0x80) continue;
        int64_t left = vocab_map_find(b->vocab, bytes, k);
        int64_t right = left < 0 ? -1 : vocab_map_find(b->vocab, bytes + k, n - k);
        if (right < 0) continue;
        count++;
        if (rank != NO_RANK) insert(b, (uint32_t)left, (uint32_t)right, rank, id);
    }
    return count;
}

/* Tokens of one score have one rank: the leftmost pair of them comes first. */
static enum err fill_scored(struct errctx *e, struct bpe *b, const struct tokenizer_spec *s)
{
    struct scored *order;
    size_t pairs = 0;
    uint32_t rank = 0;
    enum err code;

    for (int64_t id = 0; id < s->vocab; id++) pairs += add_splits(b, s, (uint32_t)id, NO_RANK);
    TRY(mem_new(e, &order, (size_t)s->vocab, sizeof *order, "scores"));
    for (int64_t id = 0; id < s->vocab; id++)
        order[id] = (struct scored){s->scores[id], (uint32_t)id};
    qsort(order, (size_t)s->vocab, sizeof *order, by_score);
    code = make_table(e, b, pairs);
    for (int64_t i = 0; i < s->vocab && code == ERR_OK; i++) {
        if (i > 0 && order[i].score != order[i - 1].score) rank++;
        (void)add_splits(b, s, order[i].id, rank);
    }
    mem_free(order);
    return code;
}

/* ------------------------------------------------------------------ what a piece begins with */

static enum err find_bytes(struct errctx *e, struct bpe *b, const struct tokenizer_spec *s)
{
    int fallbacks = 0;

    for (int c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        int64_t id = vocab_map_find(b->vocab, &byte, 1);
        bool occurs = c < 0xc0 || (c > 0xc1 && c < 0xf5); /* in UTF-8 */
        bool lacks = id < 0 && !b->characters && occurs;
        if (lacks && b->unknown == NO_ID && !b->drop_unknown)
            return err_set(e, ERR_INPUT, "byte 0x%02x has no token", (unsigned)c);
        b->lacks_bytes |= lacks;
        b->byte_id[c] = id < 0 ? NO_ID : (uint32_t)id;
        b->fallback[c] = NO_ID;
    }
    for (int64_t id = 0; b->byte_fallback && id < s->vocab; id++) {
        if (!(s->flags[id] & TOKEN_BYTE) || b->fallback[s->bytes[s->start[id]]] != NO_ID) continue;
        b->fallback[s->bytes[s->start[id]]] = (uint32_t)id;
        fallbacks++;
    }
    if (b->characters && b->unknown == NO_ID && fallbacks < 256)
        return err_set(e, ERR_INPUT,
                       "%d of 256 bytes have a token to fall back to, and there is no special "
                       "token for 'unk'",
                       fallbacks);
    return ERR_OK;
}

static enum err fill(struct errctx *e, struct bpe *b, const struct tokenizer_spec *s)
{
    struct bytes joined = {0};
    enum err code;

    TRY(find_bytes(e, b, s));
    if (s->scores != NULL) return fill_scored(e, b, s);
    TRY(make_table(e, b, (size_t)s->merges_count));
    code = ERR_OK;
    for (int64_t r = 0; r < s->merges_count && code == ERR_OK; r++)
        code = add_merge(e, b, s, r, &joined);
    for (unsigned pair = 0; !b->characters && pair < 65536; pair++)
        b->byte_pair[pair] = pair_of(b, b->byte_id[pair >> 8], b->byte_id[pair & 255]);
    bytes_fini(&joined);
    return code;
}

static enum err flag(struct errctx *e, const struct mp_value *model, const char *key, bool *out)
{
    return mp_get(model, key) == NULL ? ERR_OK : mp_get_bool(e, model, key, out);
}

static enum err configure(struct errctx *e, struct bpe *b, const struct tokenizer_spec *s)
{
    const struct mp_value *model = mp_get(&s->ops, "model");
    int64_t unknown = tokenizer_spec_special(s, "unk");
    bool bytes = true;

    TRY(flag(e, model, "byte_level", &bytes));
    TRY(flag(e, model, "ignore_merges", &b->ignore_merges));
    TRY(flag(e, model, "byte_fallback", &b->byte_fallback));
    TRY(flag(e, model, "fuse_unk", &b->fuse_unknown));
    TRY(flag(e, model, "drop_unknown", &b->drop_unknown));
    b->characters = !bytes;
    b->unknown = unknown < 0 ? NO_ID : (uint32_t)unknown;
    return ERR_OK;
}

enum err bpe_new(struct errctx *e, const struct tokenizer_spec *spec, const struct vocab_map *vocab,
                 struct bpe **out)
{
    struct bpe *b;

    *out = NULL;
    TRY(mem_new(e, &b, 1, sizeof *b, "byte-pair encoding"));
    b->vocab = vocab;
    if (configure(e, b, spec) != ERR_OK || fill(e, b, spec) != ERR_OK) {
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

bool bpe_takes_bytes(const struct bpe *b)
{
    return !b->characters && !b->lacks_bytes;
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

    for (size_t i = 0; i + 1 < n; i++)
        pair[i] = (b->characters ? pair_of(b, ids[i], ids[i + 1])
                                 : b->byte_pair[piece[i] << 8 | piece[i + 1]]) |
                  i << PLACE_BITS;
    for (size_t i = 0; i < n; i++) {
        next[i] = (uint8_t)(i + 1);
        previous[i + 1] = (uint8_t)i;
    }
    for (;;) {
        best = NO_PAIR;
        for (size_t i = 0; i + 1 < n; i++) best = pair[i] < best ? pair[i] : best;
        if (best == NO_PAIR) break;
        size_t i = best >> PLACE_BITS & (SHORT_PIECE - 1), gone = next[i], after = next[gone];
        ids[i] = joined_id(best);
        next[i] = (uint8_t)after;
        previous[after] = (uint8_t)i;
        pair[gone] = NO_PAIR;
        pair[i] = after < n ? pair_of(b, ids[i], ids[after]) | i << PLACE_BITS : NO_PAIR;
        if (i > 0)
            pair[previous[i]] = pair_of(b, ids[previous[i]], ids[i]) | (uint64_t)previous[i]
                                                                           << PLACE_BITS;
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

/* Bytes without a token become unknown or nothing. */
static void settle_unknown(const struct bpe *b, uint32_t *ids, size_t *count)
{
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++) {
        if (ids[i] != NO_ID)
            ids[kept++] = ids[i];
        else if (b->unknown != NO_ID && !b->drop_unknown)
            ids[kept++] = b->unknown;
    }
    *count = kept;
}

/* The characters of piece[0..n) as ids, at most n of them; their number. */
static size_t begin_characters(const struct bpe *b, const uint8_t *piece, size_t n, uint32_t *ids)
{
    size_t count = 0, len;
    bool unknown = false; /* the last one was */

    for (size_t i = 0; i < n; i += len) {
        uint32_t id;
        bool whole = b->byte_fallback;
        (void)utf8_decode(piece + i, &len);
        id = len == 1 ? b->byte_id[piece[i]] : (uint32_t)vocab_map_find(b->vocab, piece + i, len);
        if (id != NO_ID) {
            ids[count++] = id;
            unknown = false;
            continue;
        }
        for (size_t k = 0; k < len; k++) whole &= b->fallback[piece[i + k]] != NO_ID;
        for (size_t k = 0; whole && k < len; k++) ids[count++] = b->fallback[piece[i + k]];
        if (!whole && !(unknown && b->fuse_unknown)) ids[count++] = b->unknown;
        unknown = !whole;
    }
    return count;
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
    if (b->characters)
        n = begin_characters(b, piece, n, ids);
    else
        for (size_t i = 0; i < n; i++) ids[i] = b->byte_id[piece[i]];
    if (n > SHORT_PIECE)
        TRY(merge_long(e, b, s, ids, n, count));
    else
        *count = merge_short(b, piece, ids, n);
    if (b->lacks_bytes) settle_unknown(b, ids, count);
    return ERR_OK;
}
