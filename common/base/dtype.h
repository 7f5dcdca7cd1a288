/* SPDX-License-Identifier: Apache-2.0 */
/* dtype.h: element types, by the names that safetensors gives them, and the conversions of 16-bit
 * floats. Everything is little-endian. bf16 rounds to nearest even; NaN stays NaN.
 *
 * The block-quantised types, by the names that GGUF gives them, have no single elements: a block of
 * 32, 64 or 256 neighbours of one row stands in a fixed number of bytes (kernels/values.h). Sizes
 * are therefore counted in units: a unit is a block, or of the other types an element. */
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
    DTYPE_Q8_0,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_NF4,
    DTYPE_NF4_DQ, /* with scales that are quantised in turn: not to be read by itself */
    DTYPE_COUNT
};

/* What codes of NF4 stand for (Dettmers et al. 2023, "QLoRA", appendix E; the numbers are those of
 * bitsandbytes): quantiles of the normal distribution, between -1 and 1. */
extern const float dtype_nf4[16];
/* The same of bitsandbytes' dynamic map of 8 bits, ascending: steps between powers of ten, the more
 * of them the higher the power, both ways from 0. */
extern const float dtype_dynamic[256];

/* "F32", "BF16", ...; "none" for DTYPE_NONE. */
const char *dtype_name(enum dtype t);
/* DTYPE_NONE when the name is not known; `len` bytes of `name` are read. */
enum dtype dtype_from_name(const char *name, size_t len);
/* Bytes of one element; 0 of a block-quantised type, which has none. */
size_t dtype_size(enum dtype t);
bool dtype_is_float(enum dtype t);

bool dtype_is_blocks(enum dtype t);
/* Elements and bytes of a unit: a block, or one element. 1 and 0 for DTYPE_NONE. */
int dtype_unit(enum dtype t);
size_t dtype_unit_bytes(enum dtype t);
/* F32 numbers that the scales of a tensor of type NF4_DQ are made of. */
static inline int64_t dtype_scales(int64_t elements)
{
    return 1 + (elements / dtype_unit(DTYPE_NF4_DQ) + 255) / 256;
}
/* Bytes of a unit are at most this. */
enum { DTYPE_UNIT_LIMIT = 256 };
/* Where element `first` begins: of whole units that are known to fit. */
static inline size_t dtype_offset(enum dtype t, int64_t first)
{
    return (size_t)(first / dtype_unit(t)) * dtype_unit_bytes(t);
}
/* Bytes of so many elements, which must be whole units: false if they are not, if they are
 * negative, or if the bytes are more than INT64_MAX. */
bool dtype_bytes(enum dtype t, int64_t elements, size_t *bytes);
/* The same of a shape, whose last dimension must be whole units (a scalar has none: dims == 0). */
bool dtype_shape_bytes(enum dtype t, int dims, const int64_t *shape, size_t *bytes);

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
