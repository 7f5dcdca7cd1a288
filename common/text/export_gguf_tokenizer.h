/* SPDX-License-Identifier: Apache-2.0 */
/* export_gguf_tokenizer.h: a tokenizer as the keys of a GGUF file: what import_gguf_tokenizer.h
 * reads, the other way.
 *
 * GGUF has no key for many an operation: what has been written is read back, and the parts that
 * are then other than they were are named, so that whoever writes the file can say so. A model or a
 * way of cutting that llama.cpp has not is refused. */
#ifndef GRAFT_TEXT_EXPORT_GGUF_TOKENIZER_H
#define GRAFT_TEXT_EXPORT_GGUF_TOKENIZER_H

#include "formats/tokenizer.h"

/* Adds keys to `meta`, and their types to `types` where they are not the usual ones (gguf.h).
 * `vocab`: rows of the model's embedding; ids behind the tokenizer's become "[PADn]". `lost`, of n
 * bytes, gets the names of the parts that GGUF cannot say, ", " between; "" when all is said. */
enum err export_gguf_tokenizer(struct errctx *e, const struct tokenizer_spec *s, int64_t vocab,
                               struct mp_value *meta, struct mp_value *types, char *lost,
                               size_t n) MUST_USE;
/* The keys of a model that has no tokenizer. */
enum err export_gguf_no_tokenizer(struct errctx *e, struct mp_value *meta) MUST_USE;

#endif
