/* SPDX-License-Identifier: Apache-2.0 */
/* tokens_check.h: whether a stream of tokens, and each row of it, is one that a model can read. */
#ifndef GRAFT_MODEL_TOKENS_CHECK_H
#define GRAFT_MODEL_TOKENS_CHECK_H

#include "common/model/model.h"
#include "formats/tokens.h"

/* ERR_INPUT: the stream `name` was made with another tokenizer than the model's, or has more ids
 * than the model. */
enum err tokens_check_stream(struct errctx *e, const struct model *m, const char *name,
                             const struct tokens_layout *l) MUST_USE;
/* ERR_INPUT: the row is longer than the model's context. */
enum err tokens_check_row(struct errctx *e, const struct model *m, const struct tokens_row *row,
                          int64_t ordinal) MUST_USE;
/* ERR_INPUT: the model is no causal one; `program` needs the chance of each token after those
 * before it. */
enum err tokens_check_causal(struct errctx *e, const struct model *m, const char *program) MUST_USE;

#endif
