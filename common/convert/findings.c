/* SPDX-License-Identifier: Apache-2.0 */
/* findings.c: see findings.h. */
#include "common/convert/findings.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"

enum { LINE_LIMIT = 800 };

enum err findings_add(struct errctx *e, struct findings *f, const char *fmt, ...)
{
    char line[LINE_LIMIT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    err_tidy(line);
    TRY(mem_grow(e, &f->lines, &f->capacity, f->count + 1, sizeof *f->lines, "findings"));
    TRY(mem_strdup(e, &f->lines[f->count], line));
    f->count++;
    return ERR_OK;
}

enum err findings_raise(struct errctx *e, const struct findings *f)
{
    if (f->count == 0) return ERR_OK;
    if (f->count == 1) return err_set(e, ERR_INPUT, "%s", f->lines[0]);
    return err_set(e, ERR_INPUT, "%s (and %zu more: --dry-run lists them)", f->lines[0],
                   f->count - 1);
}

void findings_fini(struct findings *f)
{
    for (size_t i = 0; i < f->count; i++) mem_free(f->lines[i]);
    mem_free(f->lines);
    *f = (struct findings){0};
}
