/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c: lines for developers on stderr, one write each so that threads do not mix them. */
#include "common/base/trace.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/attr.h"

static const char *const topics[] = {[TRACE_IO] = "io",
                                     [TRACE_ALLOC] = "alloc",
                                     [TRACE_KERNEL] = "kernel",
                                     [TRACE_STREAM] = "stream",
                                     [TRACE_TRAIN] = "train"};

static pthread_once_t trace_once = PTHREAD_ONCE_INIT;
static unsigned trace_mask;

static void trace_read_environment(void)
{
    const char *text = getenv("GRAFT_TRACE");
    while (text && *text) {
        size_t n = strcspn(text, ",");
        for (size_t t = 0; t < ARRAY_LEN(topics); t++)
            if ((n == strlen(topics[t]) && strncmp(text, topics[t], n) == 0) ||
                (n == 3 && strncmp(text, "all", 3) == 0))
                trace_mask |= 1u << t;
        text += n + (text[n] == ',');
    }
}

bool trace_on(enum trace_topic topic)
{
    pthread_once(&trace_once, trace_read_environment);
    return (trace_mask >> topic) & 1u;
}

void trace_line(enum trace_topic topic, const char *fmt, ...)
{
    if (!trace_on(topic)) return;
    char line[1024];
    int head = snprintf(line, sizeof line, "trace %s: ", topics[topic]);
    va_list ap;
    va_start(ap, fmt);
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, fmt, ap);
    va_end(ap);
    size_t len = (size_t)head + (body > 0 ? (size_t)body : 0);
    if (len > sizeof line - 2) len = sizeof line - 2;
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}
