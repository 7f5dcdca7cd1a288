/* SPDX-License-Identifier: Apache-2.0 */
/* stream_map.h: the segments of a regular file, found from its end by their tables: where frames
 * are, what the end records say. Reads begin and end records only. Used inside formats/ for
 * draining and glancing. */
#ifndef GRAFT_FORMATS_STREAM_MAP_H
#define GRAFT_FORMATS_STREAM_MAP_H

#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/io.h"
#include "formats/record.h"
#include "formats/stream.h"

struct map_segment {
    uint64_t start, end;    /* bytes of the file */
    int64_t frames;         /* zstd frames, begin and end among them */
    uint64_t *offsets;      /* of each frame, and of the seal */
    uint32_t *raw_sizes;    /* of each frame */
    int64_t first_row;      /* in the whole stream */
    struct record_end last; /* the end record */
};

struct stream_map {
    struct stream_begin begin;
    struct bytes body;
    struct map_segment *segments; /* in order */
    int64_t count;
    size_t capacity;
    int64_t rows;
    uint64_t bytes; /* of data */
};

/* ERR_INPUT with the file's name. `in` is read with pread only. */
enum err stream_map_read(struct errctx *e, struct infile *in, struct stream_map *out) MUST_USE;
void stream_map_fini(struct stream_map *m);

/* That the frames of the segment from `start` on, as they were read, are those of its table: `seen`
 * are the entries that it must begin with. */
enum err stream_map_check(struct errctx *e, const struct infile *in, const struct stream_map *m,
                          const struct bytes *seen, uint64_t start) MUST_USE;

#endif
