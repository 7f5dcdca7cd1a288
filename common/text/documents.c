/* SPDX-License-Identifier: Apache-2.0 */
/* documents.c: see documents.h.
 *
 *   file --read--> raw --check or replace--> buffer --form--> document
 *
 * The buffer holds whole characters only. A document that is not whole yet makes it grow; where its
 * end is looked for from its beginning, what is read doubles. */
#include "common/text/documents.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "common/base/io.h"
#include "common/base/prog.h"
#include "common/text/utf8.h"
#include "formats/csv.h"
#include "formats/frame.h"
#include "formats/jsonl.h"

enum { READ_BYTES = 1 << 20 };

const struct opt documents_opts[] = {
    {"form", 'f', OPT_CHOICE, offsetof(struct documents_cfg, form), DOCUMENT_FORMS,
     "what a document is; auto goes by the file's extension: .jsonl .ndjson .csv .tsv, else the "
     "whole file"},
    {"text", 0, OPT_STRING, offsetof(struct documents_cfg, text), "FIELD",
     "field of jsonl, column of csv and tsv that holds the text (default: text)"},
    {"header", 0, OPT_FLAG, offsetof(struct documents_cfg, header), NULL,
     "the first record of csv and tsv names the columns; without, they are numbered from 1"},
    {"invalid", 0, OPT_CHOICE, offsetof(struct documents_cfg, invalid), "error|replace",
     "text that is not UTF-8: an error, or replaced by U+FFFD"},
    OPT_END};
const struct opt documents_pair_opts[] = {{"pair", 0, OPT_STRING,
                                           offsetof(struct documents_cfg, pair), "FIELD",
                                           "field or column of a second text: documents are pairs"},
                                          OPT_END};
const struct opt documents_keep_opts[] = {{"keep", 0, OPT_STRING,
                                           offsetof(struct documents_cfg, keep), "FIELD,...|all",
                                           "fields of the record that are carried along as JSON"},
                                          OPT_END};

struct documents {
    struct run *run;
    struct documents_cfg cfg;
    const struct opt_list *paths;
    size_t next; /* file that is opened next */
    /* the file that is open */
    struct infile in;
    bool open, eof;
    bool unfinished; /* a piece was handed out that did not end its document */
    bool warned;     /* of JSON */
    int form;
    size_t slot;
    XXH3_state_t *hash;
    struct bytes raw;                 /* read, not yet checked: the beginning of a character */
    uint64_t raw_offset;              /* of raw.data[0] in the file */
    struct bytes buffer;              /* checked text */
    size_t at, scanned;               /* taken; known to hold no end of the document */
    uint64_t lines_checked;           /* newlines before the end of the buffer */
    uint64_t line;                    /* number of the line at `at` */
    uint64_t bytes_read, bytes_total; /* total: 0 when something is not a regular file */
    /* records */
    json_t *object;
    struct csv_record record, columns;
    size_t text_column, pair_column;
    bool have_columns;
    char **keep_names; /* NULL: all */
    size_t keep_count;
    char *keep_text;            /* of a table */
    struct bytes kept, scratch; /* of JSON */
};

/* ------------------------------------------------------------------ opening */

static enum err split_keep(struct errctx *e, struct documents *d)
{
    const char *p = d->cfg.keep;

    if (p == NULL || strcmp(p, "all") == 0) return ERR_OK;
    for (size_t capacity = 0;; p++) {
        size_t n = strcspn(p, ",");
        if (n == 0) return err_set(e, ERR_USAGE, "--keep '%s': an empty name", d->cfg.keep);
        TRY(mem_grow(e, &d->keep_names, &capacity, d->keep_count + 1, sizeof *d->keep_names,
                     "names"));
        TRY(mem_strndup(e, &d->keep_names[d->keep_count], p, n));
        d->keep_count++;
        p += n;
        if (*p == 0) return ERR_OK;
    }
}

