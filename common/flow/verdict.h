/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.h: what a check of a stream has found, for people and for jq; and what the salvage of a
 * damaged one has lost. */
#ifndef GRAFT_FLOW_VERDICT_H
#define GRAFT_FLOW_VERDICT_H

#include <stdio.h>

#include "formats/stream.h"
#include "formats/stream_salvage.h"

struct verdict {
    const char *name;
    bool fast;           /* only seals and tables were looked at */
    const char *message; /* what is wrong; "": nothing */
    enum stream_kind kind;
    struct stream_summary summary;
};
/* A line of text, or of JSON. */
void verdict_print(const struct verdict *v, FILE *out);
enum err verdict_print_json(struct errctx *e, const struct verdict *v, FILE *out) MUST_USE;

/* Warnings: each gap, then how much is whole. */
void verdict_warn_of_losses(const char *path, const struct salvage *s);

#endif
