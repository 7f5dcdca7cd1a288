/* SPDX-License-Identifier: Apache-2.0 */
/* documents.c: which file is next, and where a document ends in it. text_file.c reads, checks and
 * hashes; document_records.c takes records apart. */
#include "common/text/documents.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/prog.h"
#include "common/text/document_records.h"
#include "common/text/text_file.h"

const struct opt documents_opts[] = {
    {"form", 'f', OPT_CHOICE, offsetof(struct documents_cfg, form), DOCUMENT_FORMS,
     "what a document is; auto goes by the file's extension: .jsonl .ndjson .csv .tsv .conll "
     ".conllu, else the whole file"},
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
    size_t next;     /* file that is opened next */
    int form;        /* of the file that is open */
    size_t slot;     /* and its place in run */
    bool unfinished; /* a piece was handed out that did not end its document */
    bool warned;     /* of JSON */
    struct text_file file;
    struct document_records records;
};

/* ------------------------------------------------------------------ opening */

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
    enum err code = text_file_init(e, &d->file);
    if (code == ERR_OK) code = document_records_init(e, &d->records, &d->cfg, &d->file);
    if (code != ERR_OK) {
        documents_close(d);
        return code;
    }
    d->file.bytes_total = size_of_all(paths);
    d->file.progress = cfg->progress;
    d->file.replace = cfg->invalid != 0;
    *out = d;
    return ERR_OK;
}

void documents_close(struct documents *d)
{
    if (d == NULL) return;
    document_records_fini(&d->records);
    text_file_fini(&d->file);
    mem_free(d);
}

uint64_t documents_bytes(const struct documents *d)
{
    return d->file.bytes_read;
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
    } known[] = {{".jsonl", DOCUMENT_JSONL}, {".ndjson", DOCUMENT_JSONL},
                 {".csv", DOCUMENT_CSV},     {".tsv", DOCUMENT_TSV},
                 {".conll", DOCUMENT_CONLL}, {".conllu", DOCUMENT_CONLL}};

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
        return err_set(e, ERR_USAGE, "'%s': %s is for records (-f jsonl|csv|tsv)", d->file.in.name,
                       d->cfg.text != NULL   ? "--text"
                       : d->cfg.pair != NULL ? "--pair"
                                             : "--keep");
    if (d->form == DOCUMENT_CONLL && (d->cfg.keep != NULL || d->cfg.pair != NULL))
        return err_set(e, ERR_USAGE, "'%s': -f conll has one text and no other fields (%s)",
                       d->file.in.name, d->cfg.pair != NULL ? "--pair" : "--keep");
    if (d->cfg.words && d->form != DOCUMENT_CONLL && d->form != DOCUMENT_JSONL)
        return err_set(e, ERR_USAGE,
                       "'%s': labels of words are for -f conll, and for lists of words in -f jsonl",
                       d->file.in.name);
    if (d->cfg.fields_count > 0 && d->form < DOCUMENT_JSONL)
        return err_set(e, ERR_USAGE, "'%s': labels are for records (-f jsonl|csv|tsv|conll)",
                       d->file.in.name);
    if (d->form != DOCUMENT_CSV && d->form != DOCUMENT_TSV && !d->cfg.header)
        return err_set(e, ERR_USAGE, "'%s': --no-header is for tables (-f csv|tsv)",
                       d->file.in.name);
    return ERR_OK;
}

/* Of JSON that is read as text, because its name and first character are all that says what it is;
 * once, as there may be a thousand such files. */
static void warn_of_json(struct documents *d)
{
    const char *path = d->paths->count > 0 ? d->paths->items[d->next - 1] : "-";
    const char *text = (const char *)d->file.buffer.data, *end = text + d->file.buffer.len;

    if (d->warned || d->cfg.form != DOCUMENT_AUTO || !ends_with(path, ".json")) return;
    while (text < end && strchr(" \t\r\n", *text)) text++;
    if (text == end || (*text != '[' && *text != '{')) return;
    d->warned = true;
    prog_warn("'%s' is read as plain text, but looks like %s (-f %s: text is meant)", path,
              *text == '[' ? "a JSON array: 'jq -c .[]' makes JSON lines of it, for -f jsonl"
                           : "JSON: give -f jsonl when each line is an object",
              d->cfg.otherwise == DOCUMENT_LINES ? "lines" : "files");
}

