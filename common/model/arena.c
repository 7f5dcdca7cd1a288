/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c: greedy placement, largest first (Pisarchyk and Lee, "Efficient memory management for
 * deep neural net inference", 2020, algorithm 3, with the lowest free place instead of the
 * tightest). That no two items that live together overlap is easy to check:
 * tests/unit/test_model_arena.c. */
#include "common/model/arena.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { ALIGN = 64 };

enum err arena_add(struct errctx *e, struct arena *a, const char *name, size_t bytes, int64_t first,
                   int64_t last, size_t *index)
{
    size_t padded;
    if (!size_add(bytes, ALIGN - 1, &padded)) return err_memory(e, name, UINT64_MAX);
    TRY(mem_grow(e, &a->items, &a->capacity, a->count + 1, sizeof *a->items, "memory plan"));
    a->items[a->count] = (struct arena_item){
        .name = name, .bytes = padded / ALIGN * ALIGN, .first = first, .last = last};
    *index = a->count++;
    return ERR_OK;
}

struct order {
    const struct arena_item *items;
    size_t index;
};

/* Larger first; equal ones in the order they were added, so that the plan is the same with every
 * qsort. */
static int by_size(const void *x, const void *y)
{
    const struct order *a = x, *b = y;
    const size_t m = a->items[a->index].bytes, n = b->items[b->index].bytes;
    if (m != n) return m > n ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

static int by_offset(const void *x, const void *y)
{
    const struct order *a = x, *b = y;
    const size_t m = a->items[a->index].offset, n = b->items[b->index].offset;
    return m < n ? -1 : m > n;
}

enum err arena_plan(struct errctx *e, struct arena *a)
{
    struct order *order = NULL, *near = NULL;
    size_t placed = 0;
    TRY(mem_new(e, &order, a->count, sizeof *order, "memory plan"));
    if (mem_new(e, &near, a->count, sizeof *near, "memory plan") != ERR_OK) {
        mem_free(order);
        return e->code;
    }
    for (size_t i = 0; i < a->count; i++) order[i] = (struct order){a->items, i};
    qsort(order, a->count, sizeof *order, by_size);
    a->bytes = 0;
    for (; placed < a->count && e->code == ERR_OK; placed++) {
        struct arena_item *item = &a->items[order[placed].index];
        size_t n = 0, size, end;
        for (size_t j = 0; j < placed; j++) {
            const struct arena_item *o = &a->items[order[j].index];
            if (o->first <= item->last && item->first <= o->last) near[n++] = order[j];
        }
        qsort(near, n, sizeof *near, by_offset);
        item->offset = 0;
        if (!size_add(item->bytes, a->zone, &size)) size = SIZE_MAX;
        for (size_t j = 0; j < n; j++) {
            const struct arena_item *o = &a->items[near[j].index];
            const size_t behind = o->offset + o->bytes + a->zone;
            if (o->offset >= item->offset && o->offset - item->offset >= size) break;
            if (behind > item->offset) item->offset = behind;
        }
        if (!size_add(item->offset, size, &end))
            err_memory(e, item->name, UINT64_MAX);
        else if (end > a->bytes)
            a->bytes = end;
    }
    mem_free(order);
    mem_free(near);
    return e->code;
}

void arena_fini(struct arena *a)
{
    mem_free(a->items);
    *a = (struct arena){0};
}
