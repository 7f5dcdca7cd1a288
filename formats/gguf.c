/* SPDX-License-Identifier: Apache-2.0 */
/* gguf.c: reading GGUF: see gguf.h. A cursor walks the mapped file; whatever a length or a count
 * promises must fit into what is left of it before anything is allocated. */
#include "formats/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/gguf_types.h"

struct cursor {
    struct errctx *e;
    const uint8_t *data;
    size_t n, at;
    size_t values;   /* metadata values so far */
    char where[128]; /* which field, for messages */
};

/* ------------------------------------------------------------------ the cursor */

static enum err bad(const struct cursor *c, const char *what)
{
    return err_set(c->e, ERR_INPUT, "byte %zu: %s: %s", c->at, c->where, what);
}

static enum err take(struct cursor *c, size_t n, const uint8_t **out)
{
    if (n > c->n - c->at) return bad(c, "the file ends here");
    *out = c->data + c->at;
    c->at += n;
    return ERR_OK;
}

static enum err take_u32(struct cursor *c, uint32_t *out)
{
    const uint8_t *p = NULL;
    TRY(take(c, sizeof *out, &p));
    memcpy(out, p, sizeof *out);
    return ERR_OK;
}

static enum err take_u64(struct cursor *c, uint64_t *out)
{
    const uint8_t *p = NULL;
    TRY(take(c, sizeof *out, &p));
    memcpy(out, p, sizeof *out);
    return ERR_OK;
}

static enum err take_string(struct cursor *c, const char **text, size_t *n)
{
    uint64_t bytes;
    const uint8_t *p = NULL;
    TRY(take_u64(c, &bytes));
    if (bytes > c->n - c->at) {
        c->at -= sizeof bytes;
        return bad(c, "a string that is longer than the rest of the file");
    }
    TRY(take(c, (size_t)bytes, &p));
    *text = (const char *)p;
    *n = (size_t)bytes;
    return ERR_OK;
}

/* ------------------------------------------------------------------ metadata */

static int64_t load_signed(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return (int64_t)(v << (64 - 8 * n)) >> (64 - 8 * n);
}

/* A number of n bytes at p. */
static struct mp_value number(enum gguf_type t, const uint8_t *p, size_t n)
{
    uint64_t u = 0;
    memcpy(&u, p, n);
    if (t == GGUF_F32) {
        float f;
        memcpy(&f, p, sizeof f);
        return (struct mp_value){.type = MP_REAL, .as.real = f};
    }
    if (t == GGUF_F64) {
        double d;
        memcpy(&d, p, sizeof d);
        return (struct mp_value){.type = MP_REAL, .as.real = d};
    }
    if (gguf_type_is_signed(t) && load_signed(p, n) < 0)
        return (struct mp_value){.type = MP_INT, .as.i = load_signed(p, n)};
    return (struct mp_value){.type = MP_UINT, .as.u = u};
}

static enum err read_string(struct cursor *c, struct mp_value *v)
{
    const char *text;
    size_t n;
    TRY(take_string(c, &text, &n));
    return mp_bytes(c->e, v, mp_utf8(text, n) ? MP_STRING : MP_BINARY, text, n);
}

static enum err read_scalar(struct cursor *c, enum gguf_type t, struct mp_value *v)
{
    const size_t n = gguf_type_bytes(t);
    const uint8_t *p = NULL;
    if (++c->values > GGUF_VALUES) return bad(c, "too many values");
    if (t == GGUF_STRING) return read_string(c, v);
    TRY(take(c, n, &p));
    if (t == GGUF_BOOL && *p > 1) {
        c->at--;
        return bad(c, "a bool that is neither 0 nor 1");
    }
    if (t == GGUF_BOOL)
        *v = (struct mp_value){.type = MP_BOOL, .as.boolean = *p};
    else
        *v = number(t, p, n);
    return ERR_OK;
}

static enum err read_type(struct cursor *c, enum gguf_type *t)
{
    uint32_t v;
    TRY(take_u32(c, &v));
    if (v >= GGUF_TYPE_COUNT) {
        c->at -= sizeof v;
        return err_set(c->e, ERR_INPUT, "byte %zu: %s: type %" PRIu32 " of values is not known",
                       c->at, c->where, v);
    }
    *t = (enum gguf_type)v;
    return ERR_OK;
}

static enum err read_array(struct cursor *c, int depth, struct mp_value *v, struct mp_value *type);

static enum err read_arrays(struct cursor *c, uint64_t count, int depth, struct mp_value *v,
                            struct mp_value *type)
{
    mp_array_init(type);
    for (uint64_t i = 0; i < count; i++) {
        struct mp_value item = {.type = MP_NIL}, item_type = {.type = MP_NIL};
        enum err code = read_array(c, depth + 1, &item, &item_type);
        if (code != ERR_OK) {
            mp_fini(&item);
            mp_fini(&item_type);
            return code;
        }
        code = mp_append_take(c->e, v, &item);
        if (code != ERR_OK) {
            mp_fini(&item_type);
            return code;
        }
        TRY(mp_append_take(c->e, type, &item_type));
    }
    return ERR_OK;
}

