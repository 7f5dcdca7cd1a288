/* SPDX-License-Identifier: Apache-2.0 */
/* io.c: whole files and complete transfers over POSIX descriptors.
 *
 * A new file has no name until it is complete (O_TMPFILE) and then its own; where another is to be
 * replaced it has a hidden one for the moment between link and rename, and where the file system
 * has no files without a name, all the time. Hidden names are kept in a table that a signal or an
 * exit empties; one left by a process that was killed goes with the next writer of that file.
 * Whoever takes a name out of the table owns it, so that a signal handler and a commit in another
 * thread never free or unlink the same name twice. */
#include "common/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/trace.h"

enum { TEMPORARIES = 1024, CHUNK = 1 << 30 };

/* ---- the table of temporaries ---- */

static _Atomic(char *) temporaries[TEMPORARIES];

static int temporary_register(char *name)
{
    for (int i = 0; i < TEMPORARIES; i++) {
        char *empty = NULL;
        if (atomic_compare_exchange_strong(&temporaries[i], &empty, name)) return i;
    }
    return -1;
}

static void temporaries_remove(void)
{
    for (int i = 0; i < TEMPORARIES; i++) {
        char *name = atomic_exchange(&temporaries[i], NULL);
        if (name) unlink(name); /* not freed: this may be a signal handler */
    }
}

static void die_of_signal(int number)
{
    temporaries_remove();
    signal(number, SIG_DFL);
    raise(number); /* delivered when this handler returns */
}

static void handle_fatal_signals(void (*handler)(int))
{
    static const int fatal[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = handler}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        if (sigaction(fatal[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(fatal[i], &action, NULL); /* under nohup a signal stays ignored */
}

void io_install_cleanup(void)
{
    handle_fatal_signals(die_of_signal);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a write error with a message */
    atexit(temporaries_remove);
}

/* ---- signals that wait ---- */

static volatile sig_atomic_t pending_signal;
static int wake_pipe[2] = {-1, -1}; /* readable once a signal has come: poll can wait for both */

static void note_signal(int number)
{
    int before = errno;
    if (pending_signal) {
        die_of_signal(number);
        return;
    }
    pending_signal = number;
    (void)!write(wake_pipe[1], "", 1);
    errno = before;
}

enum err io_defer_signals(struct errctx *e)
{
    if (wake_pipe[0] >= 0) return ERR_OK;
    if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return err_errno(e, "cannot make a pipe");
    handle_fatal_signals(note_signal);
    return ERR_OK;
}

int io_pending_signal(void)
{
    return pending_signal;
}

int io_signal_descriptor(void)
{
    return wake_pipe[0];
}

/* Waits until the pipe has something to read or a signal is pending; false for the latter. */
static bool wait_readable(int fd)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = wake_pipe[0], .events = POLLIN}};
    while (poll(p, ARRAY_LEN(p), -1) < 0 && errno == EINTR) continue;
    return !pending_signal;
}

/* ---- transfers ---- */

/* The descriptor may be non-blocking because somebody else shares it (a terminal, ssh). */
static bool wait_ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

static bool retry(int fd, short events)
{
    if (errno == EINTR) return true;
    return (errno == EAGAIN || errno == EWOULDBLOCK) && wait_ready(fd, events);
}

enum err io_write_all(struct errctx *e, int fd, const void *data, size_t n, const char *name)
{
    const char *p = data;
    if (trace_on(TRACE_IO)) trace_line(TRACE_IO, "write %zu bytes to %s", n, name);
    while (n > 0) {
        ssize_t k = fault_here(FAULT_WRITE) ? -1 : write(fd, p, n < CHUNK ? n : CHUNK);
        if (k < 0) {
            if (retry(fd, POLLOUT)) continue;
            return err_errno(e, "cannot write '%s'", name);
        }
        p += k;
        n -= (size_t)k;
    }
    return ERR_OK;
}

static enum err read_some(struct errctx *e, int fd, void *data, size_t n, const char *name,
                          size_t *got)
{
    *got = 0;
    for (;;) {
        ssize_t k = fault_here(FAULT_READ) ? -1 : read(fd, data, n < CHUNK ? n : CHUNK);
        if (k >= 0) {
            *got = (size_t)k;
            return ERR_OK;
        }
        if (!retry(fd, POLLIN)) return err_errno(e, "cannot read '%s'", name);
    }
}

