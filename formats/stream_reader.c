/* SPDX-License-Identifier: Apache-2.0 */
/* stream_reader.c: the order of records, counts, ids and joined segments. Bytes come from intake.c
 * already framed and decompressed, cells become rows in rows_view.c; this file knows what may
 * follow what.
 *
 *     segment:  begin -> rows* | tensor* -> end -> (seal, table) -> segment | end of the input
 *
 * Rows are hashed when the next ones are asked for, not when they are handed out: so a digest of
 * part of them, as a checkpoint wants it, costs nothing. */
#include "formats/stream_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/prog.h"
#include "common/base/trace.h"
#include "formats/record.h"
#include "formats/rows_view.h"
#include "formats/stream_begin.h"
#include "formats/stream_map.h"

enum { THREADS_LIMIT = 64 };

/* A segment that has been read, for the run's record. */
struct segment {
    uint8_t id[16];
    int64_t rows;
    struct lineage lineage;
};

struct stream_reader {
    struct infile in;
    struct stream_reader_cfg cfg;
    struct run *run;
    size_t slot; /* in run */
    bool registered;
    struct errctx failed; /* the first error, repeated ever after */

    struct intake *intake;
    struct intake_frame *frame; /* held, or NULL */
    size_t at;                  /* next record in it */

    struct stream_begin begin;
    struct bytes body;
    struct content *own, *all; /* of this segment; of everything, once there is a second one */
    struct content *tap;
    struct rows_view view;
    struct record_cell *cells;
    bool pending; /* the rows of view are not hashed yet */

    bool inside, ended; /* a segment: its begin, its end record were read */
    bool from_start;    /* everything was read, not drained by the tables */
    struct record_index index;
    struct record_end end;
    int64_t segment;         /* its number in the map */
    int64_t first_row;       /* of the segment */
    int64_t begun;           /* rows begun, or tensor records, in the segment */
    int64_t rows;            /* complete in the whole stream: ordinal of the next one */
    int64_t tensor, element; /* that come next */
    int64_t records;
    uint64_t byte; /* of the frame that is being read */

    bool finished;
    struct segment *segments;
    size_t segments_count, segments_capacity;
    struct stream_summary summary;
    struct lineage lineage;
    struct stream_map *map;
};

/* ------------------------------------------------------------------ messages */

/* "'NAME': MESSAGE, record R, byte B" */
static enum err located(struct errctx *e, const struct stream_reader *r)
{
    if (e->code != ERR_INPUT) return e->code;
    struct errctx plain = *e;
    err_clear(e);
    return err_set(e, ERR_INPUT, "'%s': %s, record %" PRId64 ", byte %" PRIu64, r->in.name,
                   plain.message, r->records, r->byte);
}

static enum err bad(struct errctx *e, const struct stream_reader *r, const char *what)
{
    err_set(e, ERR_INPUT, "%s", what);
    return located(e, r);
}

static enum err truncated(struct errctx *e, const struct stream_reader *r, uint64_t byte)
{
    if (r->ended)
        return err_set(e, ERR_INPUT,
                       "'%s': truncated at byte %" PRIu64 ": its seal and table are not whole",
                       r->in.name, byte);
    if (r->begin.tensors_count)
        return err_set(e, ERR_INPUT,
                       "'%s': truncated after %" PRId64 " of %" PRId64 " tensors, byte %" PRIu64
                       ": no end record (did its producer die?)",
                       r->in.name, r->tensor, r->begin.tensors_count, byte);
    return err_set(e, ERR_INPUT,
                   "'%s': truncated after row %" PRId64 ", byte %" PRIu64
                   ": no end record (did its producer die?)",
                   r->in.name, r->rows, byte);
}

/* Keeps the first error. */
static enum err keep(struct stream_reader *r, const struct errctx *e)
{
    if (e->code != ERR_OK && r->failed.code == ERR_OK) r->failed = *e;
    return e->code;
}

static enum err again(struct errctx *e, const struct stream_reader *r)
{
    return err_set(e, r->failed.code, "%s", r->failed.message);
}

/* ------------------------------------------------------------------ hashing */

static void settle(struct stream_reader *r)
{
    if (!r->pending) return;
    content_rows(r->own, &r->view.rows, 0, r->view.rows.n);
    if (r->all) content_rows(r->all, &r->view.rows, 0, r->view.rows.n);
    if (r->tap) content_rows(r->tap, &r->view.rows, 0, r->view.rows.n);
    r->pending = false;
}

