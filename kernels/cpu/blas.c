/* SPDX-License-Identifier: Apache-2.0 */
/* blas.c: loads OpenBLAS and makes it an ordinary single-threaded function.
 *
 * OpenBLAS looks at its environment once, when it is loaded: how many threads to start (none are
 * wanted: the pool has them) and whose kernels to take (those of an older machine where GRAFT_CPU
 * asks for one, so that the cap holds for all arithmetic). So it is loaded here, when the
 * environment says so, and not by the linker before main.
 *
 * Which build: the one with POSIX threads. The serial build gives wrong results when called from
 * several threads, the OpenMP build makes callers wait for each other; openblas_get_parallel()
 * tells, and both are then called under a lock. */
#include <cblas.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cpu/cpu.h"

enum { OPENBLAS_POSIX = 1 };

/* Loads it while the environment says so, unless the user's already does. */
static void *load_with(const char *core)
{
    bool own_threads = getenv("OPENBLAS_NUM_THREADS") == NULL;
    bool own_core = core && getenv("OPENBLAS_CORETYPE") == NULL;
    if (own_threads) setenv("OPENBLAS_NUM_THREADS", "1", 0);
    if (own_core) setenv("OPENBLAS_CORETYPE", core, 0);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (own_threads) unsetenv("OPENBLAS_NUM_THREADS");
    if (own_core) unsetenv("OPENBLAS_CORETYPE");
    return library;
}

/* *function = the symbol, which ISO C has no cast for. */
static enum err find(struct errctx *e, void *library, const char *symbol, void *function)
{
    void *p = dlsym(library, symbol);
    if (!p) return err_set(e, ERR_IO, "the OpenBLAS found here has no %s", symbol);
    memcpy(function, &p, sizeof p);
    return ERR_OK;
}

enum err blas_open(struct errctx *e, struct kernels *k, const char *core)
{
    struct kernels_state *s = state_of(k);
    __typeof__(openblas_set_num_threads) *set_threads = NULL;
    __typeof__(openblas_get_parallel) *parallel = NULL;
    __typeof__(openblas_get_corename) *core_name = NULL;
    void *library = load_with(core);
    if (!library)
        return err_set(e, ERR_IO, "cannot load OpenBLAS: %s (apt-get install libopenblas0-pthread)",
                       dlerror());
    TRY(find(e, library, "cblas_sgemm", &s->sgemm));
    TRY(find(e, library, "openblas_set_num_threads", &set_threads));
    TRY(find(e, library, "openblas_get_parallel", &parallel));
    TRY(find(e, library, "openblas_get_corename", &core_name));
    set_threads(1);
    size_t used = strlen(s->cpu);
    snprintf(s->cpu + used, sizeof s->cpu - used, " openblas %s", core_name());
    if (parallel() == OPENBLAS_POSIX) return ERR_OK;
    s->blas_lock = true;
    s->warning = "this OpenBLAS was not built with POSIX threads: products run one at a time "
                 "(apt-get install libopenblas0-pthread)";
    return ERR_OK;
}

/* Where the step between lines is below their length OpenBLAS does nothing, even if there is but
 * one line. */
static blasint line_step(int64_t step, int64_t length)
{
    return (blasint)(step > length ? step : length);
}

void blas_sgemm(const struct kernels *k, int64_t m, int64_t n, int64_t depth, struct view a,
                struct view b, float beta, float *c, int64_t ldc)
{
    struct kernels_state *s = state_of(k);
    if (s->blas_lock) pthread_mutex_lock(&s->blas_mutex);
    __typeof__(cblas_sgemm) *sgemm;
    memcpy(&sgemm, &s->sgemm, sizeof sgemm);
    sgemm(CblasRowMajor, a.trans ? CblasTrans : CblasNoTrans, b.trans ? CblasTrans : CblasNoTrans,
          (blasint)m, (blasint)n, (blasint)depth, 1, (const float *)(const void *)a.p,
          a.trans ? line_step(a.col, m) : line_step(a.row, depth), (const float *)(const void *)b.p,
          b.trans ? line_step(b.col, depth) : line_step(b.row, n), beta, c, line_step(ldc, n));
    if (s->blas_lock) pthread_mutex_unlock(&s->blas_mutex);
}