static enum err pread_full(struct errctx *e, int fd, void *data, size_t n, uint64_t offset,
                           const char *name, size_t *got)
{
    *got = 0;
    while (*got < n) {
        size_t want = n - *got < CHUNK ? n - *got : CHUNK;
        ssize_t k = -1;
        if (offset + *got > INT64_MAX)
            errno = EOVERFLOW;
        else if (!fault_here(FAULT_READ))
            k = pread(fd, (char *)data + *got, want, (off_t)(offset + *got));
        if (k < 0) {
            if (errno == EINTR) continue;
            return err_errno(e, "cannot read '%s'", name);
        }
        if (k == 0) break;
        *got += (size_t)k;
    }
    return ERR_OK;
}

enum err io_pread_all(struct errctx *e, int fd, void *data, size_t n, uint64_t offset,
                      const char *name)
{
    size_t got;
    TRY(pread_full(e, fd, data, n, offset, name, &got));
    if (got < n)
        return err_set(e, ERR_IO, "cannot read '%s': it ends at byte %" PRIu64 ", not at %" PRIu64,
                       name, offset + got, offset + n);
    return ERR_OK;
}

/* ---- output files ---- */

const char *outfile_name(const struct outfile *f)
{
    return f->path ? f->path : "standard output";
}

static void outfile_forget(struct outfile *f)
{
    if (f->fd > STDERR_FILENO) close(f->fd);
    mem_free(f->path);
    if (f->temporary) {
        char *mine = f->slot < 0 ? f->temporary : atomic_exchange(&temporaries[f->slot], NULL);
        if (mine) {
            unlink(mine); /* after a rename there is nothing of that name */
            mem_free(mine);
        }
    }
    *f = (struct outfile){.fd = -1, .slot = -1};
}

/* "DIR/.graft-NAME-N.tmp" beside the final file NAME. */
static enum err temporary_name(struct errctx *e, struct outfile *f, unsigned number)
{
    enum { NAME_MOST = 200 }; /* of the 255 bytes that a name may have */
    const char *slash = strrchr(f->path, '/'), *name = slash ? slash + 1 : f->path;
    return mem_printf(e, &f->temporary, "%.*s.graft-%.*s-%u.tmp", (int)(name - f->path), f->path,
                      NAME_MOST, name, number);
}

/* Whether fd is (still) what the name stands for. */
static bool is_named(int fd, const char *name)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && lstat(name, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

/* Removes a temporary whose writer is dead: a living one holds a lock on it, which the kernel takes
 * from the dead. Who holds the lock of the file that bears the name may remove it, nobody else. */
static bool temporary_reclaim(const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT;
    bool dead = flock(fd, LOCK_EX | LOCK_NB) == 0 && is_named(fd, name) && unlink(name) == 0;
    close(fd);
    return dead;
}

static bool link_unnamed(const struct outfile *f, const char *name)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", f->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
}

/* f->fd under the name f->temporary, locked; errno otherwise. */
static bool temporary_try(struct outfile *f, bool create)
{
    if (create) {
        f->fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd < 0) return false;
        /* Between the two calls it may have been taken for a dead one's. */
        if (flock(f->fd, LOCK_EX | LOCK_NB) != 0 || is_named(f->fd, f->temporary)) return true;
        close(f->fd);
        f->fd = -1;
        errno = EEXIST;
        return false;
    }
    (void)!flock(f->fd, LOCK_EX | LOCK_NB); /* no locks here: then nothing is reclaimed, either */
    return link_unnamed(f, f->temporary);
}

/* Gives the file a hidden name: `create` makes it, otherwise the unnamed file is linked there. What
 * a killed process has left under that name goes. */
static enum err temporary_make(struct errctx *e, struct outfile *f, bool create)
{
    for (unsigned number = 0;;) {
        TRY(temporary_name(e, f, number));
        f->slot = -1;
        if (temporary_try(f, create)) {
            f->slot = temporary_register(f->temporary);
            return ERR_OK;
        }
        int cause = errno;
        number += cause == EEXIST && !temporary_reclaim(f->temporary);
        mem_free(f->temporary);
        f->temporary = NULL;
        errno = cause;
        if (cause != EEXIST) return err_errno(e, "cannot create '%s'", f->path);
    }
}

