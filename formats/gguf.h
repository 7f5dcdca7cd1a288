/* SPDX-License-Identifier: Apache-2.0 */
/* gguf.h: GGUF, the one-file models of llama.cpp.
 *
 *   file    = "GGUF", u32 version (3; 2 is the same), u64 tensors, u64 keys, key*, tensor*, data
 *   key     = string name, u32 type, value
 *   string  = u64 bytes, UTF-8
 *   value   = a number, a bool byte 0 or 1, a string, or an array: u32 type, u64 count, values
 *   tensor  = string name (at most 64 bytes), u32 dimensions (at most 4), u64 each, the innermost
 *             first, u32 type, u64 offset from the data's first byte
 *   data    begins at the next multiple of general.alignment (32 where that key is missing), and so
 *           does each tensor behind the one before it
 *
 * Everything is little-endian. Source: the format's page in ggml and its readers in C and Python.
 * Tensor types that graft has none for (Q2_K, IQ4_NL, MXFP4, ..) are refused by their name.
 *
 * Values and their types. `meta` of the open file holds plain values, as mp_get_int and its like
 * read them; `types` has the same keys: "u8" "i8" "u16" "i16" "u32" "i32" "u64" "i64" "f32" "f64"
 * "bool" "str", "[u32]" for an array of these, and for an array of arrays the list of its elements'
 * types. A string that is not UTF-8 is MP_BINARY. */
#ifndef GRAFT_FORMATS_GGUF_H
#define GRAFT_FORMATS_GGUF_H

#include "common/base/attr.h"
#include "formats/tensor_file.h"
#include "formats/tensor_out.h"

enum {
    GGUF_ALIGNMENT = 32,   /* unless the file says otherwise */
    GGUF_NAME = 64,        /* bytes of a tensor's name */
    GGUF_KEY = 65535,      /* bytes of a key */
    GGUF_DIMS = 4,         /* dimensions of a tensor */
    GGUF_DEPTH = 8,        /* arrays in arrays */
    GGUF_VALUES = 4 << 20, /* metadata values of a file, items of arrays included */
    GGUF_META_KEYS = MP_MAX_KEYS
};

/* On failure nothing is open. Only whole files: one of a split (split.count > 1) is refused. */
enum err gguf_open(struct errctx *e, const char *path, struct tensor_file *f) MUST_USE;

/* Begins a file of version 3 with these keys and tensors (of an entry only name, dtype, dims and
 * shape are looked at), whose bytes follow by tensor_out.h. A key that `types` (may be NULL) does
 * not have gets the usual type: u32, or i32 below 0 and in arrays, where they fit, f32, bool, str.
 * ERR_USAGE when a value does not fit its type, or GGUF has no such tensor type. On failure nothing
 * is open. */
enum err gguf_create(struct errctx *e, const char *path, const struct tensor_entry *entries,
                     size_t count, const struct mp_value *meta, const struct mp_value *types,
                     struct tensor_out *w) MUST_USE;

#endif
