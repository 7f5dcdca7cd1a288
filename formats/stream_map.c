/* SPDX-License-Identifier: Apache-2.0 */
/* stream_map.c: walking a file backwards from table to table. See stream_map.h. */
#include "formats/stream_map.h"

#include <inttypes.h>
#include <string.h>
#include <zstd.h>

#include "formats/frame.h"
#include "formats/intake.h"
#include "formats/stream_begin.h"

enum { ENTRY_BYTES = 8 };

struct walk {
    struct errctx *e;
    struct infile *in;
    ZSTD_DCtx *zstd;
    struct bytes packed, raw;
};

static enum err bad(struct walk *w, uint64_t offset, const char *what)
{
    return err_set(w->e, ERR_INPUT, "'%s': %s, byte %" PRIu64, w->in->name, what, offset);
}

/* Exactly n bytes. */
static enum err read_at(struct walk *w, void *data, size_t n, uint64_t offset)
{
    size_t got;
    TRY(infile_pread_full(w->e, w->in, data, n, offset, &got));
    if (got < n) return bad(w, offset + got, "the file became shorter while it was read");
    return ERR_OK;
}

/* Decompresses frame i of the segment into w->raw. */
static enum err read_frame(struct walk *w, const struct map_segment *s, int64_t i)
{
    uint64_t offset = s->offsets[i], n = s->offsets[i + 1] - offset;
    struct frame_header h;
    size_t need = 0;
    if (n > FRAME_PACKED_LIMIT) return bad(w, offset, "a compressed frame is over the limit");
    w->packed.len = 0;
    TRY(bytes_reserve(w->e, &w->packed, (size_t)n));
    TRY(read_at(w, w->packed.data, (size_t)n, offset));
    enum err code = ERR_OK;
    if (n < 5 || frame_u32(w->packed.data) != 0xFD2FB528u)
        return bad(w, offset, "the table points at no zstd frame");
    code = frame_header_parse(w->e, w->packed.data, (size_t)n, &h, &need);
    if (code == ERR_OK && (n < need || h.raw_size != s->raw_sizes[i]))
        return bad(w, offset, "the table does not match the frames");
    if (code == ERR_OK)
        code = intake_decompress(w->e, w->zstd, w->packed.data, (size_t)n, h.raw_size, &w->raw);
    if (code != ERR_OK)
        return err_prefix(w->e, "'%s': frame at byte %" PRIu64, w->in->name, offset);
    return ERR_OK;
}

/* Reads the table that ends at `end` into the segment's offsets. */
static enum err read_entries(struct walk *w, uint64_t end, uint64_t table, uint64_t entries,
                             struct map_segment *s)
{
    w->packed.len = 0;
    TRY(bytes_reserve(w->e, &w->packed, (size_t)(entries * ENTRY_BYTES)));
    TRY(read_at(w, w->packed.data, (size_t)(entries * ENTRY_BYTES), end - table + 8));
    s->frames = (int64_t)entries - 2;
    TRY(mem_new(w->e, &s->offsets, (size_t)entries, sizeof *s->offsets, "a table"));
    TRY(mem_new(w->e, &s->raw_sizes, (size_t)entries, sizeof *s->raw_sizes, "a table"));
    uint64_t length = 0;
    for (uint64_t i = 0; i < entries; i++) length += frame_u32(w->packed.data + ENTRY_BYTES * i);
    if (length + table > end) return bad(w, end - table, "the table does not match the file");
    s->end = end;
    s->start = end - table - length;
    uint64_t at = s->start;
    for (uint64_t i = 0; i < entries; i++) {
        uint32_t packed = frame_u32(w->packed.data + ENTRY_BYTES * i);
        uint32_t raw = frame_u32(w->packed.data + ENTRY_BYTES * i + 4);
        bool mark = i == 0 || i == entries - 1; /* magic and seal */
        uint32_t size = i == 0 ? FRAME_MAGIC_BYTES : FRAME_SEAL_BYTES;
        if (mark ? raw != 0 || packed != size : raw == 0)
            return bad(w, end - table, "the table does not match the file");
        if (i > 0) s->offsets[i - 1] = at;
        if (!mark) s->raw_sizes[i - 1] = raw;
        at += packed;
    }
    return ERR_OK;
}

