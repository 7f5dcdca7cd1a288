/* SPDX-License-Identifier: Apache-2.0 */
/* tally.c: the table behind tally.h. */
#include "common/flow/tally.h"

#include <string.h>

#include "common/base/mem.h"

enum { SLOTS_MIN = 64 };

static enum err resize(struct errctx *e, struct tally *t, size_t slots)
{
    if (slots > t->room) {
        mem_free(t->entries);
        t->room = 0;
        TRY(mem_new_table(e, &t->entries, slots, sizeof *t->entries, "the table of copies"));
        t->room = slots;
    } else {
        memset(t->entries, 0, slots * sizeof *t->entries);
    }
    t->slots = slots;
    t->used = 0;
    return ERR_OK;
}

enum err tally_init(struct errctx *e, struct tally *t, uint64_t bytes)
{
    *t = (struct tally){.most = SLOTS_MIN};
    while (t->most * 2 * sizeof *t->entries <= bytes) t->most *= 2;
    return resize(e, t, SLOTS_MIN);
}

void tally_fini(struct tally *t)
{
    mem_free(t->entries);
    *t = (struct tally){0};
}

enum err tally_clear(struct errctx *e, struct tally *t, uint64_t hashes)
{
    size_t slots = SLOTS_MIN;
    while (slots < t->most && slots / 2 < hashes) slots *= 2;
    return resize(e, t, slots);
}

/* Where this hash is, or would be. */
static struct tally_entry *place(const struct tally *t, uint64_t low, uint64_t high)
{
    size_t i = (size_t)low & (t->slots - 1);
    while (t->entries[i].count && (t->entries[i].low != low || t->entries[i].high != high))
        i = (i + 1) & (t->slots - 1);
    return &t->entries[i];
}

static enum err grow(struct errctx *e, struct tally *t)
{
    struct tally old = *t;
    t->entries = NULL;
    t->room = 0;
    enum err r = resize(e, t, old.slots * 2);
    if (r != ERR_OK) {
        *t = old;
        return r;
    }
    for (size_t i = 0; i < old.slots; i++)
        if (old.entries[i].count)
            *place(t, old.entries[i].low, old.entries[i].high) = old.entries[i];
    t->used = old.used;
    mem_free(old.entries);
    return ERR_OK;
}

enum err tally_find(struct errctx *e, struct tally *t, uint64_t low, uint64_t high,
                    struct tally_entry **entry)
{
    struct tally_entry *p = place(t, low, high);
    *entry = p;
    if (p->count) return ERR_OK;
    if (t->used == t->slots / 2) {
        *entry = NULL;
        if (t->slots == t->most) return ERR_OK;
        TRY(grow(e, t));
        *entry = p = place(t, low, high);
    }
    t->used++;
    p->low = low;
    p->high = high;
    return ERR_OK;
}