static enum err open_replacement(struct errctx *e, struct outfile *f, const struct stat *old)
{
    char *directory;
    const char *slash = strrchr(f->path, '/');
    if (slash)
        TRY(mem_strndup(e, &directory, f->path, slash == f->path ? 1 : (size_t)(slash - f->path)));
    else
        TRY(mem_strdup(e, &directory, "."));
    /* Without /proc an unnamed file could not be given its name at the end. */
    if ((access("/proc/self/fd/0", F_OK) == 0 || access("/proc/self/fd/1", F_OK) == 0) &&
        !fault_here(FAULT_OPEN))
        f->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    mem_free(directory);
    if (f->fd < 0) TRY(temporary_make(e, f, true));
    if (old) {
        /* Only root can keep a foreign owner; anyone else owns what he writes. */
        if (fchown(f->fd, old->st_uid, old->st_gid) != 0) errno = 0;
        if (fchmod(f->fd, old->st_mode & 07777) != 0)
            return err_errno(e, "cannot set the mode of '%s'", f->path);
    }
    return ERR_OK;
}

bool io_is_descriptor_name(const char *path)
{
    return strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/proc/self/fd/", 14) == 0;
}

/* Renaming over what a descriptor names would not reach its holder. */
static bool is_open_already(const char *path)
{
    return io_is_descriptor_name(path) || strcmp(path, "/dev/stdout") == 0 ||
           strcmp(path, "/dev/stderr") == 0;
}

static enum err open_named(struct errctx *e, const char *path, struct outfile *f)
{
    struct stat st;
    if (path[0] == '\0') return err_set(e, ERR_USAGE, "cannot create '': the name is empty");
    if (fault_here(FAULT_OPEN)) return err_errno(e, "cannot create '%s'", path);
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode))
        return err_set(e, ERR_IO, "cannot create '%s': it is a directory", path);
    if (exists && (!S_ISREG(st.st_mode) || is_open_already(path))) {
        f->direct = true;
        f->regular = S_ISREG(st.st_mode);
        TRY(mem_strdup(e, &f->path, path));
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
        return f->fd < 0 ? err_errno(e, "cannot open '%s'", path) : ERR_OK;
    }
    f->regular = true;
    char *target = exists ? realpath(path, NULL) : NULL; /* through symbolic links */
    enum err r = mem_strdup(e, &f->path, target ? target : path);
    free(target);
    f->replaces = exists;
    return r != ERR_OK ? r : open_replacement(e, f, exists ? &st : NULL);
}

enum err outfile_open(struct errctx *e, const char *path, struct outfile *f)
{
    *f = (struct outfile){.fd = -1, .slot = -1};
    if (path && strcmp(path, "-") != 0) {
        enum err r = open_named(e, path, f);
        if (r != ERR_OK) outfile_forget(f);
        return r;
    }
    struct stat st;
    if (fstat(STDOUT_FILENO, &st) != 0) return err_errno(e, "cannot write standard output");
    f->fd = STDOUT_FILENO;
    f->direct = true;
    f->regular = S_ISREG(st.st_mode);
    return ERR_OK;
}

enum err outfile_write(struct errctx *e, struct outfile *f, const void *data, size_t n)
{
    TRY(io_write_all(e, f->fd, data, n, outfile_name(f)));
    f->written += n;
    f->synced = false;
    return ERR_OK;
}

static enum err sync_descriptor(struct errctx *e, int fd, const char *name)
{
    if (fault_here(FAULT_FSYNC)) return err_errno(e, "cannot write '%s'", name);
    while (fsync(fd) != 0) {
        if (errno == EINTR) continue;
        if (errno == EINVAL || errno == EROFS) break; /* this file system has no such thing */
        return err_errno(e, "cannot write '%s'", name);
    }
    return ERR_OK;
}

enum err outfile_sync(struct errctx *e, struct outfile *f)
{
    if (f->direct || f->synced) return ERR_OK;
    TRY(sync_descriptor(e, f->fd, f->path));
    f->synced = true;
    return ERR_OK;
}

