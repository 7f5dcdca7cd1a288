/* SPDX-License-Identifier: Apache-2.0 */
/* llama2c.h: the .bin of llama2.c, in its first form, which has no magic:
 *
 *   file = i32 dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size (negative: the output has
 *          weights of its own), max_seq_len; then F32 tensors one behind another, those of the
 *          layers together:
 *          tok_embeddings, attention_norm, wq, wk, wv, wo, ffn_norm, w1, w2, w3, norm, the tables
 *          of rotary positions, output where it is not tok_embeddings
 *
 * The later forms, which begin with "ak42", are refused. Names are those of the exporter's model:
 * "layers.0.attention.wq.weight", "freqs_cos". Source: export.py and run.c of llama2.c. */
#ifndef GRAFT_FORMATS_LLAMA2C_H
#define GRAFT_FORMATS_LLAMA2C_H

#include "common/base/attr.h"
#include "formats/tensor_file.h"

/* meta: the header's seven numbers by their names (vocab_size positive) and shared_classifier. On
 * failure nothing is open. */
enum err llama2c_open(struct errctx *e, const char *path, struct tensor_file *f) MUST_USE;

#endif
