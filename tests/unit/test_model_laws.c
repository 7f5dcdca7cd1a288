/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_laws.c: what must not show in the bits of loss and gradients: threads, the cut into
 * micro-batches, recompute, and of hidden states the other rows; and what must be close: bf16 to
 * f32. For each architecture, on the reference and on the CPU's kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/thin.h"
#include "tests/unit/model_support.h"

static const int64_t lengths[] = {50, 7, 1, 96, 33, 20, 64, 12, 2, 80, 31};

/* One way to compute: what may not matter, and what may. */
struct way {
    const char *device;
    int threads;
    bool split; /* one micro-batch per grain */
    bool recompute;
    enum dtype dtype;
    double dropout;
};

struct outcome {
    double loss;
    float *gradient;
    int64_t n;
};

static struct outcome compute(const char *arch, const struct way *w)
{
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct batch whole, part;
    const struct model_config c = support_config_wide(arch);
    const struct model_use use = {.dtype = w->dtype,
                                  .training = true,
                                  .recompute = w->recompute,
                                  .tokens = 768,
                                  .dropout = w->dropout,
                                  .seed = 3};
    support_open(&s, w->device, w->threads);
    struct model *m = support_model(&s, &c, &use);
    support_batch(&whole, &c, 100, ARRAY_LEN(lengths), lengths, 40);
    assert_int_equal(batch_init(&e, &part, 1, 1), ERR_OK);
    assert_true(whole.grains > 3);
    struct outcome out = {.n = model_params(m)->elements};
    for (int64_t g = 0; g < (w->split ? whole.grains : 1); g++) {
        assert_int_equal(batch_slice(&e, &whole, g, w->split ? 1 : whole.grains, &part), ERR_OK);
        assert_int_equal(model_forward(&e, m, &part, 9), ERR_OK);
        assert_int_equal(model_loss(&e, m, &part, true, NULL, NULL, &out.loss), ERR_OK);
        assert_int_equal(model_backward(&e, m, &part), ERR_OK);
    }
    model_finish_gradients(m);
    out.gradient = malloc((size_t)out.n * sizeof(float));
    memcpy(out.gradient, support_numbers(m, model_gradients(m)), (size_t)out.n * sizeof(float));
    batch_fini(&whole);
    batch_fini(&part);
    model_free(m);
    support_close(&s);
    return out;
}

static void assert_same(const char *arch, const struct way *a, const struct way *b)
{
    struct outcome x = compute(arch, a), y = compute(arch, b);
    assert_true(isfinite(x.loss) && x.loss > 0);
    assert_true(x.loss == y.loss);
    assert_memory_equal(x.gradient, y.gradient, (size_t)x.n * sizeof(float));
    free(x.gradient);
    free(y.gradient);
}

/* |x - y| / |x| of the gradients. */
static double distance(const char *arch, const struct way *a, const struct way *b, double *loss)
{
    struct outcome x = compute(arch, a), y = compute(arch, b);
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < x.n; i++) {
        difference +=
            ((double)x.gradient[i] - y.gradient[i]) * ((double)x.gradient[i] - y.gradient[i]);
        norm += (double)x.gradient[i] * x.gradient[i];
    }
    *loss = fabs(x.loss - y.loss) / x.loss;
    free(x.gradient);
    free(y.gradient);
    return sqrt(difference / norm);
}

static void any_cut(void **state)
{
    (void)state;
    if (thin_threads()) return; /* there is one */
    for (size_t i = 0; i < 3; i++) {
        struct way a = {.device = "ref", .threads = 1, .dtype = DTYPE_F32}, b = a;
        b.split = true;
        assert_same(support_archs[i], &a, &b);
        a.device = b.device = "cpu";
        assert_same(support_archs[i], &a, &b);
        a.dtype = b.dtype = DTYPE_BF16;
        assert_same(support_archs[i], &a, &b);
        a.dropout = b.dropout = 0.1;
        assert_same(support_archs[i], &a, &b);
    }
}

/* Hidden states of a batch behind `layer` blocks; the caller frees them. */
static uint8_t *states_of(struct model *m, const struct batch *b, int64_t layer, size_t *width)
{
    struct errctx e = ERRCTX_INIT;
    struct mat h;
    assert_int_equal(model_forward_to(&e, m, b, layer, &h), ERR_OK);
    *width = (size_t)model_config_of(m)->width * dtype_size(h.dtype);
    uint8_t *out = malloc((size_t)b->tokens * *width);
    memcpy(out, support_numbers(m, h.buf), (size_t)b->tokens * *width);
    return out;
}

