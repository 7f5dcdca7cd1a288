/* SPDX-License-Identifier: Apache-2.0 */
/* msgpack.c: the checking walk over hostile msgpack, and trees of values.
 *
 * The walk knows only the length of things, from the first byte of each (the table of the msgpack
 * specification), and never allocates; after it msgpack-c may unpack the same bytes without
 * surprises. Extension types are refused: no field of a stream is one.
 *
 * Reference: https://github.com/msgpack/msgpack/blob/master/spec.md */
#include "formats/msgpack.h"

#include <string.h>

/* ------------------------------------------------------------------ the walk */

struct walk {
    struct errctx *e;
    const uint8_t *data;
    size_t n, at;
    size_t values;
};

static enum err walk_bad(struct walk *w, const char *what)
{
    return err_set(w->e, ERR_INPUT, "bad msgpack at offset %zu: %s", w->at, what);
}

/* What the first byte promises: a body of bytes, items, or nothing. */
enum shape { SHAPE_PLAIN, SHAPE_STRING, SHAPE_BINARY, SHAPE_ARRAY, SHAPE_MAP, SHAPE_BAD };

struct head {
    enum shape shape;
    size_t argument; /* bytes after the first one that belong to the head */
    uint64_t count;  /* body bytes, items or entries */
};

/* Big-endian number of n bytes. */
static uint64_t load_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static struct head head_of(uint8_t c)
{
    struct head h = {SHAPE_PLAIN, 0, 0};
    if (c <= 0x7f || c >= 0xe0) return h;
    if (c <= 0x8f) return (struct head){SHAPE_MAP, 0, c & 0x0f};
    if (c <= 0x9f) return (struct head){SHAPE_ARRAY, 0, c & 0x0f};
    if (c <= 0xbf) return (struct head){SHAPE_STRING, 0, c & 0x1f};
    if (c == 0xc0 || c == 0xc2 || c == 0xc3) return h;
    if (c >= 0xc4 && c <= 0xc6) return (struct head){SHAPE_BINARY, (size_t)1 << (c - 0xc4), 0};
    if (c == 0xca || c == 0xcb) return (struct head){SHAPE_PLAIN, c == 0xca ? 4 : 8, 0};
    if (c >= 0xcc && c <= 0xcf) return (struct head){SHAPE_PLAIN, (size_t)1 << (c - 0xcc), 0};
    if (c >= 0xd0 && c <= 0xd3) return (struct head){SHAPE_PLAIN, (size_t)1 << (c - 0xd0), 0};
    if (c >= 0xd9 && c <= 0xdb) return (struct head){SHAPE_STRING, (size_t)1 << (c - 0xd9), 0};
    if (c == 0xdc || c == 0xdd) return (struct head){SHAPE_ARRAY, c == 0xdc ? 2 : 4, 0};
    if (c == 0xde || c == 0xdf) return (struct head){SHAPE_MAP, c == 0xde ? 2 : 4, 0};
    return (struct head){SHAPE_BAD, 0, 0};
}

