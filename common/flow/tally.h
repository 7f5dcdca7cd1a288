/* SPDX-License-Identifier: Apache-2.0 */
/* tally.h: how often each hash has been seen, in bounded memory: a table that says when it is full.
 *
 * Open addressing with linear probing, at most half full, doubling up to its bound; nothing is ever
 * taken out, so that what is in it has been counted from its first time on. Hashes are XXH3-128: no
 * further hashing.
 *
 * Ownership: tally_init/_fini. */
#ifndef GRAFT_FLOW_TALLY_H
#define GRAFT_FLOW_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/err.h"

struct tally_entry { /* half a cache line */
    uint64_t low, high;
    uint32_t count; /* 0: empty */
    uint32_t unused[3];
};

struct tally {
    struct tally_entry *entries;
    size_t most;        /* entries it may have at last, a power of two */
    size_t room;        /* entries there is memory for */
    size_t slots, used; /* entries in use, a power of two, and those filled */
};

/* bytes: its bound. */
enum err tally_init(struct errctx *e, struct tally *t, uint64_t bytes) MUST_USE;
void tally_fini(struct tally *t);

/* Empties it, and makes it as small as so many hashes need: what is small stays in the cache. */
enum err tally_clear(struct errctx *e, struct tally *t, uint64_t hashes) MUST_USE;

/* *entry: that of this hash, a new one (count 0, to be raised by the caller) if need be; NULL when
 * it is not there and the table is full. Good until the next call. */
enum err tally_find(struct errctx *e, struct tally *t, uint64_t low, uint64_t high,
                    struct tally_entry **entry) MUST_USE;

/* Begins to fetch what tally_find will look at. */
static inline void tally_prefetch(const struct tally *t, uint64_t low)
{
    __builtin_prefetch(&t->entries[low & (t->slots - 1)]);
}

#endif
