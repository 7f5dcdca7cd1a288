/* SPDX-License-Identifier: Apache-2.0 */
/* describe.h: what a stream is, for people and for jq: kind, counts, id, columns or tensors, meta.
 */
#ifndef GRAFT_FLOW_DESCRIBE_H
#define GRAFT_FLOW_DESCRIBE_H

#include <stdbool.h>
#include <stdio.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/stream.h"

struct describe {
    const char *name;
    const struct stream_begin *begin;
    const struct stream_summary *summary;
    const struct lineage *lineage;
};

/* Long lists in meta are cut unless `all`. */
enum err describe_print(struct errctx *e, const struct describe *d, bool all, FILE *out) MUST_USE;
/* One object on one line: file, kind, segments, rows, tensors, elements, bytes, compressed, id,
 * columns, layout, meta, step. */
enum err describe_print_json(struct errctx *e, const struct describe *d, FILE *out) MUST_USE;

#endif
