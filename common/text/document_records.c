/* SPDX-License-Identifier: Apache-2.0 */
/* document_records.c: see document_records.h. Of JSON the text is parsed, what is kept is copied as
 * it is written; a table's fields are kept as strings. */
#include "common/text/document_records.h"
#include <stdlib.h>
#include <string.h>
#include "common/text/chat_documents.h"

static enum err split_keep(struct errctx *e, struct document_records *r)
{
    const char *p = r->cfg->keep;

    if (p == NULL || strcmp(p, "all") == 0) return ERR_OK;
    for (size_t capacity = 0;; p++) {
        size_t n = strcspn(p, ",");
        if (n == 0) return err_set(e, ERR_USAGE, "--keep '%s': an empty name", r->cfg->keep);
        TRY(mem_grow(e, &r->keep_names, &capacity, r->keep_count + 1, sizeof *r->keep_names,
                     "names"));
        TRY(mem_strndup(e, &r->keep_names[r->keep_count], p, n));
        r->keep_count++;
        p += n;
        if (*p == 0) return ERR_OK;
    }
}

enum err document_records_init(struct errctx *e, struct document_records *r,
                               const struct documents_cfg *cfg, struct text_file *file)
{
    *r = (struct document_records){.cfg = cfg, .file = file};
    TRY(mem_new(e, &r->fields, cfg->fields_count, sizeof *r->fields, "fields"));
    TRY(mem_new(e, &r->field_columns, cfg->fields_count, sizeof *r->field_columns, "fields"));
    return split_keep(e, r);
}

void document_records_fini(struct document_records *r)
{
    bytes_fini(&r->kept);
    bytes_fini(&r->scratch);
    bytes_fini(&r->joined);
    mem_free(r->fields);
    mem_free(r->items);
    mem_free(r->field_columns);
    document_words_fini(&r->words);
    json_decref(r->object);
    csv_record_fini(&r->record);
    csv_record_fini(&r->columns);
    for (size_t i = 0; i < r->keep_count; i++) mem_free(r->keep_names[i]);
    mem_free(r->keep_names);
    free(r->keep_text); /* jansson's */
}

void document_records_start(struct document_records *r, char separator)
{
    r->separator = separator;
    r->have_columns = false;
    document_words_start(&r->words);
}

/* ---- what is kept ---- */

static bool is_kept(const struct document_records *r, const char *name)
{
    if (r->keep_names == NULL) return true;
    for (size_t i = 0; i < r->keep_count; i++)
        if (strcmp(r->keep_names[i], name) == 0) return true;
    return false;
}

static bool is_kept_member(const struct document_records *r, const struct jsonl_member *m)
{
    if (r->keep_names == NULL) return true;
    for (size_t i = 0; i < r->keep_count; i++)
        if (jsonl_key_is(m, r->keep_names[i])) return true;
    return false;
}

static enum err dump_keep(struct errctx *e, struct document_records *r, json_t *object,
                          struct document *out)
{
    free(r->keep_text);
    r->keep_text = json_dumps(object, JSON_COMPACT);
    if (r->keep_text == NULL) return err_memory(e, "kept fields", 0);
    out->keep = r->keep_text;
    out->keep_n = strlen(r->keep_text);
    return ERR_OK;
}

static enum err keep_is_text(struct errctx *e, const char *name)
{
    return err_set(e, ERR_USAGE, "--keep '%s': the text itself is not carried along", name);
}

static enum err pair_is_text(struct errctx *e, const struct document_records *r)
{
    return err_set(e, ERR_USAGE, "%s '%s': that is the %s itself",
                   r->cfg->between != NULL ? "--completion" : "--pair", r->cfg->pair,
                   r->cfg->between != NULL ? "prompt" : "first text");
}

enum err document_records_join(struct errctx *e, struct document_records *r, struct document *out)
{
    const char *between = r->cfg->between;

