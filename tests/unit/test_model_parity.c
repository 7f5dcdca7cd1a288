/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_parity.c: the model against what transformers computes for the same weights and rows
 * (tests/parity/model_cases.json): logits within 1e-4, losses and gradients within a relative 1e-4,
 * on the CPU's kernels. In double precision with the weights rounded to float, as the peer had
 * them. */
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

#include "tests/unit/parity_support.h"

static void make_batch(struct batch *b, const json_t *lengths, const struct model_config *c)
{
    struct errctx e = ERRCTX_INIT;
    assert_int_equal(batch_init(&e, b, 64, 8), ERR_OK);
    for (size_t r = 0; r < json_array_size(lengths); r++) {
        uint32_t ids[64];
        uint8_t types[64];
        int32_t targets[64];
        const int64_t n = json_integer_value(json_array_get(lengths, r)), row = (int64_t)r;
        assert_true(n <= 64);
        for (int64_t t = 0; t < n; t++) {
            ids[t] = parity_id(row, t, c->vocab);
            types[t] = t >= n / 2;
            if (c->causal)
                targets[t] = t + 1 < n ? (int32_t)parity_id(row, t + 1, c->vocab) : -1;
            else
                targets[t] = t % 3 == 0 ? (int32_t)parity_id(row + 100, t, c->vocab) : -1;
        }
        assert_int_equal(batch_append(&e, b, 48, n, ids, types, targets, NULL, row), ERR_OK);
    }
    assert_int_equal(batch_close(&e, b), ERR_OK);
}

/* Column i of a row of whole numbers. */
static int64_t place(const json_t *row, size_t i)
{
    return json_integer_value(json_array_get(row, i));
}

static void check_losses(struct model *m, const struct batch *b, const json_t *test, bool gradient)
{
    struct errctx e = ERRCTX_INIT;
    size_t i;
    json_t *row;
    double sum = 0;
    float *loss = calloc((size_t)b->tokens, sizeof *loss);
    int32_t *rank = calloc((size_t)b->tokens, sizeof *rank);
    assert_int_equal(model_loss(&e, m, b, gradient, loss, rank, &sum), ERR_OK);
    const double want = parity_real(test, "loss");
    assert_true(fabs(sum - want) < 1e-5 * want);
    json_array_foreach(json_object_get(test, "losses"), i, row)
    {
        const int64_t at = b->row_start[place(row, 0)] + place(row, 1);
        assert_true(fabs((double)loss[at] - parity_number(row, 2)) < 1e-4);
        assert_true(rank[at] >= 0);
    }
    int64_t scored = 0;
    for (int64_t t = 0; t < b->tokens; t++) scored += rank[t] >= 0;
    assert_int_equal(scored, json_array_size(json_object_get(test, "losses")));
    free(loss);
    free(rank);
}

static void check_logits(struct model *m, const struct batch *b, const json_t *test)
{
    struct errctx e = ERRCTX_INIT;
    size_t i;
    json_t *row;
    const int64_t V = model_config_of(m)->vocab;
    int32_t *index = calloc((size_t)b->tokens, sizeof *index);
    float *logits = calloc((size_t)(b->tokens * V), sizeof *logits);
    for (int32_t t = 0; t < b->tokens; t++) index[t] = t;
    assert_int_equal(model_logits(&e, m, b, b->tokens, index, logits), ERR_OK);
    json_array_foreach(json_object_get(test, "logits"), i, row)
    {
        const int64_t at = b->row_start[place(row, 0)] + place(row, 1);
        const double error = fabs((double)logits[at * V + place(row, 2)] - parity_number(row, 3));
        if (!(error <= 1e-4))
            fail_msg("row %d, token %d, logit %d: %g off", (int)place(row, 0), (int)place(row, 1),
                     (int)place(row, 2), error);
    }
    free(index);
    free(logits);
}

static void check_gradients(struct model *m, const json_t *test)
{
    size_t i, j;
    json_t *entry, *element;
    const float *g = support_numbers(m, model_gradients(m));
    json_array_foreach(json_object_get(test, "gradients"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        const struct param *p = param_table_find(model_params(m), name);
        assert_non_null(p);
        const double norm = parity_real(entry, "norm");
        const double typical = norm / sqrt((double)p->elements);
        double square = 0;
        for (int64_t k = 0; k < p->elements; k++)
            square += (double)g[p->offset + k] * g[p->offset + k];
        if (!(fabs(sqrt(square) - norm) <= 1e-4 * norm))
            fail_msg("%s: norm %g, not %g", name, sqrt(square), norm);
        json_array_foreach(json_object_get(entry, "elements"), j, element)
        {
            const double want = parity_number(element, 1), got = g[p->offset + place(element, 0)];
            if (!(fabs(got - want) <= 1e-4 * fmax(fabs(want), typical)))
                fail_msg("%s: element %d is %g, not %g", name, (int)place(element, 0), got, want);
        }
    }
    assert_int_equal(json_array_size(json_object_get(test, "gradients")), model_params(m)->count);
}

static void check_case(struct support *s, const json_t *root, const json_t *test)
{
    struct errctx e = ERRCTX_INIT;
    struct batch b;
    const struct model_config c = parity_config(test);
    const struct model_use use = {.dtype = DTYPE_F32, .training = true, .tokens = 288};
    struct model *m = support_model(s, &c, &use);
    print_message("%s\n", json_string_value(json_object_get(test, "name")));
    parity_weights(m);
    make_batch(&b, json_object_get(root, "lengths"), &c);
    assert_int_equal(model_forward(&e, m, &b, 0), ERR_OK);
    check_logits(m, &b, test);
    check_losses(m, &b, test, false);
    check_losses(m, &b, test, true);
    assert_int_equal(model_backward(&e, m, &b), ERR_OK);
    model_finish_gradients(m);
    check_gradients(m, test);
    batch_fini(&b);
    model_free(m);
}

static void as_transformers(void **state)
{
    (void)state;
    parity_each("tests/parity/model_cases.json", 17, check_case);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
