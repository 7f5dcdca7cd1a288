/* SPDX-License-Identifier: Apache-2.0 */
/* prog.c: what every main() would otherwise repeat, and the only library file that prints or ends
 * the process. */
#include "common/base/prog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/base/io.h"

/* ---- messages ---- */

static pthread_mutex_t stderr_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *program_name = "?";
static enum { PROG_QUIET, PROG_NORMAL, PROG_VERBOSE } verbosity = PROG_NORMAL;
static bool progress_shown;
static double progress_time;
static char progress_label[64];                /* of what is counted, */
static double progress_began, progress_before; /* since when, from where on */

static void wipe_progress(void)
{
    if (progress_shown) fputs("\r\033[K", stderr);
    progress_shown = false;
}

static void PRINTF_LIKE(2, 0) say(const char *label, const char *fmt, va_list ap)
{
    pthread_mutex_lock(&stderr_lock);
    wipe_progress();
    fprintf(stderr, "graft-%s: %s", program_name, label);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    pthread_mutex_unlock(&stderr_lock);
}

void prog_warn(const char *fmt, ...)
{
    if (verbosity == PROG_QUIET) return;
    va_list ap;
    va_start(ap, fmt);
    say("warning: ", fmt, ap);
    va_end(ap);
}

void prog_note(const char *fmt, ...)
{
    if (verbosity != PROG_VERBOSE) return;
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

/* Whether a line is to be shown now; then the lock is held. */
static bool progress_due(void)
{
    if (verbosity == PROG_QUIET || !isatty(STDERR_FILENO)) return false;
    pthread_mutex_lock(&stderr_lock);
    double now = prog_seconds();
    if (progress_shown && now - progress_time < 0.2) {
        pthread_mutex_unlock(&stderr_lock);
        return false;
    }
    progress_shown = true;
    progress_time = now;
    fputs("\r\033[K", stderr);
    return true;
}

static void progress_end(void)
{
    fflush(stderr);
    pthread_mutex_unlock(&stderr_lock);
}

void prog_progress(const char *fmt, ...)
{
    if (!progress_due()) return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    progress_end();
}

typedef char *format_fn(double x, char *buf);

static char *format_count(double x, char *buf)
{
    snprintf(buf, 32, "%.0f", x);
    return buf;
}

static void show_count(const char *label, double done, double total, format_fn *format)
{
    char a[32], b[32], rate[32], left[32];
    if (!progress_due()) return;
    if (strncmp(label, progress_label, sizeof progress_label - 1) != 0 || done < progress_before) {
        snprintf(progress_label, sizeof progress_label, "%s", label);
        progress_began = progress_time;
        progress_before = done;
    }
    double seconds = progress_time - progress_began, fresh = done - progress_before;
    fprintf(stderr, "%s: %s", label, format(done, a));
    if (total > 0) fprintf(stderr, " of %s", format(total, b));
    if (seconds > 0 && fresh > 0) fprintf(stderr, ", %s/s", format(fresh / seconds, rate));
    if (seconds > 0 && fresh > 0 && total >= done)
        fprintf(stderr, ", %s left", prog_format_duration(seconds * (total - done) / fresh, left));
    progress_end();
}

void prog_progress_bytes(const char *label, uint64_t done, uint64_t total)
{
    show_count(label, (double)done, (double)total, prog_format_bytes);
}

void prog_progress_count(const char *label, int64_t done, int64_t total)
{
    show_count(label, (double)done, (double)total, format_count);
}

void prog_progress_done(void)
{
    pthread_mutex_lock(&stderr_lock);
    wipe_progress();
    progress_label[0] = '\0';
    fflush(stderr);
    pthread_mutex_unlock(&stderr_lock);
}

char *prog_format_duration(double seconds, char *buf)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(buf, 32, "--:--");
        return buf;
    }
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(buf, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, 32, "%ld:%02ld", s / 60, s % 60);
    return buf;
}

char *prog_format_bytes(double bytes, char *buf)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t u = 0;
    while (bytes >= 999.5 && u + 1 < ARRAY_LEN(units)) {
        bytes /= 1000;
        u++;
    }
    snprintf(buf, 32, u == 0 ? "%.0f %s" : "%.2f %s", bytes, units[u]);
    return buf;
}

double prog_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t prog_peak_memory(void)
{
    struct rusage r;
    return getrusage(RUSAGE_SELF, &r) == 0 ? (uint64_t)r.ru_maxrss * 1024 : 0;
}

double prog_cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- help ---- */

static void print_usage(const struct prog *p, FILE *out)
{
    const char *line = p->synopsis, *label = "usage:";
    while (line) {
        int n = (int)strcspn(line, "\n");
        fprintf(out, "%s graft %s%s%.*s\n", label, p->name, n ? " " : "", n, line);
        line = line[n] ? line + n + 1 : NULL;
        label = "      ";
    }
}

static void print_help(const struct prog *p)
{
    printf("graft-%s: %s\n", p->name, p->summary);
    print_usage(p, stdout);
    opts_print_help(p->sets, stdout);
    printf("\n'graft help %s' opens the page.\n", p->name);
}

