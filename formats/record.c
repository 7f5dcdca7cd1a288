/* SPDX-License-Identifier: Apache-2.0 */
/* record.c: packing, parsing and checking of the records after begin. See record.h. */
#include "formats/record.h"

#include <string.h>

#include "formats/frame.h"
#include "formats/stream_begin.h"

/* ------------------------------------------------------------------ the index */

void record_index_init(struct record_index *x)
{
    x->entries.len = 0;
    x->step = 1;
    x->frames = 0;
}

enum err record_index_add(struct errctx *e, struct record_index *x, uint64_t before)
{
    uint8_t entry[8];
    if (x->frames++ % x->step) return ERR_OK;
    if (x->entries.len == (size_t)RECORD_INDEX_LIMIT * 8) {
        for (size_t i = 0; i < RECORD_INDEX_LIMIT / 2; i++)
            memcpy(x->entries.data + 8 * i, x->entries.data + 16 * i, 8);
        x->entries.len /= 2;
        x->step *= 2;
        /* frames - 1 is RECORD_INDEX_LIMIT times the old step: a multiple of the new one, too */
    }
    frame_put_u64(entry, before);
    return bytes_append(e, &x->entries, entry, sizeof entry);
}

/* ------------------------------------------------------------------ parsing */

static bool key_is(const msgpack_object_kv *kv, const char *key)
{
    size_t n = strlen(key);
    return kv->key.via.str.size == n && !memcmp(kv->key.via.str.ptr, key, n);
}

static bool is_size(const msgpack_object *o)
{
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX;
}

static enum err bad(struct errctx *e, const char *what)
{
    return err_set(e, ERR_INPUT, "%s", what);
}

static enum err parse_cell(struct errctx *e, const struct stream_field *f, const struct record *r,
                           const msgpack_object *o, struct record_cell *cell)
{
    size_t size = stream_field_cell(f);
    *cell = (struct record_cell){0};
    if (!stream_field_ragged(f)) {
        if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != (uint64_t)r->rows * size)
            return err_set(e, ERR_INPUT, "column '%s' does not have the size of %lld cells",
                           f->name, (long long)r->rows);
        cell->data = (const uint8_t *)o->via.bin.ptr;
        cell->bytes = o->via.bin.size;
        return ERR_OK;
    }
    const msgpack_object *part = o->via.array.ptr;
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != 2 ||
        part[0].type != MSGPACK_OBJECT_BIN || part[1].type != MSGPACK_OBJECT_BIN)
        return err_set(e, ERR_INPUT, "column '%s' is not lengths and data", f->name);
    uint64_t cells = r->rows ? (uint64_t)r->rows : 1, total = 0;
    cell->lengths = (const uint8_t *)part[0].via.bin.ptr;
    cell->lengths_bytes = part[0].via.bin.size;
    cell->data = (const uint8_t *)part[1].via.bin.ptr;
    cell->bytes = part[1].via.bin.size;
    if (cell->lengths_bytes != cells * 4)
        return err_set(e, ERR_INPUT, "column '%s' does not have %llu lengths", f->name,
                       (unsigned long long)cells);
    for (uint64_t i = 0; i < cells; i++) total += frame_u32(cell->lengths + 4 * i);
    if (total * size != cell->bytes)
        return err_set(e, ERR_INPUT, "the lengths of column '%s' do not add up to its data",
                       f->name);
    return ERR_OK;
}

static enum err parse_rows(struct errctx *e, const struct stream_begin *begin,
                           const msgpack_object_map *map, struct record *r,
                           struct record_cell *cells)
{
    r->type = RECORD_ROWS;
    r->more = map->size == 3;
    const msgpack_object_kv *kv = map->ptr, *last = &kv[map->size - 1];
    if (map->size < 2 || map->size > 3 || !is_size(&kv[0].val) || !key_is(last, "cells") ||
        (r->more && (!key_is(&kv[1], "more") || kv[1].val.type != MSGPACK_OBJECT_BOOLEAN ||
                     !kv[1].val.via.boolean)))
        return bad(e, "a rows record does not have the keys rows, more, cells");
    if (!stream_kind_has_rows(begin->kind)) return bad(e, "rows in a stream of tensors");
    r->rows = (int64_t)kv[0].val.via.u64;
    if (r->rows > FRAME_RAW_LIMIT || (r->more && r->rows > 1))
        return bad(e, "the number of rows of a record is too large");
    const msgpack_object *list = &last->val;
    if (list->type != MSGPACK_OBJECT_ARRAY || list->via.array.size != begin->columns_count)
        return bad(e, "the number of cells is not that of the columns");
    for (int64_t i = 0; i < begin->columns_count; i++)
        TRY(parse_cell(e, &begin->columns[i], r, &list->via.array.ptr[i], &cells[i]));
    return ERR_OK;
}