bool mp_utf8(const void *data, size_t n)
{
    const uint8_t *s = data;
    size_t i = 0;
    while (i < n) {
        uint8_t c = s[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c <= 0xdf ? 1 : (c & 0xf0) == 0xe0 ? 2 : 3;
        if (c >= 0x80 && (c < 0xc2 || c > 0xf4)) return false;
        if (more > n - i - 1) return false;
        for (size_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80) return false;
        if (c == 0xe0 && s[i + 1] < 0xa0) return false; /* longer than needed */
        if (c == 0xed && s[i + 1] > 0x9f) return false; /* a surrogate */
        if (c == 0xf0 && s[i + 1] < 0x90) return false;
        if (c == 0xf4 && s[i + 1] > 0x8f) return false;
        i += more + 1;
    }
    return true;
}

static enum err walk_value(struct walk *w, int depth);

struct key {
    const uint8_t *data;
    size_t len;
};

/* A key: a string without NUL. Its text goes to *key. */
static enum err walk_key(struct walk *w, int depth, struct key *key)
{
    size_t start = w->at;
    if (w->at >= w->n) return walk_bad(w, "cut short");
    struct head h = head_of(w->data[w->at]);
    if (h.shape != SHAPE_STRING) return walk_bad(w, "a key is not a string");
    TRY(walk_value(w, depth));
    key->data = w->data + start + 1 + h.argument;
    key->len = w->at - start - 1 - h.argument;
    if (memchr(key->data, 0, key->len)) return walk_bad(w, "a key holds NUL");
    return ERR_OK;
}

static enum err walk_map(struct walk *w, int depth, uint64_t count)
{
    struct key keys[MP_MAX_KEYS];
    if (count > MP_MAX_KEYS) return walk_bad(w, "a map has too many keys");
    for (uint64_t i = 0; i < count; i++) {
        TRY(walk_key(w, depth, &keys[i]));
        for (uint64_t k = 0; k < i; k++)
            if (keys[k].len == keys[i].len && !memcmp(keys[k].data, keys[i].data, keys[i].len))
                return walk_bad(w, "a key stands twice in a map");
        TRY(walk_value(w, depth));
    }
    return ERR_OK;
}

static enum err walk_value(struct walk *w, int depth)
{
    if (depth > MP_MAX_DEPTH) return walk_bad(w, "nested too deeply");
    if (w->at >= w->n) return walk_bad(w, "cut short");
    if (++w->values > MP_MAX_VALUES) return walk_bad(w, "too many values");
    struct head h = head_of(w->data[w->at]);
    if (h.shape == SHAPE_BAD) return walk_bad(w, "an extension or reserved type");
    if (h.argument > w->n - w->at - 1) return walk_bad(w, "cut short");
    if (h.argument && h.shape != SHAPE_PLAIN) h.count = load_be(w->data + w->at + 1, h.argument);
    size_t body = w->at + 1 + h.argument;
    if (h.count > w->n - body) return walk_bad(w, "a length goes beyond the end");
    w->at = body;
    switch (h.shape) {
    case SHAPE_STRING:
        if (!mp_utf8(w->data + body, (size_t)h.count)) return walk_bad(w, "a string is not UTF-8");
        w->at += (size_t)h.count;
        return ERR_OK;
    case SHAPE_BINARY:
        w->at += (size_t)h.count;
        return ERR_OK;
    case SHAPE_ARRAY:
        for (uint64_t i = 0; i < h.count; i++) TRY(walk_value(w, depth + 1));
        return ERR_OK;
    case SHAPE_MAP:
        return walk_map(w, depth + 1, h.count);
    default:
        return ERR_OK;
    }
}

enum err mp_check(struct errctx *e, const uint8_t *data, size_t n, size_t *used)
{
    struct walk w = {.e = e, .data = data, .n = n};
    TRY(walk_value(&w, 0));
    *used = w.at;
    return ERR_OK;
}

/* ------------------------------------------------------------------ packing */

static int packer_write(void *ctx, const char *data, size_t n)
{
    struct mp_packer *p = ctx;
    if (p->e->code == ERR_OK) p->e->code = bytes_append(p->e, p->out, data, n);
    return p->e->code == ERR_OK ? 0 : -1;
}

void mp_packer_init(struct mp_packer *p, struct errctx *e, struct bytes *out)
{
    p->e = e;
    p->out = out;
    msgpack_packer_init(&p->pk, p, packer_write);
}

void mp_pack_string(struct mp_packer *p, const char *s)
{
    msgpack_pack_str_with_body(&p->pk, s, strlen(s));
}

void mp_pack_binary(struct mp_packer *p, const void *data, size_t n)
{
    msgpack_pack_bin_with_body(&p->pk, data, n);
}

static void pack_value(struct mp_packer *p, const struct mp_value *v)
{
    switch (v->type) {
    case MP_NIL:
        msgpack_pack_nil(&p->pk);
        break;
    case MP_BOOL:
        v->as.boolean ? msgpack_pack_true(&p->pk) : msgpack_pack_false(&p->pk);
        break;
    case MP_INT:
        msgpack_pack_int64(&p->pk, v->as.i);
        break;
    case MP_UINT:
        msgpack_pack_uint64(&p->pk, v->as.u);
        break;
    case MP_REAL:
        msgpack_pack_double(&p->pk, v->as.real);
        break;
    case MP_STRING:
        msgpack_pack_str_with_body(&p->pk, v->as.bytes.data, v->as.bytes.len);
        break;
    case MP_BINARY:
        mp_pack_binary(p, v->as.bytes.data, v->as.bytes.len);
        break;
    case MP_ARRAY:
        msgpack_pack_array(&p->pk, v->as.list.count);
        for (size_t i = 0; i < v->as.list.count; i++) pack_value(p, &v->as.list.items[i]);
        break;
    case MP_MAP:
        msgpack_pack_map(&p->pk, v->as.list.count / 2);
        for (size_t i = 0; i < v->as.list.count; i++) pack_value(p, &v->as.list.items[i]);
        break;
    }
}

void mp_pack_value(struct mp_packer *p, const struct mp_value *v)
{
    pack_value(p, v);
}

enum err mp_encode(struct errctx *e, const struct mp_value *v, struct bytes *out)
{
    size_t from = out->len, used;
    struct mp_packer p;
    mp_packer_init(&p, e, out);
    pack_value(&p, v);
    if (e->code != ERR_OK) return e->code;
    /* What is written must be readable: the limits of the walk hold for the writer, too. */
    return mp_check(e, out->data + from, out->len - from, &used);
}

/* ------------------------------------------------------------------ trees */

void mp_fini(struct mp_value *v)
{
    if (v->type == MP_STRING || v->type == MP_BINARY) mem_free(v->as.bytes.data);
    if (v->type == MP_ARRAY || v->type == MP_MAP) {
        for (size_t i = 0; i < v->as.list.count; i++) mp_fini(&v->as.list.items[i]);
        mem_free(v->as.list.items);
    }
    *v = (struct mp_value){.type = MP_NIL};
}

void mp_map_init(struct mp_value *v)
{
    *v = (struct mp_value){.type = MP_MAP};
}
void mp_array_init(struct mp_value *v)
{
    *v = (struct mp_value){.type = MP_ARRAY};
}

enum err mp_bytes(struct errctx *e, struct mp_value *v, enum mp_type type, const void *data,
                  size_t n)
{
    char *copy;
    TRY(mem_new(e, &copy, n + 1, 1, "a msgpack value"));
    if (n) memcpy(copy, data, n);
    *v = (struct mp_value){.type = type, .as.bytes = {copy, n}};
    return ERR_OK;
}

/* Room for `more` items at the end of a list. */
static enum err list_reserve(struct errctx *e, struct mp_value *v, size_t more)
{
    return mem_grow(e, &v->as.list.items, &v->as.list.capacity, v->as.list.count + more,
                    sizeof(struct mp_value), "a msgpack list");
}

static enum err from_object(struct errctx *e, const msgpack_object *o, struct mp_value *v);

static enum err list_from_objects(struct errctx *e, const msgpack_object *o, struct mp_value *v)
{
    bool map = o->type == MSGPACK_OBJECT_MAP;
    size_t items = map ? (size_t)o->via.map.size * 2 : o->via.array.size;
    *v = (struct mp_value){.type = map ? MP_MAP : MP_ARRAY};
    TRY(list_reserve(e, v, items));
    for (size_t i = 0; i < items; i++) {
        const msgpack_object *item = !map         ? &o->via.array.ptr[i]
                                     : i % 2 == 0 ? &o->via.map.ptr[i / 2].key
                                                  : &o->via.map.ptr[i / 2].val;
        v->as.list.count = i + 1; /* what is begun is freed with the rest */
        TRY(from_object(e, item, &v->as.list.items[i]));
    }
    return ERR_OK;
}

static enum err from_object(struct errctx *e, const msgpack_object *o, struct mp_value *v)
{
    *v = (struct mp_value){.type = MP_NIL};
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return ERR_OK;
    case MSGPACK_OBJECT_BOOLEAN:
        *v = (struct mp_value){.type = MP_BOOL, .as.boolean = o->via.boolean};
        return ERR_OK;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        *v = (struct mp_value){.type = MP_UINT, .as.u = o->via.u64};
        return ERR_OK;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        *v = (struct mp_value){.type = MP_INT, .as.i = o->via.i64};
        return ERR_OK;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        *v = (struct mp_value){.type = MP_REAL, .as.real = o->via.f64};
        return ERR_OK;
    case MSGPACK_OBJECT_STR:
        return mp_bytes(e, v, MP_STRING, o->via.str.ptr, o->via.str.size);
    case MSGPACK_OBJECT_BIN:
        return mp_bytes(e, v, MP_BINARY, o->via.bin.ptr, o->via.bin.size);
    case MSGPACK_OBJECT_ARRAY:
    case MSGPACK_OBJECT_MAP:
        return list_from_objects(e, o, v);
    default:
        return err_set(e, ERR_INPUT, "bad msgpack: an extension type");
    }
}

