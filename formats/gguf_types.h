/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_types.h: the numbers and names of GGUF's types of values and of tensors, for its reader and
 * its writer. */
#ifndef GRAFT_FORMATS_GGUF_TYPES_H
#define GRAFT_FORMATS_GGUF_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/dtype.h"

/* Of values: the numbers are the format's. */
enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

/* "u8", .., "str". */
const char *gguf_type_name(enum gguf_type t);
/* GGUF_TYPE_COUNT when no type has this name. */
enum gguf_type gguf_type_from_name(const char *name, size_t n);
/* Bytes of a number or bool; 0 of strings and arrays. _least: of any value. */
size_t gguf_type_bytes(enum gguf_type t);
size_t gguf_type_least(enum gguf_type t);
bool gguf_type_is_signed(enum gguf_type t);

/* Of tensors, by the format's numbers: DTYPE_NONE when graft has none such; its name in any case,
 * NULL when the number is not known. */
enum dtype gguf_dtype(uint32_t number);
const char *gguf_tensor_type_name(uint32_t number);
/* The number of a type that GGUF has; false of others. */
bool gguf_number(enum dtype t, uint32_t *number);

#endif
