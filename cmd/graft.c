/* SPDX-License-Identifier: Apache-2.0 */
/* graft.c: the driver: finds the program that `graft NAME` means and becomes it.
 *
 * Programs are looked for in --exec-path (or GRAFT_EXEC_PATH), beside this executable (the build
 * tree), in ../libexec/graft from there (an installed tree, wherever it was moved), in the
 * configured libexecdir, and last on PATH, so that anyone can add a stage or put one before ours.
 * Only libc is linked: this must cost nothing. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/programs.h"
#include "common/base/opts.h"
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

/* ---- where programs are ---- */

enum { MAX_PLACES = 128 };

struct places { /* directories in the order of search */
    struct {
        const char *path;
        size_t len;
    } dir[MAX_PLACES];
    int count;
    char self[PATH_MAX], beside[PATH_MAX]; /* directory of this executable; its ../libexec/graft */
};

static void add_place(struct places *p, const char *path, size_t len)
{
    if (!path || len == 0 || p->count == MAX_PLACES) return;
    p->dir[p->count].path = path;
    p->dir[p->count++].len = len;
}

static void find_places(struct places *p, const char *exec_path)
{
    ssize_t n = readlink("/proc/self/exe", p->self, sizeof p->self - 1);
    p->self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(p->self, '/');
    if (slash) *slash = '\0';
    p->count = 0;
    if (!exec_path) exec_path = getenv("GRAFT_EXEC_PATH");
    if (exec_path) add_place(p, exec_path, strlen(exec_path));
    if (slash) add_place(p, p->self, strlen(p->self));
    if (slash && snprintf(p->beside, PATH_MAX, "%s/../libexec/graft", p->self) < PATH_MAX)
        add_place(p, p->beside, strlen(p->beside));
    add_place(p, GRAFT_LIBEXEC, strlen(GRAFT_LIBEXEC));
    for (const char *s = getenv("PATH"); s && *s; s += *s == ':') {
        size_t len = strcspn(s, ":");
        add_place(p, s, len);
        s += len;
    }
}

/* The index of the first place that has the program, with its path; -1 when none has. */
static int find_program(const struct places *p, const char *name, char path[PATH_MAX])
{
    if (*name == '\0' || strchr(name, '/')) return -1;
    for (int i = 0; i < p->count; i++) {
        int n = snprintf(path, PATH_MAX, "%.*s/graft-%s", (int)p->dir[i].len, p->dir[i].path, name);
        if (n < PATH_MAX && access(path, X_OK) == 0) return i;
    }
    return -1;
}

/* ---- help ---- */

static bool in_table(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (strcmp(programs[i].name, name) == 0) return true;
    return false;
}

/* Programs that are not ours: each once, from the place it would be run from. */
static void print_foreign(const struct places *p)
{
    bool titled = false;
    for (int i = 0; i < p->count; i++) {
        char path[PATH_MAX];
        if (snprintf(path, PATH_MAX, "%.*s", (int)p->dir[i].len, p->dir[i].path) >= PATH_MAX)
            continue;
        DIR *d = opendir(path);
        for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
            const char *name = entry->d_name + 6;
            if (strncmp(entry->d_name, "graft-", 6) != 0 || in_table(name)) continue;
            if (find_program(p, name, path) != i) continue;
            if (!titled) printf("\nalso found\n");
            titled = true;
            printf("  %-17s%s\n", name, path);
        }
        if (d) closedir(d);
    }
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
    print_usage(stdout);
    for (int g = 0; g < GROUP_COUNT; g++) {
        printf("\n%s\n", titles[g]);
        for (size_t i = 0; i < ARRAY_LEN(programs); i++)
            if (programs[i].group == (enum group)g)
                printf("  %-17s%s\n", programs[i].name, programs[i].summary);
    }
    print_foreign(p);
    puts("\n'graft NAME -h' sums a program up, 'graft help NAME' opens its page,\n"
         "'graft help graft.7' that of the whole.");
    return flush_stdout();
}

/* The file of a page, NAME or NAME.SECTION: in a build's source tree, beside an installed tree, or
 * where it was configured. */
static bool find_page(const struct places *p, const char *name, char path[PATH_MAX])
{
    static const char *const prefixes[] = {"graft-", ""};
    const char *roots[] = {p->self, p->self, GRAFT_MAN};
    const char *below[] = {"/../../man/", "/../share/man/man%/", "/man%/"};
    size_t len = strlen(name);
    const char *sections = "157", *dot = len > 2 ? name + len - 2 : NULL;
    if (strchr(name, '/')) return false;
    if (dot && *dot == '.' && strchr(sections, dot[1])) {
        sections = dot + 1;
        len -= 2;
    }
    for (size_t r = 0; r < ARRAY_LEN(roots); r++)
        for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
            for (const char *section = sections; *section; section++) {
                int n = snprintf(path, PATH_MAX, "%s%s%s%.*s.%c", roots[r], below[r], prefixes[i],
                                 (int)len, name, *section);
                char *mark = n < PATH_MAX ? strchr(path + strlen(roots[r]), '%') : NULL;
                if (mark) *mark = *section;
                if (n < PATH_MAX && access(path, R_OK) == 0) return true;
            }
    return false;
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
    if (find_page(p, name, page)) {
        execlp("man", "man", page, (char *)NULL);
        execlp("mandoc", "mandoc", "-a", page, (char *)NULL); /* a small system has only this */
    }
    if (find_program(p, name, program) >= 0) {
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
    find_places(&places, exec_path);
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
        int where = find_program(&places, "cat", path);
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
    if (find_program(&places, name, path) < 0) return complain("unknown program", name);
    argv[0] = path;
    execv(path, argv);
    fprintf(stderr, "graft: cannot run '%s': %s\n", path, strerror(errno));
    return 1;
}
