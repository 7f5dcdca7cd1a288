/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_create.c: writing GGUF: see gguf.h. */
#include <inttypes.h>
#include <string.h>

#include "formats/gguf.h"
#include "formats/gguf_types.h"

enum { VERSION = 3, NAME_LIMIT = GGUF_NAME - 1 }; /* ggml keeps a NUL behind the name */

static enum err put(struct errctx *e, struct bytes *out, const void *data, size_t n)
{
    return bytes_append(e, out, data, n);
}
static enum err put_u32(struct errctx *e, struct bytes *out, uint32_t v)
{
    return put(e, out, &v, sizeof v);
}
static enum err put_u64(struct errctx *e, struct bytes *out, uint64_t v)
{
    return put(e, out, &v, sizeof v);
}
static enum err put_string(struct errctx *e, struct bytes *out, const char *text, size_t n)
{
    TRY(put_u64(e, out, n));
    return n ? put(e, out, text, n) : ERR_OK;
}

/* ------------------------------------------------------------------ metadata */

static enum err misfit(struct errctx *e, const char *key, enum gguf_type t)
{
    return err_set(e, ERR_USAGE, "GGUF key '%s': a value does not fit type %s", key,
                   t < GGUF_TYPE_COUNT ? gguf_type_name(t) : "that is said");
}

/* The type a value has when none is said. */
static enum gguf_type usual(const struct mp_value *v)
{
    switch (v->type) {
    case MP_BOOL:
        return GGUF_BOOL;
    case MP_INT:
        return v->as.i >= INT32_MIN ? GGUF_I32 : GGUF_I64;
    case MP_UINT:
        return v->as.u <= UINT32_MAX ? GGUF_U32 : GGUF_U64;
    case MP_REAL:
        return GGUF_F32;
    case MP_STRING:
    case MP_BINARY:
        return GGUF_STRING;
    case MP_ARRAY:
        return GGUF_ARRAY;
    default:
        return GGUF_TYPE_COUNT;
    }
}

/* Of an array's items: of integers i32, or what holds all of them. */
static enum gguf_type usual_item(const struct mp_value *list)
{
    enum gguf_type t = list->as.list.count ? usual(&list->as.list.items[0]) : GGUF_I32;
    if (t != GGUF_U32 && t != GGUF_I32 && t != GGUF_U64 && t != GGUF_I64) return t;
    t = GGUF_I32;
    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *v = &list->as.list.items[i];
        const bool wide = (v->type == MP_UINT && v->as.u > INT32_MAX) ||
                          (v->type == MP_INT && v->as.i < INT32_MIN);
        if (wide) t = GGUF_I64;
    }
    return t;
}

static enum err put_integer(struct errctx *e, struct bytes *out, const char *key,
                            const struct mp_value *v, enum gguf_type t)
{
    const size_t bits = 8 * gguf_type_bytes(t);
    const uint64_t most =
        gguf_type_is_signed(t) ? UINT64_MAX >> (65 - bits) : UINT64_MAX >> (64 - bits);
    if (v->type == MP_UINT && v->as.u <= most) return put(e, out, &v->as.u, bits / 8);
    if (v->type == MP_INT && gguf_type_is_signed(t) && v->as.i >= -(int64_t)most - 1)
        return put(e, out, &v->as.i, bits / 8);
    return misfit(e, key, t);
}

static enum err put_real(struct errctx *e, struct bytes *out, const char *key,
                         const struct mp_value *v, enum gguf_type t)
{
    const double d = v->type == MP_UINT  ? (double)v->as.u
                     : v->type == MP_INT ? (double)v->as.i
                                         : v->as.real;
    const float f = (float)d;
    if (v->type != MP_REAL && v->type != MP_UINT && v->type != MP_INT) return misfit(e, key, t);
    return t == GGUF_F32 ? put(e, out, &f, sizeof f) : put(e, out, &d, sizeof d);
}

static enum err put_scalar(struct errctx *e, struct bytes *out, const char *key,
                           const struct mp_value *v, enum gguf_type t)
{
    const uint8_t b = v->type == MP_BOOL && v->as.boolean;
    switch (t) {
    case GGUF_STRING:
        if (v->type != MP_STRING && v->type != MP_BINARY) return misfit(e, key, t);
        return put_string(e, out, v->as.bytes.data, v->as.bytes.len);
    case GGUF_BOOL:
        return v->type == MP_BOOL ? put(e, out, &b, 1) : misfit(e, key, t);
    case GGUF_F32:
    case GGUF_F64:
        return put_real(e, out, key, v, t);
    case GGUF_ARRAY:
    case GGUF_TYPE_COUNT:
        return misfit(e, key, t);
    default:
        return put_integer(e, out, key, v, t);
    }
}

