/* SPDX-License-Identifier: Apache-2.0 */
/* test_adapter_file.c: an adapter survives its stream, alone and beside another; one of another
 * model, or with numbers that are none, is refused by name. And which parts the options of an
 * adapter come to. */
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

#include "common/model/adapter_file.h"
#include "common/train/lora_cfg.h"
#include "tests/unit/model_support.h"

/* A directory with two base models, and an adapter of the first. */
struct fixture {
    struct support s;
    struct run run;
    char dir[32], base[64], other[64], adapter[64];
};

static const struct lora_cfg *adapt_cfg;
static struct adapter adapt_parts;

static enum err adapt(struct errctx *e, void *ctx, const struct model_config *c,
                      struct model_use *use)
{
    (void)ctx;
    use->adapter = &adapt_parts;
    return lora_parts(e, adapt_cfg, c, &adapt_parts);
}

static void save_model(struct fixture *f, const char *path, float first)
{
    struct errctx e = ERRCTX_INIT;
    const struct model_config c = support_config("llama");
    const struct model_use use = {.dtype = DTYPE_F32};
    struct model *m = support_model(&f->s, &c, &use);
    support_numbers(m, model_weights(m))[0] = first;
    assert_int_equal(model_save(&e, m, &f->run, path, 0, 1, NULL), ERR_OK);
    model_free(m);
}

/* Opens the base with a new adapter, gives that numbers, saves it; the caller frees the model and
 * the parts. */
static struct model *save_adapter(struct fixture *f, const struct lora_cfg *cfg, float bad)
{
    struct errctx e = ERRCTX_INIT;
    const struct model_use use = {.dtype = DTYPE_F32, .training = true, .adapt = adapt};
    struct model *m;
    adapt_cfg = cfg;
    if (model_load(&e, &f->s.k, NULL, f->base, &use, &m) != ERR_OK) fail_msg("%s", e.message);
    support_weights(m);
    const struct param_table *t = model_params(m);
    assert_true(t->count > t->own);
    if (bad != 0) support_numbers(m, model_weights(m))[t->items[t->own].offset + 1] = bad;
    if (adapter_save(&e, m, &f->run, f->adapter, 0, 1, NULL) != ERR_OK) fail_msg("%s", e.message);
    return m;
}

