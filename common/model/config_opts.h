/* SPDX-License-Identifier: Apache-2.0 */
/* config_opts.h: a model's configuration from the command line: an architecture's defaults or a
 * file, with single fields changed. The fields are those of config.h. */
#ifndef GRAFT_MODEL_CONFIG_OPTS_H
#define GRAFT_MODEL_CONFIG_OPTS_H

#include <math.h>

#include "common/base/opts.h"
#include "common/model/config.h"
#include "formats/tokenizer.h"

struct config_opts {
    const char *config; /* JSON file, NULL: by `arch` */
    int arch;           /* -1: by `config` */
    int64_t vocab, layers, width, heads, kv_heads, head_size, mlp, context, window;
    double rope_theta;
    bool tied, untied;
};
extern const struct opt config_opts_table[];
#define CONFIG_OPTS                                                                                \
    ((struct config_opts){.arch = -1,                                                              \
                          .vocab = OPT_UNSET,                                                      \
                          .layers = OPT_UNSET,                                                     \
                          .width = OPT_UNSET,                                                      \
                          .heads = OPT_UNSET,                                                      \
                          .kv_heads = OPT_UNSET,                                                   \
                          .head_size = OPT_UNSET,                                                  \
                          .mlp = OPT_UNSET,                                                        \
                          .context = OPT_UNSET,                                                    \
                          .window = OPT_UNSET,                                                     \
                          .rope_theta = NAN})

/* What the options change: the architecture's values, or the file's, which becomes an input. */
enum err config_opts_start(struct errctx *e, struct run *run, const struct config_opts *o,
                           struct model_config *c) MUST_USE;
/* Changes what was given, takes the vocabulary of the tokenizer (NULL: none) where no other was
 * given, and fills in what follows from the rest. */
enum err config_opts_change(struct errctx *e, const struct config_opts *o,
                            const struct tokenizer_spec *spec, struct model_config *c) MUST_USE;

#endif
