/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.c: reading safetensors: see safetensors.h. */
#include "formats/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"

enum { LENGTH_BYTES = 8, HEADER_LIMIT = 100 * 1000 * 1000, INDEX_LIMIT = 100 * 1000 * 1000 };

/* ------------------------------------------------------------------ the header */

static enum err parse(struct errctx *e, const char *text, size_t n, size_t first, json_t **out)
{
    json_error_t error;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (*out == NULL && json_error_code(&error) == json_error_out_of_memory)
        return err_memory(e, "a header", n);
    if (*out == NULL)
        return err_set(e, ERR_INPUT, "byte %zu: %s", first + (size_t)error.position, error.text);
    if (json_is_object(*out)) return ERR_OK;
    json_decref(*out);
    return err_set(e, ERR_INPUT, "byte %zu: not a JSON object", first);
}

/* __metadata__: strings by name. */
static enum err read_meta(struct errctx *e, const json_t *from, struct mp_value *meta)
{
    const char *key;
    const json_t *value;
    if (!json_is_object(from) || json_object_size(from) > MP_MAX_KEYS)
        return err_set(e, ERR_INPUT, "__metadata__ is not an object of at most %d keys",
                       MP_MAX_KEYS);
    json_object_foreach((json_t *)(uintptr_t)from, key, value)
    {
        if (!json_is_string(value))
            return err_set(e, ERR_INPUT, "__metadata__: the value of '%s' is not a string", key);
        TRY(mp_set_string(e, meta, key, json_string_value(value)));
    }
    return ERR_OK;
}

static enum err read_shape(struct errctx *e, const char *name, const json_t *list, int64_t *shape)
{
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || n > TENSOR_FILE_DIMS)
        return err_set(e, ERR_INPUT, "tensor '%s': shape is not a list of at most %d numbers", name,
                       TENSOR_FILE_DIMS);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return err_set(e, ERR_INPUT, "tensor '%s': shape[%zu] is not a number from 0 on", name,
                           i);
        shape[i] = json_integer_value(v);
    }
    return ERR_OK;
}

static enum err read_offsets(struct errctx *e, const char *name, const json_t *list,
                             uint64_t offset[2])
{
    if (!json_is_array(list) || json_array_size(list) != 2)
        return err_set(e, ERR_INPUT, "tensor '%s': data_offsets are not two numbers", name);
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return err_set(e, ERR_INPUT, "tensor '%s': data_offsets[%zu] is not a number from 0 on",
                           name, i);
        offset[i] = (uint64_t)json_integer_value(v);
    }
    if (offset[1] < offset[0])
        return err_set(e, ERR_INPUT,
                       "tensor '%s': data_offsets end (%" PRIu64 ") before they begin (%" PRIu64
                       ")",
                       name, offset[1], offset[0]);
    return ERR_OK;
}

static enum err read_dtype(struct errctx *e, const char *name, const json_t *v, enum dtype *t)
{
    const char *text = json_string_value(v);
    if (!text) return err_set(e, ERR_INPUT, "tensor '%s': dtype is not a string", name);
    *t = dtype_from_name(text, strlen(text));
    if (*t == DTYPE_NONE || dtype_is_blocks(*t)) /* the format has no blocks */
        return err_set(e, ERR_INPUT, "tensor '%s' has dtype '%s', which graft has no type for",
                       name, text);
    return ERR_OK;
}

static enum err read_tensor(struct errctx *e, struct tensor_file *f, size_t index, const char *name,
                            const json_t *o, uint64_t base)
{
    int64_t shape[TENSOR_FILE_DIMS];
    uint64_t offset[2], begin;
    enum dtype t = DTYPE_NONE;
    const json_t *dims = json_object_get(o, "shape");
    const char *key;
    const json_t *value;
    if (!json_is_object(o)) return err_set(e, ERR_INPUT, "tensor '%s' is not an object", name);
    json_object_foreach((json_t *)(uintptr_t)o, key, value)
    {
        if (strcmp(key, "dtype") && strcmp(key, "shape") && strcmp(key, "data_offsets"))
            return err_set(e, ERR_INPUT, "tensor '%s' has a field '%s', which is not known", name,
                           key);
    }
    TRY(read_dtype(e, name, json_object_get(o, "dtype"), &t));
    TRY(read_shape(e, name, dims, shape));
    TRY(read_offsets(e, name, json_object_get(o, "data_offsets"), offset));
    if (__builtin_add_overflow(base, offset[0], &begin))
        return err_set(e, ERR_INPUT, "tensor '%s': data_offsets are too large", name);
    TRY(tensor_file_add(e, f, index, name, strlen(name), t, (int)json_array_size(dims), shape,
                        begin));
    const size_t bytes = f->entries[f->count - 1].bytes;
    if (bytes != offset[1] - offset[0])
        return err_set(e, ERR_INPUT,
                       "tensor '%s': data_offsets hold %" PRIu64 " bytes, but dtype and shape say "
                       "%zu",
                       name, offset[1] - offset[0], bytes);
    return ERR_OK;
}

