/* SPDX-License-Identifier: Apache-2.0 */
/* dropout.c: y = x / (1 - p) where u >= p, else 0; u from one Philox word per element, keyed by
 * where the token comes from and never by its place in the batch. */
#include "kernels/internal.h"

static void dropout(struct kernels *k, const struct dropout_args *a)
{
    (void)k;
    assert(a->p >= 0 && a->p < 1);
    struct view x = view_of(a->x, a->N, a->C), y = view_of(a->y, a->N, a->C);
    const uint32_t *ordinal = buf_host(a->ordinal, a->N, sizeof *ordinal);
    const uint32_t *position = buf_host(a->position, a->N, sizeof *position);
    float kept = 1 / (1 - a->p);
    for (int64_t n = 0; n < a->N; n++)
        for (int64_t c = 0; c < a->C; c += 4) {
            const uint32_t counter[4] = {a->step, ordinal[n], position[n],
                                         a->lane + (uint32_t)(c / 4)};
            uint32_t word[4];
            rng_philox(a->key, counter, word);
            for (int64_t i = 0; i < 4 && c + i < a->C; i++)
                view_put(y, n, c + i,
                         rng_word_to_float(word[i]) >= a->p ? view_get(x, n, c + i) * kept : 0);
        }
}

void dropout_ref(struct kernels *k)
{
    k->dropout = dropout;
}
