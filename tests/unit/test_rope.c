/* SPDX-License-Identifier: Apache-2.0 */
/* test_rope.c: rotary positions of models as large as people have them, with every scaling, against
 * the frequencies that transformers computes (tests/parity/rope_cases.json). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "common/convert/family.h"
#include "common/model/rope.h"

enum { HALF_MOST = 64 };

static void read_config(const json_t *test, struct family_config *x)
{
    struct errctx e = ERRCTX_INIT;
    struct findings f = {0};
    if (family_read_config(&e, family_find("llama"), json_object_get(test, "config"), false, x,
                           &f) != ERR_OK ||
        findings_raise(&e, &f) != ERR_OK)
        fail_msg("%s", e.message);
    findings_fini(&f);
}

static void check_case(const json_t *test)
{
    const char *name = json_string_value(json_object_get(test, "name"));
    const json_t *list = json_object_get(test, "frequencies");
    const double factor = json_number_value(json_object_get(test, "factor"));
    const int64_t length = json_integer_value(json_object_get(test, "length"));
    static const int64_t places[] = {1, 3, 1000};
    struct family_config x;
    float cosine[HALF_MOST], sine[HALF_MOST];
    read_config(test, &x);
    const int64_t half = x.c.rope_dims / 2;
    assert_true(half <= HALF_MOST && (size_t)half == json_array_size(list));
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        rope_fill(&x.c, places[p], 1, length, cosine, sine);
        for (int64_t i = 0; i < half; i++) {
            const float frequency = (float)json_number_value(json_array_get(list, (size_t)i));
            const double angle = (double)((float)places[p] * frequency);
            const double near = 1e-6 + 3e-7 * angle; /* frequencies are rounded elsewhere */
            if (fabs(cos(angle) * factor - (double)cosine[i]) > near ||
                fabs(sin(angle) * factor - (double)sine[i]) > near)
                fail_msg("%s, pair %d at place %d: %g %g", name, (int)i, (int)places[p],
                         (double)cosine[i], (double)sine[i]);
        }
    }
}

static void as_transformers(void **state)
{
    (void)state;
    size_t i;
    json_t *test, *root = json_load_file("tests/parity/rope_cases.json", 0, NULL);
    assert_int_equal(json_array_size(root), 5);
    json_array_foreach(root, i, test) check_case(test);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