enum err mp_decode(struct errctx *e, const uint8_t *data, size_t n, struct mp_value *out)
{
    size_t used, offset = 0;
    *out = (struct mp_value){.type = MP_NIL};
    TRY(mp_check(e, data, n, &used));
    if (used != n) return err_set(e, ERR_INPUT, "bad msgpack at offset %zu: more follows", used);
    msgpack_unpacked u;
    msgpack_unpacked_init(&u);
    enum err code = ERR_OK;
    if (msgpack_unpack_next(&u, (const char *)data, n, &offset) != MSGPACK_UNPACK_SUCCESS)
        code = err_memory(e, "msgpack values", n);
    else
        code = from_object(e, &u.data, out);
    msgpack_unpacked_destroy(&u);
    if (code != ERR_OK) mp_fini(out);
    return code;
}

enum err mp_copy(struct errctx *e, const struct mp_value *from, struct mp_value *to)
{
    *to = *from;
    if (from->type == MP_STRING || from->type == MP_BINARY) {
        to->type = MP_NIL;
        return mp_bytes(e, to, from->type, from->as.bytes.data, from->as.bytes.len);
    }
    if (from->type != MP_ARRAY && from->type != MP_MAP) return ERR_OK;
    *to = (struct mp_value){.type = from->type};
    enum err code = list_reserve(e, to, from->as.list.count);
    for (size_t i = 0; code == ERR_OK && i < from->as.list.count; i++) {
        code = mp_copy(e, &from->as.list.items[i], &to->as.list.items[i]);
        if (code == ERR_OK) to->as.list.count = i + 1;
    }
    if (code != ERR_OK) mp_fini(to);
    return code;
}

