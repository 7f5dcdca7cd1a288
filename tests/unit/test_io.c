/* SPDX-License-Identifier: Apache-2.0 */
/* test_io.c: a file appears whole or not at all; transfers are complete or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "tests/unit/scratch.h"

static int files_here(void)
{
    int n = 0;
    DIR *d = opendir(".");
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d)) != NULL;)
        n += strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0;
    closedir(d);
    return n;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_content(const char *path, const char *text)
{
    struct errctx e = ERRCTX_INIT;
    struct bytes b = {0};
    assert_int_equal(io_slurp(&e, path, 1 << 20, &b), ERR_OK);
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(b.data, text, b.len);
    bytes_fini(&b);
}

static void commit_and_abort(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct outfile f;
    assert_int_equal(outfile_open(&e, "a", &f), ERR_OK);
    assert_true(f.regular);
    assert_string_equal(outfile_name(&f), "a");
    assert_int_equal(outfile_write(&e, &f, "one", 3), ERR_OK);
    assert_int_equal(access("a", F_OK), -1); /* not before it is whole */
    assert_int_equal(outfile_commit(&e, &f), ERR_OK);
    assert_content("a", "one");

    assert_int_equal(chmod("a", 0640), 0);
    assert_int_equal(outfile_open(&e, "a", &f), ERR_OK);
    assert_int_equal(outfile_write(&e, &f, "two", 3), ERR_OK);
    outfile_abort(&f);
    assert_content("a", "one");

    assert_int_equal(outfile_open(&e, "./a", &f), ERR_OK);
    assert_int_equal(outfile_write(&e, &f, "three", 5), ERR_OK);
    assert_int_equal(outfile_sync(&e, &f), ERR_OK);
    assert_int_equal(outfile_commit(&e, &f), ERR_OK);
    assert_content("a", "three");
    struct stat st;
    assert_int_equal(stat("a", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640); /* the mode that was there */
    assert_int_equal(files_here(), 1);
    unlink("a");
}

/* The hidden name of a file that is to be replaced: what a killed process has left under it goes,
 * what a living one holds stays. */
static void hidden_names(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct outfile f;
    put("a", "old");
    put(".graft-a-0.tmp", "of a process that was killed");
    assert_int_equal(outfile_open(&e, "a", &f), ERR_OK);
    assert_int_equal(outfile_write(&e, &f, "new", 3), ERR_OK);
    assert_int_equal(outfile_commit(&e, &f), ERR_OK);
    assert_content("a", "new");
    assert_int_equal(files_here(), 1);

    put(".graft-a-0.tmp", "of a process that lives");
    int held = open(".graft-a-0.tmp", O_RDONLY);
    assert_int_equal(flock(held, LOCK_EX), 0);
    assert_int_equal(outfile_open(&e, "a", &f), ERR_OK);
    assert_int_equal(outfile_write(&e, &f, "newer", 5), ERR_OK);
    assert_int_equal(outfile_commit(&e, &f), ERR_OK);
    close(held);
    assert_content("a", "newer");
    assert_content(".graft-a-0.tmp", "of a process that lives");
    unlink(".graft-a-0.tmp");
    unlink("a");
}

