/* SPDX-License-Identifier: Apache-2.0 */
/* unigram.c: see unigram.h. The trie is made from the sorted tokens, level by level, so that the
 * children of a node are neighbours in order of their bytes; the root's stand in a table. */
#include "common/text/unigram.h"
#include <float.h>
#include <stdlib.h>
#include <string.h>
#include "common/text/utf8.h"

#define NO_ID UINT32_MAX

struct trie_node {
    uint32_t id;    /* of the token that ends here, or NO_ID */
    uint32_t first; /* child */
    uint16_t count; /* of children */
    uint8_t byte;
};

struct unigram {
    const struct tokenizer_spec *spec;
    struct trie_node *nodes; /* 0 is the root */
    size_t count, capacity;
    uint32_t root[256]; /* child of the root by byte, 0: none */
    uint32_t unknown;   /* or NO_ID */
    bool byte_fallback; /* every byte has a token */
    uint32_t byte_id[256];
    double unknown_score;
};

struct unigram_node { /* the best way to a place */
    double score;
    uint32_t begin; /* of its last token; NO_ID: there is no way yet */
    uint32_t id;
};

/* ------------------------------------------------------------------ the trie */

struct entry {
    const uint8_t *bytes;
    size_t n;
    uint32_t id;
};

static int by_bytes(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);

    if (order != 0) return order;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* The entries that share the first `depth` bytes with a node. */
struct span {
    uint32_t from, to, depth;
};

static enum err grow(struct errctx *e, struct unigram *u, struct span **spans, size_t *capacity)
{
    TRY(mem_grow(e, &u->nodes, &u->capacity, u->count + 1, sizeof *u->nodes, "vocabulary"));
    return mem_grow(e, spans, capacity, u->count + 1, sizeof **spans, "vocabulary");
}

/* The children of node k, behind all nodes that are there. */
static enum err add_children(struct errctx *e, struct unigram *u, const struct entry *entries,
                             uint32_t k, struct span **spans, size_t *capacity)
{
    struct span s = (*spans)[k];
    uint32_t i = s.from;

    for (; i < s.to && entries[i].n == s.depth; i++) /* of equal tokens the lowest id counts */
        if (u->nodes[k].id == NO_ID) u->nodes[k].id = entries[i].id;
    u->nodes[k].first = (uint32_t)u->count;
    while (i < s.to) {
        uint32_t from = i;
        uint8_t byte = entries[i].bytes[s.depth];
        while (i < s.to && entries[i].bytes[s.depth] == byte) i++;
        TRY(grow(e, u, spans, capacity));
        u->nodes[u->count] = (struct trie_node){.id = NO_ID, .byte = byte};
        (*spans)[u->count++] = (struct span){from, i, s.depth + 1};
        u->nodes[k].count++;
    }
    return ERR_OK;
}

static enum err build_trie(struct errctx *e, struct unigram *u, const struct entry *entries,
                           size_t n)
{
    struct span *spans = NULL;
    size_t capacity = 0;
    enum err code = grow(e, u, &spans, &capacity);

    if (code == ERR_OK) {
        u->nodes[0] = (struct trie_node){.id = NO_ID};
        spans[0] = (struct span){0, (uint32_t)n, 0};
        u->count = 1;
    }
    for (size_t k = 0; k < u->count && code == ERR_OK; k++)
        code = u->count >= UINT32_MAX - 256
                   ? err_set(e, ERR_INPUT, "the vocabulary is too large")
                   : add_children(e, u, entries, (uint32_t)k, &spans, &capacity);
    mem_free(spans);
    for (uint32_t k = 0; code == ERR_OK && k < u->nodes[0].count; k++)
        u->root[u->nodes[u->nodes[0].first + k].byte] = u->nodes[0].first + k;
    return code;
}

