/* SPDX-License-Identifier: Apache-2.0 */
/* stream_begin.c: the begin record: building, comparing, encoding, decoding, checking.
 *
 * There is one encoding of a BODY (fixed order of its keys, shortest msgpack forms), so that equal
 * contents have equal bytes and, with them, equal ids: a decoded BODY is encoded again and must
 * come out the same. */
#include "formats/stream_begin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/labels.h"

/* What must fit in one record beside the rest: the fixed cells of a row. */
enum { FIXED_LIMIT = 1 << 20 };

static const char *const kind_names[STREAM_KIND_COUNT] = {
    "tokenizer", "tokens", "model", "adapter", "head", "features", "logits", "checkpoint"};

const char *stream_kind_name(enum stream_kind kind)
{
    return kind >= 0 && kind < STREAM_KIND_COUNT ? kind_names[kind] : "any";
}

bool stream_kind_has_rows(enum stream_kind kind)
{
    return kind == STREAM_TOKENS || kind == STREAM_FEATURES || kind == STREAM_LOGITS;
}

size_t stream_field_cell(const struct stream_field *f)
{
    size_t n = dtype_size(f->dtype);
    for (int i = 0; i < f->dims; i++)
        if (f->shape[i] >= 0) n *= (size_t)f->shape[i];
    return n;
}

int64_t stream_field_elements(const struct stream_field *f)
{
    int64_t n = 1;
    for (int i = 0; i < f->dims; i++) n *= f->shape[i];
    return n;
}

/* ------------------------------------------------------------------ building */

void stream_begin_init(struct stream_begin *b, enum stream_kind kind)
{
    *b = (struct stream_begin){.kind = kind, .expect = {-1, -1}};
    mp_map_init(&b->meta);
}

static void fields_fini(struct stream_field *f, int64_t n)
{
    for (int64_t i = 0; i < n; i++) mem_free(f[i].name);
    mem_free(f);
}

void stream_begin_fini(struct stream_begin *b)
{
    fields_fini(b->columns, b->columns_count);
    fields_fini(b->tensors, b->tensors_count);
    mp_fini(&b->meta);
    stream_begin_init(b, b->kind);
}

/* The lists double when their count is a power of two: they need no capacity beside the count. */
static enum err add_field(struct errctx *e, struct stream_field **list, int64_t *count,
                          const char *name, enum dtype t, int dims, const int64_t *shape)
{
    size_t n = (size_t)*count;
    if (dims < 0 || dims > STREAM_MAX_DIMS)
        return err_set(e, ERR_INPUT, "'%s' has %d dimensions (at most %d)", name, dims,
                       STREAM_MAX_DIMS);
    if ((n & (n - 1)) == 0) {
        size_t capacity = n;
        TRY(mem_grow(e, list, &capacity, n ? 2 * n : 8, sizeof **list, "columns or tensors"));
    }
    struct stream_field f = {.dtype = t, .dims = dims};
    for (int i = 0; i < dims; i++) f.shape[i] = shape[i];
    TRY(mem_strdup(e, &f.name, name));
    (*list)[n] = f;
    ++*count;
    return ERR_OK;
}

enum err stream_begin_column(struct errctx *e, struct stream_begin *b, const char *name,
                             enum dtype t, int dims, const int64_t *shape)
{
    return add_field(e, &b->columns, &b->columns_count, name, t, dims, shape);
}

enum err stream_begin_tensor(struct errctx *e, struct stream_begin *b, const char *name,
                             enum dtype t, int dims, const int64_t *shape)
{
    return add_field(e, &b->tensors, &b->tensors_count, name, t, dims, shape);
}

static enum err copy_fields(struct errctx *e, const struct stream_begin *from,
                            struct stream_begin *to)
{
    for (int64_t i = 0; i < from->columns_count; i++) {
        const struct stream_field *f = &from->columns[i];
        TRY(stream_begin_column(e, to, f->name, f->dtype, f->dims, f->shape));
    }
    for (int64_t i = 0; i < from->tensors_count; i++) {
        const struct stream_field *f = &from->tensors[i];
        TRY(stream_begin_tensor(e, to, f->name, f->dtype, f->dims, f->shape));
    }
    return mp_copy(e, &from->meta, &to->meta);
}

enum err stream_begin_copy(struct errctx *e, const struct stream_begin *from,
                           struct stream_begin *to)
{
    stream_begin_init(to, from->kind);
    to->expect = from->expect;
    enum err code = copy_fields(e, from, to);
    if (code != ERR_OK) stream_begin_fini(to);
    return code;
}

