/* SPDX-License-Identifier: Apache-2.0 */
/* document_words.c: see document_words.h. */
#include "common/text/document_words.h"
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MOST = 64, CONLLU_COLUMNS = 10 };

void document_words_fini(struct document_words *w)
{
    bytes_fini(&w->text);
    bytes_fini(&w->columns);
    mem_free(w->words);
    mem_free(w->fields);
    mem_free(w->items);
    mem_free(w->ends);
}

void document_words_clear(struct document_words *w)
{
    w->text.len = w->columns.len = w->count = 0;
}

void document_words_start(struct document_words *w)
{
    w->line_columns = 0;
}

enum err document_words_add(struct errctx *e, struct document_words *w, const char *word, size_t n)
{
    TRY(mem_grow(e, &w->words, &w->capacity, w->count + 1, sizeof *w->words, "words"));
    if (w->count > 0) TRY(bytes_append(e, &w->text, " ", 1));
    w->words[w->count++] = (struct document_word){w->text.len, w->text.len + n};
    return bytes_append(e, &w->text, word, n);
}

void document_words_view(const struct document_words *w, struct document *out)
{
    out->text = w->count > 0 ? (const char *)w->text.data : "";
    out->n = w->text.len;
    out->words = w->words;
    out->words_count = w->count;
}

/* ---- lines of form conll ---- */

struct columns {
    const char *text[COLUMNS_MOST];
    size_t n[COLUMNS_MOST], count;
    bool tabs;
};

static enum err split_line(struct errctx *e, const char *line, size_t n, uint64_t number,
                           struct columns *c)
{
    const char *end = line + n, *s = line;

    c->tabs = memchr(line, '\t', n) != NULL;
    for (c->count = 0; s < end || (c->tabs && s == end && end[-1] == '\t');) {
        const char *from = s;
        while (s < end && (c->tabs ? *s != '\t' : *s != ' ')) s++;
        if (c->count == COLUMNS_MOST)
            return err_set(e, ERR_INPUT, "line %llu: more than %d columns",
                           (unsigned long long)number, COLUMNS_MOST);
        if (c->tabs || s > from) {
            c->text[c->count] = from;
            c->n[c->count++] = (size_t)(s - from);
        }
        s++; /* the separator, or one behind the end */
        while (!c->tabs && s < end && *s == ' ') s++;
    }
    return ERR_OK;
}

static bool begins_with(const char *s, size_t n, const char *head)
{
    return n >= strlen(head) && memcmp(s, head, strlen(head)) == 0;
}

static bool is_comment(const char *line, size_t n)
{
    if (!begins_with(line, n, "# ") || memchr(line, '\t', n) != NULL) return false;
    return begins_with(line, n, "# new") || memmem(line, n, " = ", 3) != NULL;
}

/* A word of several, whose parts follow, or one that was left out: no word of the text. */
static bool is_beside(const struct columns *c)
{
    size_t i = 0;

    if (!c->tabs || c->count != CONLLU_COLUMNS) return false;
    while (i < c->n[0] && c->text[0][i] >= '0' && c->text[0][i] <= '9') i++;
    return i > 0 && i < c->n[0] && (c->text[0][i] == '-' || c->text[0][i] == '.');
}

/* The column that a field or --text names: from 1, or the last. */
static enum err find_column(struct errctx *e, const struct document_words *w, const char *name,
                            size_t *out)
{
    char *end;
    unsigned long number;

    *out = w->line_columns - 1;
    if (name == NULL) return ERR_OK;
    number = strtoul(name, &end, 10);
    if (*end != 0 || *name < '1' || *name > '9')
        return err_set(e, ERR_USAGE, "'%s' is not the number of a column (-f conll has no names)",
                       name);
    if (number > w->line_columns)
        return err_set(e, ERR_INPUT, "line %llu: there are %zu columns, not %lu",
                       (unsigned long long)w->line_first, w->line_columns, number);
    *out = number - 1;
    return ERR_OK;
}

