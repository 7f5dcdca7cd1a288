/* SPDX-License-Identifier: Apache-2.0 */
/* scratch.c: see scratch.h. */
#include "tests/unit/scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/graft-test-XXXXXX";
static int before = -1; /* the folder we came from */

int scratch_enter(void **state)
{
    (void)state;
    before = open(".", O_DIRECTORY | O_CLOEXEC);
    return before >= 0 && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int go_back(void)
{
    const int moved = fchdir(before);
    return close(before) == 0 && moved == 0 ? 0 : -1;
}

int scratch_leave(void **state)
{
    (void)state;
    char command[sizeof "rm -rf " + sizeof folder];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return go_back() == 0 ? system(command) : -1;
}

int scratch_leave_empty(void **state)
{
    (void)state;
    return go_back() == 0 ? rmdir(folder) : -1;
}