static void new_files_follow_umask(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct outfile f;
    struct stat st;
    mode_t before = umask(027);
    assert_int_equal(outfile_open(&e, "m", &f), ERR_OK);
    assert_int_equal(outfile_commit(&e, &f), ERR_OK);
    umask(before);
    assert_int_equal(stat("m", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    unlink("m");
}

static void links_stay_links(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct outfile f;
    struct stat st;
    put("target", "old");
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(outfile_open(&e, "link", &f), ERR_OK);
    assert_int_equal(outfile_write(&e, &f, "new", 3), ERR_OK);
    assert_int_equal(outfile_commit(&e, &f), ERR_OK);
    assert_int_equal(lstat("link", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_content("target", "new");
    unlink("link");
    unlink("target");
}

static void bad_targets(void **state)
{
    (void)state;
    static const struct {
        const char *path, *message;
        enum err code;
    } cases[] = {
        {"no/such/x", "cannot create 'no/such/x': No such file or directory", ERR_IO},
        {".", "cannot create '.': it is a directory", ERR_IO},
        {"", "cannot create '': the name is empty", ERR_USAGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errctx e = ERRCTX_INIT;
        struct outfile f;
        assert_int_equal(outfile_open(&e, cases[i].path, &f), cases[i].code);
        assert_string_equal(e.message, cases[i].message);
    }
    struct errctx e = ERRCTX_INIT;
    struct infile in;
    assert_int_equal(infile_open(&e, "absent", &in), ERR_IO);
    assert_string_equal(e.message, "cannot open 'absent': No such file or directory");
    err_clear(&e);
    assert_int_equal(infile_open(&e, "/", &in), ERR_IO);
    assert_string_equal(e.message, "cannot read '/': it is a directory");
    assert_int_equal(files_here(), 0);
}

static void full_disk(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct outfile f;
    assert_int_equal(outfile_open(&e, "/dev/full", &f), ERR_OK);
    assert_true(f.direct && !f.regular);
    assert_int_equal(outfile_write(&e, &f, "x", 1), ERR_IO);
    assert_string_equal(e.message, "cannot write '/dev/full': No space left on device");
    outfile_abort(&f);
    assert_int_equal(access("/dev/full", F_OK), 0);
}

/* A FIFO is written directly, and a reader that goes away is ERR_PIPE. */
static void fifo(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct outfile f;
    char got[8] = "";
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    assert_int_equal(outfile_open(&e, "pipe", &f), ERR_OK);
    assert_true(f.direct && !f.regular);
    assert_int_equal(outfile_write(&e, &f, "through", 7), ERR_OK);
    assert_int_equal(read(reader, got, sizeof got), 7);
    assert_memory_equal(got, "through", 7);
    close(reader);
    assert_int_equal(outfile_write(&e, &f, "x", 1), ERR_PIPE);
    outfile_abort(&f);
    assert_int_equal(files_here(), 1);
    unlink("pipe");
}

/* How often it was asked, and the pipe that says so to the other process. */
struct asked {
    int times, to;
};

static void flush_before(void *ctx)
{
    struct asked *a = ctx;
    if (a->times++ == 0) assert_int_equal(write(a->to, "?", 1), 1);
}

static void reads_ask_before_they_block(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct infile f;
    int ends[2], question[2];
    char got[16], path[32];
    size_t n;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(question), 0);
    struct asked asked = {.to = question[1]};
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_int_equal(infile_open(&e, path, &f), ERR_OK);
    assert_false(f.regular);
    f.before_block = flush_before;
    f.before_block_ctx = &asked;
    assert_int_equal(write(ends[1], "abc", 3), 3);
    assert_int_equal(infile_read(&e, &f, got, sizeof got, &n), ERR_OK);
    assert_int_equal(n, 3);
    assert_int_equal(asked.times, 0);
    if (fork() == 0) { /* writes only when the reader has asked, or never will */
        poll(&(struct pollfd){.fd = question[0], .events = POLLIN}, 1, 60000);
        _exit(write(ends[1], "def", 3) != 3);
    }
    close(ends[1]);
    assert_int_equal(infile_read_full(&e, &f, got, sizeof got, &n), ERR_OK);
    assert_int_equal(n, 3);
    assert_true(asked.times >= 1);
    assert_int_equal(f.offset, 6);
    wait(NULL);
    close(ends[0]);
    close(question[0]);
    close(question[1]);
    infile_close(&f);
}

static void seek_and_pread(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct infile f;
    char got[16];
    size_t n;
    put("digits", "0123456789");
    assert_int_equal(infile_open(&e, "digits", &f), ERR_OK);
    assert_true(f.regular && f.size == 10);
    assert_int_equal(infile_seek(&e, &f, 4), ERR_OK);
    assert_int_equal(infile_read_full(&e, &f, got, 3, &n), ERR_OK);
    assert_memory_equal(got, "456", 3);
    assert_int_equal(f.offset, 7);
    assert_int_equal(infile_pread_full(&e, &f, got, 16, 8, &n), ERR_OK);
    assert_int_equal(n, 2);
    assert_int_equal(io_pread_all(&e, f.fd, got, 4, 8, "digits"), ERR_IO);
    assert_string_equal(e.message, "cannot read 'digits': it ends at byte 10, not at 12");
    infile_close(&f);
    struct bytes b = {0};
    err_clear(&e);
    assert_int_equal(io_slurp(&e, "digits", 9, &b), ERR_INPUT);
    assert_string_equal(e.message, "'digits': larger than the limit of 9 bytes");
    bytes_fini(&b);
    unlink("digits");
}

static void temporaries(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    int fd;
    char got[4];
    setenv("TMPDIR", ".", 1);
    assert_int_equal(io_temporary(&e, 1, &fd), ERR_OK);
    assert_int_equal(files_here(), 0);
    assert_int_equal(io_write_all(&e, fd, "spill", 5, "spill"), ERR_OK);
    assert_int_equal(io_pread_all(&e, fd, got, 4, 1, "spill"), ERR_OK);
    assert_memory_equal(got, "pill", 4);
    close(fd);
    assert_int_equal(io_temporary(&e, UINT64_C(1) << 62, &fd), ERR_IO);
    assert_non_null(strstr(e.message, "not enough space in '.'"));
    setenv("TMPDIR", "./absent", 1);
    err_clear(&e);
    assert_int_equal(io_temporary(&e, 0, &fd), ERR_IO);
    unsetenv("TMPDIR");
}

/* ---- what only a process of its own can show: this program runs itself with the name of an act
 * ---- */

static void act(const char *name)
{
    struct errctx e = ERRCTX_INIT;
    struct outfile f;
    io_install_cleanup();
    int before = files_here();
    enum err r = outfile_open(&e, "kept", &f);
    if (r == ERR_OK) {
        if (strcmp(name, "unnamed") != 0 && strstr(name, "named") && files_here() != before + 1)
            _exit(9);
        if (strstr(name, "unnamed") && files_here() != before) _exit(9);
        r = outfile_write(&e, &f, "new", 3);
        if (strstr(name, "exit")) exit(0);
        if (strstr(name, "signal")) raise(SIGTERM);
        if (r == ERR_OK)
            r = outfile_commit(&e, &f);
        else
            outfile_abort(&f);
    }
    if (r != ERR_OK && e.message[0] == '\0') _exit(9);
    _exit((int)r);
}

/* The wait status of the act with FAULT set. 'kept' holds "old" before. */
static int perform(const char *name, const char *fault)
{
    put("kept", "old");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (fault) setenv("FAULT", fault, 1);
        execl("/proc/self/exe", "test_io", name, (char *)NULL);
        _exit(9);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* FAULT=open:2 is the file without a name: the hidden one takes its place. */
static void ends_without_commit_leave_nothing(void **state)
{
    (void)state;
    static const char *const acts[][2] = {
        {"signal", NULL}, {"signal named", "open:2"}, {"exit", NULL}, {"exit named", "open:2"}};
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        int status = perform(acts[i][0], acts[i][1]);
        if (acts[i][0][0] == 's')
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        else
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_content("kept", "old");
        assert_int_equal(files_here(), 1);
    }
    unlink("kept");
}

/* Whatever fails, the old file stays, and what was written is all there or not. The second fsync is
 * of the directory: the new file is in place by then. */
static void faults_keep_the_old_file(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *act;
        enum err code;
        const char *content;
    } cases[] = {
        {"open:1", "", ERR_IO, "old"},        {"open:2", "named", ERR_OK, "new"},
        {"open:9", "unnamed", ERR_OK, "new"}, {"alloc:1", "", ERR_MEMORY, "old"},
        {"write:1", "", ERR_IO, "old"},       {"fsync:1", "", ERR_IO, "old"},
        {"rename:1", "", ERR_IO, "old"},      {"fsync:2", "", ERR_IO, "new"},
        {"write:2", "", ERR_OK, "new"},       {"nonsense:1", "", ERR_OK, "new"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int status = perform(cases[i].act, cases[i].fault);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), cases[i].code);
        assert_content("kept", cases[i].content);
        assert_int_equal(files_here(), 1);
    }
    int failures = 0;
    for (int n = 1; n <= 30; n++) { /* any operation */
        char fault[16];
        snprintf(fault, sizeof fault, "%d", n);
        int status = perform("", fault);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 9);
        failures += WEXITSTATUS(status) != 0;
        assert_int_equal(files_here(), 1);
    }
    assert_in_range(failures, 6, 29);
    unlink("kept");
}

static void same_files(void **state)
{
    (void)state;
    put("a", "");
    put("other", "");
    assert_int_equal(mkdir("d", 0755), 0);
    assert_int_equal(symlink("a", "link"), 0);
    assert_int_equal(link("a", "hard"), 0);
    assert_int_equal(symlink("../new", "d/dangling"), 0);
    assert_int_equal(symlink("d/dangling", "twice"), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    static const char *const same[][2] = {
        {"a", "a"},          {"a", "./a"},          {"a", "d/../a"},
        {"link", "a"},       {"hard", "a"},         {"new", "./new"},
        {"d/../new", "new"}, {"d/dangling", "new"}, {"twice", "d/../new"},
        {"d/new", "d//new"},
    };
    static const char *const others[][2] = {
        {"a", "other"},   {"a", "new"}, {"new", "d/new"},           {"-", "-"},  {"no/a", "no/a"},
        {"loop", "loop"}, {"a", "d"},   {"/dev/null", "/dev/null"}, {NULL, "a"}, {"twice", "a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        if (!io_same_file(same[i][0], same[i][1]) || !io_same_file(same[i][1], same[i][0]))
            fail_msg("%s is not %s", same[i][0], same[i][1]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (io_same_file(others[i][0], others[i][1])) fail_msg("%s", others[i][1]);
    assert_int_equal(system("rm -r a other d link hard twice loop"), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) act(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commit_and_abort),
        cmocka_unit_test(hidden_names),
        cmocka_unit_test(new_files_follow_umask),
        cmocka_unit_test(links_stay_links),
        cmocka_unit_test(bad_targets),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(fifo),
        cmocka_unit_test(reads_ask_before_they_block),
        cmocka_unit_test(seek_and_pread),
        cmocka_unit_test(temporaries),
        cmocka_unit_test(same_files),
        cmocka_unit_test(ends_without_commit_leave_nothing),
        cmocka_unit_test(faults_keep_the_old_file),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
