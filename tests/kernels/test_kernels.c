/* SPDX-License-Identifier: Apache-2.0 */
/* test_kernels.c: runs the table of cases.
 *
 *   test_kernels                   test and grad of every op at every level this CPU has, as TAP
 *   test_kernels MODE [OP]         one mode (test, grad, perf) at the level that GRAFT_CPU allows
 *
 * Levels run as processes of their own, as GRAFT_CPU is read when the kernels are opened.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/kernels/cases.h"
#include "tests/thin.h"

static const struct op *const *const tables[] = {ops_product, ops_attention, ops_rows, ops_loss};
enum { TABLES = sizeof tables / sizeof tables[0] };

static void machine_open(struct machine *m)
{
    struct errctx e = ERRCTX_INIT;
    static const int threads[3] = {1, 2, 4};
    for (int i = 0; i < 3; i++)
        if (pool_new(&e, threads[i], &m->pools[i]) != ERR_OK ||
            kernels_open(&e, "cpu", m->pools[i], &m->under_test[i]) != ERR_OK) {
            printf("Bail out! %s\n", e.message);
            exit(1);
        }
    if (kernels_open(&e, "ref", m->pools[0], &m->ref) != ERR_OK) exit(1);
}

static void machine_close(struct machine *m)
{
    kernels_close(&m->ref);
    for (int i = 0; i < 3; i++) {
        kernels_close(&m->under_test[i]);
        pool_free(m->pools[i]);
    }
}

/* One line of TAP per op, numbered from `number`; the number after the last. */
static int run_mode(struct machine *m, const char *mode, const char *only, int number, int *failed)
{
    for (int t = 0; t < TABLES; t++)
        for (const struct op *const *op = tables[t]; *op; op++) {
            if (only && strcmp((*op)->name, only) != 0) continue;
            int64_t cases = 0;
            int bad;
            if (strcmp(mode, "perf") == 0) {
                mode_perf(m, *op);
                continue;
            }
            if (strcmp(mode, "grad") == 0) {
                if (!(*op)->forward) continue;
                bad = mode_grad(m, *op, &cases);
            } else {
                bad = mode_test(m, *op, &cases);
            }
            printf("%sok %d - %s %s %s (%lld cases)\n", bad ? "not " : "", number++,
                   m->under_test[0].name, mode, (*op)->name, (long long)cases);
            fflush(stdout);
            *failed += bad;
        }
    return number;
}

/* Difference quotients are only arithmetic, and slow under a sanitizer. */
static bool with_grad(void)
{
    return !thin_any();
}

static int lines_of_level(void)
{
    int n = 0;
    for (int t = 0; t < TABLES; t++)
        for (const struct op *const *op = tables[t]; *op; op++)
            n += 1 + (with_grad() && (*op)->forward != NULL);
    return n;
}

/* Runs itself with GRAFT_CPU=level for lines `number` and on. */
static int run_level(const char *self, const char *level, int number)
{
    char first[16];
    snprintf(first, sizeof first, "%d", number);
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
        setenv("GRAFT_CPU", level, 1);
        execl(self, self, "level", first, (char *)NULL);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) return 1;
    return WEXITSTATUS(status);
}

static int run_all(const char *self)
{
    static const char *const levels[] = {"ref", "avx2", "avx512", "avx512bf16", "amx"};
    struct machine m;
    int failed = 0, number = 1;
    unsetenv("GRAFT_CPU");
    machine_open(&m);
    const char *best = m.under_test[0].name;
    int last = 0;
    while (strcmp(levels[last], best) != 0) last++;
    printf("1..%d\n", (last + 1) * lines_of_level());
    machine_close(&m);
    for (int i = 0; i <= last; i++, number += lines_of_level())
        failed |= run_level(self, levels[i], number) != 0;
    return failed;
}

int main(int argc, char **argv)
{
    struct machine m;
    int failed = 0;
    if (argc == 1) return run_all(argv[0]);
    machine_open(&m);
    if (strcmp(argv[1], "level") == 0 && argc == 3) {
        int number = run_mode(&m, "test", NULL, (int)strtol(argv[2], NULL, 10), &failed);
        if (with_grad()) run_mode(&m, "grad", NULL, number, &failed);
    } else if (strcmp(argv[1], "test") == 0 || strcmp(argv[1], "grad") == 0 ||
               strcmp(argv[1], "perf") == 0) {
        printf("# %s\n", kernels_cpu(&m.under_test[0]));
        if (strcmp(argv[1], "perf") == 0) perf_ceiling(&m);
        run_mode(&m, argv[1], argc > 2 ? argv[2] : NULL, 1, &failed);
    } else {
        fprintf(stderr, "usage: test_kernels [test|grad|perf [op]]\n");
        failed = 2;
    }
    machine_close(&m);
    return failed != 0;
}
