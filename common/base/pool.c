/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c: a fork-join team over one generation counter.
 *
 *     caller: publish job, generation++          worker: wait for the generation to change
 *             run its own share                          run its share
 *             wait for running == 0                      running--
 *
 * Thread t of T begins with the tasks [n t / T, n (t + 1) / T), so that the same thread mostly
 * meets the same data again, and then takes what others have left: a processor that is busy with
 * something else does not hold up the rest. Both waits spin first (a kernel call is a few
 * microseconds, the next job is usually closer than that) and then sleep on a condition. A sleeper
 * announces itself before it looks a last time; the other side changes the value before it looks
 * for sleepers; with sequentially consistent atomics one of the two sees the other. */
#include "common/base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/mem.h"

enum { SPINS = 4000, STACK_BYTES = 2 << 20 };

struct worker {
    struct pool *pool;
    pthread_t id;
    int index;
};

/* What is left of one thread's tasks. */
struct share {
    _Alignas(64) _Atomic int64_t next;
    int64_t last;
};

struct pool {
    int threads, started; /* `started` workers exist: threads - 1 once pool_new has succeeded */
    int spins;
    pool_fn *fn;
    void *ctx;
    bool quit;
    _Atomic unsigned generation;
    atomic_int running, sleepers, caller_sleeps;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct worker *workers; /* [threads - 1] */
    struct share *shares;   /* [threads] */
};

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void run_share(struct pool *p, int thread)
{
    for (int t = 0; t < p->threads; t++) {
        struct share *s = &p->shares[(thread + t) % p->threads];
        for (int64_t task; (task = atomic_fetch_add(&s->next, 1)) < s->last;)
            p->fn(p->ctx, task, thread);
    }
}

static void set_shares(struct pool *p, int64_t tasks)
{
    /* n t / T without overflow for any n */
    int64_t whole = tasks / p->threads, rest = tasks % p->threads;
    for (int t = 0; t < p->threads; t++) {
        p->shares[t].last = whole * (t + 1) + rest * (t + 1) / p->threads;
        atomic_store(&p->shares[t].next, whole * t + rest * t / p->threads);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < p->spins && atomic_load(&p->generation) == seen; i++) spin_pause();
        if (atomic_load(&p->generation) == seen) {
            pthread_mutex_lock(&p->lock);
            atomic_fetch_add(&p->sleepers, 1);
            while (atomic_load(&p->generation) == seen) pthread_cond_wait(&p->work, &p->lock);
            atomic_fetch_sub(&p->sleepers, 1);
            pthread_mutex_unlock(&p->lock);
        }
        seen++;
        if (p->quit) return NULL;
        run_share(p, w->index);
        if (atomic_fetch_sub(&p->running, 1) == 1 && atomic_load(&p->caller_sleeps)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

/* Everything the workers read was written before this. */
static void publish(struct pool *p)
{
    atomic_store(&p->running, p->started);
    atomic_fetch_add(&p->generation, 1);
    if (atomic_load(&p->sleepers)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
    }
}

static enum err start_workers(struct errctx *e, struct pool *p)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int failure = pthread_attr_init(&attributes);
    if (failure == 0) {
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        /* Signals are the main thread's business. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (failure == 0 && p->started < p->threads - 1) {
            struct worker *w = &p->workers[p->started];
            w->pool = p;
            w->index = p->started + 1;
            failure = fault_here(FAULT_THREAD)
                          ? EAGAIN
                          : pthread_create(&w->id, &attributes, worker_main, w);
            if (failure == 0) p->started++;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
    }
    if (failure == 0) return ERR_OK;
    errno = failure;
    return err_errno(e, "cannot start thread %d of %d (fewer with -j)", p->started + 2, p->threads);
}

enum err pool_new(struct errctx *e, int threads, struct pool **out)
{
    struct pool *p;
    *out = NULL;
    TRY(mem_new(e, &p, 1, sizeof *p, "a thread pool"));
    p->threads = threads < 1 ? 1 : threads;
    /* Spinning while a sibling has no processor to run on only delays it. */
    p->spins = p->threads <= pool_processors() ? SPINS : 0;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    enum err r = mem_new(e, &p->workers, (size_t)p->threads, sizeof *p->workers, "threads");
    if (r == ERR_OK)
        r = mem_new_aligned(e, &p->shares, (size_t)p->threads, sizeof *p->shares, "threads");
    if (r == ERR_OK) r = start_workers(e, p);
    if (r != ERR_OK) {
        pool_free(p);
        return r;
    }
    *out = p;
    return ERR_OK;
}

void pool_free(struct pool *p)
{
    if (!p) return;
    p->quit = true;
    publish(p);
    for (int i = 0; i < p->started; i++) pthread_join(p->workers[i].id, NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->workers);
    mem_free(p->shares);
    mem_free(p);
}

int pool_threads(const struct pool *p)
{
    return p->threads;
}

void pool_run(struct pool *p, pool_fn *fn, void *ctx, int64_t tasks)
{
    if (p->started == 0 || tasks <= 1) { /* nothing to share */
        for (int64_t task = 0; task < tasks; task++) fn(ctx, task, 0);
        return;
    }
    p->fn = fn;
    p->ctx = ctx;
    set_shares(p, tasks);
    publish(p);
    run_share(p, 0);
    for (int i = 0; i < p->spins && atomic_load(&p->running); i++) spin_pause();
    if (atomic_load(&p->running)) {
        pthread_mutex_lock(&p->lock);
        atomic_store(&p->caller_sleeps, 1);
        while (atomic_load(&p->running)) pthread_cond_wait(&p->done, &p->lock);
        atomic_store(&p->caller_sleeps, 0);
        pthread_mutex_unlock(&p->lock);
    }
}
