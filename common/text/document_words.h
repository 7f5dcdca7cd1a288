/* SPDX-License-Identifier: Apache-2.0 */
/* document_words.h: documents that come as words, each of which may have labels: the text is the
 * words with a space between.
 *
 * Form conll, as CoNLL's shared tasks have it: a word per line, in columns between tabs, or where a
 * line has none between runs of spaces; a blank line ends a sentence. Lines of -DOCSTART- are
 * passed over, and so is what CoNLL-U has beside words: comments (# key = value, # newdoc) before a
 * sentence, ranges and empty nodes (3-4, 8.1) in its ten columns. */
#ifndef GRAFT_TEXT_DOCUMENT_WORDS_H
#define GRAFT_TEXT_DOCUMENT_WORDS_H

#include "common/text/document.h"
#include "common/text/text_file.h"

struct document_words {         /* zero-initialised; of one document after another */
    struct bytes text, columns; /* the words; the asked columns of each, end to end */
    struct document_word *words;
    size_t count, capacity;
    struct document_field *fields, *items; /* items: by field, then by word */
    size_t *ends;                          /* in columns: by word, then by field */
    size_t fields_capacity, items_capacity, ends_capacity;
    size_t line_columns; /* of the file's first word, 0 before it; */
    uint64_t line_first; /* its line */
};
void document_words_fini(struct document_words *w);
/* Another document begins. */
void document_words_clear(struct document_words *w);
enum err document_words_add(struct errctx *e, struct document_words *w, const char *word,
                            size_t n) MUST_USE;
/* Text and words, as views until something is added. */
void document_words_view(const struct document_words *w, struct document *out);

/* Another file has been opened. */
void document_words_start(struct document_words *w);
/* The next sentence of a file in form conll; *more is false after the last. */
enum err document_words_sentence(struct errctx *e, struct document_words *w,
                                 const struct documents_cfg *cfg, struct text_file *file,
                                 struct document *out, bool *more) MUST_USE;

#endif