/* Of all files; 0 when there is a pipe among them. */
static uint64_t size_of_all(const struct opt_list *paths)
{
    uint64_t total = 0;
    struct stat st;

    for (size_t i = 0; i < (paths->count > 0 ? paths->count : 1); i++) {
        bool standard = paths->count == 0 || strcmp(paths->items[i], "-") == 0;
        int failed = standard ? fstat(STDIN_FILENO, &st) : stat(paths->items[i], &st);
        if (failed != 0 || !S_ISREG(st.st_mode)) return 0;
        total += (uint64_t)st.st_size;
    }
    return total;
}

enum err documents_open(struct errctx *e, struct run *run, const struct documents_cfg *cfg,
                        const struct opt_list *paths, struct documents **out)
{
    struct documents *d;

    *out = NULL;
    TRY(mem_new(e, &d, 1, sizeof *d, "text reader"));
    d->run = run;
    d->cfg = *cfg;
    d->paths = paths;
    d->bytes_total = size_of_all(paths);
    d->hash = XXH3_createState();
    if (d->hash == NULL) (void)err_memory(e, "digest", sizeof *d->hash);
    if (e->code == ERR_OK && split_keep(e, d) == ERR_OK) {
        *out = d;
        return ERR_OK;
    }
    documents_close(d);
    return e->code;
}

static void forget_file(struct documents *d)
{
    if (d->open) infile_close(&d->in);
    d->open = false;
    d->have_columns = d->unfinished = false;
    d->raw.len = d->buffer.len = 0;
    d->at = d->scanned = 0;
    d->raw_offset = d->lines_checked = 0;
}

void documents_close(struct documents *d)
{
    if (d == NULL) return;
    forget_file(d);
    XXH3_freeState(d->hash);
    bytes_fini(&d->raw);
    bytes_fini(&d->buffer);
    bytes_fini(&d->kept);
    bytes_fini(&d->scratch);
    json_decref(d->object);
    csv_record_fini(&d->record);
    csv_record_fini(&d->columns);
    for (size_t i = 0; i < d->keep_count; i++) mem_free(d->keep_names[i]);
    mem_free(d->keep_names);
    free(d->keep_text); /* jansson's */
    mem_free(d);
}

uint64_t documents_bytes(const struct documents *d)
{
    return d->bytes_read;
}

static bool ends_with(const char *path, const char *tail)
{
    size_t n = strlen(path), m = strlen(tail);

    return n > m && strcmp(path + n - m, tail) == 0;
}

int documents_form(const struct documents_cfg *cfg, const char *path)
{
    static const struct {
        const char *tail;
        enum document_form form;
    } known[] = {{".jsonl", DOCUMENT_JSONL},
                 {".ndjson", DOCUMENT_JSONL},
                 {".csv", DOCUMENT_CSV},
                 {".tsv", DOCUMENT_TSV}};

    if (cfg->form != DOCUMENT_AUTO) return cfg->form;
    for (size_t i = 0; path != NULL && i < ARRAY_LEN(known); i++)
        if (ends_with(path, known[i].tail)) return known[i].form;
    return cfg->otherwise;
}

static enum err check_fields(struct errctx *e, const struct documents *d)
{
    if (d->form < DOCUMENT_JSONL && d->paths->count == 0 && d->cfg.keep != NULL &&
        access(d->cfg.keep, F_OK) == 0)
        return err_set(e, ERR_USAGE, "--keep took the file '%s' for fields: write --keep all '%s'",
                       d->cfg.keep, d->cfg.keep);
    if (d->form < DOCUMENT_JSONL && (d->cfg.text != NULL || d->cfg.keep != NULL || d->cfg.pair))
        return err_set(e, ERR_USAGE, "'%s': %s is for records (-f jsonl|csv|tsv)", d->in.name,
                       d->cfg.text != NULL   ? "--text"
                       : d->cfg.pair != NULL ? "--pair"
                                             : "--keep");
    if (d->form < DOCUMENT_CSV && !d->cfg.header)
        return err_set(e, ERR_USAGE, "'%s': --no-header is for tables (-f csv|tsv)", d->in.name);
    return ERR_OK;
}

