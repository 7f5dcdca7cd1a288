/* SPDX-License-Identifier: Apache-2.0 */
/* document_records.h: documents that are records of a text file: JSON lines, and tables with or
 * without a header. From each the text, its pair, the fields that are asked for, and as JSON what
 * is kept of the rest. */
#ifndef GRAFT_TEXT_DOCUMENT_RECORDS_H
#define GRAFT_TEXT_DOCUMENT_RECORDS_H

#include "common/text/chat_template.h"
#include "common/text/document.h"
#include "common/text/document_words.h"
#include "common/text/text_file.h"
#include "formats/csv.h"
#include "formats/jsonl.h"

struct document_records {
    const struct documents_cfg *cfg;
    struct text_file *file;
    char separator;    /* of a table */
    char **keep_names; /* NULL: all */
    size_t keep_count;
    json_t *object;
    struct csv_record record, columns;
    size_t text_column, pair_column;
    bool have_columns;
    char *keep_text;            /* of a table */
    struct bytes kept, scratch; /* of JSON */
    struct document_field *fields, *items;
    size_t items_count, items_capacity;
    size_t *field_columns;
    struct document_words words; /* of JSON's lists of words, and of form conll */
    struct bytes joined;         /* a prompt and what completes it */
    struct chat_span completion;
};

/* `cfg` and `file` stay the caller's. ERR_USAGE: --keep does not name fields. */
enum err document_records_init(struct errctx *e, struct document_records *r,
                               const struct documents_cfg *cfg, struct text_file *file) MUST_USE;
void document_records_fini(struct document_records *r);
/* Another file has been opened. */
void document_records_start(struct document_records *r, char separator);

/* The next document of the file; *more is false after the last. Messages are without its name. */
enum err document_records_json(struct errctx *e, struct document_records *r, struct document *out,
                               bool *more) MUST_USE;
enum err document_records_row(struct errctx *e, struct document_records *r, struct document *out,
                              bool *more) MUST_USE;
/* Makes one text of a prompt and its completion (cfg.between). */
enum err document_records_join(struct errctx *e, struct document_records *r,
                               struct document *out) MUST_USE;

#endif
