/* SPDX-License-Identifier: Apache-2.0 */
/* goal_task.h: learning labels: the rows of a stream have one or several (formats/labels.h), and
 * the model has a head for each (common/model/task.h). Losses of all heads are added; a step
 * divides by the number of labels. A row, or a token, without a label is not scored. */
#ifndef GRAFT_TRAIN_GOAL_TASK_H
#define GRAFT_TRAIN_GOAL_TASK_H

#include "common/base/opts.h"
#include "common/train/goal.h"
#include "formats/labels.h"

struct task_cfg {
    const char *names;   /* of labels, with commas; NULL: none */
    const char *pooling; /* names with commas; NULL: last of a causal model, mean of others */
    int dense;           /* 0: none, 1: tanh, 2: gelu, 3: relu */
};
extern const struct opt task_table[];

/* As the stream that is learned from has them. ERR_USAGE: a label that it has not. `input_name`:
 * for messages. task_heads_fini also after a failure. */
enum err task_heads_find(struct errctx *e, const struct task_cfg *cfg, const char *input_name,
                         const struct stream_begin *input, struct task_heads *out) MUST_USE;
/* What depends on the model; before it is opened. ERR_USAGE: a pooling that is none. */
enum err task_heads_settle(struct errctx *e, struct task_heads *h, const struct task_cfg *cfg,
                           const struct model_config *c) MUST_USE;

struct task_goal {
    const struct task_heads *heads;
    struct task_rows *rows; /* goal_task's own */
};
struct goal goal_task(struct task_goal *state);

#endif
