/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_copy.c: a tokenizer once more. */
#include <string.h>

#include "common/base/mem.h"
#include "formats/tokenizer.h"

static enum err copy_array(struct errctx *e, void *out, const void *from, size_t n, size_t size)
{
    void *to = NULL;
    if (from) {
        TRY(mem_new(e, &to, n, size, "tokenizer"));
        memcpy(to, from, n * size);
    }
    memcpy(out, &to, sizeof to);
    return ERR_OK;
}

enum err tokenizer_spec_copy(struct errctx *e, const struct tokenizer_spec *from,
                             struct tokenizer_spec *to)
{
    tokenizer_spec_init(to);
    const size_t V = (size_t)from->vocab;
    to->vocab = from->vocab;
    to->merges_count = from->merges_count;
    TRY(mp_copy(e, &from->ops, &to->ops));
    TRY(copy_array(e, &to->start, from->start, V + 1, sizeof *to->start));
    TRY(copy_array(e, &to->bytes, from->bytes, (size_t)from->start[V], 1));
    TRY(copy_array(e, &to->flags, from->flags, V, 1));
    TRY(copy_array(e, &to->merges, from->merges, 2 * (size_t)from->merges_count,
                   sizeof *to->merges));
    return copy_array(e, &to->scores, from->scores, V, sizeof *to->scores);
}
