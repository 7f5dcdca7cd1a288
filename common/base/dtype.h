/* SPDX-License-Identifier: Apache-2.0 */
/* dtype.h: element types, by the names that safetensors gives them, and the conversions of 16-bit
 * floats. Everything is little-endian. bf16 rounds to nearest even; NaN stays NaN. */
#ifndef GRAFT_BASE_DTYPE_H
#define GRAFT_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype {
    DTYPE_NONE = 0,
    DTYPE_F64,
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_I64,
    DTYPE_I32,
    DTYPE_I16,
    DTYPE_I8,
    DTYPE_U64,
    DTYPE_U32,
    DTYPE_U16,
    DTYPE_U8,
    DTYPE_BOOL,
    DTYPE_COUNT
};

/* "F32", "BF16", ...; "none" for DTYPE_NONE. */
const char *dtype_name(enum dtype t);
/* DTYPE_NONE when the name is not known; `len` bytes of `name` are read. */
enum dtype dtype_from_name(const char *name, size_t len);
/* Bytes of one element. */
size_t dtype_size(enum dtype t);
bool dtype_is_float(enum dtype t);

static inline float bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u); /* NaN, made quiet */
    u += 0x7fffu + ((u >> 16) & 1u);
    return (uint16_t)(u >> 16);
}

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);

#endif
