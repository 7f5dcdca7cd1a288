/* SPDX-License-Identifier: Apache-2.0 */
/* stream_salvage.c: see stream_salvage.h. Three walks over the file: one finds a begin, one counts
 * what is whole and what is lost, one writes.
 *
 * How many rows a gap has cost follows from the end record of its segment, when that is left, and
 * when the segment has no other gap. */
#include "formats/stream_salvage.h"

#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "formats/content.h"
#include "formats/frame.h"
#include "formats/intake.h"
#include "formats/record.h"
#include "formats/rows_view.h"
#include "formats/stream_begin.h"
#include "formats/stream_writer.h"

enum { SEARCH_BYTES = 1 << 16, HEAD_BYTES = 18 };
#define MAGIC_ZSTD     0xFD2FB528u
#define MAGIC_SKIP     0x184D2A50u /* and the 15 after it */
#define MAGIC_SKIP_END 0x184D2A60u
#define NO_GAP         UINT64_MAX
/* Of the table of n frames. */
#define TABLE_BYTES(n) ((uint64_t)(n)*8 + 8 + FRAME_TABLE_FOOTER)

enum verdict {
    CUT_UP = 1,   /* frames were taken out, nobody knows where: rows in pieces are not believed */
    UNPROVEN = 2, /* its begin is lost, and the id does not show that it was like ours: no row is */
};

struct rescue {
    struct infile in;
    ZSTD_DCtx *zstd;
    struct bytes packed, raw, body, scratch;
    enum walk_purpose { FIND, COUNT, WRITE } purpose;
    struct stream_begin begin;
    bool has_begin, ours; /* the frames that come belong to a segment with our begin */
    bool begun;           /* that begin has passed by */
    bool sealed;          /* a seal or table came after the last frame */
    struct record_cell *cells;
    struct rows_view view;
    int64_t tensor, element; /* that come next; element -1: a piece of it was lost */
    int64_t *target;         /* per tensor: its index in the output, -1: not whole */
    struct lineage lineage;
    uint64_t at;  /* behind the frame that is being looked at */
    uint64_t gap; /* where damage began that goes on, or NO_GAP */
    /* The segment that is being walked through. */
    int64_t base;          /* rows of the segments before it, -1: not known */
    int64_t kept, frames;  /* rows, frames of it so far */
    int64_t pieced;        /* of the rows, those that came in pieces */
    uint64_t data;         /* bytes of cells */
    int64_t gaps, gaps_at; /* in it, and how many there were before it */
    uint64_t tail;         /* up to here, seal and table of the one before may reach */
    size_t segment;        /* its number */
    bool headed;           /* its begin was seen */
    struct content *proof; /* of the rows of one whose begin was not */
    struct bytes verdicts; /* per segment, bits of enum verdict */
    struct stream_writer *writer;
    struct salvage *result;
};

/* ------------------------------------------------------------------ frames */

static enum err read_some(struct errctx *e, struct rescue *r, uint64_t offset, void *data, size_t n,
                          size_t *got)
{
    return infile_pread_full(e, &r->in, data, n, offset, got);
}

/* Length of the zstd frame at offset by its block headers, 0 when it has no sound form. */
static enum err frame_length(struct errctx *e, struct rescue *r, uint64_t offset, size_t *length,
                             size_t *raw_size)
{
    struct errctx ignored = ERRCTX_INIT;
    uint8_t head[HEAD_BYTES], block[3];
    struct frame_header h = {0};
    size_t got, need = 0;
    *length = 0;
    TRY(read_some(e, r, offset, head, sizeof head, &got));
    if (frame_header_parse(&ignored, head, got, &h, &need) != ERR_OK || need > got) return ERR_OK;
    uint64_t at = h.bytes;
    for (bool last = false; !last;) {
        TRY(read_some(e, r, offset + at, block, sizeof block, &got));
        uint32_t v = (uint32_t)block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16;
        last = v & 1;
        at += 3 + ((v >> 1 & 3) == 1 ? 1 : v >> 3) + (last ? 4 : 0);
        if (got < sizeof block || at > FRAME_PACKED_LIMIT || at > r->in.size - offset)
            return ERR_OK;
    }
    *length = (size_t)at;
    *raw_size = h.raw_size;
    return ERR_OK;
}

