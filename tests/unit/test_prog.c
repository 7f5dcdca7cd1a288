/* SPDX-License-Identifier: Apache-2.0 */
/* test_prog.c: the frame of a program as its user sees it: exit status, stdout and stderr. This
 * file is also the program: run with the argument "act" it is graft-sample. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/pool.h"
#include "common/base/prog.h"

/* ---- the program ---- */

struct opts {
    const char *what, *output;
    bool quiet, verbose;
};
static struct opts opts;
static const struct opt table[] = {
    {"what", 'w', OPT_STRING, offsetof(struct opts, what), "WHAT", "what to do"},
    {"output", 'o', OPT_STRING, offsetof(struct opts, output), "FILE", "where to"},
    {"quiet", 'q', OPT_FLAG, offsetof(struct opts, quiet), NULL, "say less"},
    {"verbose", 'v', OPT_FLAG, offsetof(struct opts, verbose), NULL, "say more"},
    OPT_END};
static struct opt_set sets[] = {{"Sample", table, &opts}, OPT_SET_END};

static enum err copy_forever(struct errctx *e)
{
    struct outfile f;
    TRY(outfile_open(e, opts.output, &f));
    enum err r = ERR_OK;
    while (r == ERR_OK) r = outfile_write(e, &f, "yes\n", 4);
    outfile_abort(&f);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    (void)p;
    const char *what = opts.what ? opts.what : "count";
    struct pool *pool;
    if (strcmp(what, "count") == 0) printf("%zu operands\n", operands->count);
    if (strcmp(what, "input") == 0) return err_set(e, ERR_INPUT, "'x': row 3");
    if (strcmp(what, "no") == 0) return err_set(e, ERR_NO, "%s", "");
    if (strcmp(what, "forever") == 0) return copy_forever(e);
    if (strcmp(what, "print") == 0)
        for (int i = 0; i < 100000; i++) puts("line");
    if (strcmp(what, "open") == 0) { /* gets none of the standard numbers */
        int fd = open("/dev/null", O_RDONLY);
        return fd > STDERR_FILENO ? ERR_OK : err_set(e, ERR_IO, "descriptor %d", fd);
    }
    if (strcmp(what, "threads") == 0) {
        TRY(pool_new(e, 3, &pool));
        pool_free(pool);
    }
    if (strcmp(what, "say") == 0) {
        prog_progress("not on a pipe");
        prog_warn("%d warnings", 1);
        prog_note("a note");
        prog_progress_done();
    }
    return ERR_OK;
}

static const struct prog sample = {
    "sample", "does this and that", "[-w WHAT] [FILE ...]", true, sets, run};

/* ---- running it ---- */

struct outcome {
    int status; /* exit status, or 128 + signal */
    char out[8192], err[4096];
};

static void read_back(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);
    buf[n < 0 ? 0 : n] = '\0';
    if (fd >= 0) close(fd);
}

/* Through a shell, so that redirections and pipes are as users write them; "sample" stands for the
 * program. */
static struct outcome shell(const char *command)
{
    struct outcome o;
    char line[1024], dir[] = "/tmp/graft-test-prog-XXXXXX", out[64], err[64];
    assert_non_null(mkdtemp(dir));
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(err, sizeof err, "%s/err", dir);
    snprintf(line, sizeof line, "sample() { exec /proc/%ld/exe act \"$@\"; }; { %s; } >%s 2>%s",
             (long)getpid(), command, out, err);
    int status = system(line);
    o.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    read_back(out, o.out, sizeof o.out);
    read_back(err, o.err, sizeof o.err);
    unlink(out);
    unlink(err);
    rmdir(dir);
    return o;
}

static void expect(const char *command, int status, const char *out, const char *err)
{
    struct outcome o = shell(command);
    if (out) assert_string_equal(o.out, out);
    if (err) assert_string_equal(o.err, err);
    assert_int_equal(o.status, status);
}

#define USAGE "usage: graft sample [-w WHAT] [FILE ...]\n"

static void statuses(void **state)
{
    (void)state;
    expect("(sample a b)", 0, "2 operands\n", "");
    expect("(sample -w input)", 3, "", "graft-sample: 'x': row 3\n");
    expect("(sample -w no)", 4, "", "");
    expect("(sample --wat)", 2, "",
           "graft-sample: unknown option '--wat' (did you mean --what?)\n" USAGE);
    expect("(sample --version)", 0, "graft-sample " GRAFT_VERSION "\n", "");
}