const struct content *stream_reader_content(const struct stream_reader *r)
{
    if (!r->from_start) return NULL;
    return r->all ? r->all : r->own;
}

void stream_reader_digest_at(const struct stream_reader *r, int64_t row, uint8_t digest[16])
{
    struct content *c = r->all ? r->all : r->own;
    int64_t first = r->pending ? r->view.rows.first : r->rows;
    assert(row >= first && row <= r->rows);
    content_id(c, r->pending ? &r->view.rows : NULL, 0, row - first, digest);
}

void stream_reader_digest(const struct stream_reader *r, uint8_t digest[16])
{
    stream_reader_digest_at(r, r->rows, digest);
}

/* ------------------------------------------------------------------ tensors */

static void pass_empty_tensors(struct stream_reader *r)
{
    while (r->tensor < r->begin.tensors_count &&
           stream_field_elements(&r->begin.tensors[r->tensor]) == 0)
        r->tensor++;
}

static enum err take_tensor(struct errctx *e, struct stream_reader *r, const struct record *rec,
                            struct stream_tensor_piece *piece)
{
    const struct stream_field *f = &r->begin.tensors[rec->tensor];
    int64_t total = stream_field_elements(f);
    int64_t n = (int64_t)(rec->bytes / dtype_unit_bytes(f->dtype)) * dtype_unit(f->dtype);
    if (rec->first != r->element || n > total - r->element)
        return bad(e, r, "a piece of a tensor is not the next one");
    *piece = (struct stream_tensor_piece){.tensor = rec->tensor,
                                          .first = rec->first,
                                          .elements = n,
                                          .data = rec->data,
                                          .bytes = rec->bytes};
    r->element += n;
    bool last = r->element == total;
    content_tensor(r->own, rec->tensor, rec->data, rec->bytes, last);
    if (r->tap) content_tensor(r->tap, rec->tensor, rec->data, rec->bytes, last);
    r->begun++;
    if (!last) return ERR_OK;
    r->tensor++;
    r->element = 0;
    pass_empty_tensors(r);
    return ERR_OK;
}

/* ------------------------------------------------------------------ segments */

static void start_segment(struct stream_reader *r)
{
    r->inside = true;
    r->ended = false;
    r->first_row = r->rows;
    r->begun = 0;
    r->tensor = r->element = 0;
    record_index_init(&r->index);
    content_reset(r->own);
    pass_empty_tensors(r);
}

/* The begin of a second or later segment. */
static enum err check_joined(struct errctx *e, struct stream_reader *r, const uint8_t *data,
                             size_t n)
{
    struct stream_begin begin;
    struct bytes body = {0};
    if (!stream_kind_has_rows(r->begin.kind))
        return bad(e, r, "a second stream follows: streams of tensors cannot be joined");
    if (stream_begin_decode(e, data, n, &begin, &body) != ERR_OK) {
        bytes_fini(&body);
        return located(e, r);
    }
    if (body.len != r->body.len || memcmp(body.data, r->body.data, body.len)) {
        char here[64];
        snprintf(here, sizeof here, "segment %zu", r->segments_count + 1);
        if (stream_begin_match(e, &r->begin, "segment 1", &begin, here) == ERR_OK)
            err_set(e, ERR_INPUT, "the order of keys in begin differs from segment 1");
        located(e, r);
    }
    stream_begin_fini(&begin);
    bytes_fini(&body);
    return e->code;
}

static enum err begin_segment(struct errctx *e, struct stream_reader *r)
{
    r->records++;
    TRY(check_joined(e, r, r->frame->raw.data, r->frame->raw.len));
    r->segment++;
    if (r->segments_count == 1 && !r->all && r->from_start) {
        TRY(content_new(e, &r->begin, &r->body, &r->all));
        content_assign(r->all, r->own);
    }
    start_segment(r);
    r->at = r->frame->raw.len;
    return ERR_OK;
}

