/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_types.c: see gguf_types.h. */
#include "formats/gguf_types.h"

#include <string.h>

static const struct {
    const char *name;
    size_t bytes, least;
    bool is_signed;
} types[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1, 1, false},      [GGUF_I8] = {"i8", 1, 1, true},
    [GGUF_U16] = {"u16", 2, 2, false},    [GGUF_I16] = {"i16", 2, 2, true},
    [GGUF_U32] = {"u32", 4, 4, false},    [GGUF_I32] = {"i32", 4, 4, true},
    [GGUF_F32] = {"f32", 4, 4, true},     [GGUF_BOOL] = {"bool", 1, 1, false},
    [GGUF_STRING] = {"str", 0, 8, false}, [GGUF_ARRAY] = {"array", 0, 12, false},
    [GGUF_U64] = {"u64", 8, 8, false},    [GGUF_I64] = {"i64", 8, 8, true},
    [GGUF_F64] = {"f64", 8, 8, true},
};

const char *gguf_type_name(enum gguf_type t)
{
    return types[t].name;
}

enum gguf_type gguf_type_from_name(const char *name, size_t n)
{
    for (int t = 0; t < GGUF_TYPE_COUNT; t++)
        if (strlen(types[t].name) == n && !memcmp(types[t].name, name, n)) return (enum gguf_type)t;
    return GGUF_TYPE_COUNT;
}

size_t gguf_type_bytes(enum gguf_type t)
{
    return types[t].bytes;
}

size_t gguf_type_least(enum gguf_type t)
{
    return types[t].least;
}

bool gguf_type_is_signed(enum gguf_type t)
{
    return types[t].is_signed;
}

/* ------------------------------------------------------------------ tensors */

static const struct {
    const char *name;
    enum dtype dtype;
} tensors[] = {
    [0] = {"F32", DTYPE_F32},          [1] = {"F16", DTYPE_F16},
    [2] = {"Q4_0", DTYPE_Q4_0},        [3] = {"Q4_1", DTYPE_Q4_1},
    [4] = {"Q4_2", DTYPE_NONE},        [5] = {"Q4_3", DTYPE_NONE},
    [6] = {"Q5_0", DTYPE_Q5_0},        [7] = {"Q5_1", DTYPE_Q5_1},
    [8] = {"Q8_0", DTYPE_Q8_0},        [9] = {"Q8_1", DTYPE_NONE},
    [10] = {"Q2_K", DTYPE_NONE},       [11] = {"Q3_K", DTYPE_NONE},
    [12] = {"Q4_K", DTYPE_Q4_K},       [13] = {"Q5_K", DTYPE_Q5_K},
    [14] = {"Q6_K", DTYPE_Q6_K},       [15] = {"Q8_K", DTYPE_NONE},
    [16] = {"IQ2_XXS", DTYPE_NONE},    [17] = {"IQ2_XS", DTYPE_NONE},
    [18] = {"IQ3_XXS", DTYPE_NONE},    [19] = {"IQ1_S", DTYPE_NONE},
    [20] = {"IQ4_NL", DTYPE_NONE},     [21] = {"IQ3_S", DTYPE_NONE},
    [22] = {"IQ2_S", DTYPE_NONE},      [23] = {"IQ4_XS", DTYPE_NONE},
    [24] = {"I8", DTYPE_I8},           [25] = {"I16", DTYPE_I16},
    [26] = {"I32", DTYPE_I32},         [27] = {"I64", DTYPE_I64},
    [28] = {"F64", DTYPE_F64},         [29] = {"IQ1_M", DTYPE_NONE},
    [30] = {"BF16", DTYPE_BF16},       [31] = {"Q4_0_4_4", DTYPE_NONE},
    [32] = {"Q4_0_4_8", DTYPE_NONE},   [33] = {"Q4_0_8_8", DTYPE_NONE},
    [34] = {"TQ1_0", DTYPE_NONE},      [35] = {"TQ2_0", DTYPE_NONE},
    [36] = {"IQ4_NL_4_4", DTYPE_NONE}, [37] = {"IQ4_NL_4_8", DTYPE_NONE},
    [38] = {"IQ4_NL_8_8", DTYPE_NONE}, [39] = {"MXFP4", DTYPE_NONE},
    [40] = {"NVFP4", DTYPE_NONE},      [41] = {"Q1_0", DTYPE_NONE},
};

enum { TENSOR_TYPES = sizeof tensors / sizeof *tensors };

enum dtype gguf_dtype(uint32_t number)
{
    return number < TENSOR_TYPES ? tensors[number].dtype : DTYPE_NONE;
}

const char *gguf_tensor_type_name(uint32_t number)
{
    return number < TENSOR_TYPES ? tensors[number].name : NULL;
}

bool gguf_number(enum dtype t, uint32_t *number)
{
    for (uint32_t i = 0; t != DTYPE_NONE && i < TENSOR_TYPES; i++)
        if (tensors[i].dtype == t) {
            *number = i;
            return true;
        }
    return false;
}
