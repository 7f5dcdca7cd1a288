/* SPDX-License-Identifier: Apache-2.0 */
/* jsonl.h: JSON lines: one object per line, parsed by jansson, with messages that name line and
 * column.
 *
 * Of a record that is only carried along, a number may have any size and must come out as it went
 * in, which no number type can promise: such an object is parsed without its numbers, and its
 * members are taken from the text. */
#ifndef GRAFT_FORMATS_JSONL_H
#define GRAFT_FORMATS_JSONL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/mem.h"

/* The object in data[0..n); `line` is its number in the file. The caller owns *out (json_decref).
 * Duplicate keys and anything but an object are errors. */
enum err jsonl_parse(struct errctx *e, const char *data, size_t n, uint64_t line,
                     json_t **out) MUST_USE;
/* ERR_INPUT: a key that is missing is named beside those that are there. */
enum err jsonl_missing(struct errctx *e, const json_t *object, const char *key,
                       uint64_t line) MUST_USE;
/* The string under `key`; a missing key is named beside those that are there. The view lives as
 * long as the object. */
enum err jsonl_string(struct errctx *e, const json_t *object, const char *key, uint64_t line,
                      const char **text, size_t *n) MUST_USE;

/* The same, but all numbers read as 0, and so have any size. `scratch` is replaced. */
enum err jsonl_parse_texts(struct errctx *e, const char *data, size_t n, uint64_t line,
                           struct bytes *scratch, json_t **out) MUST_USE;

/* A member of an object as it is written; views. */
struct jsonl_member {
    const char *key, *value; /* the key with its quotes */
    size_t key_n, value_n;
};
/* The next member of the object whose text goes on at *at; NULL begins at data. False after the
 * last. The text must be one that was parsed. */
bool jsonl_next(const char *data, size_t n, const char **at, struct jsonl_member *m);
/* Whether its key is `name`, however it is spelled. */
bool jsonl_key_is(const struct jsonl_member *m, const char *name);
/* The next item of the list whose text is data[0..n), in the same way; *item is as written. */
bool jsonl_item(const char *data, size_t n, const char **at, const char **item, size_t *item_n);
/* Appends "key":value without the spaces between tokens. */
enum err jsonl_append(struct errctx *e, const struct jsonl_member *m, struct bytes *out) MUST_USE;

#endif
