/* SPDX-License-Identifier: Apache-2.0 */
/* decode_rows.h: rows of a tokens stream back to the text of their documents: what tokenize did,
 * undone.
 *
 * Cuts that follow one another are joined, without the tokens they repeat as context; special
 * tokens are left out or spelled out. A cut whose predecessor is not the row before it starts a
 * text of its own. */
#ifndef GRAFT_TEXT_DECODE_ROWS_H
#define GRAFT_TEXT_DECODE_ROWS_H

#include <stdbool.h>
#include "common/text/tokenizer_run.h"
#include "formats/tokens.h"

struct row_decoder { /* zero-initialised, then filled by _init */
    const struct tokenizer *tokenizer;
    struct tokens_layout layout;
    bool special;
    bool encoder;  /* rows have special tokens around each cut */
    int separator; /* byte behind each document, or -1 */
    bool any, started;
    uint64_t doc;
    uint32_t part;
    uint32_t *ids;
    size_t ids_capacity;
};
/* Checks that the stream was made with this tokenizer; the names are for messages. */
enum err row_decoder_init(struct errctx *e, struct row_decoder *d, const struct tokenizer *t,
                          const struct stream_begin *b, const char *tokens_name,
                          const char *tokenizer_name) MUST_USE;
/* Appends the text of row i of `rows` to *out, and before it what ends the document before. */
enum err row_decoder_row(struct errctx *e, struct row_decoder *d, const struct stream_rows *rows,
                         int64_t i, struct bytes *out) MUST_USE;
/* Behind the last row. */
enum err row_decoder_finish(struct errctx *e, struct row_decoder *d, struct bytes *out) MUST_USE;
void row_decoder_fini(struct row_decoder *d);

#endif