static enum err open_next(struct errctx *e, struct documents *d)
{
    const char *path = d->paths->count > 0 ? d->paths->items[d->next] : NULL;

    TRY(infile_open(e, path, &d->in));
    d->open = true;
    d->next++;
    d->eof = false;
    d->line = 1;
    d->in.before_block = d->cfg.before_block;
    d->in.before_block_ctx = d->cfg.before_block_ctx;
    d->form = documents_form(&d->cfg, path);
    XXH3_128bits_reset(d->hash);
    TRY(check_fields(e, d));
    return d->run == NULL ? ERR_OK : run_input_open(e, d->run, "input", path, &d->slot);
}

/* The file has been read to its end. */
static enum err finish_file(struct errctx *e, struct documents *d)
{
    XXH128_canonical_t content;

    XXH128_canonicalFromHash(&content, XXH3_128bits_digest(d->hash));
    if (d->run != NULL) TRY(run_input_done(e, d->run, d->slot, content.digest, NULL, -1, false));
    forget_file(d);
    return ERR_OK;
}

/* ------------------------------------------------------------------ reading */

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

static enum err not_utf8(struct errctx *e, const struct documents *d, size_t at)
{
    /* Binary files fail early, when their first bytes are still there. */
    const char *guess = d->raw_offset == 0 ? guess_binary(d->raw.data, d->raw.len) : NULL;

    return err_set(e, ERR_INPUT, "'%s': line %llu, byte %llu: not valid UTF-8%s%s", d->in.name,
                   (unsigned long long)d->lines_checked + 1,
                   (unsigned long long)(d->raw_offset + at), guess != NULL ? ": " : " ",
                   guess != NULL ? guess : "(--invalid replace reads it as U+FFFD)");
}

/* Moves what is checked from raw to the buffer. */
static enum err check_raw(struct errctx *e, struct documents *d)
{
    size_t at = 0, n = d->raw.len;

    while (at < n) {
        size_t good = utf8_valid_prefix(d->raw.data + at, n - at);
        bool incomplete;
        TRY(bytes_append(e, &d->buffer, d->raw.data + at, good));
        d->lines_checked += count_lines(d->raw.data + at, good);
        at += good;
        if (at == n) break;
        size_t bad = utf8_fault_length(d->raw.data + at, n - at, &incomplete);
        if (incomplete && !d->eof) break;
        if (d->cfg.invalid == 0) return not_utf8(e, d, at);
        TRY(bytes_append(e, &d->buffer, "\xef\xbf\xbd", 3));
        at += bad;
    }
    if (at > 0) memmove(d->raw.data, d->raw.data + at, n - at);
    d->raw.len = n - at;
    d->raw_offset += at;
    return ERR_OK;
}

/* Of JSON that is read as text, because its name and first character are all that says what it is;
 * once, as there may be a thousand such files. */
static void warn_of_json(struct documents *d)
{
    const char *path = d->paths->count > 0 ? d->paths->items[d->next - 1] : "-";
    const char *text = (const char *)d->buffer.data, *end = text + d->buffer.len;

    if (d->warned || d->cfg.form != DOCUMENT_AUTO || !ends_with(path, ".json")) return;
    while (text < end && strchr(" \t\r\n", *text)) text++;
    if (text == end || (*text != '[' && *text != '{')) return;
    d->warned = true;
    prog_warn("'%s' is read as plain text, but looks like %s (-f %s: text is meant)", path,
              *text == '[' ? "a JSON array: 'jq -c .[]' makes JSON lines of it, for -f jsonl"
                           : "JSON: give -f jsonl when each line is an object",
              d->cfg.otherwise == DOCUMENT_LINES ? "lines" : "files");
}

/* More text behind what the buffer has from `at` on; sets eof at the end. */
static enum err fill(struct errctx *e, struct documents *d)
{
    bool again = d->form == DOCUMENT_PARAGRAPHS || d->form >= DOCUMENT_CSV;
    size_t have = d->buffer.len - d->at, want = again && have > READ_BYTES ? have : READ_BYTES, got;
    bool first = d->raw_offset == 0;

