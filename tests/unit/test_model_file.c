/* SPDX-License-Identifier: Apache-2.0 */
/* test_model_file.c: a model survives its stream, and whatever is not understood in one is refused
 * by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/model/parts.h"
#include "kernels/values.h"
#include "tests/unit/model_support.h"

static const struct model_use use = {.dtype = DTYPE_F32};
static const struct model_use training = {.dtype = DTYPE_F32, .training = true};

struct fixture {
    struct support s;
    struct model *m;
    struct run run;
    char path[64];
};

static void open_fixture(struct fixture *f, const char *arch)
{
    struct errctx e = ERRCTX_INIT;
    const struct model_config c = support_config(arch);
    support_open(&f->s, "ref", 1);
    f->m = support_model(&f->s, &c, &use);
    assert_int_equal(run_init(&e, &f->run, "test", "1"), ERR_OK);
    snprintf(f->path, sizeof f->path, "/tmp/graft-model-XXXXXX");
    const int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
}

static void close_fixture(struct fixture *f)
{
    unlink(f->path);
    run_fini(&f->run);
    model_free(f->m);
    support_close(&f->s);
}

static void assert_same_config(const struct model_config *a, const struct model_config *b)
{
    struct errctx e = ERRCTX_INIT;
    struct mp_value x, y;
    mp_map_init(&x);
    mp_map_init(&y);
    assert_int_equal(model_config_to_meta(&e, a, &x), ERR_OK);
    assert_int_equal(model_config_to_meta(&e, b, &y), ERR_OK);
    assert_true(mp_equal(&x, &y));
    mp_fini(&x);
    mp_fini(&y);
}

static void round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct errctx e = ERRCTX_INIT;
        struct fixture f;
        struct model *back;
        open_fixture(&f, support_archs[i]);
        if (model_save(&e, f.m, &f.run, f.path, 0, 1, NULL) != ERR_OK) fail_msg("%s", e.message);
        if (model_load(&e, &f.s.k, NULL, f.path, &use, &back) != ERR_OK) fail_msg("%s", e.message);
        assert_same_config(model_config_of(back), model_config_of(f.m));
        assert_memory_equal(support_numbers(back, model_weights(back)),
                            support_numbers(f.m, model_weights(f.m)),
                            (size_t)model_params(back)->elements * sizeof(float));
        static const uint8_t zero[16];
        assert_memory_not_equal(model_id(back), zero, 16);
        assert_null(model_tokenizer(back));
        model_free(back);
        close_fixture(&f);
    }
}

/* The parameters as they are in memory stand for `numbers`, where the table of these has them. */
static void assert_stands_for(const struct model *m, const struct param_table *t,
                              const float *numbers, enum dtype matrices)
{
    float back[1024];
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &model_params(m)->items[i];
        const bool flat = p->dtype == DTYPE_F32;
        const uint8_t *at = m->k->map(m->k, flat ? m->weights : m->kept);
        assert_int_equal(p->dtype, p->dims == 2 ? matrices : DTYPE_F32);
        values_to_f32(p->dtype, at + (size_t)p->offset * (flat ? sizeof(float) : 1), p->elements,
                      back);
        assert_memory_equal(back, numbers + t->items[i].offset, (size_t)p->elements * sizeof *back);
    }
}

/* Tensors of 16 bits are widened for training; else matrices of BF16 stay so, and those of F16 are
 * what products want. */
