/* SPDX-License-Identifier: Apache-2.0 */
/* tally.c: the table behind tally.h. */
#include "common/flow/tally.h"

#include <string.h>

#include "common/base/mem.h"

enum { SLOTS_MIN = 64 };

enum err tally_init(struct errctx *e, struct tally *t, uint64_t bytes)
{
    *t = (struct tally){.room = SLOTS_MIN};
    while (t->room * 2 * sizeof *t->entries <= bytes) t->room *= 2;
    t->slots = t->room;
    t->limit = t->slots / 2;
    return mem_new(e, &t->entries, t->room, sizeof *t->entries, "the table of copies");
}

void tally_fini(struct tally *t)
{
    mem_free(t->entries);
    *t = (struct tally){0};
}

void tally_clear(struct tally *t, uint64_t hashes)
{
    for (t->slots = SLOTS_MIN; t->slots < t->room && t->slots / 2 < hashes;) t->slots *= 2;
    t->limit = t->slots / 2;
    t->used = 0;
    memset(t->entries, 0, t->slots * sizeof *t->entries);
}

struct tally_entry *tally_find(struct tally *t, uint64_t low, uint64_t high)
{
    size_t i = (size_t)low & (t->slots - 1);
    for (; t->entries[i].count; i = (i + 1) & (t->slots - 1))
        if (t->entries[i].low == low && t->entries[i].high == high) return &t->entries[i];
    if (t->used == t->limit) return NULL;
    t->used++;
    t->entries[i].low = low;
    t->entries[i].high = high;
    return &t->entries[i];
}
