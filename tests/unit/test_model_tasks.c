/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_tasks.c: heads for labels: their gradients, and those of the model below them, against
 * finite differences, for each kind of label; that threads and the cut into micro-batches do not
 * show; that the outputs are those of a head computed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "tests/thin.h"
#include "tests/unit/model_support.h"

enum { ROWS = 6, MOST = 24 };
static const int64_t lengths[ROWS] = {5, 1, 11, 7, 20, 3};

/* One of each kind, with poolings and dense parts of all sorts. */
static const struct task some[] = {
    {.kind = LABEL_CLASS, .outputs = 3, .pooling = POOLING_CLS, .dense = true, .act = ACT_TANH},
    {.kind = LABEL_CLASSES, .outputs = 5, .pooling = POOLING_MEAN | POOLING_MEAN_SQRT},
    {.kind = LABEL_NUMBER, .outputs = 1, .pooling = POOLING_LAST | POOLING_WEIGHTED_MEAN},
    {.kind = LABEL_TOKENS, .outputs = 4}};
enum { TASKS = sizeof some / sizeof some[0] };
static const struct task_heads tasks = {.items = (struct task *)some, .count = TASKS};

struct labelled {
    struct batch batch;
    struct task_label labels[TASKS][ROWS];
    int32_t lists[TASKS][ROWS][MOST];
};

static void make_labels(struct labelled *x, int64_t first)
{
    for (int64_t r = 0; r < x->batch.rows; r++) {
        const int64_t n = first + r;
        const float weight = 0.5F + (float)(n % 3);
        int64_t count = 0;
        x->labels[0][r] =
            (struct task_label){.weight = n == 2 ? 0 : weight, .cls = (int32_t)(n % 3)};
        for (int32_t i = 0; i < 5; i++)
            if ((n >> (i % 3)) % 2) x->lists[1][r][count++] = i;
        x->labels[1][r] =
            (struct task_label){.weight = weight, .list = x->lists[1][r], .count = count};
        x->labels[2][r] = (struct task_label){.weight = weight, .number = 0.3F * (float)n - 0.7F};
        for (int64_t i = 0; i < x->batch.row_length[r]; i++)
            x->lists[3][r][i] = (i + n) % 5 == 4 ? -1 : (int32_t)((i + n) % 4);
        x->labels[3][r] = (struct task_label){
            .weight = weight, .list = x->lists[3][r], .count = x->batch.row_length[r]};
    }
}

static double loss_of(struct model *m, const struct labelled *x, bool gradient)
{
    struct errctx e = ERRCTX_INIT;
    const struct task_label *labels[TASKS];
    double losses[TASKS] = {0}, sum = 0;
    for (int i = 0; i < TASKS; i++) labels[i] = x->labels[i];
    assert_int_equal(model_forward(&e, m, &x->batch, 3), ERR_OK);
    if (model_tasks(&e, m, &x->batch, labels, gradient, NULL, losses) != ERR_OK)
        fail_msg("%s", e.message);
    if (gradient) assert_int_equal(model_backward(&e, m, &x->batch), ERR_OK);
    for (int i = 0; i < TASKS; i++) sum += losses[i];
    return sum;
}

static float sign(uint32_t direction, uint32_t param, uint32_t element)
{
    return rng_uniform(rng_key_make(7, RNG_TEST), direction, param, element, 0) < 0.5 ? -1.0F
                                                                                      : 1.0F;
}

static double moved(struct model *m, const struct labelled *x, const struct param *p,
                    const float *from, float step, uint32_t direction, uint32_t number)
{
    float *w = support_numbers(m, model_weights(m));
    for (int64_t i = 0; i < p->elements; i++)
        w[p->offset + i] = from[p->offset + i] + step * sign(direction, number, (uint32_t)i);
    return loss_of(m, x, false);
}

