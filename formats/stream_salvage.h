/* SPDX-License-Identifier: Apache-2.0 */
/* stream_salvage.h: what is whole of a damaged stream, as a stream again.
 *
 * Each frame has a checksum of its own, so one that passes is believed wherever it stands. After
 * damage the search goes on at the next byte that begins a frame. Kept are whole rows, and tensors
 * of which every piece is there. */
#ifndef GRAFT_FORMATS_STREAM_SALVAGE_H
#define GRAFT_FORMATS_STREAM_SALVAGE_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/stream.h"

struct salvage {
    int64_t rows, tensors; /* kept */
    int64_t rows_expected; /* by the end records, -1 when one is missing */
    int64_t tensors_expected;
    int64_t frames_lost; /* that began well and did not pass, or belong to a row or tensor that is
                            not whole */
    uint64_t bytes_lost; /* of the file */
    uint64_t first_lost; /* offset of the first of them */
};

/* Writes what is whole of `path` to `out` and commits it. ERR_INPUT when not even a begin is left.
 */
enum err stream_salvage(struct errctx *e, struct run *run, const char *path, const char *out,
                        const struct stream_writer_cfg *cfg, struct salvage *result) MUST_USE;

#endif
