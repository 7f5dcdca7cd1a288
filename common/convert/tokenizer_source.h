/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_source.h: a tokenizer alone, out of a file of another program. */
#ifndef GRAFT_CONVERT_TOKENIZER_SOURCE_H
#define GRAFT_CONVERT_TOKENIZER_SOURCE_H

#include "common/convert/source_kind.h"
#include "common/text/import_tiktoken.h"
#include "formats/lineage.h"

/* Reads the file, and what belongs to it beside it, as inputs of the run; *bytes += their sizes. */
enum err tokenizer_source_load(struct errctx *e, struct run *run, const char *path,
                               enum source_kind kind, const struct import_tiktoken_cfg *tiktoken,
                               struct tokenizer_spec *out, uint64_t *bytes) MUST_USE;
/* The one in the keys of an open GGUF file, which has "tokenizer.ggml.model". */
enum err tokenizer_source_keys(struct errctx *e, const struct mp_value *meta,
                               struct tokenizer_spec *out) MUST_USE;

#endif
