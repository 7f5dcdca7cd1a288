/* SPDX-License-Identifier: Apache-2.0 */
/* lora_cfg.h: options of low-rank adapters, and the parts that they come to for a model.
 *
 * A target is named by what it is (q k v qkv out gate up gate_up down), "all" means every matrix of
 * the blocks, and a name with a dot in it is a pattern of the shell for the whole name, as in
 * 'layers.[0-5].attention.*'. Where a fused and a separate target both match, as by a pattern, the
 * separate ones are taken. A rank or an alpha for some targets is given as PATTERN=NUMBER, in the
 * same names; the last that matches counts. */
#ifndef GRAFT_TRAIN_LORA_CFG_H
#define GRAFT_TRAIN_LORA_CFG_H

#include <math.h>

#include "common/base/opts.h"
#include "common/model/adapter.h"

struct lora_cfg {
    int64_t rank;
    double alpha; /* NaN: the rank */
    double dropout;
    bool rslora;         /* scale alpha / sqrt(rank) */
    const char *targets; /* names with commas */
    struct opt_list ranks, alphas;
};
extern const struct opt lora_table[];
#define LORA_CFG ((struct lora_cfg){.rank = 8, .alpha = NAN, .targets = "q,v"})

/* ERR_USAGE: a name that no model has, a pattern that matches nothing, a rank that does not fit. */
enum err lora_parts(struct errctx *e, const struct lora_cfg *cfg, const struct model_config *c,
                    struct adapter *out) MUST_USE;

#endif