static void open_fixture(struct fixture *f)
{
    struct errctx e = ERRCTX_INIT;
    support_open(&f->s, "ref", 1);
    assert_int_equal(run_init(&e, &f->run, "test", "1"), ERR_OK);
    snprintf(f->dir, sizeof f->dir, "/tmp/graft-adapter-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->base, sizeof f->base, "%s/base", f->dir);
    snprintf(f->other, sizeof f->other, "%s/other", f->dir);
    snprintf(f->adapter, sizeof f->adapter, "%s/adapter", f->dir);
    save_model(f, f->base, 1);
    save_model(f, f->other, 2);
}

static void close_fixture(struct fixture *f)
{
    unlink(f->base);
    unlink(f->other);
    unlink(f->adapter);
    rmdir(f->dir);
    run_fini(&f->run);
    support_close(&f->s);
}

static struct model *load_base(struct fixture *f, const char *path, struct adapters *a)
{
    struct errctx e = ERRCTX_INIT;
    const struct model_use use = {.dtype = DTYPE_F32, .adapt = adapters_bind, .adapt_ctx = a};
    struct model *m;
    if (model_load(&e, &f->s.k, NULL, path, &use, &m) != ERR_OK) fail_msg("%s", e.message);
    return m;
}

static void round_trip(void **state)
{
    struct lora_cfg cfg = LORA_CFG;
    struct errctx e = ERRCTX_INIT;
    struct fixture f;
    struct adapters a;
    (void)state;
    open_fixture(&f);
    cfg.targets = "q,v,down";
    cfg.rank = 3;
    cfg.dropout = 0.25;
    struct model *saved = save_adapter(&f, &cfg, 0);
    const char *paths[] = {f.adapter, f.adapter}, *words[] = {"1", "-2"};
    const double weights[] = {1, -2};
    const struct adapters_cfg both = {.paths = {paths, 2, 2}, .weights = {words, 2, 2}};
    assert_int_equal(adapters_check(&e, &both), ERR_OK);
    assert_int_equal(adapters_open(&e, NULL, &both, &a), ERR_OK);
    struct model *m = load_base(&f, f.base, &a);
    assert_int_equal(adapters_load(&e, &a, m), ERR_OK);
    const struct param_table *x = model_params(saved), *y = model_params(m);
    const int64_t own = x->count - x->own;
    assert_int_equal(y->count - y->own, 2 * own);
    for (int64_t i = 0; i < 2 * own; i++) {
        const struct param *p = &x->items[x->own + i % own], *q = &y->items[y->own + i];
        assert_int_equal(p->elements, q->elements);
        assert_memory_equal(support_numbers(saved, model_weights(saved)) + p->offset,
                            support_numbers(m, model_weights(m)) + q->offset,
                            (size_t)p->elements * sizeof(float));
    }
    assert_true(a.adapter.dropout == 0.25);
    for (int64_t i = 0; i < a.adapter.count; i++)
        assert_true(a.adapter.parts[i].scale == weights[a.adapter.parts[i].source]);
    model_free(m);
    adapters_fini(&a);
    model_free(saved);
    adapter_fini(&adapt_parts);
    close_fixture(&f);
}

static void another_base(void **state)
{
    const struct lora_cfg cfg = LORA_CFG;
    struct errctx e = ERRCTX_INIT;
    struct fixture f;
    struct adapters a;
    (void)state;
    open_fixture(&f);
    model_free(save_adapter(&f, &cfg, 0));
    const char *paths[] = {f.adapter};
    struct adapters_cfg one = {.paths = {paths, 1, 1}};
    assert_int_equal(adapters_open(&e, NULL, &one, &a), ERR_OK);
    struct model *m = load_base(&f, f.other, &a);
    assert_int_equal(adapters_load(&e, &a, m), ERR_INPUT);
    assert_non_null(strstr(e.message, "belongs to the model of id"));
    e = (struct errctx)ERRCTX_INIT;
    one.force = true;
    assert_int_equal(adapters_load(&e, &a, m), ERR_OK);
    model_free(m);
    adapters_fini(&a);
    adapter_fini(&adapt_parts);
    close_fixture(&f);
}

static void no_numbers(void **state)
{
    const struct lora_cfg cfg = LORA_CFG;
    struct errctx e = ERRCTX_INIT;
    struct fixture f;
    struct adapters a;
    (void)state;
    open_fixture(&f);
    model_free(save_adapter(&f, &cfg, NAN));
    const char *paths[] = {f.adapter};
    struct adapters_cfg one = {.paths = {paths, 1, 1}};
    assert_int_equal(adapters_open(&e, NULL, &one, &a), ERR_OK);
    struct model *m = load_base(&f, f.base, &a);
    assert_int_equal(adapters_load(&e, &a, m), ERR_INPUT);
    assert_non_null(strstr(e.message, "tensor 'layers.0.attention.q.lora.A', element 1 is NaN"));
    model_free(m);
    adapters_fini(&a);
    adapter_fini(&adapt_parts);
    close_fixture(&f);
}

/* ------------------------------------------------------------------ options */

static const struct adapter_part *part_of(const struct adapter *a, int layer, enum adapter_target t)
{
    for (int64_t i = 0; i < a->count; i++)
        if (a->parts[i].layer == layer && a->parts[i].target == t) return &a->parts[i];
    return NULL;
}

static void parts(void **state)
{
    static const char *ranks[] = {"down=2", "layers.1.*=4"}, *alphas[] = {"q=5"};
    const struct model_config llama = support_config("llama"), gpt2 = support_config("gpt2");
    struct lora_cfg cfg = LORA_CFG;
    struct errctx e = ERRCTX_INIT;
    struct adapter a;
    (void)state;
    assert_int_equal(lora_parts(&e, &cfg, &llama, &a), ERR_OK);
    assert_int_equal(a.count, 4);
    assert_true(part_of(&a, 1, TARGET_V)->rank == 8 && part_of(&a, 1, TARGET_V)->scale == 1);
    adapter_fini(&a);

    cfg.targets = "all";
    cfg.alpha = 16;
    cfg.ranks = (struct opt_list){.items = ranks, .count = 2};
    cfg.alphas = (struct opt_list){.items = alphas, .count = 1};
    assert_int_equal(lora_parts(&e, &cfg, &llama, &a), ERR_OK);
    assert_int_equal(a.count, 14);
    assert_int_equal(part_of(&a, 0, TARGET_DOWN)->rank, 2);
    assert_int_equal(part_of(&a, 1, TARGET_DOWN)->rank, 4);
    assert_true(part_of(&a, 0, TARGET_DOWN)->scale == 8);
    assert_true(part_of(&a, 1, TARGET_Q)->scale == 1.25);
    assert_null(part_of(&a, 0, TARGET_QKV));
    adapter_fini(&a);

    cfg = (struct lora_cfg)LORA_CFG;
    cfg.rslora = true;
    cfg.rank = 4;
    cfg.targets = "qkv,layers.1.mlp.*";
    assert_int_equal(lora_parts(&e, &cfg, &gpt2, &a), ERR_OK);
    assert_int_equal(a.count, 4);
    assert_true(part_of(&a, 0, TARGET_QKV)->scale == 2);
    assert_non_null(part_of(&a, 1, TARGET_UP));
    assert_null(part_of(&a, 0, TARGET_UP));
    adapter_fini(&a);
}

static void refused(void **state)
{
    static const char *no_number[] = {"q=x"}, *no_target[] = {"gate=4"};
    const struct model_config gpt2 = support_config("gpt2");
    struct errctx e = ERRCTX_INIT;
    struct adapter a;
    const struct {
        struct lora_cfg cfg;
        const char *message;
    } cases[] = {{{.rank = 8, .targets = "q,vv"}, "--targets 'vv' matches nothing"},
                 {{.rank = 8, .targets = "layers.7.*"}, "--targets 'layers.7.*' matches nothing"},
                 {{.rank = 8, .targets = "gate"}, "--targets 'gate' matches nothing"},
                 {{.rank = 8, .targets = ""}, "nothing is named"},
                 {{.rank = 8, .targets = "q,qkv"}, "the same rows of one matrix"},
                 {{.rank = 99, .targets = "q"}, "rank 99 for 'q', which is a matrix of"},
                 {{.rank = 8, .targets = "q", .ranks = {no_number, 1, 1}}, "TARGET=NUMBER"},
                 {{.rank = 8, .targets = "q", .ranks = {no_target, 1, 1}}, "matches nothing"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        e = (struct errctx)ERRCTX_INIT;
        assert_int_equal(lora_parts(&e, &cases[i].cfg, &gpt2, &a), ERR_USAGE);
        if (!strstr(e.message, cases[i].message)) fail_msg("%s", e.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(another_base),
                                       cmocka_unit_test(no_numbers), cmocka_unit_test(parts),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
