/* SPDX-License-Identifier: Apache-2.0 */
/* stream_writer.h: what stream_copy.c and stream_salvage.c need of a writer beyond stream.h. */
#ifndef GRAFT_FORMATS_STREAM_WRITER_H
#define GRAFT_FORMATS_STREAM_WRITER_H

#include "formats/content.h"
#include "formats/stream.h"

/* True when frames may be taken over as they are: no level was asked for, and (unless the input is
 * a regular file too) the output is no regular file, whose frames are to depend on its content
 * only. */
bool stream_writer_takes_frames(const struct stream_writer *w, bool from_regular);
/* Writes a checked frame in which `begun` rows begin (or so many tensor records). Its content is
 * added to stream_writer_content by the caller, or all of it afterwards. */
enum err stream_writer_put_frame(struct errctx *e, struct stream_writer *w, struct bytes *packed,
                                 size_t raw_size, int64_t begun) MUST_USE;
/* After the last frame; `content` (NULL: it was added as the frames came) is that of all that was
 * written. */
void stream_writer_frames_done(struct stream_writer *w, const struct content *content);
struct content *stream_writer_content(struct stream_writer *w);
/* Nothing has been written yet. */
bool stream_writer_fresh(const struct stream_writer *w);
const struct stream_begin *stream_writer_begin(const struct stream_writer *w);

#endif