/* type: NULL, "[u32]", or the list of the types of arrays in it. */
static enum err put_array(struct errctx *e, struct bytes *out, const char *key,
                          const struct mp_value *v, const struct mp_value *type, int depth)
{
    const size_t n = v->as.list.count;
    const bool nested = type ? type->type == MP_ARRAY : usual_item(v) == GGUF_ARRAY;
    enum gguf_type t = nested ? GGUF_ARRAY : usual_item(v);
    if (v->type != MP_ARRAY || depth > GGUF_DEPTH || (nested && type && type->as.list.count != n) ||
        (!nested && type && (type->type != MP_STRING || type->as.bytes.len < 2)))
        return misfit(e, key, GGUF_ARRAY);
    if (!nested && type) t = gguf_type_from_name(type->as.bytes.data + 1, type->as.bytes.len - 2);
    if (t == GGUF_TYPE_COUNT) return misfit(e, key, t);
    TRY(put_u32(e, out, t));
    TRY(put_u64(e, out, n));
    for (size_t i = 0; i < n; i++) {
        const struct mp_value *item = &v->as.list.items[i];
        if (nested)
            TRY(put_array(e, out, key, item, type ? &type->as.list.items[i] : NULL, depth + 1));
        else
            TRY(put_scalar(e, out, key, item, t));
    }
    return ERR_OK;
}

static enum err put_key(struct errctx *e, struct bytes *out, const struct mp_value *key,
                        const struct mp_value *v, const struct mp_value *types)
{
    const char *name = key->as.bytes.data;
    const struct mp_value *type = types ? mp_get(types, name) : NULL;
    if (key->as.bytes.len == 0 || key->as.bytes.len > GGUF_KEY)
        return err_set(e, ERR_USAGE, "GGUF key '%s': 1 to %d bytes are wanted", name, GGUF_KEY);
    TRY(put_string(e, out, name, key->as.bytes.len));
    if (v->type == MP_ARRAY) {
        TRY(put_u32(e, out, GGUF_ARRAY));
        return put_array(e, out, name, v, type, 1);
    }
    const enum gguf_type t = !type ? usual(v)
                             : type->type != MP_STRING
                                 ? GGUF_TYPE_COUNT
                                 : gguf_type_from_name(type->as.bytes.data, type->as.bytes.len);
    TRY(put_u32(e, out, t));
    return put_scalar(e, out, name, v, t);
}

/* ------------------------------------------------------------------ tensors */

static enum err put_tensor(struct errctx *e, struct bytes *out, const struct tensor_entry *t,
                           uint64_t align, uint64_t *offset)
{
    size_t bytes = 0;
    uint32_t number = 0;
    TRY(tensor_out_check(e, t, &bytes));
    if (strlen(t->name) > NAME_LIMIT)
        return err_set(e, ERR_USAGE, "tensor '%s': GGUF takes names of at most %d bytes", t->name,
                       NAME_LIMIT);
    if (t->dims > GGUF_DIMS || !gguf_number(t->dtype, &number))
        return err_set(e, ERR_USAGE,
                       "tensor '%s': GGUF has no tensors of type %s with %d dimensions", t->name,
                       dtype_name(t->dtype), t->dims);
    TRY(put_string(e, out, t->name, strlen(t->name)));
    TRY(put_u32(e, out, (uint32_t)t->dims));
    for (int d = t->dims; d-- > 0;) TRY(put_u64(e, out, (uint64_t)t->shape[d]));
    TRY(put_u32(e, out, number));
    TRY(put_u64(e, out, *offset));
    *offset += (bytes + align - 1) / align * align;
    return ERR_OK;
}

static enum err put_head(struct errctx *e, struct bytes *out, const struct tensor_entry *entries,
                         size_t count, const struct mp_value *meta, const struct mp_value *types,
                         uint64_t align)
{
    uint64_t offset = 0;
    TRY(put(e, out, "GGUF", 4));
    TRY(put_u32(e, out, VERSION));
    TRY(put_u64(e, out, count));
    TRY(put_u64(e, out, meta->as.list.count / 2));
    for (size_t i = 0; i + 1 < meta->as.list.count; i += 2)
        TRY(put_key(e, out, &meta->as.list.items[i], &meta->as.list.items[i + 1], types));
    for (size_t i = 0; i < count; i++) TRY(put_tensor(e, out, &entries[i], align, &offset));
    while (out->len % align) TRY(put(e, out, "", 1));
    return ERR_OK;
}

enum err gguf_create(struct errctx *e, const char *path, const struct tensor_entry *entries,
                     size_t count, const struct mp_value *meta, const struct mp_value *types,
                     struct tensor_out *w)
{
    struct bytes head = {0};
    int64_t align = GGUF_ALIGNMENT;
    *w = (struct tensor_out){0};
    if (mp_get(meta, "general.alignment"))
        TRY(mp_get_int(e, meta, "general.alignment", 1, 1 << 20, &align));
    if (align & (align - 1))
        return err_set(e, ERR_USAGE, "general.alignment is %" PRId64 ", not a power of two", align);
    enum err code = put_head(e, &head, entries, count, meta, types, (uint64_t)align);
    if (code == ERR_OK) code = tensor_out_open(e, path, entries, count, (size_t)align, &head, w);
    bytes_fini(&head);
    return code;
}
