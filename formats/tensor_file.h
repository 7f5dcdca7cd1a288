/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_file.h: what files of tensors of other programs have in common once they are open: named
 * tensors that lie in mapped memory, and metadata. safetensors.h, gguf.h, npy.h and llama2c.h open
 * them; importers read them and never copy a file.
 *
 * What an opener hands out is checked: every tensor lies inside its file and has as many bytes as
 * its dtype and shape say, names are UTF-8, at most STREAM_MAX_NAME bytes, and each there once. The
 * values themselves are not looked at.
 *
 * A file that somebody shortens while it is mapped ends the process (SIGBUS), as with any mapping.
 *
 * Ownership: whoever opened it, tensor_file_close; names, metadata and data live until then. */
#ifndef GRAFT_FORMATS_TENSOR_FILE_H
#define GRAFT_FORMATS_TENSOR_FILE_H

#include <stddef.h>
#include <stdint.h>
#include "common/base/dtype.h"
#include "common/base/err.h"
#include "formats/msgpack.h"

enum { TENSOR_FILE_DIMS = 8, TENSOR_FILE_NAME = 255, TENSOR_FILE_TENSORS = 1 << 20 };

struct tensor_entry {
    const char *name;
    enum dtype dtype; /* as stored, block-quantised ones included */
    int dims;
    int64_t shape[TENSOR_FILE_DIMS]; /* the outermost dimension first, whatever the file's order */
    const uint8_t *data;             /* little-endian, maybe not aligned; rows one after another */
    size_t bytes;
    size_t file; /* which of the mapped files */
};

struct tensor_file {
    struct tensor_entry *entries; /* in the order of their names (strcmp), each once */
    size_t count, capacity;
    /* A map of what the file says about itself: safetensors' __metadata__ (strings), GGUF's keys,
     * llama2.c's header. GGUF: `types` has the same keys and names their types (see gguf.h); of
     * other files it is empty. */
    struct mp_value meta, types;
    struct tensor_map {
        char *path; /* as it was given or named by an index, for messages */
        const uint8_t *data;
        size_t bytes;
    } * files; /* more than one with an index of shards */
    size_t files_count;
};

void tensor_file_init(struct tensor_file *f);
void tensor_file_close(struct tensor_file *f);
/* NULL when absent. */
const struct tensor_entry *tensor_file_find(const struct tensor_file *f, const char *name);

/* Bytes [from, from + n) of a tensor's data have been used for now: pages that hold nothing else
 * are given back, and read again from the file should anybody look. So that a file larger than
 * memory goes through a process that stays small. */
void tensor_file_release(const struct tensor_entry *t, size_t from, size_t n);

/* Whether a file begins as PyTorch's do: a zip archive (as NumPy's .npz, too) or a bare pickle. */
bool tensor_file_is_pickle(const uint8_t *data, size_t n);
/* ERR_INPUT that says how a pickle becomes safetensors. */
enum err tensor_file_refuse_pickle(struct errctx *e, const char *path);

/* ------------------------------------------------------------------ for openers */

/* Maps one more file (*index is its place in f->files): a regular one. */
enum err tensor_file_map(struct errctx *e, struct tensor_file *f, const char *path,
                         size_t *index) MUST_USE;
/* One more entry of file `index` at data[offset ..) of it; the name is copied. ERR_INPUT says what
 * is wrong with name, shape or place, without naming the file. */
enum err tensor_file_add(struct errctx *e, struct tensor_file *f, size_t index, const char *name,
                         size_t name_bytes, enum dtype t, int dims, const int64_t *shape,
                         uint64_t offset) MUST_USE;
/* Sorts the entries by name; ERR_INPUT when a name is there twice. */
enum err tensor_file_sort(struct errctx *e, struct tensor_file *f) MUST_USE;
/* Of entries [first, count), all in file `index`: they lie one behind another from `from` to `to`,
 * each beginning at the next multiple of `align` (counted from `from`), the last one followed by
 * less than `align` bytes. ERR_INPUT names tensor and byte of a gap or an overlap. */
enum err tensor_file_contiguous(struct errctx *e, const struct tensor_file *f, size_t first,
                                size_t index, uint64_t from, uint64_t to, uint64_t align) MUST_USE;

#endif
