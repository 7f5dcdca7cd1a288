/* SPDX-License-Identifier: Apache-2.0 */
/* vec_avx2.h: eight floats at a time; what the names mean stands in vec_avx512.h. */
#ifndef GRAFT_KERNELS_CPU_VEC_AVX2_H
#define GRAFT_KERNELS_CPU_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "common/base/dtype.h"

enum {
    VF = 8,
    TILE_ROWS = 6,
    TILE_VECTORS = 2,
    BLOCK_ROWS = 4,
    BLOCK_VECTORS = 3,
    DOT_ROWS = 3,
    DOT_COLUMNS = 4
};

typedef __m256 vf;
typedef __m256 vmask; /* all bits of a lane */
typedef __m256d vd;

static inline vf vf_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}
static inline __m256i vf_first(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > VF ? VF : (int)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf vf_load_n(const float *p, int64_t n)
{
    return _mm256_maskload_ps(p, vf_first(n));
}
static inline void vf_store_n(float *p, vf x, int64_t n)
{
    _mm256_maskstore_ps(p, vf_first(n), x);
}

static inline vf vf_widen(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
static inline __m128i vf_narrow(vf x)
{
    __m256i u = _mm256_castps_si256(x), high = _mm256_srli_epi32(u, 16);
    __m256i bias =
        _mm256_add_epi32(_mm256_and_si256(high, _mm256_set1_epi32(1)), _mm256_set1_epi32(0x7fff));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(u, bias), 16);
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    rounded = _mm256_blendv_epi8(rounded, _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
}
static inline vf vf_load_bf16(const uint16_t *p)
{
    return vf_widen(_mm_loadu_si128((const void *)p));
}
static inline vf vf_load_bf16_n(const uint16_t *p, int64_t n)
{
    uint16_t part[VF] = {0};
    memcpy(part, p, (size_t)(n > VF ? VF : n) * sizeof *p);
    return vf_load_bf16(part);
}
static inline void vf_store_bf16(uint16_t *p, vf x)
{
    _mm_storeu_si128((void *)p, vf_narrow(x));
}
static inline void vf_store_bf16_n(uint16_t *p, vf x, int64_t n)
{
    uint16_t part[VF];
    vf_store_bf16(part, x);
    memcpy(p, part, (size_t)(n > VF ? VF : n) * sizeof *p);
}

static inline vf vf_bytes(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}
static inline vf vf_lower4(const void *p)
{
    __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(p));
    return _mm256_cvtepi32_ps(_mm256_and_si256(wide, _mm256_set1_epi32(15)));
}
static inline vf vf_upper4(const void *p)
{
    __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(p));
    return _mm256_cvtepi32_ps(_mm256_srli_epi32(wide, 4));
}
static inline vf vf_nf4(const void *p)
{
    int four;
    memcpy(&four, p, sizeof four);
    __m128i bytes = _mm_cvtsi32_si128(four);
    __m256i twice = _mm256_cvtepu8_epi32(_mm_unpacklo_epi8(bytes, bytes));
    __m256i code = _mm256_srlv_epi32(twice, _mm256_set_epi32(0, 4, 0, 4, 0, 4, 0, 4));
    /* the permutation takes the lower three bits, the selection the fourth */
    __m256 lower = _mm256_permutevar8x32_ps(_mm256_loadu_ps(dtype_nf4), code);
    __m256 upper = _mm256_permutevar8x32_ps(_mm256_loadu_ps(dtype_nf4 + 8), code);
    return _mm256_blendv_ps(lower, upper, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));
}
static inline vf vf_half(const void *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm256_set1_ps(_cvtsh_ss(h));
}

static inline vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static inline vf vf_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
static inline vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
static inline vf vf_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* In two steps, as 2^n itself may be no normal float; |n| <= 250. */
static inline vf vf_scale2(vf x, vf n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1),
            one = _mm256_set1_epi32(127);
    __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, one), 23);
    __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), one), 23);
    return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}

static inline vmask vf_less(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
static inline vmask vf_equal(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
static inline vf vf_select(vmask m, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, m);
}
static inline vmask vmask_and(vmask a, vmask b)
{
    return _mm256_and_ps(a, b);
}
static inline int vmask_count(vmask m)
{
    return __builtin_popcount((unsigned)_mm256_movemask_ps(m));
}

static inline vf vf_lanes(void)
{
    return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
}

static inline float vf_sum(vf x)
{
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
/* out[i] = vf_sum(x[i]), to the bit: lanes of all are folded side by side. */
static inline void vf_sums8(const vf x[8], float out[8])
{
    vf two[4], four[2];
    for (int i = 0; i < 4; i++)
        two[i] = _mm256_add_ps(_mm256_permute2f128_ps(x[i], x[i + 4], 0x20),
                               _mm256_permute2f128_ps(x[i], x[i + 4], 0x31));
    for (int i = 0; i < 2; i++) {
        __m256d a = _mm256_castps_pd(two[2 * i]), b = _mm256_castps_pd(two[2 * i + 1]);
        four[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)),
                                _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
    }
    _mm256_storeu_ps(out, _mm256_add_ps(_mm256_shuffle_ps(four[0], four[1], 0x88),
                                        _mm256_shuffle_ps(four[0], four[1], 0xdd)));
}
static inline float vf_top(vf x)
{
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

static inline vd vd_zero(void)
{
    return _mm256_setzero_pd();
}
static inline vd vd_low(vf x)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(x));
}
static inline vd vd_high(vf x)
{
    return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
}
static inline vd vd_fma(vd a, vd b, vd c)
{
    return _mm256_fmadd_pd(a, b, c);
}
static inline vd vd_add(vd a, vd b)
{
    return _mm256_add_pd(a, b);
}
static inline double vd_sum(vd x)
{
    __m128d b = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
}

typedef __m256i vw;
static inline vw vw_set(uint32_t x)
{
    return _mm256_set1_epi32((int)x);
}
static inline vw vw_count(void)
{
    return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}
static inline vw vw_add(vw a, vw b)
{
    return _mm256_add_epi32(a, b);
}
static inline vw vw_xor(vw a, vw b)
{
    return _mm256_xor_si256(a, b);
}
static inline void vw_product(vw a, vw b, vw *high, vw *low)
{
    vw even = _mm256_mul_epu32(a, b),
       odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    *low = _mm256_mullo_epi32(a, b);
}
static inline void vw_store(uint32_t *p, vw x)
{
    _mm256_storeu_si256((void *)p, x);
}

#endif
