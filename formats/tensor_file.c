/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_file.c: see tensor_file.h. */
#include "formats/tensor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"

void tensor_file_init(struct tensor_file *f)
{
    *f = (struct tensor_file){0};
    mp_map_init(&f->meta);
    mp_map_init(&f->types);
}

void tensor_file_close(struct tensor_file *f)
{
    for (size_t i = 0; i < f->count; i++) mem_free((char *)(uintptr_t)f->entries[i].name);
    for (size_t i = 0; i < f->files_count; i++) {
        if (f->files[i].bytes > 0) munmap((void *)(uintptr_t)f->files[i].data, f->files[i].bytes);
        mem_free(f->files[i].path);
    }
    mem_free(f->entries);
    mem_free(f->files);
    mp_fini(&f->meta);
    mp_fini(&f->types);
    tensor_file_init(f);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct tensor_entry *)a)->name, ((const struct tensor_entry *)b)->name);
}

const struct tensor_entry *tensor_file_find(const struct tensor_file *f, const char *name)
{
    const struct tensor_entry key = {.name = name};
    return f->count ? bsearch(&key, f->entries, f->count, sizeof key, compare_names) : NULL;
}

void tensor_file_release(const struct tensor_entry *t, size_t from, size_t n)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)(t->data + from);
    const uintptr_t first = (start + page - 1) / page * page, last = (start + n) / page * page;
    /* Advice: a refusal loses nothing but memory. */
    if (first < last) (void)madvise((void *)first, last - first, MADV_DONTNEED);
}

/* Local file header of an archive; the opcode that says which protocol follows. */
bool tensor_file_is_pickle(const uint8_t *data, size_t n)
{
    return (n >= 4 && !memcmp(data, "PK\3\4", 4)) ||
           (n >= 2 && data[0] == 0x80 && data[1] >= 2 && data[1] <= 5);
}

/* A name that a shell takes as it stands also inside quotes. */
static bool is_plain(const char *path)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+";
    return path[strspn(path, plain)] == '\0';
}

enum err tensor_file_refuse_pickle(struct errctx *e, const char *path)
{
    return err_set(e, ERR_INPUT,
                   "'%s' is a PyTorch pickle, which is a program and not read; convert it: "
                   "python3 -c \"import torch, safetensors.torch as s; "
                   "s.save_file({k: v.clone().contiguous() for k, v in torch.load('%s', "
                   "map_location='cpu', weights_only=True).items()}, 'model.safetensors')\"",
                   path, is_plain(path) ? path : "FILE");
}

/* ------------------------------------------------------------------ for openers */

static enum err add_file(struct errctx *e, struct tensor_file *f, const char *path,
                         struct tensor_map map, size_t *index)
{
    size_t capacity = f->files_count;
    TRY(mem_grow(e, &f->files, &capacity, f->files_count + 1, sizeof *f->files, "files"));
    TRY(mem_strdup(e, &map.path, path));
    *index = f->files_count;
    f->files[f->files_count++] = map;
    return ERR_OK;
}

