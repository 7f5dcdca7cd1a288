/* SPDX-License-Identifier: Apache-2.0 */
/* documents_count.c: see documents_count.h. Failures are not told: who reads the files will. */
#include "common/text/documents_count.h"
#include <string.h>
#include <sys/stat.h>
#include "common/base/io.h"
#include "common/text/text_file.h"

enum { CHUNK = 1 << 20 };
#define COUNT_LIMIT ((uint64_t)1 << 30)

/* Where the count stands within a file. */
struct count {
    int form;
    int64_t documents;
    bool first;  /* nothing of the file was seen yet */
    bool line;   /* something of the line was seen */
    bool filled; /* and it is not blank */
    bool inside; /* a paragraph */
};

static void end_line(struct count *c)
{
    if (c->form == DOCUMENT_LINES)
        c->documents++;
    else if (c->form == DOCUMENT_JSONL)
        c->documents += c->filled;
    else
        c->documents += c->filled && !c->inside;
    c->inside = c->filled;
    c->line = c->filled = false;
}

static void count_chunk(struct count *c, const char *s, size_t n)
{
    /* a byte order mark is no JSON */
    if (c->first && c->form == DOCUMENT_JSONL && n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
        s += 3, n -= 3;
    c->first = false;
    while (n > 0) {
        const char *end = memchr(s, '\n', n);
        size_t len = end ? (size_t)(end - s) : n;
        c->line = true;
        if (!c->filled && c->form != DOCUMENT_LINES) c->filled = !text_file_blank(s, len);
        if (end) end_line(c);
        s += len + (end != NULL);
        n -= len + (end != NULL);
    }
}

static enum err count_lines(struct errctx *e, struct infile *f, struct count *c)
{
    char *chunk;
    size_t got = 1;
    TRY(mem_new(e, &chunk, CHUNK, 1, "text"));
    for (uint64_t at = 0; got > 0 && e->code == ERR_OK; at += got)
        if (infile_pread_full(e, f, chunk, CHUNK, at, &got) == ERR_OK) count_chunk(c, chunk, got);
    if (c->line) end_line(c);
    mem_free(chunk);
    return e->code;
}

/* False when the file's documents cannot be counted. */
static bool count_file(const struct documents_cfg *cfg, const char *path, uint64_t *bytes,
                       int64_t *documents)
{
    struct errctx ignored = ERRCTX_INIT;
    struct infile f;
    struct count c = {.form = documents_form(cfg, path), .first = true};
    struct stat st; /* a pipe must not be opened: its writer would see it close */
    if (path && strcmp(path, "-") != 0 && (stat(path, &st) != 0 || !S_ISREG(st.st_mode)))
        return false;
    if (infile_open(&ignored, path, &f) != ERR_OK) return false;
    bool can = f.regular && c.form < DOCUMENT_CSV;
    if (can && c.form == DOCUMENT_FILES)
        c.documents = f.size > 0;
    else if (can)
        can = (*bytes += f.size) <= COUNT_LIMIT && count_lines(&ignored, &f, &c) == ERR_OK;
    infile_close(&f);
    *documents += c.documents;
    return can;
}

int64_t documents_count(const struct documents_cfg *cfg, const struct opt_list *paths)
{
    int64_t documents = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < (paths->count ? paths->count : 1); i++)
        if (!count_file(cfg, paths->count ? paths->items[i] : NULL, &bytes, &documents)) return -1;
    return documents;
}
