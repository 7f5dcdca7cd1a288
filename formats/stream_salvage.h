/* SPDX-License-Identifier: Apache-2.0 */
/* stream_salvage.h: what is whole of a damaged stream, as a stream again.
 *
 * Each frame has a checksum of its own, so one that passes is believed wherever it stands. After
 * damage the search goes on at the next byte that begins a frame. Kept are whole rows, and tensors
 * of which every piece is there. Of joined streams one begin is enough where the id of a
 * segment shows that its own, which is lost, was the same. */
#ifndef GRAFT_FORMATS_STREAM_SALVAGE_H
#define GRAFT_FORMATS_STREAM_SALVAGE_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/stream.h"

/* Bytes of the file that were of no use, and the rows that went with them. */
struct salvage_gap {
    uint64_t from, to; /* equal: the file ends here, too early */
    int64_t row;       /* of the stream as it was: the first that is lost; -1: not known */
    int64_t lost;      /* rows; -1: not known */
};

enum { SALVAGE_GAPS = 32 };

struct salvage {
    int64_t rows, tensors; /* kept */
    int64_t rows_expected; /* by the end records, -1 when one is missing */
    int64_t tensors_expected;
    uint64_t bytes_lost; /* of the file, in all gaps */
    int64_t gaps_count;  /* of which the first SALVAGE_GAPS are told of */
    struct salvage_gap gaps[SALVAGE_GAPS];
};

/* Writes what is whole of `path` to `out` and commits it. ERR_INPUT when not even a begin is left.
 */
enum err stream_salvage(struct errctx *e, struct run *run, const char *path, const char *out,
                        const struct stream_writer_cfg *cfg, struct salvage *result) MUST_USE;

#endif
