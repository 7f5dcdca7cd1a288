/* SPDX-License-Identifier: Apache-2.0 */
/* mp_json.c: see mp_json.h. */
#include "formats/mp_json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ numbers and bytes as text */

void hex_format(const void *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool hex_parse(const char *text, void *data, size_t n)
{
    uint8_t *p = data;
    if (strlen(text) != 2 * n) return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        p[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

enum { MANTISSA_BITS = 52 };
#define MANTISSA (((uint64_t)1 << MANTISSA_BITS) - 1)

/* A double as text that strtod reads back to the same bits: "0x1.8p+1", "inf",
 * "-nan:8000000000001". buf: 40 bytes; returns buf. */
static char *real_format(double v, char *buf)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (isnan(v))
        snprintf(buf, 40, "%snan:%" PRIx64, signbit(v) ? "-" : "", bits & MANTISSA);
    else
        snprintf(buf, 40, "%a", v);
    return buf;
}

/* The same back; false when it is none. */
static bool real_parse(const char *text, double *out)
{
    const char *nan = strstr(text, "nan:");
    char *end;
    errno = 0;
    if (nan && nan <= text + 1 && (nan == text || *text == '-')) {
        uint64_t bits = strtoull(nan + 4, &end, 16);
        if (*end || end == nan + 4 || errno || bits == 0 || bits > MANTISSA) return false;
        bits |= (uint64_t)0x7ff << MANTISSA_BITS | (uint64_t)(nan > text) << 63;
        memcpy(out, &bits, sizeof bits);
        return true;
    }
    *out = strtod(text, &end);
    return end != text && !*end && !isnan(*out) && (errno != ERANGE || fabs(*out) <= 1);
}

/* ------------------------------------------------------------------ to JSON */

/* {key: text} */
static json_t *tagged(const char *key, json_t *value)
{
    json_t *o = json_object();
    if (json_object_set_new(o, key, value) == 0) return o;
    json_decref(o);
    return NULL;
}

json_t *mp_json_text(const char *text)
{
    struct errctx ignored = ERRCTX_INIT; /* NULL says the same */
    char *ascii;
    if (mp_utf8(text, strlen(text))) return json_string(text);
    if (mem_strdup(&ignored, &ascii, text) != ERR_OK) return NULL;
    for (char *c = ascii; *c; c++)
        if ((unsigned char)*c > 127) *c = '?';
    json_t *j = json_string(ascii);
    mem_free(ascii);
    return j;
}

static json_t *bytes_to_json(const struct mp_value *v, bool exact)
{
    char *hex = NULL;
    struct errctx ignored = ERRCTX_INIT; /* NULL says the same */
    if (mem_new(&ignored, &hex, v->as.bytes.len * 2 + 1, 1, "hex") != ERR_OK) return NULL;
    hex_format(v->as.bytes.data, v->as.bytes.len, hex);
    json_t *j = json_string(hex);
    mem_free(hex);
    return exact ? tagged("$bin", j) : j;
}

static json_t *real_to_json(double v, bool exact)
{
    char text[40];
    if (!exact && isfinite(v)) return json_real(v);
    json_t *j = json_string(real_format(v, text));
    return exact ? tagged("$real", j) : j;
}

static json_t *uint_to_json(uint64_t v, bool exact)
{
    char text[24];
    if (v <= INT64_MAX) return json_integer((json_int_t)v);
    snprintf(text, sizeof text, "%" PRIu64, v);
    return exact ? tagged("$uint", json_string(text)) : json_string(text);
}

static json_t *array_to_json(const struct mp_value *v, bool exact)
{
    json_t *a = json_array();
    for (size_t i = 0; i < v->as.list.count; i++)
        if (json_array_append_new(a, mp_to_json(&v->as.list.items[i], exact)) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

/* A map that would be taken for a tagged value, as a list of pairs. */
static json_t *pairs_to_json(const struct mp_value *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->as.list.count; i += 2) {
        json_t *pair = json_array();
        bool failed = json_array_append_new(pair, mp_to_json(&v->as.list.items[i], true)) != 0 ||
                      json_array_append_new(pair, mp_to_json(&v->as.list.items[i + 1], true)) != 0;
        failed = json_array_append_new(list, pair) != 0 || failed;
        if (failed) {
            json_decref(list);
            return NULL;
        }
    }
    return tagged("$map", list);
}

static json_t *map_to_json(const struct mp_value *v, bool exact)
{
    const struct mp_value *items = v->as.list.items;
    if (exact && v->as.list.count == 2 && items[0].as.bytes.data[0] == '$') return pairs_to_json(v);
    json_t *o = json_object();
    for (size_t i = 0; i < v->as.list.count; i += 2)
        if (json_object_set_new(o, items[i].as.bytes.data, mp_to_json(&items[i + 1], exact)) != 0) {
            json_decref(o);
            return NULL;
        }
    return o;
}

json_t *mp_to_json(const struct mp_value *v, bool exact)
{
    switch (v->type) {
    case MP_NIL:
        return json_null();
    case MP_BOOL:
        return json_boolean(v->as.boolean);
    case MP_INT:
        return json_integer(v->as.i);
    case MP_UINT:
        return uint_to_json(v->as.u, exact);
    case MP_REAL:
        return real_to_json(v->as.real, exact);
    case MP_STRING:
        return json_stringn(v->as.bytes.data, v->as.bytes.len);
    case MP_BINARY:
        return bytes_to_json(v, exact);
    case MP_ARRAY:
        return array_to_json(v, exact);
    case MP_MAP:
        return map_to_json(v, exact);
    }
    return NULL;
}

/* ------------------------------------------------------------------ from JSON */

static enum err bytes_from_hex(struct errctx *e, const char *hex, struct mp_value *out)
{
    size_t n = strlen(hex) / 2;
    char *data;
    TRY(mem_new(e, &data, n + 1, 1, "a binary"));
    if (!hex_parse(hex, data, n)) {
        mem_free(data);
        return err_set(e, ERR_INPUT, "'%.40s' is not hex", hex);
    }
    *out = (struct mp_value){.type = MP_BINARY, .as.bytes = {data, n}};
    return ERR_OK;
}

static enum err text_from_json(struct errctx *e, const json_t *j, struct mp_value *out)
{
    size_t n = json_string_length(j);
    char *data;
    TRY(mem_new(e, &data, n + 1, 1, "a string"));
    memcpy(data, json_string_value(j), n);
    *out = (struct mp_value){.type = MP_STRING, .as.bytes = {data, n}};
    return ERR_OK;
}

static enum err array_from_json(struct errctx *e, const json_t *j, struct mp_value *out)
{
    size_t i;
    json_t *item;
    mp_array_init(out);
    json_array_foreach(j, i, item)
    {
        struct mp_value v = {.type = MP_NIL};
        enum err code = mp_from_json(e, item, &v);
        if (code == ERR_OK) code = mp_append(e, out, &v);
        mp_fini(&v);
        TRY(code);
    }
    return ERR_OK;
}

static enum err set_from_json(struct errctx *e, struct mp_value *map, const char *key,
                              const json_t *item)
{
    struct mp_value v = {.type = MP_NIL};
    enum err code = mp_from_json(e, item, &v);
    if (code == ERR_OK) code = mp_set(e, map, key, &v);
    mp_fini(&v);
    return code;
}

static enum err pairs_from_json(struct errctx *e, const json_t *list, struct mp_value *out)
{
    size_t i;
    json_t *pair;
    mp_map_init(out);
    json_array_foreach(list, i, pair)
    {
        const char *key = json_string_value(json_array_get(pair, 0));
        if (!key || json_array_size(pair) != 2)
            return err_set(e, ERR_INPUT, "\"$map\" is not a list of pairs");
        TRY(set_from_json(e, out, key, json_array_get(pair, 1)));
    }
    return ERR_OK;
}

/* An object with the one key '$...'. */
static enum err tagged_from_json(struct errctx *e, const char *key, const json_t *value,
                                 struct mp_value *out)
{
    const char *text = json_string_value(value);
    char *end;
    if (!strcmp(key, "$bin") && text) return bytes_from_hex(e, text, out);
    if (!strcmp(key, "$map") && json_is_array(value)) return pairs_from_json(e, value, out);
    if (!strcmp(key, "$real") && text) {
        out->type = MP_REAL;
        if (real_parse(text, &out->as.real)) return ERR_OK;
    }
    if (!strcmp(key, "$uint") && text) {
        errno = 0;
        *out = (struct mp_value){.type = MP_UINT, .as.u = strtoull(text, &end, 10)};
        if (!*end && end != text && !errno && *text != '-') return ERR_OK;
    }
    out->type = MP_NIL;
    return err_set(e, ERR_INPUT, "bad value under \"%s\"", key);
}

static enum err map_from_json(struct errctx *e, const json_t *j, struct mp_value *out)
{
    const char *key;
    json_t *item;
    /* Only its keys are read; the iteration macros of the library want it writable. */
    json_t *object = json_incref((json_t *)(uintptr_t)j);
    enum err code = ERR_OK;
    mp_map_init(out);
    void *first = json_object_iter(object);
    if (json_object_size(object) == 1 && json_object_iter_key(first)[0] == '$') {
        code = tagged_from_json(e, json_object_iter_key(first), json_object_iter_value(first), out);
    } else {
        json_object_foreach(object, key, item)
        {
            if (code == ERR_OK) code = set_from_json(e, out, key, item);
        }
    }
    json_decref(object);
    return code;
}

enum err mp_from_json(struct errctx *e, const json_t *j, struct mp_value *out)
{
    enum err code = ERR_OK;
    *out = (struct mp_value){.type = MP_NIL};
    switch (json_typeof(j)) {
    case JSON_NULL:
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = (struct mp_value){.type = MP_BOOL, .as.boolean = json_is_true(j)};
        break;
    case JSON_INTEGER:
        if (json_integer_value(j) < 0)
            *out = (struct mp_value){.type = MP_INT, .as.i = json_integer_value(j)};
        else
            *out = (struct mp_value){.type = MP_UINT, .as.u = (uint64_t)json_integer_value(j)};
        break;
    case JSON_REAL:
        *out = (struct mp_value){.type = MP_REAL, .as.real = json_real_value(j)};
        break;
    case JSON_STRING:
        code = text_from_json(e, j, out);
        break;
    case JSON_ARRAY:
        code = array_from_json(e, j, out);
        break;
    case JSON_OBJECT:
        code = map_from_json(e, j, out);
        break;
    }
    if (code != ERR_OK) mp_fini(out);
    return code;
}