static enum err read_tensors(struct errctx *e, struct tensor_file *f, size_t index, json_t *header,
                             struct mp_value *meta, uint64_t base)
{
    const size_t first = f->count;
    const char *name;
    json_t *o;
    json_object_foreach(header, name, o)
    {
        if (!strcmp(name, "__metadata__"))
            TRY(read_meta(e, o, meta));
        else
            TRY(read_tensor(e, f, index, name, o, base));
    }
    return tensor_file_contiguous(e, f, first, index, base, f->files[index].bytes, 1);
}

static enum err read_header(struct errctx *e, struct tensor_file *f, size_t index,
                            struct mp_value *meta)
{
    const struct tensor_map *m = &f->files[index];
    uint64_t n = 0;
    json_t *header;
    if (m->bytes >= LENGTH_BYTES) memcpy(&n, m->data, LENGTH_BYTES);
    if (m->bytes < LENGTH_BYTES || n > m->bytes - LENGTH_BYTES || n > HEADER_LIMIT) {
        if (m->bytes < LENGTH_BYTES)
            return err_set(e, ERR_INPUT, "%zu bytes are no safetensors file, which has 8 and more",
                           m->bytes);
        return err_set(e, ERR_INPUT,
                       "byte 0: a header of %" PRIu64 " bytes, in a file of %zu (at most %d); is "
                       "this a safetensors file?",
                       n, m->bytes, HEADER_LIMIT);
    }
    const char *text = (const char *)m->data + LENGTH_BYTES;
    size_t end = (size_t)n;
    while (end > 0 && text[end - 1] == ' ') end--;
    if (end < 2 || text[0] != '{' || text[end - 1] != '}')
        return err_set(e, ERR_INPUT,
                       "byte 8: the header is not a JSON object from '{' to '}', then spaces");
    TRY(parse(e, text, end, LENGTH_BYTES, &header));
    enum err code = read_tensors(e, f, index, header, meta, LENGTH_BYTES + n);
    json_decref(header);
    return code;
}

static enum err open_file(struct errctx *e, const char *path, struct tensor_file *f, size_t *index,
                          struct mp_value *meta)
{
    TRY(tensor_file_map(e, f, path, index));
    if (tensor_file_is_pickle(f->files[*index].data, f->files[*index].bytes))
        return tensor_file_refuse_pickle(e, path);
    if (read_header(e, f, *index, meta) == ERR_OK) return ERR_OK;
    return err_prefix(e, "'%s'", path);
}

/* ------------------------------------------------------------------ shards */

/* A plain name in the index's own folder: no way out of it. */
static bool is_plain(const char *name)
{
    return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/') &&
           !strchr(name, '\\');
}

/* meta keeps what it has in common with one more shard's. */
static enum err agree(struct errctx *e, struct mp_value *meta, const struct mp_value *other,
                      bool first)
{
    struct mp_value kept;
    if (first) return mp_copy(e, other, meta);
    mp_map_init(&kept);
    enum err code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i + 1 < meta->as.list.count; i += 2) {
        const char *key = meta->as.list.items[i].as.bytes.data;
        const struct mp_value *there = mp_get(other, key);
        if (there && mp_equal(there, &meta->as.list.items[i + 1]))
            code = mp_set(e, &kept, key, there);
    }
    mp_fini(meta);
    *meta = kept;
    return code;
}