/* What is begun in *v and *type is the caller's to free. */
static enum err read_array(struct cursor *c, int depth, struct mp_value *v, struct mp_value *type)
{
    enum gguf_type t = GGUF_TYPE_COUNT;
    uint64_t count;
    char name[16];
    if (++c->values > GGUF_VALUES) return bad(c, "too many values");
    if (depth > GGUF_DEPTH) return bad(c, "arrays nested too deeply");
    TRY(read_type(c, &t));
    TRY(take_u64(c, &count));
    if (count > (c->n - c->at) / gguf_type_least(t)) {
        c->at -= sizeof count;
        return bad(c, "an array that is longer than the rest of the file");
    }
    if (count > GGUF_VALUES - c->values) return bad(c, "too many values");
    mp_array_init(v);
    if (t == GGUF_ARRAY) return read_arrays(c, count, depth, v, type);
    snprintf(name, sizeof name, "[%s]", gguf_type_name(t));
    TRY(mp_bytes(c->e, type, MP_STRING, name, strlen(name)));
    for (uint64_t i = 0; i < count; i++) {
        struct mp_value item;
        TRY(read_scalar(c, t, &item));
        TRY(mp_append_take(c->e, v, &item));
    }
    return ERR_OK;
}

static enum err read_value(struct cursor *c, struct mp_value *v, struct mp_value *type)
{
    enum gguf_type t = GGUF_TYPE_COUNT;
    TRY(read_type(c, &t));
    if (t == GGUF_ARRAY) return read_array(c, 1, v, type);
    TRY(read_scalar(c, t, v));
    return mp_bytes(c->e, type, MP_STRING, gguf_type_name(t), strlen(gguf_type_name(t)));
}

static enum err read_key(struct cursor *c, struct tensor_file *f)
{
    struct mp_value v = {.type = MP_NIL}, type = {.type = MP_NIL};
    const char *text;
    char *key;
    size_t n;
    TRY(take_string(c, &text, &n));
    if (n == 0 || n > GGUF_KEY || !mp_utf8(text, n) || memchr(text, 0, n)) {
        c->at -= n;
        return bad(c, "a key that is empty, too long or not UTF-8");
    }
    TRY(mem_strndup(c->e, &key, text, n));
    snprintf(c->where, sizeof c->where, "key '%.100s'", key);
    enum err code = ERR_OK;
    if (mp_get(&f->meta, key)) code = bad(c, "it is there twice");
    if (code == ERR_OK) code = read_value(c, &v, &type);
    if (code == ERR_OK) {
        code = mp_set_take(c->e, &f->meta, key, &v);
        v = (struct mp_value){.type = MP_NIL};
    }
    if (code == ERR_OK) {
        code = mp_set_take(c->e, &f->types, key, &type);
        type = (struct mp_value){.type = MP_NIL};
    }
    mp_fini(&v);
    mp_fini(&type);
    mem_free(key);
    return code;
}

/* ------------------------------------------------------------------ tensors */

struct layout {
    uint64_t *offsets;
    uint64_t base, align; /* of the data */
};

static enum err read_shape(struct cursor *c, int *dims, int64_t *shape)
{
    uint32_t n;
    TRY(take_u32(c, &n));
    if (n > GGUF_DIMS) {
        c->at -= sizeof n;
        return bad(c, "more than 4 dimensions");
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t size;
        TRY(take_u64(c, &size));
        if (size > INT64_MAX) {
            c->at -= sizeof size;
            return bad(c, "a dimension that is too large");
        }
        shape[n - 1 - i] = (int64_t)size;
    }
    *dims = (int)n;
    return ERR_OK;
}

static enum err read_tensor_type(struct cursor *c, enum dtype *t)
{
    uint32_t v;
    TRY(take_u32(c, &v));
    *t = gguf_dtype(v);
    if (*t != DTYPE_NONE) return ERR_OK;
    const char *name = gguf_tensor_type_name(v);
    c->at -= sizeof v;
    if (name)
        return err_set(c->e, ERR_INPUT, "byte %zu: %s is of type %s, which graft does not read",
                       c->at, c->where, name);
    return err_set(c->e, ERR_INPUT, "byte %zu: %s is of type %" PRIu32 ", which is not known",
                   c->at, c->where, v);
}

struct info {
    const char *name;
    size_t name_bytes;
    int dims;
    int64_t shape[TENSOR_FILE_DIMS];
    enum dtype dtype;
    uint64_t offset;
    size_t at; /* where it stands */
};

