/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c: see plan.h. */
#include "common/model/plan.h"

#include "common/base/mem.h"
#include "common/base/prog.h"

enum err plan_add(struct errctx *e, struct plan *p, const char *what, uint64_t bytes, bool part)
{
    if (bytes == 0) return ERR_OK;
    TRY(mem_grow(e, &p->lines, &p->capacity, p->count + 1, sizeof *p->lines, "plan"));
    struct plan_line *l = &p->lines[p->count++];
    *l = (struct plan_line){.bytes = bytes, .part = part};
    snprintf(l->what, sizeof l->what, "%s", what);
    if (!part) p->bytes += bytes;
    return ERR_OK;
}

void plan_print(const struct plan *p, FILE *out)
{
    char bytes[32];
    for (size_t i = 0; i < p->count; i++)
        fprintf(out, "%12s  %s%s\n", prog_format_bytes((double)p->lines[i].bytes, bytes),
                p->lines[i].part ? "  " : "", p->lines[i].what);
    fprintf(out, "%12s  in all\n", prog_format_bytes((double)p->bytes, bytes));
}

void plan_fini(struct plan *p)
{
    mem_free(p->lines);
    *p = (struct plan){0};
}
