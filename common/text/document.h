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
    DOCUMENT_AUTO, /* by extension: .jsonl .ndjson .csv .tsv .conll .conllu; cfg.otherwise for
                      others */
    DOCUMENT_LINES,
    DOCUMENT_PARAGRAPHS,
    DOCUMENT_FILES,
    DOCUMENT_JSONL,
    DOCUMENT_CSV,
    DOCUMENT_TSV,
    DOCUMENT_CONLL,
};
#define DOCUMENT_TEXT_FORMS "auto|lines|paragraphs|files|jsonl|csv|tsv"
#define DOCUMENT_FORMS      DOCUMENT_TEXT_FORMS "|conll"

struct chat;
struct chat_span;

/* A field of a record, as it is there. */
enum document_value { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER, VALUE_LIST };
struct document_field {
    enum document_value value; /* none: an empty column, JSON's null, no such key */
    const char *text;          /* of a text or a number; a view */
    size_t n;
    const struct document_field *items; /* of a list: none of them is one */
    size_t items_count;
};
struct document_word { /* of the document's text: bytes [from, to) */
    size_t from, to;
};

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
    /* A second text is the end of the first, which it follows with this between: the document is
     * one text, of which the second is scored. NULL: a second text is one of its own. */
    const char *between;
    bool words; /* the text of JSON lines is a list of words */
    /* Fields to come with each document, by name or number; of form conll by number, NULL: the last
     * column. Of documents that are words each is a list with one item per word. */
    const char *const *fields;
    size_t fields_count;
    bool fields_only; /* of JSON lines nothing else */
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
    const struct chat_span *scored; /* what the assistant says; what completes a prompt */
    size_t scored_count;
    const struct document_field *fields; /* as cfg.fields */
    const struct document_word *words;   /* NULL: the text is not of words */
    size_t words_count;
    const char *file; /* for messages: lives as long as the paths */
    uint64_t line;    /* that it begins on; of records only */
    bool end;         /* false: a piece, more of this document follows */
};

#endif
