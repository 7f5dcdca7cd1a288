/* SPDX-License-Identifier: Apache-2.0 */
/* jsonl.h: JSON lines: one object per line, parsed by jansson, with messages that name line and
 * column. */
#ifndef GRAFT_FORMATS_JSONL_H
#define GRAFT_FORMATS_JSONL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/err.h"

/* The object in data[0..n); `line` is its number in the file. The caller owns *out (json_decref).
 * Duplicate keys and anything but an object are errors. */
enum err jsonl_parse(struct errctx *e, const char *data, size_t n, uint64_t line,
                     json_t **out) MUST_USE;
/* The string under `key`; a missing key is named beside those that are there. The view lives as
 * long as the object. */
enum err jsonl_string(struct errctx *e, const json_t *object, const char *key, uint64_t line,
                      const char **text, size_t *n) MUST_USE;

#endif
