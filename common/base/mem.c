/* SPDX-License-Identifier: Apache-2.0 */
/* mem.c: malloc with overflow checks, messages, fault injection and tracing. */
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/fault.h"
#include "common/base/trace.h"

/* `out` points at a pointer of any type: stored through memcpy so as not to lie about its type. */
static void pointer_store(void *out, void *p)
{
    memcpy(out, &p, sizeof p);
}

static enum err allocation_check(struct errctx *e, size_t n, size_t size, const char *what,
                                 size_t *bytes)
{
    if (!size_mul(n, size, bytes) || *bytes > PTRDIFF_MAX) return err_memory(e, what, UINT64_MAX);
    if (fault_here(FAULT_ALLOC)) return err_memory(e, what, *bytes);
    if (trace_on(TRACE_ALLOC)) trace_line(TRACE_ALLOC, "%zu bytes for %s", *bytes, what);
    return ERR_OK;
}

enum err mem_new(struct errctx *e, void *out, size_t n, size_t size, const char *what)
{
    size_t bytes;
    pointer_store(out, NULL);
    TRY(allocation_check(e, n, size, what, &bytes));
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p) return err_memory(e, what, bytes);
    pointer_store(out, p);
    return ERR_OK;
}

enum err mem_new_aligned(struct errctx *e, void *out, size_t n, size_t size, const char *what)
{
    size_t bytes;
    void *p;
    pointer_store(out, NULL);
    TRY(allocation_check(e, n, size, what, &bytes));
    if (posix_memalign(&p, 64, bytes ? bytes : 1) != 0) return err_memory(e, what, bytes);
    pointer_store(out, p);
    return ERR_OK;
}

enum err mem_new_table(struct errctx *e, void *out, size_t n, size_t size, const char *what)
{
    enum { HUGE_PAGE = 2 << 20 };
    size_t bytes;
    void *p;
    pointer_store(out, NULL);
    TRY(allocation_check(e, n, size, what, &bytes));
    if (posix_memalign(&p, bytes < HUGE_PAGE ? 64 : HUGE_PAGE, bytes ? bytes : 1) != 0)
        return err_memory(e, what, bytes);
    if (bytes >= HUGE_PAGE) (void)madvise(p, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    memset(p, 0, bytes);
    pointer_store(out, p);
    return ERR_OK;
}

enum err mem_grow(struct errctx *e, void *array, size_t *capacity, size_t need, size_t size,
                  const char *what)
{
    if (need <= *capacity) return ERR_OK;
    size_t wanted = *capacity < 8 ? 8 : *capacity, bytes;
    while (wanted < need)
        if (!size_mul(wanted, 2, &wanted)) wanted = need;
    TRY(allocation_check(e, wanted, size, what, &bytes));
    void *p;
    memcpy(&p, array, sizeof p);
    p = realloc(p, bytes ? bytes : 1);
    if (!p) return err_memory(e, what, bytes);
    pointer_store(array, p);
    *capacity = wanted;
    return ERR_OK;
}

enum err mem_strndup(struct errctx *e, char **out, const char *s, size_t n)
{
    size_t bytes;
    *out = NULL;
    if (!size_add(n, 1, &bytes)) return err_memory(e, "a string", UINT64_MAX);
    TRY(mem_new(e, out, bytes, 1, "a string"));
    memcpy(*out, s, n);
    return ERR_OK;
}

enum err mem_strdup(struct errctx *e, char **out, const char *s)
{
    return mem_strndup(e, out, s, strlen(s));
}

enum err mem_printf(struct errctx *e, char **out, const char *fmt, ...)
{
    struct bytes b = {0};
    va_list ap;
    *out = NULL;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) return err_set(e, ERR_IO, "BUG: bad format '%s'", fmt);
    TRY(bytes_reserve(e, &b, (size_t)n + 1));
    va_start(ap, fmt);
    vsnprintf((char *)b.data, (size_t)n + 1, fmt, ap);
    va_end(ap);
    *out = (char *)b.data;
    return ERR_OK;
}

void mem_free(void *p)
{
    free(p);
}

enum err bytes_reserve(struct errctx *e, struct bytes *b, size_t extra)
{
    size_t need;
    if (!size_add(b->len, extra, &need)) return err_memory(e, "a buffer", UINT64_MAX);
    return mem_grow(e, &b->data, &b->capacity, need, 1, "a buffer");
}

enum err bytes_append(struct errctx *e, struct bytes *b, const void *data, size_t n)
{
    if (n == 0) return ERR_OK;
    TRY(bytes_reserve(e, b, n));
    memcpy(b->data + b->len, data, n);
    b->len += n;
    return ERR_OK;
}

enum err bytes_printf(struct errctx *e, struct bytes *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) return err_set(e, ERR_IO, "BUG: bad format '%s'", fmt);
    TRY(bytes_reserve(e, b, (size_t)n + 1)); /* vsnprintf writes a NUL, which is not counted */
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return ERR_OK;
}

void bytes_fini(struct bytes *b)
{
    mem_free(b->data);
    *b = (struct bytes){0};
}
