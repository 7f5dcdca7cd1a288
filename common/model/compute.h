/* SPDX-License-Identifier: Apache-2.0 */
/* compute.h: what a program that computes opens first: threads, a backend for them, and the record
 * of both in the lineage, because the bytes of a result hold on one CPU type and one numeric mode.
 */
#ifndef GRAFT_MODEL_COMPUTE_H
#define GRAFT_MODEL_COMPUTE_H

#include "common/base/opts.h"
#include "common/base/pool.h"
#include "formats/lineage.h"
#include "kernels/kernels.h"

struct compute_cfg {
    const char *device; /* of kernels_open */
    int dtype;          /* index into "f32|bf16": compute_dtype */
};
extern const struct opt compute_table[]; /* --device, --dtype */
#define COMPUTE_CFG ((struct compute_cfg){.device = "cpu"})

enum dtype compute_dtype(const struct compute_cfg *cfg);

struct compute {
    struct pool *pool;
    struct kernels kernels;
    bool open;
};
/* Opens both and records mode and CPU in `run` (may be NULL). compute_close also after a failure.
 */
enum err compute_open(struct errctx *e, const struct compute_cfg *cfg, int threads, struct run *run,
                      struct compute *c) MUST_USE;
void compute_close(struct compute *c);

#endif
