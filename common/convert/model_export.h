/* SPDX-License-Identifier: Apache-2.0 */
/* model_export.h: a model stream in the files of another program: the family that has exactly its
 * configuration, and its parameters under that family's names.
 *
 * Which family it is, is tried out: the configuration is written by the family's table of keys,
 * read back by the same rules as an import, and must be what it was.
 *
 * Weights go from the stream to the file as they come, by rows, in the stream's order: in memory is
 * one piece, or of what is stored transposed or in another order of rows one tensor.
 *
 *   model_export_open      begin is known
 *   model_export_prepare   family, and names, types and shapes of all tensors
 *   model_export_write     their bytes, to whoever takes them */
#ifndef GRAFT_CONVERT_MODEL_EXPORT_H
#define GRAFT_CONVERT_MODEL_EXPORT_H

#include "common/convert/family.h"
#include "common/model/embedding.h"
#include "common/model/params.h"
#include "formats/stream.h"
#include "formats/tensor_file.h"
#include "formats/tokenizer.h"

enum export_to { EXPORT_HF, EXPORT_GGUF };

struct export_cfg {
    enum export_to to;
    enum dtype type;     /* that weights are written in; DTYPE_NONE: as they are */
    uint64_t shard_size; /* bytes of weights in a file of a folder, unless one is larger */
};

/* What an entry is made of. */
struct export_part {
    const struct param *param; /* NULL: of `values` */
    const struct tensor_rule *rule;
    int64_t first, rows; /* of the parameter */
    const float *values; /* made of the configuration: divisors of rope's frequencies */
};

struct model_export {
    struct export_cfg cfg;
    struct stream_reader *reader;
    struct model_config c;
    struct param_table params;
    bool headless; /* its masked head is left out: GGUF has none */
    bool has_tokenizer, has_embedding;
    struct tokenizer_spec tokenizer; /* its tables are known only behind the weights */
    struct embedding embedding;
    const struct mp_value *about; /* NULL: nothing is said */
    const struct family *family;
    json_t *config; /* of the family's keys */
    float *divisors;
    struct tensor_entry *entries; /* that are written, in this order; names are owned */
    struct export_part *parts;    /* the same */
    size_t count, entries_capacity, parts_capacity;
    size_t *first;                /* per tensor of the stream: its first entry; the last: `count` */
    struct stream_tensors gather; /* the tokenizer's */
};

/* Opens the stream at `path` as an input of the run. On failure and at the end: _close. */
enum err model_export_open(struct errctx *e, struct run *run, const char *path,
                           const struct export_cfg *cfg, struct model_export *x) MUST_USE;
void model_export_close(struct model_export *x);
/* Finds family, names and shapes. ERR_INPUT when no family has such a model. */
enum err model_export_prepare(struct errctx *e, struct model_export *x) MUST_USE;
/* The tokenizer before the weights: reads the stream once, so that it is read twice. */
enum err model_export_tokenizer(struct errctx *e, struct model_export *x) MUST_USE;
/* Hands out the bytes of the entries, in order, cut anywhere; the stream is then read to its
 * verified end, and the tokenizer is there. */
typedef enum err export_put(struct errctx *e, void *ctx, size_t entry, const void *data, size_t n);
enum err model_export_write(struct errctx *e, struct model_export *x, export_put *put,
                            void *ctx) MUST_USE;

/* Prepares, and writes the folder, which is made if it is not there: config.json, the weights, the
 * tokenizer, and of a model that makes vectors of texts the modules of sentence-transformers. */
enum err model_export_folder(struct errctx *e, struct model_export *x, const char *folder) MUST_USE;
/* Prepares, and writes a GGUF file. */
enum err model_export_gguf(struct errctx *e, struct model_export *x, const char *path) MUST_USE;

/* ------------------------------------------------------------------ inside */

/* A text that `about` has under this key; NULL. */
const char *model_export_about(const struct model_export *x, const char *key);

#endif