/* The child of node k by a byte, 0: none. */
static inline uint32_t child(const struct unigram *u, uint32_t k, uint8_t byte)
{
    const struct trie_node *at = &u->nodes[u->nodes[k].first];
    uint32_t low = 0, high = u->nodes[k].count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (at[middle].byte == byte) return u->nodes[k].first + middle;
        if (at[middle].byte < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* ------------------------------------------------------------------ making one */

static bool is_model_token(const struct tokenizer_spec *s, int64_t id)
{
    return !(s->flags[id] & (TOKEN_SPECIAL | TOKEN_ADDED | TOKEN_BYTE | TOKEN_UNUSED)) &&
           s->start[id + 1] > s->start[id];
}

static enum err fill(struct errctx *e, struct unigram *u)
{
    const struct tokenizer_spec *s = u->spec;
    struct entry *entries;
    size_t n = 0, bytes = 0;
    float least = FLT_MAX;
    enum err code;

    TRY(mem_new(e, &entries, (size_t)s->vocab, sizeof *entries, "vocabulary"));
    for (int c = 0; c < 256; c++) u->byte_id[c] = NO_ID;
    for (int64_t id = 0; id < s->vocab; id++) {
        const uint8_t *token = s->bytes + s->start[id];
        if ((s->flags[id] & TOKEN_BYTE) && u->byte_id[token[0]] == NO_ID) {
            u->byte_id[token[0]] = (uint32_t)id;
            bytes++;
        }
        if (!is_model_token(s, id)) continue;
        if (s->scores[id] < least) least = s->scores[id];
        entries[n++] =
            (struct entry){token, (size_t)(s->start[id + 1] - s->start[id]), (uint32_t)id};
    }
    u->byte_fallback = u->byte_fallback && bytes == 256;
    u->unknown_score = (n > 0 ? (double)least : 0) - 10;
    qsort(entries, n, sizeof *entries, by_bytes);
    code = u->unknown == NO_ID && !u->byte_fallback
               ? err_set(e, ERR_INPUT,
                         "%zu of 256 bytes have a token to fall back to, and there is no special "
                         "token for 'unk'",
                         bytes)
               : build_trie(e, u, entries, n);
    mem_free(entries);
    return code;
}

enum err unigram_new(struct errctx *e, const struct tokenizer_spec *spec, struct unigram **out)
{
    const struct mp_value *model = mp_get(&spec->ops, "model");
    struct unigram *u;
    enum err code = ERR_OK;

    *out = NULL;
    TRY(mem_new(e, &u, 1, sizeof *u, "unigram model"));
    u->spec = spec;
    u->unknown = (uint32_t)tokenizer_spec_special(spec, "unk");
    if (mp_get(model, "byte_fallback") != NULL)
        code = mp_get_bool(e, model, "byte_fallback", &u->byte_fallback);
    if (code == ERR_OK) code = fill(e, u);
    if (code != ERR_OK) {
        unigram_free(u);
        return code;
    }
    *out = u;
    return ERR_OK;
}

void unigram_free(struct unigram *u)
{
    if (u == NULL) return;
    mem_free(u->nodes);
    mem_free(u);
}

void unigram_scratch_fini(struct unigram_scratch *s)
{
    mem_free(s->nodes);
    memset(s, 0, sizeof *s);
}

/* ------------------------------------------------------------------ encoding */

static inline void reach(struct unigram_node *to, double score, size_t begin, uint32_t id)
{
    if (to->begin != NO_ID && score <= to->score) return;
    *to = (struct unigram_node){score, (uint32_t)begin, id};
}

/* Every token that begins at i. True when one of them is the character alone. */
static bool extend(const struct unigram *u, struct unigram_node *best, const uint8_t *s, size_t n,
                   size_t i, size_t character)
{
    uint32_t k = u->root[s[i]];
    bool alone = false;

    for (size_t end = i + 1; k != 0; end++) {
        uint32_t id = u->nodes[k].id;
        if (id != NO_ID) {
            reach(&best[end], best[i].score + (double)u->spec->scores[id], i, id);
            alone |= end - i == character;
        }
        if (end == n) break;
        k = child(u, k, s[end]);
    }
    return alone;
}

/* Puts the tokens of the bytes [from, to) in front of ids[at]; the new place. */
static size_t put_unknown(const struct unigram *u, const uint8_t *s, size_t from, size_t to,
                          uint32_t *ids, size_t at)
{
    if (!u->byte_fallback) {
        ids[--at] = u->unknown;
        return at;
    }
    while (to > from) ids[--at] = u->byte_id[s[--to]];
    return at;
}

enum err unigram_encode(struct errctx *e, const struct unigram *u, struct unigram_scratch *s,
                        const uint8_t *piece, size_t n, uint32_t *ids, size_t *count)
{
    struct unigram_node *best;
    size_t len, at = n;

    if (n >= NO_ID) return err_set(e, ERR_INPUT, "a piece of %zu bytes is too long", n);
    TRY(mem_grow(e, &s->nodes, &s->capacity, n + 1, sizeof *s->nodes, "unigram model"));
    best = s->nodes;
    for (size_t i = 1; i <= n; i++) best[i].begin = NO_ID;
    best[0] = (struct unigram_node){0, 0, NO_ID};
    for (size_t i = 0; i < n; i += len) {
        (void)utf8_decode(piece + i, &len);
        if (!extend(u, best, piece, n, i, len))
            reach(&best[i + len], best[i].score + u->unknown_score, i, NO_ID);
    }
    for (size_t end = n; end > 0;) { /* backwards, to the end of ids */
        size_t begin = best[end].begin;
        if (best[end].id != NO_ID) {
            ids[--at] = best[end].id;
        } else {
            while (begin > 0 && best[begin].id == NO_ID) begin = best[begin].begin;
            at = put_unknown(u, piece, begin, end, ids, at);
        }
        end = begin;
    }
    *count = n - at;
    memmove(ids, ids + at, *count * sizeof *ids);
    return ERR_OK;
}