static void check(struct model *m, const struct labelled *x)
{
    const struct param_table *t = model_params(m);
    const size_t bytes = (size_t)t->elements * sizeof(float);
    float *w = support_numbers(m, model_weights(m)), *from = malloc(bytes), *g = malloc(bytes);
    support_zero_gradients(m);
    loss_of(m, x, true);
    model_finish_gradients(m);
    memcpy(from, w, bytes);
    memcpy(g, support_numbers(m, model_gradients(m)), bytes);
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &t->items[i];
        const bool unused = strncmp(p->name, "head.", 5) == 0;
        double square = 0;
        for (int64_t j = 0; j < p->elements; j++)
            square += (double)g[p->offset + j] * g[p->offset + j];
        assert_true(unused ? square == 0 : square > 0);
        for (uint32_t d = 0; d < (thin_any() ? 1 : 2) && !unused; d++) {
            const float step = 1e-3F;
            double along = 0;
            for (int64_t j = 0; j < p->elements; j++)
                along += (double)g[p->offset + j] * sign(d, (uint32_t)i, (uint32_t)j);
            const double up = moved(m, x, p, from, step, d, (uint32_t)i);
            const double down = moved(m, x, p, from, -step, d, (uint32_t)i);
            const double error = fabs((up - down) / (2 * (double)step) - along) / sqrt(square);
            if (error > 5e-3) fail_msg("%s: error %g", p->name, error);
            memcpy(w, from, bytes);
        }
    }
    free(from);
    free(g);
}

static void gradients(void **state)
{
    (void)state;
    for (size_t a = 0; a < ARRAY_LEN(support_archs); a++)
        for (int dropout = 0; dropout < 2; dropout++) {
            const struct model_config c = support_config(support_archs[a]);
            const struct model_use use = {.dtype = DTYPE_F32,
                                          .training = true,
                                          .tokens = 192,
                                          .dropout = dropout ? 0.2 : 0,
                                          .heads = &tasks,
                                          .seed = 5};
            struct support s;
            struct labelled x;
            support_open(&s, "ref", 1);
            struct model *m = support_model(&s, &c, &use);
            support_batch(&x.batch, &c, 16, ROWS, lengths, 0);
            make_labels(&x, 0);
            check(m, &x);
            batch_fini(&x.batch);
            model_free(m);
            support_close(&s);
        }
}

/* Loss and gradients with so many threads, whole or grain by grain. */
static float *computed(int threads, bool split, enum dtype dtype, double *loss, int64_t *n)
{
    const struct model_config c = support_config_wide("bert");
    const struct model_use use = {.dtype = dtype,
                                  .training = true,
                                  .tokens = 768,
                                  .dropout = 0.1,
                                  .heads = &tasks,
                                  .seed = 5};
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct labelled part;
    struct batch whole;
    int64_t row = 0;
    support_open(&s, "cpu", threads);
    struct model *m = support_model(&s, &c, &use);
    support_batch(&whole, &c, 16, ROWS, lengths, 40);
    assert_true(whole.grains > 2);
    assert_int_equal(batch_init(&e, &part.batch, 1, 1), ERR_OK);
    *loss = 0;
    double losses[TASKS] = {0};
    for (int64_t g = 0; g < (split ? whole.grains : 1); g++) {
        const struct task_label *labels[TASKS];
        assert_int_equal(batch_slice(&e, &whole, g, split ? 1 : whole.grains, &part.batch), ERR_OK);
        make_labels(&part, row);
        row += part.batch.rows;
        for (int i = 0; i < TASKS; i++) labels[i] = part.labels[i];
        assert_int_equal(model_forward(&e, m, &part.batch, 9), ERR_OK);
        assert_int_equal(model_tasks(&e, m, &part.batch, labels, true, NULL, losses), ERR_OK);
        assert_int_equal(model_backward(&e, m, &part.batch), ERR_OK);
    }
    model_finish_gradients(m);
    for (int i = 0; i < TASKS; i++) *loss += losses[i];
    *n = model_params(m)->trained;
    float *out = malloc((size_t)*n * sizeof *out);
    memcpy(out, support_numbers(m, model_gradients(m)), (size_t)*n * sizeof *out);
    batch_fini(&whole);
    batch_fini(&part.batch);
    model_free(m);
    support_close(&s);
    return out;
}

static void any_cut(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++) {
        const enum dtype dtype = t ? DTYPE_BF16 : DTYPE_F32;
        double a, b;
        int64_t n, m;
        float *x = computed(1, false, dtype, &a, &n), *y = computed(3, true, dtype, &b, &m);
        assert_true(a > 0 && a == b);
        assert_memory_equal(x, y, (size_t)n * sizeof *x);
        free(x);
        free(y);
    }
}

