/* SPDX-License-Identifier: Apache-2.0 */
/* json_part.h: parts of tokenizer.json: objects with a "type" and the keys of that type, alone or
 * in a "Sequence". */
#ifndef GRAFT_TEXT_JSON_PART_H
#define GRAFT_TEXT_JSON_PART_H

#include <jansson.h>
#include <stdbool.h>
#include "common/base/attr.h"
#include "common/base/err.h"

/* "" when there is none. */
const char *json_part_type(const json_t *part);
bool json_part_is(const json_t *part, const char *type);
/* ERR_INPUT names a key that is neither "type" nor one of the list (up to NULL). */
enum err json_part_only(struct errctx *e, const json_t *part, const char *const *keys) MUST_USE;
#define JSON_PART_ONLY(e, part, ...)                                                               \
    json_part_only(e, part, (const char *const[]){__VA_ARGS__, NULL})
enum err json_part_bool(struct errctx *e, const json_t *part, const char *key, bool fallback,
                        bool *out) MUST_USE;
enum err json_part_text(struct errctx *e, const json_t *part, const char *key,
                        const char **out) MUST_USE;
/* ERR_INPUT: a part of this kind that is not known. */
enum err json_part_unknown(struct errctx *e, const json_t *part, const char *kind);
/* Calls fn for the part, or the parts of a sequence under `key`. */
typedef enum err json_part_fn(struct errctx *e, const json_t *part, void *ctx);
enum err json_part_each(struct errctx *e, const json_t *part, const char *key, json_part_fn *fn,
                        void *ctx) MUST_USE;

#endif
