/* SPDX-License-Identifier: Apache-2.0 */
/* test_objective.c: what rows ask a model to predict: causal targets, and the statistics and
 * independences of masking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/objective.h"

enum { VOCAB = 64, MASK = 3, LONG = 400 };

/* ids 0..4 are special; even ids begin a word ("aN"), odd ones go on with it ("##N"). */
static void make_spec(struct tokenizer_spec *s)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value special = {0}, model = {0};
    tokenizer_spec_init(s);
    mp_fini(&s->ops);
    mp_map_init(&s->ops);
    mp_map_init(&special);
    mp_map_init(&model);
    assert_int_equal(mp_set_int(&e, &special, "mask", MASK), ERR_OK);
    assert_int_equal(mp_set(&e, &s->ops, "special", &special), ERR_OK);
    assert_int_equal(mp_set_string(&e, &model, "op", "wordpiece"), ERR_OK);
    assert_int_equal(mp_set(&e, &s->ops, "model", &model), ERR_OK);
    mp_fini(&special);
    mp_fini(&model);
    s->vocab = VOCAB;
    assert_int_equal(mem_new(&e, &s->bytes, VOCAB * 8, 1, "test"), ERR_OK);
    assert_int_equal(mem_new(&e, &s->start, VOCAB + 1, sizeof *s->start, "test"), ERR_OK);
    assert_int_equal(mem_new(&e, &s->flags, VOCAB, 1, "test"), ERR_OK);
    for (int i = 0; i < VOCAB; i++) {
        int n = snprintf((char *)s->bytes + s->start[i], 8, i % 2 ? "##%d" : "a%d", i);
        s->start[i + 1] = s->start[i] + (uint64_t)n;
        s->flags[i] = i < 5 ? TOKEN_SPECIAL : 0;
    }
}

/* Runs one row through an objective; the batch is left for the caller to look at. */
struct fixture {
    struct errctx e;
    struct tokenizer_spec spec;
    struct objective *objective;
    struct batch batch;
    struct tokens_layout layout;
    struct tokens_row row;
    uint16_t ids[LONG];
    double scored;
};

static void open_fixture(struct fixture *f, const struct objective_cfg *cfg, bool causal)
{
    *f = (struct fixture){.e = ERRCTX_INIT, .layout = {.vocab = VOCAB, .ids_dtype = DTYPE_U16}};
    make_spec(&f->spec);
    assert_int_equal(objective_new(&f->e, cfg, causal, &f->spec, 7, &f->objective), ERR_OK);
    assert_int_equal(batch_init(&f->e, &f->batch, 64, 4), ERR_OK);
    f->row = (struct tokens_row){
        .n = LONG, .ids = f->ids, .ids_dtype = DTYPE_U16, .weight = 1, .skip = 0};
    for (int i = 0; i < LONG; i++) f->ids[i] = (uint16_t)(5 + i % (VOCAB - 5));
}

static void append(struct fixture *f, int64_t ordinal)
{
    assert_int_equal(objective_append(&f->e, f->objective, &f->layout, &f->row, ordinal, 1024,
                                      &f->batch, &f->scored),
                     ERR_OK);
}

static void close_fixture(struct fixture *f)
{
    objective_free(f->objective);
    batch_fini(&f->batch);
    tokenizer_spec_fini(&f->spec);
}

static void causal_shifts_by_one(void **state)
{
    (void)state;
    const struct objective_cfg cfg = OBJECTIVE_CFG;
    struct fixture f;
    open_fixture(&f, &cfg, true);
    f.row.n = 6;
    f.row.skip = 1;
    append(&f, 0);
    for (int t = 0; t < 5; t++) assert_int_equal(f.batch.target[t], f.ids[t + 1]);
    assert_int_equal(f.batch.target[5], -1);
    assert_float_equal(f.scored, 5, 0);
    close_fixture(&f);
}

static void causal_leaves_out_context_and_loss_0(void **state)
{
    (void)state;
    const struct objective_cfg cfg = OBJECTIVE_CFG;
    const uint8_t loss[] = {1, 1, 1, 1, 0, 1};
    struct fixture f;
    open_fixture(&f, &cfg, true);
    f.row.n = 6;
    f.row.skip = 3; /* tokens 0, 1, 2 are context: 3 and 5 remain to be predicted */
    f.row.loss = loss;
    f.row.weight = 2;
    append(&f, 0);
    const int32_t wanted[] = {-1, -1, f.ids[3], -1, f.ids[5], -1};
    for (int t = 0; t < 6; t++) assert_int_equal(f.batch.target[t], wanted[t]);
    assert_float_equal(f.scored, 4, 0);
    f.row.n = 1;
    f.row.skip = 0;
    append(&f, 1);
    assert_float_equal(f.scored, 0, 0);
    close_fixture(&f);
}