    if (have > DOCUMENT_LIMIT)
        return err_set(e, ERR_INPUT, "'%s': the document at line %llu is longer than %zu bytes%s",
                       d->in.name, (unsigned long long)d->line, DOCUMENT_LIMIT,
                       d->form == DOCUMENT_FILES ? " (-f lines or -f paragraphs cuts the file)"
                                                 : "");
    if (d->at > 0) memmove(d->buffer.data, d->buffer.data + d->at, have);
    d->buffer.len = have;
    d->scanned -= d->at;
    d->at = 0;
    TRY(bytes_reserve(e, &d->raw, want));
    TRY(infile_read(e, &d->in, d->raw.data + d->raw.len, want, &got));
    if (got > 0) XXH3_128bits_update(d->hash, d->raw.data + d->raw.len, got);
    d->bytes_read += got;
    if (d->cfg.progress) prog_progress_bytes("reading text", d->bytes_read, d->bytes_total);
    d->raw.len += got;
    d->eof = got == 0;
    TRY(check_raw(e, d));
    if (first) warn_of_json(d);
    return ERR_OK;
}

/* The line at `at` without its newline; false when the file has no more. */
static enum err next_line(struct errctx *e, struct documents *d, const char **text, size_t *n,
                          bool *more)
{
    for (;;) {
        const uint8_t *from = d->buffer.data + d->at, *end = NULL;
        if (d->scanned < d->buffer.len)
            end = memchr(d->buffer.data + d->scanned, '\n', d->buffer.len - d->scanned);
        if (end == NULL && !d->eof) {
            d->scanned = d->buffer.len;
            TRY(fill(e, d));
            continue;
        }
        *more = end != NULL || d->at < d->buffer.len;
        if (!*more) return ERR_OK;
        *text = (const char *)from;
        *n = end != NULL ? (size_t)(end - from) : d->buffer.len - d->at;
        d->at += *n + (end != NULL);
        d->scanned = d->at;
        d->line++;
        return ERR_OK;
    }
}

bool document_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

/* ------------------------------------------------------------------ forms of text */

/* From data[0..n): the paragraph [*from, *to), all of it known to be there; *used bytes are done
 * with. */
static bool find_paragraph(const char *data, size_t n, bool eof, size_t *from, size_t *to,
                           size_t *used)
{
    bool inside = false;

    for (size_t p = 0; p < n;) {
        const char *end = memchr(data + p, '\n', n - p);
        size_t len = end == NULL ? n - p : (size_t)(end - data) - p;
        if (end == NULL && !eof) return false;
        if (!document_blank(data + p, len)) {
            if (!inside) *from = p;
            inside = true;
            *to = p + len;
        } else if (inside) {
            *used = p;
            return true;
        }
        p += len + (end != NULL);
    }
    *used = n;
    return inside && eof;
}

static enum err next_paragraph(struct errctx *e, struct documents *d, struct document *out,
                               bool *more)
{
    size_t from = 0, to = 0, used = 0;

    for (;;) {
        const char *data = (const char *)d->buffer.data + d->at;
        *more = find_paragraph(data, d->buffer.len - d->at, d->eof, &from, &to, &used);
        if (*more) {
            out->text = data + from;
            out->n = to - from;
            d->line += count_lines(d->buffer.data + d->at, used);
            d->at += used;
            d->scanned = d->at;
            return ERR_OK;
        }
        if (d->eof) return ERR_OK;
        TRY(fill(e, d));
    }
}

static enum err next_file(struct errctx *e, struct documents *d, struct document *out, bool *more)
{
    while (!d->eof && (!d->cfg.pieces || d->buffer.len == d->at)) TRY(fill(e, d));
    out->text = (const char *)d->buffer.data + d->at;
    out->n = d->buffer.len - d->at;
    out->end = d->eof;
    d->at = d->scanned = d->buffer.len;
    *more = out->n > 0 || d->unfinished;
    d->unfinished = *more && !out->end;
    return ERR_OK;
}

