/* SPDX-License-Identifier: Apache-2.0 */
/* csv.c: see csv.h. */
#include "formats/csv.h"
#include <string.h>

void csv_record_fini(struct csv_record *r)
{
    bytes_fini(&r->text);
    mem_free(r->start);
    memset(r, 0, sizeof *r);
}

const char *csv_field(const struct csv_record *r, size_t i, size_t *n)
{
    *n = r->start[i + 1] - r->start[i] - 1;
    return (const char *)r->text.data + r->start[i];
}

static enum err end_field(struct errctx *e, struct csv_record *r)
{
    TRY(bytes_append(e, &r->text, "", 1));
    TRY(mem_grow(e, &r->start, &r->capacity, r->fields + 2, sizeof *r->start, "fields"));
    r->fields++;
    r->start[r->fields] = r->text.len;
    return ERR_OK;
}

/* The quoted field at *at (behind its quote): *at goes behind the closing quote; *open when there
 * is none yet. */
static enum err quoted(struct errctx *e, const char *data, size_t n, size_t *at,
                       struct csv_record *r, bool *open)
{
    size_t p = *at;

    for (;;) {
        const char *q = memchr(data + p, '"', n - p);
        size_t end = q == NULL ? n : (size_t)(q - data);
        for (size_t i = p; i < end; i++) r->lines += data[i] == '\n';
        TRY(bytes_append(e, &r->text, data + p, end - p));
        *open = q == NULL;
        *at = end + 1;
        if (q == NULL || end + 1 >= n || data[end + 1] != '"') return ERR_OK;
        TRY(bytes_append(e, &r->text, "\"", 1));
        p = end + 2;
    }
}

/* Length of the line's end at data[at..n): 0 none, 1 LF, 2 CRLF. */
static size_t line_end(const char *data, size_t n, size_t at)
{
    if (at < n && data[at] == '\n') return 1;
    return at + 1 < n && data[at] == '\r' && data[at + 1] == '\n' ? 2 : 0;
}

static enum err plain(struct errctx *e, const char *data, size_t n, char separator, uint64_t line,
                      size_t *at, struct csv_record *r)
{
    size_t p = *at;

    while (p < n && data[p] != separator && line_end(data, n, p) == 0) {
        if (data[p] == '"' && separator == ',')
            return err_set(e, ERR_INPUT,
                           "line %llu: a quote inside an unquoted field (put the field in quotes)",
                           (unsigned long long)line);
        p++;
    }
    TRY(bytes_append(e, &r->text, data + *at, p - *at));
    *at = p;
    return ERR_OK;
}

enum err csv_parse(struct errctx *e, const char *data, size_t n, bool eof, char separator,
                   uint64_t line, struct csv_record *r, size_t *used)
{
    size_t at = 0;

    *used = 0;
    r->text.len = 0;
    r->fields = 0;
    r->lines = 1;
    TRY(mem_grow(e, &r->start, &r->capacity, 1, sizeof *r->start, "fields"));
    r->start[0] = 0;
    for (;;) {
        bool open = false;
        if (at < n && data[at] == '"' && separator == ',') {
            at++;
            TRY(quoted(e, data, n, &at, r, &open));
            if (open && eof)
                return err_set(e, ERR_INPUT, "line %llu: a quoted field does not end",
                               (unsigned long long)line);
            if (open || (at == n && !eof)) return ERR_OK;
        } else {
            TRY(plain(e, data, n, separator, line + r->lines - 1, &at, r));
        }
        TRY(end_field(e, r));
        size_t ending = line_end(data, n, at);
        if (ending > 0) {
            *used = at + ending;
            return ERR_OK;
        }
        if (at >= n || (at + 1 == n && data[at] == '\r')) {
            if (eof && at < n)
                return err_set(e, ERR_INPUT, "line %llu: a carriage return without newline",
                               (unsigned long long)(line + r->lines - 1));
            if (eof) *used = n;
            return ERR_OK;
        }
        if (data[at] != separator)
            return err_set(e, ERR_INPUT, "line %llu: text behind a closing quote",
                           (unsigned long long)(line + r->lines - 1));
        at++;
    }
}
