/* SPDX-License-Identifier: Apache-2.0 */
/* test_trainer_parity.c: eight steps of the training loop against what torch makes of the same
 * weights and rows (tests/parity/trainer_cases.json): which rows are a batch, which tokens are
 * scored, the loss, the norm before clipping, decay groups, AdamW, the rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/train/trainer.h"
#include "tests/unit/model_support.h"

/* Weights and ids of make_model_cases.py. */
static uint64_t mix(uint64_t n)
{
    uint64_t z = (n + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void put_weights(struct model *m)
{
    const struct param_table *t = model_params(m);
    float *w = support_numbers(m, model_weights(m));
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &t->items[i];
        bool table = strncmp(p->name, "embed.", 6) == 0 || strcmp(p->name, "head.weight") == 0;
        for (int64_t j = 0; j < p->elements; j++) {
            double u = (double)(mix(((uint64_t)i << 32) + (uint64_t)j) >> 40) / 8388608 - 1;
            w[p->offset + j] = (float)(p->role == PARAM_BIAS   ? 0.2 * u
                                       : p->role == PARAM_NORM ? 1 + 0.3 * u
                                       : table                 ? 0.9 * u
                                                               : 0.3 * u);
        }
    }
    model_refresh(m);
}

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
    int64_t n = (int64_t)(mix(500 + (uint64_t)r->next) % 40) + 1;
    for (int64_t t = 0; t < n; t++)
        r->ids[t] =
            (uint16_t)(mix(((uint64_t)(1000 + r->next) << 32) + (uint64_t)t) % (uint64_t)r->vocab);
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

static double real(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static struct model_config config_of(const json_t *object)
{
    struct errctx e = ERRCTX_INIT;
    struct model_config c;
    char path[] = "/tmp/graft-trainer-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    assert_int_equal(json_dumpf(object, f, 0), 0);
    assert_int_equal(fclose(f), 0);
    if (model_config_from_json(&e, NULL, path, &c) != ERR_OK ||
        model_config_finish(&e, &c) != ERR_OK)
        fail_msg("%s", e.message);
    unlink(path);
    return c;
}

static void train(struct support *s, const json_t *root, const json_t *test, const char *log)
{
    struct errctx e = ERRCTX_INIT;
    struct run run;
    struct rows rows;
    struct model_use use;
    struct trainer_result result;
    const struct model_config c = config_of(json_object_get(test, "config"));
    const struct objective_cfg objective = OBJECTIVE_CFG;
    struct trainer_cfg cfg = TRAINER_CFG;
    struct adamw_cfg adamw = ADAMW_CFG;
    cfg.batch_tokens = (int64_t)real(root, "batch");
    cfg.micro_tokens = 80;
    cfg.grain = 64;
    cfg.steps = (int64_t)json_array_size(json_object_get(test, "steps"));
    cfg.log = log;
    adamw.lr = real(root, "lr");
    adamw.lr_min = real(root, "lr_min");
    adamw.warmup = (int64_t)real(root, "warmup");
    adamw.beta1 = real(root, "beta1");
    adamw.beta2 = real(root, "beta2");
    adamw.eps = real(root, "eps");
    adamw.weight_decay = real(root, "decay");
    adamw.clip = real(root, "clip");
    const char *schedule = json_string_value(json_object_get(test, "schedule"));
    adamw.schedule = strcmp(schedule, "linear") == 0 ? SCHEDULE_LINEAR : SCHEDULE_COSINE;
    open_rows(&rows, (int64_t)real(root, "rows"), c.vocab);
    const struct row_source source = {
        .name = "rows", .begin = &rows.begin, .next = next_row, .drain = drain, .ctx = &rows};
    trainer_use(&cfg, c.context, 0, DTYPE_F32, &use);
    struct model *m = support_model(s, &c, &use);
    put_weights(m);
    assert_int_equal(run_init(&e, &run, "test", "0"), ERR_OK);
    assert_int_equal(trainer_settle(&e, &cfg, &adamw, &rows.begin, &run), ERR_OK);
    const struct trainer_job job = {.run = &run,
                                    .model = m,
                                    .model_name = "model",
                                    .input = &source,
                                    .objective = &objective,
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
        check("the loss", i, real(line, "loss"), json_number_value(json_array_get(want, 0)), 1e-4);
        check("the norm", i, real(line, "norm"), json_number_value(json_array_get(want, 1)), 1e-3);
        check("the rate", i, real(line, "rate"), json_number_value(json_array_get(want, 2)), 1e-8);
        json_decref(line);
    }
    fclose(f);
    unlink(path);
}

static void as_torch(void **state)
{
    (void)state;
    json_error_t error;
    size_t i;
    json_t *test, *root = json_load_file("tests/parity/trainer_cases.json", 0, &error);
    struct support s;
    if (!root) fail_msg("%s", error.text);
    support_open(&s, "cpu", 2);
    assert_int_equal(json_array_size(json_object_get(root, "cases")), 4);
    json_array_foreach(json_object_get(root, "cases"), i, test) check_case(&s, root, test);
    support_close(&s);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_torch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