static void help(void **state)
{
    (void)state;
    struct outcome o = shell("(sample -x --help)");
    assert_int_equal(o.status, 0);
    assert_string_equal(o.err, "");
    assert_int_equal(strncmp(o.out, "graft-sample: does this and that\n" USAGE, 33 + strlen(USAGE)),
                     0);
    assert_non_null(strstr(o.out, "  -w, --what WHAT "));
    o = shell("(sample --help-mdoc)");
    assert_non_null(strstr(
        o.out, ".Nm graft sample\n.Oo\n.Fl w\n.Ar WHAT\n.Oc\n.Oo\n.Ar FILE\n.Ar ...\n.Oc\n"));
    assert_non_null(strstr(o.out, ".\\\" OPTIONS BEGIN\n.Ss Sample\n"));
    expect("(sample -- -h)", 0, "1 operands\n", "");
}

static void broken_output(void **state)
{
    (void)state;
    const char *full = "graft-sample: cannot write standard output: No space left on device\n";
    expect("(sample >/dev/full)", 1, "", full);
    expect("(sample -w print >/dev/full)", 1, "", full);
    expect("(sample -h >/dev/full)", 1, "", full);
    expect("(sample -w forever >/dev/full)", 1, "",
           "graft-sample: cannot write 'standard output': No space left on device\n");
    expect("(sample -w forever -o /dev/full)", 1, "",
           "graft-sample: cannot write '/dev/full': No space left on device\n");
    expect("(sample >&-)", 1, "",
           "graft-sample: cannot write standard output: Bad file descriptor\n");
    expect("(ulimit -f 8; sample -w forever -o /tmp/graft-test-prog-limit)", 1, "",
           "graft-sample: cannot write '/tmp/graft-test-prog-limit': File too large\n");
}

/* A program whose reader is gone dies of SIGPIPE and says nothing; the shell shows that as 141. */
static void gone_reader(void **state)
{
    (void)state;
    expect("{ (sample -w forever; ) ; echo $? >&2; } | head -n 1", 0, "yes\n", "141\n");
    expect("{ (sample -w print; ) ; echo $? >&2; } | head -n 1", 0, "line\n", "141\n");
    expect("trap '' PIPE; { (sample -w forever; ) ; echo $? >&2; } | head -n 1", 0, "yes\n",
           "141\n");
}

static void closed_standard_files(void **state)
{
    (void)state;
    expect("(sample -w open <&- >&-)", 0, "", "");
    expect("(sample -w open <&- 2>&-)", 0, "", "");
}

static void chatter(void **state)
{
    (void)state;
    expect("(sample -w say)", 0, "", "graft-sample: warning: 1 warnings\n");
    expect("(sample -qw say)", 0, "", "");
    expect("(sample -vw say)", 0, "", "graft-sample: warning: 1 warnings\ngraft-sample: a note\n");
}

static void faults(void **state)
{
    (void)state;
    expect("(FAULT=thread:2 sample -w threads)", 1, "",
           "graft-sample: cannot start thread 3 of 3 (fewer with -j): Resource temporarily "
           "unavailable\n");
    expect("(FAULT=thread:3 sample -w threads)", 0, "", "");
    expect("(FAULT=alloc:1 sample x)", 1, "", NULL);
}

/* Nothing of a terminal's user is waited for: the bare command says how it is used. script(1) makes
 * a terminal. */
static void bare_on_a_terminal(void **state)
{
    (void)state;
    if (system("command -v script >/dev/null") != 0) skip();
    char line[256];
    snprintf(line, sizeof line, "script -qec '/proc/%ld/exe act' /dev/null </dev/null",
             (long)getpid());
    struct outcome o = shell(line);
    assert_int_equal(o.status, 2);
    assert_non_null(strstr(o.out, "usage: graft sample [-w WHAT] [FILE ...]\r\n"));
}

static void formats(void **state)
{
    (void)state;
    char buf[32];
    assert_string_equal(prog_format_duration(0.2, buf), "0:00");
    assert_string_equal(prog_format_duration(61, buf), "1:01");
    assert_string_equal(prog_format_duration(3723, buf), "1:02:03");
    assert_string_equal(prog_format_duration(-1, buf), "--:--");
    assert_string_equal(prog_format_bytes(0, buf), "0 B");
    assert_string_equal(prog_format_bytes(999, buf), "999 B");
    assert_string_equal(prog_format_bytes(1500, buf), "1.50 kB");
    assert_string_equal(prog_format_bytes(1.5e9, buf), "1.50 GB");
    double before = prog_seconds(), cpu = prog_cpu_seconds();
    usleep(2000);
    assert_true(prog_seconds() > before && prog_cpu_seconds() >= cpu);
    assert_true(prog_peak_memory() > 100000);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "act") == 0) return prog_main(&sample, argc - 1, argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(help),
        cmocka_unit_test(broken_output),
        cmocka_unit_test(gone_reader),
        cmocka_unit_test(closed_standard_files),
        cmocka_unit_test(chatter),
        cmocka_unit_test(faults),
        cmocka_unit_test(bare_on_a_terminal),
        cmocka_unit_test(formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
