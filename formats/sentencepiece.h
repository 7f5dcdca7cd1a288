/* SPDX-License-Identifier: Apache-2.0 */
/* sentencepiece.h: SentencePiece's .model files: a protocol buffer (ModelProto) of pieces with
 * scores, and of how they were trained and text is normalised. A strict reader of the fields that
 * encoding needs; the others are passed over, what encodes differently is refused.
 *
 *   ModelProto     1 pieces { 1 piece, 2 score, 3 type }*  2 trainer  3 normaliser
 *   trainer        3 model_type, 24 treat_whitespace_as_suffix, 35 byte_fallback, 40-43 ids,
 *                  44 unk_surface
 *   normaliser     2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces,
 *                  5 escape_whitespaces
 *
 * References: sentencepiece_model.proto; Protocol Buffers, Encoding. */
#ifndef GRAFT_FORMATS_SENTENCEPIECE_H
#define GRAFT_FORMATS_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/mem.h"

enum sentencepiece_type {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN,
    PIECE_CONTROL,
    PIECE_USER_DEFINED,
    PIECE_UNUSED,
    PIECE_BYTE
};

struct sentencepiece_model {
    struct sentencepiece_piece {
        const char *text; /* into the file's bytes, valid UTF-8 */
        size_t n;
        float score;
        enum sentencepiece_type type;
    } * pieces;
    size_t count, capacity;
    bool unigram; /* else BPE */
    bool byte_fallback, dummy_prefix, remove_extra_whitespaces;
    int64_t bos, eos, unk, pad; /* -1: none */
    const char *unk_surface;    /* unk_surface_n bytes */
    size_t unk_surface_n;
    const uint8_t *charsmap; /* NULL: none */
    size_t charsmap_n;
};
void sentencepiece_model_fini(struct sentencepiece_model *m);

/* From the whole file data[0..n), which must outlive the model. ERR_INPUT names the byte. */
enum err sentencepiece_parse(struct errctx *e, const void *data, size_t n,
                             struct sentencepiece_model *out) MUST_USE;

#endif
