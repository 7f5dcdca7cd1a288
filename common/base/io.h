/* SPDX-License-Identifier: Apache-2.0 */
/* io.h: files that appear whole or not at all, reads and writes that are complete or an error.
 *
 *   outfile   "-" or NULL is stdout; a FIFO, socket or device is written directly; a regular path
 *             is written to an unnamed (O_TMPFILE) or hidden temporary in the same directory, and
 *             outfile_commit does fsync, rename, fsync of the directory. outfile_abort (or a
 *             signal, or exit without commit) removes the temporary. Several files that belong
 *             together: outfile_sync each, then outfile_commit each. The permission bits follow
 *             umask; an existing target's mode and owner are kept. A symbolic link stays one: what
 *             it points to is replaced.
 *   infile    "-" or NULL is stdin; reads loop over EINTR and short reads.
 *
 * Threads: one thread per file at a time. */
#ifndef GRAFT_BASE_IO_H
#define GRAFT_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/mem.h"

struct outfile {
    int fd;
    bool regular;  /* a regular file: what is written depends on the content only, never on the
                      reader's pace */
    bool direct;   /* written in place (stdout, FIFO, device): commit and abort rename and remove
                      nothing */
    bool replaces; /* there was a file of that name */
    bool synced;   /* nothing was written since the last fsync */
    char *path;    /* final name, NULL for stdout */
    char *temporary;
    uint64_t written;
    int slot; /* in the table of temporaries that a signal handler removes */
};

enum err outfile_open(struct errctx *e, const char *path, struct outfile *f) MUST_USE;
enum err outfile_write(struct errctx *e, struct outfile *f, const void *data, size_t n) MUST_USE;
enum err outfile_sync(struct errctx *e, struct outfile *f) MUST_USE;
enum err outfile_commit(struct errctx *e, struct outfile *f) MUST_USE;
void outfile_abort(struct outfile *f);
/* Name for messages: the path, or "standard output". */
const char *outfile_name(const struct outfile *f);

struct infile {
    int fd;
    bool regular;    /* can seek; a stdin that somebody has read from already counts as a pipe */
    bool owned;      /* close on infile_close */
    uint64_t size;   /* when regular */
    uint64_t offset; /* bytes read so far */
    char *name;      /* for messages: the path, or "standard input" */
    /* Called when a read from a pipe would block, so that a filter can flush its output first. May
     * be NULL. */
    void (*before_block)(void *ctx);
    void *before_block_ctx;
};

enum err infile_open(struct errctx *e, const char *path, struct infile *f) MUST_USE;
/* Up to n bytes; *got == 0 only at the end of the file. Asks before_block when a pipe has nothing
 * yet. */
enum err infile_read(struct errctx *e, struct infile *f, void *data, size_t n,
                     size_t *got) MUST_USE;
/* Reads until n bytes or the end of the file. */
enum err infile_read_full(struct errctx *e, struct infile *f, void *data, size_t n,
                          size_t *got) MUST_USE;
enum err infile_pread_full(struct errctx *e, struct infile *f, void *data, size_t n,
                           uint64_t offset, size_t *got) MUST_USE;
enum err infile_seek(struct errctx *e, struct infile *f, uint64_t offset) MUST_USE;
void infile_close(struct infile *f);

/* Opens an unlinked temporary file in TMPDIR (default /tmp) for reading and writing: *fd. `need`
 * bytes are checked against the free space of that file system first (0: not known); too little is
 * ERR_IO and says so. */
enum err io_temporary(struct errctx *e, uint64_t need, int *fd) MUST_USE;
/* TMPDIR or its default. */
const char *io_temporary_directory(void);
/* To such a file: a failure says where it lies. */
enum err io_temporary_write(struct errctx *e, int fd, const void *data, size_t n) MUST_USE;
enum err io_write_all(struct errctx *e, int fd, const void *data, size_t n,
                      const char *name) MUST_USE;
enum err io_pread_all(struct errctx *e, int fd, void *data, size_t n, uint64_t offset,
                      const char *name) MUST_USE;

/* Whole file into *b (limit bytes at most, else ERR_INPUT). */
enum err io_slurp(struct errctx *e, const char *path, size_t limit, struct bytes *b) MUST_USE;

/* Whether two paths name one file, which need not exist yet: spelled in two ways, through links.
 * Standard input and output, devices and pipes are nobody's. */
bool io_same_file(const char *a, const char *b);

/* A name for a descriptor that is open already, as the shell makes for <(..): /dev/fd/63. */
bool io_is_descriptor_name(const char *path);

/* Blocks SIGINT/SIGTERM from leaving temporaries behind; called once by prog_main. */
void io_install_cleanup(void);

/* From now on SIGINT, SIGTERM and SIGHUP only note that they came, so that a long computation can
 * save its state: it asks io_pending_signal (0: none) as it goes, and infile_read fails with ERR_IO
 * rather than wait for a pipe. prog_main ends the process by the signal. A second one ends it at
 * once. */
enum err io_defer_signals(struct errctx *e) MUST_USE;
int io_pending_signal(void);
/* Readable once a signal is pending, for a poll of one's own; -1 when signals are not deferred. */
int io_signal_descriptor(void);

#endif