/* The name itself is on disk only when its directory is. */
static enum err sync_directory(struct errctx *e, const char *path)
{
    char *directory;
    const char *slash = strrchr(path, '/');
    if (slash)
        TRY(mem_strndup(e, &directory, path, (size_t)(slash - path + 1)));
    else
        TRY(mem_strdup(e, &directory, "."));
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(directory);
    if (fd < 0)
        return ERR_OK; /* a directory that may be written but not read: nothing to be done */
    enum err r = sync_descriptor(e, fd, path);
    close(fd);
    return r;
}

static enum err commit_steps(struct errctx *e, struct outfile *f)
{
    if (f->direct) {
        /* Standard output is closed, and its errors reported, at the end of the program. */
        int fd = f->fd;
        if (fd <= STDERR_FILENO) return ERR_OK;
        f->fd = -1;
        return close(fd) == 0 ? ERR_OK : err_errno(e, "cannot write '%s'", f->path);
    }
    TRY(outfile_sync(e, f));
    if (fault_here(FAULT_RENAME)) return err_errno(e, "cannot create '%s'", f->path);
    if (!f->temporary && !f->replaces && link_unnamed(f, f->path))
        return sync_directory(e, f->path);
    if (!f->temporary) TRY(temporary_make(e, f, false));
    if (rename(f->temporary, f->path) != 0) return err_errno(e, "cannot create '%s'", f->path);
    return sync_directory(e, f->path);
}

enum err outfile_commit(struct errctx *e, struct outfile *f)
{
    enum err r = commit_steps(e, f);
    outfile_forget(f);
    return r;
}

void outfile_abort(struct outfile *f)
{
    outfile_forget(f);
}

/* ---- names ---- */

/* Writes where `path` leads, which need not exist, into out. False when its folder does not exist.
 */
static bool resolve(const char *path, char out[PATH_MAX])
{
    char name[PATH_MAX], link[PATH_MAX];
    if (snprintf(name, sizeof name, "%s", path) >= PATH_MAX) return false;
    for (int links = 0; links < 40; links++) {
        if (realpath(name, out)) return true;
        char *slash = strrchr(name, '/');
        const char *base = slash ? slash + 1 : name;
        size_t head = (size_t)(base - name);
        ssize_t n = readlink(name, link, sizeof link - 1);
        if (n < 0) { /* it is its folder's to say */
            snprintf(link, sizeof link, "%.*s", head ? (int)head : 1, head ? name : ".");
            if (!realpath(link, out)) return false;
            head = strlen(out);
            return snprintf(out + head, PATH_MAX - head, "/%s", base) < (int)(PATH_MAX - head);
        }
        link[n] = '\0';
        if (link[0] == '/') head = 0;
        if (head + (size_t)n >= sizeof name) return false;
        memcpy(name + head, link, (size_t)n + 1);
    }
    return false;
}

bool io_same_file(const char *a, const char *b)
{
    struct stat x, y;
    char at[PATH_MAX], bt[PATH_MAX];
    if (!a || !b || strcmp(a, "-") == 0 || strcmp(b, "-") == 0) return false;
    bool there = stat(a, &x) == 0;
    if (there != (stat(b, &y) == 0)) return false;
    if (there) return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    return resolve(a, at) && resolve(b, bt) && strcmp(at, bt) == 0;
}

/* ---- input files ---- */

enum err infile_open(struct errctx *e, const char *path, struct infile *f)
{
    bool standard = !path || strcmp(path, "-") == 0;
    struct stat st;
    *f = (struct infile){.fd = -1};
    TRY(mem_strdup(e, &f->name, standard ? "standard input" : path));
    f->owned = !standard;
    f->fd = standard                 ? STDIN_FILENO
            : fault_here(FAULT_OPEN) ? -1
                                     : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (f->fd < 0 || fstat(f->fd, &st) != 0) {
        err_errno(e, "cannot open '%s'", f->name);
    } else if (S_ISDIR(st.st_mode)) {
        err_set(e, ERR_IO, "cannot read '%s': it is a directory", f->name);
    } else {
        f->regular = S_ISREG(st.st_mode) && lseek(f->fd, 0, SEEK_CUR) == 0;
        if (f->regular) {
            f->size = (uint64_t)st.st_size;
            posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        }
        return ERR_OK;
    }
    infile_close(f);
    return e->code;
}

