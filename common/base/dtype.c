/* SPDX-License-Identifier: Apache-2.0 */
/* dtype.c: names and sizes of element types, and IEEE 754 binary16 by integer arithmetic: it needs
 * no F16C and is exact (round to nearest even, subnormals kept, NaN stays NaN). */
#include "common/base/dtype.h"

#include "common/base/attr.h"

static const struct {
    const char *name;
    int unit; /* elements in a unit */
    size_t unit_bytes;
    bool is_float;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_NONE] = {"none", 1, 0, false},     [DTYPE_F64] = {"F64", 1, 8, true},
    [DTYPE_F32] = {"F32", 1, 4, true},        [DTYPE_F16] = {"F16", 1, 2, true},
    [DTYPE_BF16] = {"BF16", 1, 2, true},      [DTYPE_I64] = {"I64", 1, 8, false},
    [DTYPE_I32] = {"I32", 1, 4, false},       [DTYPE_I16] = {"I16", 1, 2, false},
    [DTYPE_I8] = {"I8", 1, 1, false},         [DTYPE_U64] = {"U64", 1, 8, false},
    [DTYPE_U32] = {"U32", 1, 4, false},       [DTYPE_U16] = {"U16", 1, 2, false},
    [DTYPE_U8] = {"U8", 1, 1, false},         [DTYPE_BOOL] = {"BOOL", 1, 1, false},
    [DTYPE_Q8_0] = {"Q8_0", 32, 34, false},   [DTYPE_Q4_0] = {"Q4_0", 32, 18, false},
    [DTYPE_Q4_1] = {"Q4_1", 32, 20, false},   [DTYPE_Q5_0] = {"Q5_0", 32, 22, false},
    [DTYPE_Q5_1] = {"Q5_1", 32, 24, false},   [DTYPE_Q4_K] = {"Q4_K", 256, 144, false},
    [DTYPE_Q5_K] = {"Q5_K", 256, 176, false}, [DTYPE_Q6_K] = {"Q6_K", 256, 210, false},
};

static bool dtype_valid(enum dtype t)
{
    return (unsigned)t < DTYPE_COUNT;
}

const char *dtype_name(enum dtype t)
{
    return dtype_valid(t) ? dtypes[t].name : "none";
}

enum dtype dtype_from_name(const char *name, size_t len)
{
    for (int t = DTYPE_NONE + 1; t < DTYPE_COUNT; t++)
        if (strlen(dtypes[t].name) == len && memcmp(dtypes[t].name, name, len) == 0)
            return (enum dtype)t;
    return DTYPE_NONE;
}

size_t dtype_size(enum dtype t)
{
    return dtype_is_blocks(t) ? 0 : dtype_unit_bytes(t);
}

bool dtype_is_float(enum dtype t)
{
    return dtype_valid(t) && dtypes[t].is_float;
}

bool dtype_is_blocks(enum dtype t)
{
    return dtype_unit(t) > 1;
}

int dtype_unit(enum dtype t)
{
    return dtype_valid(t) ? dtypes[t].unit : 1;
}

size_t dtype_unit_bytes(enum dtype t)
{
    return dtype_valid(t) ? dtypes[t].unit_bytes : 0;
}

bool dtype_bytes(enum dtype t, int64_t elements, size_t *bytes)
{
    const int unit = dtype_unit(t);
    if (elements < 0 || elements % unit) return false;
    return !__builtin_mul_overflow((uint64_t)(elements / unit), dtype_unit_bytes(t), bytes) &&
           *bytes <= INT64_MAX;
}

bool dtype_shape_bytes(enum dtype t, int dims, const int64_t *shape, size_t *bytes)
{
    int64_t elements = 1;
    if ((dims > 0 ? shape[dims - 1] : 1) % dtype_unit(t)) return false;
    for (int i = 0; i < dims; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(elements, shape[i], &elements)) return false;
    return dtype_bytes(t, elements, bytes);
}

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 0x1fu, bits;
    uint32_t fraction = h & 0x3ffu;
    if (exponent == 0x1f) {
        bits = sign | 0x7f800000u | (fraction << 13);
    } else if (exponent != 0) {
        bits = sign | ((exponent + 112) << 23) | (fraction << 13);
    } else if (fraction != 0) { /* subnormal: becomes a normal float */
        int shift = __builtin_clz(fraction) - 21;
        bits = sign | ((uint32_t)(113 - shift) << 23) | ((fraction << (shift + 13)) & 0x7fffffu);
    } else {
        bits = sign;
    }
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x47800000u) return sign | 0x7c00u; /* 65536 and more; 65520 rounds up below */
    uint32_t kept, rest, half;
    if (magnitude >= 0x38800000u) { /* normal */
        kept = (magnitude >> 13) - (112u << 10);
        rest = magnitude & 0x1fffu;
        half = 0x1000u;
    } else { /* subnormal or zero: units of 2^-24 */
        uint32_t shift = 126 - (magnitude >> 23);
        if (shift > 24) return sign;
        uint32_t fraction = (magnitude & 0x7fffffu) | 0x800000u;
        kept = fraction >> shift;
        rest = fraction & ((1u << shift) - 1);
        half = 1u << (shift - 1);
    }
    if (rest > half || (rest == half && (kept & 1u)))
        kept++; /* may carry into the exponent: right */
    return (uint16_t)(sign | kept);
}
