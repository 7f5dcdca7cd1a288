/* SPDX-License-Identifier: Apache-2.0 */
/* err.c: keeps the first error of a chain of calls, as one printable line. */
#include "common/base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* File names and record contents reach messages: a newline or an escape sequence in them must not
 * reach the terminal. Bytes of UTF-8 pass. */
void err_tidy(char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c == 0x7f) *s = '?';
    }
}

enum err err_set(struct errctx *e, enum err code, const char *fmt, ...)
{
    if (e->code != ERR_OK) return e->code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->message, sizeof e->message, fmt, ap);
    va_end(ap);
    err_tidy(e->message);
    e->code = code;
    return code;
}

enum err err_errno(struct errctx *e, const char *fmt, ...)
{
    int number = errno;
    if (e->code != ERR_OK) return e->code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->message, sizeof e->message, fmt, ap);
    va_end(ap);
    size_t len = strlen(e->message);
    snprintf(e->message + len, sizeof e->message - len, ": %s", strerror(number));
    err_tidy(e->message);
    e->code = number == EPIPE ? ERR_PIPE : number == ENOMEM ? ERR_MEMORY : ERR_IO;
    return e->code;
}

enum err err_prefix(struct errctx *e, const char *fmt, ...)
{
    if (e->code == ERR_OK) return ERR_OK;
    char old[sizeof e->message];
    memcpy(old, e->message, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->message, sizeof e->message, fmt, ap);
    va_end(ap);
    size_t len = strlen(e->message);
    if (len + 2 < sizeof e->message) {
        memcpy(e->message + len, ": ", 3);
        len += 2;
        size_t room = sizeof e->message - 1 - len, n = strlen(old);
        if (n > room) n = room;
        memcpy(e->message + len, old, n);
        e->message[len + n] = '\0';
    }
    err_tidy(e->message);
    return e->code;
}

enum err err_memory(struct errctx *e, const char *what, uint64_t bytes)
{
    return err_set(e, ERR_MEMORY, "out of memory: %" PRIu64 " bytes for %s", bytes, what);
}

void err_clear(struct errctx *e)
{
    e->code = ERR_OK;
    e->message[0] = '\0';
}

int err_exit_status(enum err code)
{
    switch (code) {
    case ERR_OK:
        return 0;
    case ERR_IO:
    case ERR_MEMORY:
    case ERR_PIPE:
        return 1;
    case ERR_USAGE:
        return 2;
    case ERR_INPUT:
        return 3;
    case ERR_NO:
        return 4;
    }
    return 1;
}