/* Counts, index and id of the end record against what was read. */
static enum err check_end(struct errctx *e, struct stream_reader *r)
{
    const struct record_end *end = &r->end;
    uint8_t id[16];
    if (r->view.open) return bad(e, r, "the stream ends in the middle of a row");
    if (r->tensor < r->begin.tensors_count)
        return bad(e, r, "the stream ends before its last tensor");
    if (end->rows != r->rows - r->first_row || end->tensors != r->begin.tensors_count)
        return bad(e, r, "the counts in the end record do not match what was read");
    if (end->bytes != content_bytes(r->own))
        return bad(e, r, "the counts in the end record do not match what was read");
    if (end->index.step != r->index.step || end->index.entries.len != r->index.entries.len ||
        (r->index.entries.len &&
         memcmp(end->index.entries.data, r->index.entries.data, r->index.entries.len)))
        return bad(e, r, "the index does not match the frames");
    content_id(r->own, NULL, 0, 0, id);
    if (memcmp(id, end->id, 16)) return bad(e, r, "the id does not match the content");
    return ERR_OK;
}

static enum err take_end(struct errctx *e, struct stream_reader *r, size_t used)
{
    if (r->at != 0 || used != r->frame->raw.len)
        return bad(e, r, "the end record is not alone in its frame");
    record_end_fini(&r->end);
    if (record_end_decode(e, r->frame->raw.data, used, &r->end) != ERR_OK) return located(e, r);
    TRY(check_end(e, r));
    r->ended = true;
    return ERR_OK;
}

/* After seal and table: the segment is whole. */
static enum err close_segment(struct errctx *e, struct stream_reader *r)
{
    if (!r->ended) return bad(e, r, "the stream is sealed without an end record");
    TRY(mem_grow(e, &r->segments, &r->segments_capacity, r->segments_count + 1, sizeof *r->segments,
                 "segments"));
    struct segment *s = &r->segments[r->segments_count++];
    *s = (struct segment){.rows = r->end.rows, .lineage = r->end.lineage};
    memcpy(s->id, r->end.id, 16);
    r->end.lineage = (struct lineage){0};
    r->summary.bytes += r->end.bytes;
    r->inside = false;
    return ERR_OK;
}

static void forget_segments(struct stream_reader *r)
{
    for (size_t i = 0; i < r->segments_count; i++) lineage_fini(&r->segments[i].lineage);
    r->segments_count = 0;
    r->summary = (struct stream_summary){0};
    lineage_fini(&r->lineage);
}

/* ------------------------------------------------------------------ the end */

static void forget_map(struct stream_reader *r)
{
    if (r->map) stream_map_fini(r->map);
    mem_free(r->map);
    r->map = NULL;
}

static enum err need_map(struct errctx *e, struct stream_reader *r)
{
    if (r->map) return ERR_OK;
    struct stream_map *m;
    TRY(mem_new(e, &m, 1, sizeof *m, "a map of segments"));
    enum err code = stream_map_read(e, &r->in, m);
    if (code == ERR_OK &&
        (m->body.len != r->body.len || memcmp(m->body.data, r->body.data, m->body.len))) {
        code = err_set(e, ERR_INPUT, "'%s': the begins of the joined segments differ", r->in.name);
        stream_map_fini(m);
    }
    if (code != ERR_OK) {
        mem_free(m);
        return code;
    }
    r->map = m;
    return ERR_OK;
}

/* Replaces the list of segments read by that of the map: of a drained file not all were read. */
static enum err segments_from_map(struct errctx *e, struct stream_reader *r)
{
    forget_segments(r);
    TRY(need_map(e, r));
    const struct stream_map *m = r->map;
    TRY(mem_grow(e, &r->segments, &r->segments_capacity, (size_t)m->count, sizeof *r->segments,
                 "segments"));
    for (int64_t i = 0; i < m->count; i++) {
        struct segment *s = &r->segments[i];
        *s = (struct segment){.rows = m->segments[i].last.rows};
        memcpy(s->id, m->segments[i].last.id, 16);
        TRY(lineage_copy(e, &m->segments[i].last.lineage, &s->lineage));
        r->segments_count++;
    }
    r->summary.bytes = m->bytes;
    return ERR_OK;
}

static enum err register_input(struct errctx *e, struct stream_reader *r)
{
    if (!r->run || r->registered) return ERR_OK;
    bool rows = stream_kind_has_rows(r->begin.kind);
    for (size_t i = 0; i < r->segments_count; i++) {
        const struct segment *s = &r->segments[i];
        TRY(run_input_done(e, r->run, r->slot, s->id, &s->lineage, rows ? s->rows : -1, false));
    }
    r->registered = true;
    return ERR_OK;
}