static void half_precision(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_BF16, DTYPE_F16};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct errctx e = ERRCTX_INIT;
        struct fixture f;
        struct stream_begin b;
        struct stream_writer *w;
        struct model *back;
        struct mp_value config;
        const struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
        uint16_t half[1024];
        open_fixture(&f, "llama");
        const struct param_table *t = model_params(f.m);
        float *numbers = support_numbers(f.m, model_weights(f.m));
        stream_begin_init(&b, STREAM_MODEL);
        mp_map_init(&config);
        assert_int_equal(model_config_to_meta(&e, model_config_of(f.m), &config), ERR_OK);
        assert_int_equal(mp_set(&e, &b.meta, "config", &config), ERR_OK);
        for (int64_t p = 0; p < t->count; p++)
            assert_int_equal(stream_begin_tensor(&e, &b, t->items[p].name, types[i],
                                                 t->items[p].dims, t->items[p].shape),
                             ERR_OK);
        assert_int_equal(stream_writer_open(&e, &f.run, f.path, &b, &cfg, &w), ERR_OK);
        for (int64_t p = 0; p < t->count; p++) {
            float *x = numbers + t->items[p].offset;
            assert_true(t->items[p].elements <= 1024);
            for (int64_t j = 0; j < t->items[p].elements; j++) {
                half[j] = i ? f32_to_f16(x[j]) : f32_to_bf16(x[j]);
                x[j] = i ? f16_to_f32(half[j]) : bf16_to_f32(half[j]);
            }
            assert_int_equal(stream_writer_tensor(&e, w, p, half, t->items[p].elements), ERR_OK);
        }
        assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
        if (model_load(&e, &f.s.k, NULL, f.path, &training, &back) != ERR_OK)
            fail_msg("%s", e.message);
        assert_memory_equal(support_numbers(back, model_weights(back)), numbers,
                            (size_t)t->elements * sizeof(float));
        model_free(back);
        if (model_load(&e, &f.s.k, NULL, f.path, &use, &back) != ERR_OK) fail_msg("%s", e.message);
        assert_stands_for(back, t, numbers, i ? DTYPE_F32 : DTYPE_BF16);
        model_free(back);
        if (i == 0) {
            const struct model_use half_use = {.dtype = DTYPE_BF16};
            assert_int_equal(model_load(&e, &f.s.k, NULL, f.path, &half_use, &back), ERR_OK);
            assert_stands_for(back, t, numbers, DTYPE_BF16);
            assert_true(model_weights(back).bytes < (size_t)t->elements);
            model_free(back);
        }
        mp_fini(&config);
        stream_begin_fini(&b);
        close_fixture(&f);
    }
}

/* ---- tensors as a quantiser stored them ---- */

enum { WIDE = 32, BLOCKS_LIMIT = 1 << 13 };

static struct model_config config_of_blocks(void)
{
    struct errctx e = ERRCTX_INIT;
    struct model_config c;
    assert_int_equal(model_config_preset(&e, "llama", &c), ERR_OK);
    c.vocab = 37;
    c.layers = 1;
    c.width = WIDE;
    c.heads = 4;
    c.kv_heads = 2;
    c.context = 8;
    c.mlp = 2 * WIDE;
    assert_int_equal(model_config_finish(&e, &c), ERR_OK);
    return c;
}

/* Matrices are blocks, the rest F32. */
static enum dtype stored_as(const struct param *p)
{
    static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q5_1};
    return p->dims == 2 ? types[strlen(p->name) % 3] : DTYPE_F32;
}

/* Any bytes are blocks; their first two, the scale, and those after them, a minimum, are small. */
static void fill_blocks(enum dtype t, int64_t elements, uint8_t *data)
{
    const uint16_t small = 0x2000;
    const size_t unit = dtype_unit_bytes(t), n = dtype_offset(t, elements);
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)(i * 37 + 11);
    for (size_t i = 0; i < n; i += unit) {
        memcpy(data + i, &small, sizeof small);
        if (t == DTYPE_Q5_1) memcpy(data + i + 2, &small, sizeof small);
    }
}

static void write_blocks(struct fixture *f, float *want)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_begin b;
    struct stream_writer *w;
    struct mp_value config;
    static uint8_t data[BLOCKS_LIMIT * sizeof(float)];
    const struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    const struct param_table *t = model_params(f->m);
    stream_begin_init(&b, STREAM_MODEL);
    mp_map_init(&config);
    assert_int_equal(model_config_to_meta(&e, model_config_of(f->m), &config), ERR_OK);
    assert_int_equal(mp_set(&e, &b.meta, "config", &config), ERR_OK);
    for (int64_t p = 0; p < t->count; p++)
        assert_int_equal(stream_begin_tensor(&e, &b, t->items[p].name, stored_as(&t->items[p]),
                                             t->items[p].dims, t->items[p].shape),
                         ERR_OK);
    assert_int_equal(stream_writer_open(&e, &f->run, f->path, &b, &cfg, &w), ERR_OK);
    for (int64_t p = 0; p < t->count; p++) {
        const struct param *item = &t->items[p];
        const enum dtype type = stored_as(item);
        assert_true(item->elements <= BLOCKS_LIMIT);
        if (type == DTYPE_F32)
            memcpy(data, want + item->offset, (size_t)item->elements * sizeof *want);
        else
            fill_blocks(type, item->elements, data);
        values_to_f32(type, data, item->elements, want + item->offset);
        assert_int_equal(stream_writer_tensor(&e, w, p, data, item->elements), ERR_OK);
    }
    assert_int_equal(stream_writer_commit(&e, w), ERR_OK);
    mp_fini(&config);
    stream_begin_fini(&b);
}