    r->joined.len = 0;
    TRY(bytes_append(e, &r->joined, out->text, out->n));
    TRY(bytes_append(e, &r->joined, between, strlen(between)));
    r->completion.from = r->joined.len;
    TRY(bytes_append(e, &r->joined, out->pair, out->pair_n));
    r->completion.to = r->joined.len;
    TRY(bytes_append(e, &r->joined, "", 1)); /* two empty texts have an address, too */
    out->text = (const char *)r->joined.data;
    out->n = r->completion.to;
    out->pair = NULL;
    out->pair_n = 0;
    out->scored = &r->completion;
    out->scored_count = 1;
    return ERR_OK;
}

/* ---- fields of JSON ---- */

/* One that is no list; `text` is how a number is written. */
static enum err scalar(struct errctx *e, const json_t *value, const char *text, size_t n,
                       const char *name, uint64_t number, struct document_field *out)
{
    *out = (struct document_field){.value = VALUE_TEXT};
    if (value == NULL || json_is_null(value)) {
        out->value = VALUE_NONE;
    } else if (json_is_string(value)) {
        out->text = json_string_value(value);
        out->n = json_string_length(value);
    } else if (json_is_boolean(value)) {
        out->text = json_is_true(value) ? "true" : "false";
        out->n = strlen(out->text);
    } else if (json_is_number(value)) {
        *out = (struct document_field){.value = VALUE_NUMBER, .text = text, .n = n};
    } else {
        return err_set(e, ERR_INPUT, "line %llu: field '%s' holds %s", (unsigned long long)number,
                       name, json_is_object(value) ? "an object" : "a list within a list");
    }
    return ERR_OK;
}

static enum err list_of_json(struct errctx *e, struct document_records *r, const json_t *list,
                             const char *text, size_t n, const char *name, uint64_t number,
                             struct document_field *out)
{
    const char *at = NULL, *item = "";
    size_t item_n = 0;

    *out = (struct document_field){.value = VALUE_LIST, .items_count = json_array_size(list)};
    out->items = r->items + r->items_count;
    for (size_t i = 0; i < out->items_count && jsonl_item(text, n, &at, &item, &item_n); i++)
        TRY(scalar(e, json_array_get(list, i), item, item_n, name, number,
                   &r->items[r->items_count++]));
    return ERR_OK;
}

static enum err field_of_json(struct errctx *e, struct document_records *r, const char *line,
                              size_t n, const char *name, uint64_t number,
                              struct document_field *out)
{
    const json_t *value = json_object_get(r->object, name);
    struct jsonl_member m = {0};

    if (json_is_number(value) || json_is_array(value))
        for (const char *at = NULL; jsonl_next(line, n, &at, &m);)
            if (jsonl_key_is(&m, name)) break;
    while (m.value_n > 0 && strchr(" \t\r\n", m.value[m.value_n - 1]) != NULL) m.value_n--;
    if (!json_is_array(value)) return scalar(e, value, m.value, m.value_n, name, number, out);
    return list_of_json(e, r, value, m.value, m.value_n, name, number, out);
}

/* Items of all fields are in one array, which must not move when there are views of it. */
static enum err fields_of_json(struct errctx *e, struct document_records *r, const char *line,
                               size_t n, uint64_t number, struct document *out)
{
    size_t items = 0;

    if (r->object == NULL)
        return err_set(e, ERR_INPUT, "line %llu: a bare list has no fields",
                       (unsigned long long)number);
    for (size_t i = 0; i < r->cfg->fields_count; i++)
        items += json_array_size(json_object_get(r->object, r->cfg->fields[i]));
    TRY(mem_grow(e, &r->items, &r->items_capacity, items, sizeof *r->items, "fields"));
    r->items_count = 0;
    for (size_t i = 0; i < r->cfg->fields_count; i++)
        TRY(field_of_json(e, r, line, n, r->cfg->fields[i], number, &r->fields[i]));
    out->fields = r->fields;
    return ERR_OK;
}

