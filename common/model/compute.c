/* SPDX-License-Identifier: Apache-2.0 */
/* compute.c: options of the device, and the opening of pool and kernels in one place. */
#include "common/model/compute.h"

#include <stdio.h>

#include "common/base/prog.h"

const struct opt compute_table[] = {
    {"device", 0, OPT_STRING, offsetof(struct compute_cfg, device), "NAME",
     "cpu, or ref: the plain reference kernels"},
    {"dtype", 0, OPT_CHOICE, offsetof(struct compute_cfg, dtype), "f32|bf16",
     "arithmetic and activations; sums, and weights that are trained, stay f32"},
    OPT_END};

enum dtype compute_dtype(const struct compute_cfg *cfg)
{
    return cfg->dtype ? DTYPE_BF16 : DTYPE_F32;
}

enum err compute_open(struct errctx *e, const struct compute_cfg *cfg, int threads, struct run *run,
                      struct compute *c)
{
    char mode[64];
    *c = (struct compute){0};
    TRY(pool_new(e, threads, &c->pool));
    TRY(kernels_open(e, cfg->device, c->pool, &c->kernels));
    c->open = true;
    snprintf(mode, sizeof mode, "%s %s", cfg->dtype ? "bf16" : "f32", c->kernels.name);
    return run ? run_numeric(e, run, mode, kernels_cpu(&c->kernels)) : ERR_OK;
}

void compute_close(struct compute *c)
{
    if (c->open) kernels_close(&c->kernels);
    pool_free(c->pool);
    *c = (struct compute){0};
}