static int64_t find_field(const struct stream_field *f, int64_t n, const char *name)
{
    for (int64_t i = 0; i < n; i++)
        if (!strcmp(f[i].name, name)) return i;
    return -1;
}

int64_t stream_begin_find_column(const struct stream_begin *b, const char *name)
{
    return find_field(b->columns, b->columns_count, name);
}

int64_t stream_begin_find_tensor(const struct stream_begin *b, const char *name)
{
    return find_field(b->tensors, b->tensors_count, name);
}

/* ------------------------------------------------------------------ comparing */

/* "U16 [-1]" */
static const char *describe(const struct stream_field *f, char *buf, size_t n)
{
    size_t at = (size_t)snprintf(buf, n, "%s [", dtype_name(f->dtype));
    for (int i = 0; i < f->dims && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, "%s%lld", i ? ", " : "", (long long)f->shape[i]);
    if (at < n) snprintf(buf + at, n - at, "]");
    return buf;
}

static bool same_type(const struct stream_field *a, const struct stream_field *b)
{
    return a->dtype == b->dtype && a->dims == b->dims &&
           !memcmp(a->shape, b->shape, (size_t)a->dims * sizeof *a->shape);
}

static enum err match_fields(struct errctx *e, const char *what, const struct stream_field *a,
                             int64_t a_count, const char *a_name, const struct stream_field *b,
                             int64_t b_count, const char *b_name)
{
    for (int64_t i = 0; i < a_count && i < b_count; i++) {
        char x[160], y[160];
        if (strcmp(a[i].name, b[i].name))
            return err_set(e, ERR_INPUT, "%s %lld differs: '%s' in '%s', '%s' in '%s'", what,
                           (long long)i, a[i].name, a_name, b[i].name, b_name);
        if (!same_type(&a[i], &b[i]))
            return err_set(e, ERR_INPUT, "%s '%s' differs: %s in '%s', %s in '%s'", what, a[i].name,
                           describe(&a[i], x, sizeof x), a_name, describe(&b[i], y, sizeof y),
                           b_name);
    }
    if (a_count == b_count) return ERR_OK;
    bool more = a_count > b_count;
    return err_set(e, ERR_INPUT, "%s '%s' of '%s' is not in '%s'", what,
                   more ? a[b_count].name : b[a_count].name, more ? a_name : b_name,
                   more ? b_name : a_name);
}

static enum err match_meta(struct errctx *e, const struct mp_value *a, const char *a_name,
                           const struct mp_value *b, const char *b_name)
{
    for (size_t i = 0; i < a->as.list.count; i += 2) {
        const char *key = a->as.list.items[i].as.bytes.data;
        const struct mp_value *other = mp_get(b, key);
        if (!other)
            return err_set(e, ERR_INPUT, "'%s' stands in '%s', not in '%s'", key, a_name, b_name);
        if (mp_equal(&a->as.list.items[i + 1], other)) continue;
        /* of classes the one that differs, of which there may be thousands */
        if (strcmp(key, "labels") == 0) TRY(labels_match(e, a, a_name, b, b_name));
        return err_set(e, ERR_INPUT, "'%s' differs between '%s' and '%s'", key, a_name, b_name);
    }
    return ERR_OK;
}

enum err stream_begin_match(struct errctx *e, const struct stream_begin *a, const char *a_name,
                            const struct stream_begin *b, const char *b_name)
{
    if (a->kind != b->kind)
        return err_set(e, ERR_INPUT, "kind differs: %s in '%s', %s in '%s'",
                       stream_kind_name(a->kind), a_name, stream_kind_name(b->kind), b_name);
    TRY(match_fields(e, "column", a->columns, a->columns_count, a_name, b->columns,
                     b->columns_count, b_name));
    TRY(match_fields(e, "tensor", a->tensors, a->tensors_count, a_name, b->tensors,
                     b->tensors_count, b_name));
    TRY(match_meta(e, &a->meta, a_name, &b->meta, b_name));
    return match_meta(e, &b->meta, b_name, &a->meta, a_name);
}

/* ------------------------------------------------------------------ checking */

static enum err check_name(struct errctx *e, const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > STREAM_MAX_NAME)
        return err_set(e, ERR_INPUT, "a name of %zu bytes (1 to %d)", n, STREAM_MAX_NAME);
    return ERR_OK;
}

