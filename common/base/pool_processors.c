/* SPDX-License-Identifier: Apache-2.0 */
/* pool_processors.c: how many processors this process may use: its affinity mask, cut by the CPU
 * quota of its control group and of every group above it (a container's limit is usually set on an
 * outer one). Half a processor counts as one. */
#include "common/base/pool.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int affinity_count(void)
{
    for (int size = 1024; size <= 1 << 20; size *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)size);
        if (!set) break;
        size_t bytes = CPU_ALLOC_SIZE((size_t)size);
        int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
    return 1;
}

/* The first numbers of a small file; a word such as "max" reads as -1. False when there is no such
 * file. */
static bool read_numbers(const char *path, long long *a, long long *b)
{
    char text[64];
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool ok = fgets(text, sizeof text, f) != NULL;
    fclose(f);
    if (!ok) return false;
    char *end;
    *a = strtoll(text, &end, 10);
    if (end == text) *a = -1;
    end += strcspn(end, " ");
    *b = strtoll(end, NULL, 10);
    return true;
}

static int cut(int count, long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return count;
    long long limit = (quota + period - 1) / period;
    return limit < count ? (int)limit : count;
}

/* Applies the quota of the group `path` under `root` and of all groups above it. */
static int walk_groups(int count, const char *root, char *path, bool v2)
{
    for (;;) {
        char file[4400];
        long long quota = -1, period = 0, unused;
        snprintf(file, sizeof file, "%s%s/%s", root, path, v2 ? "cpu.max" : "cpu.cfs_quota_us");
        if (read_numbers(file, &quota, &period)) {
            if (!v2) {
                snprintf(file, sizeof file, "%s%s/cpu.cfs_period_us", root, path);
                if (!read_numbers(file, &period, &unused)) period = 0;
            }
            count = cut(count, quota, period);
        }
        char *slash = strrchr(path, '/');
        if (!slash) return count;
        *slash = '\0';
    }
}

static bool list_has(const char *list, const char *word)
{
    for (size_t n = strlen(word); *list; list += *list == ',') {
        size_t len = strcspn(list, ",");
        if (len == n && strncmp(list, word, n) == 0) return true;
        list += len;
    }
    return false;
}

int pool_processors(void)
{
    int count = affinity_count();
    char line[4200];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) { /* "4:cpu,cpuacct:/path" or "0::/path" */
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path++ = '\0';
        controllers++;
        path[strcspn(path, "\n")] = '\0';
        if (path[0] == '/' && path[1] == '\0') path[0] = '\0';
        if (*controllers == '\0') {
            char again[4200];
            snprintf(again, sizeof again, "%s", path);
            count = walk_groups(count, "/sys/fs/cgroup", path, true);
            count = walk_groups(count, "/sys/fs/cgroup/unified", again, true);
        } else if (list_has(controllers, "cpu")) {
            count = walk_groups(count, "/sys/fs/cgroup/cpu", path, false);
        }
    }
    if (f) fclose(f);
    return count < 1 ? 1 : count;
}
