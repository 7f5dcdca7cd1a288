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
    [DTYPE_NF4] = {"NF4", 64, 36, false},     [DTYPE_NF4_DQ] = {"NF4_DQ", 64, 33, false},
};

const float dtype_nf4[16] = {-1.0f,        -0.6961928f,  -0.52507305f,  -0.3949175f,
                             -0.28444138f, -0.18477343f, -0.091050036f, 0.0f,
                             0.0795803f,   0.1609302f,   0.2461123f,    0.33791524f,
                             0.44070983f,  0.562617f,    0.72295684f,   1.0f};

const float dtype_dynamic[256] = {
    -0.99296874f,    -0.9789063f,     -0.96484375f,    -0.9507812f,
    -0.93671876f,    -0.92265624f,    -0.9085938f,     -0.89453125f,
    -0.8804687f,     -0.86640626f,    -0.85234374f,    -0.8382813f,
    -0.82421875f,    -0.8101562f,     -0.79609376f,    -0.78203124f,
    -0.7679688f,     -0.75390625f,    -0.7398437f,     -0.72578126f,
    -0.7117188f,     -0.6976563f,     -0.68359375f,    -0.6695312f,
    -0.65546876f,    -0.6414063f,     -0.6273438f,     -0.61328125f,
    -0.5992187f,     -0.58515626f,    -0.5710938f,     -0.5570313f,
    -0.54296875f,    -0.5289062f,     -0.5148437f,     -0.50078124f,
    -0.4867187f,     -0.47265625f,    -0.45859373f,    -0.44453126f,
    -0.43046874f,    -0.41640624f,    -0.40234375f,    -0.38828123f,
    -0.37421876f,    -0.36015624f,    -0.34609374f,    -0.33203125f,
    -0.31796873f,    -0.30390626f,    -0.28984374f,    -0.27578127f,
    -0.26171875f,    -0.24765624f,    -0.23359375f,    -0.21953125f,
    -0.20546874f,    -0.19140625f,    -0.17734376f,    -0.16328125f,
    -0.14921875f,    -0.13515624f,    -0.12109375f,    -0.107031256f,
    -0.09859375f,    -0.09578126f,    -0.092968754f,   -0.09015625f,
    -0.08734375f,    -0.08453125f,    -0.08171876f,    -0.07890625f,
    -0.07609375f,    -0.07328125f,    -0.070468746f,   -0.067656256f,
    -0.06484375f,    -0.06203125f,    -0.059218753f,   -0.05640625f,
    -0.05359375f,    -0.05078125f,    -0.04796875f,    -0.04515625f,
    -0.042343747f,   -0.03953125f,    -0.036718752f,   -0.03390625f,
    -0.03109375f,    -0.028281251f,   -0.02546875f,    -0.02265625f,
    -0.019843752f,   -0.01703125f,    -0.01421875f,    -0.01140625f,
    -0.00971875f,    -0.009156249f,   -0.00859375f,    -0.00803125f,
    -0.00746875f,    -0.00690625f,    -0.00634375f,    -0.00578125f,
    -0.0052187503f,  -0.0046562497f,  -0.00409375f,    -0.0035312497f,
    -0.00296875f,    -0.00240625f,    -0.00184375f,    -0.0012812499f,
    -0.0009437501f,  -0.00083125f,    -0.00071875006f, -0.0006062501f,
    -0.00049375003f, -0.00038125002f, -0.00026875004f, -0.00015625001f,
    -8.875e-5f,      -6.625e-5f,      -4.375e-5f,      -2.1249998e-5f,
    -7.75e-6f,       -3.2500002e-6f,  -5.5000004e-7f,  0.0f,
    5.5000004e-7f,   3.2500002e-6f,   7.75e-6f,        2.1249998e-5f,
    4.375e-5f,       6.625e-5f,       8.875e-5f,       0.00015625001f,
    0.00026875004f,  0.00038125002f,  0.00049375003f,  0.0006062501f,
    0.00071875006f,  0.00083125f,     0.0009437501f,   0.0012812499f,
    0.00184375f,     0.00240625f,     0.00296875f,     0.0035312497f,
    0.00409375f,     0.0046562497f,   0.0052187503f,   0.00578125f,
    0.00634375f,     0.00690625f,     0.00746875f,     0.00803125f,
    0.00859375f,     0.009156249f,    0.00971875f,     0.01140625f,
    0.01421875f,     0.01703125f,     0.019843752f,    0.02265625f,
    0.02546875f,     0.028281251f,    0.03109375f,     0.03390625f,
    0.036718752f,    0.03953125f,     0.042343747f,    0.04515625f,
    0.04796875f,     0.05078125f,     0.05359375f,     0.05640625f,
    0.059218753f,    0.06203125f,     0.06484375f,     0.067656256f,
    0.070468746f,    0.07328125f,     0.07609375f,     0.07890625f,
    0.08171876f,     0.08453125f,     0.08734375f,     0.09015625f,
    0.092968754f,    0.09578126f,     0.09859375f,     0.107031256f,
    0.12109375f,     0.13515624f,     0.14921875f,     0.16328125f,
    0.17734376f,     0.19140625f,     0.20546874f,     0.21953125f,
    0.23359375f,     0.24765624f,     0.26171875f,     0.27578127f,
    0.28984374f,     0.30390626f,     0.31796873f,     0.33203125f,
    0.34609374f,     0.36015624f,     0.37421876f,     0.38828123f,
    0.40234375f,     0.41640624f,     0.43046874f,     0.44453126f,
    0.45859373f,     0.47265625f,     0.4867187f,      0.50078124f,
    0.5148437f,      0.5289062f,      0.54296875f,     0.5570313f,
    0.5710938f,      0.58515626f,     0.5992187f,      0.61328125f,
    0.6273438f,      0.6414063f,      0.65546876f,     0.6695312f,
    0.68359375f,     0.6976563f,      0.7117188f,      0.72578126f,
    0.7398437f,      0.75390625f,     0.7679688f,      0.78203124f,
    0.79609376f,     0.8101562f,      0.82421875f,     0.8382813f,
    0.85234374f,     0.86640626f,     0.8804687f,      0.89453125f,
    0.9085938f,      0.92265624f,     0.93671876f,     0.9507812f,
    0.96484375f,     0.9789063f,      0.99296874f,     1.0f,
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