static enum err finish(struct errctx *e, struct stream_reader *r, uint64_t compressed)
{
    if (!r->from_start) TRY(segments_from_map(e, r));
    if (r->cfg.segments > 0 && r->cfg.segments != (int64_t)r->segments_count)
        return err_set(e, ERR_INPUT, "'%s': %zu segments, %" PRId64 " were demanded", r->in.name,
                       r->segments_count, r->cfg.segments);
    for (size_t i = 0; i < r->segments_count; i++) {
        TRY(lineage_merge(e, &r->segments[i].lineage, &r->lineage));
        r->summary.rows += r->segments[i].rows;
    }
    r->summary.segments = (int64_t)r->segments_count;
    r->summary.tensors = r->begin.tensors_count;
    r->summary.compressed = compressed;
    if (r->segments_count == 1)
        memcpy(r->summary.id, r->segments[0].id, 16);
    else if (r->from_start)
        stream_reader_digest(r, r->summary.id);
    TRY(register_input(e, r));
    if (r->cfg.progress) prog_progress_done();
    r->finished = true;
    return ERR_OK;
}

/* ------------------------------------------------------------------ frames and records */

static void release(struct stream_reader *r)
{
    if (r->frame) intake_done(r->intake);
    r->frame = NULL;
}

static void show_progress(const struct stream_reader *r)
{
    char label[64];
    snprintf(label, sizeof label, "reading '%s'", r->in.name);
    prog_progress_bytes(label, r->byte, r->in.regular ? r->in.size : 0);
}

/* Takes the next frame, through ends and begins of segments. r->frame == NULL after it: not yet,
 * call again, or r->finished. */
static enum err advance(struct errctx *e, struct stream_reader *r)
{
    release(r);
    struct intake_frame *f;
    TRY(intake_next(e, r->intake, &f));
    r->frame = f;
    r->at = 0;
    r->byte = f->frame.offset;
    if (r->cfg.progress) show_progress(r);
    if (trace_on(TRACE_STREAM))
        trace_line(TRACE_STREAM, "'%s': kind %d at byte %" PRIu64 ", %zu bytes packed, %zu raw",
                   r->in.name, f->frame.kind, r->byte, f->packed.len, f->raw.len);
    if (f->error.code != ERR_OK) {
        *e = f->error;
        return located(e, r);
    }
    switch (f->frame.kind) {
    case FRAME_DATA:
        if (f->frame.number == 0) return begin_segment(e, r);
        if (r->ended) return bad(e, r, "a frame after the end record");
        return ERR_OK;
    case FRAME_TABLE:
        r->at = f->raw.len = 0;
        return close_segment(e, r);
    case FRAME_EOF:
        r->at = f->raw.len = 0;
        return finish(e, r, f->frame.offset);
    default:
        return truncated(e, r, f->frame.offset);
    }
}

static enum err take_rows(struct errctx *e, struct stream_reader *r, const struct record *rec,
                          bool *ready)
{
    *ready = false;
    r->begun += rec->rows;
    if (rows_view_add(e, &r->view, rec, r->cells, ready) != ERR_OK) return located(e, r);
    if (!*ready) return ERR_OK;
    r->view.rows.first = r->rows;
    r->rows += r->view.rows.n;
    r->pending = true;
    return ERR_OK;
}

/* Before data frame `number` (from 1): as many rows must have begun as the index of a file's end
 * record says. So that frames in a wrong order are seen by who reads only some of them. */
static enum err check_index(struct errctx *e, const struct stream_reader *r, int64_t number)
{
    if (!r->map || r->segment >= r->map->count) return ERR_OK;
    const struct record_index *x = &r->map->segments[r->segment].last.index;
    size_t at = (size_t)((number - 1) / x->step) * 8;
    if ((number - 1) % x->step || at >= x->entries.len ||
        frame_u64(x->entries.data + at) == (uint64_t)r->begun)
        return ERR_OK;
    return bad(e, r, "the index does not match the frames");
}