/* The frame at offset into r->raw; *length 0 when it does not pass. */
static enum err read_frame(struct errctx *e, struct rescue *r, uint64_t offset, size_t *length)
{
    struct errctx damage = ERRCTX_INIT;
    size_t raw_size = 0, got;
    TRY(frame_length(e, r, offset, length, &raw_size));
    if (*length == 0) return ERR_OK;
    r->packed.len = 0;
    TRY(bytes_reserve(e, &r->packed, *length));
    TRY(read_some(e, r, offset, r->packed.data, *length, &got));
    enum err code = intake_decompress(&damage, r->zstd, r->packed.data, got, raw_size, &r->raw);
    if (code == ERR_INPUT) {
        *length = 0;
    } else if (code != ERR_OK) {
        *e = damage;
    }
    return e->code;
}

/* The next byte after offset at which something could begin; the size of the file when there is
 * none. */
static enum err search(struct errctx *e, struct rescue *r, uint64_t *offset)
{
    uint8_t buffer[SEARCH_BYTES];
    size_t got;
    for (uint64_t at = *offset + 1;; at += got - 3) {
        TRY(read_some(e, r, at, buffer, sizeof buffer, &got));
        for (size_t i = 0; i + 4 <= got; i++) {
            uint32_t magic = frame_u32(buffer + i);
            if (magic != MAGIC_ZSTD && (magic < MAGIC_SKIP || magic >= MAGIC_SKIP_END)) continue;
            *offset = at + i;
            return ERR_OK;
        }
        if (got < sizeof buffer) break;
    }
    *offset = r->in.size;
    return ERR_OK;
}

/* ------------------------------------------------------------------ gaps */

/* The bytes from r->gap up to here were of no use. */
static void close_gap(struct rescue *r, uint64_t to)
{
    struct salvage *s = r->result;
    struct salvage_gap gap = {r->gap, to, -1, -1};
    if (r->gap == NO_GAP) return;
    r->gap = NO_GAP;
    rows_view_reset(&r->view); /* what comes next may be of another row */
    if (r->purpose != COUNT) return;
    if (to <= r->tail)
        gap.lost = 0;
    else if (++r->gaps == 1 && r->base >= 0)
        gap.row = r->base + r->kept;
    s->bytes_lost += to - gap.from;
    if (s->gaps_count < SALVAGE_GAPS) s->gaps[s->gaps_count] = gap;
    s->gaps_count++;
}

/* What is known of a segment at its end: `end` is its end record or NULL. When frames are missing
 * and there is no gap, a piece of a row may be what is missing. When the begin is missing, the id
 * of the rows under ours must be that of the end record. */
static enum err judge_segment(struct errctx *e, struct rescue *r, const struct record_end *end)
{
    struct salvage *s = r->result;
    int64_t rows = end ? end->rows : -1, believed = r->kept;
    uint8_t verdict = 0, id[16];
    if (end && r->gaps == 0 && end->bytes != r->data) verdict = CUT_UP;
    if (!r->headed && r->kept > 0) {
        content_id(r->proof, NULL, 0, 0, id);
        if (!end || memcmp(id, end->id, sizeof id)) verdict = UNPROVEN;
        content_reset(r->proof);
    }
    if (verdict == CUT_UP) believed = r->kept - r->pieced;
    if (verdict == UNPROVEN) believed = 0;
    s->rows -= r->kept - believed;
    int64_t lost = rows < believed ? -1 : rows - believed;
    for (int64_t i = r->gaps_at; i < s->gaps_count && i < SALVAGE_GAPS; i++) {
        if (lost == 0 || r->gaps == 1) s->gaps[i].lost = lost;
        if (verdict == UNPROVEN) s->gaps[i].row = r->base;
    }
    r->base = r->base < 0 || rows < 0 ? -1 : r->base + rows;
    r->tail = rows >= 0 && r->gaps == 0 ? r->at + FRAME_SEAL_BYTES + TABLE_BYTES(r->frames + 2) : 0;
    r->gaps_at = s->gaps_count;
    return bytes_append(e, &r->verdicts, &verdict, 1);
}

static enum err close_segment(struct errctx *e, struct rescue *r, const struct record_end *end)
{
    if (r->frames == 0 && r->gaps == 0) return ERR_OK;
    if (r->purpose == COUNT) TRY(judge_segment(e, r, end));
    r->segment++;
    r->kept = r->pieced = r->gaps = r->frames = 0;
    r->data = 0;
    r->headed = false;
    return ERR_OK;
}

