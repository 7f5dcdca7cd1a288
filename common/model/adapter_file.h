/* SPDX-License-Identifier: Apache-2.0 */
/* adapter_file.h: adapters from and to streams of kind adapter.
 *
 *   meta "base"     id (bin 16) of the model that it belongs to
 *        "adapter"  {"dropout": of its training, "parts": [{"layer": 0, "target": "q", "rank": 8,
 *                   "scale": 1.0}, ..]}
 *   tensors F32     layers.L.attention.q.lora.A [rank, in], .B [out, rank], ...
 *
 * Several adapters are loaded side by side: each is a source of its own (adapter.h), with a weight
 * by which its scales are multiplied.
 *
 * Usage: adapters_open reads the files; adapters_bind finds their places when the model's
 * configuration is known; adapters_load puts the numbers into the model. */
#ifndef GRAFT_MODEL_ADAPTER_FILE_H
#define GRAFT_MODEL_ADAPTER_FILE_H

#include "common/model/model.h"

struct adapters {
    struct adapter adapter; /* after adapters_bind */
    const char *const *paths;
    const double *weights;
    struct stream_tensors *files; /* [count] */
    size_t count;
};
/* Paths and weights (NULL: 1 each) stay the caller's. Each file is an input of the run, "adapter".
 * adapters_fini also after a failure. */
enum err adapters_open(struct errctx *e, struct run *run, const char *const *paths,
                       const double *weights, size_t count, struct adapters *out) MUST_USE;
void adapters_fini(struct adapters *a);
/* For model_use.adapt, with the adapters as ctx. ERR_INPUT: a part that such a model has no place
 * for, a tensor that is missing or misshapen. */
enum err adapters_bind(struct errctx *e, void *adapters, const struct model_config *c,
                       const struct adapter **adapter) MUST_USE;
/* ERR_INPUT: it belongs to another model (unless `force`), numbers that are not finite. The model
 * was opened with a->adapter. */
enum err adapters_load(struct errctx *e, const struct adapters *a, struct model *m,
                       bool force) MUST_USE;

/* Writes the model's adapter, which has one source; atomic. *bytes, unless NULL, is the size of
 * what was written. */
enum err adapter_save(struct errctx *e, const struct model *m, struct run *run, const char *path,
                      int level, int threads, uint64_t *bytes) MUST_USE;

#endif
