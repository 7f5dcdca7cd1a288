/* SPDX-License-Identifier: Apache-2.0 */
/* stream_copy.c: from a reader to a writer. Frames that were checked go over as they are,
 * compressed: what cat does with most of its input costs a decompression and a hash, no
 * compression. */
#include "formats/stream_reader.h"
#include "formats/stream_writer.h"

/* The next rows or piece through the writer's own records. */
static enum err copy_event(struct errctx *e, struct stream_reader *r, struct stream_writer *w,
                           bool *end)
{
    enum stream_event event;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    TRY(stream_reader_next(e, r, &event, &rows, &piece));
    *end = event == STREAM_EVENT_END;
    if (event == STREAM_EVENT_ROWS) return stream_writer_rows(e, w, &rows, 0, rows.n);
    if (event == STREAM_EVENT_TENSOR)
        return stream_writer_tensor(e, w, piece.tensor, piece.data, piece.elements);
    return ERR_OK;
}

/* Both have seen the same when both are fresh: then the content is hashed once, by the reader. */
static enum err copy_frames(struct errctx *e, struct stream_reader *r, struct stream_writer *w)
{
    bool same = stream_reader_fresh(r) && stream_writer_fresh(w);
    struct content *tap = same ? NULL : stream_writer_content(w);
    struct reader_frame f;
    for (;;) {
        TRY(stream_reader_take_frame(e, r, tap, &f));
        if (!f.frame) break;
        TRY(stream_writer_put_frame(e, w, &f.frame->packed, f.frame->raw.len, f.begun));
    }
    stream_writer_frames_done(w, same ? stream_reader_content(r) : NULL);
    return ERR_OK;
}

enum err stream_copy(struct errctx *e, struct stream_reader *r, struct stream_writer *w)
{
    const struct stream_begin *begin = stream_reader_begin(r);
    bool frames = stream_writer_takes_frames(w, stream_reader_is_file(r)), end = false;
    TRY(stream_begin_match(e, stream_writer_begin(w), "the output", begin, stream_reader_name(r)));
    if (begin->tensors_count && !(stream_reader_fresh(r) && stream_writer_fresh(w))) frames = false;
    while (!end && !(frames && stream_reader_at_frame(r))) TRY(copy_event(e, r, w, &end));
    return end ? ERR_OK : copy_frames(e, r, w);
}