/* ------------------------------------------------------------------ records */

/* The first begin of the file is that of the output. */
static enum err keep_begin(struct errctx *e, struct rescue *r)
{
    struct errctx damage = ERRCTX_INIT;
    if (stream_begin_decode(&damage, r->raw.data, r->raw.len, &r->begin, &r->body) != ERR_OK)
        return damage.code == ERR_INPUT ? ERR_OK : err_set(e, damage.code, "%s", damage.message);
    r->has_begin = true;
    TRY(rows_view_init(e, &r->view, &r->begin));
    TRY(content_new(e, &r->begin, &r->body, &r->proof));
    TRY(mem_new(e, &r->target, (size_t)r->begin.tensors_count, sizeof *r->target, "tensors"));
    for (int64_t i = 0; i < r->begin.tensors_count; i++) r->target[i] = -1;
    return mem_new(e, &r->cells, (size_t)r->begin.columns_count, sizeof *r->cells, "columns");
}

static enum err take_begin(struct errctx *e, struct rescue *r)
{
    struct errctx damage = ERRCTX_INIT;
    struct stream_begin begin;
    if (r->purpose == FIND) return r->has_begin ? ERR_OK : keep_begin(e, r);
    if (r->frames > 0) TRY(close_segment(e, r, NULL));
    r->frames++;
    r->tensor = r->element = 0;
    rows_view_reset(&r->view);
    r->ours = stream_begin_decode(&damage, r->raw.data, r->raw.len, &begin, &r->scratch) == ERR_OK;
    if (!r->ours)
        return damage.code == ERR_INPUT ? ERR_OK : err_set(e, damage.code, "%s", damage.message);
    r->ours = r->scratch.len == r->body.len && !memcmp(r->scratch.data, r->body.data, r->body.len);
    /* Streams of tensors cannot be joined: the first one it is. */
    if (r->begun && !stream_kind_has_rows(begin.kind)) r->ours = false;
    r->begun = r->headed = true;
    stream_begin_fini(&begin);
    return ERR_OK;
}

static enum err take_rows(struct errctx *e, struct rescue *r, const struct record *rec)
{
    struct errctx damage = ERRCTX_INIT;
    bool ready;
    /* Whole rows after a piece whose last one is lost: the row in pieces goes. */
    if (rec->rows > 0) rows_view_reset(&r->view);
    for (int64_t i = 0; i < r->begin.columns_count; i++) r->data += r->cells[i].bytes;
    if (rows_view_add(&damage, &r->view, rec, r->cells, &ready) != ERR_OK) {
        rows_view_reset(&r->view);
        return damage.code == ERR_INPUT ? ERR_OK : err_set(e, damage.code, "%s", damage.message);
    }
    if (!ready) return ERR_OK;
    if (r->purpose == COUNT) {
        r->result->rows += r->view.rows.n;
        r->kept += r->view.rows.n;
        r->pieced += rec->rows == 0;
        if (!r->headed) content_rows(r->proof, &r->view.rows, 0, r->view.rows.n);
        return ERR_OK;
    }
    uint8_t verdict = r->verdicts.data[r->segment];
    if (verdict == UNPROVEN || (verdict == CUT_UP && rec->rows == 0)) return ERR_OK;
    return stream_writer_rows(e, r->writer, &r->view.rows, 0, r->view.rows.n);
}

static enum err take_tensor(struct errctx *e, struct rescue *r, const struct record *rec)
{
    const struct stream_field *f = &r->begin.tensors[r->tensor];
    int64_t n = (int64_t)(rec->bytes / dtype_unit_bytes(f->dtype)) * dtype_unit(f->dtype),
            total = stream_field_elements(f);
    if (rec->first != r->element || n > total - rec->first) {
        r->element = -1;
        return ERR_OK;
    }
    r->element += n;
    if (r->purpose == WRITE && r->target[r->tensor] >= 0)
        return stream_writer_tensor(e, r->writer, r->target[r->tensor], rec->data, n);
    if (r->purpose == COUNT && r->element == total) r->target[r->tensor] = r->result->tensors++;
    return ERR_OK;
}

