/* SPDX-License-Identifier: Apache-2.0 */
/* import_sentencepiece.h: tokenizers of SentencePiece's kind, from its .model file or from a GGUF
 * file's keys (models "llama" and "t5" of llama.cpp): BPE whose merges follow from scores, or
 * Unigram; both normalise as SentencePiece does and may fall back to bytes. */
#ifndef GRAFT_TEXT_IMPORT_SENTENCEPIECE_H
#define GRAFT_TEXT_IMPORT_SENTENCEPIECE_H

#include "formats/sentencepiece.h"
#include "formats/tokenizer.h"

/* From the file's bytes. */
enum err import_sentencepiece(struct errctx *e, const void *data, size_t n,
                              struct tokenizer_spec *out) MUST_USE;

/* From a model. `each_segment`: the space in front goes before all text behind special tokens, as
 * llama.cpp has it, not only before the first; unknown tokens are left out of text. *out is
 * initialised; `special`: roles to ids. */
enum err import_pieces(struct errctx *e, const struct sentencepiece_model *m, bool each_segment,
                       const struct mp_value *special, struct tokenizer_spec *out) MUST_USE;

#endif