/* Each pooling alone, against finite differences; the greatest is where it was. */
static void pools(void **state)
{
    enum { N = 4, C = 3 };
    float h[N * C], d[N * C] = {0}, dx[6 * C];
    double up[6 * C], down[6 * C];
    const struct pooling_states s = {.data = h, .dtype = DTYPE_F32, .width = C, .ld = C};
    const unsigned all = 2 * POOLING_LAST - 1;
    (void)state;
    for (int i = 0; i < N * C; i++) h[i] = (float)((i * 7) % 12) / 4;
    for (int i = 0; i < 6 * C; i++) dx[i] = (float)((i * 5) % 7) - 2.5F;
    assert_int_equal(pooling_size(all, C), 6 * C);
    pooling_backward(all, &s, 1, N - 1, dx, d);
    for (int i = 0; i < N * C; i++) {
        const float was = h[i];
        double along = 0;
        h[i] = was + 0.0625F;
        pooling_forward(all, &s, 1, N - 1, up);
        h[i] = was - 0.0625F;
        pooling_forward(all, &s, 1, N - 1, down);
        h[i] = was;
        for (int x = 0; x < 6 * C; x++) along += (up[x] - down[x]) / 0.125 * (double)dx[x];
        assert_true(fabs(along - (double)d[i]) < 1e-5);
    }
    for (int c = 0; c < C; c++) assert_true(d[c] == 0);
}

/* y = W x + w of the first row's state, in double. */
static void outputs(void **state)
{
    static const struct task one = {.kind = LABEL_CLASS, .outputs = 3, .pooling = POOLING_MEAN};
    static const struct task_heads only = {.items = (struct task *)&one, .count = 1};
    const struct model_config c = support_config("llama");
    const struct model_use use = {.dtype = DTYPE_F32, .tokens = 192, .heads = &only};
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct batch b;
    float y[ROWS][3], *const to[] = {&y[0][0]};
    (void)state;
    support_open(&s, "cpu", 2);
    struct model *m = support_model(&s, &c, &use);
    support_batch(&b, &c, 16, ROWS, lengths, 0);
    assert_int_equal(model_forward(&e, m, &b, 0), ERR_OK);
    assert_int_equal(model_tasks(&e, m, &b, NULL, false, to, NULL), ERR_OK);
    const float *h = support_numbers(m, model_hidden(m).buf),
                *w = support_numbers(m, model_weights(m));
    const struct param *W = param_table_find(model_params(m), "task.0.weight"),
                       *bias = param_table_find(model_params(m), "task.0.bias");
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < 3; i++) {
            double want = w[bias->offset + i];
            for (int64_t t = 0; t < lengths[r]; t++)
                for (int64_t k = 0; k < c.width; k++)
                    want += (double)h[(b.row_start[r] + t) * c.width + k] / (double)lengths[r] *
                            w[W->offset + i * c.width + k];
            assert_true(fabs(want - y[r][i]) < 1e-5 * (1 + fabs(want)));
        }
    batch_fini(&b);
    model_free(m);
    support_close(&s);
}

/* Losses beside their definitions, also where e^y would overflow. */
static void losses(void **state)
{
    const float y[] = {1, -2, 0.5F}, large[] = {500, -500, 0};
    const int32_t both[] = {0, 2};
    float d[3];
    (void)state;
    const struct task_label cls = {.cls = 2}, list = {.list = both, .count = 2},
                            number = {.number = 4};
    const double sum = exp(1) + exp(-2) + exp(0.5);
    assert_true(fabs(task_loss(LABEL_CLASS, 3, y, &cls, 0, d) - (log(sum) - 0.5)) < 1e-12);
    assert_true(fabs((double)d[2] - (exp(0.5) / sum - 1)) < 1e-7);
    assert_true(task_loss(LABEL_CLASS, 3, large, &cls, 0, d) == 500);
    const double want = (log(1 + exp(-1)) + log(1 + exp(-2)) + log(1 + exp(-0.5))) / 3;
    assert_true(fabs(task_loss(LABEL_CLASSES, 3, y, &list, 0, d) - want) < 1e-12);
    assert_true(fabs((double)d[1] - 1 / (1 + exp(2)) / 3) < 1e-7);
    assert_true(fabs(task_loss(LABEL_CLASSES, 3, large, &list, 0, d) - log(2) / 3) < 1e-12);
    assert_true(task_loss(LABEL_NUMBER, 1, y, &number, 0, d) == 9 && d[0] == -6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients), cmocka_unit_test(any_cut),
                                       cmocka_unit_test(pools), cmocka_unit_test(outputs),
                                       cmocka_unit_test(losses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
