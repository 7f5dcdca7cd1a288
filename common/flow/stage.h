/* SPDX-License-Identifier: Apache-2.0 */
/* stage.h: a stage of a pipeline: what every program over streams does around its own work. The
 * operands are read one after another as one sequence of rows (their begins must agree), stdin when
 * there is none; there is one output, at -o or stdout, complete or not at all; the record of the
 * run is kept.
 *
 *     struct stage s;
 *     enum err r = stage_open(e, &s, p, operands, &opts.common, STREAM_TOKENS);
 *     if (r == ERR_OK) r = work(e, &s);
 *     return stage_close(e, &s, r);
 *
 * Other streams a program opens and closes itself with s->run. */
#ifndef GRAFT_FLOW_STAGE_H
#define GRAFT_FLOW_STAGE_H

#include "common/base/attr.h"
#include "common/base/common_opts.h"
#include "common/base/err.h"
#include "common/base/opts.h"
#include "common/base/prog.h"
#include "common/flow/row_source.h"
#include "formats/lineage.h"
#include "formats/stream.h"

struct stream_reader_cfg stage_reader_cfg(const struct common *o, enum stream_kind kind);
struct stream_writer_cfg stage_writer_cfg(const struct common *o);

struct stage {
    const struct prog *prog;
    const struct common *common;
    const struct opt_list *operands;
    enum stream_kind kind;
    struct run run; /* program and recorded options filled in */
    struct stream_reader *input;
    struct stream_writer *output; /* NULL until stage_output */
    size_t next;                  /* operand that is opened next */
    int64_t rows_before;          /* rows of the operands that are done */
    struct stream_begin begin;    /* copy of the first input's */
    uint64_t bytes_read;
    int64_t rows_written; /* and bytes: by outputs that the program closes itself */
    uint64_t bytes_written;
    double started;
};

/* Starts the record and opens the first input. */
enum err stage_open(struct errctx *e, struct stage *s, const struct prog *p,
                    const struct opt_list *operands, const struct common *o,
                    enum stream_kind kind) MUST_USE;
/* The same without inputs, for programs that read text or nothing. */
enum err stage_open_run(struct errctx *e, struct stage *s, const struct prog *p,
                        const struct common *o) MUST_USE;
/* The next event of the sequence; STREAM_EVENT_END only after the last operand. rows->first counts
 * through. */
enum err stage_next(struct errctx *e, struct stage *s, enum stream_event *event,
                    struct stream_rows *rows, struct stream_tensor_piece *piece) MUST_USE;
/* The same by whole inputs: *more is false after the last. The input before must have been read to
 * its end. */
enum err stage_next_input(struct errctx *e, struct stage *s, bool *more) MUST_USE;
/* Reads all that is left without looking at it, or with `stop` records how far reading went. */
enum err stage_drain(struct errctx *e, struct stage *s, bool stop) MUST_USE;
/* The rows of the operands, as stage_next and stage_drain have them. */
struct row_source stage_rows(struct stage *s);
enum err stage_output(struct errctx *e, struct stage *s, const struct stream_begin *begin) MUST_USE;
/* For programs that read everything before stage_output: fails now if that could not open its file.
 */
enum err stage_output_check(struct errctx *e, const struct stage *s) MUST_USE;
/* Commits the output when all went well, otherwise leaves nothing of it; closes everything; under
 * -v accounts for the run. Returns the first error. */
enum err stage_close(struct errctx *e, struct stage *s, enum err r);

#endif