static enum err open_shard(struct errctx *e, const char *folder, size_t folder_bytes,
                           const char *name, struct tensor_file *f)
{
    struct mp_value meta;
    size_t index;
    char *path;
    TRY(mem_printf(e, &path, "%.*s%s", (int)folder_bytes, folder, name));
    mp_map_init(&meta);
    enum err code = access(path, F_OK) == 0
                        ? open_file(e, path, f, &index, &meta)
                        : err_set(e, ERR_INPUT, "weight_map: there is no file '%s'", name);
    if (code == ERR_OK) {
        if (index == 0) mp_fini(&f->meta);
        code = agree(e, &f->meta, &meta, index == 0);
    }
    mp_fini(&meta);
    mem_free(path);
    return code;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every shard that the map names, once, in the order of their names. */
static enum err open_shards(struct errctx *e, const char *path, const char **shards, size_t n,
                            struct tensor_file *f)
{
    const char *slash = strrchr(path, '/');
    const size_t folder = slash ? (size_t)(slash + 1 - path) : 0;
    if (n > 0) qsort(shards, n, sizeof *shards, compare_texts);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(shards[i], shards[i - 1]))
            TRY(open_shard(e, path, folder, shards[i], f));
    return tensor_file_sort(e, f);
}

/* Index and shards tell of the same tensors. */
static enum err check_map(struct errctx *e, const json_t *map, const struct tensor_file *f)
{
    const char *name;
    const json_t *v;
    json_object_foreach((json_t *)(uintptr_t)map, name, v)
    {
        const struct tensor_entry *t = tensor_file_find(f, name);
        const char *file = t ? f->files[t->file].path : NULL;
        const char *slash = file ? strrchr(file, '/') : NULL;
        if (!t || strcmp(slash ? slash + 1 : file, json_string_value(v)))
            return err_set(e, ERR_INPUT, "weight_map: tensor '%s' is not in '%s'", name,
                           json_string_value(v));
    }
    for (size_t i = 0; i < f->count; i++)
        if (!json_object_get(map, f->entries[i].name))
            return err_set(e, ERR_INPUT, "weight_map: tensor '%s' of '%s' is missing",
                           f->entries[i].name, f->files[f->entries[i].file].path);
    return ERR_OK;
}

static enum err read_map(struct errctx *e, const char *path, const json_t *map,
                         struct tensor_file *f)
{
    const char **shards, *name;
    const json_t *v;
    size_t n = 0;
    if (!json_is_object(map) || json_object_size(map) == 0)
        return err_set(e, ERR_INPUT, "weight_map is missing or empty");
    json_object_foreach((json_t *)(uintptr_t)map, name, v)
    {
        const char *file = json_string_value(v);
        if (!file || !is_plain(file))
            return err_set(e, ERR_INPUT,
                           "weight_map: tensor '%s' is in '%s', which is not a plain file name",
                           name, file ? file : "a value that is no string");
    }
    TRY(mem_new(e, &shards, json_object_size(map), sizeof *shards, "shards"));
    json_object_foreach((json_t *)(uintptr_t)map, name, v) shards[n++] = json_string_value(v);
    enum err code = open_shards(e, path, shards, n, f);
    mem_free(shards);
    return code == ERR_OK ? check_map(e, map, f) : code;
}

static enum err open_index(struct errctx *e, const char *path, struct tensor_file *f)
{
    struct bytes text = {0};
    json_t *index = NULL;
    enum err code = io_slurp(e, path, INDEX_LIMIT, &text);
    if (code == ERR_OK) {
        code = parse(e, (const char *)text.data, text.len, 0, &index);
        if (code == ERR_OK) code = read_map(e, path, json_object_get(index, "weight_map"), f);
        if (code != ERR_OK) err_prefix(e, "'%s'", path);
    }
    json_decref(index);
    bytes_fini(&text);
    return code;
}

enum err safetensors_open(struct errctx *e, const char *path, struct tensor_file *f)
{
    const size_t n = strlen(path);
    size_t index;
    enum err code;
    tensor_file_init(f);
    if (n > 5 && !strcmp(path + n - 5, ".json")) {
        code = open_index(e, path, f);
    } else {
        code = open_file(e, path, f, &index, &f->meta);
        if (code == ERR_OK && tensor_file_sort(e, f) != ERR_OK) code = err_prefix(e, "'%s'", path);
    }
    if (code != ERR_OK) tensor_file_close(f);
    return code;
}
