/* SPDX-License-Identifier: Apache-2.0 */
/* npy.c: see npy.h. The header is a dictionary as Python writes it; what is read is the part of
 * that language that numpy's writer uses. */
#include "formats/npy.h"

#include <inttypes.h>
#include <string.h>

#include "formats/zip.h"

enum { FIXED_BYTES = 8, HEADER_LIMIT = 1 << 20 };

/* ------------------------------------------------------------------ the header */

struct header {
    struct errctx *e;
    const char *text;
    size_t n, at;
    uint64_t first; /* byte of the file at which it begins */
    enum dtype dtype;
    int dims;
    int64_t shape[TENSOR_FILE_DIMS];
    bool fortran, seen[3];
};

static enum err bad(const struct header *h, const char *what)
{
    return err_set(h->e, ERR_INPUT, "byte %" PRIu64 ": %s", h->first + h->at, what);
}

static char next(struct header *h)
{
    while (h->at < h->n && (h->text[h->at] == ' ' || h->text[h->at] == '\n')) h->at++;
    return h->at < h->n ? h->text[h->at] : 0;
}

static bool take(struct header *h, char c)
{
    if (next(h) != c) return false;
    h->at++;
    return true;
}

static bool take_word(struct header *h, const char *word)
{
    const size_t n = strlen(word);
    next(h);
    if (h->n - h->at < n || memcmp(h->text + h->at, word, n) != 0) return false;
    h->at += n;
    return true;
}

/* 'text' or "text" without escapes. */
static enum err take_string(struct header *h, const char **text, size_t *n)
{
    const char quote = next(h);
    if (quote != '\'' && quote != '"') return bad(h, "a string is wanted here");
    const char *begin = h->text + h->at + 1;
    const char *end = memchr(begin, quote, h->n - h->at - 1);
    if (!end || memchr(begin, '\\', (size_t)(end - begin)))
        return bad(h, "a string that does not end, or has escapes");
    *text = begin;
    *n = (size_t)(end - begin);
    h->at = (size_t)(end + 1 - h->text);
    return ERR_OK;
}

static enum err read_descr(struct header *h)
{
    static const struct {
        const char *descr;
        enum dtype dtype;
    } known[] = {
        {"<f8", DTYPE_F64}, {"<f4", DTYPE_F32}, {"<f2", DTYPE_F16}, {"<i8", DTYPE_I64},
        {"<i4", DTYPE_I32}, {"<i2", DTYPE_I16}, {"|i1", DTYPE_I8},  {"<u8", DTYPE_U64},
        {"<u4", DTYPE_U32}, {"<u2", DTYPE_U16}, {"|u1", DTYPE_U8},  {"|b1", DTYPE_BOOL},
    };
    const size_t before = h->at;
    const char *text = "";
    size_t n = 0;
    if (next(h) == '[') return bad(h, "an array of records, which graft does not read");
    TRY(take_string(h, &text, &n));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].descr) == n && !memcmp(known[i].descr, text, n)) {
            h->dtype = known[i].dtype;
            return ERR_OK;
        }
    h->at = before;
    return err_set(
        h->e, ERR_INPUT, "byte %" PRIu64 ": descr '%.*s' is of a type that graft does not read%s",
        h->first + h->at, n < 40 ? (int)n : 40, text, n > 0 && *text == '>' ? ": big-endian" : "");
}

static enum err read_shape(struct header *h)
{
    if (!take(h, '(')) return bad(h, "the shape is not a tuple");
    while (!take(h, ')')) {
        int64_t size = 0;
        const size_t before = h->at;
        if (h->dims == TENSOR_FILE_DIMS) return bad(h, "more than 8 dimensions");
        for (next(h); h->at < h->n && h->text[h->at] >= '0' && h->text[h->at] <= '9'; h->at++)
            if (__builtin_mul_overflow(size, 10, &size) ||
                __builtin_add_overflow(size, h->text[h->at] - '0', &size))
                return bad(h, "a dimension that is too large");
        if (h->at == before || h->text[h->at - 1] < '0' || h->text[h->at - 1] > '9')
            return bad(h, "a dimension is wanted here");
        h->shape[h->dims++] = size;
        if (!take(h, ',') && next(h) != ')') return bad(h, "a comma or ')' is wanted here");
    }
    return ERR_OK;
}

static enum err read_item(struct header *h)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    const char *key = "";
    size_t n = 0, k = 0;
    TRY(take_string(h, &key, &n));
    while (k < 3 && (strlen(keys[k]) != n || memcmp(keys[k], key, n) != 0)) k++;
    if (k == 3 || h->seen[k]) return bad(h, "a key that is not known, or there twice");
    h->seen[k] = true;
    if (!take(h, ':')) return bad(h, "':' is wanted here");
    if (k == 0) return read_descr(h);
    if (k == 2) return read_shape(h);
    h->fortran = take_word(h, "True");
    if (!h->fortran && !take_word(h, "False")) return bad(h, "True or False is wanted here");
    return ERR_OK;
}