/* ------------------------------------------------------------------ records */

static bool is_kept(const struct documents *d, const char *name)
{
    if (d->keep_names == NULL) return true;
    for (size_t i = 0; i < d->keep_count; i++)
        if (strcmp(d->keep_names[i], name) == 0) return true;
    return false;
}

static bool is_kept_member(const struct documents *d, const struct jsonl_member *m)
{
    if (d->keep_names == NULL) return true;
    for (size_t i = 0; i < d->keep_count; i++)
        if (jsonl_key_is(m, d->keep_names[i])) return true;
    return false;
}

static enum err dump_keep(struct errctx *e, struct documents *d, json_t *object,
                          struct document *out)
{
    free(d->keep_text);
    d->keep_text = json_dumps(object, JSON_COMPACT);
    if (d->keep_text == NULL) return err_memory(e, "kept fields", 0);
    out->keep = d->keep_text;
    out->keep_n = strlen(d->keep_text);
    return ERR_OK;
}

static enum err keep_is_text(struct errctx *e, const char *name)
{
    return err_set(e, ERR_USAGE, "--keep '%s': the text itself is not carried along", name);
}

static enum err pair_is_text(struct errctx *e, const char *name)
{
    return err_set(e, ERR_USAGE, "--pair '%s': that is the first text itself", name);
}

/* What is kept of the object on the line, as it is written there. */
static enum err keep_json(struct errctx *e, struct documents *d, const char *text_key,
                          const char *line, size_t n, uint64_t number, struct document *out)
{
    struct jsonl_member m;

    for (size_t i = 0; i < d->keep_count; i++) {
        if (strcmp(d->keep_names[i], text_key) == 0 ||
            (d->cfg.pair != NULL && strcmp(d->keep_names[i], d->cfg.pair) == 0))
            return keep_is_text(e, d->keep_names[i]);
        if (json_object_get(d->object, d->keep_names[i]) == NULL)
            return jsonl_missing(e, d->object, d->keep_names[i], number);
    }
    d->kept.len = 0;
    TRY(bytes_append(e, &d->kept, "{", 1));
    for (const char *at = NULL; jsonl_next(line, n, &at, &m);) {
        if (jsonl_key_is(&m, text_key) || !is_kept_member(d, &m)) continue;
        if (d->cfg.pair != NULL && jsonl_key_is(&m, d->cfg.pair)) continue;
        if (d->kept.len > 1) TRY(bytes_append(e, &d->kept, ",", 1));
        TRY(jsonl_append(e, &m, &d->kept));
    }
    TRY(bytes_append(e, &d->kept, "}", 1));
    out->keep = (const char *)d->kept.data;
    out->keep_n = d->kept.len;
    return ERR_OK;
}

static enum err next_json(struct errctx *e, struct documents *d, struct document *out, bool *more)
{
    const char *key = d->cfg.text != NULL ? d->cfg.text : "text", *line;
    uint64_t number;
    size_t n;

    do {
        TRY(next_line(e, d, &line, &n, more));
        if (!*more) return ERR_OK;
        number = d->line - 1;
        if (number == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) line += 3, n -= 3;
    } while (document_blank(line, n));
    if (d->cfg.pair != NULL && strcmp(d->cfg.pair, key) == 0) return pair_is_text(e, key);
    json_decref(d->object);
    d->object = NULL;
    out->line = number;
    TRY(jsonl_parse_texts(e, line, n, number, &d->scratch, &d->object));
    TRY(jsonl_string(e, d->object, key, number, &out->text, &out->n));
    if (d->cfg.pair != NULL)
        TRY(jsonl_string(e, d->object, d->cfg.pair, number, &out->pair, &out->pair_n));
    return d->cfg.keep == NULL ? ERR_OK : keep_json(e, d, key, line, n, number, out);
}

/* RFC 4180: a record is one or more fields, and a field may be empty. So where there is one column
 * an empty line is a record; where there are more it cannot be one, and before a header it names
 * nothing: there it is passed over. */