static enum err check_column(struct errctx *e, const struct stream_field *f)
{
    uint64_t cell = dtype_size(f->dtype);
    TRY(check_name(e, f->name));
    if (dtype_is_blocks(f->dtype))
        return err_set(e, ERR_INPUT, "column '%s': type %s is one of tensors only", f->name,
                       dtype_name(f->dtype));
    if (stream_field_ragged(f)) return ERR_OK;
    for (int i = 0; i < f->dims; i++)
        if (f->shape[i] < 1 || __builtin_mul_overflow(cell, (uint64_t)f->shape[i], &cell) ||
            cell > FIXED_LIMIT)
            return err_set(e, ERR_INPUT,
                           "column '%s': a cell has one or more elements and at most %d bytes",
                           f->name, FIXED_LIMIT);
    return ERR_OK;
}

static enum err check_tensor(struct errctx *e, const struct stream_field *f)
{
    size_t bytes;
    TRY(check_name(e, f->name));
    if (dtype_is_blocks(f->dtype) && (f->dims ? f->shape[f->dims - 1] : 1) % dtype_unit(f->dtype))
        return err_set(e, ERR_INPUT,
                       "tensor '%s' of type %s: its last dimension is not a multiple of %d",
                       f->name, dtype_name(f->dtype), dtype_unit(f->dtype));
    if (!dtype_shape_bytes(f->dtype, f->dims, f->shape, &bytes) || bytes > INT64_MAX / 2)
        return err_set(e, ERR_INPUT, "tensor '%s': a dimension is negative or too large", f->name);
    return ERR_OK;
}

bool stream_begin_is_scales(const struct stream_begin *b, int64_t i)
{
    return i + 1 < b->tensors_count && b->tensors[i + 1].dtype == DTYPE_NF4_DQ;
}

/* Tensor i of type NF4_DQ has its scales right before it. */
static enum err check_scales(struct errctx *e, const struct stream_begin *b, int64_t i)
{
    const struct stream_field *f = &b->tensors[i], *s = i > 0 ? f - 1 : NULL;
    char name[STREAM_MAX_NAME + 8];
    snprintf(name, sizeof name, "%s.scales", f->name);
    if (s && !strcmp(s->name, name) && s->dtype == DTYPE_F32 && s->dims == 1 &&
        s->shape[0] == dtype_scales(stream_field_elements(f)))
        return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "tensor '%s' of type %s: right before it must stand '%s', %s [%" PRId64 "]",
                   f->name, dtype_name(f->dtype), name, dtype_name(DTYPE_F32),
                   dtype_scales(stream_field_elements(f)));
}