static enum err open_next(struct errctx *e, struct documents *d)
{
    const char *path = d->paths->count > 0 ? d->paths->items[d->next] : NULL;
    struct text_file *f = &d->file;

    d->form = documents_form(&d->cfg, path);
    TRY(text_file_open(e, f, path));
    d->next++;
    d->unfinished = false;
    f->in.before_block = d->cfg.before_block;
    f->in.before_block_ctx = d->cfg.before_block_ctx;
    f->doubling =
        d->form == DOCUMENT_PARAGRAPHS || d->form == DOCUMENT_CSV || d->form == DOCUMENT_TSV;
    f->too_long = d->form == DOCUMENT_FILES ? " (-f lines or -f paragraphs cuts the file)" : "";
    document_records_start(&d->records, d->form == DOCUMENT_TSV ? '\t' : ',');
    TRY(check_fields(e, d));
    if (d->run != NULL) TRY(run_input_open(e, d->run, "input", path, &d->slot));
    TRY(text_file_fill(e, f));
    warn_of_json(d);
    return ERR_OK;
}

/* The file has been read to its end. */
static enum err finish_file(struct errctx *e, struct documents *d)
{
    uint8_t content[16];

    text_file_digest(&d->file, content);
    if (d->run != NULL) TRY(run_input_done(e, d->run, d->slot, content, NULL, -1, false));
    text_file_close(&d->file);
    return ERR_OK;
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
        if (!text_file_blank(data + p, len)) {
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
    struct text_file *f = &d->file;
    size_t from = 0, to = 0, used = 0;

    for (;;) {
        const char *data = (const char *)f->buffer.data + f->at;
        *more = find_paragraph(data, f->buffer.len - f->at, f->eof, &from, &to, &used);
        if (*more) {
            out->text = data + from;
            out->n = to - from;
            text_file_pass(f, used);
            return ERR_OK;
        }
        if (f->eof) return ERR_OK;
        TRY(text_file_fill(e, f));
    }
}

static enum err next_file(struct errctx *e, struct documents *d, struct document *out, bool *more)
{
    struct text_file *f = &d->file;

    while (!f->eof && (!d->cfg.pieces || f->buffer.len == f->at)) TRY(text_file_fill(e, f));
    out->text = (const char *)f->buffer.data + f->at;
    out->n = f->buffer.len - f->at;
    out->end = f->eof;
    f->at = f->scanned = f->buffer.len;
    *more = out->n > 0 || d->unfinished;
    d->unfinished = *more && !out->end;
    return ERR_OK;
}

/* ------------------------------------------------------------------ one after another */

enum err documents_next(struct errctx *e, struct documents *d, struct document *out, bool *more)
{
    size_t files = d->paths->count > 0 ? d->paths->count : 1;
    enum err code = ERR_OK;

    for (;;) {
        if (!d->file.open && d->next == files) {
            if (d->cfg.progress) prog_progress_done();
            *more = false;
            return ERR_OK;
        }
        if (!d->file.open) TRY(open_next(e, d));
        const char *path = d->paths->count > 0 ? d->paths->items[d->next - 1] : "-";
        *out = (struct document){.end = true,
                                 .file = strcmp(path, "-") == 0 ? "standard input" : path};
        switch (d->form) {
        case DOCUMENT_LINES:
            code = text_file_line(e, &d->file, &out->text, &out->n, more);
            break;
        case DOCUMENT_PARAGRAPHS:
            code = next_paragraph(e, d, out, more);
            break;
        case DOCUMENT_JSONL:
            code = document_records_json(e, &d->records, out, more);
            break;
        case DOCUMENT_CSV:
        case DOCUMENT_TSV:
            code = document_records_row(e, &d->records, out, more);
            break;
        case DOCUMENT_CONLL:
            code = document_words_sentence(e, &d->records.words, &d->cfg, &d->file, out, more);
            break;
        default:
            code = next_file(e, d, out, more);
            break;
        }
        if (code != ERR_OK) {
            if (code == ERR_INPUT && e->message[0] != '\'') err_prefix(e, "'%s'", d->file.in.name);
            return code;
        }
        if (*more)
            return d->cfg.between == NULL ? ERR_OK : document_records_join(e, &d->records, out);
        TRY(finish_file(e, d));
    }
}