/* Which tensor a record is of: pieces may be lost, so the one that must come next is not known. */
static bool find_tensor(struct rescue *r, const uint8_t *data, size_t n, struct record *rec)
{
    for (int64_t t = r->tensor; t < r->begin.tensors_count; t++) {
        struct errctx damage = ERRCTX_INIT;
        if (record_parse(&damage, &r->begin, t, data, n, rec, r->cells) != ERR_OK) continue;
        if (rec->type == RECORD_TENSOR && t != r->tensor) {
            r->tensor = t;
            r->element = 0;
        }
        return true;
    }
    return false;
}

static bool parse(struct rescue *r, const uint8_t *data, size_t n, struct record *rec)
{
    struct errctx damage = ERRCTX_INIT;
    if (r->begin.tensors_count) return find_tensor(r, data, n, rec);
    return record_parse(&damage, &r->begin, 0, data, n, rec, r->cells) == ERR_OK;
}

static enum err take_end(struct errctx *e, struct rescue *r, const uint8_t *data, size_t n)
{
    struct errctx damage = ERRCTX_INIT;
    struct record_end end;
    if (record_end_decode(&damage, data, n, &end) != ERR_OK)
        return damage.code == ERR_INPUT ? ERR_OK : err_set(e, damage.code, "%s", damage.message);
    enum err code = close_segment(e, r, &end);
    if (code == ERR_OK && r->purpose == COUNT) code = lineage_merge(e, &end.lineage, &r->lineage);
    record_end_fini(&end);
    return code;
}

