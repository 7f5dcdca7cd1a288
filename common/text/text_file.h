/* SPDX-License-Identifier: Apache-2.0 */
/* text_file.h: the text of one file after another, as it is read: what is not UTF-8 is an error or
 * replaced, lines are counted, bytes hashed. What of it has not been taken lies in one buffer,
 * which grows while that is more than is read at once. */
#ifndef GRAFT_TEXT_TEXT_FILE_H
#define GRAFT_TEXT_TEXT_FILE_H

#include <stdbool.h>
#include <stdint.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "common/base/attr.h"
#include "common/base/io.h"
#include "common/base/mem.h"

/* Bytes of a document. */
#define TEXT_FILE_LIMIT ((size_t)1 << 30)

struct text_file {
    /* set by the owner before anything is read */
    bool replace;         /* what is not UTF-8 becomes U+FFFD; else it is an error */
    bool doubling;        /* read as much again as was not taken: its end is looked for from its
                             beginning each time */
    const char *too_long; /* the end of the message about a document that is */
    bool progress;        /* show how much is read, */
    uint64_t bytes_total; /* of so many bytes (0: nobody knows) of all files */

    struct infile in;
    bool open, eof;
    struct bytes buffer; /* checked text */
    size_t at, scanned;  /* taken; known to hold no end of the document */
    uint64_t line;       /* number of the line at `at` */
    uint64_t bytes_read; /* of all files */

    /* text_file.c's own */
    struct bytes raw;       /* read, not yet checked */
    uint64_t raw_offset;    /* of raw.data[0] in the file */
    uint64_t lines_checked; /* newlines before the end of the buffer */
    XXH3_state_t *hash;
};

enum err text_file_init(struct errctx *e, struct text_file *t) MUST_USE;
void text_file_fini(struct text_file *t);
/* NULL: stdin. */
enum err text_file_open(struct errctx *e, struct text_file *t, const char *path) MUST_USE;
void text_file_close(struct text_file *t);

/* More text behind what the buffer has from `at` on; sets eof at the end. Views of the buffer end.
 */
enum err text_file_fill(struct errctx *e, struct text_file *t) MUST_USE;
/* Takes the line at `at` without its newline; *more is false when the file has none. */
enum err text_file_line(struct errctx *e, struct text_file *t, const char **text, size_t *n,
                        bool *more) MUST_USE;
/* Takes n bytes, and counts their lines. */
void text_file_pass(struct text_file *t, size_t n);
/* A line, or part of one, of nothing but spaces, tabs and carriage returns. */
bool text_file_blank(const char *line, size_t n);
/* XXH3-128 of the bytes of the file so far. */
void text_file_digest(const struct text_file *t, uint8_t digest[16]);

#endif
