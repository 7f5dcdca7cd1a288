/* SPDX-License-Identifier: Apache-2.0 */
/* rows_view.h: the cells of rows records as a `struct stream_rows`: offsets from lengths, data
 * aligned to its dtype, a row that came in pieces put together. Used inside formats/ by the reader
 * and the salvage. */
#ifndef GRAFT_FORMATS_ROWS_VIEW_H
#define GRAFT_FORMATS_ROWS_VIEW_H

#include <stdbool.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/record.h"
#include "formats/stream.h"

struct rows_view {
    const struct stream_begin *begin;
    struct stream_rows rows; /* valid when `ready` came back true; until the next call */
    bool unaligned;          /* data may be anywhere: for readers that only hash */
    bool open;               /* a row in pieces is not complete */
    int64_t **starts;        /* per ragged column */
    size_t *starts_capacity;
    struct bytes *gathered; /* per column: aligned copies, or the pieces of a row */
};

enum err rows_view_init(struct errctx *e, struct rows_view *v,
                        const struct stream_begin *begin) MUST_USE;
void rows_view_fini(struct rows_view *v);
/* Forgets a row in pieces. */
void rows_view_reset(struct rows_view *v);
/* Takes a parsed rows record. *ready: v->rows holds whole rows (all but `first`). */
enum err rows_view_add(struct errctx *e, struct rows_view *v, const struct record *r,
                       const struct record_cell *cells, bool *ready) MUST_USE;

#endif
