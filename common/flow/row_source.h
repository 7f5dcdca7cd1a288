/* SPDX-License-Identifier: Apache-2.0 */
/* row_source.h: where rows come from, for who need not know whether it is one stream or several, or
 * none: a stage of a pipeline (stage_rows), a test. */
#ifndef GRAFT_FLOW_ROW_SOURCE_H
#define GRAFT_FLOW_ROW_SOURCE_H

#include "formats/stream.h"

struct row_source {
    const char *name; /* for messages */
    const struct stream_begin *begin;
    enum err (*next)(struct errctx *e, void *ctx, enum stream_event *event,
                     struct stream_rows *rows);
    /* Reads on to the end, unseen, or with `stop` records how far reading went. */
    enum err (*drain)(struct errctx *e, void *ctx, bool stop);
    void *ctx;
};

#endif
