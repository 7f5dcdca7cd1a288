/* SPDX-License-Identifier: Apache-2.0 */
/* import_llama2c.h: the tokenizer file of llama2.c (tokenizer.bin): the pieces of a SentencePiece
 * BPE model with their scores, spaces as spaces.
 *
 *     i32 longest   { f32 score, i32 length, byte[length] }*      little-endian
 *
 * Piece 0 is <unk>, 1 and 2 begin and end a text, <0xNN> is a byte. Source: llama2.c's tokenizer.py
 * (export) and run.c (encode). */
#ifndef GRAFT_TEXT_IMPORT_LLAMA2C_H
#define GRAFT_TEXT_IMPORT_LLAMA2C_H

#include "formats/tokenizer.h"

/* ERR_INPUT names the byte. */
enum err import_llama2c(struct errctx *e, const void *data, size_t n,
                        struct tokenizer_spec *out) MUST_USE;
/* Whether a file that begins so is one. */
bool import_llama2c_looks_like(const uint8_t *head, size_t n);

#endif
