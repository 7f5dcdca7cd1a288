/* SPDX-License-Identifier: Apache-2.0 */
/* belt.h: a ring of numbered slots that pass from a filler through workers to an emptier, in order
 * at both ends.
 *
 *     filler:  belt_fill -> (writes slot i) -> belt_filled         one thread, slots in order
 *     workers: work(ctx, i, worker)                                any of them, any order
 *     emptier: belt_empty -> (reads slot i) -> belt_emptied        one thread, slots in order
 *
 * A stream reader fills with compressed frames and empties records; a writer fills records and
 * empties frames. With no workers the filler does the work itself. The slots' contents belong to
 * the owner of the belt; the belt knows only whose turn it is. Memory is bounded by the number of
 * slots. */
#ifndef GRAFT_FORMATS_BELT_H
#define GRAFT_FORMATS_BELT_H

#include <pthread.h>
#include <stdbool.h>
#include "common/base/attr.h"
#include "common/base/err.h"

struct belt;

typedef void belt_work_fn(void *ctx, int slot, int worker);

enum { BELT_STOPPED = -1, BELT_POKED = -2 };

/* Starts `workers` threads (0: none). */
enum err belt_new(struct errctx *e, int slots, int workers, belt_work_fn *work, void *ctx,
                  struct belt **out) MUST_USE;
/* Stops and joins the workers. The filler and emptier threads must have ended. NULL is fine. */
void belt_free(struct belt *b);

/* Waits for the next slot to be free; BELT_STOPPED after belt_stop. */
int belt_fill(struct belt *b);
void belt_filled(struct belt *b);

/* Waits for the next slot to be worked. BELT_STOPPED after belt_stop; BELT_POKED, once for each
 * belt_poke, when nothing is on the belt: the filler is about to wait for the outside world. */
int belt_empty(struct belt *b);
void belt_emptied(struct belt *b);

/* By the filler: it will block (true), it goes on (false). */
void belt_poke(struct belt *b, bool blocked);

/* Waits until everything filled has been emptied (or the belt was stopped). */
void belt_drain(struct belt *b);

/* Wakes everybody: fill and empty return BELT_STOPPED from now on. */
void belt_stop(struct belt *b);
/* Takes back the stop and forgets what is on the belt. Only while no filler or emptier runs; waits
 * for workers. */
void belt_reset(struct belt *b);

/* pthread_create that can be made to fail (base/fault.h). */
enum err belt_thread(struct errctx *e, pthread_t *thread, void *(*fn)(void *), void *arg) MUST_USE;

#endif
