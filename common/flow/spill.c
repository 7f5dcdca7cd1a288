/* SPDX-License-Identifier: Apache-2.0 */
/* spill.c: the block store behind spill.h. */
#include "common/flow/spill.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/prog.h"

struct spill {
    size_t block;
    uint64_t resident, need; /* bytes */
    uint64_t kept;           /* bytes of full blocks in memory */
    int fd;                  /* -1 until the first block goes out */
    uint64_t end;            /* blocks in the file */
    uint64_t written;        /* bytes */
    uint64_t *holes;         /* places in the file that are free */
    size_t holes_count, holes_capacity;
    uint8_t **spare; /* blocks of memory that are free */
    size_t spare_count, spare_capacity;
    uint8_t **slabs; /* what they are parts of, in large pages */
    size_t slabs_count, slabs_capacity;
};

enum { SLAB_BYTES = 2 << 20 };

/* The name under which the file appears in messages: it has none of its own. */
#define FILE_NAME "temporary file in TMPDIR"

enum err spill_new(struct errctx *e, size_t block, uint64_t resident, uint64_t need,
                   struct spill **out)
{
    TRY(mem_new(e, out, 1, sizeof **out, "spill store"));
    struct spill *s = *out;
    *s = (struct spill){.block = block, .resident = resident, .need = need, .fd = -1};
    if (need <= resident) return ERR_OK;
    enum err r = io_temporary(e, need - resident, &s->fd);
    if (r != ERR_OK) {
        spill_free(s);
        *out = NULL;
    }
    return r;
}

void spill_free(struct spill *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->slabs_count; i++) mem_free(s->slabs[i]);
    mem_free(s->slabs);
    mem_free(s->spare);
    mem_free(s->holes);
    if (s->fd >= 0) close(s->fd);
    mem_free(s);
}

uint64_t spill_written(const struct spill *s)
{
    return s->written;
}

int spill_descriptor(const struct spill *s)
{
    return s->fd;
}

/* ---- blocks ---- */

static enum err slab_new(struct errctx *e, struct spill *s)
{
    const size_t blocks = s->block < SLAB_BYTES ? SLAB_BYTES / s->block : 1;
    uint8_t *slab;
    TRY(mem_grow(e, &s->slabs, &s->slabs_capacity, s->slabs_count + 1, sizeof *s->slabs, "blocks"));
    /* room for all blocks that there are, so that giving one back cannot fail */
    TRY(mem_grow(e, &s->spare, &s->spare_capacity, (s->slabs_count + 1) * blocks, sizeof *s->spare,
                 "blocks"));
    TRY(mem_new_table(e, &slab, blocks, s->block, "rows in memory"));
    s->slabs[s->slabs_count++] = slab;
    for (size_t i = blocks; i-- > 0;) s->spare[s->spare_count++] = slab + i * s->block;
    return ERR_OK;
}

static enum err block_take(struct errctx *e, struct spill *s, uint8_t **out)
{
    if (s->spare_count == 0) TRY(slab_new(e, s));
    *out = s->spare[--s->spare_count];
    return ERR_OK;
}

static void block_give(struct spill *s, uint8_t *block)
{
    if (block) s->spare[s->spare_count++] = block;
}

static enum err place_take(struct errctx *e, struct spill *s, uint64_t *place)
{
    if (s->fd < 0) TRY(io_temporary(e, 0, &s->fd));
    *place = s->holes_count > 0 ? s->holes[--s->holes_count] : s->end++;
    return ERR_OK;
}

static void place_give(struct spill *s, uint64_t place)
{
    struct errctx ignored = ERRCTX_INIT;
    if (mem_grow(&ignored, &s->holes, &s->holes_capacity, s->holes_count + 1, sizeof *s->holes,
                 "blocks") == ERR_OK)
        s->holes[s->holes_count++] = place; /* else the place stays unused */
}

static enum err file_write(struct errctx *e, struct spill *s, uint64_t offset, const void *data,
                           size_t n)
{
    if (lseek(s->fd, (off_t)offset, SEEK_SET) < 0)
        return err_errno(e, "cannot seek in '%s'", FILE_NAME);
    enum err r = io_write_all(e, s->fd, data, n, FILE_NAME);
    if (r == ERR_IO && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
        char have[32];
        int cause = errno;
        err_clear(e);
        return err_set(e, ERR_IO,
                       "cannot keep rows in '%s': %s after %s: set TMPDIR to a directory with more "
                       "room, or raise --memory",
                       io_temporary_directory(), strerror(cause),
                       prog_format_bytes((double)s->end * (double)s->block, have));
    }
    s->written += n;
    return r;
}

/* A full tail becomes a block: of memory while there is room, of the file otherwise (the tail is
 * then filled again). */
