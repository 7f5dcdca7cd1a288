/* SPDX-License-Identifier: Apache-2.0 */
/* spill.h: many growing byte sequences in bounded memory.
 *
 * A chain is a sequence of bytes that only grows at its end. All chains share one store of equal
 * blocks: a block that is full stays in memory while there is room, otherwise it goes to one
 * unlinked file in TMPDIR; blocks of a chain that is cleared are used again, in memory and in the
 * file. So whoever dies leaves nothing behind, one descriptor is enough, and all writing is in
 * whole blocks.
 *
 *   chain   [block][block][block][tail..]     a block: in memory or a place in the file
 *                                             the tail: always in memory
 *
 * Memory: `resident` bytes of full blocks + one block per chain that holds anything.
 * Ownership: spill_new/_free; a chain is zero-initialised by its owner and emptied by spill_clear.
 * One thread. */
#ifndef GRAFT_FLOW_SPILL_H
#define GRAFT_FLOW_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/err.h"

struct spill;

struct spill_block {
    uint8_t *memory; /* NULL: in the file */
    uint64_t place;  /* number of the block in the file */
};

struct spill_chain {
    struct spill_block *blocks; /* the full ones */
    size_t count, capacity;
    uint8_t *tail; /* being filled; NULL when empty */
    uint64_t bytes;
};

/* block: bytes, a power of two. resident: bytes of full blocks that may stay in memory. need: bytes
 * that will be kept in all as far as known, so that a TMPDIR too small is an error before work
 * begins; 0: not known. */
enum err spill_new(struct errctx *e, size_t block, uint64_t resident, uint64_t need,
                   struct spill **out) MUST_USE;
void spill_free(struct spill *s);

enum err spill_append(struct errctx *e, struct spill *s, struct spill_chain *c, const void *data,
                      size_t n) MUST_USE;
/* Begins to fetch the memory that the next spill_append of n bytes will write to. */
void spill_prefetch(const struct spill *s, const struct spill_chain *c, size_t n);
/* Bytes [offset, offset + n) of the chain, which must be there. */
enum err spill_read(struct errctx *e, struct spill *s, const struct spill_chain *c, uint64_t offset,
                    void *out, size_t n) MUST_USE;
/* Overwrites them. */
enum err spill_patch(struct errctx *e, struct spill *s, struct spill_chain *c, uint64_t offset,
                     const void *data, size_t n) MUST_USE;
void spill_clear(struct spill *s, struct spill_chain *c);

/* Reads a chain from front to back in whole blocks, while others (or the chain's own end) go on
 * growing. */
struct spill_cursor {
    const struct spill_chain *chain;
    uint64_t offset;
    uint8_t *buffer; /* a block that was read from the file */
    size_t loaded;   /* its number in the chain + 1 */
};
enum err spill_cursor_read(struct errctx *e, struct spill *s, struct spill_cursor *c, void *out,
                           size_t n) MUST_USE;
void spill_cursor_fini(struct spill_cursor *c);

/* Bytes written to the file so far (0: all was kept in memory). */
uint64_t spill_written(const struct spill *s);
/* The file, -1 when there is none yet. */
int spill_descriptor(const struct spill *s);

#endif
