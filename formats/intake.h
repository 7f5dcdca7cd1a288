/* SPDX-License-Identifier: Apache-2.0 */
/* intake.h: the frames of an input, in order and decompressed, read ahead by threads of its own.
 *
 *     [fetch thread: read, frame grammar, seal, table] -> [workers: zstd] -> the caller
 *
 * With threads == 0 everything happens in intake_next. While the input is a pipe with nothing to
 * give and the caller waits, `flush` is called, on the caller's thread. */
#ifndef GRAFT_FORMATS_INTAKE_H
#define GRAFT_FORMATS_INTAKE_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "formats/frame.h"

struct intake;

struct intake_frame {
    struct frame frame;
    struct bytes packed; /* as it stands in the input; a consumer may swap it for another buffer */
    struct bytes raw;    /* decompressed */
    struct errctx error; /* what was wrong with it: of framing and checksum, without file name */
};

typedef enum err intake_flush_fn(struct errctx *e, void *ctx);

enum err intake_new(struct errctx *e, struct infile *in, int threads, intake_flush_fn *flush,
                    void *ctx, struct intake **out) MUST_USE;
/* NULL is fine. */
void intake_free(struct intake *in);

/* The next frame; it stays until intake_done. After FRAME_EOF, FRAME_CUT or an error in it there is
 * no next one. */
enum err intake_next(struct errctx *e, struct intake *in, struct intake_frame **out) MUST_USE;
void intake_done(struct intake *in);

/* From the start of a regular file once more. */
enum err intake_rewind(struct errctx *e, struct intake *in) MUST_USE;
/* Ends the threads; nothing is read any more. */
void intake_stop(struct intake *in);
/* After intake_stop: what the table must say of the segment that was being read, as far as it was,
 * and where that begins. NULL when it was read to its end (then its table was checked). */
const struct bytes *intake_seen(const struct intake *in, uint64_t *start);

/* Copies a pipe into an unnamed temporary file, which then takes its place. */
enum err intake_spool(struct errctx *e, struct infile *in) MUST_USE;

/* Decompresses one frame into *raw (replaced). ERR_INPUT for damage. dctx: a ZSTD_DCtx. */
enum err intake_decompress(struct errctx *e, void *dctx, const uint8_t *packed, size_t n,
                           size_t raw_size, struct bytes *raw) MUST_USE;

#endif
