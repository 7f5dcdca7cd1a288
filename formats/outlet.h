/* SPDX-License-Identifier: Apache-2.0 */
/* outlet.h: the way of frames out: compressed by workers, written in order by a thread of its own,
 * with seal and table at the end. The mirror of intake.h.
 *
 *     the caller -> [workers: zstd] -> [write thread: seal, table, write]
 *
 * With threads == 0 everything happens in outlet_put. A failed write is reported by the next call,
 * and for good. */
#ifndef GRAFT_FORMATS_OUTLET_H
#define GRAFT_FORMATS_OUTLET_H

#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/io.h"
#include "common/base/mem.h"

struct outlet;

/* Writes the magic. level is zstd's. */
enum err outlet_new(struct errctx *e, struct outfile *out, int level, int threads,
                    struct outlet **o) MUST_USE;
/* NULL is fine. What is still on its way is dropped. */
void outlet_free(struct outlet *o);

/* A buffer (empty) for the next frame's records; then outlet_put compresses and writes it. */
enum err outlet_buffer(struct errctx *e, struct outlet *o, struct bytes **raw) MUST_USE;
enum err outlet_put(struct errctx *e, struct outlet *o) MUST_USE;
/* Writes a frame that is compressed already: swaps *packed for another buffer. */
enum err outlet_put_packed(struct errctx *e, struct outlet *o, struct bytes *packed,
                           size_t raw_size) MUST_USE;

/* Waits until everything put has been written. */
enum err outlet_flush(struct errctx *e, struct outlet *o) MUST_USE;
/* Flushes, and gives back threads and buffers; what is put after it is compressed by the caller. */
enum err outlet_rest(struct errctx *e, struct outlet *o) MUST_USE;
/* Flushes, then writes seal and table. Nothing may be put after it. */
enum err outlet_finish(struct errctx *e, struct outlet *o) MUST_USE;

#endif