static bool same_shape(const struct stream_field *f, const msgpack_object *o)
{
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != (uint32_t)f->dims) return false;
    for (int i = 0; i < f->dims; i++)
        if (!is_size(&o->via.array.ptr[i]) || (int64_t)o->via.array.ptr[i].via.u64 != f->shape[i])
            return false;
    return true;
}

static bool same_text(const msgpack_object *o, const char *s)
{
    size_t n = strlen(s);
    return o->type == MSGPACK_OBJECT_STR && o->via.str.size == n && !memcmp(o->via.str.ptr, s, n);
}

static enum err parse_tensor(struct errctx *e, const struct stream_begin *begin, int64_t tensor,
                             const msgpack_object_map *map, struct record *r)
{
    const msgpack_object_kv *kv = map->ptr;
    r->type = RECORD_TENSOR;
    if (map->size != 5 || !key_is(&kv[1], "dtype") || !key_is(&kv[2], "shape") ||
        !key_is(&kv[3], "first") || !key_is(&kv[4], "data") || !is_size(&kv[3].val) ||
        kv[4].val.type != MSGPACK_OBJECT_BIN)
        return bad(e, "a tensor record does not have the keys tensor, dtype, shape, first, data");
    if (tensor >= begin->tensors_count) return bad(e, "a tensor beyond those in begin");
    const struct stream_field *f = &begin->tensors[tensor];
    if (!same_text(&kv[0].val, f->name))
        return err_set(e, ERR_INPUT, "tensor '%s' should come here, as in begin", f->name);
    if (!same_text(&kv[1].val, dtype_name(f->dtype)) || !same_shape(f, &kv[2].val))
        return err_set(e, ERR_INPUT, "tensor '%s' has not the dtype and shape it has in begin",
                       f->name);
    r->tensor = tensor;
    r->first = (int64_t)kv[3].val.via.u64;
    r->data = (const uint8_t *)kv[4].val.via.bin.ptr;
    r->bytes = kv[4].val.via.bin.size;
    if (r->bytes == 0 || r->bytes % dtype_unit_bytes(f->dtype))
        return err_set(e, ERR_INPUT, "a piece of tensor '%s' is not whole %s", f->name,
                       dtype_is_blocks(f->dtype) ? "blocks" : "elements");
    return ERR_OK;
}

static enum err parse_map(struct errctx *e, const struct stream_begin *begin, int64_t tensor,
                          const msgpack_object *o, struct record *r, struct record_cell *cells)
{
    if (o->type != MSGPACK_OBJECT_MAP || o->via.map.size == 0)
        return bad(e, "a record is not a map");
    const msgpack_object_kv *first = o->via.map.ptr;
    if (key_is(first, "rows")) return parse_rows(e, begin, &o->via.map, r, cells);
    if (key_is(first, "tensor")) return parse_tensor(e, begin, tensor, &o->via.map, r);
    if (!key_is(first, "end")) return bad(e, "a record of unknown type");
    r->type = RECORD_END;
    return ERR_OK;
}

enum err record_parse(struct errctx *e, const struct stream_begin *begin, int64_t tensor,
                      const uint8_t *data, size_t n, struct record *out, struct record_cell *cells)
{
    size_t offset = 0;
    *out = (struct record){.type = RECORD_END};
    TRY(mp_check(e, data, n, &out->used));
    msgpack_unpacked u;
    msgpack_unpacked_init(&u);
    enum err code;
    if (msgpack_unpack_next(&u, (const char *)data, out->used, &offset) != MSGPACK_UNPACK_SUCCESS)
        code = err_memory(e, "msgpack values", out->used);
    else
        code = parse_map(e, begin, tensor, &u.data, out, cells);
    msgpack_unpacked_destroy(&u);
    return code;
}

/* ------------------------------------------------------------------ packing */

enum err record_pack_rows(struct errctx *e, const struct stream_begin *begin, int64_t rows,
                          bool more, const struct record_cell *cells, struct bytes *out)
{
    struct mp_packer p;
    mp_packer_init(&p, e, out);
    msgpack_pack_map(&p.pk, more ? 3 : 2);
    mp_pack_string(&p, "rows");
    msgpack_pack_int64(&p.pk, rows);
    if (more) {
        mp_pack_string(&p, "more");
        msgpack_pack_true(&p.pk);
    }
    mp_pack_string(&p, "cells");
    msgpack_pack_array(&p.pk, (size_t)begin->columns_count);
    for (int64_t i = 0; i < begin->columns_count; i++) {
        if (stream_field_ragged(&begin->columns[i])) {
            msgpack_pack_array(&p.pk, 2);
            mp_pack_binary(&p, cells[i].lengths, cells[i].lengths_bytes);
        }
        mp_pack_binary(&p, cells[i].data, cells[i].bytes);
    }
    return e->code;
}