enum err infile_read(struct errctx *e, struct infile *f, void *data, size_t n, size_t *got)
{
    if (f->before_block && !f->regular) {
        struct pollfd p = {.fd = f->fd, .events = POLLIN};
        if (poll(&p, 1, 0) == 0) f->before_block(f->before_block_ctx);
    }
    if (wake_pipe[0] >= 0 && !f->regular && !wait_readable(f->fd))
        return err_set(e, ERR_IO, "'%s': reading was interrupted by a signal", f->name);
    TRY(read_some(e, f->fd, data, n, f->name, got));
    f->offset += *got;
    return ERR_OK;
}

enum err infile_read_full(struct errctx *e, struct infile *f, void *data, size_t n, size_t *got)
{
    size_t once;
    *got = 0;
    do {
        TRY(infile_read(e, f, (char *)data + *got, n - *got, &once));
        *got += once;
    } while (once > 0 && *got < n);
    return ERR_OK;
}

enum err infile_pread_full(struct errctx *e, struct infile *f, void *data, size_t n,
                           uint64_t offset, size_t *got)
{
    return pread_full(e, f->fd, data, n, offset, f->name, got);
}

enum err infile_seek(struct errctx *e, struct infile *f, uint64_t offset)
{
    if (offset > INT64_MAX || lseek(f->fd, (off_t)offset, SEEK_SET) < 0)
        return err_errno(e, "cannot seek in '%s'", f->name);
    f->offset = offset;
    return ERR_OK;
}

void infile_close(struct infile *f)
{
    if (f->owned && f->fd >= 0) close(f->fd);
    mem_free(f->name);
    *f = (struct infile){.fd = -1};
}

/* ---- spill files and small files ---- */

const char *io_temporary_directory(void)
{
    const char *directory = getenv("TMPDIR");
    return directory && *directory ? directory : "/tmp";
}

enum err io_temporary_write(struct errctx *e, int fd, const void *data, size_t n)
{
    if (io_write_all(e, fd, data, n, "a temporary file") == ERR_OK) return ERR_OK;
    return err_prefix(e, "'%s'", io_temporary_directory());
}

enum err io_temporary(struct errctx *e, uint64_t need, int *fd)
{
    const char *directory = io_temporary_directory();
    struct statvfs fs;
    *fd = -1;
    if (need > 0 && statvfs(directory, &fs) == 0) {
        uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (room < need)
            return err_set(e, ERR_IO,
                           "not enough space in '%s': %" PRIu64 " MB needed, %" PRIu64
                           " MB free (set TMPDIR to a larger file system)",
                           directory, need / 1000000 + 1, room / 1000000);
    }
    if (fault_here(FAULT_OPEN)) return err_errno(e, "cannot create a file in '%s'", directory);
    if (!fault_here(FAULT_OPEN))
        *fd = open(directory, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    if (*fd >= 0) return ERR_OK;
    char *name;
    TRY(mem_printf(e, &name, "%s/graft-XXXXXX", directory));
    *fd = mkostemp(name, O_CLOEXEC);
    if (*fd < 0)
        err_errno(e, "cannot create a file in '%s'", directory);
    else
        unlink(name);
    mem_free(name);
    return e->code;
}

static enum err slurp_rest(struct errctx *e, struct infile *f, size_t limit, struct bytes *b)
{
    size_t got;
    if (f->regular && f->size <= limit) TRY(bytes_reserve(e, b, (size_t)f->size + 1));
    do {
        if (b->len == b->capacity) TRY(bytes_reserve(e, b, 65536));
        size_t room = b->capacity - b->len;
        TRY(infile_read(e, f, b->data + b->len, room, &got));
        b->len += got;
        if (b->len > limit)
            return err_set(e, ERR_INPUT, "'%s': larger than the limit of %zu bytes", f->name,
                           limit);
    } while (got > 0);
    return ERR_OK;
}

enum err io_slurp(struct errctx *e, const char *path, size_t limit, struct bytes *b)
{
    struct infile f;
    TRY(infile_open(e, path, &f));
    enum err r = slurp_rest(e, &f, limit, b);
    infile_close(&f);
    return r;
}
