/* SPDX-License-Identifier: Apache-2.0 */
/* test_pool.c: every task runs once, whatever the team and the number of tasks, over very many
 * joins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/pool.h"
#include "tests/thin.h"

struct tally {
    _Atomic int *runs;
    int *owner;
};

static void count_task(void *ctx, int64_t task, int thread)
{
    struct tally *t = ctx;
    atomic_fetch_add(&t->runs[task], 1);
    t->owner[task] = thread;
}

static void every_task_once(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 100, 1001};
    static const int teams[] = {1, 2, 3, 4, 5, 16};
    for (size_t team = 0; team < ARRAY_LEN(teams); team++) {
        const int threads = teams[team];
        struct errctx e = ERRCTX_INIT;
        struct pool *p;
        assert_int_equal(pool_new(&e, threads, &p), ERR_OK);
        assert_int_equal(pool_threads(p), threads);
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            int64_t n = sizes[s];
            struct tally t = {calloc((size_t)n + 1, sizeof *t.runs),
                              calloc((size_t)n + 1, sizeof *t.owner)};
            pool_run(p, count_task, &t, n);
            for (int64_t i = 0; i < n; i++) {
                assert_int_equal(t.runs[i], 1);
                assert_in_range(t.owner[i], 0, threads - 1);
            }
            assert_int_equal(t.runs[n], 0);
            free((void *)t.runs);
            free(t.owner);
        }
        pool_free(p);
    }
}

struct held_up {
    _Atomic int others;
    int64_t tasks;
};

/* The first task ends when all others have. */
static void wait_task(void *ctx, int64_t task, int thread)
{
    struct held_up *h = ctx;
    (void)thread;
    if (task > 0)
        atomic_fetch_add(&h->others, 1);
    else
        while (atomic_load(&h->others) < h->tasks - 1) sched_yield();
}

/* A thread that is held up leaves its share to the others; were it not so, this would not end. */
static void others_take_over(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct pool *p;
    assert_int_equal(pool_new(&e, 2, &p), ERR_OK);
    for (int64_t tasks = 2; tasks < 40; tasks++) {
        struct held_up h = {.tasks = tasks};
        pool_run(p, wait_task, &h, tasks);
        assert_int_equal(h.others, tasks - 1);
    }
    pool_free(p);
}

static void add_task(void *ctx, int64_t task, int thread)
{
    (void)thread;
    ((int64_t *)ctx)[task] += task + 1;
}

/* What a run wrote is seen by the next, on other threads; also when there are more threads than
 * processors. */
static void many_joins(void **state)
{
    (void)state;
    enum { N = 16 };
    for (int threads = 1; threads <= 16; threads *= 2) {
        struct errctx e = ERRCTX_INIT;
        struct pool *p;
        int64_t sums[N] = {0};
        int runs = thin_any() || threads > 4 ? 1000 : 5000;
        assert_int_equal(pool_new(&e, threads, &p), ERR_OK);
        for (int i = 0; i < runs; i++) pool_run(p, add_task, sums, i % 3 == 0 ? N : N / 2);
        int full = (runs + 2) / 3;
        for (int i = 0; i < N; i++)
            assert_int_equal(sums[i], (int64_t)(i + 1) * (i < N / 2 ? runs : full));
        pool_free(p);
    }
}

static void sleepy_task(void *ctx, int64_t task, int thread)
{
    (void)task;
    (void)thread;
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

/* Long enough apart and long enough to run that both sides go to sleep. */
static void sleepers_wake(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct pool *p;
    _Atomic int done = 0;
    assert_int_equal(pool_new(&e, 3, &p), ERR_OK);
    for (int i = 0; i < 5; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        pool_run(p, sleepy_task, &done, 3);
        assert_int_equal(done, 3 * (i + 1));
    }
    pool_free(p);
}

static void processors_respect_affinity(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_true(pool_processors() >= 1);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(pool_processors() <= CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &before)) {
            CPU_SET(i, &one);
            break;
        }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(pool_processors(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_once),
        cmocka_unit_test(others_take_over),
        cmocka_unit_test(many_joins),
        cmocka_unit_test(sleepers_wake),
        cmocka_unit_test(processors_respect_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
