/* SPDX-License-Identifier: Apache-2.0 */
/* graft.c: the driver: finds the program that `graft NAME` means and becomes it.
 *
 * Programs are looked for in --exec-path (or GRAFT_EXEC_PATH), beside this executable (the build
 * tree), in ../libexec/graft from there (an installed tree, wherever it was moved), in the
 * configured libexecdir, and last on PATH, so that anyone can add a stage or put one before ours.
 * Only libc is linked: this must cost nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/programs.h"
#include "common/base/opts.h"
#include "common/base/places.h"
#include "common/base/prog.h"

#ifndef GRAFT_LIBEXEC
#define GRAFT_LIBEXEC "/usr/local/libexec/graft"
#endif
#ifndef GRAFT_MAN
#define GRAFT_MAN "/usr/local/share/man"
#endif

#define AS_GROUP(group, title) GROUP_##group,
#define AS_TITLE(group, title) title,
enum group { PROGRAM_GROUPS(AS_GROUP) GROUP_COUNT };
static const char *const titles[] = {PROGRAM_GROUPS(AS_TITLE)};

#define AS_ROW(name, group, summary) {name, GROUP_##group, summary},
static const struct {
    const char *name;
    enum group group;
    const char *summary;
} programs[] = {PROGRAM_TABLE(AS_ROW)};

/* ---- help ---- */

static bool in_table(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (strcmp(programs[i].name, name) == 0) return true;
    return false;
}

static void print_foreign(void *titled, const char *name, const char *path)
{
    if (in_table(name)) return;
    if (!*(bool *)titled) printf("\nalso found\n");
    *(bool *)titled = true;
    printf("  %-17s%s\n", name, path);
}

static void print_usage(FILE *out)
{
    fputs("usage: graft NAME [OPTION ...] [FILE ...]\n"
          "       graft help [NAME]\n"
          "       graft --version | --exec-path\n",
          out);
}

static int flush_stdout(void)
{
    if (fflush(stdout) == 0) return 0;
    fprintf(stderr, "graft: cannot write standard output: %s\n", strerror(errno));
    return 1;
}

static int print_help(const struct places *p)
{
    bool titled = false;
    print_usage(stdout);
    for (int g = 0; g < GROUP_COUNT; g++) {
        printf("\n%s\n", titles[g]);
        for (size_t i = 0; i < ARRAY_LEN(programs); i++)
            if (programs[i].group == (enum group)g)
                printf("  %-17s%s\n", programs[i].name, programs[i].summary);
    }
    places_each_program(p, print_foreign, &titled);
    puts("\n'graft NAME -h' sums a program up, 'graft help NAME' opens its page,\n"
         "'graft help graft.7' that of the whole.");
    return flush_stdout();
}

/* Of a name that is no program or has no page, with the program that is nearly called so. */
static int complain(const char *what, const char *name)
{
    struct opts_nearest n = {.word = name};
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) opts_nearest_try(&n, programs[i].name);
    const char *best = opts_nearest_name(&n);
    fprintf(stderr, "graft: %s '%s'", what, name);
    if (in_table(name))
        fputs(" here: it is part of graft but not installed", stderr);
    else if (best)
        fprintf(stderr, " (did you mean %s?)", best);
    fputs("; 'graft help' lists the programs\n", stderr);
    return 2;
}

static int show_page(const struct places *p, const char *name)
{
    char page[PATH_MAX], program[PATH_MAX];
    if (places_find_page(p, name, page)) {
        execlp("man", "man", page, (char *)NULL);
        execlp("mandoc", "mandoc", "-a", page, (char *)NULL); /* a small system has only this */
    }
    if (places_find_program(p, name, program) >= 0) {
        execl(program, program, "-h", (char *)NULL);
        fprintf(stderr, "graft: cannot run '%s': %s\n", program, strerror(errno));
        return 1;
    }
    return complain("there is no page on", name);
}

/* ---- main ---- */

int main(int argc, char **argv)
{
    static struct places places;
    const char *exec_path = NULL;
    char path[PATH_MAX];
    argv++;
    if (*argv && strncmp(*argv, "--exec-path=", 12) == 0) exec_path = *argv++ + 12;
    places_find(&places, exec_path, GRAFT_LIBEXEC, GRAFT_MAN);
    const char *name = *argv;
    if (argc < 2 || !name) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(name, "--version") == 0) {
        printf("graft %s\n", GRAFT_VERSION);
        return flush_stdout();
    }
    if (strcmp(name, "--exec-path") == 0) {
        int where = places_find_program(&places, "cat", path);
        printf("%.*s\n", where < 0 ? (int)strlen(GRAFT_LIBEXEC) : (int)places.dir[where].len,
               where < 0 ? GRAFT_LIBEXEC : places.dir[where].path);
        return flush_stdout();
    }
    if (strcmp(name, "--list") == 0) { /* for completion */
        for (size_t i = 0; i < ARRAY_LEN(programs); i++) puts(programs[i].name);
        return flush_stdout();
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0)
        return argv[1] ? show_page(&places, argv[1]) : print_help(&places);
    if (name[0] == '-') {
        fprintf(stderr, "graft: unknown option '%s'\n", name);
        print_usage(stderr);
        return 2;
    }
    if (places_find_program(&places, name, path) < 0) return complain("unknown program", name);
    argv[0] = path;
    execv(path, argv);
    fprintf(stderr, "graft: cannot run '%s': %s\n", path, strerror(errno));
    return 1;
}