static enum err add_line(struct errctx *e, struct document_words *w,
                         const struct documents_cfg *cfg, const struct columns *c, uint64_t line)
{
    size_t column;

    if (w->line_columns == 0) {
        w->line_columns = c->count;
        w->line_first = line;
    }
    if (c->count != w->line_columns)
        return err_set(e, ERR_INPUT, "line %llu: %zu columns, but %zu in line %llu",
                       (unsigned long long)line, c->count, w->line_columns,
                       (unsigned long long)w->line_first);
    TRY(find_column(e, w, cfg->text != NULL ? cfg->text : "1", &column));
    if (c->n[column] == 0)
        return err_set(e, ERR_INPUT, "line %llu: no word in column %zu", (unsigned long long)line,
                       column + 1);
    TRY(document_words_add(e, w, c->text[column], c->n[column]));
    const size_t at = (w->count - 1) * cfg->fields_count;
    TRY(mem_grow(e, &w->ends, &w->ends_capacity, at + cfg->fields_count + 1, sizeof *w->ends,
                 "words"));
    for (size_t i = 0; i < cfg->fields_count; i++) {
        TRY(find_column(e, w, cfg->fields[i], &column));
        TRY(bytes_append(e, &w->columns, c->text[column], c->n[column]));
        w->ends[at + i] = w->columns.len;
    }
    return ERR_OK;
}

/* The columns of the words as a list for each field. */
static enum err view_fields(struct errctx *e, struct document_words *w, size_t count,
                            struct document *out)
{
    TRY(mem_grow(e, &w->fields, &w->fields_capacity, count + 1, sizeof *w->fields, "fields"));
    TRY(mem_grow(e, &w->items, &w->items_capacity, count * w->count + 1, sizeof *w->items,
                 "fields"));
    for (size_t i = 0; i < count; i++) {
        struct document_field *items = w->items + i * w->count;
        for (size_t k = 0; k < w->count; k++) {
            const size_t at = k * count + i, from = at > 0 ? w->ends[at - 1] : 0;
            items[k] = (struct document_field){.value = VALUE_TEXT,
                                               .text = (const char *)w->columns.data + from,
                                               .n = w->ends[at] - from};
            if (items[k].n == 0) items[k].value = VALUE_NONE;
        }
        w->fields[i] =
            (struct document_field){.value = VALUE_LIST, .items = items, .items_count = w->count};
    }
    out->fields = w->fields;
    return ERR_OK;
}

enum err document_words_sentence(struct errctx *e, struct document_words *w,
                                 const struct documents_cfg *cfg, struct text_file *file,
                                 struct document *out, bool *more)
{
    struct columns c;
    const char *line;
    size_t n;
    bool there;

    document_words_clear(w);
    for (;;) {
        TRY(text_file_line(e, file, &line, &n, &there));
        const uint64_t number = file->line - 1;
        if (there && number == 1 && begins_with(line, n, "\xef\xbb\xbf")) line += 3, n -= 3;
        while (there && n > 0 && line[n - 1] == '\r') n--;
        if (!there || text_file_blank(line, n)) {
            *more = w->count > 0;
            if (!there || *more) break;
            continue;
        }
        if (w->count == 0 && is_comment(line, n)) continue;
        TRY(split_line(e, line, n, number, &c));
        if (is_beside(&c) || (c.count > 0 && begins_with(c.text[0], c.n[0], "-DOCSTART-")))
            continue;
        if (w->count == 0) out->line = number;
        TRY(add_line(e, w, cfg, &c, number));
        if (w->text.len > TEXT_FILE_LIMIT)
            return err_set(e, ERR_INPUT, "line %llu: a sentence of more than 1 GiB",
                           (unsigned long long)number);
    }
    document_words_view(w, out);
    return view_fields(e, w, cfg->fields_count, out);
}
