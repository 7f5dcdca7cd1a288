/* SPDX-License-Identifier: Apache-2.0 */
/* places.c: see places.h. Of what cannot be named within PATH_MAX nothing is said. */
#include "common/base/places.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/attr.h"

static void add_place(struct places *p, const char *path, size_t len)
{
    if (!path || len == 0 || p->count == PLACES_MAX) return;
    p->dir[p->count].path = path;
    p->dir[p->count++].len = len;
}

void places_find(struct places *p, const char *exec_path, const char *libexec, const char *man)
{
    ssize_t n = readlink("/proc/self/exe", p->self, sizeof p->self - 1);
    p->self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(p->self, '/');
    if (slash) *slash = '\0';
    p->count = 0;
    p->man = man;
    if (!exec_path) exec_path = getenv("GRAFT_EXEC_PATH");
    if (exec_path) add_place(p, exec_path, strlen(exec_path));
    if (slash) add_place(p, p->self, strlen(p->self));
    if (slash && snprintf(p->beside, PATH_MAX, "%s/../libexec/graft", p->self) < PATH_MAX)
        add_place(p, p->beside, strlen(p->beside));
    add_place(p, libexec, strlen(libexec));
    for (const char *s = getenv("PATH"); s && *s; s += *s == ':') {
        size_t len = strcspn(s, ":");
        add_place(p, s, len);
        s += len;
    }
}

int places_find_program(const struct places *p, const char *name, char path[PATH_MAX])
{
    if (*name == '\0' || strchr(name, '/')) return -1;
    for (int i = 0; i < p->count; i++) {
        int n = snprintf(path, PATH_MAX, "%.*s/graft-%s", (int)p->dir[i].len, p->dir[i].path, name);
        if (n < PATH_MAX && access(path, X_OK) == 0) return i;
    }
    return -1;
}

void places_each_program(const struct places *p,
                         void (*each)(void *ctx, const char *name, const char *path), void *ctx)
{
    for (int i = 0; i < p->count; i++) {
        char path[PATH_MAX];
        if (snprintf(path, PATH_MAX, "%.*s", (int)p->dir[i].len, p->dir[i].path) >= PATH_MAX)
            continue;
        DIR *d = opendir(path);
        for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
            const char *name = entry->d_name + 6;
            if (strncmp(entry->d_name, "graft-", 6) != 0) continue;
            if (places_find_program(p, name, path) == i) each(ctx, name, path);
        }
        if (d) closedir(d);
    }
}

bool places_find_page(const struct places *p, const char *name, char path[PATH_MAX])
{
    static const char *const prefixes[] = {"graft-", ""};
    const char *roots[] = {p->self, p->self, p->man};
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
