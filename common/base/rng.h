/* SPDX-License-Identifier: Apache-2.0 */
/* rng.h: counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011).
 *
 * There is no generator to pass around: a number is a pure function of a key (seed, purpose) and a
 * counter (step, row, position, lane). That is what makes results independent of threads, batches
 * and restarts. */
#ifndef GRAFT_BASE_RNG_H
#define GRAFT_BASE_RNG_H

#include <stdint.h>

/* Why a number is drawn; two purposes never share a sequence. Recorded files depend on these
 * values. */
enum rng_purpose {
    RNG_INIT = 1,     /* initial weights: counter (parameter name hash lo, hi, element / 4, 0) */
    RNG_SHUFFLE = 2,  /* order of rows */
    RNG_MIX = 3,      /* choice among sources */
    RNG_SPLIT = 4,    /* side of a split */
    RNG_SAMPLE = 5,   /* choice of rows */
    RNG_DROPOUT = 6,  /* counter (step, row ordinal, position, lane) */
    RNG_MASK = 7,     /* masked language modelling */
    RNG_GENERATE = 8, /* next token */
    RNG_BOOTSTRAP = 9,
    RNG_TEST = 15,
};

struct rng_key {
    uint32_t k[2];
};

/* Key of (seed, purpose): for one purpose distinct seeds, and for one seed distinct purposes, give
 * distinct keys. */
struct rng_key rng_key_make(uint64_t seed, enum rng_purpose purpose);

/* The ten rounds: counter in, four random words out. Source: the reference vectors of Random123. */
void rng_philox(struct rng_key key, const uint32_t counter[4], uint32_t out[4]);

/* One word to [0, 1) with 24 bits (float) or two words to [0, 1) with 53 bits (double). */
static inline float rng_word_to_float(uint32_t w)
{
    return (float)(w >> 8) * (1.0f / 16777216.0f);
}
static inline double rng_words_to_double(uint32_t hi, uint32_t lo)
{
    return (double)((((uint64_t)hi << 32) | lo) >> 11) * (1.0 / 9007199254740992.0);
}

/* [0, 1) from counter (a, b, c, d). */
double rng_uniform(struct rng_key key, uint32_t a, uint32_t b, uint32_t c, uint32_t d);
/* Four N(0, 1) values by Box-Muller from one counter. */
void rng_normal4(struct rng_key key, const uint32_t counter[4], float out[4]);

#endif
