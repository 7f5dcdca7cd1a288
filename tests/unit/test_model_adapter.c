/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_adapter.c: low-rank parts beside a model's matrices: with B = 0 nothing changes, to
 * the bit; added into the matrices they give what they give beside them; one token after another
 * they give what they give in a row; threads and the cut into micro-batches do not show. Their
 * gradients are in test_model_gradients.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/decoder.h"
#include "tests/unit/model_support.h"

static const int64_t lengths[] = {50, 7, 1, 96, 33};

/* Some targets of all layers, and of a second source others over them. */
static void make_adapter(const struct model_config *c, struct adapter *a, double dropout)
{
    static const enum adapter_target targets[] = {TARGET_Q,  TARGET_V,    TARGET_OUT,
                                                  TARGET_UP, TARGET_DOWN, TARGET_QKV};
    struct errctx e = ERRCTX_INIT;
    *a = (struct adapter){.dropout = dropout};
    for (int layer = 0; layer < c->layers; layer++)
        for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
            const struct adapter_part part = {.source = targets[i] == TARGET_QKV,
                                              .layer = layer,
                                              .target = targets[i],
                                              .rank = 3 + (int64_t)i,
                                              .scale = 0.5};
            assert_int_equal(adapter_add(&e, a, c, &part), ERR_OK);
        }
}

static float *param_of(struct model *m, const struct adapter_part *part, char which,
                       const struct param **p)
{
    char name[64], full[96];
    adapter_param_name(part, which, name);
    snprintf(full, sizeof full, "layers.%d.%s", part->layer, name);
    *p = param_table_find(model_params(m), full);
    assert_non_null(*p);
    return support_numbers(m, model_weights(m)) + (*p)->offset;
}

static void zero_B(struct model *m, const struct adapter *a)
{
    const struct param *p;
    for (int64_t i = 0; i < a->count; i++) {
        float *B = param_of(m, &a->parts[i], 'B', &p);
        memset(B, 0, (size_t)p->elements * sizeof *B);
    }
    model_refresh(m);
}

/* W += scale B A, and B = 0. */
static void merge(struct model *m, const struct adapter *a, const struct model_config *c)
{
    static const char *const matrices[] = {"attention.qkv", "attention.out", "mlp.up", "mlp.down"};
    float *w = support_numbers(m, model_weights(m));
    for (int64_t i = 0; i < a->count; i++) {
        const struct adapter_part *part = &a->parts[i];
        struct adapter_place place;
        const struct param *pA, *pB;
        char name[64];
        assert_true(adapter_find(c, part->target, &place));
        const float *A = param_of(m, part, 'A', &pA), *B = param_of(m, part, 'B', &pB);
        snprintf(name, sizeof name, "layers.%d.%s.weight", part->layer, matrices[place.matrix]);
        float *W = w + param_table_find(model_params(m), name)->offset + place.from * place.in;
        for (int64_t o = 0; o < place.out; o++)
            for (int64_t j = 0; j < place.in; j++) {
                double sum = 0;
                for (int64_t r = 0; r < part->rank; r++)
                    sum += (double)B[o * part->rank + r] * A[r * place.in + j];
                W[o * place.in + j] += (float)(part->scale * sum);
            }
    }
    zero_B(m, a);
}

static struct model *make(struct support *s, const struct model_config *c, const struct adapter *a,
                          enum dtype dtype, bool training)
{
    const struct model_use use = {
        .dtype = dtype, .training = training, .tokens = 768, .adapter = a, .seed = 3};
    return support_model(s, c, &use);
}

