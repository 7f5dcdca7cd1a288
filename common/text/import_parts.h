/* SPDX-License-Identifier: Apache-2.0 */
/* import_parts.h: the normalisers, pre-tokenisers and decoders of tokenizer.json as operations of a
 * specification. In a specification text has spaces where tokenizer.json's has the mark U+2581:
 * then what writes the mark for a space becomes what reads a mark as a space. */
#ifndef GRAFT_TEXT_IMPORT_PARTS_H
#define GRAFT_TEXT_IMPORT_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include "formats/msgpack.h"

struct import_parts {
    bool byte_level;     /* tokens are written in GPT-2's alphabet */
    bool marked;         /* tokens have U+2581 for a space */
    bool replaced;       /* a normaliser has made all spaces marks */
    bool first;          /* a pre-tokeniser puts a space before the text, whatever it begins with */
    const char *unknown; /* the unknown token, NULL without */
    bool hidden;         /* found by import_decoder: the unknown token is decoded to other text */
};
/* Looks through tokenizer.json for what tells how tokens are written. */
void import_parts_look(const json_t *root, struct import_parts *p);

/* Fill the lists. ERR_INPUT names a part that is not known. */
enum err import_normalizer(struct errctx *e, const json_t *part, struct import_parts *p,
                           struct mp_value *list) MUST_USE;
enum err import_pretokenizer(struct errctx *e, const json_t *part, const struct import_parts *p,
                             struct mp_value *list) MUST_USE;
enum err import_decoder(struct errctx *e, const json_t *part, struct import_parts *p,
                        struct mp_value *list) MUST_USE;

#endif