/* The segment that ends at `end`. */
static enum err read_segment(struct walk *w, uint64_t end, struct map_segment *s)
{
    uint8_t foot[FRAME_TABLE_FOOTER], head[8], magic[FRAME_MAGIC_BYTES], seal[FRAME_SEAL_BYTES];
    static const char cut[] = "truncated: no table at its end (did its producer die?)";
    if (end < FRAME_MAGIC_BYTES + FRAME_SEAL_BYTES + 8 + FRAME_TABLE_FOOTER)
        return bad(w, end, cut);
    TRY(read_at(w, foot, sizeof foot, end - sizeof foot));
    uint64_t entries = frame_u32(foot), table = 8 + entries * ENTRY_BYTES + FRAME_TABLE_FOOTER;
    /* Nothing in a segment is shorter than its magic: that bounds what a table may claim. */
    if (frame_u32(foot + 5) != 0x8F92EAB1u || foot[4] != 0 || entries < 4 ||
        table + entries * FRAME_MAGIC_BYTES > end)
        return bad(w, end, cut);
    TRY(read_at(w, head, sizeof head, end - table));
    if (frame_u32(head) != 0x184D2A5Eu || frame_u32(head + 4) != table - 8) return bad(w, end, cut);
    TRY(read_entries(w, end, table, entries, s));
    TRY(read_at(w, magic, sizeof magic, s->start));
    TRY(read_at(w, seal, sizeof seal, s->offsets[s->frames]));
    if (memcmp(magic, frame_magic, sizeof magic) || frame_u32(seal) != 0x184D2A51u ||
        frame_u32(seal + 4) != 8)
        return bad(w, s->start, "the table does not lead to the start of a segment");
    TRY(read_frame(w, s, s->frames - 1));
    if (record_end_decode(w->e, w->raw.data, w->raw.len, &s->last) != ERR_OK)
        return err_prefix(w->e, "'%s': byte %" PRIu64, w->in->name, s->offsets[s->frames - 1]);
    const struct record_index *x = &s->last.index;
    uint64_t data_frames = (uint64_t)s->frames - 2;
    if (x->entries.len / 8 != (data_frames + (uint64_t)x->step - 1) / (uint64_t)x->step)
        return bad(w, s->offsets[s->frames - 1], "the index does not match the frames");
    return read_frame(w, s, 0);
}

/* Takes the begin in w->raw; of a joined stream it must equal the others'. */
static enum err take_begin(struct walk *w, const struct map_segment *s, struct stream_map *m)
{
    struct stream_begin begin;
    struct bytes body = {0};
    if (stream_begin_decode(w->e, w->raw.data, w->raw.len, &begin, &body) != ERR_OK) {
        bytes_fini(&body);
        return err_prefix(w->e, "'%s': byte %" PRIu64, w->in->name, s->offsets[0]);
    }
    enum err code = ERR_OK;
    if (m->body.data && (m->body.len != body.len || memcmp(m->body.data, body.data, body.len)))
        code = bad(w, s->start, "the begins of the joined segments differ");
    /* What is hinted at is known here for the whole stream: rows from the ends, tokens as the sum
     * of the hints. */
    int64_t tokens = m->body.data ? m->begin.expect.tokens : 0;
    if (tokens < 0 || begin.expect.tokens < 0 ||
        __builtin_add_overflow(tokens, begin.expect.tokens, &begin.expect.tokens))
        begin.expect.tokens = -1;
    stream_begin_fini(&m->begin);
    bytes_fini(&m->body);
    m->begin = begin;
    m->body = body;
    return code;
}

