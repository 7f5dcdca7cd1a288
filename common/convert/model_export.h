/* SPDX-License-Identifier: Apache-2.0 */
/* model_export.h: a model stream in the files of another program: the family that has exactly its
 * configuration, and its parameters under that family's names.
 *
 * Which family it is, is tried out: the configuration is written by the family's table of keys,
 * read back by the same rules as an import, and must be what it was. */
#ifndef GRAFT_CONVERT_MODEL_EXPORT_H
#define GRAFT_CONVERT_MODEL_EXPORT_H

#include "common/convert/family.h"
#include "common/model/embedding.h"
#include "common/model/params.h"
#include "formats/stream.h"
#include "formats/tensor_file.h"
#include "formats/tensor_out.h"
#include "formats/tokenizer.h"

struct export_part {
    const struct param *param;
    const struct tensor_rule *rule;
    int64_t first, rows; /* of the parameter */
};

struct model_export {
    struct stream_tensors stream;
    struct model_config c;
    struct param_table params;
    bool has_tokenizer, has_embedding;
    struct tokenizer_spec tokenizer;
    struct embedding embedding;
    enum dtype type; /* that weights are written in; DTYPE_NONE: as they are */
    const struct family *family;
    json_t *config;               /* of the family's keys */
    struct tensor_entry *entries; /* that are written, in this order; names are owned */
    struct export_part *parts;    /* the same */
    size_t count, entries_capacity, parts_capacity;
};

/* Loads the stream at `path` as an input of the run. On failure and at the end: _close. */
enum err model_export_open(struct errctx *e, struct run *run, const char *path, enum dtype type,
                           struct model_export *x) MUST_USE;
void model_export_close(struct model_export *x);
/* Finds family, names and shapes. ERR_INPUT when no family has such a model. */
enum err model_export_prepare(struct errctx *e, struct model_export *x) MUST_USE;
/* Writes the bytes of entry i. */
enum err model_export_tensor(struct errctx *e, const struct model_export *x, size_t i,
                             struct tensor_out *w) MUST_USE;
/* Prepares, and writes the folder, which is made if it is not there: config.json,
 * model.safetensors, and of a model that makes vectors of texts the modules of
 * sentence-transformers. */
enum err model_export_folder(struct errctx *e, struct model_export *x, const char *folder) MUST_USE;

#endif
