/* SPDX-License-Identifier: Apache-2.0 */
/* row_pass.h: rows of tokens through a model and on: who wants something of each row's hidden
 * states or logits gets the rows in batches, in the order of the stream, with all their columns.
 *
 *     rows -> [until micro_tokens, or until input would block] -> a batch and its rows -> fn
 *
 * A row's numbers do not depend on the other rows of its batch, so neither the size of a batch nor
 * the way the input comes shows in the result, and what has come is worked on while more is waited
 * for. Memory: one batch. Rows are laid end to end without padding, so nothing would be gained by
 * sorting them. */
#ifndef GRAFT_USE_ROW_PASS_H
#define GRAFT_USE_ROW_PASS_H

#include "common/base/opts.h"
#include "common/flow/row_source.h"
#include "common/model/model.h"
#include "formats/lineage.h"

struct row_pass_cfg {
    int64_t micro_tokens;
    bool first_cuts; /* of a document its first cut only */
};
extern const struct opt row_pass_table[];      /* --micro-tokens */
extern const struct opt row_pass_cuts_table[]; /* --truncate */
#define ROW_PASS_CFG ((struct row_pass_cfg){.micro_tokens = 4 << 10})

/* For model_use.fit, with the row_pass_cfg as fit_ctx: memory for a batch or the longest row. */
void row_pass_fit(struct model_use *use, const struct model_config *c);

/* A batch, closed, and its rows: row i of the one is row i of the other. */
typedef enum err row_pass_fn(struct errctx *e, void *ctx, const struct batch *b,
                             const struct stream_rows *rows);

/* Reads `source` to its end. The model must have been opened with row_pass_fit. ERR_INPUT: another
 * tokenizer than the model's; a row that is empty, longer than the context or of other ids. */
enum err row_pass_run(struct errctx *e, struct model *m, const struct row_pass_cfg *cfg,
                      const struct row_source *source, struct run *run, row_pass_fn *fn,
                      void *ctx) MUST_USE;

/* Columns that go on from tokens to another kind: those of the row (per_token: of its tokens, too),
 * in order, are declared in `out` under their names, and with them what its meta says of labels. */
enum { ROW_COLUMNS_OWN = 4 }; /* at most, that follow */
struct row_columns {
    int64_t from[STREAM_MAX_COLUMNS]; /* columns of the tokens stream */
    int64_t count;
    /* as stream_writer_row takes them */
    const void *cells[STREAM_MAX_COLUMNS + ROW_COLUMNS_OWN];
    int64_t elements[STREAM_MAX_COLUMNS + ROW_COLUMNS_OWN];
};
enum err row_columns_pass(struct errctx *e, const struct stream_begin *tokens, bool per_token,
                          struct stream_begin *out, struct row_columns *columns) MUST_USE;
/* Puts the cells of row i into their places. */
void row_columns_put(struct row_columns *columns, const struct stream_begin *tokens,
                     const struct stream_rows *rows, int64_t i);

#endif
