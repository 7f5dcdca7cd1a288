/* SPDX-License-Identifier: Apache-2.0 */
/* thin.h: shortens what a sanitizer would learn nothing new from. A loop whose length is for the
 * arithmetic (seeds of a statistic, steps of a training, every code point) is as good to a
 * sanitizer after a part of it; without one it always runs whole. GRAFT_SANITIZER is the
 * Makefile's SANITIZE. */
#ifndef GRAFT_TESTS_THIN_H
#define GRAFT_TESTS_THIN_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool thin_any(void)
{
    const char *sanitizer = getenv("GRAFT_SANITIZER");
    return sanitizer && *sanitizer;
}

/* Looks for races only: what one thread does is of no interest to it, and slow. */
static inline bool thin_threads(void)
{
    const char *sanitizer = getenv("GRAFT_SANITIZER");
    return sanitizer && strcmp(sanitizer, "thread") == 0;
}

#endif
