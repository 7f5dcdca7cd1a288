/* SPDX-License-Identifier: Apache-2.0 */
/* energy.c: sums the package counters of powercap, over their wrap-around. */
#include "common/train/energy.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool read_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool ok = fgets(line, size, f) != NULL;
    fclose(f);
    return ok;
}

static bool read_number(const char *path, uint64_t *out)
{
    char line[64];
    return read_line(path, line, sizeof line) && sscanf(line, "%" SCNu64, out) == 1;
}

/* Zones named package-N are whole sockets; cores and memory below them are counted in already. */
static void add_zone(struct energy *n, const char *directory, const char *name)
{
    char path[300], line[64];
    struct energy_zone *z = &n->zones[n->count];
    if (snprintf(path, sizeof path, "%s/%s/max_energy_range_uj", directory, name) >=
        (int)sizeof path)
        return; /* the longest of the three names */
    snprintf(path, sizeof path, "%s/%s/name", directory, name);
    if (!read_line(path, line, sizeof line) || strncmp(line, "package-", 8) != 0) return;
    snprintf(path, sizeof path, "%s/%s/max_energy_range_uj", directory, name);
    if (!read_number(path, &z->range)) return;
    snprintf(z->path, sizeof z->path, "%s/%s/energy_uj", directory, name);
    if (read_number(z->path, &z->last)) n->count++;
}

void energy_init(struct energy *n, const char *directory)
{
    *n = (struct energy){0};
    DIR *d = opendir(directory);
    if (!d) return;
    for (struct dirent *entry; n->count < ENERGY_ZONES && (entry = readdir(d)) != NULL;)
        if (entry->d_name[0] != '.') add_zone(n, directory, entry->d_name);
    closedir(d);
}

double energy_read(struct energy *n)
{
    for (int i = 0; i < n->count; i++) {
        struct energy_zone *z = &n->zones[i];
        uint64_t now;
        if (!read_number(z->path, &now)) continue;
        uint64_t used = now >= z->last ? now - z->last : now + z->range - z->last;
        n->joules += (double)used * 1e-6;
        z->last = now;
    }
    return n->joules;
}

const char *energy_source(const struct energy *n)
{
    return n->count ? "rapl" : "none";
}
