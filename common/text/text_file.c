/* SPDX-License-Identifier: Apache-2.0 */
/* text_file.c: see text_file.h.
 *
 *   file --read--> raw --check or replace--> buffer
 *
 * raw holds the beginning of a character at most, the buffer whole characters only. */
#include "common/text/text_file.h"
#include <string.h>
#include "common/base/prog.h"
#include "common/text/utf8.h"
#include "formats/frame.h"

enum { READ_BYTES = 1 << 20 };

enum err text_file_init(struct errctx *e, struct text_file *t)
{
    *t = (struct text_file){.hash = XXH3_createState()};
    return t->hash != NULL ? ERR_OK : err_memory(e, "digest", sizeof *t->hash);
}

enum err text_file_open(struct errctx *e, struct text_file *t, const char *path)
{
    TRY(infile_open(e, path, &t->in));
    t->open = true;
    t->eof = false;
    t->line = 1;
    XXH3_128bits_reset(t->hash);
    return ERR_OK;
}

bool text_file_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

void text_file_digest(const struct text_file *t, uint8_t digest[16])
{
    XXH128_canonical_t content;

    XXH128_canonicalFromHash(&content, XXH3_128bits_digest(t->hash));
    memcpy(digest, content.digest, sizeof content.digest);
}

void text_file_close(struct text_file *t)
{
    if (t->open) infile_close(&t->in);
    t->open = false;
    t->raw.len = t->buffer.len = 0;
    t->at = t->scanned = 0;
    t->raw_offset = t->lines_checked = 0;
}

void text_file_fini(struct text_file *t)
{
    text_file_close(t);
    XXH3_freeState(t->hash);
    bytes_fini(&t->raw);
    bytes_fini(&t->buffer);
}

static uint64_t count_lines(const uint8_t *s, size_t n)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < n; i++) lines += s[i] == '\n';
    return lines;
}

/* What is often given in place of text, told by its first bytes. */
static const char *guess_binary(const uint8_t *data, size_t n)
{
    static const struct {
        const char *magic, *what;
        size_t len;
    } known[] = {
        {"\x1f\x8b", "it is gzip: unpack it first, with 'gzip -dc'", 2},
        {"\x28\xb5\x2f\xfd", "it is zstd: unpack it first, with 'zstd -dc'", 4},
        {"\xfd"
         "7zXZ",
         "it is xz: unpack it first, with 'xz -dc'", 5},
        {"BZh", "it is bzip2: unpack it first, with 'bzip2 -dc'", 3},
        {"PK\3\4", "it is a zip archive: unpack it first", 4},
        {"\xff\xfe", "it is UTF-16: 'iconv -f UTF-16 -t UTF-8' makes UTF-8 of it", 2},
        {"\xfe\xff", "it is UTF-16: 'iconv -f UTF-16 -t UTF-8' makes UTF-8 of it", 2},
        {"PAR1", "it is Parquet: write it as JSON lines or CSV first", 4},
    };
    if (n >= FRAME_MAGIC_BYTES && !memcmp(data, frame_magic, FRAME_MAGIC_BYTES - 1))
        return "it is a graft stream, not text ('graft inspect' says which)";
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (n >= known[i].len && !memcmp(data, known[i].magic, known[i].len)) return known[i].what;
    return NULL;
}

static enum err not_utf8(struct errctx *e, const struct text_file *t, size_t at)
{
    /* Binary files fail early, when their first bytes are still there. */
    const char *guess = t->raw_offset == 0 ? guess_binary(t->raw.data, t->raw.len) : NULL;

    return err_set(e, ERR_INPUT, "'%s': line %llu, byte %llu: not valid UTF-8%s%s", t->in.name,
                   (unsigned long long)t->lines_checked + 1,
                   (unsigned long long)(t->raw_offset + at), guess != NULL ? ": " : " ",
                   guess != NULL ? guess : "(--invalid replace reads it as U+FFFD)");
}

/* Moves what is checked from raw to the buffer. */
static enum err check_raw(struct errctx *e, struct text_file *t)
{
    size_t at = 0, n = t->raw.len;

    while (at < n) {
        size_t good = utf8_valid_prefix(t->raw.data + at, n - at);
        bool incomplete;
        TRY(bytes_append(e, &t->buffer, t->raw.data + at, good));
        t->lines_checked += count_lines(t->raw.data + at, good);
        at += good;
        if (at == n) break;
        size_t bad = utf8_fault_length(t->raw.data + at, n - at, &incomplete);
        if (incomplete && !t->eof) break;
        if (!t->replace) return not_utf8(e, t, at);
        TRY(bytes_append(e, &t->buffer, "\xef\xbf\xbd", 3));
        at += bad;
    }
    if (at > 0) memmove(t->raw.data, t->raw.data + at, n - at);
    t->raw.len = n - at;
    t->raw_offset += at;
    return ERR_OK;
}

enum err text_file_fill(struct errctx *e, struct text_file *t)
{
    size_t have = t->buffer.len - t->at, got;
    size_t want = t->doubling && have > READ_BYTES ? have : READ_BYTES;

    if (have > TEXT_FILE_LIMIT)
        return err_set(e, ERR_INPUT, "'%s': the document at line %llu is longer than %zu bytes%s",
                       t->in.name, (unsigned long long)t->line, TEXT_FILE_LIMIT, t->too_long);
    if (t->at > 0) memmove(t->buffer.data, t->buffer.data + t->at, have);
    t->buffer.len = have;
    t->scanned -= t->at;
    t->at = 0;
    TRY(bytes_reserve(e, &t->raw, want));
    TRY(infile_read(e, &t->in, t->raw.data + t->raw.len, want, &got));
    if (got > 0) XXH3_128bits_update(t->hash, t->raw.data + t->raw.len, got);
    t->bytes_read += got;
    if (t->progress) prog_progress_bytes("reading text", t->bytes_read, t->bytes_total);
    t->raw.len += got;
    t->eof = got == 0;
    return check_raw(e, t);
}

enum err text_file_line(struct errctx *e, struct text_file *t, const char **text, size_t *n,
                        bool *more)
{
    for (;;) {
        const uint8_t *from = t->buffer.data + t->at, *end = NULL;
        if (t->scanned < t->buffer.len)
            end = memchr(t->buffer.data + t->scanned, '\n', t->buffer.len - t->scanned);
        if (end == NULL && !t->eof) {
            t->scanned = t->buffer.len;
            TRY(text_file_fill(e, t));
            continue;
        }
        *more = end != NULL || t->at < t->buffer.len;
        if (!*more) return ERR_OK;
        *text = (const char *)from;
        *n = end != NULL ? (size_t)(end - from) : t->buffer.len - t->at;
        t->at += *n + (end != NULL);
        t->scanned = t->at;
        t->line++;
        return ERR_OK;
    }
}

void text_file_pass(struct text_file *t, size_t n)
{
    t->line += count_lines(t->buffer.data + t->at, n);
    t->at += n;
    t->scanned = t->at;
}
