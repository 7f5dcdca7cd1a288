/* SPDX-License-Identifier: Apache-2.0 */
/* mp_json.h: msgpack values as JSON and back.
 *
 * For people (exact == false): binary is hex, a number that JSON has not is a string. As a twin
 * (exact == true): what JSON lacks is an object with one key that starts with '$', so that
 * mp_from_json gives the same value again:
 *
 *   binary                      {"$bin": "00ff.."}
 *   real                        {"$real": "0x1.8p+1"}
 *   integer over 2^63 - 1       {"$uint": "18446744073709551615"}
 *   a map with such a key       {"$map": [[key, value], ..]} */
#ifndef GRAFT_FORMATS_MP_JSON_H
#define GRAFT_FORMATS_MP_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/msgpack.h"

/* A new reference, NULL when memory is short. */
json_t *mp_to_json(const struct mp_value *v, bool exact);
enum err mp_from_json(struct errctx *e, const json_t *j, struct mp_value *out) MUST_USE;

/* The string of a name or a message for people: where it is no UTF-8, as a path need not be, with
 * '?' for every byte that is not ASCII. A new reference, NULL when memory is short. */
json_t *mp_json_text(const char *text);

/* Hex of n bytes, NUL-terminated, into out (2 n + 1); back: false unless exactly n bytes of hex. */
void hex_format(const void *data, size_t n, char *out);
bool hex_parse(const char *text, void *data, size_t n);

#endif