/* "[-o DIR] --split NAME [FILE ...]" as mdoc: brackets, flags and arguments by their look. */
static void print_mdoc_synopsis(const struct prog *p)
{
    printf(".Nm graft %s\n", p->name);
    for (const char *s = p->synopsis; *s;) {
        if (*s == '\n') {
            printf(".Nm graft %s\n", p->name);
            s++;
            continue;
        }
        if (strchr(" []{}|", *s)) {
            if (*s == '[') puts(".Oo");
            if (*s == ']') puts(".Oc");
            if (strchr("{}|", *s)) printf(".No \\&%c\n", *s);
            s++;
            continue;
        }
        int n = (int)strcspn(s, " []{}|\n");
        if (*s == '-')
            printf(".Fl %.*s\n", n - 1, s + 1);
        else
            printf(".Ar %.*s\n", n, s);
        s += n;
    }
}

/* The regions of the page that are generated: `make man` puts them between the same two comments.
 */
static void print_mdoc(const struct prog *p)
{
    puts(".\\\" SYNOPSIS BEGIN");
    print_mdoc_synopsis(p);
    puts(".\\\" SYNOPSIS END\n.\\\" OPTIONS BEGIN");
    opts_print_mdoc(p->sets, stdout);
    puts(".\\\" OPTIONS END");
}

/* -h and its like work however wrong the rest of the command line is. */
static bool answer_help(const struct prog *p, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            print_help(p);
        else if (strcmp(argv[i], "--version") == 0)
            printf("graft-%s %s\n", p->name, GRAFT_VERSION);
        else if (strcmp(argv[i], "--help-mdoc") == 0)
            print_mdoc(p);
        else if (strcmp(argv[i], "--help-words") == 0)
            opts_print_words(p->sets, stdout);
        else
            continue;
        return true;
    }
    return false;
}

/* ---- main ---- */

/* A file opened while 0, 1 or 2 is closed would get that number and be taken for it. The stand-ins
 * fail on use. */
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
}

static void set_verbosity(const struct prog *p)
{
    for (const struct opt_set *s = p->sets; s->title; s++)
        for (const struct opt *o = s->table; o->name; o++) {
            if (o->type != OPT_FLAG || !*(const bool *)((const char *)s->base + o->offset))
                continue;
            if (strcmp(o->name, "quiet") == 0) verbosity = PROG_QUIET;
            if (strcmp(o->name, "verbose") == 0) verbosity = PROG_VERBOSE;
        }
}

/* The second reading would find nothing, and nothing may be a valid text. */
static enum err check_operands(struct errctx *e, const struct opt_list *operands)
{
    size_t n = 0;
    for (size_t i = 0; i < operands->count; i++) n += strcmp(operands->items[i], "-") == 0;
    return n > 1 ? err_set(e, ERR_USAGE, "'-', standard input, can be read only once") : ERR_OK;
}

static enum err parse_and_run(struct errctx *e, const struct prog *p, int argc, char **argv)
{
    struct opt_list operands = {0};
    enum err r = opts_parse(e, p->sets, argc, argv, &operands);
    if (r == ERR_OK) r = check_operands(e, &operands);
    if (r == ERR_OK) {
        set_verbosity(p);
        r = p->run(e, p, &operands);
    }
    opts_fini(p->sets, &operands);
    return r;
}

/* A full disk may show only when the last buffer goes out. */
static void close_standard_output(struct errctx *e)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        /* The error may be an earlier one, its number long gone: a pipe tells whether its reader
         * is. */
        struct pollfd p = {.fd = STDOUT_FILENO};
        if (e->code == ERR_NO) err_clear(e); /* the answer did not arrive: that counts more */
        if (errno == 0) errno = poll(&p, 1, 0) == 1 && (p.revents & POLLERR) ? EPIPE : EIO;
        err_errno(e, "cannot write standard output");
    }
    if (close(STDOUT_FILENO) != 0 && errno != EBADF) err_errno(e, "cannot write standard output");
}

static NORETURN void die_of(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
    _exit(1);
}

int prog_main(const struct prog *p, int argc, char **argv)
{
    struct errctx e = ERRCTX_INIT;
    program_name = p->name;
    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a dead reader is an error like others until the end */
    io_install_cleanup();
    if (argc == 1 && p->needs_input && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        print_usage(p, stderr);
        fprintf(stderr, "More with: graft %s -h\n", p->name);
        return 2;
    }
    if (!answer_help(p, argc, argv)) parse_and_run(&e, p, argc, argv);
    close_standard_output(&e);
    prog_progress_done();
    if (e.code == ERR_PIPE) die_of(SIGPIPE);
    if (e.code != ERR_OK && e.message[0]) fprintf(stderr, "graft-%s: %s\n", p->name, e.message);
    if (e.code == ERR_USAGE) print_usage(p, stderr);
    if (e.code != ERR_OK && io_pending_signal()) die_of(io_pending_signal());
    return err_exit_status(e.code);
}