static enum err walk_back(struct walk *w, struct stream_map *m)
{
    uint64_t end = w->in->size;
    do {
        TRY(mem_grow(w->e, &m->segments, &m->capacity, (size_t)m->count + 1, sizeof *m->segments,
                     "segments"));
        struct map_segment *s = &m->segments[m->count];
        *s = (struct map_segment){0};
        m->count++;
        TRY(read_segment(w, end, s));
        TRY(take_begin(w, s, m));
        end = s->start;
    } while (end > 0);
    if (m->count > 1 && !stream_kind_has_rows(m->begin.kind))
        return bad(w, m->segments[0].start, "streams of tensors cannot be joined");
    for (int64_t i = 0; i < m->count / 2; i++) {
        struct map_segment swap = m->segments[i];
        m->segments[i] = m->segments[m->count - 1 - i];
        m->segments[m->count - 1 - i] = swap;
    }
    for (int64_t i = 0; i < m->count; i++) {
        m->segments[i].first_row = m->rows;
        if (__builtin_add_overflow(m->rows, m->segments[i].last.rows, &m->rows))
            return bad(w, m->segments[i].start, "the number of rows is too large");
        m->bytes += m->segments[i].last.bytes;
    }
    if (stream_kind_has_rows(m->begin.kind)) m->begin.expect.rows = m->rows;
    return ERR_OK;
}

/* A file too short for a table, or of another kind, is told apart from a truncated one by its first
 * bytes. */
static enum err check_start(struct walk *w)
{
    uint8_t start[64];
    size_t got;
    TRY(infile_pread_full(w->e, w->in, start, sizeof start, 0, &got));
    size_t n = got < FRAME_MAGIC_BYTES - 1 ? got : FRAME_MAGIC_BYTES - 1;
    if (got > 0 && !memcmp(start, frame_magic, n)) return ERR_OK;
    const char *guess = frame_guess(start, got);
    if (got == 0) return err_set(w->e, ERR_INPUT, "'%s': it is empty", w->in->name);
    return err_set(w->e, ERR_INPUT, "'%s': not a graft stream%s%s", w->in->name, *guess ? ": " : "",
                   guess);
}

enum err stream_map_read(struct errctx *e, struct infile *in, struct stream_map *out)
{
    struct walk w = {.e = e, .in = in, .zstd = ZSTD_createDCtx()};
    *out = (struct stream_map){0};
    stream_begin_init(&out->begin, STREAM_TOKENS);
    enum err code = w.zstd ? ERR_OK : err_memory(e, "zstd", 160 << 10);
    if (code == ERR_OK) code = check_start(&w);
    if (code == ERR_OK) code = walk_back(&w, out);
    ZSTD_freeDCtx(w.zstd);
    bytes_fini(&w.packed);
    bytes_fini(&w.raw);
    if (code != ERR_OK) stream_map_fini(out);
    return code;
}

static bool agrees(const struct map_segment *s, const struct bytes *seen)
{
    uint64_t at = s->start;
    int64_t entries = (int64_t)(seen->len / ENTRY_BYTES);
    for (int64_t i = 0; i < entries; i++) { /* the magic, frames, perhaps the seal */
        if (i > 0 && (i > s->frames + 1 || s->offsets[i - 1] != at)) return false;
        if (i > 0 && i <= s->frames &&
            s->raw_sizes[i - 1] != frame_u32(seen->data + ENTRY_BYTES * i + 4))
            return false;
        at += frame_u32(seen->data + ENTRY_BYTES * i);
    }
    return entries > s->frames + 1 || s->offsets[entries - 1] == at;
}

enum err stream_map_check(struct errctx *e, const struct infile *in, const struct stream_map *m,
                          const struct bytes *seen, uint64_t start)
{
    for (int64_t i = 0; seen->len && i < m->count; i++)
        if (m->segments[i].start == start && agrees(&m->segments[i], seen)) return ERR_OK;
    if (!seen->len) return ERR_OK;
    return err_set(e, ERR_INPUT, "'%s': the table does not match the frames, byte %" PRIu64,
                   in->name, start);
}

void stream_map_fini(struct stream_map *m)
{
    stream_begin_fini(&m->begin);
    bytes_fini(&m->body);
    for (int64_t i = 0; i < m->count; i++) {
        mem_free(m->segments[i].offsets);
        mem_free(m->segments[i].raw_sizes);
        record_end_fini(&m->segments[i].last);
    }
    mem_free(m->segments);
    *m = (struct stream_map){0};
}