/* The next record of the frame that is held. *got: an event came of it. */
static enum err take_record(struct errctx *e, struct stream_reader *r, enum stream_event *event,
                            struct stream_tensor_piece *piece, bool *got)
{
    struct record rec;
    const struct bytes *raw = &r->frame->raw;
    *got = false;
    r->records++;
    if (record_parse(e, &r->begin, r->tensor, raw->data + r->at, raw->len - r->at, &rec,
                     r->cells) != ERR_OK)
        return located(e, r);
    if (r->at == 0) TRY(check_index(e, r, r->frame->frame.number));
    if (r->at == 0 && rec.type != RECORD_END)
        TRY(record_index_add(e, &r->index, (uint64_t)r->begun));
    if (rec.type == RECORD_END) {
        TRY(take_end(e, r, rec.used));
    } else if (rec.type == RECORD_ROWS) {
        *event = STREAM_EVENT_ROWS;
        TRY(take_rows(e, r, &rec, got));
    } else {
        *event = STREAM_EVENT_TENSOR;
        *got = true;
        TRY(take_tensor(e, r, &rec, piece));
    }
    r->at += rec.used;
    return ERR_OK;
}

static enum err next(struct errctx *e, struct stream_reader *r, enum stream_event *event,
                     struct stream_tensor_piece *piece)
{
    bool got = false;
    settle(r);
    while (!got) {
        if (r->finished) {
            *event = STREAM_EVENT_END;
            return ERR_OK;
        }
        if (r->frame && r->at < r->frame->raw.len)
            TRY(take_record(e, r, event, piece, &got));
        else
            TRY(advance(e, r));
    }
    return ERR_OK;
}

enum err stream_reader_next(struct errctx *e, struct stream_reader *r, enum stream_event *event,
                            struct stream_rows *rows, struct stream_tensor_piece *piece)
{
    struct stream_tensor_piece unused;
    if (r->failed.code != ERR_OK) return again(e, r);
    r->view.unaligned = false;
    if (next(e, r, event, piece ? piece : &unused) != ERR_OK) return keep(r, e);
    if (*event == STREAM_EVENT_ROWS && rows) *rows = r->view.rows;
    return ERR_OK;
}

/* ------------------------------------------------------------------ whole frames, for copying */

bool stream_reader_at_frame(const struct stream_reader *r)
{
    return (!r->frame || r->at == r->frame->raw.len) && !r->view.open;
}

bool stream_reader_fresh(const struct stream_reader *r)
{
    return r->from_start && r->records == 1;
}

static enum err take_frame(struct errctx *e, struct stream_reader *r, struct reader_frame *out)
{
    *out = (struct reader_frame){0};
    for (;;) {
        struct stream_tensor_piece piece;
        enum stream_event event;
        bool got;
        if (r->finished) return ERR_OK;
        TRY(advance(e, r));
        int64_t before = r->begun;
        while (!r->finished && r->at < r->frame->raw.len) {
            TRY(take_record(e, r, &event, &piece, &got));
            settle(r);
        }
        const struct frame *f = &r->frame->frame;
        if (f->kind != FRAME_DATA || f->number == 0 || r->ended) continue;
        *out = (struct reader_frame){.frame = r->frame, .begun = r->begun - before};
        return ERR_OK;
    }
}

enum err stream_reader_take_frame(struct errctx *e, struct stream_reader *r, struct content *tap,
                                  struct reader_frame *out)
{
    if (r->failed.code != ERR_OK) return again(e, r);
    settle(r);
    r->tap = tap;
    r->view.unaligned = true;
    enum err code = take_frame(e, r, out);
    r->tap = NULL;
    return code == ERR_OK ? ERR_OK : keep(r, e);
}

enum err stream_reader_check(struct errctx *e, struct stream_reader *r)
{
    struct reader_frame f;
    do TRY(stream_reader_take_frame(e, r, NULL, &f));
    while (f.frame);
    return ERR_OK;
}

/* ------------------------------------------------------------------ without reading all */

bool stream_reader_is_file(const struct stream_reader *r)
{
    return r->in.regular;
}

int64_t stream_reader_rows_total(struct stream_reader *r)
{
    struct errctx ignored = ERRCTX_INIT;
    if (!r->in.regular || need_map(&ignored, r) != ERR_OK) return -1;
    return r->map->rows;
}

/* The records left in the frame at hand: their number, too, must be that of the index. */
static enum err finish_frame(struct errctx *e, struct stream_reader *r)
{
    enum stream_event event;
    struct stream_tensor_piece piece;
    bool got;
    if (!r->frame || r->ended || !r->inside) return ERR_OK;
    int64_t number = r->frame->frame.number;
    r->view.unaligned = true;
    while (r->at < r->frame->raw.len) {
        TRY(take_record(e, r, &event, &piece, &got));
        settle(r);
    }
    return number > 0 && !r->ended ? check_index(e, r, number + 1) : ERR_OK;
}

