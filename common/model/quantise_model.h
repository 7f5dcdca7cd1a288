/* SPDX-License-Identifier: Apache-2.0 */
/* quantise_model.h: a model stream with its matrices in fewer bits, piece by piece as it comes: the
 * memory is that of a piece, whatever the model, and with double quantisation that of a tensor.
 *
 * By itself it takes the matrices of the layers (tensors of two dimensions): vectors stay as they
 * are, and so do the tables and the head, from which all else is read and which quantising hurts
 * most. Patterns are those of fnmatch(3), over names of tensors. */
#ifndef GRAFT_MODEL_QUANTISE_MODEL_H
#define GRAFT_MODEL_QUANTISE_MODEL_H

#include "common/base/opts.h"
#include "common/base/pool.h"
#include "formats/stream.h"

struct quantise_cfg {
    int type;                   /* index of quantise_opts' choice, -1: none yet */
    int embeddings;             /* 0: as they are, else index + 1 */
    bool double_quant;          /* of NF4: scales in 8 bits, in tensors of their own */
    struct opt_list only, keep; /* patterns */
};
#define QUANTISE_CFG ((struct quantise_cfg){.type = -1})
extern const struct opt quantise_opts[];

/* begin, a copy of `stored`, gets the types that tensors are to have, and the tensors that these
 * need beside them. ERR_INPUT where a tensor cannot have its type, ERR_USAGE where a pattern
 * matches nothing. `name` is the stream's, for messages. */
enum err quantise_plan(struct errctx *e, const struct quantise_cfg *c, const char *name,
                       const struct stream_begin *stored, struct stream_begin *begin) MUST_USE;

/* Writes all tensors of r, which has handed out nothing yet, with the types of w's begin. A value
 * that is not finite, or that its type cannot hold: ERR_INPUT with tensor and element. */
enum err quantise_tensors(struct errctx *e, struct pool *pool, struct stream_reader *r,
                          const struct stream_begin *begin, struct stream_writer *w) MUST_USE;

#endif
