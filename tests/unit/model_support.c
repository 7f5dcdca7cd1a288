/* SPDX-License-Identifier: Apache-2.0 */
/* model_support.c: small models and batches for the tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "tests/unit/model_support.h"

const char *const support_archs[3] = {"gpt2", "llama", "bert"};

static void must(enum err code, const struct errctx *e)
{
    if (code != ERR_OK) fail_msg("%s", e->message);
}

void support_open(struct support *s, const char *device, int threads)
{
    struct errctx e = ERRCTX_INIT;
    must(pool_new(&e, threads, &s->pool), &e);
    must(kernels_open(&e, device, s->pool, &s->k), &e);
}

void support_close(struct support *s)
{
    kernels_close(&s->k);
    pool_free(s->pool);
}

static struct model_config sized(const char *arch, int64_t width, int64_t heads, int64_t vocab,
                                 int64_t context)
{
    struct errctx e = ERRCTX_INIT;
    struct model_config c;
    must(model_config_preset(&e, arch, &c), &e);
    c.vocab = vocab;
    c.layers = 2;
    c.width = width;
    c.heads = heads;
    c.kv_heads = c.gated ? heads / 2 : heads;
    c.context = context;
    c.mlp = width + 4;
    must(model_config_finish(&e, &c), &e);
    return c;
}

struct model_config support_config(const char *arch)
{
    return sized(arch, 16, 4, 37, 24);
}

struct model_config support_config_wide(const char *arch)
{
    return sized(arch, 48, 6, 301, 96);
}

void support_weights(struct model *m)
{
    const struct param_table *t = model_params(m);
    const struct rng_key key = rng_key_make(1, RNG_TEST);
    float *w = support_numbers(m, model_weights(m));
    for (int64_t i = 0; i < t->count; i++) {
        const struct param *p = &t->items[i];
        for (int64_t j = 0; j < p->elements; j++) {
            const uint32_t counter[4] = {(uint32_t)i, (uint32_t)j, 0, 0};
            float z[4];
            rng_normal4(key, counter, z);
            w[p->offset + j] = p->role == PARAM_NORM   ? 1 + 0.2f * z[0]
                               : p->role == PARAM_BIAS ? 0.1f * z[0]
                                                       : 0.25f * z[0];
        }
    }
    model_refresh(m);
}

struct model *support_model(struct support *s, const struct model_config *c,
                            const struct model_use *use)
{
    struct errctx e = ERRCTX_INIT;
    struct model *m;
    must(model_create(&e, &s->k, c, NULL, 1, use, &m), &e);
    support_weights(m);
    return m;
}

void support_batch(struct batch *b, const struct model_config *c, int64_t grain, int64_t rows,
                   const int64_t *lengths, int64_t ordinal)
{
    struct errctx e = ERRCTX_INIT;
    const struct rng_key key = rng_key_make(2, RNG_TEST);
    must(batch_init(&e, b, 64, 8), &e);
    for (int64_t r = 0; r < rows; r++) {
        uint32_t ids[1024];
        uint8_t types[1024];
        int32_t targets[1024];
        float weights[1024];
        const int64_t n = lengths[r];
        assert_true(n <= 1024);
        for (int64_t i = 0; i < n; i++) {
            const uint32_t counter[4] = {(uint32_t)(ordinal + r), (uint32_t)i, 0, 0};
            uint32_t word[4];
            rng_philox(key, counter, word);
            ids[i] = word[0] % (uint32_t)c->vocab;
            types[i] = i >= n / 2;
            weights[i] = 0.5f + rng_word_to_float(word[1]);
            targets[i] = c->causal || i % 3 == 0 ? (int32_t)(word[2] % (uint32_t)c->vocab) : -1;
        }
        for (int64_t i = 0; i + 1 < n && c->causal; i++) targets[i] = (int32_t)ids[i + 1];
        if (c->causal) targets[n - 1] = -1;
        must(batch_append(&e, b, grain, n, ids, types, targets, weights, ordinal + r), &e);
    }
    must(batch_close(&e, b), &e);
}

double support_loss(struct model *m, const struct batch *b, bool gradient)
{
    struct errctx e = ERRCTX_INIT;
    double sum = 0;
    must(model_forward(&e, m, b, 3), &e);
    must(model_loss(&e, m, b, gradient, NULL, NULL, &sum), &e);
    if (gradient) must(model_backward(&e, m, b), &e);
    return sum;
}

float *support_numbers(struct model *m, struct buf b)
{
    return model_kernels(m)->map(model_kernels(m), b);
}

void support_zero_gradients(struct model *m)
{
    model_kernels(m)->zero(model_kernels(m), model_gradients(m));
}
