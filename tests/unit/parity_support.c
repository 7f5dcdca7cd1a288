/* SPDX-License-Identifier: Apache-2.0 */
/* parity_support.c: see parity_support.h. */
#include "tests/unit/parity_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void parity_each(const char *path, size_t count, parity_check_fn *check)
{
    json_error_t error;
    size_t i;
    json_t *test, *root = json_load_file(path, 0, &error);
    struct support s;
    if (!root) fail_msg("%s: %s", path, error.text);
    support_open(&s, "cpu", 2);
    assert_int_equal(json_array_size(json_object_get(root, "cases")), count);
    json_array_foreach(json_object_get(root, "cases"), i, test) check(&s, root, test);
    support_close(&s);
    json_decref(root);
}

double parity_real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

double parity_number(const json_t *array, size_t i)
{
    return json_number_value(json_array_get(array, i));
}

struct model_config parity_config(const json_t *test)
{
    struct errctx e = ERRCTX_INIT;
    struct model_config c;
    char path[] = "/tmp/graft-parity-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_int_equal(json_dumpf(json_object_get(test, "config"), f, 0), 0);
    assert_int_equal(fclose(f), 0);
    if (model_config_from_json(&e, NULL, path, &c) != ERR_OK ||
        model_config_finish(&e, &c) != ERR_OK)
        fail_msg("%s", e.message);
    unlink(path);
    return c;
}

/* SplitMix64 of the place. */
uint64_t parity_random(uint64_t stream, uint64_t i)
{
    uint64_t z = ((stream << 32) + i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void parity_weights(struct model *m)
{
    const struct param_table *t = model_params(m);
    const bool plus_one = model_config_of(m)->norm_plus_one;
    float *w = support_numbers(m, model_weights(m));
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &t->items[i];
        const bool table =
            strncmp(p->name, "embed.", 6) == 0 || strcmp(p->name, "head.weight") == 0;
        for (int64_t j = 0; j < p->elements; j++) {
            const double u = (double)(parity_random((uint64_t)i, (uint64_t)j) >> 40) / 8388608 - 1;
            w[p->offset + j] = (float)(p->role == PARAM_BIAS   ? 0.2 * u
                                       : p->role == PARAM_NORM ? (plus_one ? 0 : 1) + 0.3 * u
                                       : table                 ? 0.9 * u
                                                               : 0.3 * u);
        }
    }
    model_refresh(m);
}

uint32_t parity_id(int64_t row, int64_t t, int64_t vocab)
{
    return (uint32_t)(parity_random(1000 + (uint64_t)row, (uint64_t)t) % (uint64_t)vocab);
}
