/* SPDX-License-Identifier: Apache-2.0 */
/* export_parts.h: the operations of a specification as normaliser, pre-tokeniser and decoder of
 * tokenizer.json: import_parts.h backwards. What has no equal there is refused by its name.
 *
 * Two operations of SentencePiece have no part of their own there and are said by others, which
 * import_parts.c knows again: `collapse_spaces` is an expression, and `prepend` that only looks at
 * the beginning of the text is a Metaspace that writes a plain space where all others are marks
 * already. Only a Metaspace knows whether it is at the beginning of the text; so a space that would
 * have to go there, and only there, stays one space, and the Metaspace adds none. */
#ifndef GRAFT_TEXT_EXPORT_PARTS_H
#define GRAFT_TEXT_EXPORT_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include "formats/tokenizer.h"

/* Expressions by which both sides know these operations. */
#define EXPORT_COLLAPSE_SPACES "\\A +| +\\z| +(?= )"
#define EXPORT_COLLAPSE_BEHIND " +\\z| +(?= )" /* leaves one at the beginning, */
#define EXPORT_INNER_SPACE     "(?!\\A) "      /* which is not marked: see above */
#define EXPORT_TRIM_END        "\xe2\x96\x81+\\z"

struct export_parts {
    const struct tokenizer_spec *spec;
    bool byte_level, wordpiece;
    bool marked;        /* tokens are written with U+2581 for a space */
    bool replaces;      /* a normaliser makes all spaces marks */
    bool first;         /* a space goes before the text, not before each segment, */
    bool collapses;     /* and none of its own stays there */
    bool byte_fallback; /* of the model */
    const char *hidden; /* the unknown token as it is written, where no text can spell it */
};
/* Looks through the operations. */
void export_parts_look(const struct tokenizer_spec *s, struct export_parts *p);

/* The token as those files write it (their alphabet of bytes, U+2581 for a space, <0xNN>),
 * appended to *out, NUL-terminated. ERR_INPUT when it is no text. */
enum err export_token_text(struct errctx *e, const struct export_parts *p, int64_t id,
                           struct bytes *out) MUST_USE;

/* New references, json_null() for no part. ERR_INPUT names an operation that has no equal. */
enum err export_normalizer(struct errctx *e, const struct export_parts *p, json_t **out) MUST_USE;
enum err export_pretokenizer(struct errctx *e, const struct export_parts *p, json_t **out) MUST_USE;
enum err export_decoder(struct errctx *e, const struct export_parts *p, json_t **out) MUST_USE;

/* An expression of PCRE2's in Oniguruma's notation, NUL-terminated, appended to *out. */
enum err export_regex(struct errctx *e, const char *pattern, struct bytes *out) MUST_USE;

/* Appends base64, padded. */
enum err export_base64(struct errctx *e, const struct bytes *data, struct bytes *out) MUST_USE;

/* The expression of a named pre-tokeniser in Oniguruma's notation, NULL for others. */
const char *export_named_pattern(const char *op);

/* A parameter of an operation, which tokenizer_spec_check has looked at. */
bool export_flag(const struct mp_value *op, const char *key, bool fallback);
const char *export_text(const struct mp_value *op, const char *key, const char *fallback);

#endif
