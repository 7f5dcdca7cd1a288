/* SPDX-License-Identifier: Apache-2.0 */
/* family_tables.h: the families that there are; for common/convert only. */
#ifndef GRAFT_CONVERT_FAMILY_TABLES_H
#define GRAFT_CONVERT_FAMILY_TABLES_H

#include "common/convert/family.h"

/* family_rules.c: of transformers. Of all; width, layers, heads and mlp; rotary positions; kv_heads
 * and norms of squares; a window. */
extern const struct key_rule keys_everywhere[], keys_shape[], keys_rotary[], keys_grouped[];
extern const struct key_rule keys_window[];
/* What Llama and its kin have; q, k, v and gate, up where they stand apart. */
extern const struct tensor_rule tensors_decoder[], tensors_apart[];
/* of GGUF */
extern const struct key_rule keys_gguf_everywhere[];

extern const struct family family_gpt2;
/* family_llama.c */
extern const struct family family_llama, family_mistral, family_qwen2, family_qwen3, family_phi3;
extern const struct family family_gemma, family_gemma2;
extern const struct family family_gpt_neox;
/* family_bert.c */
extern const struct family family_bert, family_roberta, family_xlm_roberta, family_distilbert;
/* family_gguf.c: as GGUF has them */
extern const struct family gguf_llama, gguf_qwen2, gguf_qwen3, gguf_phi3, gguf_gemma, gguf_gemma2;
extern const struct family gguf_gptneox, gguf_gpt2, gguf_bert;

#endif
