/* SPDX-License-Identifier: Apache-2.0 */
/* test_family_parity.c: the folder that transformers saves of a tiny model of every family
 * (tests/parity/families), imported, against what transformers computes with it
 * (tests/parity/family_cases.json): logits or hidden states within 1e-4, the largest logit at the
 * same place of every token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/convert/source_open.h"
#include "tests/unit/parity_support.h"

enum { ROWS = 6, FAMILIES = 24 };

static void import_folder(const char *folder, const char *path)
{
    struct errctx e = ERRCTX_INIT;
    const struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    struct model_source s;
    struct stream_begin begin;
    struct stream_writer *w;
    struct run run;
    int64_t first;
    assert_int_equal(run_init(&e, &run, "import", "0"), ERR_OK);
    model_source_init(&s, &run);
    if (source_open(&e, &s, folder, SOURCE_FOLDER) != ERR_OK ||
        model_source_begin(&e, &s, &begin, &first) != ERR_OK ||
        stream_writer_open(&e, &run, path, &begin, &cfg, &w) != ERR_OK ||
        model_source_write(&e, &s, w, first) != ERR_OK || stream_writer_commit(&e, w) != ERR_OK)
        fail_msg("%s: %s", folder, e.message);
    stream_begin_fini(&begin);
    model_source_close(&s);
    run_fini(&run);
}

static void make_batch(struct batch *b, const json_t *lengths, const struct model_config *c)
{
    struct errctx e = ERRCTX_INIT;
    assert_int_equal(batch_init(&e, b, 192, ROWS), ERR_OK);
    for (size_t r = 0; r < json_array_size(lengths); r++) {
        uint32_t ids[64];
        uint8_t types[64];
        int32_t targets[64];
        const int64_t n = json_integer_value(json_array_get(lengths, r)), row = (int64_t)r;
        assert_true(n <= 64);
        for (int64_t t = 0; t < n; t++) {
            ids[t] = parity_id(row, t, c->vocab);
            /* RoBERTa's padding, which has no place of its own there. */
            if (c->position_offset && ids[t] == 1) ids[t] = 5;
            types[t] = c->types == 2 && t >= n / 2;
            targets[t] = -1;
        }
        assert_int_equal(batch_append(&e, b, c->context, n, ids, types, targets, NULL, row),
                         ERR_OK);
    }
    assert_int_equal(batch_close(&e, b), ERR_OK);
}

/* What stands at each token: `columns` numbers. */
static float *outcome(struct support *s, struct model *m, const struct batch *b, bool hidden,
                      int64_t *columns)
{
    struct errctx e = ERRCTX_INIT;
    const struct model_config *c = model_config_of(m);
    *columns = hidden ? c->width : c->vocab;
    float *out = calloc((size_t)(b->tokens * *columns), sizeof *out);
    assert_int_equal(model_forward(&e, m, b, 0), ERR_OK);
    if (hidden) {
        const struct mat h = model_hidden(m);
        assert_int_equal(h.dtype, DTYPE_F32);
        s->k.download(&s->k, h.buf, out, (size_t)(b->tokens * *columns) * sizeof *out);
        return out;
    }
    int32_t *index = calloc((size_t)b->tokens, sizeof *index);
    for (int32_t t = 0; t < b->tokens; t++) index[t] = t;
    assert_int_equal(model_logits(&e, m, b, b->tokens, index, out), ERR_OK);
    free(index);
    return out;
}

static void check_rows(const struct batch *b, const json_t *test, const float *got, int64_t columns)
{
    size_t i, j;
    json_t *row, *place;
    double worst = 0;
    json_array_foreach(json_object_get(test, "rows"), i, row)
    {
        const int64_t at =
            b->row_start[(int64_t)parity_number(row, 0)] + (int64_t)parity_number(row, 1);
        const float *x = got + at * columns;
        int64_t largest = 0;
        for (int64_t v = 1; v < columns; v++)
            if (x[v] > x[largest]) largest = v;
        if (largest != (int64_t)parity_number(row, 2))
            fail_msg("row %d, token %d: %d is the largest, not %d", (int)parity_number(row, 0),
                     (int)parity_number(row, 1), (int)largest, (int)parity_number(row, 2));
        json_array_foreach(json_array_get(row, 3), j, place)
        {
            const double error =
                fabs((double)x[(int64_t)parity_number(place, 0)] - parity_number(place, 1));
            worst = fmax(worst, error);
            if (!(error <= 1e-4))
                fail_msg("row %d, token %d, place %d: %g off", (int)parity_number(row, 0),
                         (int)parity_number(row, 1), (int)parity_number(place, 0), error);
        }
    }
    print_message("    at most %.2g off\n", worst);
}

static void check_case(struct support *s, const json_t *root, const json_t *test)
{
    struct errctx e = ERRCTX_INIT;
    const struct model_use use = {.dtype = DTYPE_F32, .tokens = 192};
    const char *name = json_string_value(json_object_get(test, "name"));
    char folder[128], path[] = "/tmp/graft-family-XXXXXX";
    struct model *m;
    struct batch b;
    int64_t columns;
    print_message("%s\n", name);
    snprintf(folder, sizeof folder, "tests/parity/families/%s", name);
    close(mkstemp(path));
    import_folder(folder, path);
    if (model_load(&e, &s->k, NULL, path, &use, &m) != ERR_OK) fail_msg("%s", e.message);
    make_batch(&b, json_object_get(root, "lengths"), model_config_of(m));
    float *got = outcome(s, m, &b, json_is_true(json_object_get(test, "hidden")), &columns);
    check_rows(&b, test, got, columns);
    free(got);
    batch_fini(&b);
    model_free(m);
    unlink(path);
}

static void as_transformers(void **state)
{
    (void)state;
    parity_each("tests/parity/family_cases.json", FAMILIES, check_case);
}

static void check_rules(const struct family *family)
{
    const struct key_rule *k;
    const struct tensor_rule *t;
    for (size_t i = 0; (k = family_key(family, i)) != NULL; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(k->key, family_key(family, j)->key) == 0)
                fail_msg("%s: key '%s' twice", family->name, k->key);
    for (size_t i = 0; (t = family_tensor(family, i)) != NULL; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(t->name, family_tensor(family, j)->name) == 0)
                fail_msg("%s: tensor '%s' twice", family->name, t->name);
}

/* A family's tables are several: what stood in two of them would be read by the first and written
 * by the last. */
static void rules_once(void **state)
{
    const struct family *family;
    (void)state;
    for (int gguf = 0; gguf < 2; gguf++)
        for (size_t i = 0; (family = family_at(gguf, i)) != NULL; i++) check_rules(family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_transformers),
                                       cmocka_unit_test(rules_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