/* The text as a list of words. */
static enum err words_of_json(struct errctx *e, struct document_records *r, const char *key,
                              uint64_t number, struct document *out)
{
    const json_t *list = json_object_get(r->object, key);

    if (list == NULL) return jsonl_missing(e, r->object, key, number);
    if (!json_is_array(list))
        return err_set(e, ERR_INPUT, "line %llu: field '%s' is not a list of words",
                       (unsigned long long)number, key);
    document_words_clear(&r->words);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *word = json_array_get(list, i);
        if (!json_is_string(word) || json_string_length(word) == 0)
            return err_set(e, ERR_INPUT, "line %llu: item %zu of field '%s' is not a word",
                           (unsigned long long)number, i, key);
        TRY(document_words_add(e, &r->words, json_string_value(word), json_string_length(word)));
    }
    document_words_view(&r->words, out);
    return ERR_OK;
}

/* ---- JSON lines ---- */

/* What is kept of the object on the line, as it is written there. */
static enum err keep_json(struct errctx *e, struct document_records *r, const char *text_key,
                          const char *line, size_t n, uint64_t number, struct document *out)
{
    struct jsonl_member m;

    for (size_t i = 0; i < r->keep_count; i++) {
        if (strcmp(r->keep_names[i], text_key) == 0 ||
            (r->cfg->pair != NULL && strcmp(r->keep_names[i], r->cfg->pair) == 0))
            return keep_is_text(e, r->keep_names[i]);
        if (json_object_get(r->object, r->keep_names[i]) == NULL)
            return jsonl_missing(e, r->object, r->keep_names[i], number);
    }
    r->kept.len = 0;
    TRY(bytes_append(e, &r->kept, "{", 1));
    for (const char *at = NULL; jsonl_next(line, n, &at, &m);) {
        if (jsonl_key_is(&m, text_key) || !is_kept_member(r, &m)) continue;
        if (r->cfg->pair != NULL && jsonl_key_is(&m, r->cfg->pair)) continue;
        if (r->kept.len > 1) TRY(bytes_append(e, &r->kept, ",", 1));
        TRY(jsonl_append(e, &m, &r->kept));
    }
    TRY(bytes_append(e, &r->kept, "}", 1));
    out->keep = (const char *)r->kept.data;
    out->keep_n = r->kept.len;
    return ERR_OK;
}

enum err document_records_json(struct errctx *e, struct document_records *r, struct document *out,
                               bool *more)
{
    bool chat = r->cfg->chat != NULL;
    const char *key = r->cfg->text != NULL ? r->cfg->text : chat ? "messages" : "text", *line;
    uint64_t number;
    size_t n;

    do {
        TRY(text_file_line(e, r->file, &line, &n, more));
        if (!*more) return ERR_OK;
        number = r->file->line - 1;
        if (number == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) line += 3, n -= 3;
    } while (text_file_blank(line, n));
    if (r->cfg->pair != NULL && strcmp(r->cfg->pair, key) == 0) return pair_is_text(e, r);
    json_decref(r->object);
    r->object = NULL;
    out->line = number;
    if (r->cfg->fields_only) {
        TRY(jsonl_parse_texts(e, line, n, number, &r->scratch, &r->object));
        return fields_of_json(e, r, line, n, number, out);
    }
    if (chat) {
        TRY(chat_document(e, r->cfg->chat, line, n, number, key, out, &r->object));
        if (r->cfg->keep != NULL && r->object == NULL)
            return err_set(e, ERR_INPUT, "line %llu: a bare list has no fields to keep",
                           (unsigned long long)number);
    } else {
        TRY(jsonl_parse_texts(e, line, n, number, &r->scratch, &r->object));
        if (r->cfg->words) {
            TRY(words_of_json(e, r, key, number, out));
        } else {
            TRY(jsonl_string(e, r->object, key, number, &out->text, &out->n));
        }
    }
    if (r->cfg->pair != NULL)
        TRY(jsonl_string(e, r->object, r->cfg->pair, number, &out->pair, &out->pair_n));
    if (r->cfg->fields_count > 0) TRY(fields_of_json(e, r, line, n, number, out));
    return r->cfg->keep == NULL ? ERR_OK : keep_json(e, r, key, line, n, number, out);
}