struct named {
    const char *name;
    int64_t index;
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static enum err sorted_names(struct errctx *e, const struct stream_field *f, int64_t n,
                             struct named **out)
{
    TRY(mem_new(e, out, (size_t)n, sizeof **out, "names"));
    for (int64_t i = 0; i < n; i++) (*out)[i] = (struct named){f[i].name, i};
    qsort(*out, (size_t)n, sizeof **out, compare_named);
    return ERR_OK;
}

static enum err check_distinct(struct errctx *e, const struct stream_field *f, int64_t n)
{
    struct named *names;
    enum err code = ERR_OK;
    TRY(sorted_names(e, f, n, &names));
    for (int64_t i = 1; i < n && code == ERR_OK; i++)
        if (!strcmp(names[i - 1].name, names[i].name))
            code = err_set(e, ERR_INPUT, "the name '%s' stands twice", names[i].name);
    mem_free(names);
    return code;
}

enum err stream_begin_by_name(struct errctx *e, const struct stream_begin *b, int64_t **order)
{
    struct named *names;
    *order = NULL;
    TRY(sorted_names(e, b->tensors, b->tensors_count, &names));
    enum err code = mem_new(e, order, (size_t)b->tensors_count, sizeof **order, "names");
    for (int64_t i = 0; code == ERR_OK && i < b->tensors_count; i++) (*order)[i] = names[i].index;
    mem_free(names);
    return code;
}

enum err stream_begin_check(struct errctx *e, const struct stream_begin *b)
{
    bool rows = stream_kind_has_rows(b->kind);
    if (rows ? b->columns_count < 1 || b->tensors_count : b->columns_count)
        return err_set(e, ERR_INPUT, "a stream of kind %s has %s", stream_kind_name(b->kind),
                       rows ? "columns and no tensors" : "tensors and no columns");
    if (b->columns_count > STREAM_MAX_COLUMNS || b->tensors_count > STREAM_MAX_TENSORS)
        return err_set(e, ERR_INPUT, "too many columns or tensors");
    uint64_t fixed = 0;
    for (int64_t i = 0; i < b->columns_count; i++) {
        TRY(check_column(e, &b->columns[i]));
        fixed += stream_field_ragged(&b->columns[i]) ? 0 : stream_field_cell(&b->columns[i]);
    }
    if (fixed > FIXED_LIMIT)
        return err_set(e, ERR_INPUT, "the fixed columns of a row have %llu bytes (at most %d)",
                       (unsigned long long)fixed, FIXED_LIMIT);
    for (int64_t i = 0; i < b->tensors_count; i++) {
        TRY(check_tensor(e, &b->tensors[i]));
        if (b->tensors[i].dtype == DTYPE_NF4_DQ) TRY(check_scales(e, b, i));
    }
    TRY(check_distinct(e, b->columns, b->columns_count));
    return check_distinct(e, b->tensors, b->tensors_count);
}

/* ------------------------------------------------------------------ bytes */

static void pack_fields(struct mp_packer *p, const char *key, const struct stream_field *f,
                        int64_t n)
{
    mp_pack_string(p, key);
    msgpack_pack_array(&p->pk, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        msgpack_pack_map(&p->pk, 3);
        mp_pack_string(p, "name");
        mp_pack_string(p, f[i].name);
        mp_pack_string(p, "dtype");
        mp_pack_string(p, dtype_name(f[i].dtype));
        mp_pack_string(p, "shape");
        msgpack_pack_array(&p->pk, (size_t)f[i].dims);
        for (int d = 0; d < f[i].dims; d++) msgpack_pack_int64(&p->pk, f[i].shape[d]);
    }
}

enum err stream_begin_encode_body(struct errctx *e, const struct stream_begin *b, struct bytes *out)
{
    struct mp_packer p;
    mp_packer_init(&p, e, out);
    msgpack_pack_map(&p.pk, 5);
    mp_pack_string(&p, "graft");
    msgpack_pack_int(&p.pk, STREAM_VERSION);
    mp_pack_string(&p, "kind");
    mp_pack_string(&p, stream_kind_name(b->kind));
    pack_fields(&p, "columns", b->columns, b->columns_count);
    pack_fields(&p, "tensors", b->tensors, b->tensors_count);
    mp_pack_string(&p, "meta");
    mp_pack_value(&p, &b->meta);
    return e->code;
}

static void pack_expect(struct mp_packer *p, const struct stream_expect *x)
{
    mp_pack_string(p, "expect");
    msgpack_pack_map(&p->pk, (size_t)(x->rows >= 0) + (size_t)(x->tokens >= 0));
    if (x->rows >= 0) {
        mp_pack_string(p, "rows");
        msgpack_pack_int64(&p->pk, x->rows);
    }
    if (x->tokens >= 0) {
        mp_pack_string(p, "tokens");
        msgpack_pack_int64(&p->pk, x->tokens);
    }
}

enum err stream_begin_encode(struct errctx *e, const struct stream_begin *b,
                             const struct bytes *body, struct bytes *out)
{
    bool hints = b->expect.rows >= 0 || b->expect.tokens >= 0;
    size_t from = out->len, used;
    struct mp_packer p;
    mp_packer_init(&p, e, out);
    msgpack_pack_map(&p.pk, hints ? 2 : 1);
    mp_pack_string(&p, "begin");
    if (e->code == ERR_OK) TRY(bytes_append(e, out, body->data, body->len));
    if (hints) pack_expect(&p, &b->expect);
    if (e->code != ERR_OK) return e->code;
    if (out->len - from > STREAM_BEGIN_LIMIT)
        return err_set(e, ERR_INPUT,
                       "the begin record has %zu bytes (at most %d): too many tensors, classes or "
                       "settings",
                       out->len - from, STREAM_BEGIN_LIMIT);
    return mp_check(e, out->data + from, out->len - from, &used);
}

static enum err decode_shape(struct errctx *e, const struct mp_value *list, int64_t *shape)
{
    if (list->as.list.count > STREAM_MAX_DIMS)
        return err_set(e, ERR_INPUT, "more than %d dimensions", STREAM_MAX_DIMS);
    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *v = &list->as.list.items[i];
        if (v->type == MP_UINT && v->as.u <= INT64_MAX)
            shape[i] = (int64_t)v->as.u;
        else if (v->type == MP_INT && v->as.i == -1)
            shape[i] = -1;
        else
            return err_set(e, ERR_INPUT, "a dimension is no size");
    }
    return ERR_OK;
}

typedef enum err add_fn(struct errctx *, struct stream_begin *, const char *, enum dtype, int,
                        const int64_t *);