static void nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(support_archs); i++)
        for (int t = 0; t < 2; t++) {
            const struct model_config c = support_config_wide(support_archs[i]);
            const enum dtype dtype = t ? DTYPE_BF16 : DTYPE_F32;
            struct support s;
            struct adapter a;
            struct batch b;
            support_open(&s, "cpu", 2);
            make_adapter(&c, &a, 0);
            support_batch(&b, &c, 768, ARRAY_LEN(lengths), lengths, 40);
            struct model *plain = make(&s, &c, NULL, dtype, true),
                         *adapted = make(&s, &c, &a, dtype, true);
            zero_B(adapted, &a);
            assert_true(support_loss(plain, &b, true) == support_loss(adapted, &b, true));
            assert_memory_equal(support_numbers(plain, model_gradients(plain)),
                                support_numbers(adapted, model_gradients(adapted)),
                                (size_t)model_params(plain)->elements * sizeof(float));
            model_free(plain);
            model_free(adapted);
            batch_fini(&b);
            adapter_fini(&a);
            support_close(&s);
        }
}

/* Largest difference of the logits of a row, and their size. */
static double difference(struct model *x, struct model *y, const struct batch *b, double *size)
{
    struct errctx e = ERRCTX_INIT;
    const int64_t V = model_config_of(x)->vocab, n = b->row_length[0];
    float *lx = malloc((size_t)(n * V) * sizeof *lx), *ly = malloc((size_t)(n * V) * sizeof *ly);
    int32_t places[96];
    double most = 0;
    *size = 0;
    for (int64_t i = 0; i < n; i++) places[i] = (int32_t)i;
    assert_int_equal(model_forward(&e, x, b, 0), ERR_OK);
    assert_int_equal(model_logits(&e, x, b, n, places, lx), ERR_OK);
    assert_int_equal(model_forward(&e, y, b, 0), ERR_OK);
    assert_int_equal(model_logits(&e, y, b, n, places, ly), ERR_OK);
    for (int64_t i = 0; i < n * V; i++) {
        most = fmax(most, fabs((double)lx[i] - ly[i]));
        *size = fmax(*size, fabs((double)lx[i]));
    }
    free(lx);
    free(ly);
    return most;
}

static void merged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(support_archs); i++) {
        const struct model_config c = support_config_wide(support_archs[i]);
        struct support s;
        struct adapter a;
        struct batch b;
        double size;
        support_open(&s, "cpu", 2);
        make_adapter(&c, &a, 0.5); /* which is off where nothing is trained */
        support_batch(&b, &c, 768, 1, lengths, 40);
        struct model *beside = make(&s, &c, &a, DTYPE_F32, false),
                     *inside = make(&s, &c, &a, DTYPE_F32, false),
                     *without = make(&s, &c, NULL, DTYPE_F32, false);
        merge(inside, &a, &c);
        assert_true(difference(beside, inside, &b, &size) < 2e-5 * size);
        assert_true(difference(beside, without, &b, &size) > 0.1 * size);
        model_free(beside);
        model_free(inside);
        model_free(without);
        batch_fini(&b);
        adapter_fini(&a);
        support_close(&s);
    }
}

static void decoded(const char *arch, enum dtype dtype, double tolerance)
{
    enum { N = 20, PROMPT = 5 };
    const struct model_config c = support_config_wide(arch);
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct adapter a;
    struct batch b;
    struct decoder *d;
    uint32_t ids[N];
    const int64_t length[1] = {N}, sequence[1] = {0};
    float *want = malloc((size_t)c.vocab * sizeof *want),
          *got = malloc((size_t)c.vocab * sizeof *got);
    support_open(&s, "cpu", 2);
    make_adapter(&c, &a, 0);
    support_batch(&b, &c, 768, 1, length, 40);
    for (int64_t i = 0; i < N; i++) ids[i] = (uint32_t)b.ids[i];
    struct model *m = make(&s, &c, &a, dtype, false);
    assert_int_equal(decoder_new(&e, m, 1, c.context, &d), ERR_OK);
    assert_int_equal(decoder_prompt(&e, d, 0, PROMPT, ids, got), ERR_OK);
    for (int32_t i = PROMPT - 1; i < N; i++) {
        double size = 0, most = 0;
        if (i >= PROMPT) assert_int_equal(decoder_step(&e, d, 1, sequence, ids + i, got), ERR_OK);
        assert_int_equal(model_forward(&e, m, &b, 0), ERR_OK);
        assert_int_equal(model_logits(&e, m, &b, 1, &i, want), ERR_OK);
        for (int64_t v = 0; v < c.vocab; v++) {
            size = fmax(size, fabs((double)want[v]));
            most = fmax(most, fabs((double)want[v] - got[v]));
        }
        if (most > tolerance * size) fail_msg("%s, token %d: %g of %g", arch, i, most, size);
    }
    decoder_free(d);
    model_free(m);
    batch_fini(&b);
    adapter_fini(&a);
    support_close(&s);
    free(want);
    free(got);
}

