/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c: walking and writing the outer grammar of a stream. See frame.h. */
#include "formats/frame.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define MAGIC_ZSTD     0xFD2FB528u
#define MAGIC_SEAL     0x184D2A51u
#define MAGIC_TABLE    0x184D2A5Eu
#define MAGIC_SEEKABLE 0x8F92EAB1u

enum {
    BUFFER_BYTES = 256 << 10,
    WINDOW_LIMIT = 8 << 20, /* what every zstd decoder supports; the levels zstd has need less */
    BLOCK_LIMIT = 128 << 10,
    SEAL_BODY = 8,
    ENTRY_BYTES = 8,
};

const uint8_t frame_magic[FRAME_MAGIC_BYTES] = {0x50, 0x2A, 0x4D, 0x18, 6,   0,   0,
                                                0,    'g',  'r',  'a',  'f', 't', 1};

/* ------------------------------------------------------------------ writing */

void frame_seal(uint64_t hash, uint8_t out[FRAME_SEAL_BYTES])
{
    frame_put_u32(out, MAGIC_SEAL);
    frame_put_u32(out + 4, SEAL_BODY);
    frame_put_u64(out + 8, hash);
}

enum err frame_table_add(struct errctx *e, struct bytes *entries, size_t packed, size_t raw)
{
    uint8_t entry[ENTRY_BYTES];
    if (entries->len / ENTRY_BYTES + 2 >= FRAME_ENTRIES_LIMIT)
        return err_set(e, ERR_IO, "a stream holds at most %u frames", FRAME_ENTRIES_LIMIT);
    frame_put_u32(entry, (uint32_t)packed);
    frame_put_u32(entry + 4, (uint32_t)raw);
    return bytes_append(e, entries, entry, sizeof entry);
}

enum err frame_table_encode(struct errctx *e, const struct bytes *entries, struct bytes *out)
{
    uint8_t head[8], foot[FRAME_TABLE_FOOTER];
    frame_put_u32(head, MAGIC_TABLE);
    frame_put_u32(head + 4, (uint32_t)(entries->len + FRAME_TABLE_FOOTER));
    frame_put_u32(foot, (uint32_t)(entries->len / ENTRY_BYTES));
    foot[4] = 0;
    frame_put_u32(foot + 5, MAGIC_SEEKABLE);
    TRY(bytes_append(e, out, head, sizeof head));
    TRY(bytes_append(e, out, entries->data, entries->len));
    return bytes_append(e, out, foot, sizeof foot);
}

/* ------------------------------------------------------------------ guesses */

static bool looks_like_text(const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (data[i] < 0x20 && !isspace(data[i])) return false;
    return n > 0;
}