static enum err take_records(struct errctx *e, struct rescue *r)
{
    static const char begin[] = "\xa5"
                                "begin";
    if (r->raw.len > 7 && !memcmp(r->raw.data + 1, begin, 6)) return take_begin(e, r);
    r->frames++;
    for (size_t at = 0; r->purpose != FIND && r->ours && at < r->raw.len;) {
        struct record rec;
        if (!parse(r, r->raw.data + at, r->raw.len - at, &rec)) return ERR_OK;
        if (rec.type == RECORD_ROWS) TRY(take_rows(e, r, &rec));
        if (rec.type == RECORD_TENSOR) TRY(take_tensor(e, r, &rec));
        if (rec.type == RECORD_END) TRY(take_end(e, r, r->raw.data + at, rec.used));
        at += rec.used;
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ the walks */

/* Length of the magic, seal or table at offset, 0 when it is none: in damaged bytes anything may
 * look like a frame to be skipped. */
static enum err skip_length(struct errctx *e, struct rescue *r, uint64_t offset, uint64_t *length)
{
    static const uint8_t footer[] = {0xb1, 0xea, 0x92, 0x8f};
    uint8_t head[FRAME_MAGIC_BYTES], last[sizeof footer];
    size_t got;
    *length = 0;
    TRY(read_some(e, r, offset, head, sizeof head, &got));
    if (got < 8) return ERR_OK;
    uint64_t n = (uint64_t)8 + frame_u32(head + 4);
    if (n > r->in.size - offset) return ERR_OK;
    if (n == FRAME_MAGIC_BYTES && !memcmp(head, frame_magic, sizeof head)) *length = n;
    if (n == FRAME_SEAL_BYTES && frame_u32(head) == MAGIC_SKIP + 1) *length = n;
    if (frame_u32(head) != MAGIC_SKIP + 14 || n < 8 + FRAME_TABLE_FOOTER) return ERR_OK;
    TRY(read_some(e, r, offset + n - sizeof last, last, sizeof last, &got));
    if (got == sizeof last && !memcmp(last, footer, sizeof last)) *length = n;
    return ERR_OK;
}

/* One step; *offset moves on. */
static enum err step(struct errctx *e, struct rescue *r, uint64_t *offset)
{
    uint64_t skip;
    size_t length;
    TRY(skip_length(e, r, *offset, &skip));
    if (skip > 0) {
        close_gap(r, *offset);
        /* Between segments: if a begin is lost, the rows behind it may still be like the others. */
        r->ours = stream_kind_has_rows(r->begin.kind);
        r->sealed = true;
        rows_view_reset(&r->view);
        *offset += skip;
        return ERR_OK;
    }
    TRY(read_frame(e, r, *offset, &length));
    if (length > 0) {
        close_gap(r, *offset);
        r->sealed = false;
        r->at = *offset += length;
        return take_records(e, r);
    }
    if (r->gap == NO_GAP) r->gap = *offset;
    return search(e, r, offset);
}

static enum err walk(struct errctx *e, struct rescue *r, enum walk_purpose purpose)
{
    r->purpose = purpose;
    r->ours = stream_kind_has_rows(r->begin.kind);
    r->begun = r->headed = false;
    r->tensor = r->element = 0;
    r->gap = NO_GAP;
    r->kept = r->pieced = r->gaps = r->frames = 0;
    r->data = 0;
    r->segment = 0;
    rows_view_reset(&r->view);
    for (uint64_t offset = 0; offset < r->in.size && !(purpose == FIND && r->has_begin);)
        TRY(step(e, r, &offset));
    /* The end record is not there, and nothing stands in its place. */
    if (r->gap == NO_GAP && r->frames > 0 && !r->sealed) r->gap = r->in.size;
    close_gap(r, r->in.size);
    return close_segment(e, r, NULL);
}

/* The begin of the output: all columns, the tensors that are whole. */
static enum err output_begin(struct errctx *e, struct rescue *r, struct stream_begin *out)
{
    TRY(stream_begin_copy(e, &r->begin, out));
    out->expect = (struct stream_expect){-1, -1};
    int64_t kept = 0;
    for (int64_t i = 0; i < out->tensors_count; i++) {
        if (stream_field_elements(&out->tensors[i]) == 0) r->target[i] = kept; /* nothing to lose */
        if (r->target[i] < 0) {
            mem_free(out->tensors[i].name);
            continue;
        }
        r->target[i] = kept;
        out->tensors[kept++] = out->tensors[i];
    }
    r->result->tensors = out->tensors_count = kept;
    return ERR_OK;
}

static enum err write_kept(struct errctx *e, struct rescue *r, struct run *run, size_t slot)
{
    uint8_t id[16];
    TRY(walk(e, r, WRITE));
    content_id(stream_writer_content(r->writer), NULL, 0, 0, id);
    TRY(run_input_done(e, run, slot, id, &r->lineage, r->result->rows, true));
    struct stream_writer *w = r->writer;
    r->writer = NULL;
    return stream_writer_commit(e, w);
}

static enum err rescue(struct errctx *e, struct rescue *r, struct run *run, size_t slot,
                       const char *out, const struct stream_writer_cfg *cfg)
{
    struct stream_begin begin;
    if (!r->in.regular)
        return err_set(e, ERR_USAGE, "'%s': only a file can be salvaged, not a pipe", r->in.name);
    TRY(walk(e, r, FIND));
    if (!r->has_begin)
        return err_set(e, ERR_INPUT, "'%s': no begin record is left: nothing can be salvaged",
                       r->in.name);
    TRY(walk(e, r, COUNT));
    r->result->rows_expected = r->base;
    r->result->tensors_expected = r->begin.tensors_count;
    enum err code = output_begin(e, r, &begin);
    if (code == ERR_OK) code = stream_writer_open(e, run, out, &begin, cfg, &r->writer);
    if (code == ERR_OK) code = write_kept(e, r, run, slot);
    stream_begin_fini(&begin);
    return code;
}

enum err stream_salvage(struct errctx *e, struct run *run, const char *path, const char *out,
                        const struct stream_writer_cfg *cfg, struct salvage *result)
{
    struct rescue r = {.result = result, .zstd = ZSTD_createDCtx()};
    size_t slot;
    *result = (struct salvage){0};
    stream_begin_init(&r.begin, STREAM_TOKENS);
    enum err code = r.zstd ? infile_open(e, path, &r.in) : err_memory(e, "zstd", 160 << 10);
    if (code == ERR_OK) {
        code = run_input_open(e, run, "input", path, &slot);
        if (code == ERR_OK) code = rescue(e, &r, run, slot, out, cfg);
        infile_close(&r.in);
    }
    stream_writer_abort(r.writer);
    content_free(r.proof); /* borrows the begin */
    rows_view_fini(&r.view);
    mem_free(r.cells);
    mem_free(r.target);
    lineage_fini(&r.lineage);
    stream_begin_fini(&r.begin);
    bytes_fini(&r.packed);
    bytes_fini(&r.raw);
    bytes_fini(&r.body);
    bytes_fini(&r.scratch);
    bytes_fini(&r.verdicts);
    ZSTD_freeDCtx(r.zstd);
    return code;
}