static void one_by_one(void **state)
{
    (void)state;
    decoded("gpt2", DTYPE_F32, 1e-5);
    decoded("llama", DTYPE_F32, 1e-5);
    decoded("llama", DTYPE_BF16, 3e-2);
}

/* Gradients with so many threads, whole or grain by grain. */
static float *gradients(int threads, bool split, enum dtype dtype, int64_t *n)
{
    const struct model_config c = support_config_wide("llama");
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct adapter a;
    struct batch whole, part;
    double sum = 0;
    support_open(&s, "cpu", threads);
    make_adapter(&c, &a, 0.25);
    struct model *m = make(&s, &c, &a, dtype, true);
    support_batch(&whole, &c, 64, ARRAY_LEN(lengths), lengths, 40);
    assert_int_equal(batch_init(&e, &part, 1, 1), ERR_OK);
    for (int64_t g = 0; g < (split ? whole.grains : 1); g++) {
        assert_int_equal(batch_slice(&e, &whole, g, split ? 1 : whole.grains, &part), ERR_OK);
        assert_int_equal(model_forward(&e, m, &part, 9), ERR_OK);
        assert_int_equal(model_loss(&e, m, &part, true, NULL, NULL, &sum), ERR_OK);
        assert_int_equal(model_backward(&e, m, &part), ERR_OK);
    }
    model_finish_gradients(m);
    *n = model_params(m)->trained;
    float *out = malloc((size_t)*n * sizeof *out);
    memcpy(out, support_numbers(m, model_gradients(m)), (size_t)*n * sizeof *out);
    batch_fini(&whole);
    batch_fini(&part);
    model_free(m);
    adapter_fini(&a);
    support_close(&s);
    return out;
}

static void any_cut(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++) {
        const enum dtype dtype = t ? DTYPE_BF16 : DTYPE_F32;
        int64_t n, m;
        float *x = gradients(1, false, dtype, &n), *y = gradients(3, true, dtype, &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, (size_t)n * sizeof *x);
        free(x);
        free(y);
    }
}

static void refused(void **state)
{
    const struct model_config gpt2 = support_config("gpt2"), llama = support_config("llama");
    const struct adapter_part good = {.layer = 1, .target = TARGET_Q, .rank = 2};
    struct errctx e = ERRCTX_INIT;
    struct adapter a = {0};
    struct adapter_part p = good;
    (void)state;
    p.target = TARGET_GATE;
    assert_int_equal(adapter_add(&e, &a, &gpt2, &p), ERR_USAGE);
    e = (struct errctx)ERRCTX_INIT;
    p = good;
    p.rank = 17;
    assert_int_equal(adapter_add(&e, &a, &llama, &p), ERR_USAGE);
    e = (struct errctx)ERRCTX_INIT;
    p = good;
    p.layer = 2;
    assert_int_equal(adapter_add(&e, &a, &llama, &p), ERR_USAGE);
    e = (struct errctx)ERRCTX_INIT;
    assert_int_equal(adapter_add(&e, &a, &llama, &good), ERR_OK);
    p = good;
    p.target = TARGET_QKV;
    assert_int_equal(adapter_add(&e, &a, &llama, &p), ERR_USAGE);
    assert_int_equal(a.count, 1);
    adapter_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing), cmocka_unit_test(merged),
                                       cmocka_unit_test(one_by_one), cmocka_unit_test(any_cut),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