static enum err drain(struct errctx *e, struct stream_reader *r)
{
    enum stream_event event;
    struct stream_tensor_piece piece;
    if (r->finished) return ERR_OK;
    if (r->in.regular) {
        settle(r);
        TRY(finish_frame(e, r));
        release(r);
        intake_stop(r->intake);
        r->from_start = false;
        TRY(need_map(e, r));
        uint64_t start;
        const struct bytes *seen = intake_seen(r->intake, &start);
        if (seen) TRY(stream_map_check(e, &r->in, r->map, seen, start));
        return finish(e, r, r->in.size);
    }
    r->view.unaligned = true;
    do TRY(next(e, r, &event, &piece));
    while (event != STREAM_EVENT_END);
    return ERR_OK;
}

enum err stream_reader_drain(struct errctx *e, struct stream_reader *r)
{
    if (r->failed.code != ERR_OK) return again(e, r);
    return drain(e, r) == ERR_OK ? ERR_OK : keep(r, e);
}

enum err stream_reader_stop_at(struct errctx *e, struct stream_reader *r, int64_t row)
{
    uint8_t digest[16];
    if (r->failed.code != ERR_OK) return again(e, r);
    stream_reader_digest_at(r, row, digest);
    intake_stop(r->intake);
    if (!r->run || r->registered) return ERR_OK;
    r->registered = true;
    return run_input_done(e, r->run, r->slot, digest, NULL, row, true);
}

enum err stream_reader_stop(struct errctx *e, struct stream_reader *r)
{
    return stream_reader_stop_at(e, r, r->rows);
}

/* ------------------------------------------------------------------ opening */

static enum err flush_writer(struct errctx *e, void *ctx)
{
    const struct stream_reader *r = ctx;
    if (!r->run || !r->run->writer) return ERR_OK;
    if (r->run->before_wait) TRY(r->run->before_wait(e, r->run->before_wait_ctx));
    return stream_writer_flush(e, r->run->writer);
}

static enum err first_begin(struct errctx *e, struct stream_reader *r)
{
    struct intake_frame *f;
    TRY(intake_next(e, r->intake, &f));
    r->frame = f;
    r->byte = f->frame.offset;
    r->records = 1;
    if (f->error.code != ERR_OK) {
        *e = f->error;
        if (r->byte > 0 || e->code != ERR_INPUT) return located(e, r);
        return err_prefix(e, "'%s'", r->in.name); /* another kind of file: no place to name */
    }
    if (f->frame.kind == FRAME_CUT) return truncated(e, r, f->frame.offset);
    if (f->frame.kind != FRAME_DATA) return bad(e, r, "no begin record");
    if (stream_begin_decode(e, f->raw.data, f->raw.len, &r->begin, &r->body) != ERR_OK)
        return located(e, r);
    if (r->cfg.kind != STREAM_ANY && r->cfg.kind != r->begin.kind)
        return err_set(e, ERR_INPUT, "'%s': a stream of kind %s, kind %s is needed", r->in.name,
                       stream_kind_name(r->begin.kind), stream_kind_name(r->cfg.kind));
    TRY(content_new(e, &r->begin, &r->body, &r->own));
    TRY(rows_view_init(e, &r->view, &r->begin));
    TRY(mem_new(e, &r->cells, (size_t)r->begin.columns_count, sizeof *r->cells, "columns"));
    r->from_start = true;
    start_segment(r);
    r->at = f->raw.len;
    return ERR_OK;
}

/* The first begin of a joined stream hints at its own segment only; a file's ends know better.
 * Damage is not reported here: reading comes upon it in its place. */
static enum err adopt_hints(struct errctx *e, struct stream_reader *r)
{
    struct errctx mine = ERRCTX_INIT;
    if (!r->in.regular || !stream_kind_has_rows(r->begin.kind)) return ERR_OK;
    enum err code = need_map(&mine, r);
    if (code == ERR_OK) r->begin.expect = r->map->begin.expect;
    if (code == ERR_OK || code == ERR_INPUT) return ERR_OK;
    return err_set(e, code, "%s", mine.message); /* the machine failed: no reason for other hints */
}

