/* SPDX-License-Identifier: Apache-2.0 */
/* prog.h: the frame of a program: main() hands a `struct prog` to prog_main, which parses options,
 * answers -h, --version and the hidden --help-mdoc and --help-words (pages and completion are made
 * from them), runs it, prints the one error line, and returns the exit status. The only place that
 * may print errors or exit.
 *
 * A bare command on a terminal (no operands, stdin and stdout terminals, `needs_input`) prints its
 * usage. */
#ifndef GRAFT_BASE_PROG_H
#define GRAFT_BASE_PROG_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/opts.h"

#define GRAFT_VERSION "0.1.0"

struct prog {
    const char *name;    /* "shard": the executable is graft-shard */
    const char *summary; /* one line, lower case, no full stop: NAME section, -h and `graft help` */
    const char *synopsis; /* after the name: "[-o DIR] --split NAME=F,... [FILE ...]" (several
                             lines: '\n') */
    bool needs_input;     /* reads stdin when it has no operand */
    struct opt_set *sets; /* option sets, ended by OPT_SET_END */
    /* The work. Operands in order. Everything it opened it closes. */
    enum err (*run)(struct errctx *e, const struct prog *p, const struct opt_list *operands);
};

int prog_main(const struct prog *p, int argc, char **argv);

/* ---- what every program may say while it runs ---- */

/* With -q there are no warnings and no progress, with -v also notes: prog_main looks for options
 * "quiet" and "verbose" in the sets.
 *
 * "graft-NAME: ..." on stderr unless quiet: a warning the user should see once. */
void prog_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The same only under -v. */
void prog_note(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Progress: one line rewritten in place, only when stderr is a terminal and not -q, at most 5 times
 * a second. prog_progress_done wipes it. Text after it starts on a clean line. */
void prog_progress(const char *fmt, ...) PRINTF_LIKE(1, 2);
void prog_progress_done(void);
/* The same for what is `done` of `total` (0: not known), with the rate since this label was shown
 * first: "reading 'a': 1.20 GB of 3.40 GB, 850.00 MB/s, 0:03 left", "merges: 320 of 7935, 812/s,
 * ..". */
void prog_progress_bytes(const char *label, uint64_t done, uint64_t total);
void prog_progress_count(const char *label, int64_t done, int64_t total);
/* "1:02:03" style for ETA. buf of at least 32 bytes; returns buf. */
char *prog_format_duration(double seconds, char *buf);
/* "1.50 GB" style (decimal units). buf of at least 32 bytes; returns buf. */
char *prog_format_bytes(double bytes, char *buf);

/* Seconds since some fixed point (monotonic). */
double prog_seconds(void);
/* Peak resident set in bytes, CPU seconds used. */
uint64_t prog_peak_memory(void);
double prog_cpu_seconds(void);

#endif
