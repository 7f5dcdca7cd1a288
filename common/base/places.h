/* SPDX-License-Identifier: Apache-2.0 */
/* places.h: where the parts of an installation are: programs graft-NAME and their pages. Only libc
 * is used, and nothing is allocated: this is what every call of the driver costs. */
#ifndef GRAFT_BASE_PLACES_H
#define GRAFT_BASE_PLACES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { PLACES_MAX = 128 };

struct places { /* directories in the order of search */
    struct {
        const char *path;
        size_t len;
    } dir[PLACES_MAX];
    int count;
    const char *man;                       /* as configured */
    char self[PATH_MAX], beside[PATH_MAX]; /* directory of this executable; its ../libexec/graft */
};

/* exec_path (or GRAFT_EXEC_PATH, when it is NULL), beside this executable, ../libexec/graft from
 * there, `libexec`, and PATH. All strings are borrowed. */
void places_find(struct places *p, const char *exec_path, const char *libexec, const char *man);

/* The index of the first place that has the program, with its path; -1 when none has. */
int places_find_program(const struct places *p, const char *name, char path[PATH_MAX]);
/* Calls `each` for every program that is there, once, from the place it would be run from. */
void places_each_program(const struct places *p,
                         void (*each)(void *ctx, const char *name, const char *path), void *ctx);
/* The file of a page, NAME or NAME.SECTION: in a build's source tree, beside an installed tree, or
 * where it was configured. */
bool places_find_page(const struct places *p, const char *name, char path[PATH_MAX]);

#endif
