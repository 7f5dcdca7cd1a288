/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.h: models along the way: DIR/step-00000128.model, each equal in content to the result of
 * a run stopped there. */
#ifndef GRAFT_TRAIN_SNAPSHOT_H
#define GRAFT_TRAIN_SNAPSHOT_H

#include "common/model/model.h"
#include "common/train/feed.h"

struct snapshots {
    const char *directory;
    int64_t every; /* steps; 0: at powers of two */
};
/* From "log2:DIR" or "N:DIR"; makes the directory. ERR_USAGE. */
enum err snapshots_parse(struct errctx *e, const char *text, struct snapshots *s) MUST_USE;
bool snapshots_due(const struct snapshots *s, int64_t step);
enum err snapshots_save(struct errctx *e, const struct snapshots *s, int64_t step,
                        const struct model *m, const char *extension, model_saver *save,
                        struct run *run) MUST_USE;

/* The record of a run that is not done, for what it saves on its way: as `run`, with the input that
 * is still being read as a partial one of so many rows with this digest. run_fini it. */
enum err run_so_far(struct errctx *e, const struct run *run, int64_t rows, const uint8_t digest[16],
                    struct run *out) MUST_USE;

#endif
