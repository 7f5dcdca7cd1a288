/* SPDX-License-Identifier: Apache-2.0 */
/* cmd.h: what the programs share: the options that mean the same everywhere, and the opening and
 * closing of a run over streams. A program is glue: top comment, `struct opts`, option table,
 * run(), main(), always in this order, at most 250 lines; arithmetic, formats and loops live below.
 *
 * To add a program NAME, five things (tests/cli/programs.bats misses each of them by name):
 *   1. cmd/NAME.c        the glue; the Makefile finds it
 *   2. cmd/programs.h    its line in the table: group and summary, the summary that its
 *                        `struct prog` has
 *   3. man/graft-NAME.1  the page: NAME, SYNOPSIS, DESCRIPTION, OPTIONS, EXIT STATUS, EXAMPLES;
 *                        `make man` fills the two generated regions, the suite runs the examples
 *   4. tests/            something that runs `graft NAME` in tests/cli or tests/laws
 *   5. options           every set it splices it honours (completion is made from them); what
 *                        changes the content is recorded, so that `graft lineage` shows it:
 *                        OPT_UNRECORDED only for what does not
 *
 *     struct cmd c;
 *     enum err r = cmd_open(e, &c, p, operands, &opts.common, STREAM_TOKENS);
 *     if (r == ERR_OK) r = work(e, &c);
 *     return cmd_close(e, &c, r); */
#ifndef GRAFT_CMD_CMD_H
#define GRAFT_CMD_CMD_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/opts.h"
#include "common/base/prog.h"
#include "formats/lineage.h"
#include "formats/stream.h"

/* ---- common options ---- */

struct common {
    const char *output; /* NULL: stdout */
    int64_t threads;    /* 0: cmd_threads takes what this process may use */
    int64_t level;
    int64_t seed;
    const char *log;
    bool json, plan, quiet, verbose;
    bool progress; /* no option: the progress to show is that of reading */
};
#define COMMON         ((struct common){.level = OPT_UNSET})
#define COMMON_READING ((struct common){.level = OPT_UNSET, .progress = true})

/* One table each, so that a program splices only what it honours: {"Common", common_output,
 * &opts.common}. */
extern const struct opt common_output[];  /* -o FILE */
extern const struct opt common_threads[]; /* -j N */
extern const struct opt common_level[];   /* -z N */
extern const struct opt common_seed[];    /* --seed N, recorded */
extern const struct opt common_log[];     /* --log FILE */
extern const struct opt common_json[];    /* --json */
extern const struct opt common_plan[];    /* --plan */
extern const struct opt common_chatter[]; /* -q -v */

/* Threads to use: -j, or the processors of this process. */
int cmd_threads(const struct common *o);
struct stream_reader_cfg cmd_reader_cfg(const struct common *o, enum stream_kind kind);
struct stream_writer_cfg cmd_writer_cfg(const struct common *o);

/* ---- a run over streams ---- */

/* The operands are read one after another as one sequence of rows (their begins must agree), stdin
 * when there is none. One output, at -o or stdout. Other streams a program opens and closes itself
 * with c->run. */
struct cmd {
    const struct prog *prog;
    const struct common *common;
    const struct opt_list *operands;
    enum stream_kind kind;
    struct run run; /* program and recorded options filled in */
    struct stream_reader *input;
    struct stream_writer *output; /* NULL until cmd_output */
    size_t next;                  /* operand that is opened next */
    int64_t rows_before;          /* rows of the operands that are done */
    struct stream_begin begin;    /* copy of the first input's */
    uint64_t bytes_read;
    int64_t rows_written; /* and bytes: by outputs that the program closes itself */
    uint64_t bytes_written;
    double started;
};

/* Starts the record and opens the first input. */
enum err cmd_open(struct errctx *e, struct cmd *c, const struct prog *p,
                  const struct opt_list *operands, const struct common *o,
                  enum stream_kind kind) MUST_USE;
/* The same without inputs, for programs that read text or nothing. */
enum err cmd_open_run(struct errctx *e, struct cmd *c, const struct prog *p,
                      const struct common *o) MUST_USE;
/* The next event of the sequence; STREAM_EVENT_END only after the last operand. rows->first counts
 * through. */
enum err cmd_next(struct errctx *e, struct cmd *c, enum stream_event *event,
                  struct stream_rows *rows, struct stream_tensor_piece *piece) MUST_USE;
/* The same by whole inputs: *more is false after the last. The input before must have been read to
 * its end. */
enum err cmd_next_input(struct errctx *e, struct cmd *c, bool *more) MUST_USE;
/* Reads all that is left without looking at it, or with `stop` records how far reading went. */
enum err cmd_drain(struct errctx *e, struct cmd *c, bool stop) MUST_USE;
enum err cmd_output(struct errctx *e, struct cmd *c, const struct stream_begin *begin) MUST_USE;
/* For programs that read everything before cmd_output: fails now if that could not open its file.
 */
enum err cmd_output_check(struct errctx *e, const struct cmd *c) MUST_USE;
/* ERR_USAGE when `written`, the file of --option (may be NULL), is one of those that the run uses:
 * `used` or operands. For outputs that are not made of their input, as a stream is that replaces
 * it. */
enum err cmd_check_overwrite(struct errctx *e, const char *option, const char *written,
                             const char *const *used, size_t count,
                             const struct opt_list *operands) MUST_USE;
/* Commits the output when all went well, otherwise leaves nothing of it; closes everything; under
 * -v accounts for the run. Returns the first error. */
enum err cmd_close(struct errctx *e, struct cmd *c, enum err r);

#endif
