/* SPDX-License-Identifier: Apache-2.0 */
/* adapter_file.h: adapters from and to streams of kind adapter.
 *
 *   meta "base"     id (bin 16) of the model that it belongs to
 *        "adapter"  {"dropout": of its training, "parts": [{"layer": 0, "target": "q", "rank": 8,
 *                   "scale": 1.0}, ..]}
 *        "labels", "heads"  of the heads that were trained with it (task.h), where there are any
 *   tensors F32     layers.L.attention.q.lora.A [rank, in], .B [out, rank], ..., task.0.weight, ...
 *
 * Several adapters are loaded side by side: each is a source of its own (adapter.h), with a weight
 * by which its scales are multiplied.
 *
 * Usage: adapters_open reads the files; adapters_bind finds their places when the model's
 * configuration is known; adapters_load puts the numbers into the model. */
#ifndef GRAFT_MODEL_ADAPTER_FILE_H
#define GRAFT_MODEL_ADAPTER_FILE_H

#include "common/base/opts.h"
#include "common/model/model.h"

struct adapters_cfg {
    struct opt_list paths, weights; /* weight i belongs to path i; none: 1 each */
    bool force;                     /* also those of another model */
};
extern const struct opt adapters_table[]; /* -a, --adapter-weight, --force */
/* ERR_USAGE: weights that are none, or not one for each adapter. */
enum err adapters_check(struct errctx *e, const struct adapters_cfg *cfg) MUST_USE;

struct adapters {
    struct adapter adapter;  /* after adapters_bind */
    struct task_heads heads; /* of the one that has some; likewise */
    int heads_source;        /* which, -1: none */
    const struct adapters_cfg *cfg;
    struct stream_tensors *files; /* [count] */
    size_t count;
};
/* cfg stays the caller's, and has passed adapters_check. Each file is an input of the run,
 * "adapter". adapters_fini also after a failure. */
enum err adapters_open(struct errctx *e, struct run *run, const struct adapters_cfg *cfg,
                       struct adapters *out) MUST_USE;
void adapters_fini(struct adapters *a);
/* For model_use.adapt, with the adapters as ctx. ERR_INPUT: a part that such a model has no place
 * for, a tensor that is missing or misshapen; two with heads. */
enum err adapters_bind(struct errctx *e, void *adapters, const struct model_config *c,
                       struct model_use *use) MUST_USE;
/* ERR_INPUT: it belongs to another model (unless cfg->force), numbers that are not finite. The
 * model was opened with adapters_bind. */
enum err adapters_load(struct errctx *e, const struct adapters *a, struct model *m) MUST_USE;

/* For model_use.trains: adapters and heads alone. */
bool adapter_trains(const void *ctx, const struct param *p);
/* Writes the model's adapter, which has one source; atomic. *bytes, unless NULL, is the size of
 * what was written. */
enum err adapter_save(struct errctx *e, const struct model *m, struct run *run, const char *path,
                      int level, int threads, uint64_t *bytes) MUST_USE;

#endif
