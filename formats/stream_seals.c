/* SPDX-License-Identifier: Apache-2.0 */
/* stream_seals.c: the quick check of a stream: its frames' outer form, seal and table, nothing
 * decompressed. */
#include <inttypes.h>

#include "formats/frame.h"
#include "formats/stream.h"

static enum err scan_all(struct errctx *e, struct infile *in, struct frame_scanner *s,
                         struct stream_summary *summary)
{
    struct bytes packed = {0};
    struct frame f = {.kind = FRAME_DATA};
    enum err code = ERR_OK;
    while (code == ERR_OK && f.kind != FRAME_EOF && f.kind != FRAME_CUT) {
        code = frame_scan(e, s, &packed, &f);
        if (code == ERR_OK && f.kind == FRAME_TABLE) summary->segments++;
    }
    bytes_fini(&packed);
    summary->compressed = s->offset;
    if (code == ERR_INPUT && f.offset == 0) return err_prefix(e, "'%s'", in->name);
    if (code == ERR_INPUT) return err_prefix(e, "'%s': byte %" PRIu64, in->name, f.offset);
    if (code == ERR_OK && f.kind == FRAME_CUT)
        return err_set(e, ERR_INPUT,
                       "'%s': truncated at byte %" PRIu64 ": no seal (did its producer die?)",
                       in->name, f.offset);
    return code;
}

enum err stream_check_seals(struct errctx *e, const char *path, struct stream_summary *summary)
{
    struct infile in;
    struct frame_scanner s;
    *summary = (struct stream_summary){0};
    TRY(infile_open(e, path, &in));
    enum err code = frame_scanner_init(e, &s, &in);
    if (code == ERR_OK) code = scan_all(e, &in, &s, summary);
    frame_scanner_fini(&s);
    infile_close(&in);
    return code;
}