enum err record_pack_tensor(struct errctx *e, const struct stream_field *f, int64_t first,
                            const void *data, size_t bytes, struct bytes *out)
{
    struct mp_packer p;
    mp_packer_init(&p, e, out);
    msgpack_pack_map(&p.pk, 5);
    mp_pack_string(&p, "tensor");
    mp_pack_string(&p, f->name);
    mp_pack_string(&p, "dtype");
    mp_pack_string(&p, dtype_name(f->dtype));
    mp_pack_string(&p, "shape");
    msgpack_pack_array(&p.pk, (size_t)f->dims);
    for (int i = 0; i < f->dims; i++) msgpack_pack_int64(&p.pk, f->shape[i]);
    mp_pack_string(&p, "first");
    msgpack_pack_int64(&p.pk, first);
    mp_pack_string(&p, "data");
    mp_pack_binary(&p, data, bytes);
    return e->code;
}

/* ------------------------------------------------------------------ end */

void record_end_fini(struct record_end *end)
{
    record_index_fini(&end->index);
    lineage_fini(&end->lineage);
    *end = (struct record_end){0};
}

enum err record_pack_end(struct errctx *e, const struct record_end *end, struct bytes *out)
{
    struct mp_packer p;
    size_t used, from = out->len;
    mp_packer_init(&p, e, out);
    msgpack_pack_map(&p.pk, 1);
    mp_pack_string(&p, "end");
    msgpack_pack_map(&p.pk, 7);
    mp_pack_string(&p, "rows");
    msgpack_pack_int64(&p.pk, end->rows);
    mp_pack_string(&p, "tensors");
    msgpack_pack_int64(&p.pk, end->tensors);
    mp_pack_string(&p, "bytes");
    msgpack_pack_uint64(&p.pk, end->bytes);
    mp_pack_string(&p, "id");
    mp_pack_binary(&p, end->id, 16);
    mp_pack_string(&p, "step");
    msgpack_pack_int64(&p.pk, end->index.step);
    mp_pack_string(&p, "index");
    mp_pack_binary(&p, end->index.entries.data, end->index.entries.len);
    mp_pack_string(&p, "lineage");
    if (e->code == ERR_OK) TRY(lineage_pack(e, &end->lineage, out));
    if (e->code != ERR_OK) return e->code;
    return mp_check(e, out->data + from, out->len - from, &used);
}

static enum err decode_end(struct errctx *e, const struct mp_value *record, struct record_end *out)
{
    const struct mp_value *end = mp_get(record, "end"), *lineage;
    const uint8_t *id;
    int64_t bytes;
    if (!end || record->as.list.count != 2 || end->type != MP_MAP || end->as.list.count != 14)
        return bad(e, "the end record does not have its known keys");
    TRY(mp_get_int(e, end, "rows", 0, INT64_MAX, &out->rows));
    TRY(mp_get_int(e, end, "tensors", 0, STREAM_MAX_TENSORS, &out->tensors));
    TRY(mp_get_int(e, end, "bytes", 0, INT64_MAX, &bytes));
    out->bytes = (uint64_t)bytes;
    TRY(mp_get_binary(e, end, "id", 16, &id));
    memcpy(out->id, id, 16);
    TRY(mp_get_int(e, end, "step", 1, FRAME_ENTRIES_LIMIT, &out->index.step));
    const struct mp_value *index = mp_get(end, "index");
    if (!index || index->type != MP_BINARY || index->as.bytes.len % 8 ||
        index->as.bytes.len > (size_t)RECORD_INDEX_LIMIT * 8)
        return bad(e, "key 'index' is not a list of at most 65536 numbers");
    TRY(bytes_append(e, &out->index.entries, index->as.bytes.data, index->as.bytes.len));
    TRY(mp_get_list(e, end, "lineage", MP_MAP, &lineage));
    TRY(lineage_decode(e, lineage, &out->lineage));
    const struct lineage *l = &out->lineage;
    if (l->count && memcmp(l->steps[l->count - 1].output, out->id, 16))
        return bad(e, "the last step of the lineage made something else");
    return ERR_OK;
}

enum err record_end_decode(struct errctx *e, const uint8_t *data, size_t n, struct record_end *out)
{
    struct mp_value record = {.type = MP_NIL};
    *out = (struct record_end){0};
    enum err code = mp_decode(e, data, n, &record);
    if (code == ERR_OK) code = decode_end(e, &record, out);
    mp_fini(&record);
    if (code != ERR_OK) {
        record_end_fini(out);
        return err_prefix(e, "end record");
    }
    return ERR_OK;
}