static enum err read_header(struct header *h)
{
    if (!take(h, '{')) return bad(h, "the header is no dictionary");
    while (!take(h, '}')) {
        TRY(read_item(h));
        if (!take(h, ',') && next(h) != '}') return bad(h, "a comma or '}' is wanted here");
    }
    if (next(h) || h->at < h->n) return bad(h, "something stands behind the dictionary");
    if (!h->seen[0] || !h->seen[1] || !h->seen[2])
        return bad(h, "the header lacks descr, fortran_order or shape");
    if (h->fortran && h->dims > 1)
        return bad(h, "columns one after another (fortran_order); save numpy.ascontiguousarray(a)");
    return ERR_OK;
}

/* One array, which is all of bytes [from, from + bytes) of file `index`. */
static enum err read_array(struct errctx *e, struct tensor_file *f, size_t index, uint64_t from,
                           uint64_t bytes, const char *name, size_t name_bytes)
{
    const uint8_t *p = f->files[index].data + from;
    if (bytes < FIXED_BYTES || memcmp(p, "\x93NUMPY", 6) != 0)
        return err_set(e, ERR_INPUT,
                       "byte %" PRIu64 ": no NumPy array: it does not begin with \\x93NUMPY", from);
    if (p[6] < 1 || p[6] > 3 || p[7] != 0)
        return err_set(e, ERR_INPUT, "byte %" PRIu64 ": version %d.%d is not read (1.0 to 3.0 are)",
                       from + 6, p[6], p[7]);
    const size_t width = p[6] == 1 ? 2 : 4, first = FIXED_BYTES + width;
    uint32_t n = 0;
    if (bytes >= first) memcpy(&n, p + FIXED_BYTES, width);
    if (bytes < first || n > HEADER_LIMIT || n > bytes - first)
        return err_set(e, ERR_INPUT,
                       "byte %" PRIu64 ": a header of %" PRIu32 " bytes, where %" PRIu64
                       " are left",
                       from + FIXED_BYTES, n, bytes - FIXED_BYTES);
    struct header h = {.e = e, .text = (const char *)p + first, .n = n, .first = from + first};
    TRY(read_header(&h));
    TRY(tensor_file_add(e, f, index, name, name_bytes, h.dtype, h.dims, h.shape, from + first + n));
    const uint64_t want = first + n + f->entries[f->count - 1].bytes;
    if (bytes == want) return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "byte %" PRIu64 ": the array has %" PRIu64 " bytes, but dtype and shape say %zu",
                   from + first + n, bytes - first - n, f->entries[f->count - 1].bytes);
}

/* Bytes of a name without ".npy". */
static size_t stem(const char *name, size_t n)
{
    return n > 4 && !memcmp(name + n - 4, ".npy", 4) ? n - 4 : n;
}

enum err npy_open(struct errctx *e, const char *path, struct tensor_file *f)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t index;
    tensor_file_init(f);
    enum err code = tensor_file_map(e, f, path, &index);
    if (code == ERR_OK &&
        read_array(e, f, index, 0, f->files[index].bytes, name, stem(name, strlen(name))) != ERR_OK)
        code = err_prefix(e, "'%s'", path);
    if (code != ERR_OK) tensor_file_close(f);
    return code;
}

/* ------------------------------------------------------------------ archives */

static enum err read_members(struct errctx *e, struct tensor_file *f, size_t index)
{
    const struct tensor_map *m = &f->files[index];
    struct zip zip;
    struct zip_member member;
    TRY(zip_begin(e, m->data, m->bytes, &zip));
    for (;;) {
        TRY(zip_next(e, &zip, &member));
        if (!member.name) return tensor_file_sort(e, f);
        const size_t n = stem(member.name, member.name_bytes);
        if (read_array(e, f, index, member.offset, member.bytes, member.name, n) != ERR_OK)
            return err_prefix(e, "member '%.*s'", (int)(n < 99 ? n : 99), member.name);
    }
}

enum err npz_open(struct errctx *e, const char *path, struct tensor_file *f)
{
    size_t index;
    tensor_file_init(f);
    enum err code = tensor_file_map(e, f, path, &index);
    if (code == ERR_OK && read_members(e, f, index) != ERR_OK) code = err_prefix(e, "'%s'", path);
    if (code != ERR_OK) tensor_file_close(f);
    return code;
}
