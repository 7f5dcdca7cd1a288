/* SPDX-License-Identifier: Apache-2.0 */
/* rng.c: Philox4x32-10: ten rounds of two 32 x 32 -> 64 multiplications on a counter, the key
 * advancing by Weyl constants. Checked against the known answers of Random123 in
 * tests/unit/test_rng.c. */
#include "common/base/rng.h"

#include <math.h>

void rng_philox(struct rng_key key, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key.k[0], k1 = key.k[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Both steps are bijections of 64 bits, so that for one purpose no two seeds share a key, and for
 * one seed no two purposes do. The mixing separates neighbouring seeds (splitmix64's finaliser:
 * Steele, Lea and Flood, OOPSLA 2014). */
struct rng_key rng_key_make(uint64_t seed, enum rng_purpose purpose)
{
    uint64_t x = seed + (uint64_t)purpose * 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    return (struct rng_key){{(uint32_t)x, (uint32_t)(x >> 32)}};
}

double rng_uniform(struct rng_key key, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    const uint32_t counter[4] = {a, b, c, d};
    uint32_t w[4];
    rng_philox(key, counter, w);
    return rng_words_to_double(w[0], w[1]);
}

void rng_normal4(struct rng_key key, const uint32_t counter[4], float out[4])
{
    const double two_pi = 6.283185307179586476925286766559;
    uint32_t w[4];
    rng_philox(key, counter, w);
    for (int i = 0; i < 4; i += 2) {
        double u =
            ((double)w[i] + 0.5) * (1.0 / 4294967296.0); /* never 0: its logarithm is finite */
        double angle = two_pi * ((double)w[i + 1] * (1.0 / 4294967296.0));
        double radius = sqrt(-2.0 * log(u));
        out[i] = (float)(radius * cos(angle));
        out[i + 1] = (float)(radius * sin(angle));
    }
}