static void masked_has_the_right_shares(void **state)
{
    (void)state;
    const struct objective_cfg cfg = OBJECTIVE_CFG;
    struct fixture f;
    int64_t chosen = 0, masked = 0, kept = 0, n = 0;
    open_fixture(&f, &cfg, false);
    f.ids[10] = 1; /* a special token is never chosen */
    for (int row = 0; row < 500; row++) {
        batch_clear(&f.batch);
        append(&f, row);
        assert_int_equal(f.batch.target[10], -1);
        for (int t = 0; t < LONG; t++) {
            n++;
            if (f.batch.target[t] < 0) {
                assert_int_equal(f.batch.ids[t], f.ids[t]);
                continue;
            }
            assert_int_equal(f.batch.target[t], f.ids[t]);
            chosen++;
            masked += f.batch.ids[t] == MASK;
            kept += f.batch.ids[t] == f.ids[t];
        }
    }
    /* 200,000 draws: five standard deviations are less than 0.005; a random token is the mask or
     * the same one with chance 1 / VOCAB each */
    assert_float_equal((double)chosen / (double)n, 0.15, 0.005);
    assert_float_equal((double)masked / (double)chosen, 0.8 + 0.1 / VOCAB, 0.012);
    assert_float_equal((double)kept / (double)chosen, 0.1 + 0.1 / VOCAB, 0.012);
    close_fixture(&f);
}

static void masking_depends_on_the_ordinal_only(void **state)
{
    (void)state;
    const struct objective_cfg cfg = OBJECTIVE_CFG;
    struct fixture f;
    open_fixture(&f, &cfg, false);
    append(&f, 5);
    append(&f, 6);
    append(&f, 5);
    const int32_t *a = f.batch.ids + f.batch.row_start[0];
    const int32_t *b = f.batch.ids + f.batch.row_start[1];
    const int32_t *c = f.batch.ids + f.batch.row_start[2];
    assert_memory_equal(a, c, LONG * sizeof *a);
    assert_true(memcmp(a, b, LONG * sizeof *a) != 0);
    close_fixture(&f);
}

static void exact_takes_the_very_number(void **state)
{
    (void)state;
    const struct objective_cfg cfg = {.mask_fraction = 0.15, .mask_exact = true};
    struct fixture f;
    open_fixture(&f, &cfg, false);
    for (int64_t n = 1; n <= LONG; n += 7) {
        batch_clear(&f.batch);
        f.row.n = n;
        append(&f, n);
        double wanted = rint(0.15 * (double)n); /* half to even, as Python's round */
        assert_float_equal(f.scored, wanted < 1 ? 1 : wanted, 0);
    }
    close_fixture(&f);
}

static void whole_words_stay_together(void **state)
{
    (void)state;
    struct objective_cfg cfg = {.mask_fraction = 0.15, .mask_whole_words = true};
    for (int exact = 0; exact < 2; exact++) {
        struct fixture f;
        cfg.mask_exact = exact;
        open_fixture(&f, &cfg, false);
        for (int i = 0; i < LONG; i++) f.ids[i] = (uint16_t)(i % 3 == 0 ? 10 : 11); /* a ## ## */
        double all = 0;
        for (int row = 0; row < 200; row++) {
            batch_clear(&f.batch);
            append(&f, row);
            all += f.scored;
            for (int t = 0; t + 2 < LONG; t += 3) {
                bool first = f.batch.target[t] >= 0;
                assert_int_equal(first, f.batch.target[t + 1] >= 0);
                assert_int_equal(first, f.batch.target[t + 2] >= 0);
            }
            if (exact) assert_in_range((int)f.scored, 57, 60);
        }
        assert_float_equal(all / (200 * LONG), 0.15, 0.01);
        close_fixture(&f);
    }
}

static void a_weight_is_a_number(void **state)
{
    (void)state;
    const struct objective_cfg cfg = OBJECTIVE_CFG;
    const float bad[] = {NAN, INFINITY, -1};
    struct fixture f;
    open_fixture(&f, &cfg, true);
    for (int i = 0; i < 3; i++) {
        f.row.weight = bad[i];
        assert_int_equal(
            objective_append(&f.e, f.objective, &f.layout, &f.row, 12, 1024, &f.batch, &f.scored),
            ERR_INPUT);
        assert_non_null(strstr(f.e.message, "row 12"));
        err_clear(&f.e);
    }
    close_fixture(&f);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct objective *o;
    struct tokenizer_spec spec;
    struct objective_cfg cfg = OBJECTIVE_CFG;
    make_spec(&spec);
    cfg.kind = OBJECTIVE_MASKED;
    assert_int_equal(objective_new(&e, &cfg, true, &spec, 0, &o), ERR_USAGE);
    err_clear(&e);
    assert_int_equal(objective_new(&e, &cfg, false, NULL, 0, &o), ERR_USAGE);
    err_clear(&e);
    cfg.kind = OBJECTIVE_CAUSAL;
    assert_int_equal(objective_new(&e, &cfg, false, &spec, 0, &o), ERR_USAGE);
    err_clear(&e);
    cfg.given = "mask-fraction"; /* if only its default */
    assert_int_equal(objective_new(&e, &cfg, true, &spec, 0, &o), ERR_USAGE);
    tokenizer_spec_fini(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(causal_shifts_by_one),
        cmocka_unit_test(causal_leaves_out_context_and_loss_0),
        cmocka_unit_test(masked_has_the_right_shares),
        cmocka_unit_test(masking_depends_on_the_ordinal_only),
        cmocka_unit_test(exact_takes_the_very_number),
        cmocka_unit_test(whole_words_stay_together),
        cmocka_unit_test(a_weight_is_a_number),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
