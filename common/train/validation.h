/* SPDX-License-Identifier: Apache-2.0 */
/* validation.h: a held-out stream that is judged again and again while a model trains. A pipe is
 * read once, into a temporary file. The stream is an input of the run, whatever happens later. */
#ifndef GRAFT_TRAIN_VALIDATION_H
#define GRAFT_TRAIN_VALIDATION_H

#include "common/train/goal.h"

struct validation {
    struct model *model;
    const struct goal *goal;
    struct evaluate_cfg cfg;
    struct stream_reader *reader; /* of the file, or of a copy of the pipe */
    uint8_t id[16];               /* content */
};

/* Reads through the stream's tables and records it in `run`. The goal is open, and the caller's. */
enum err validation_open(struct errctx *e, struct validation *v, struct run *run, const char *path,
                         struct model *model, const struct goal *goal,
                         const struct evaluate_cfg *cfg) MUST_USE;
void validation_close(struct validation *v);
/* Judges the model as it is now. */
enum err validation_run(struct errctx *e, struct validation *v, struct judgement *out) MUST_USE;

#endif