static enum err map_open(struct errctx *e, const char *path, int fd, struct tensor_map *out)
{
    struct stat st;
    if (fstat(fd, &st)) return err_errno(e, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "'%s' is not a regular file, which is mapped as it is", path);
    *out = (struct tensor_map){.bytes = (size_t)st.st_size};
    if (st.st_size == 0) return ERR_OK;
    void *data = mmap(NULL, out->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return err_errno(e, "cannot map '%s'", path);
    out->data = data;
    return ERR_OK;
}

enum err tensor_file_map(struct errctx *e, struct tensor_file *f, const char *path, size_t *index)
{
    struct tensor_map map = {0};
    int fd = fault_here(FAULT_OPEN) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(e, "cannot open '%s'", path);
    enum err code = map_open(e, path, fd, &map);
    close(fd);
    TRY(code);
    code = add_file(e, f, path, map, index);
    if (code != ERR_OK && map.bytes > 0) munmap((void *)(uintptr_t)map.data, map.bytes);
    return code;
}

static enum err check_entry(struct errctx *e, const char *name, size_t name_bytes, enum dtype t,
                            int dims, const int64_t *shape, size_t *bytes)
{
    if (name_bytes == 0 || name_bytes > TENSOR_FILE_NAME)
        return err_set(e, ERR_INPUT, "a tensor's name has %zu bytes (1 to %d)", name_bytes,
                       TENSOR_FILE_NAME);
    if (!mp_utf8(name, name_bytes) || memchr(name, 0, name_bytes))
        return err_set(e, ERR_INPUT, "a tensor's name is not UTF-8 without NUL");
    if (dims < 0 || dims > TENSOR_FILE_DIMS)
        return err_set(e, ERR_INPUT, "tensor '%.*s' has %d dimensions (at most %d)",
                       (int)name_bytes, name, dims, TENSOR_FILE_DIMS);
    if (dtype_is_blocks(t) && (dims ? shape[dims - 1] : 1) % dtype_unit(t))
        return err_set(
            e, ERR_INPUT,
            "tensor '%.*s' of type %s: rows of %" PRId64 " elements are not whole blocks of %d",
            (int)name_bytes, name, dtype_name(t), dims ? shape[dims - 1] : 1, dtype_unit(t));
    if (!dtype_shape_bytes(t, dims, shape, bytes))
        return err_set(e, ERR_INPUT, "tensor '%.*s': its shape is negative or too large",
                       (int)name_bytes, name);
    return ERR_OK;
}

enum err tensor_file_add(struct errctx *e, struct tensor_file *f, size_t index, const char *name,
                         size_t name_bytes, enum dtype t, int dims, const int64_t *shape,
                         uint64_t offset)
{
    const struct tensor_map *map = &f->files[index];
    struct tensor_entry entry = {.dtype = t, .dims = dims, .file = index};
    char *copy;
    TRY(check_entry(e, name, name_bytes, t, dims, shape, &entry.bytes));
    if (f->count >= TENSOR_FILE_TENSORS)
        return err_set(e, ERR_INPUT, "more than %d tensors", TENSOR_FILE_TENSORS);
    if (offset > map->bytes || entry.bytes > map->bytes - offset)
        return err_set(e, ERR_INPUT,
                       "tensor '%.*s' (%zu bytes from byte %" PRIu64
                       ") ends behind the file, which has %zu bytes",
                       (int)name_bytes, name, entry.bytes, offset, map->bytes);
    TRY(mem_grow(e, &f->entries, &f->capacity, f->count + 1, sizeof *f->entries, "tensors"));
    TRY(mem_strndup(e, &copy, name, name_bytes));
    entry.name = copy;
    entry.data = map->data + offset;
    for (int i = 0; i < dims; i++) entry.shape[i] = shape[i];
    f->entries[f->count++] = entry;
    return ERR_OK;
}

enum err tensor_file_sort(struct errctx *e, struct tensor_file *f)
{
    if (f->count > 0) qsort(f->entries, f->count, sizeof *f->entries, compare_names);
    for (size_t i = 1; i < f->count; i++)
        if (!strcmp(f->entries[i - 1].name, f->entries[i].name))
            return err_set(e, ERR_INPUT, "tensor '%s' is there twice", f->entries[i].name);
    return ERR_OK;
}

/* By place; what is empty before what begins at the same byte. */
static int compare_places(const void *a, const void *b)
{
    const struct tensor_entry *x = *(const struct tensor_entry *const *)a;
    const struct tensor_entry *y = *(const struct tensor_entry *const *)b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static enum err walk_places(struct errctx *e, const uint8_t *base, struct tensor_entry **order,
                            size_t n, uint64_t from, uint64_t to, uint64_t align)
{
    uint64_t at = from;
    for (size_t i = 0; i < n; i++) {
        const uint64_t begin = (uint64_t)(order[i]->data - base);
        const uint64_t pad = (align - (at - from) % align) % align;
        if (begin < at)
            return err_set(e, ERR_INPUT,
                           "tensor '%s' begins at byte %" PRIu64 ", inside the one before it, "
                           "which ends at byte %" PRIu64,
                           order[i]->name, begin, at);
        if (begin - at != pad)
            return err_set(e, ERR_INPUT,
                           "tensor '%s' begins at byte %" PRIu64 ", but its place is byte %" PRIu64
                           ": a gap",
                           order[i]->name, begin, at + pad);
        at = begin + order[i]->bytes;
    }
    if (to - at >= align)
        return err_set(e, ERR_INPUT, "%" PRIu64 " bytes from byte %" PRIu64 " belong to no tensor",
                       to - at, at);
    return ERR_OK;
}

enum err tensor_file_contiguous(struct errctx *e, const struct tensor_file *f, size_t first,
                                size_t index, uint64_t from, uint64_t to, uint64_t align)
{
    const size_t n = f->count - first;
    struct tensor_entry **order;
    TRY(mem_new(e, &order, n, sizeof(struct tensor_entry *), "the order of tensors"));
    for (size_t i = 0; i < n; i++) order[i] = &f->entries[first + i];
    if (n > 0) qsort(order, n, sizeof *order, compare_places);
    enum err code = walk_places(e, f->files[index].data, order, n, from, to, align);
    mem_free(order);
    return code;
}