/* ---- tables ---- */

/* RFC 4180: a record is one or more fields, and a field may be empty. So where there is one column
 * an empty line is a record; where there are more it cannot be one, and before a header it names
 * nothing: there it is passed over. */
static bool passes_over(const struct document_records *r, const char *line)
{
    bool empty = line[0] == '\n' || (line[0] == '\r' && line[1] == '\n');

    return empty && (r->have_columns ? r->columns.fields > 1 : r->cfg->header);
}

/* The next record, into r->record. */
static enum err next_record(struct errctx *e, struct document_records *r, bool *more)
{
    size_t used = 0;

    for (;;) {
        const char *data = (const char *)r->file->buffer.data + r->file->at;
        size_t n = r->file->buffer.len - r->file->at;
        if (r->file->line == 1 && n >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
            r->file->at += 3;
            continue;
        }
        *more = n > 0;
        if (n > 0)
            TRY(csv_parse(e, data, n, r->file->eof, r->separator, r->file->line, &r->record,
                          &used));
        if (n > 0 && used > 0) {
            r->file->at += used;
            r->file->scanned = r->file->at;
            r->file->line += r->record.lines;
            if (!passes_over(r, data)) return ERR_OK;
        } else if (r->file->eof) {
            return ERR_OK;
        } else {
            TRY(text_file_fill(e, r->file));
        }
    }
}

/* Names of columns for a message, as many as it has room for. */
static void name_columns(const struct document_records *r, char *out, size_t size)
{
    size_t len = 0, n;

    *out = '\0';
    for (size_t i = 0; i < r->columns.fields; i++) {
        const char *name = csv_field(&r->columns, i, &n), *comma = i > 0 ? ", " : "";
        if (len + n + sizeof ", , ..." > size) {
            (void)snprintf(out + len, size - len, "%s...", comma);
            return;
        }
        len += (size_t)snprintf(out + len, size - len, "%s%s", comma, name);
    }
}

static enum err find_column(struct errctx *e, const struct document_records *r, const char *name,
                            size_t *column)
{
    char *end;
    unsigned long number;
    size_t n;

    if (!r->cfg->header) {
        number = strtoul(name, &end, 10);
        if (*end != 0 || *name < '1' || *name > '9') /* no sign, no zero in front: one name each */
            return err_set(e, ERR_USAGE, "'%s' is not the number of a column (there is no header)",
                           name);
        if (number > r->columns.fields)
            return err_set(e, ERR_INPUT, "there %s %zu column%s, not %lu",
                           r->columns.fields == 1 ? "is" : "are", r->columns.fields,
                           r->columns.fields == 1 ? "" : "s", number);
        *column = number - 1;
        return ERR_OK;
    }
    for (*column = 0; *column < r->columns.fields; (*column)++)
        if (strcmp(csv_field(&r->columns, *column, &n), name) == 0) return ERR_OK;
    char there[256];
    name_columns(r, there, sizeof there);
    return err_set(e, ERR_INPUT, "the header has no column '%s' (there are: %s)%s", name, there,
                   r->cfg->text == NULL && strcmp(name, "text") == 0
                       ? ": --text names the one with the text"
                       : "");
}

static bool is_text_column(const struct document_records *r, size_t column)
{
    return column == r->text_column || (r->cfg->pair != NULL && column == r->pair_column);
}

/* Of two columns of one name, the one that is meant would be a guess. */
static enum err check_names(struct errctx *e, const struct document_records *r)
{
    const struct csv_record *c = &r->columns;
    size_t n;

