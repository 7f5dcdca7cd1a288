/* SPDX-License-Identifier: Apache-2.0 */
/* word_count.c: see word_count.h. Open addressing on XXH3-64, at most two thirds full. */
#include "common/text/word_count.h"
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BATCH = 64 };

void word_table_fini(struct word_table *t)
{
    mem_free(t->slots);
    bytes_fini(&t->arena);
    memset(t, 0, sizeof *t);
}

static enum err grow(struct errctx *e, struct word_table *t)
{
    size_t n = t->slots_count == 0 ? 4096 : 2 * t->slots_count;
    struct word_entry *slots;

    TRY(mem_new_table(e, &slots, n, sizeof *slots, "word counts"));
    for (size_t i = 0; i < t->slots_count; i++) {
        const struct word_entry *w = &t->slots[i];
        if (w->count == 0) continue;
        size_t k = (size_t)XXH3_64bits(t->arena.data + w->offset, w->len) & (n - 1);
        while (slots[k].count != 0) k = (k + 1) & (n - 1);
        slots[k] = *w;
    }
    mem_free(t->slots);
    t->slots = slots;
    t->slots_count = n;
    return ERR_OK;
}

static enum err add_hashed(struct errctx *e, struct word_table *t, const uint8_t *word, size_t n,
                           uint64_t hash, uint64_t count)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    struct word_entry *w;

    if (n > UINT32_MAX) return err_set(e, ERR_INPUT, "a word of %zu bytes is too long", n);
    if (3 * t->used >= 2 * t->slots_count) TRY(grow(e, t));
    for (size_t i = (size_t)hash & (t->slots_count - 1);; i = (i + 1) & (t->slots_count - 1)) {
        w = &t->slots[i];
        if (w->count == 0) break;
        if (w->tag == tag && w->len == n && memcmp(t->arena.data + w->offset, word, n) == 0) {
            w->count += count;
            return ERR_OK;
        }
    }
    *w = (struct word_entry){.offset = t->arena.len, .len = (uint32_t)n, .tag = tag};
    TRY(bytes_append(e, &t->arena, word, n));
    w->count = count;
    t->used++;
    return ERR_OK;
}

enum err word_table_add(struct errctx *e, struct word_table *t, const uint8_t *word, size_t n,
                        uint64_t count)
{
    return add_hashed(e, t, word, n, XXH3_64bits(word, n), count);
}

enum err word_table_add_pieces(struct errctx *e, struct word_table *t, const uint8_t *text,
                               const struct piece *pieces, size_t count)
{
    uint64_t hash[BATCH];

    if (t->slots_count == 0) TRY(grow(e, t));
    for (size_t from = 0, n; from < count; from += n) {
        const struct piece *p = pieces + from;
        n = count - from < BATCH ? count - from : BATCH;
        for (size_t i = 0; i < n; i++) {
            hash[i] = XXH3_64bits(text + p[i].from, p[i].to - p[i].from);
            __builtin_prefetch(&t->slots[(size_t)hash[i] & (t->slots_count - 1)]);
        }
        for (size_t i = 0; i < n; i++) /* of an empty slot this is the arena's begin */
            __builtin_prefetch(t->arena.data +
                               t->slots[(size_t)hash[i] & (t->slots_count - 1)].offset);
        for (size_t i = 0; i < n; i++) {
            size_t len = p[i].to - p[i].from;
            if (len > 1) TRY(add_hashed(e, t, text + p[i].from, len, hash[i], 1));
        }
    }
    return ERR_OK;
}

enum err word_table_merge(struct errctx *e, struct word_table *t, const struct word_table *from)
{
    for (size_t i = 0; i < from->slots_count; i++) {
        const struct word_entry *w = &from->slots[i];
        if (w->count > 0) TRY(word_table_add(e, t, from->arena.data + w->offset, w->len, w->count));
    }
    return ERR_OK;
}
