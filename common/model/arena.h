/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h: one block of memory, planned from a table of {name, bytes, lifetime}: what is never
 * alive at the same time may share a place.
 *
 * A lifetime is a closed interval of phases; what a phase is, is the caller's business (the model
 * numbers the steps of its forward and backward pass). The plan follows from the table only. Owner:
 * arena_fini. */
#ifndef GRAFT_MODEL_ARENA_H
#define GRAFT_MODEL_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/err.h"

struct arena_item {
    const char *name; /* static text */
    size_t bytes;
    int64_t first, last; /* phases, both included */
    size_t offset;       /* set by arena_plan, a multiple of 64 */
};

struct arena {
    struct arena_item *items;
    size_t count, capacity;
    size_t zone;  /* bytes left free behind each item, a multiple of 64 */
    size_t bytes; /* of the whole, set by arena_plan */
};

/* Adds an item; *index names it. bytes 0 is allowed. */
enum err arena_add(struct errctx *e, struct arena *a, const char *name, size_t bytes, int64_t first,
                   int64_t last, size_t *index) MUST_USE;
/* Places all items: largest first, each at the lowest place that is free during its life. */
enum err arena_plan(struct errctx *e, struct arena *a) MUST_USE;
void arena_fini(struct arena *a);

#endif