static void blocks(void **state)
{
    (void)state;
    struct errctx e = ERRCTX_INIT;
    struct fixture f;
    struct model *back;
    const struct model_config c = config_of_blocks();
    open_fixture(&f, "llama");
    model_free(f.m);
    f.m = support_model(&f.s, &c, &use);
    float *want = support_numbers(f.m, model_weights(f.m));
    write_blocks(&f, want);
    if (model_load(&e, &f.s.k, NULL, f.path, &training, &back) != ERR_OK) fail_msg("%s", e.message);
    assert_memory_equal(support_numbers(back, model_weights(back)), want,
                        (size_t)model_params(back)->elements * sizeof(float));
    model_free(back);
    /* not trained: matrices are kept as they are stored */
    if (model_load(&e, &f.s.k, NULL, f.path, &use, &back) != ERR_OK) fail_msg("%s", e.message);
    for (int64_t p = 0; p < model_params(back)->count; p++)
        assert_int_equal(model_params(back)->items[p].dtype,
                         stored_as(&model_params(back)->items[p]));
    model_free(back);
    close_fixture(&f);
}

/* What is wrong with a stream. */
enum fault {
    FAULT_NONE,
    FAULT_MISSING,
    FAULT_EXTRA,
    FAULT_SHAPE,
    FAULT_DTYPE,
    FAULT_NAN,
    FAULT_INFINITY,
    FAULT_KEY,
    FAULT_NO_KEY,
    FAULT_CHOICE,
    FAULT_RANGE,
    FAULT_HEADS,
    FAULT_META,
    FAULT_NO_CONFIG,
    FAULT_TOKENIZER,
    FAULT_KIND,
};

static void set_config(struct errctx *e, const struct fixture *f, enum fault fault,
                       struct stream_begin *b)
{
    struct mp_value config;
    mp_map_init(&config);
    assert_int_equal(model_config_to_meta(e, model_config_of(f->m), &config), ERR_OK);
    if (fault == FAULT_KEY) assert_int_equal(mp_set_int(e, &config, "experts", 8), ERR_OK);
    if (fault == FAULT_CHOICE) assert_int_equal(mp_set_string(e, &config, "act", "swish"), ERR_OK);
    if (fault == FAULT_RANGE) assert_int_equal(mp_set_int(e, &config, "layers", 0), ERR_OK);
    if (fault == FAULT_HEADS) assert_int_equal(mp_set_int(e, &config, "kv_heads", 3), ERR_OK);
    if (fault == FAULT_NO_KEY) {
        config.as.list.count -= 2; /* the last key, init_std */
        mp_fini(&config.as.list.items[config.as.list.count]);
        mp_fini(&config.as.list.items[config.as.list.count + 1]);
    }
    if (fault != FAULT_NO_CONFIG) assert_int_equal(mp_set(e, &b->meta, "config", &config), ERR_OK);
    if (fault == FAULT_META) assert_int_equal(mp_set_int(e, &b->meta, "colour", 1), ERR_OK);
    mp_fini(&config);
}

static void declare(struct errctx *e, const struct param *p, enum fault fault,
                    struct stream_begin *b)
{
    int64_t shape[2] = {p->shape[0], p->shape[1]};
    const bool it = strcmp(p->name, "layers.1.mlp.up.weight") == 0;
    if (it && fault == FAULT_MISSING) return;
    if (it && fault == FAULT_SHAPE) shape[0]++;
    assert_int_equal(stream_begin_tensor(e, b, p->name,
                                         it && fault == FAULT_DTYPE ? DTYPE_I32 : DTYPE_F32,
                                         p->dims, shape),
                     ERR_OK);
}