    for (size_t i = 0; r->cfg->header && i < c->fields; i++) {
        const char *name = csv_field(c, i, &n);
        bool used = is_text_column(r, i) || (r->cfg->keep != NULL && is_kept(r, name));
        for (size_t k = 0; k < r->cfg->fields_count; k++) used |= r->field_columns[k] == i;
        if (!used) continue;
        for (size_t j = 0; j < c->fields; j++)
            if (j != i && strcmp(csv_field(c, j, &n), name) == 0)
                return err_set(e, ERR_INPUT, "the header has two columns '%s'", name);
    }
    return ERR_OK;
}

/* The first record: names of columns, or only their number. */
static enum err read_columns(struct errctx *e, struct document_records *r, bool *more)
{
    size_t column;
    struct csv_record first;

    TRY(next_record(e, r, more));
    if (!*more) return ERR_OK;
    first = r->columns;
    r->columns = r->record;
    r->record = first;
    r->have_columns = true;
    TRY(find_column(e, r,
                    r->cfg->text != NULL ? r->cfg->text
                    : r->cfg->header     ? "text"
                                         : "1",
                    &r->text_column));
    if (r->cfg->pair != NULL) TRY(find_column(e, r, r->cfg->pair, &r->pair_column));
    if (r->cfg->pair != NULL && r->pair_column == r->text_column) return pair_is_text(e, r);
    for (size_t i = 0; i < r->keep_count; i++) {
        TRY(find_column(e, r, r->keep_names[i], &column));
        if (is_text_column(r, column)) return keep_is_text(e, r->keep_names[i]);
    }
    for (size_t i = 0; i < r->cfg->fields_count; i++)
        TRY(find_column(e, r, r->cfg->fields[i], &r->field_columns[i]));
    return check_names(e, r);
}

static void fields_of_row(struct document_records *r, const struct csv_record *row,
                          struct document *out)
{
    for (size_t i = 0; i < r->cfg->fields_count; i++) {
        struct document_field *f = &r->fields[i];
        *f = (struct document_field){.value = VALUE_TEXT};
        f->text = csv_field(row, r->field_columns[i], &f->n);
        if (f->n == 0) f->value = VALUE_NONE;
    }
    out->fields = r->fields;
}

static enum err keep_columns(struct errctx *e, struct document_records *r,
                             const struct csv_record *row, struct document *out)
{
    json_t *object = json_object();
    enum err code = ERR_OK;
    bool made = object != NULL;

    for (size_t i = 0; i < row->fields && made; i++) {
        char number[24];
        size_t n;
        const char *name = number;
        (void)snprintf(number, sizeof number, "%zu", i + 1);
        if (r->cfg->header) name = csv_field(&r->columns, i, &n);
        if (is_text_column(r, i) || !is_kept(r, name)) continue;
        const char *value = csv_field(row, i, &n);
        made = json_object_set_new(object, name, json_stringn(value, n)) == 0;
    }
    code = made ? dump_keep(e, r, object, out) : err_memory(e, "kept fields", 0);
    json_decref(object);
    return code;
}

enum err document_records_row(struct errctx *e, struct document_records *r, struct document *out,
                              bool *more)
{
    const struct csv_record *row = &r->record;
    bool first = !r->have_columns;

    *more = true;
    if (first) TRY(read_columns(e, r, more));
    if (!*more) return ERR_OK;
    if (first && !r->cfg->header) {
        row = &r->columns; /* without a header the first record is data, too */
        out->line = r->file->line - row->lines;
    } else {
        TRY(next_record(e, r, more));
        if (!*more) return ERR_OK;
        out->line = r->file->line - row->lines;
        if (row->fields != r->columns.fields)
            return err_set(e, ERR_INPUT, "line %llu: %zu field%s, but %zu in the first record",
                           (unsigned long long)out->line, row->fields, row->fields == 1 ? "" : "s",
                           r->columns.fields);
    }
    out->text = csv_field(row, r->text_column, &out->n);
    if (r->cfg->pair != NULL) out->pair = csv_field(row, r->pair_column, &out->pair_n);
    fields_of_row(r, row, out);
    return r->cfg->keep == NULL ? ERR_OK : keep_columns(e, r, row, out);
}
