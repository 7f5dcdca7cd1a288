/* SPDX-License-Identifier: Apache-2.0 */
/* err.h: how a library function fails.
 *
 * A function that can fail takes `struct errctx *e` first and returns `enum err`. The first failure
 * fills *e with one line for the user; what happens on the way up may only add to the trail.
 * Libraries never print and never exit: the program (base/prog.c) prints the message once and turns
 * the code into the exit status.
 *
 * A message is lower case, says the cause, quotes its subject, and ends with a hint where a fix is
 * usual:
 *     cannot open 'x.tokens': No such file or directory
 *     'x.tokens': truncated after row 812, byte 1048576: no end record (did its producer die?)
 * A message that only a developer can act on starts with "BUG:". */
#ifndef GRAFT_BASE_ERR_H
#define GRAFT_BASE_ERR_H

#include <stdint.h>
#include "common/base/attr.h"

enum err {
    ERR_OK = 0,
    ERR_IO,     /* the machine failed: read, write, memory, device       -> exit 1 */
    ERR_MEMORY, /*                                                        -> exit 1 */
    ERR_USAGE,  /* the command line asks for what cannot be               -> exit 2 */
    ERR_INPUT,  /* input is bad, truncated or does not belong together    -> exit 3 */
    ERR_NO,     /* the program works and its answer is no                 -> exit 4 */
    ERR_PIPE,   /* the reader of our output is gone: die of SIGPIPE silently         */
};

struct errctx {
    enum err code;
    char message[1024]; /* one line, no newline, no program name */
};

#define ERRCTX_INIT ((struct errctx){.code = ERR_OK})

/* Sets code and message unless *e already holds an error (the first one wins). Returns e->code. */
enum err err_set(struct errctx *e, enum err code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set with ": strerror(errno)" added. EPIPE becomes ERR_PIPE, ENOMEM becomes ERR_MEMORY. */
enum err err_errno(struct errctx *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Puts "PREFIX: " before the message that is there, to say where it happened. No-op without error.
 */
enum err err_prefix(struct errctx *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Out of memory while wanting `bytes` for `what`. */
enum err err_memory(struct errctx *e, const char *what, uint64_t bytes);

/* Bytes of s that would control a terminal become '?'; as in every message. */
void err_tidy(char *s);

/* Forgets the error, for a caller that has dealt with it. */
void err_clear(struct errctx *e);

/* The exit status of DESIGN: 0, 1, 2, 3, 4. ERR_PIPE gives 1 (the program raises SIGPIPE before).
 */
int err_exit_status(enum err code);

/* Returns from the calling function when the expression fails. The only macro that hides control
 * flow. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum err try_code_ = (expression);                                                         \
        if (try_code_ != ERR_OK) return try_code_;                                                 \
    } while (0)

#endif