/* What the shell calls a pipe says little: what it is for says more. */
static enum err name_input(struct errctx *e, struct stream_reader *r, const char *role,
                           const char *path)
{
    char *name;
    if (r->cfg.name)
        TRY(mem_strdup(e, &name, r->cfg.name));
    else if (path && role && io_is_descriptor_name(path))
        TRY(mem_printf(e, &name, "%s pipe %s", role, path));
    else
        return ERR_OK;
    mem_free(r->in.name);
    r->in.name = name;
    return ERR_OK;
}

static enum err open_input(struct errctx *e, struct stream_reader *r, const char *role,
                           const char *path)
{
    int threads = r->cfg.threads;
    threads = threads < 0 ? 0 : threads > THREADS_LIMIT ? THREADS_LIMIT : threads;
    TRY(infile_open(e, path, &r->in));
    if (isatty(r->in.fd)) /* nobody types a stream: waiting would look like work */
        return err_set(e, ERR_USAGE,
                       "a stream is not read from the terminal: name a file, or use "
                       "a pipe");
    TRY(name_input(e, r, role, path));
    if (r->cfg.spool && !r->in.regular) TRY(intake_spool(e, &r->in));
    TRY(intake_new(e, &r->in, threads, flush_writer, r, &r->intake));
    TRY(first_begin(e, r));
    return adopt_hints(e, r);
}

enum err stream_reader_open(struct errctx *e, struct run *run, const char *role, const char *path,
                            const struct stream_reader_cfg *cfg, struct stream_reader **out)
{
    struct stream_reader *r;
    *out = NULL;
    TRY(mem_new(e, &r, 1, sizeof *r, "a stream reader"));
    r->in.fd = -1;
    r->run = run;
    r->cfg = cfg ? *cfg : STREAM_READER_CFG;
    stream_begin_init(&r->begin, STREAM_TOKENS);
    enum err code = run ? run_input_open(e, run, role, path, &r->slot) : ERR_OK;
    if (code == ERR_OK) code = open_input(e, r, role, path);
    if (code != ERR_OK) {
        stream_reader_close(r);
        return code;
    }
    *out = r;
    return ERR_OK;
}

/* The begin is read once more, but known. */
static enum err rewind_input(struct errctx *e, struct stream_reader *r)
{
    struct intake_frame *f;
    TRY(intake_rewind(e, r->intake));
    TRY(intake_next(e, r->intake, &f));
    r->frame = f;
    if (f->error.code == ERR_IO || f->error.code == ERR_MEMORY)
        return err_set(e, f->error.code, "%s", f->error.message);
    if (f->error.code != ERR_OK || f->frame.kind != FRAME_DATA)
        return err_set(e, ERR_INPUT, "'%s': changed while it was read", r->in.name);
    r->rows = r->segment = 0;
    r->records = 1;
    r->from_start = true;
    start_segment(r);
    r->at = f->raw.len;
    return adopt_hints(e, r);
}

enum err stream_reader_rewind(struct errctx *e, struct stream_reader *r)
{
    if (r->failed.code != ERR_OK) return again(e, r);
    assert(r->in.regular);
    settle(r);
    release(r);
    rows_view_reset(&r->view);
    forget_segments(r);
    forget_map(r); /* the file may be another by now */
    content_free(r->all);
    r->all = NULL;
    r->finished = false;
    return rewind_input(e, r) == ERR_OK ? ERR_OK : keep(r, e);
}

void stream_reader_close(struct stream_reader *r)
{
    if (!r) return;
    intake_free(r->intake);
    infile_close(&r->in);
    forget_segments(r);
    mem_free(r->segments);
    record_index_fini(&r->index);
    record_end_fini(&r->end);
    rows_view_fini(&r->view);
    content_free(r->own);
    content_free(r->all);
    mem_free(r->cells);
    forget_map(r);
    stream_begin_fini(&r->begin);
    bytes_fini(&r->body);
    mem_free(r);
}

/* ------------------------------------------------------------------ facts */

const struct stream_begin *stream_reader_begin(const struct stream_reader *r)
{
    return &r->begin;
}

const char *stream_reader_name(const struct stream_reader *r)
{
    return r->in.name;
}

const struct stream_summary *stream_reader_summary(const struct stream_reader *r)
{
    return &r->summary;
}

const struct lineage *stream_reader_lineage(const struct stream_reader *r)
{
    return &r->lineage;
}