static bool passes_over(const struct documents *d, const char *line)
{
    bool empty = line[0] == '\n' || (line[0] == '\r' && line[1] == '\n');

    return empty && (d->have_columns ? d->columns.fields > 1 : d->cfg.header);
}

/* The next record, into d->record. */
static enum err next_record(struct errctx *e, struct documents *d, bool *more)
{
    size_t used = 0;

    for (;;) {
        const char *data = (const char *)d->buffer.data + d->at;
        size_t n = d->buffer.len - d->at;
        if (d->line == 1 && n >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
            d->at += 3;
            continue;
        }
        *more = n > 0;
        if (n > 0)
            TRY(csv_parse(e, data, n, d->eof, d->form == DOCUMENT_CSV ? ',' : '\t', d->line,
                          &d->record, &used));
        if (n > 0 && used > 0) {
            d->at += used;
            d->scanned = d->at;
            d->line += d->record.lines;
            if (!passes_over(d, data)) return ERR_OK;
        } else if (d->eof) {
            return ERR_OK;
        } else {
            TRY(fill(e, d));
        }
    }
}

/* Names of columns for a message, as many as it has room for. */
static void name_columns(const struct documents *d, char *out, size_t size)
{
    size_t len = 0, n;

    *out = '\0';
    for (size_t i = 0; i < d->columns.fields; i++) {
        const char *name = csv_field(&d->columns, i, &n), *comma = i > 0 ? ", " : "";
        if (len + n + sizeof ", , ..." > size) {
            (void)snprintf(out + len, size - len, "%s...", comma);
            return;
        }
        len += (size_t)snprintf(out + len, size - len, "%s%s", comma, name);
    }
}

static enum err find_column(struct errctx *e, const struct documents *d, const char *name,
                            size_t *column)
{
    char *end;
    unsigned long number;
    size_t n;

    if (!d->cfg.header) {
        number = strtoul(name, &end, 10);
        if (*end != 0 || *name < '1' || *name > '9') /* no sign, no zero in front: one name each */
            return err_set(e, ERR_USAGE, "'%s' is not the number of a column (there is no header)",
                           name);
        if (number > d->columns.fields)
            return err_set(e, ERR_INPUT, "there %s %zu column%s, not %lu",
                           d->columns.fields == 1 ? "is" : "are", d->columns.fields,
                           d->columns.fields == 1 ? "" : "s", number);
        *column = number - 1;
        return ERR_OK;
    }
    for (*column = 0; *column < d->columns.fields; (*column)++)
        if (strcmp(csv_field(&d->columns, *column, &n), name) == 0) return ERR_OK;
    char there[256];
    name_columns(d, there, sizeof there);
    return err_set(e, ERR_INPUT, "the header has no column '%s' (there are: %s)%s", name, there,
                   d->cfg.text == NULL && strcmp(name, "text") == 0
                       ? ": --text names the one with the text"
                       : "");
}

static bool is_text_column(const struct documents *d, size_t column)
{
    return column == d->text_column || (d->cfg.pair != NULL && column == d->pair_column);
}

/* Of two columns of one name, the one that is meant would be a guess. */
static enum err check_names(struct errctx *e, const struct documents *d)
{
    const struct csv_record *c = &d->columns;
    size_t n;

    for (size_t i = 0; d->cfg.header && i < c->fields; i++) {
        const char *name = csv_field(c, i, &n);
        bool used = is_text_column(d, i) || (d->cfg.keep != NULL && is_kept(d, name));
        if (!used) continue;
        for (size_t j = 0; j < c->fields; j++)
            if (j != i && strcmp(csv_field(c, j, &n), name) == 0)
                return err_set(e, ERR_INPUT, "the header has two columns '%s'", name);
    }
    return ERR_OK;
}

/* The first record: names of columns, or only their number. */
static enum err read_columns(struct errctx *e, struct documents *d, bool *more)
{
    size_t column;
    struct csv_record first;

