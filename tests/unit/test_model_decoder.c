/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_decoder.c: the cache gives what the whole row gives, and a sequence's numbers do not
 * depend on its company. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/decoder.h"
#include "tests/unit/model_support.h"

enum { T = 40, PROMPT = 17, V = 301 };

static uint32_t id_at(int64_t row, int64_t t)
{
    return (uint32_t)((row * 131 + t * 71 + 5) % V);
}

static void ids_of(int64_t row, int64_t n, uint32_t *out)
{
    for (int64_t t = 0; t < n; t++) out[t] = id_at(row, t);
}

/* Logits of every place of a row, without a cache. */
static void whole_row(struct model *m, int64_t row, float *out)
{
    struct errctx e = ERRCTX_INIT;
    struct batch b;
    uint32_t ids[T];
    int32_t index[T];
    ids_of(row, T, ids);
    for (int32_t t = 0; t < T; t++) index[t] = t;
    assert_int_equal(batch_init(&e, &b, T, 1), ERR_OK);
    assert_int_equal(batch_append(&e, &b, 1024, T, ids, NULL, NULL, NULL, row), ERR_OK);
    assert_int_equal(batch_close(&e, &b), ERR_OK);
    assert_int_equal(model_forward(&e, m, &b, 0), ERR_OK);
    assert_int_equal(model_logits(&e, m, &b, T, index, out), ERR_OK);
    batch_fini(&b);
}