static enum err read_info(struct cursor *c, struct info *t)
{
    snprintf(c->where, sizeof c->where, "a tensor's name");
    t->at = c->at;
    TRY(take_string(c, &t->name, &t->name_bytes));
    if (t->name_bytes == 0 || t->name_bytes > GGUF_NAME || !mp_utf8(t->name, t->name_bytes) ||
        memchr(t->name, 0, t->name_bytes)) {
        c->at = t->at;
        return bad(c, "it is empty, longer than 64 bytes or not UTF-8");
    }
    snprintf(c->where, sizeof c->where, "tensor '%.*s'", (int)t->name_bytes, t->name);
    TRY(read_shape(c, &t->dims, t->shape));
    TRY(read_tensor_type(c, &t->dtype));
    return take_u64(c, &t->offset);
}

static enum err alignment_of(struct cursor *c, const struct tensor_file *f, uint64_t *align)
{
    int64_t v = GGUF_ALIGNMENT;
    if (mp_get(&f->meta, "general.alignment"))
        TRY(mp_get_int(c->e, &f->meta, "general.alignment", 1, (int64_t)1 << 30, &v));
    if (v & (v - 1))
        return err_set(c->e, ERR_INPUT, "general.alignment is %" PRId64 ", not a power of two", v);
    *align = (uint64_t)v;
    return ERR_OK;
}

/* The infos are read twice: where the data begins is known behind the last one. */
static enum err read_tensors(struct cursor *c, struct tensor_file *f, uint64_t count)
{
    const size_t first = c->at;
    struct info t;
    uint64_t align = 1, base, offset;
    TRY(alignment_of(c, f, &align));
    for (uint64_t i = 0; i < count; i++) TRY(read_info(c, &t));
    base = (c->at + align - 1) / align * align;
    c->at = first;
    for (uint64_t i = 0; i < count; i++) {
        TRY(read_info(c, &t));
        if (__builtin_add_overflow(base, t.offset, &offset)) offset = UINT64_MAX;
        if (tensor_file_add(c->e, f, 0, t.name, t.name_bytes, t.dtype, t.dims, t.shape, offset) !=
            ERR_OK)
            return err_prefix(c->e, "byte %zu", t.at);
    }
    if (count == 0) return ERR_OK; /* a vocabulary: whatever pads it */
    TRY(tensor_file_contiguous(c->e, f, 0, 0, base, c->n, align));
    return tensor_file_sort(c->e, f);
}

/* ------------------------------------------------------------------ the file */

static enum err read_version(struct cursor *c)
{
    const uint8_t *magic = NULL;
    uint32_t version;
    TRY(take(c, 4, &magic));
    if (memcmp(magic, "GGUF", 4)) {
        c->at = 0;
        return bad(c, "it does not begin with 'GGUF'");
    }
    snprintf(c->where, sizeof c->where, "the version");
    TRY(take_u32(c, &version));
    if (version == 2 || version == 3) return ERR_OK;
    c->at -= sizeof version;
    if ((version & 0xffff) == 0) return bad(c, "the file is big-endian, which graft does not read");
    return err_set(c->e, ERR_INPUT,
                   "byte %zu: version %" PRIu32 " of GGUF is not read (2 and 3 are)", c->at,
                   version);
}

static enum err read_file(struct cursor *c, struct tensor_file *f)
{
    uint64_t tensors, keys;
    TRY(read_version(c));
    snprintf(c->where, sizeof c->where, "the number of tensors");
    TRY(take_u64(c, &tensors));
    snprintf(c->where, sizeof c->where, "the number of keys");
    TRY(take_u64(c, &keys));
    if (keys > GGUF_META_KEYS) return bad(c, "more keys than a model has");
    for (uint64_t i = 0; i < keys; i++) {
        snprintf(c->where, sizeof c->where, "key %" PRIu64, i);
        TRY(read_key(c, f));
    }
    int64_t parts = 1;
    if (mp_get(&f->meta, "split.count"))
        TRY(mp_get_int(c->e, &f->meta, "split.count", 0, UINT16_MAX, &parts));
    if (parts > 1)
        return err_set(c->e, ERR_INPUT,
                       "one of %" PRId64 " parts of a model; join them: llama-gguf-split --merge "
                       "FIRST-PART WHOLE.gguf",
                       parts);
    return read_tensors(c, f, tensors);
}

enum err gguf_open(struct errctx *e, const char *path, struct tensor_file *f)
{
    size_t index;
    tensor_file_init(f);
    enum err code = tensor_file_map(e, f, path, &index);
    if (code == ERR_OK) {
        struct cursor c = {
            .e = e, .data = f->files[index].data, .n = f->files[index].bytes, .where = "the magic"};
        code = read_file(&c, f);
        if (code != ERR_OK) err_prefix(e, "'%s'", path);
    }
    if (code != ERR_OK) tensor_file_close(f);
    return code;
}