static enum err decode_fields(struct errctx *e, const struct mp_value *body, const char *key,
                              struct stream_begin *b, add_fn *add)
{
    const struct mp_value *list, *dims;
    TRY(mp_get_list(e, body, key, MP_ARRAY, &list));
    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *f = &list->as.list.items[i];
        const char *name, *dtype;
        int64_t shape[STREAM_MAX_DIMS];
        TRY(mp_get_string(e, f, "name", &name));
        TRY(mp_get_string(e, f, "dtype", &dtype));
        TRY(mp_get_list(e, f, "shape", MP_ARRAY, &dims));
        enum dtype t = dtype_from_name(dtype, strlen(dtype));
        if (t == DTYPE_NONE)
            return err_set(e, ERR_INPUT, "'%s' has unknown dtype '%s'", name, dtype);
        TRY(decode_shape(e, dims, shape));
        TRY(add(e, b, name, t, (int)dims->as.list.count, shape));
    }
    return ERR_OK;
}

static enum err decode_kind(struct errctx *e, const struct mp_value *body, enum stream_kind *out)
{
    const char *name;
    TRY(mp_get_string(e, body, "kind", &name));
    for (int k = 0; k < STREAM_KIND_COUNT; k++)
        if (!strcmp(name, kind_names[k])) {
            *out = (enum stream_kind)k;
            return ERR_OK;
        }
    return err_set(e, ERR_INPUT, "unknown kind '%s'", name);
}

static enum err decode_body(struct errctx *e, const struct mp_value *body, struct stream_begin *b)
{
    int64_t version;
    const struct mp_value *meta;
    if (body->type != MP_MAP) return err_set(e, ERR_INPUT, "'begin' is not a map");
    TRY(mp_get_int(e, body, "graft", 1, STREAM_VERSION, &version));
    TRY(decode_kind(e, body, &b->kind));
    TRY(decode_fields(e, body, "columns", b, stream_begin_column));
    TRY(decode_fields(e, body, "tensors", b, stream_begin_tensor));
    TRY(mp_get_list(e, body, "meta", MP_MAP, &meta));
    TRY(mp_copy(e, meta, &b->meta));
    return stream_begin_check(e, b);
}

static enum err decode_expect(struct errctx *e, const struct mp_value *map,
                              struct stream_expect *out)
{
    size_t keys = 0;
    if (map->type != MP_MAP) return err_set(e, ERR_INPUT, "'expect' is not a map");
    if (mp_get(map, "rows")) {
        TRY(mp_get_int(e, map, "rows", 0, INT64_MAX, &out->rows));
        keys++;
    }
    if (mp_get(map, "tokens")) {
        TRY(mp_get_int(e, map, "tokens", 0, INT64_MAX, &out->tokens));
        keys++;
    }
    if (map->as.list.count != 2 * keys) return err_set(e, ERR_INPUT, "unknown key in 'expect'");
    return ERR_OK;
}

static enum err decode_record(struct errctx *e, const struct mp_value *record,
                              struct stream_begin *b)
{
    const struct mp_value *expect = mp_get(record, "expect");
    TRY(decode_body(e, mp_get(record, "begin"), b));
    if (expect) TRY(decode_expect(e, expect, &b->expect));
    if (record->as.list.count != (expect ? 4u : 2u))
        return err_set(e, ERR_INPUT, "unknown key beside 'begin'");
    return ERR_OK;
}

enum err stream_begin_decode(struct errctx *e, const uint8_t *data, size_t n,
                             struct stream_begin *b, struct bytes *body)
{
    static const char head[] = "\xa5"
                               "begin";
    struct mp_value record = {.type = MP_NIL};
    size_t used;
    stream_begin_init(b, STREAM_TOKENS);
    body->len = 0;
    if (n < 7 || (data[0] & 0xf0) != 0x80 || memcmp(data + 1, head, 6))
        return err_set(e, ERR_INPUT, "the first record is not 'begin'");
    if (n > STREAM_BEGIN_LIMIT)
        return err_set(e, ERR_INPUT, "a begin record of %zu bytes (at most %d)", n,
                       STREAM_BEGIN_LIMIT);
    enum err code = mp_decode(e, data, n, &record);
    if (code == ERR_OK) code = decode_record(e, &record, b);
    mp_fini(&record);
    if (code == ERR_OK) code = stream_begin_encode_body(e, b, body);
    /* The same bytes again, or the id would depend on who wrote it. */
    if (code == ERR_OK) code = mp_check(e, data + 7, n - 7, &used);
    if (code == ERR_OK && (used != body->len || memcmp(data + 7, body->data, used)))
        code = err_set(e, ERR_INPUT,
                       "keys beyond the known ones, in another order, or not in the "
                       "shortest msgpack form");
    if (code != ERR_OK) {
        stream_begin_fini(b);
        return err_prefix(e, "begin");
    }
    return ERR_OK;
}
