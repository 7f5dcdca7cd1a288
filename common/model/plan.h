/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h: the list of what a program is going to allocate, for --plan: nothing of it is
 * allocated. */
#ifndef GRAFT_MODEL_PLAN_H
#define GRAFT_MODEL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/attr.h"
#include "common/base/err.h"

struct plan_line {
    char what[64];
    uint64_t bytes;
    bool part; /* of the line without `part` before it: not in the sum */
};
struct plan {
    struct plan_line *lines;
    size_t count, capacity;
    uint64_t bytes; /* the sum */
};
void plan_fini(struct plan *p);
/* Lines "bytes  what" and the sum, for --plan. */
void plan_print(const struct plan *p, FILE *out);
/* Adds a line, none for 0 bytes. */
enum err plan_add(struct errctx *e, struct plan *p, const char *what, uint64_t bytes,
                  bool part) MUST_USE;

#endif
