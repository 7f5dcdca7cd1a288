/* SPDX-License-Identifier: Apache-2.0 */
/* document.h: what a document out of a text file is, and what is wanted of it: known to those who
 * take files apart (document_records.h, chat_documents.h) and to those who ask for
 * documents (documents.h). */
#ifndef GRAFT_TEXT_DOCUMENT_H
#define GRAFT_TEXT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
