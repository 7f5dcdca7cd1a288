/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.h: Hugging Face's file of tensors, one file or shards with an index.
 *
 *   file   = u64 LE header bytes (at most 100 MB), header, data
 *   header = JSON object, begins with '{', may be followed by spaces; no key twice:
 *              "__metadata__": {string: string}
 *              NAME: {"dtype": s, "shape": [n, ..], "data_offsets": [begin, end]}
 *            offsets count from the data's first byte; the tensors fill the data from there to the
 *            end of the file without hole or overlap; rows one after another, little-endian
 *   index  = model.safetensors.index.json: {"metadata": {..}, "weight_map": {NAME: file}}
 *
 * Source: the format's README and its reference reader. Every rule is checked; dtypes that
 * graft has no type for (F8_E4M3, C64, ..) are refused by their name. */
#ifndef GRAFT_FORMATS_SAFETENSORS_H
#define GRAFT_FORMATS_SAFETENSORS_H

#include "common/base/attr.h"
#include "formats/tensor_file.h"
#include "formats/tensor_out.h"

/* Opens FILE.safetensors, or a file that ends with ".json" as an index, whose shards lie beside it:
 * their names are plain ones. Shards hold exactly the tensors that the index says they hold. meta
 * is __metadata__; of shards, what they agree on. On failure nothing is open. */
enum err safetensors_open(struct errctx *e, const char *path, struct tensor_file *f) MUST_USE;

/* Begins a file with these tensors (of an entry only name, dtype, dims and shape are looked at) in
 * this order, whose bytes follow by tensor_out.h. The header is padded to a multiple of 8 bytes.
 * meta: a map of texts, or NULL. On failure nothing is open. */
enum err safetensors_create(struct errctx *e, const char *path, const struct tensor_entry *entries,
                            size_t count, const struct mp_value *meta,
                            struct tensor_out *w) MUST_USE;
/* Writes the index of shards: tensor i is in files[i], a plain name. */
enum err safetensors_write_index(struct errctx *e, const char *path,
                                 const struct tensor_entry *entries, size_t count,
                                 const char *const *files) MUST_USE;

#endif