static enum err seal_tail(struct errctx *e, struct spill *s, struct spill_chain *c)
{
    struct spill_block b = {0};
    TRY(mem_grow(e, &c->blocks, &c->capacity, c->count + 1, sizeof *c->blocks, "blocks"));
    if (s->kept + s->block <= s->resident) {
        b.memory = c->tail;
        c->tail = NULL;
        s->kept += s->block;
    } else {
        TRY(place_take(e, s, &b.place));
        TRY(file_write(e, s, b.place * s->block, c->tail, s->block));
    }
    c->blocks[c->count++] = b;
    return ERR_OK;
}

/* ---- chains ---- */

enum err spill_append(struct errctx *e, struct spill *s, struct spill_chain *c, const void *data,
                      size_t n)
{
    const uint8_t *from = data;
    const size_t free = s->block - (size_t)(c->bytes & (s->block - 1));
    if (c->tail && n < free) { /* as a rule */
        memcpy(c->tail + (s->block - free), data, n);
        c->bytes += n;
        return ERR_OK;
    }
    while (n > 0) {
        size_t used = (size_t)(c->bytes & (s->block - 1));
        size_t now = s->block - used < n ? s->block - used : n;
        if (!c->tail) TRY(block_take(e, s, &c->tail));
        memcpy(c->tail + used, from, now);
        c->bytes += now;
        from += now;
        n -= now;
        if (used + now == s->block) TRY(seal_tail(e, s, c));
    }
    return ERR_OK;
}

void spill_prefetch(const struct spill *s, const struct spill_chain *c, size_t n)
{
    enum { MOST = 512, LINE = 64 };
    const size_t used = (size_t)(c->bytes & (s->block - 1));
    if (!c->tail) return;
    for (size_t at = 0; at < n + LINE - 1 && at < MOST && used + at < s->block; at += LINE)
        __builtin_prefetch(c->tail + used + at, 1);
}

/* The memory of block i of the chain (the tail comes after the full ones), NULL when it is in the
 * file. */
static uint8_t *resident_block(const struct spill_chain *c, size_t i)
{
    return i < c->count ? c->blocks[i].memory : c->tail;
}

enum err spill_read(struct errctx *e, struct spill *s, const struct spill_chain *c, uint64_t offset,
                    void *out, size_t n)
{
    uint8_t *to = out;
    while (n > 0) {
        size_t i = (size_t)(offset / s->block), at = (size_t)(offset & (s->block - 1));
        size_t now = s->block - at < n ? s->block - at : n;
        const uint8_t *memory = resident_block(c, i);
        if (memory)
            memcpy(to, memory + at, now);
        else
            TRY(io_pread_all(e, s->fd, to, now, c->blocks[i].place * s->block + at, FILE_NAME));
        to += now;
        offset += now;
        n -= now;
    }
    return ERR_OK;
}

enum err spill_patch(struct errctx *e, struct spill *s, struct spill_chain *c, uint64_t offset,
                     const void *data, size_t n)
{
    const uint8_t *from = data;
    while (n > 0) {
        size_t i = (size_t)(offset / s->block), at = (size_t)(offset & (s->block - 1));
        size_t now = s->block - at < n ? s->block - at : n;
        uint8_t *memory = resident_block(c, i);
        if (memory)
            memcpy(memory + at, from, now);
        else
            TRY(file_write(e, s, c->blocks[i].place * s->block + at, from, now));
        from += now;
        offset += now;
        n -= now;
    }
    return ERR_OK;
}

void spill_clear(struct spill *s, struct spill_chain *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->blocks[i].memory) {
            s->kept -= s->block;
            block_give(s, c->blocks[i].memory);
        } else {
            place_give(s, c->blocks[i].place);
        }
    }
    block_give(s, c->tail);
    mem_free(c->blocks);
    *c = (struct spill_chain){0};
}

/* ---- cursors ---- */

/* A block that lies in the file is read whole, once; what is in memory is copied from where it is.
 * A block is only ever looked for as long as it is not the tail, so that one that moved to the file
 * meanwhile is found there. */
enum err spill_cursor_read(struct errctx *e, struct spill *s, struct spill_cursor *c, void *out,
                           size_t n)
{
    uint8_t *to = out;
    while (n > 0) {
        size_t i = (size_t)(c->offset / s->block), at = (size_t)(c->offset & (s->block - 1));
        size_t now = s->block - at < n ? s->block - at : n;
        const uint8_t *from = resident_block(c->chain, i);
        if (!from) {
            if (!c->buffer) TRY(mem_new_aligned(e, &c->buffer, 1, s->block, "a block of rows"));
            if (c->loaded != i + 1)
                TRY(io_pread_all(e, s->fd, c->buffer, s->block,
                                 c->chain->blocks[i].place * s->block, FILE_NAME));
            c->loaded = i + 1;
            from = c->buffer;
        }
        memcpy(to, from + at, now);
        to += now;
        c->offset += now;
        n -= now;
    }
    return ERR_OK;
}

void spill_cursor_fini(struct spill_cursor *c)
{
    mem_free(c->buffer);
    *c = (struct spill_cursor){0};
}