static void write_faulty(struct fixture *f, enum fault fault)
{
    struct errctx e = ERRCTX_INIT;
    struct stream_begin b;
    struct stream_writer *w;
    const struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    const struct param_table *t = model_params(f->m);
    const int64_t one[1] = {1};
    stream_begin_init(&b, fault == FAULT_KIND ? STREAM_ADAPTER : STREAM_MODEL);
    set_config(&e, f, fault, &b);
    for (int64_t i = 0; i < t->count; i++) declare(&e, &t->items[i], fault, &b);
    if (fault == FAULT_EXTRA)
        assert_int_equal(stream_begin_tensor(&e, &b, "extra", DTYPE_F32, 1, one), ERR_OK);
    if (fault == FAULT_TOKENIZER)
        assert_int_equal(stream_begin_tensor(&e, &b, "tokenizer.vocab.flags", DTYPE_U8, 1, one),
                         ERR_OK);
    assert_int_equal(stream_writer_open(&e, &f->run, f->path, &b, &cfg, &w), ERR_OK);
    float *numbers = calloc(1 << 16, sizeof *numbers);
    for (int64_t i = 0; i < b.tensors_count; i++) {
        int64_t n = 1;
        for (int d = 0; d < b.tensors[i].dims; d++) n *= b.tensors[i].shape[d];
        assert_true(n <= 1 << 16);
        const bool it = strcmp(b.tensors[i].name, "layers.1.mlp.up.weight") == 0;
        numbers[11] = it && fault == FAULT_NAN        ? NAN
                      : it && fault == FAULT_INFINITY ? -INFINITY
                                                      : 0;
        assert_int_equal(stream_writer_tensor(&e, w, i, numbers, n), ERR_OK);
    }
    free(numbers);
    if (stream_writer_commit(&e, w) != ERR_OK) fail_msg("%s", e.message);
    stream_begin_fini(&b);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        enum fault fault;
        const char *says;
    } cases[] = {
        {FAULT_MISSING, "tensor 'layers.1.mlp.up.weight' is missing"},
        {FAULT_EXTRA, "tensor 'extra' is no parameter"},
        {FAULT_SHAPE,
         "tensor 'layers.1.mlp.up.weight' has another shape than the configuration's [40, 16]"},
        {FAULT_DTYPE, "tensor 'layers.1.mlp.up.weight' is of type I32"},
        {FAULT_NAN, "tensor 'layers.1.mlp.up.weight', element 11 is NaN"},
        {FAULT_INFINITY, "element 11 is infinite"},
        {FAULT_KEY, "key 'experts' is not known"},
        {FAULT_NO_KEY, "'init_std' is missing"},
        {FAULT_CHOICE, "'act' is 'swish'"},
        {FAULT_RANGE, "'layers'"},
        {FAULT_HEADS, "heads (4) is not a multiple of kv_heads (3)"},
        {FAULT_META, "key 'colour' is not known"},
        {FAULT_NO_CONFIG, "'config' is missing"},
        {FAULT_TOKENIZER, "'tokenizer' is missing"},
        {FAULT_KIND, "adapter"},
    };
    struct fixture f;
    open_fixture(&f, "llama");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errctx e = ERRCTX_INIT;
        struct model *m = f.m;
        write_faulty(&f, cases[i].fault);
        assert_int_equal(model_load(&e, &f.s.k, NULL, f.path, &use, &m), ERR_INPUT);
        assert_null(m);
        if (!strstr(e.message, cases[i].says) || !strstr(e.message, f.path))
            fail_msg("'%s' does not say \"%s\"", e.message, cases[i].says);
    }
    struct errctx e = ERRCTX_INIT;
    struct model *m;
    write_faulty(&f, FAULT_NONE);
    assert_int_equal(model_load(&e, &f.s.k, NULL, f.path, &use, &m), ERR_OK);
    model_free(m);
    close_fixture(&f);
}

/* What does not fit the model is refused where it comes in. */
static void bad_rows(void **state)
{
    (void)state;
    static const int64_t lengths[] = {3, 24};
    const struct model_config c = support_config("bert");
    const struct model_use forward = {.dtype = DTYPE_F32, .tokens = 96};
    for (int fault = 0; fault < 5; fault++) {
        static const char *const says[] = {"25 tokens, but the model's context is 24",
                                           "id 37 at place 2", "token type 2 at place 1",
                                           "target 37", "no tokens"};
        struct errctx e = ERRCTX_INIT;
        struct support s;
        struct batch b;
        double sum = 0;
        const uint32_t ids[25] = {0};
        support_open(&s, "ref", 1);
        struct model *m = support_model(&s, &c, &forward);
        support_batch(&b, &c, 64, ARRAY_LEN(lengths), lengths, 100);
        if (fault == 0)
            assert_int_equal(batch_append(&e, &b, 64, 25, ids, NULL, NULL, NULL, 102), ERR_OK);
        if (fault == 1) b.ids[b.row_start[1] + 2] = 37;
        if (fault == 2) b.type[b.row_start[1] + 1] = 2;
        if (fault == 3) b.target[b.row_start[1]] = 37;
        enum err r = batch_close(&e, &b);
        if (fault == 4) r = batch_append(&e, &b, 64, 0, ids, NULL, NULL, NULL, 102);
        if (r == ERR_OK) r = model_forward(&e, m, &b, 0);
        if (r == ERR_OK) r = model_loss(&e, m, &b, false, NULL, NULL, &sum);
        assert_int_equal(r, ERR_INPUT);
        if (!strstr(e.message, says[fault]))
            fail_msg("'%s' does not say \"%s\"", e.message, says[fault]);
        batch_fini(&b);
        model_free(m);
        support_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip),
                                       cmocka_unit_test(half_precision), cmocka_unit_test(blocks),
                                       cmocka_unit_test(refusals), cmocka_unit_test(bad_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
