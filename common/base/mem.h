/* SPDX-License-Identifier: Apache-2.0 */
/* mem.h: checked sizes and allocation with an error instead of a crash, counted for fault injection
 * (base/fault.h) and for GRAFT_TRACE=alloc. Memory from here is freed with mem_free (plain free
 * semantics). */
#ifndef GRAFT_BASE_MEM_H
#define GRAFT_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"

/* a * b, a + b; false on overflow. */
static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* n elements of `size` bytes, zeroed. *out (a pointer to a pointer) is NULL on failure. n == 0
 * gives a valid pointer that may be freed. `what` names the thing in the message. */
enum err mem_new(struct errctx *e, void *out, size_t n, size_t size, const char *what) MUST_USE;
/* As mem_new, not zeroed, aligned to 64 bytes (freed with mem_free, too). */
enum err mem_new_aligned(struct errctx *e, void *out, size_t n, size_t size,
                         const char *what) MUST_USE;
/* As mem_new, for a table that is read here and there: aligned to 64 bytes, and from 2 MiB on in
 * huge pages where the system has them, whose addresses are found sooner. */
enum err mem_new_table(struct errctx *e, void *out, size_t n, size_t size,
                       const char *what) MUST_USE;
/* Grows *array to hold at least `need` elements (capacity doubles, *capacity is kept); contents
 * stay. */
enum err mem_grow(struct errctx *e, void *array, size_t *capacity, size_t need, size_t size,
                  const char *what) MUST_USE;
enum err mem_strdup(struct errctx *e, char **out, const char *s) MUST_USE;
enum err mem_strndup(struct errctx *e, char **out, const char *s, size_t n) MUST_USE;
/* printf into new memory. */
enum err mem_printf(struct errctx *e, char **out, const char *fmt, ...) MUST_USE PRINTF_LIKE(3, 4);
void mem_free(void *p);

/* A byte buffer that grows: zero-initialised, bytes_fini when done. */
struct bytes {
    uint8_t *data;
    size_t len, capacity;
};
enum err bytes_append(struct errctx *e, struct bytes *b, const void *data, size_t n) MUST_USE;
enum err bytes_reserve(struct errctx *e, struct bytes *b, size_t extra) MUST_USE;
enum err bytes_printf(struct errctx *e, struct bytes *b, const char *fmt, ...) MUST_USE
    PRINTF_LIKE(3, 4);
void bytes_fini(struct bytes *b);

#endif
