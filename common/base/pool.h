/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h: one team of threads that runs numbered tasks and joins (fork-join).
 *
 * pool_run(p, fn, ctx, n) calls fn(ctx, task, thread) once for each task in 0..n-1 and returns when
 * all are done; the caller takes part. Tasks own what they write, so results do not depend on which
 * thread ran what. Waiting threads spin shortly, then sleep. Not re-entrant: a task must not call
 * pool_run on its own pool. Owner: pool_new's caller, pool_free. */
#ifndef GRAFT_BASE_POOL_H
#define GRAFT_BASE_POOL_H

#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"

struct pool;

typedef void pool_fn(void *ctx, int64_t task, int thread);

/* threads >= 1, the caller's own included. */
enum err pool_new(struct errctx *e, int threads, struct pool **out) MUST_USE;
void pool_free(struct pool *p);
int pool_threads(const struct pool *p);
void pool_run(struct pool *p, pool_fn *fn, void *ctx, int64_t tasks);

/* Processors this process may use: affinity mask and cgroup quota (v1 and v2) considered; at
 * least 1. */
int pool_processors(void);

#endif
