/* SPDX-License-Identifier: Apache-2.0 */
/* test_trainer_parity.c: eight steps of the training loop against what torch makes of the same
 * weights and rows (tests/parity/trainer_cases.json): which rows are a batch, which tokens are
 * scored, the loss, the norm before clipping, decay groups, AdamW, the rates. */
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

#include "common/train/trainer.h"
#include "tests/unit/parity_support.h"

/* ---- rows, one record each ---- */

enum { MOST = 64, COLUMNS = 6 };

struct rows {
    struct stream_begin begin;
    int64_t next, count, vocab;
    uint16_t ids[MOST];
    uint64_t doc;
    uint32_t numbers[4]; /* part, skip, bytes, chars */
    int64_t start[2];
    const uint8_t *data[COLUMNS];
    const int64_t *starts[COLUMNS];
};

static void open_rows(struct rows *r, int64_t count, int64_t vocab)
{
    static const char *const names[] = {"ids", "doc", "part", "skip", "bytes", "chars"};
    static const enum dtype types[] = {DTYPE_U16, DTYPE_U64, DTYPE_U32,
                                       DTYPE_U32, DTYPE_U32, DTYPE_U32};
    struct errctx e = ERRCTX_INIT;
    struct mp_value special = {0};
    const int64_t ragged = -1;
    const uint8_t tokenizer[16] = {0};
    *r = (struct rows){.count = count, .vocab = vocab};
    stream_begin_init(&r->begin, STREAM_TOKENS);
    mp_map_init(&special);
    for (int c = 0; c < COLUMNS; c++)
        assert_int_equal(
            stream_begin_column(&e, &r->begin, names[c], types[c], c == 0, c == 0 ? &ragged : NULL),
            ERR_OK);
    assert_int_equal(mp_set_binary(&e, &r->begin.meta, "tokenizer", tokenizer, 16), ERR_OK);
    assert_int_equal(mp_set_int(&e, &r->begin.meta, "vocab", vocab), ERR_OK);
    assert_int_equal(mp_set_string(&e, &r->begin.meta, "family", "causal"), ERR_OK);
    assert_int_equal(mp_set(&e, &r->begin.meta, "special", &special), ERR_OK);
    assert_int_equal(mp_set_int(&e, &r->begin.meta, "length", 0), ERR_OK);
    mp_fini(&special);
}

static enum err next_row(struct errctx *e, void *ctx, enum stream_event *event,
                         struct stream_rows *rows)
{
    struct rows *r = ctx;
    (void)e;
    *event = r->next == r->count ? STREAM_EVENT_END : STREAM_EVENT_ROWS;
    if (r->next == r->count) return ERR_OK;
    int64_t n = (int64_t)(parity_random(0, 500 + (uint64_t)r->next) % 40) + 1;
    for (int64_t t = 0; t < n; t++) r->ids[t] = (uint16_t)parity_id(r->next, t, r->vocab);
    r->start[1] = n;
    r->numbers[1] = (uint32_t)(r->next % 4 < n ? r->next % 4 : n);
    r->data[0] = (const uint8_t *)r->ids;
    r->data[1] = (const uint8_t *)&r->doc;
    for (int c = 2; c < COLUMNS; c++) r->data[c] = (const uint8_t *)&r->numbers[c - 2];
    r->starts[0] = r->start;
    *rows = (struct stream_rows){
        .n = 1, .first = r->next, .columns_count = COLUMNS, .data = r->data, .start = r->starts};
    r->next++;
    return ERR_OK;
}

static enum err drain(struct errctx *e, void *ctx, bool stop)
{
    (void)e, (void)ctx, (void)stop;
    return ERR_OK;
}

/* ---- a case ---- */

static void train(struct support *s, const json_t *root, const json_t *test, const char *log)
{
    struct errctx e = ERRCTX_INIT;
    struct run run;
    struct rows rows;
    struct model_use use = {.dtype = DTYPE_F32};
    struct trainer_result result;
    const struct model_config c = parity_config(test);
    const struct objective_cfg objective = OBJECTIVE_CFG;
    struct trainer_cfg cfg = TRAINER_CFG;
    struct adamw_cfg adamw = ADAMW_CFG;
    cfg.batch_tokens = (int64_t)parity_real(root, "batch");
    cfg.micro_tokens = 80;
    cfg.grain = 64;
    cfg.steps = (int64_t)json_array_size(json_object_get(test, "steps"));
    cfg.log = log;
    adamw.lr = parity_real(root, "lr");
    adamw.lr_min = parity_real(root, "lr_min");
    adamw.warmup = (int64_t)parity_real(root, "warmup");
    adamw.beta1 = parity_real(root, "beta1");
    adamw.beta2 = parity_real(root, "beta2");
    adamw.eps = parity_real(root, "eps");
    adamw.weight_decay = parity_real(root, "decay");
    adamw.clip = parity_real(root, "clip");
    const char *schedule = json_string_value(json_object_get(test, "schedule"));
    adamw.schedule = strcmp(schedule, "linear") == 0 ? SCHEDULE_LINEAR : SCHEDULE_COSINE;
    open_rows(&rows, (int64_t)parity_real(root, "rows"), c.vocab);
    const struct row_source source = {
        .name = "rows", .begin = &rows.begin, .next = next_row, .drain = drain, .ctx = &rows};
    use.fit_ctx = &cfg;
    trainer_fit(&use, &c);
    struct model *m = support_model(s, &c, &use);
    parity_weights(m);
    assert_int_equal(run_init(&e, &run, "test", "0"), ERR_OK);
    assert_int_equal(trainer_settle(&e, &cfg, &adamw, &rows.begin, &run), ERR_OK);
    struct language_goal language = {.cfg = objective};
    const struct goal goal = goal_language(&language);
    const struct trainer_job job = {.run = &run,
                                    .model = m,
                                    .model_name = "model",
                                    .input = &source,
                                    .goal = &goal,
                                    .adamw = &adamw,
                                    .cfg = &cfg};
    if (trainer_run(&e, &job, &result) != ERR_OK) fail_msg("%s", e.message);
    model_free(m);
    run_fini(&run);
    stream_begin_fini(&rows.begin);
}

static void check(const char *what, size_t step, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fabs(want)))
        fail_msg("step %zu: %s is %.9g, not %.9g", step + 1, what, got, want);
}

static void check_case(struct support *s, const json_t *root, const json_t *test)
{
    char path[] = "/tmp/graft-trainer-XXXXXX";
    json_t *steps = json_object_get(test, "steps"), *want;
    size_t i;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    train(s, root, test, path);
    FILE *f = fdopen(fd, "r");
    json_array_foreach(steps, i, want)
    {
        json_t *line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(line);
        assert_int_equal(json_integer_value(json_object_get(line, "rows")),
                         json_integer_value(json_array_get(want, 3)));
        /* float against double, over weights that drift apart a little with each step */
        check("the loss", i, parity_real(line, "loss"), parity_number(want, 0), 1e-4);
        check("the norm", i, parity_real(line, "norm"), parity_number(want, 1), 1e-3);
        check("the rate", i, parity_real(line, "rate"), parity_number(want, 2), 1e-8);
        json_decref(line);
    }
    fclose(f);
    unlink(path);
}

static void as_torch(void **state)
{
    (void)state;
    parity_each("tests/parity/trainer_cases.json", 4, check_case);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_torch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