bool mp_equal(const struct mp_value *a, const struct mp_value *b)
{
    if (a->type != b->type) return false;
    switch (a->type) {
    case MP_NIL:
        return true;
    case MP_BOOL:
        return a->as.boolean == b->as.boolean;
    case MP_INT:
        return a->as.i == b->as.i;
    case MP_UINT:
        return a->as.u == b->as.u;
    case MP_REAL: /* as bits: NaN equals itself, 0 does not equal -0 */
        return !memcmp(&a->as.real, &b->as.real, sizeof a->as.real);
    case MP_STRING:
    case MP_BINARY:
        return a->as.bytes.len == b->as.bytes.len &&
               !memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len);
    case MP_ARRAY:
        if (a->as.list.count != b->as.list.count) return false;
        for (size_t i = 0; i < a->as.list.count; i++)
            if (!mp_equal(&a->as.list.items[i], &b->as.list.items[i])) return false;
        return true;
    case MP_MAP:
        if (a->as.list.count != b->as.list.count) return false;
        for (size_t i = 0; i < a->as.list.count; i += 2) {
            const struct mp_value *other = mp_get(b, a->as.list.items[i].as.bytes.data);
            if (!other || !mp_equal(&a->as.list.items[i + 1], other)) return false;
        }
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------ maps */

struct mp_value *mp_get(const struct mp_value *map, const char *key)
{
    size_t len = strlen(key);
    if (map->type != MP_MAP) return NULL;
    for (size_t i = 0; i < map->as.list.count; i += 2) {
        const struct mp_value *k = &map->as.list.items[i];
        if (k->as.bytes.len == len && !memcmp(k->as.bytes.data, key, len))
            return &map->as.list.items[i + 1];
    }
    return NULL;
}

enum err mp_set_take(struct errctx *e, struct mp_value *map, const char *key,
                     struct mp_value *value)
{
    struct mp_value *old = mp_get(map, key);
    if (old) {
        mp_fini(old);
        *old = *value;
        return ERR_OK;
    }
    struct mp_value name;
    enum err code = list_reserve(e, map, 2);
    if (code == ERR_OK) code = mp_bytes(e, &name, MP_STRING, key, strlen(key));
    if (code != ERR_OK) {
        mp_fini(value);
        return code;
    }
    map->as.list.items[map->as.list.count++] = name;
    map->as.list.items[map->as.list.count++] = *value;
    return ERR_OK;
}

enum err mp_set(struct errctx *e, struct mp_value *map, const char *key,
                const struct mp_value *value)
{
    struct mp_value v;
    TRY(mp_copy(e, value, &v));
    return mp_set_take(e, map, key, &v);
}

enum err mp_set_int(struct errctx *e, struct mp_value *map, const char *key, int64_t i)
{
    struct mp_value v = {.type = MP_INT, .as.i = i};
    if (i >= 0) v = (struct mp_value){.type = MP_UINT, .as.u = (uint64_t)i};
    return mp_set_take(e, map, key, &v);
}

enum err mp_set_real(struct errctx *e, struct mp_value *map, const char *key, double real)
{
    struct mp_value v = {.type = MP_REAL, .as.real = real};
    return mp_set_take(e, map, key, &v);
}

enum err mp_set_bool(struct errctx *e, struct mp_value *map, const char *key, bool b)
{
    struct mp_value v = {.type = MP_BOOL, .as.boolean = b};
    return mp_set_take(e, map, key, &v);
}

enum err mp_set_string(struct errctx *e, struct mp_value *map, const char *key, const char *s)
{
    struct mp_value v;
    TRY(mp_bytes(e, &v, MP_STRING, s, strlen(s)));
    return mp_set_take(e, map, key, &v);
}

enum err mp_set_binary(struct errctx *e, struct mp_value *map, const char *key, const void *data,
                       size_t n)
{
    struct mp_value v;
    TRY(mp_bytes(e, &v, MP_BINARY, data, n));
    return mp_set_take(e, map, key, &v);
}

enum err mp_append_take(struct errctx *e, struct mp_value *array, struct mp_value *value)
{
    enum err code = list_reserve(e, array, 1);
    if (code == ERR_OK)
        array->as.list.items[array->as.list.count++] = *value;
    else
        mp_fini(value);
    return code;
}

enum err mp_append(struct errctx *e, struct mp_value *array, const struct mp_value *value)
{
    struct mp_value v;
    TRY(mp_copy(e, value, &v));
    return mp_append_take(e, array, &v);
}

/* ------------------------------------------------------------------ typed reads */

static enum err need(struct errctx *e, const struct mp_value *map, const char *key,
                     const struct mp_value **out)
{
    *out = mp_get(map, key);
    if (!*out) return err_set(e, ERR_INPUT, "key '%s' is missing", key);
    return ERR_OK;
}

enum err mp_get_int(struct errctx *e, const struct mp_value *map, const char *key, int64_t min,
                    int64_t max, int64_t *out)
{
    const struct mp_value *v;
    TRY(need(e, map, key, &v));
    if (v->type != MP_INT && v->type != MP_UINT)
        return err_set(e, ERR_INPUT, "key '%s' is not an integer", key);
    bool fits = v->type == MP_INT || v->as.u <= INT64_MAX;
    *out = v->type == MP_INT ? v->as.i : (int64_t)v->as.u;
    if (!fits || *out < min || *out > max)
        return err_set(e, ERR_INPUT, "key '%s' is out of range %lld..%lld", key, (long long)min,
                       (long long)max);
    return ERR_OK;
}

enum err mp_get_real(struct errctx *e, const struct mp_value *map, const char *key, double *out)
{
    const struct mp_value *v;
    TRY(need(e, map, key, &v));
    if (v->type == MP_REAL)
        *out = v->as.real;
    else if (v->type == MP_UINT)
        *out = (double)v->as.u;
    else if (v->type == MP_INT)
        *out = (double)v->as.i;
    else
        return err_set(e, ERR_INPUT, "key '%s' is not a number", key);
    return ERR_OK;
}

enum err mp_get_bool(struct errctx *e, const struct mp_value *map, const char *key, bool *out)
{
    const struct mp_value *v;
    TRY(need(e, map, key, &v));
    if (v->type != MP_BOOL) return err_set(e, ERR_INPUT, "key '%s' is not a boolean", key);
    *out = v->as.boolean;
    return ERR_OK;
}

enum err mp_get_string(struct errctx *e, const struct mp_value *map, const char *key,
                       const char **out)
{
    const struct mp_value *v;
    TRY(need(e, map, key, &v));
    if (v->type != MP_STRING || memchr(v->as.bytes.data, 0, v->as.bytes.len))
        return err_set(e, ERR_INPUT, "key '%s' is not a string", key);
    *out = v->as.bytes.data;
    return ERR_OK;
}

enum err mp_get_binary(struct errctx *e, const struct mp_value *map, const char *key, size_t n,
                       const uint8_t **out)
{
    const struct mp_value *v;
    TRY(need(e, map, key, &v));
    if (v->type != MP_BINARY || v->as.bytes.len != n)
        return err_set(e, ERR_INPUT, "key '%s' is not a binary of %zu bytes", key, n);
    *out = (const uint8_t *)v->as.bytes.data;
    return ERR_OK;
}

enum err mp_get_list(struct errctx *e, const struct mp_value *map, const char *key,
                     enum mp_type type, const struct mp_value **out)
{
    TRY(need(e, map, key, out));
    if ((*out)->type != type)
        return err_set(e, ERR_INPUT, "key '%s' is not %s", key,
                       type == MP_MAP ? "a map" : "a list");
    return ERR_OK;
}
