/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c: opens a backend: the table is filled with the plain C reference, then overridden by
 * what this CPU has.
 *
 *     ref  ->  avx2 (AVX2, FMA, F16C)  ->  avx512 (F, BW, VL, DQ)  ->  avx512bf16  ->  amx (BF16)
 *
 * The environment's GRAFT_CPU caps the level, to test and measure older machines. The only #ifdef
 * of the kernels is here, but for one instruction in cpu/vec_avx512.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/mem.h"
#include "kernels/cpu/cpu.h"
#include "kernels/internal.h"

enum level { LEVEL_REF, LEVEL_AVX2, LEVEL_AVX512, LEVEL_AVX512BF16, LEVEL_AMX };

static const char *const level_names[] = {"ref", "avx2", "avx512", "avx512bf16", "amx"};

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The tile registers are large: Linux saves them for processes that have asked only (5.16 and
 * later; arch/x86/include/uapi/asm/prctl.h). */
static bool tiles_allowed(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static enum level cpu_level(void)
{
    unsigned a, b, c, d; /* clang has no name for f16c */
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !f16c)
        return LEVEL_REF;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return LEVEL_AVX2;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & 1u << 5)) return LEVEL_AVX512;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1u << 22) || !(d & 1u << 24) ||
        !tiles_allowed())
        return LEVEL_AVX512BF16;
    return LEVEL_AMX;
}

/* "GenuineIntel 6/143": vendor, family and model as cpuid has them. */
static void cpu_name(char *out, size_t size)
{
    unsigned a, b, c, d;
    char vendor[13] = "unknown";
    if (__get_cpuid(0, &a, &b, &c, &d)) {
        memcpy(vendor, &b, 4);
        memcpy(vendor + 4, &d, 4);
        memcpy(vendor + 8, &c, 4);
    }
    unsigned family = 0, model = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        family = (a >> 8) & 15;
        model = (a >> 4) & 15;
        if (family == 6 || family == 15) model |= ((a >> 16) & 15) << 4;
        if (family == 15) family += (a >> 20) & 255;
    }
    snprintf(out, size, "%s %u/%u", vendor, family, model);
}

static void level_fill(struct kernels *k, enum level level)
{
    if (level == LEVEL_REF) return;
    if (level == LEVEL_AVX2)
        cpu_fill_avx2(k);
    else if (level == LEVEL_AVX512)
        cpu_fill_avx512(k);
    else
        cpu_fill_avx512_narrow(k);
    if (level == LEVEL_AVX512BF16) cpu_fill_avx512bf16(k);
    if (level == LEVEL_AMX) cpu_fill_amx(k);
    if (level == LEVEL_AMX) cpu_fill_skinny_amx(k);
    cpu_fill_gemm(k);
}
#else
static enum level cpu_level(void)
{
    return LEVEL_REF;
}
static void cpu_name(char *out, size_t size)
{
    snprintf(out, size, "generic 0/0");
}
static void level_fill(struct kernels *k, enum level level)
{
    (void)k, (void)level;
}
#endif

static enum err level_choose(struct errctx *e, const char *device, enum level *out)
{
    *out = LEVEL_REF;
    if (strcmp(device, "ref") == 0) return ERR_OK;
    if (strcmp(device, "cpu") != 0)
        return err_set(e, ERR_USAGE, "unknown device '%s' (this build has cpu and ref)", device);
    *out = cpu_level();
    const char *cap = getenv("GRAFT_CPU");
    if (!cap || !*cap) return ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (strcmp(cap, level_names[i]) == 0) {
            if ((enum level)i < *out) *out = (enum level)i;
            return ERR_OK;
        }
    return err_set(e, ERR_USAGE,
                   "GRAFT_CPU is '%s': it must be ref, avx2, avx512, avx512bf16 or amx", cap);
}

enum err kernels_open(struct errctx *e, const char *device, struct pool *pool, struct kernels *k)
{
    enum level level;
    *k = (struct kernels){.pool = pool};
    TRY(level_choose(e, device, &level));
    struct kernels_state *s;
    TRY(mem_new(e, &s, 1, sizeof *s, "kernels"));
    s->threads = pool_threads(pool);
    k->state = s;
    k->name = level_names[level];
    enum err r =
        mem_new_aligned(e, &s->scratch, (size_t)s->threads, KERNEL_SCRATCH, "kernel scratch");
    if (r == ERR_OK) r = mem_new_aligned(e, &s->panels, 1, KERNEL_PANELS, "kernel scratch");
    if (r == ERR_OK) r = mem_new(e, &s->partial, SUM_BLOCKS, sizeof *s->partial, "kernel scratch");
    if (r != ERR_OK) {
        kernels_close(k);
        return r;
    }
    mem_ref(k);
    gemm_ref(k);
    skinny_ref(k);
    attention_ref(k);
    embed_ref(k);
    norm_ref(k);
    act_ref(k);
    pointwise_ref(k);
    dropout_ref(k);
    rope_ref(k);
    softmax_ref(k);
    cross_entropy_ref(k);
    reduce_ref(k);
    optimiser_ref(k);
    char name[64];
    cpu_name(name, sizeof name);
    snprintf(s->cpu, sizeof s->cpu, "%s %s", name, k->name);
    level_fill(k, level);
    return ERR_OK;
}

void kernels_close(struct kernels *k)
{
    struct kernels_state *s = k->state;
    if (!s) return;
    mem_free(s->scratch);
    mem_free(s->panels);
    mem_free(s->partial);
    mem_free(s);
    *k = (struct kernels){0};
}

const char *kernels_cpu(const struct kernels *k)
{
    return state_of(k)->cpu;
}

size_t kernels_scratch(int threads)
{
    return (size_t)threads * KERNEL_SCRATCH + KERNEL_PANELS + SUM_BLOCKS * sizeof(double);
}
