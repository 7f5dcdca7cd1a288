/* SPDX-License-Identifier: Apache-2.0 */
/* documents.h: documents out of text files, one after another, in constant memory (but for the
 * longest document).
 *
 *   lines       a document per line, without its newline
 *   paragraphs  runs of lines between blank ones
 *   files       a document per file (an empty file has none)
 *   jsonl       a document per JSON object: the string of one field, or the conversation of one
 *   csv, tsv    a document per record: one column, by its name in the header or by number
 *
 * Every byte is checked to be UTF-8 before anything looks at it: a fault is an error with file,
 * line and byte, or becomes U+FFFD. Each file is an input of the run, by the XXH3-128 of its bytes.
 */
#ifndef GRAFT_TEXT_DOCUMENTS_H
#define GRAFT_TEXT_DOCUMENTS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/opts.h"
#include "formats/lineage.h"

enum document_form {
    DOCUMENT_AUTO, /* by extension: .jsonl .ndjson .csv .tsv; cfg.otherwise for others */
    DOCUMENT_LINES,
    DOCUMENT_PARAGRAPHS,
    DOCUMENT_FILES,
    DOCUMENT_JSONL,
    DOCUMENT_CSV,
    DOCUMENT_TSV,
};
#define DOCUMENT_FORMS "auto|lines|paragraphs|files|jsonl|csv|tsv"

struct chat;
struct chat_span;
struct documents_cfg {
    int form;          /* enum document_form */
    int otherwise;     /* the form where auto finds none in the name */
    const char *text;  /* field or column of the text (default "text"; without header: number 1) */
    const char *pair;  /* field or column of a second text, NULL: none */
    const char *keep;  /* NULL, "all", or names separated by commas */
    bool header;       /* the first record of csv and tsv names the columns */
    int invalid;       /* 0: an error, 1: U+FFFD */
    bool progress;     /* show how much of the text is read */
    bool pieces;       /* a document of form files may come in pieces */
    struct chat *chat; /* documents are conversations; NULL: they are not */
    /* Called when nothing more can be had without waiting, so that what was handed out can be
     * worked on. May be NULL. */
    void (*before_block)(void *ctx);
    void *before_block_ctx;
};
#define DOCUMENTS_CFG ((struct documents_cfg){.otherwise = DOCUMENT_FILES, .header = true})
/* Options -f --text --no-header --invalid; --pair; and --keep. */
extern const struct opt documents_opts[];
extern const struct opt documents_pair_opts[];
extern const struct opt documents_keep_opts[];

struct document {
    const char *text; /* views, until the next call */
    size_t n;
    const char *pair; /* NULL without cfg.pair */
    size_t pair_n;
    const char *keep; /* JSON object; NULL without cfg.keep */
    size_t keep_n;
    const struct chat_span *scored; /* of a conversation: what the assistant says */
    size_t scored_count;
    const char *file; /* for messages: lives as long as the paths */
    uint64_t line;    /* that it begins on; of records only */
    bool end;         /* false: a piece, more of this document follows */
};

struct documents;
/* Files are opened when their turn comes; none: stdin. `run` may be NULL. */
enum err documents_open(struct errctx *e, struct run *run, const struct documents_cfg *cfg,
                        const struct opt_list *paths, struct documents **out) MUST_USE;
/* *more is false after the last document of the last file. */
enum err documents_next(struct errctx *e, struct documents *d, struct document *out,
                        bool *more) MUST_USE;
/* Bytes of text files read so far. */
uint64_t documents_bytes(const struct documents *d);
/* What a document is in the file `path` (NULL: stdin). */
int documents_form(const struct documents_cfg *cfg, const char *path);
void documents_close(struct documents *d);
/* A line, or part of one, that separates paragraphs: nothing, or spaces, tabs, carriage returns. */
bool document_blank(const char *line, size_t n);

#endif
