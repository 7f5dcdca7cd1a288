/* SPDX-License-Identifier: Apache-2.0 */
/* findings.h: what stands in the way of a conversion, all of it: one line each, so that --dry-run
 * can list everything and an import stop at the first. */
#ifndef GRAFT_CONVERT_FINDINGS_H
#define GRAFT_CONVERT_FINDINGS_H

#include <stddef.h>
#include "common/base/attr.h"
#include "common/base/err.h"

struct findings {
    char **lines;
    size_t count, capacity;
};

/* Returns ERR_OK when the line was added, so that looking goes on; ERR_MEMORY. */
enum err findings_add(struct errctx *e, struct findings *f, const char *fmt, ...) MUST_USE
    PRINTF_LIKE(3, 4);
/* ERR_INPUT with the first line and the number of the others; ERR_OK when there is none. */
enum err findings_raise(struct errctx *e, const struct findings *f) MUST_USE;
void findings_fini(struct findings *f);

#endif
