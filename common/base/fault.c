/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c: counts fallible operations and fails one of them, as FAULT in the environment says. */
#include "common/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int number;
} kinds[] = {
    [FAULT_ALLOC] = {"alloc", ENOMEM}, [FAULT_READ] = {"read", EIO},
    [FAULT_WRITE] = {"write", ENOSPC}, [FAULT_FSYNC] = {"fsync", EIO},
    [FAULT_RENAME] = {"rename", EIO},  [FAULT_THREAD] = {"thread", EAGAIN},
    [FAULT_OPEN] = {"open", EMFILE},
};

static pthread_once_t fault_once = PTHREAD_ONCE_INIT;
static int64_t fault_at;    /* 0: off */
static int fault_kind = -1; /* -1: all kinds are counted together */
static bool fault_kills;
static _Atomic int64_t fault_count;

static void fault_read_environment(void)
{
    const char *text = getenv("FAULT");
    if (!text) return;
    const char *colon = strchr(text, ':');
    if (colon) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
            if (strlen(kinds[k].name) == (size_t)(colon - text) &&
                strncmp(kinds[k].name, text, (size_t)(colon - text)) == 0)
                fault_kind = (int)k;
        fault_kills = strncmp(text, "kill:", 5) == 0;
        if (fault_kind < 0 && !fault_kills) return;
        text = colon + 1;
    }
    fault_at = strtoll(text, NULL, 10);
}

bool fault_here(enum fault_kind kind)
{
    pthread_once(&fault_once, fault_read_environment);
    if (fault_at <= 0) return false;
    if (fault_kind >= 0 && fault_kind != (int)kind) return false;
    if (atomic_fetch_add(&fault_count, 1) + 1 != fault_at) return false;
    if (fault_kills) raise(SIGKILL);
    errno = kinds[kind].number;
    return true;
}
