/* SPDX-License-Identifier: Apache-2.0 */
/* test_energy.c: package counters of a made-up powercap folder are summed over their wrap-around;
 * a machine without any says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/train/energy.h"

static char root[] = "/tmp/graft-energy-XXXXXX";

static void put(const char *zone, const char *file, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", root, zone);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", root, zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%s\n", text);
    assert_int_equal(fclose(f), 0);
}

static void zone(const char *name, const char *title, const char *now)
{
    put(name, "name", title);
    put(name, "max_energy_range_uj", "1000000000");
    put(name, "energy_uj", now);
}

static void sums_packages(void **state)
{
    (void)state;
    struct energy n;
    zone("intel-rapl:0", "package-0", "999000000");
    zone("intel-rapl:1", "package-1", "5");
    zone("intel-rapl:0:0", "core", "7");
    energy_init(&n, root);
    assert_int_equal(n.count, 2);
    assert_string_equal(energy_source(&n), "rapl");
    assert_float_equal(energy_read(&n), 0, 0);
    put("intel-rapl:0", "energy_uj", "1000000"); /* wrapped: 2 J */
    put("intel-rapl:1", "energy_uj", "3000005"); /* 3 J */
    put("intel-rapl:0:0", "energy_uj", "9000007");
    assert_float_equal(energy_read(&n), 5, 1e-9);
    put("intel-rapl:1", "energy_uj", "4000005");
    assert_float_equal(energy_read(&n), 6, 1e-9);
}

static void none_is_no_error(void **state)
{
    (void)state;
    struct energy n;
    energy_init(&n, "/tmp/graft-no-such-folder");
    assert_string_equal(energy_source(&n), "none");
    assert_float_equal(energy_read(&n), 0, 0);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sums_packages, make_root, remove_root),
        cmocka_unit_test(none_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
