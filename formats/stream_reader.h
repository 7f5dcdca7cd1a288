/* SPDX-License-Identifier: Apache-2.0 */
/* stream_reader.h: what stream_copy.c needs of a reader beyond stream.h. */
#ifndef GRAFT_FORMATS_STREAM_READER_H
#define GRAFT_FORMATS_STREAM_READER_H

#include "formats/content.h"
#include "formats/intake.h"
#include "formats/stream.h"

struct reader_frame {
    struct intake_frame *frame; /* NULL: the stream has ended */
    int64_t begun;              /* rows begun in it, or tensor records */
};
/* True when nothing of a frame has been handed out that take_frame would then leave out. */
bool stream_reader_at_frame(const struct stream_reader *r);
/* The next frame of rows or tensors as a whole, with all its records checked and hashed, also into
 * `tap` (may be NULL). Its packed bytes may be swapped away; it stays until the next call. */
enum err stream_reader_take_frame(struct errctx *e, struct stream_reader *r, struct content *tap,
                                  struct reader_frame *out) MUST_USE;
/* The running hashes of everything from row 0 on; NULL when not everything was read. */
const struct content *stream_reader_content(const struct stream_reader *r);
/* Nothing has been handed out yet, and the next thing is the first. */
bool stream_reader_fresh(const struct stream_reader *r);

#endif
