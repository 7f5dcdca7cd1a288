/* SPDX-License-Identifier: Apache-2.0 */
/* element.c: see element.h. */
#include "formats/element.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/mp_json.h"

/* Bits of the mantissa and of the whole of a float type. */
static int mantissa_bits(enum dtype t)
{
    return t == DTYPE_F64 ? 52 : t == DTYPE_F32 ? 23 : t == DTYPE_F16 ? 10 : 7;
}

static uint64_t load_bits(enum dtype t, const void *p)
{
    uint64_t v = 0;
    memcpy(&v, p, dtype_size(t)); /* little-endian */
    return v;
}

static int64_t load_signed(enum dtype t, const void *p)
{
    int shift = 64 - 8 * (int)dtype_size(t);
    return (int64_t)(load_bits(t, p) << shift) >> shift;
}

static bool is_signed(enum dtype t)
{
    return t == DTYPE_I64 || t == DTYPE_I32 || t == DTYPE_I16 || t == DTYPE_I8;
}

bool element_is_quoted(enum dtype t)
{
    return dtype_is_float(t) || t == DTYPE_U64 || dtype_is_blocks(t);
}

double element_value(enum dtype t, const void *p)
{
    uint64_t bits = load_bits(t, p);
    double d;
    float f;
    switch (t) {
    case DTYPE_F64:
        memcpy(&d, &bits, sizeof d);
        return d;
    case DTYPE_F32:
        memcpy(&f, &bits, sizeof f);
        return f;
    case DTYPE_F16:
        return f16_to_f32((uint16_t)bits);
    case DTYPE_BF16:
        return bf16_to_f32((uint16_t)bits);
    default:
        return is_signed(t) ? (double)load_signed(t, p) : (double)bits;
    }
}

char *element_format(enum dtype t, const void *p, char *buf)
{
    if (dtype_is_blocks(t)) {
        hex_format(p, dtype_unit_bytes(t), buf);
        return buf;
    }
    uint64_t bits = load_bits(t, p);
    if (dtype_is_float(t)) {
        double v = element_value(t, p);
        bool negative = bits >> (8 * dtype_size(t) - 1);
        if (isnan(v))
            snprintf(buf, ELEMENT_TEXT, "%snan:%" PRIx64, negative ? "-" : "",
                     bits & (((uint64_t)1 << mantissa_bits(t)) - 1));
        else
            snprintf(buf, ELEMENT_TEXT, "%a", v);
    } else if (t == DTYPE_U64) {
        snprintf(buf, ELEMENT_TEXT, "0x%016" PRIx64, bits);
    } else if (is_signed(t)) {
        snprintf(buf, ELEMENT_TEXT, "%" PRId64, load_signed(t, p));
    } else {
        snprintf(buf, ELEMENT_TEXT, "%" PRIu64, bits);
    }
    return buf;
}

/* A finite or infinite number in the type; false when it does not fit exactly. */
static bool narrow(enum dtype t, double v, uint64_t *bits)
{
    float f = (float)v;
    uint16_t h = t == DTYPE_F16 ? f32_to_f16(f) : f32_to_bf16(f);
    *bits = 0;
    if (t == DTYPE_F64)
        memcpy(bits, &v, sizeof v);
    else if (t == DTYPE_F32)
        memcpy(bits, &f, sizeof f);
    else
        *bits = h;
    return element_value(t, bits) == v;
}

static bool parse_float(enum dtype t, const char *text, uint64_t *bits)
{
    bool negative = *text == '-';
    char *end;
    errno = 0;
    if (!strncmp(text + negative, "nan:", 4)) {
        const char *digits = text + negative + 4;
        int mantissa = mantissa_bits(t), width = 8 * (int)dtype_size(t);
        uint64_t low = strtoull(digits, &end, 16);
        if (end == digits || *end || errno || low == 0 || low >> mantissa) return false;
        uint64_t exponent = (((uint64_t)1 << (width - 1 - mantissa)) - 1) << mantissa;
        *bits = (uint64_t)negative << (width - 1) | exponent | low;
        return true;
    }
    double v = strtod(text, &end);
    return end != text && !*end && !isnan(v) && narrow(t, v, bits);
}

bool element_parse(enum dtype t, const char *text, void *p)
{
    uint64_t bits;
    char *end;
    errno = 0;
    if (dtype_is_blocks(t)) return hex_parse(text, p, dtype_unit_bytes(t));
    if (dtype_is_float(t)) {
        if (!parse_float(t, text, &bits)) return false;
    } else if (is_signed(t)) {
        int64_t v = strtoll(text, &end, 10);
        bits = (uint64_t)v;
        if (end == text || *end || errno || load_signed(t, &bits) != v) return false;
    } else {
        bits = strtoull(text, &end, t == DTYPE_U64 ? 0 : 10);
        if (end == text || *end || errno || *text == '-' || load_bits(t, &bits) != bits)
            return false;
    }
    memcpy(p, &bits, dtype_size(t));
    return true;
}
