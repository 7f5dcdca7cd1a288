/* SPDX-License-Identifier: Apache-2.0 */
/* vec_avx512.h: sixteen floats at a time. The same names as vec_avx2.h, so that a kernel is written
 * once (NAME.inc) and compiled for either.
 *
 * vf_load_n and vf_store_n take the first n elements, n from 0 to any number; the lanes beyond are
 * zero. vf_min and vf_max give b when one of the two is NaN. vf_sum and vf_top add and compare
 * lanes in one fixed order. */
#ifndef GRAFT_KERNELS_CPU_VEC_AVX512_H
#define GRAFT_KERNELS_CPU_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "common/base/dtype.h"

enum {
    VF = 16,
    TILE_ROWS = 12,
    TILE_VECTORS = 2,
    BLOCK_ROWS = 8,
    BLOCK_VECTORS = 3,
    DOT_ROWS = 3,
    DOT_COLUMNS = 8
};

typedef __m512 vf;
typedef __mmask16 vmask;
typedef __m512d vd;

static inline vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void vf_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
static inline vmask vf_first(int64_t n)
{
    return n >= VF ? 0xffff : (vmask)((1u << n) - 1);
}
static inline vf vf_load_n(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(vf_first(n), p);
}
static inline void vf_store_n(float *p, vf x, int64_t n)
{
    _mm512_mask_storeu_ps(p, vf_first(n), x);
}

static inline vf vf_widen(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
/* To nearest, ties to even; NaN stays NaN. The instruction takes denormals as zero. */
static inline __m256i vf_narrow(vf x)
{
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(x);
#else
    __m512i u = _mm512_castps_si512(x), high = _mm512_srli_epi32(u, 16);
    __m512i bias =
        _mm512_add_epi32(_mm512_and_si512(high, _mm512_set1_epi32(1)), _mm512_set1_epi32(0x7fff));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(u, bias), 16);
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(rounded);
#endif
}
static inline vf vf_load_bf16(const uint16_t *p)
{
    return vf_widen(_mm256_loadu_si256((const void *)p));
}
static inline vf vf_load_bf16_n(const uint16_t *p, int64_t n)
{
    return vf_widen(_mm256_maskz_loadu_epi16(vf_first(n), p));
}
static inline void vf_store_bf16(uint16_t *p, vf x)
{
    _mm256_storeu_si256((void *)p, vf_narrow(x));
}
static inline void vf_store_bf16_n(uint16_t *p, vf x, int64_t n)
{
    _mm256_mask_storeu_epi16(p, vf_first(n), vf_narrow(x));
}

/* VF bytes as numbers, their lower and their upper four bits; an F16 in all lanes. */
static inline vf vf_bytes(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}
static inline vf vf_lower4(const void *p)
{
    __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(p));
    return _mm512_cvtepi32_ps(_mm512_and_si512(wide, _mm512_set1_epi32(15)));
}
static inline vf vf_upper4(const void *p)
{
    __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(p));
    return _mm512_cvtepi32_ps(_mm512_srli_epi32(wide, 4));
}
/* What VF codes of NF4 in VF / 2 bytes stand for: of a byte the upper four bits first. */
static inline vf vf_nf4(const void *p)
{
    const __m512i shift = _mm512_set_epi32(0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4);
    __m128i bytes = _mm_loadl_epi64(p);
    __m512i twice = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(bytes, bytes));
    return _mm512_permutexvar_ps(_mm512_srlv_epi32(twice, shift), _mm512_loadu_ps(dtype_nf4));
}
static inline vf vf_half(const void *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _mm512_set1_ps(_cvtsh_ss(h));
}

static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf vf_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
} /* a b + c */
static inline vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
} /* c - a b */
static inline vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}
static inline vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* x 2^n for whole n; n NaN gives NaN. */
static inline vf vf_scale2(vf x, vf n)
{
    return _mm512_scalef_ps(x, n);
}

static inline vmask vf_less(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline vmask vf_equal(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
static inline vf vf_select(vmask m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline vmask vmask_and(vmask a, vmask b)
{
    return a & b;
}
static inline int vmask_count(vmask m)
{
    return __builtin_popcount(m);
}

static inline vf vf_lanes(void)
{
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

static inline float vf_sum(vf x)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
/* out[i] = vf_sum(x[i]), to the bit: lanes of all are folded side by side. */
static inline void vf_sums8(const vf x[8], float out[8])
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    vf two[4], four[2];
    for (int i = 0; i < 4; i++)
        two[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0x44),
                               _mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0xee));
    for (int i = 0; i < 2; i++)
        four[i] = _mm512_add_ps(_mm512_shuffle_f32x4(two[2 * i], two[2 * i + 1], 0x88),
                                _mm512_shuffle_f32x4(two[2 * i], two[2 * i + 1], 0xdd));
    __m512d a = _mm512_castps_pd(four[0]), b = _mm512_castps_pd(four[1]);
    vf all = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                           _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    all = _mm512_add_ps(_mm512_shuffle_ps(all, all, 0x88), _mm512_shuffle_ps(all, all, 0xdd));
    _mm256_storeu_ps(out, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, all)));
}
static inline float vf_top(vf x)
{
    __m256 a = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

static inline vd vd_zero(void)
{
    return _mm512_setzero_pd();
}
static inline vd vd_low(vf x)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
}
static inline vd vd_high(vf x)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
}
static inline vd vd_fma(vd a, vd b, vd c)
{
    return _mm512_fmadd_pd(a, b, c);
}
static inline vd vd_add(vd a, vd b)
{
    return _mm512_add_pd(a, b);
}
static inline double vd_sum(vd x)
{
    __m256d a = _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1));
    __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
}

/* Thirty-two bit words, for the random numbers of dropout. */
typedef __m512i vw;
static inline vw vw_set(uint32_t x)
{
    return _mm512_set1_epi32((int)x);
}
static inline vw vw_count(void)
{
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
static inline vw vw_add(vw a, vw b)
{
    return _mm512_add_epi32(a, b);
}
static inline vw vw_xor(vw a, vw b)
{
    return _mm512_xor_si512(a, b);
}
/* High and low words of the 64-bit products. */
static inline void vw_product(vw a, vw b, vw *high, vw *low)
{
    vw even = _mm512_mul_epu32(a, b),
       odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    *high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    *low = _mm512_mullo_epi32(a, b);
}
static inline void vw_store(uint32_t *p, vw x)
{
    _mm512_storeu_si512(p, x);
}

#endif
