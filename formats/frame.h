/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h: the outer grammar of a stream: skippable frames, zstd frames, seal, seekable table. No
 * records here.
 *
 *   segment  = magic frame+ seal table                      (byte grammar in stream.h)
 *
 * frame_scan walks a file or pipe frame by frame, without decompressing: it needs the frame header
 * and the block headers only (RFC 8878, section 3.1.1). What it accepts is less than zstd does:
 * content size and checksum present, no dictionary, at most 4 MiB raw, a bounded compressed size, a
 * bounded window.
 *
 * Reference for the table: zstd's contrib/seekable_format/zstd_seekable_compression_format.md. */
#ifndef GRAFT_FORMATS_FRAME_H
#define GRAFT_FORMATS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/io.h"
#include "common/base/mem.h"

enum {
    FRAME_RAW_LIMIT = 4 << 20,
    /* The largest compressed frame: what incompressible content needs, and some. */
    FRAME_PACKED_LIMIT = (4 << 20) + (64 << 10),
    FRAME_MAGIC_BYTES = 14,
    FRAME_SEAL_BYTES = 16,
    FRAME_TABLE_FOOTER = 9, /* u32 entries, u8 descriptor, u32 0x8F92EAB1 */
};
#define FRAME_ENTRIES_LIMIT 0x8000000u /* of the seekable format */

/* ------------------------------------------------------------------ writing */

/* The 14 bytes that open a segment. */
extern const uint8_t frame_magic[FRAME_MAGIC_BYTES];
/* The 16 bytes of a seal. */
void frame_seal(uint64_t hash, uint8_t out[FRAME_SEAL_BYTES]);
/* One entry of a table that is being collected. */
enum err frame_table_add(struct errctx *e, struct bytes *entries, size_t packed,
                         size_t raw) MUST_USE;
/* The whole table frame for these entries (magic and seal among them). */
enum err frame_table_encode(struct errctx *e, const struct bytes *entries,
                            struct bytes *out) MUST_USE;

/* ------------------------------------------------------------------ reading */

enum frame_kind {
    FRAME_DATA,    /* a zstd frame; the first after FRAME_TABLE or the start begins a segment */
    FRAME_TABLE,   /* seal and table were there and right: the segment is whole */
    FRAME_EOF,     /* the end, between segments */
    FRAME_CUT,     /* the end, anywhere else */
    FRAME_STOPPED, /* `wait` said so */
};

struct frame_scanner {
    struct infile *in;
    /* Asked before each read of a pipe; false: give up (FRAME_STOPPED). NULL: just read. */
    bool (*wait)(void *ctx);
    void *wait_ctx;
    uint8_t *buffer; /* read ahead */
    size_t at, len;
    uint64_t offset;        /* of the next byte to be scanned */
    int64_t segment_frames; /* data frames since the segment began; 0 after magic; -1 between
                               segments */
    bool sealed;            /* the seal has been seen, the table comes next */
    bool stopped;
    struct bytes table;     /* entries since the segment's start */
    XXH3_state_t *seal;     /* of all bytes since then */
    uint64_t segment_start; /* of the segment that `table` is about */
};

enum err frame_scanner_init(struct errctx *e, struct frame_scanner *s, struct infile *in) MUST_USE;
void frame_scanner_fini(struct frame_scanner *s);
/* From the start once more, where the file has been placed. */
void frame_scanner_rewind(struct frame_scanner *s);

struct frame {
    enum frame_kind kind;
    uint64_t offset; /* where it begins (FRAME_CUT: where the input ends) */
    size_t raw_size;
    int64_t number; /* of the data frame in its segment, from 0 */
};
/* The next thing; the bytes of a zstd frame go to *packed (replaced). Bad framing: ERR_INPUT, a
 * message without file name; `f->offset` is where. */
enum err frame_scan(struct errctx *e, struct frame_scanner *s, struct bytes *packed,
                    struct frame *f) MUST_USE;

/* A frame header's promise. Needs up to 18 bytes; *need > n when it needs more. */
struct frame_header {
    size_t bytes; /* of the header itself */
    size_t raw_size;
};
enum err frame_header_parse(struct errctx *e, const uint8_t *data, size_t n, struct frame_header *h,
                            size_t *need) MUST_USE;

/* "it is gzip (gunzip it first)" for the first bytes of some other kind of file, or "". */
const char *frame_guess(const uint8_t *data, size_t n);

static inline uint32_t frame_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t frame_u64(const uint8_t *p)
{
    return frame_u32(p) | (uint64_t)frame_u32(p + 4) << 32;
}
static inline void frame_put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}
static inline void frame_put_u64(uint8_t *p, uint64_t v)
{
    frame_put_u32(p, (uint32_t)v);
    frame_put_u32(p + 4, (uint32_t)(v >> 32));
}

#endif