    TRY(next_record(e, d, more));
    if (!*more) return ERR_OK;
    first = d->columns;
    d->columns = d->record;
    d->record = first;
    d->have_columns = true;
    TRY(find_column(e, d,
                    d->cfg.text != NULL ? d->cfg.text
                    : d->cfg.header     ? "text"
                                        : "1",
                    &d->text_column));
    if (d->cfg.pair != NULL) TRY(find_column(e, d, d->cfg.pair, &d->pair_column));
    if (d->cfg.pair != NULL && d->pair_column == d->text_column)
        return pair_is_text(e, d->cfg.pair);
    for (size_t i = 0; i < d->keep_count; i++) {
        TRY(find_column(e, d, d->keep_names[i], &column));
        if (is_text_column(d, column)) return keep_is_text(e, d->keep_names[i]);
    }
    return check_names(e, d);
}

static enum err keep_columns(struct errctx *e, struct documents *d, const struct csv_record *r,
                             struct document *out)
{
    json_t *object = json_object();
    enum err code = ERR_OK;
    bool made = object != NULL;

    for (size_t i = 0; i < r->fields && made; i++) {
        char number[24];
        size_t n;
        const char *name = number;
        (void)snprintf(number, sizeof number, "%zu", i + 1);
        if (d->cfg.header) name = csv_field(&d->columns, i, &n);
        if (is_text_column(d, i) || !is_kept(d, name)) continue;
        const char *value = csv_field(r, i, &n);
        made = json_object_set_new(object, name, json_stringn(value, n)) == 0;
    }
    code = made ? dump_keep(e, d, object, out) : err_memory(e, "kept fields", 0);
    json_decref(object);
    return code;
}

static enum err next_row(struct errctx *e, struct documents *d, struct document *out, bool *more)
{
    const struct csv_record *r = &d->record;
    bool first = !d->have_columns;

    *more = true;
    if (first) TRY(read_columns(e, d, more));
    if (!*more) return ERR_OK;
    if (first && !d->cfg.header) {
        r = &d->columns; /* without a header the first record is data, too */
        out->line = d->line - r->lines;
    } else {
        TRY(next_record(e, d, more));
        if (!*more) return ERR_OK;
        out->line = d->line - r->lines;
        if (r->fields != d->columns.fields)
            return err_set(e, ERR_INPUT, "line %llu: %zu field%s, but %zu in the first record",
                           (unsigned long long)out->line, r->fields, r->fields == 1 ? "" : "s",
                           d->columns.fields);
    }
    out->text = csv_field(r, d->text_column, &out->n);
    if (d->cfg.pair != NULL) out->pair = csv_field(r, d->pair_column, &out->pair_n);
    return d->cfg.keep == NULL ? ERR_OK : keep_columns(e, d, r, out);
}

enum err documents_next(struct errctx *e, struct documents *d, struct document *out, bool *more)
{
    size_t files = d->paths->count > 0 ? d->paths->count : 1;
    enum err code = ERR_OK;

    for (;;) {
        if (!d->open && d->next == files) {
            if (d->cfg.progress) prog_progress_done();
            *more = false;
            return ERR_OK;
        }
        if (!d->open) TRY(open_next(e, d));
        const char *path = d->paths->count > 0 ? d->paths->items[d->next - 1] : "-";
        *out = (struct document){.end = true,
                                 .file = strcmp(path, "-") == 0 ? "standard input" : path};
        switch (d->form) {
        case DOCUMENT_LINES:
            code = next_line(e, d, &out->text, &out->n, more);
            break;
        case DOCUMENT_PARAGRAPHS:
            code = next_paragraph(e, d, out, more);
            break;
        case DOCUMENT_JSONL:
            code = next_json(e, d, out, more);
            break;
        case DOCUMENT_CSV:
        case DOCUMENT_TSV:
            code = next_row(e, d, out, more);
            break;
        default:
            code = next_file(e, d, out, more);
            break;
        }
        if (code != ERR_OK) {
            if (code == ERR_INPUT && e->message[0] != '\'') err_prefix(e, "'%s'", d->in.name);
            return code;
        }
        if (*more) return ERR_OK;
        TRY(finish_file(e, d));
    }
}
