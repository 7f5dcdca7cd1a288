/* SPDX-License-Identifier: Apache-2.0 */
/* rope.c: rotary positions (Su et al., arXiv:2104.09864), "rotate half" layout:
 *   (x[i], x[i + R/2]) -> (x[i] cos - x[i + R/2] sin, x[i + R/2] cos + x[i] sin). */
#include "kernels/internal.h"

static void rope(struct kernels *k, int64_t N, int64_t heads, int64_t D, int64_t R,
                 struct buf position, struct buf cosine, struct buf sine, struct mat x,
                 bool inverse)
{
    (void)k;
    assert(R <= D && R % 2 == 0);
    const int32_t *positions = buf_host(position, N, sizeof *positions);
    struct view v = view_of(x, N, heads * D);
    int64_t half = R / 2;
    for (int64_t n = 0; n < N; n++) {
        assert(positions[n] >= 0);
        const float *cosines = buf_host(cosine, (positions[n] + 1) * half, sizeof *cosines);
        const float *sines = buf_host(sine, (positions[n] + 1) * half, sizeof *sines);
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < half; i++) {
                double c = cosines[positions[n] * half + i], s = sines[positions[n] * half + i];
                double first = view_get(v, n, h * D + i), second = view_get(v, n, h * D + half + i);
                if (inverse) s = -s;
                view_put(v, n, h * D + i, first * c - second * s);
                view_put(v, n, h * D + half + i, second * c + first * s);
            }
    }
}

void rope_ref(struct kernels *k)
{
    k->rope = rope;
}
