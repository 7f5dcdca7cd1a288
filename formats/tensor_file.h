/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_file.h: what files of tensors of other programs have in common once they are open: named
 * tensors that lie in mapped memory, and metadata. safetensors.h, gguf.h, npy.h and llama2c.h open
 * them; importers read them and never copy a file.
 *
 * Ownership: whoever opened it, tensor_file_close; names, metadata and data live until then. */
#ifndef GRAFT_FORMATS_TENSOR_FILE_H
#define GRAFT_FORMATS_TENSOR_FILE_H

#include <stddef.h>
#include <stdint.h>
#include "common/base/dtype.h"
#include "common/base/err.h"
#include "formats/msgpack.h"

enum { TENSOR_FILE_DIMS = 8 };

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
    struct tensor_entry *entries; /* in the order of their names, each once */
    size_t count;
    struct mp_value meta; /* a map: safetensors' __metadata__, GGUF's keys with their types */
    struct tensor_map {
        char *path; /* as it was given or named by an index, for messages */
        const uint8_t *data;
        size_t bytes;
    } * files; /* more than one with an index of shards */
    size_t files_count;
    void *owned; /* the opener's */
};

void tensor_file_init(struct tensor_file *f);
void tensor_file_close(struct tensor_file *f);
/* NULL when absent. */
const struct tensor_entry *tensor_file_find(const struct tensor_file *f, const char *name);

#endif
