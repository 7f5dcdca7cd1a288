/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h: GRAFT_TRACE=io,alloc,kernel prints what a library does, for developers. A
 * comma-separated list or "all"; off costs one branch. Lines go to stderr as "trace io: ...". */
#ifndef GRAFT_BASE_TRACE_H
#define GRAFT_BASE_TRACE_H

#include <stdbool.h>
#include "common/base/attr.h"

enum trace_topic { TRACE_IO, TRACE_ALLOC, TRACE_KERNEL, TRACE_STREAM, TRACE_TRAIN };

bool trace_on(enum trace_topic topic);
void trace_line(enum trace_topic topic, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