const char *frame_guess(const uint8_t *data, size_t n)
{
    static const struct {
        const char *magic, *what;
        size_t len;
    } known[] = {
        {"\x1f\x8b", "it is gzip", 2},
        {"\xfd"
         "7zXZ",
         "it is xz", 5},
        {"BZh", "it is bzip2", 3},
        {"PK\3\4", "it is a zip archive", 4},
        {"GGUF", "it is GGUF (which cannot be imported yet)", 4},
        {"\x93NUMPY", "it is a NumPy array (which cannot be imported yet)", 6},
        {"\x28\xb5\x2f\xfd", "it is zstd, but without graft's mark at the start", 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (n >= known[i].len && !memcmp(data, known[i].magic, known[i].len)) return known[i].what;
    if (n >= 9 && frame_u64(data) < 100u << 20 && data[8] == '{')
        return "it is safetensors (which cannot be imported yet)";
    if (looks_like_text(data, n))
        return "it is text (graft tokenize makes tokens of it, graft learn-tokenizer a tokenizer)";
    return "";
}

/* ------------------------------------------------------------------ the header of a zstd frame */

enum err frame_header_parse(struct errctx *e, const uint8_t *data, size_t n, struct frame_header *h,
                            size_t *need)
{
    static const size_t dictionary_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {0, 2, 4, 8};
    *need = 5;
    if (n < *need) return ERR_OK;
    uint8_t descriptor = data[4];
    bool single = descriptor & 0x20;
    size_t dictionary = dictionary_bytes[descriptor & 3];
    size_t content = size_bytes[descriptor >> 6];
    if (single && content == 0) content = 1;
    if (descriptor & 0x08) return err_set(e, ERR_INPUT, "bad zstd frame: a reserved bit is set");
    if (dictionary) return err_set(e, ERR_INPUT, "the zstd frame needs a dictionary");
    if (!(descriptor & 0x04)) return err_set(e, ERR_INPUT, "the zstd frame has no checksum");
    if (!content) return err_set(e, ERR_INPUT, "the zstd frame has no content size");
    *need = 5 + (single ? 0 : 1) + content;
    if (n < *need) return ERR_OK;
    const uint8_t *p = data + 5;
    uint64_t window = 0, raw = 0;
    if (!single) {
        uint64_t base = (uint64_t)1 << (10 + (*p >> 3));
        window = base + base / 8 * (*p & 7);
        p++;
    }
    for (size_t i = content; i-- > 0;) raw = raw << 8 | p[i];
    if (content == 2) raw += 256;
    if (raw > FRAME_RAW_LIMIT)
        return err_set(e, ERR_INPUT, "a frame of %" PRIu64 " bytes is over the limit of %d", raw,
                       FRAME_RAW_LIMIT);
    if (raw == 0) return err_set(e, ERR_INPUT, "an empty frame");
    if (window > WINDOW_LIMIT)
        return err_set(e, ERR_INPUT, "the zstd frame's window of %" PRIu64 " bytes is over %d",
                       window, WINDOW_LIMIT);
    h->bytes = *need;
    h->raw_size = (size_t)raw;
    return ERR_OK;
}

/* ------------------------------------------------------------------ bytes of the input */

enum err frame_scanner_init(struct errctx *e, struct frame_scanner *s, struct infile *in)
{
    *s = (struct frame_scanner){.in = in, .segment_frames = -1};
    TRY(mem_new_aligned(e, &s->buffer, BUFFER_BYTES, 1, "a read buffer"));
    s->seal = XXH3_createState();
    if (!s->seal) return err_memory(e, "a hash", 1024);
    XXH3_64bits_reset(s->seal);
    return ERR_OK;
}

void frame_scanner_fini(struct frame_scanner *s)
{
    mem_free(s->buffer);
    bytes_fini(&s->table);
    XXH3_freeState(s->seal);
    *s = (struct frame_scanner){0};
}

void frame_scanner_rewind(struct frame_scanner *s)
{
    s->at = s->len = 0;
    s->offset = 0;
    s->segment_frames = -1;
    s->sealed = false;
    s->stopped = false;
}

/* Reads once into data. *got == 0: the end, or told to stop. */
static enum err read_once(struct errctx *e, struct frame_scanner *s, void *data, size_t n,
                          size_t *got)
{
    *got = 0;
    if (s->wait && !s->in->regular && !s->wait(s->wait_ctx)) {
        s->stopped = true;
        return ERR_OK;
    }
    return infile_read(e, s->in, data, n, got);
}

/* At least n bytes (n small) in the buffer, unless the input ends. */
static enum err peek(struct errctx *e, struct frame_scanner *s, size_t n)
{
    while (s->len - s->at < n) {
        size_t got;
        memmove(s->buffer, s->buffer + s->at, s->len - s->at);
        s->len -= s->at;
        s->at = 0;
        TRY(read_once(e, s, s->buffer + s->len, BUFFER_BYTES - s->len, &got));
        if (got == 0) break;
        s->len += got;
    }
    return ERR_OK;
}

static size_t available(const struct frame_scanner *s)
{
    return s->len - s->at;
}

/* Appends the next n bytes to out; *all is false when the input ends before. Large parts bypass the
 * buffer. */
static enum err take(struct errctx *e, struct frame_scanner *s, size_t n, struct bytes *out,
                     bool *all)
{
    TRY(bytes_reserve(e, out, n));
    size_t from = out->len, end = out->len + n;
    while (out->len < end) {
        size_t missing = end - out->len, got = available(s);
        if (got > 0) {
            got = got < missing ? got : missing;
            memcpy(out->data + out->len, s->buffer + s->at, got);
            s->at += got;
        } else if (missing >= BUFFER_BYTES) {
            TRY(read_once(e, s, out->data + out->len, missing, &got));
        } else {
            TRY(peek(e, s, 1));
            if (available(s) > 0) continue;
        }
        if (got == 0) break;
        out->len += got;
    }
    s->offset += out->len - from;
    *all = out->len == end;
    return ERR_OK;
}

/* ------------------------------------------------------------------ the grammar */

static enum err cut(const struct frame_scanner *s, struct frame *f)
{
    f->kind = s->stopped ? FRAME_STOPPED : FRAME_CUT;
    f->offset = s->offset + available(s);
    return ERR_OK;
}

static enum err scan_magic(struct errctx *e, struct frame_scanner *s, struct frame *f)
{
    TRY(peek(e, s, FRAME_MAGIC_BYTES));
    const uint8_t *p = s->buffer + s->at;
    size_t n = available(s) < FRAME_MAGIC_BYTES ? available(s) : FRAME_MAGIC_BYTES;
    if (n == 0) {
        f->kind = s->stopped ? FRAME_STOPPED : FRAME_EOF;
        if (f->kind == FRAME_EOF && f->offset == 0) return err_set(e, ERR_INPUT, "it is empty");
        return ERR_OK;
    }
    if (n >= FRAME_MAGIC_BYTES && !memcmp(p, frame_magic, FRAME_MAGIC_BYTES - 1) && p[13] != 1)
        return err_set(e, ERR_INPUT, "a graft stream of version %d (this graft reads version 1)",
                       p[13]);
    if (memcmp(p, frame_magic, n)) {
        if (f->offset > 0)
            return err_set(e, ERR_INPUT, "what follows the stream is not a graft stream");
        const char *guess = frame_guess(p, available(s));
        return err_set(e, ERR_INPUT, "not a graft stream%s%s", *guess ? ": " : "", guess);
    }
    if (n < FRAME_MAGIC_BYTES) return cut(s, f);
    s->segment_frames = 0;
    s->segment_start = s->offset;
    s->sealed = false;
    s->table.len = 0;
    XXH3_64bits_reset(s->seal);
    XXH3_64bits_update(s->seal, p, n);
    s->at += n;
    s->offset += n;
    return frame_table_add(e, &s->table, n, 0);
}

/* Blocks up to the last one and the checksum. */
static enum err scan_blocks(struct errctx *e, struct frame_scanner *s, struct bytes *packed,
                            struct frame *f)
{
    bool all, last = false;
    while (!last) {
        TRY(peek(e, s, 3));
        if (available(s) < 3) return cut(s, f);
        const uint8_t *p = s->buffer + s->at;
        uint32_t block = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
        uint32_t type = block >> 1 & 3, size = block >> 3;
        last = block & 1;
        if (type == 3 || size > BLOCK_LIMIT)
            return err_set(e, ERR_INPUT, "bad zstd frame: a reserved block type or size");
        size_t n = 3 + (type == 1 ? 1 : size) + (last ? 4 : 0);
        if (packed->len + n > FRAME_PACKED_LIMIT)
            return err_set(e, ERR_INPUT, "a compressed frame is over the limit of %d bytes",
                           FRAME_PACKED_LIMIT);
        TRY(take(e, s, n, packed, &all));
        if (!all) return cut(s, f);
    }
    return ERR_OK;
}

static enum err scan_zstd(struct errctx *e, struct frame_scanner *s, struct bytes *packed,
                          struct frame *f)
{
    struct frame_header h;
    size_t need = 5, more = 5;
    bool all;
    /* No byte more than needed is waited for: behind a pipe the next one may be long in coming. */
    do {
        need = more;
        TRY(peek(e, s, need));
        if (available(s) < need) return cut(s, f);
        TRY(frame_header_parse(e, s->buffer + s->at, need, &h, &more));
    } while (more > need);
    packed->len = 0;
    TRY(take(e, s, h.bytes, packed, &all));
    f->kind = FRAME_DATA;
    TRY(scan_blocks(e, s, packed, f));
    if (f->kind != FRAME_DATA) return ERR_OK;
    f->raw_size = h.raw_size;
    f->number = s->segment_frames++;
    XXH3_64bits_update(s->seal, packed->data, packed->len);
    return frame_table_add(e, &s->table, packed->len, h.raw_size);
}

static enum err scan_seal(struct errctx *e, struct frame_scanner *s, struct frame *f)
{
    TRY(peek(e, s, FRAME_SEAL_BYTES));
    if (available(s) < FRAME_SEAL_BYTES) return cut(s, f);
    const uint8_t *p = s->buffer + s->at;
    uint8_t expected[FRAME_SEAL_BYTES];
    frame_seal(XXH3_64bits_digest(s->seal), expected);
    if (memcmp(p, expected, FRAME_SEAL_BYTES))
        return err_set(e, ERR_INPUT, "the seal does not match: some byte before it was changed");
    s->at += FRAME_SEAL_BYTES;
    s->offset += FRAME_SEAL_BYTES;
    s->sealed = true;
    return frame_table_add(e, &s->table, FRAME_SEAL_BYTES, 0);
}

/* The table must be exactly what the frames say. */
static enum err scan_table(struct errctx *e, struct frame_scanner *s, struct bytes *scratch,
                           struct frame *f)
{
    bool all;
    TRY(peek(e, s, 8));
    if (available(s) < 8) return cut(s, f);
    uint32_t size = frame_u32(s->buffer + s->at + 4);
    if (frame_u32(s->buffer + s->at) != MAGIC_TABLE || size < FRAME_TABLE_FOOTER ||
        size != s->table.len + FRAME_TABLE_FOOTER)
        return err_set(e, ERR_INPUT, "the table does not match the frames");
    scratch->len = 0;
    TRY(take(e, s, (size_t)size + 8, scratch, &all));
    if (!all) return cut(s, f);
    struct bytes expected = {0};
    enum err code = frame_table_encode(e, &s->table, &expected);
    bool same = code == ERR_OK && expected.len == scratch->len &&
                !memcmp(expected.data, scratch->data, scratch->len);
    bytes_fini(&expected);
    TRY(code);
    if (!same) return err_set(e, ERR_INPUT, "the table does not match the frames");
    f->kind = FRAME_TABLE;
    s->segment_frames = -1;
    return ERR_OK;
}

enum err frame_scan(struct errctx *e, struct frame_scanner *s, struct bytes *packed,
                    struct frame *f)
{
    *f = (struct frame){.offset = s->offset, .kind = FRAME_DATA};
    if (s->segment_frames < 0) {
        TRY(scan_magic(e, s, f));
        if (s->segment_frames < 0) return ERR_OK;
        f->offset = s->offset;
    }
    TRY(peek(e, s, 4));
    if (available(s) < 4) return cut(s, f);
    uint32_t magic = frame_u32(s->buffer + s->at);
    if (s->sealed) return scan_table(e, s, packed, f);
    if (magic == MAGIC_ZSTD) return scan_zstd(e, s, packed, f);
    if (magic != MAGIC_SEAL)
        return err_set(e, ERR_INPUT, "neither a zstd frame nor the seal begins here");
    TRY(scan_seal(e, s, f));
    if (!s->sealed) return ERR_OK;
    f->offset = s->offset;
    return scan_table(e, s, packed, f);
}