/* A row's numbers are the same alone and among others, whatever their lengths. */
static void any_company(const char *device, enum dtype dtype, int arch)
{
    struct support s;
    struct batch all, one;
    const struct model_config c = support_config_wide(support_archs[arch]);
    const struct model_use use = {.dtype = dtype, .tokens = 768};
    size_t width;
    support_open(&s, device, 2);
    struct model *m = support_model(&s, &c, &use);
    support_batch(&all, &c, 768, ARRAY_LEN(lengths), lengths, 40);
    assert_int_equal(all.grains, 1);
    for (int64_t layer = 0; layer <= c.layers; layer++) {
        uint8_t *together = states_of(m, &all, layer, &width);
        for (size_t r = 0; r < ARRAY_LEN(lengths); r++) {
            support_batch(&one, &c, 768, 1, lengths + r, 40 + (int64_t)r);
            uint8_t *alone = states_of(m, &one, layer, &width);
            assert_memory_equal(alone, together + (size_t)all.row_start[r] * width,
                                (size_t)lengths[r] * width);
            batch_fini(&one);
            free(alone);
        }
        free(together);
    }
    batch_fini(&all);
    model_free(m);
    support_close(&s);
}

static void alone_and_in_company(void **state)
{
    (void)state;
    for (int arch = 0; arch < 3; arch++) {
        any_company("ref", DTYPE_F32, arch);
        any_company("cpu", DTYPE_F32, arch);
        any_company("cpu", DTYPE_BF16, arch);
    }
}

static void any_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int threads = 2; threads <= 4; threads += 2) {
            struct way a = {.device = "cpu", .threads = 1, .dtype = DTYPE_F32}, b = a;
            b.threads = threads;
            assert_same(support_archs[i], &a, &b);
            a.dtype = b.dtype = DTYPE_BF16;
            assert_same(support_archs[i], &a, &b);
        }
}

static void recomputed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct way a = {.device = "cpu", .threads = 2, .dtype = DTYPE_F32}, b = a;
        b.recompute = true;
        assert_same(support_archs[i], &a, &b);
        a.dropout = b.dropout = 0.1;
        assert_same(support_archs[i], &a, &b);
        a.dtype = b.dtype = DTYPE_BF16;
        assert_same(support_archs[i], &a, &b);
    }
}

/* ---- each place in the model drops in its own way ---- */

enum { PLACES = 64 };
static uint32_t lanes[PLACES];
static int lanes_count;
static void (*real_dropout)(struct kernels *k, const struct dropout_args *a);

static void note_lane(struct kernels *k, const struct dropout_args *a)
{
    assert_true(lanes_count < PLACES);
    lanes[lanes_count++] = a->lane;
    real_dropout(k, a);
}

static void dropout_places_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(support_archs); i++) {
        struct errctx e = ERRCTX_INIT;
        struct support s;
        struct batch b;
        const struct model_config c = support_config(support_archs[i]);
        const struct model_use use = {
            .dtype = DTYPE_F32, .training = true, .tokens = 64, .dropout = 0.1, .seed = 3};
        const int64_t rows[] = {7, 20};
        support_open(&s, "ref", 1);
        real_dropout = s.k.dropout;
        s.k.dropout = note_lane;
        struct model *m = support_model(&s, &c, &use);
        support_batch(&b, &c, 100, ARRAY_LEN(rows), rows, 0);
        lanes_count = 0;
        assert_int_equal(model_forward(&e, m, &b, 1), ERR_OK);
        assert_true(lanes_count >= 2 * c.layers); /* behind attention and MLP of each */
        for (int a = 0; a < lanes_count; a++)
            for (int z = 0; z < a; z++) assert_int_not_equal(lanes[a], lanes[z]);
        batch_fini(&b);
        model_free(m);
        support_close(&s);
    }
}

static void dropout_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct way a = {.device = "cpu", .threads = 2, .dtype = DTYPE_F32};
        struct way b = a;
        double loss;
        b.dropout = 0.1;
        assert_true(distance(support_archs[i], &a, &b, &loss) > 0.1);
    }
}

static void close_to_reference(void **state)
{
    (void)state;
    if (thin_threads()) return;
    for (size_t i = 0; i < 3; i++) {
        const struct way ref = {.device = "ref", .threads = 1, .dtype = DTYPE_F32};
        struct way a = ref;
        double loss;
        a.device = "cpu";
        assert_true(distance(support_archs[i], &ref, &a, &loss) < 1e-5);
        assert_true(loss < 1e-6);
        /* 8 bits: 2^-9 per rounding, some dozen of them on the way */
        a.dtype = DTYPE_BF16;
        const double far = distance(support_archs[i], &ref, &a, &loss);
        if (far > 0.08 || loss > 0.003)
            fail_msg("%s: bf16 is %g, %g off", support_archs[i], far, loss);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut),           cmocka_unit_test(alone_and_in_company),
        cmocka_unit_test(any_threads),       cmocka_unit_test(recomputed),
        cmocka_unit_test(dropout_shows),     cmocka_unit_test(dropout_places_differ),
        cmocka_unit_test(close_to_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
