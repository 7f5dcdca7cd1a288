/* SPDX-License-Identifier: Apache-2.0 */
/* vocab_map.c: see vocab_map.h. Open addressing on XXH3-64, at most half full. */
#include "common/text/vocab_map.h"
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum err vocab_map_init(struct errctx *e, const struct tokenizer_spec *spec, struct vocab_map *m)
{
    size_t slots = 256;

    memset(m, 0, sizeof *m);
    m->spec = spec;
    while (slots < 2 * (size_t)spec->vocab) slots *= 2;
    TRY(mem_new(e, &m->slots, slots, sizeof *m->slots, "vocabulary"));
    m->mask = slots - 1;
    for (int64_t id = 0; id < spec->vocab; id++) {
        const uint8_t *bytes = spec->bytes + spec->start[id];
        size_t n = (size_t)(spec->start[id + 1] - spec->start[id]);
        if (spec->flags[id] & (TOKEN_SPECIAL | TOKEN_BYTE | TOKEN_UNUSED)) continue;
        if (n == 0 || vocab_map_find(m, bytes, n) >= 0) continue;
        if (n > m->longest) m->longest = n;
        size_t i = (size_t)XXH3_64bits(bytes, n) & m->mask;
        while (m->slots[i] != 0) i = (i + 1) & m->mask;
        m->slots[i] = (uint32_t)id + 1;
    }
    return ERR_OK;
}

void vocab_map_fini(struct vocab_map *m)
{
    mem_free(m->slots);
    m->slots = NULL;
}

int64_t vocab_map_find(const struct vocab_map *m, const uint8_t *bytes, size_t n)
{
    const struct tokenizer_spec *s = m->spec;

    for (size_t i = (size_t)XXH3_64bits(bytes, n) & m->mask; m->slots[i] != 0;
         i = (i + 1) & m->mask) {
        uint32_t id = m->slots[i] - 1;
        if (s->start[id + 1] - s->start[id] == n && memcmp(s->bytes + s->start[id], bytes, n) == 0)
            return id;
    }
    return -1;
}
