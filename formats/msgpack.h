/* SPDX-License-Identifier: Apache-2.0 */
/* msgpack.h: msgpack values, checked before they are believed. Packing and unpacking are
 * msgpack-c's; this file adds what it lacks for hostile input: a walk over the bytes first (bounds,
 * depth <= 16, container counts, duplicate keys, UTF-8 of strings), so that nothing is allocated
 * for a length that is not there.
 *
 * `struct mp_value` owns a decoded tree: maps with string keys, arrays, integers, floats, strings,
 * binaries, booleans, nil. It is what `meta` of a stream is, and how configurations travel. */
#ifndef GRAFT_FORMATS_MSGPACK_H
#define GRAFT_FORMATS_MSGPACK_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/mem.h"

enum {
    MP_MAX_DEPTH = 16,
    MP_MAX_KEYS = 1024,        /* of one map */
    MP_MAX_VALUES = 512 * 1024 /* of one tree: long lists are tensors */
};

/* Checks one msgpack value at data[0..n). *used gets its length. ERR_INPUT says at which byte and
 * why. */
enum err mp_check(struct errctx *e, const uint8_t *data, size_t n, size_t *used) MUST_USE;

/* True when the bytes are UTF-8 (no surrogates, shortest forms). */
bool mp_utf8(const void *data, size_t n);

enum mp_type { MP_NIL, MP_BOOL, MP_INT, MP_UINT, MP_REAL, MP_STRING, MP_BINARY, MP_ARRAY, MP_MAP };

struct mp_value {
    enum mp_type type;
    union {
        bool boolean;
        int64_t i;  /* negative integers */
        uint64_t u; /* others */
        double real;
        struct {
            char *data; /* strings are also NUL-terminated */
            size_t len;
        } bytes;
        struct {
            struct mp_value *items; /* map: key, value, key, value, ... */
            size_t count;           /* items (a map has 2 per entry) */
            size_t capacity;
        } list;
    } as;
};

enum err mp_decode(struct errctx *e, const uint8_t *data, size_t n,
                   struct mp_value *out) MUST_USE; /* checks first */
enum err mp_encode(struct errctx *e, const struct mp_value *v,
                   struct bytes *out) MUST_USE; /* shortest forms */
enum err mp_copy(struct errctx *e, const struct mp_value *from, struct mp_value *to) MUST_USE;
void mp_fini(struct mp_value *v);
/* Order of keys does not matter. */
bool mp_equal(const struct mp_value *a, const struct mp_value *b);

/* Maps. mp_get: NULL when absent. Setters replace, keep the order of first insertion, and copy what
 * they are given. */
void mp_map_init(struct mp_value *v);
void mp_array_init(struct mp_value *v);
struct mp_value *mp_get(const struct mp_value *map, const char *key);
enum err mp_set(struct errctx *e, struct mp_value *map, const char *key,
                const struct mp_value *value) MUST_USE;
enum err mp_set_int(struct errctx *e, struct mp_value *map, const char *key, int64_t v) MUST_USE;
enum err mp_set_real(struct errctx *e, struct mp_value *map, const char *key, double v) MUST_USE;
enum err mp_set_bool(struct errctx *e, struct mp_value *map, const char *key, bool v) MUST_USE;
enum err mp_set_string(struct errctx *e, struct mp_value *map, const char *key,
                       const char *v) MUST_USE;
enum err mp_set_binary(struct errctx *e, struct mp_value *map, const char *key, const void *v,
                       size_t n) MUST_USE;
enum err mp_append(struct errctx *e, struct mp_value *array, const struct mp_value *value) MUST_USE;
/* A new string (UTF-8, the caller knows) or binary of n bytes, copied. */
enum err mp_bytes(struct errctx *e, struct mp_value *v, enum mp_type type, const void *data,
                  size_t n) MUST_USE;
/* As mp_set and mp_append, but *value is taken over, also on failure. */
enum err mp_set_take(struct errctx *e, struct mp_value *map, const char *key,
                     struct mp_value *value) MUST_USE;
enum err mp_append_take(struct errctx *e, struct mp_value *array, struct mp_value *value) MUST_USE;

/* Packing by hand: msgpack-c's packer on a byte buffer with a sticky error (look at e->code once at
 * the end). */
struct mp_packer {
    msgpack_packer pk;
    struct errctx *e;
    struct bytes *out;
};
void mp_packer_init(struct mp_packer *p, struct errctx *e, struct bytes *out);
void mp_pack_string(struct mp_packer *p, const char *s);
void mp_pack_binary(struct mp_packer *p, const void *data, size_t n);
void mp_pack_value(struct mp_packer *p, const struct mp_value *v);

/* Typed reads: ERR_INPUT "key 'x' is missing" / "is not an integer" / "is out of range min..max".
 */
enum err mp_get_int(struct errctx *e, const struct mp_value *map, const char *key, int64_t min,
                    int64_t max, int64_t *out) MUST_USE;
enum err mp_get_real(struct errctx *e, const struct mp_value *map, const char *key,
                     double *out) MUST_USE;
enum err mp_get_bool(struct errctx *e, const struct mp_value *map, const char *key,
                     bool *out) MUST_USE;
/* A string without NUL inside. */
enum err mp_get_string(struct errctx *e, const struct mp_value *map, const char *key,
                       const char **out) MUST_USE;
/* A binary of exactly n bytes; *out points into the map. */
enum err mp_get_binary(struct errctx *e, const struct mp_value *map, const char *key, size_t n,
                       const uint8_t **out) MUST_USE;
/* A list (MP_ARRAY) or map (MP_MAP). */
enum err mp_get_list(struct errctx *e, const struct mp_value *map, const char *key,
                     enum mp_type type, const struct mp_value **out) MUST_USE;

#endif