static double largest_difference(const float *a, const float *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

static void cached_is_uncached(const struct model_config *c, enum dtype dtype, double tolerance)
{
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct decoder *d;
    const struct model_use use = {.dtype = dtype, .tokens = 64};
    static float want[T * V], got[V];
    uint32_t ids[T];
    support_open(&s, "cpu", 2);
    struct model *m = support_model(&s, c, &use);
    whole_row(m, 1, want);
    ids_of(1, T, ids);
    assert_int_equal(decoder_new(&e, m, 3, T, &d), ERR_OK);
    for (int turn = 0; turn < 2; turn++) { /* what was there before does not show */
        assert_int_equal(decoder_prompt(&e, d, 2, PROMPT, ids, got), ERR_OK);
        assert_true(largest_difference(want + (PROMPT - 1) * V, got, V) <= tolerance);
        for (int64_t t = PROMPT; t < T; t++) {
            const int64_t sequence = 2;
            assert_int_equal(decoder_length(d, 2), t);
            assert_int_equal(decoder_step(&e, d, 1, &sequence, &ids[t], got), ERR_OK);
            assert_true(largest_difference(want + t * V, got, V) <= tolerance);
        }
        const int64_t full = 2;
        assert_int_equal(decoder_step(&e, d, 1, &full, ids, got), ERR_INPUT);
        err_clear(&e);
        decoder_reset(d, 2);
    }
    decoder_free(d);
    model_free(m);
    support_close(&s);
}

/* Logits reach 10: a few units in the last place of F32. */
static void cache(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct model_config c = support_config_wide("gpt2");
    cached_is_uncached(&c, DTYPE_F32, 5e-5);
    c = support_config_wide("llama");
    cached_is_uncached(&c, DTYPE_F32, 5e-5);
    /* logits of about 3, each from activations rounded to 8 bits in another order */
    cached_is_uncached(&c, DTYPE_BF16, 0.1);
    c.window = 7;
    cached_is_uncached(&c, DTYPE_F32, 5e-5);
    c.window_every = 2;
    c.qk_norm = c.norm_branch = c.norm_plus_one = true;
    c.attention_softcap = 3;
    c.logit_softcap = 4;
    c.embed_scale = 2;
    assert_int_equal(model_config_finish(&e, &c), ERR_OK);
    cached_is_uncached(&c, DTYPE_F32, 5e-5);
    c = support_config_wide("llama");
    c.parallel = true;
    c.rope_scaling = ROPE_YARN;
    c.rope_factor = 2;
    c.rope_original = 8;
    c.rope_low = 1;
    c.rope_high = 32;
    assert_int_equal(model_config_finish(&e, &c), ERR_OK);
    cached_is_uncached(&c, DTYPE_F32, 5e-5);
}

/* A prompt in two calls is the prompt in one, to rounding. */
static void prompt_in_parts(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct decoder *d;
    const struct model_config c = support_config_wide("llama");
    const struct model_use use = {.dtype = DTYPE_F32};
    static float one[V], two[V];
    uint32_t ids[T];
    support_open(&s, "cpu", 2);
    struct model *m = support_model(&s, &c, &use);
    ids_of(0, T, ids);
    assert_int_equal(decoder_new(&e, m, 2, T, &d), ERR_OK);
    assert_int_equal(decoder_prompt(&e, d, 0, T, ids, one), ERR_OK);
    assert_int_equal(decoder_prompt(&e, d, 1, 13, ids, two), ERR_OK);
    assert_int_equal(decoder_prompt(&e, d, 1, T - 13, ids + 13, two), ERR_OK);
    assert_true(largest_difference(one, two, V) < 5e-5);
    decoder_free(d);
    model_free(m);
    support_close(&s);
}

/* Sequences 0 .. B - 1 with prompts of different lengths, stepped together, against each alone. */
static void company(const char *arch, enum dtype dtype)
{
    enum { B = 5, STEPS = 6 };
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct decoder *together, *alone;
    const struct model_config c = support_config_wide(arch);
    const struct model_use use = {.dtype = dtype};
    static float logits[B * V], own[V], prompts[B][V];
    support_open(&s, "cpu", 2);
    struct model *m = support_model(&s, &c, &use);
    assert_int_equal(decoder_new(&e, m, B, T, &together), ERR_OK);
    assert_int_equal(decoder_new(&e, m, 1, T, &alone), ERR_OK);
    int64_t sequences[B], length[B];
    uint32_t ids[T], next[B];
    for (int64_t b = 0; b < B; b++) {
        length[b] = 3 + 7 * b;
        sequences[b] = b;
        ids_of(b, length[b], ids);
        assert_int_equal(decoder_prompt(&e, together, b, length[b], ids, prompts[b]), ERR_OK);
    }
    static float steps[STEPS][B * V];
    for (int64_t i = 0; i < STEPS; i++) {
        for (int64_t b = 0; b < B; b++) next[b] = id_at(b, length[b] + i);
        assert_int_equal(decoder_step(&e, together, B, sequences, next, logits), ERR_OK);
        memcpy(steps[i], logits, sizeof logits);
    }
    for (int64_t b = 0; b < B; b++) {
        const int64_t zero = 0;
        decoder_reset(alone, 0);
        ids_of(b, length[b], ids);
        assert_int_equal(decoder_prompt(&e, alone, 0, length[b], ids, own), ERR_OK);
        assert_memory_equal(own, prompts[b], sizeof own);
        for (int64_t i = 0; i < STEPS; i++) {
            const uint32_t id = id_at(b, length[b] + i);
            assert_int_equal(decoder_step(&e, alone, 1, &zero, &id, own), ERR_OK);
            assert_memory_equal(own, steps[i] + b * V, sizeof own);
        }
    }
    decoder_free(together);
    decoder_free(alone);
    model_free(m);
    support_close(&s);
}

static void company_does_not_show(void **state)
{
    (void)state;
    company("gpt2", DTYPE_F32);
    company("llama", DTYPE_F32);
    company("llama", DTYPE_BF16);
}

static void copies_go_on_alike(const char *arch, enum dtype dtype)
{
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct decoder *d;
    const struct model_config c = support_config_wide(arch);
    const struct model_use use = {.dtype = dtype};
    static float logits[V], want[V];
    uint32_t ids[T];
    const int64_t first = 0, last = 2;
    support_open(&s, "cpu", 2);
    struct model *m = support_model(&s, &c, &use);
    assert_int_equal(decoder_new(&e, m, 3, T, &d), ERR_OK);
    ids_of(0, PROMPT + 1, ids);
    assert_int_equal(decoder_prompt(&e, d, first, PROMPT, ids, logits), ERR_OK);
    assert_int_equal(decoder_step(&e, d, 1, &first, &ids[PROMPT], want), ERR_OK);
    decoder_reset(d, first);
    decoder_copy(d, first, last, PROMPT);
    assert_int_equal(decoder_length(d, last), PROMPT);
    assert_int_equal(decoder_step(&e, d, 1, &last, &ids[PROMPT], logits), ERR_OK);
    assert_memory_equal(logits, want, sizeof want);
    decoder_copy(d, first, first, PROMPT);
    assert_int_equal(decoder_step(&e, d, 1, &first, &ids[PROMPT], logits), ERR_OK);
    assert_memory_equal(logits, want, sizeof want);
    decoder_free(d);
    model_free(m);
    support_close(&s);
}

static void prompts_are_shared(void **state)
{
    (void)state;
    copies_go_on_alike("gpt2", DTYPE_F32);
    copies_go_on_alike("llama", DTYPE_F32);
    copies_go_on_alike("llama", DTYPE_BF16);
}

static void refusals(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct support s;
    struct decoder *d;
    struct model_config c = support_config_wide("bert");
    const struct model_use use = {.dtype = DTYPE_F32};
    static float logits[V];
    uint32_t ids[T] = {V};
    support_open(&s, "ref", 1);
    struct model *m = support_model(&s, &c, &use);
    assert_int_equal(decoder_new(&e, m, 1, T, &d), ERR_INPUT);
    assert_non_null(strstr(e.message, "not causal"));
    err_clear(&e);
    model_free(m);
    c = support_config_wide("gpt2");
    m = support_model(&s, &c, &use);
    assert_int_equal(decoder_new(&e, m, 1, 97, &d), ERR_USAGE);
    err_clear(&e);
    assert_int_equal(decoder_new(&e, m, 1, T, &d), ERR_OK);
    assert_int_equal(decoder_prompt(&e, d, 0, 1, ids, logits), ERR_INPUT);
    assert_non_null(strstr(e.message, "id 301"));
    err_clear(&e);
    decoder_free(d);
    model_free(m);
    support_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cache), cmocka_unit_test(prompt_in_parts),
                                       cmocka_unit_test(company_does_not_show),
                                       cmocka_unit_test(prompts_are_shared),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
