/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_memory.c: the memory of jinja_value.h: blocks that are filled one after another and given
 * back together. A file of its own, so that no compiler looks through the void pointer. */
#include "common/text/jinja_value.h"

enum { BLOCK = 64 << 10 };

struct jinja_block {
    struct jinja_block *next;
    size_t used, size;
    _Alignas(16) char data[];
};

void jinja_memory_fini(struct jinja_memory *m)
{
    while (m->blocks != NULL) {
        struct jinja_block *next = m->blocks->next;
        mem_free(m->blocks);
        m->blocks = next;
    }
    m->total = 0;
}

enum err jinja_new(struct errctx *e, struct jinja_memory *m, void *out, size_t n, size_t size)
{
    struct jinja_block *b = m->blocks;
    size_t bytes;

    if (!size_mul(n, size, &bytes) || bytes > m->limit || m->total > m->limit - bytes)
        return err_set(e, ERR_INPUT, "it takes more than %zu MiB of memory", m->limit >> 20);
    bytes = (bytes + 15) & ~(size_t)15;
    if (b == NULL || b->size - b->used < bytes) {
        size_t room = bytes > BLOCK ? bytes : BLOCK;
        TRY(mem_new(e, &b, 1, sizeof *b + room, "chat template"));
        b->size = room;
        b->next = m->blocks;
        m->blocks = b;
    }
    *(void **)out = b->data + b->used;
    b->used += bytes;
    m->total += bytes;
    return ERR_OK;
}
