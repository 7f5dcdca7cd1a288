/* SPDX-License-Identifier: Apache-2.0 */
/* rows.h: a document's ids as rows of a tokens stream.
 *
 *   causal    [start] ids [end]: cuts of `length`, each later one beginning with the last token of
 *             the one before; the first token of every cut is context (skip 1), so every other
 *             token is scored once
 *   encoder   before ids after, around each cut, without overlap; nothing is skipped
 *   pairs     before first after second after, with types 0 for what comes before the second text
 *             and 1 for the rest; never cut, at most shortened
 *   chat      ids, cut as causal ones, with nothing around them: a template has written what there
 *             is; `loss` is 1 for the tokens of which a part is the assistant's
 *   completions   as causal ones, with `loss` 1 for the tokens of which a part is the completion's,
 *             and for the end
 *
 * All cuts of a document have its labels. Of the labels of its words each has that of the word
 * whose first piece it is, -1 for all else.
 *
 * start is the tokenizer's BOS or else its end-of-text token, end its end-of-text token; a
 * tokenizer without them leaves them out. `bytes` and `chars` count the text of the tokens that are
 * not skipped; text behind the last token (what a normaliser drops) goes to the last cut, so that
 * the cuts of a document sum to the document. */
#ifndef GRAFT_TEXT_ROWS_H
#define GRAFT_TEXT_ROWS_H

#include <stdbool.h>
#include "common/text/chat_template.h"
#include "common/text/document.h"
#include "formats/labels.h"
#include "formats/stream.h"
#include "formats/tokenizer.h"

enum { ROWS_MAX_AROUND = 8 };

struct rows_cfg {
    bool encoder;
    uint32_t before[ROWS_MAX_AROUND], after[ROWS_MAX_AROUND];
    int64_t before_count, after_count;
    int64_t length;                    /* ids per row at most; 0: whole documents */
    bool keep;                         /* a column "keep" */
    bool pair;                         /* documents are pairs, a column "types" */
    bool truncate;                     /* pairs that do not fit are shortened */
    bool chat;                         /* documents are conversations, a column "loss" */
    bool completion;                   /* documents are prompts and completions, the same */
    bool group;                        /* a column "group" */
    struct labels *labels;             /* their columns; NULL: none. Borrowed */
    const struct tokenizer_spec *spec; /* borrowed */
    enum dtype dtype;
};
/* ERR_USAGE when `length` leaves no room for text. */
enum err rows_cfg_init(struct errctx *e, const struct tokenizer_spec *s, int64_t length, bool keep,
                       struct rows_cfg *out) MUST_USE;
/* Rows of pairs. ERR_USAGE when the tokenizer is no encoder's, or `length` leaves no room. */
enum err rows_cfg_pairs(struct errctx *e, struct rows_cfg *cfg, bool truncate) MUST_USE;
/* Rows of conversations. ERR_USAGE when the tokenizer is an encoder's. */
enum err rows_cfg_chat(struct errctx *e, struct rows_cfg *cfg) MUST_USE;
/* Rows of prompts with their completions. ERR_USAGE when the tokenizer is an encoder's. */
enum err rows_cfg_completion(struct errctx *e, struct rows_cfg *cfg) MUST_USE;
/* Columns and meta of the stream. */
enum err rows_begin(struct errctx *e, const struct tokenizer_spec *s, const struct rows_cfg *cfg,
                    struct stream_begin *out) MUST_USE;

/* A document's ids come in parts, which are parts of its text, too. */
struct rows_part {
    const uint32_t *ids;
    const uint64_t *ends; /* per id where it ends in the part's text; NULL: where its bytes end */
    size_t count;
    size_t from; /* where the part's text begins */
};

struct rows_text {
    const char *text;
    size_t n;
    const struct rows_part *parts;
    size_t parts_count;
};
struct rows_document {
    struct rows_text text, pair;    /* pair: with cfg.pair only */
    const struct chat_span *scored; /* with cfg.chat and .completion: in order */
    size_t scored_count;
    uint64_t group;
    const uint8_t *labels; /* as labelling_take has them; aligned to 4 */
    const struct document_word *words;
    size_t words_count;
    int32_t *word_of; /* scratch: one per id of the text, when there are words */
    const char *keep;
    size_t keep_n;
};
/* Writes the document's rows. `buffer` is scratch. *shortened is set when something of a pair was
 * left out. */
enum err rows_write(struct errctx *e, const struct rows_cfg *cfg, const struct rows_document *d,
                    struct bytes *buffer, struct stream_writer *w, bool *shortened) MUST_USE;

#endif
