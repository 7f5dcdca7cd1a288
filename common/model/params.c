/* SPDX-License-Identifier: Apache-2.0 */
/* params.c: the parameter table of a configuration, in canonical order (embeddings, layers, final
 * norm, head).
 *
 * The idea: `build` is the only place that knows which parameters a configuration has; everything
 * that walks over parameters walks over the table. */
#include "common/model/params.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/mem.h"
#include "common/base/rng.h"

/* Offsets are multiples of this many elements: 64 bytes, a cache line. */
enum { PARAM_ALIGN = 16, PARAM_ALIGN_BYTES = 64 };

struct builder {
    struct errctx *e;
    struct param_table *t;
    size_t capacity;
    int layer;
};

/* Adds PREFIX.NAME; columns 0: a vector of `rows`. The first error stays in b->e. */
static void put(struct builder *b, const char *name, int64_t rows, int64_t columns,
                enum param_role role)
{
    struct param_table *t = b->t;
    size_t elements, padded, total;
    if (b->e->code != ERR_OK) return;
    if (mem_grow(b->e, &t->items, &b->capacity, (size_t)t->count + 1, sizeof *t->items,
                 "parameter table") != ERR_OK)
        return;
    struct param *p = &t->items[t->count];
    *p = (struct param){.dims = columns ? 2 : 1,
                        .shape = {rows, columns},
                        .dtype = DTYPE_F32,
                        .role = role,
                        .layer = b->layer};
    if (b->layer >= 0)
        snprintf(p->name, sizeof p->name, "layers.%d.%s", b->layer, name);
    else
        snprintf(p->name, sizeof p->name, "%s", name);
    if (!size_mul((size_t)rows, columns ? (size_t)columns : 1, &elements) ||
        !size_add(elements, PARAM_ALIGN - 1, &padded) ||
        !size_add((size_t)t->elements, padded / PARAM_ALIGN * PARAM_ALIGN, &total) ||
        total > SIZE_MAX / 16) {
        err_set(b->e, ERR_USAGE, "configuration: parameter '%s' is too large", p->name);
        return;
    }
    p->elements = (int64_t)elements;
    p->offset = t->elements;
    p->decay = role != PARAM_BIAS && role != PARAM_NORM;
    t->elements = (int64_t)total;
    t->count++;
}

static int64_t padded_elements(const struct param *p)
{
    return (p->elements + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
}

static void put_norm(struct builder *b, const struct model_config *c, const char *name)
{
    char full[40];
    snprintf(full, sizeof full, "%s.weight", name);
    put(b, full, c->width, 0, PARAM_NORM);
    snprintf(full, sizeof full, "%s.bias", name);
    if (c->norm == NORM_LAYER) put(b, full, c->width, 0, PARAM_BIAS);
}

static void put_linear(struct builder *b, const char *name, int64_t out, int64_t in, bool bias,
                       enum param_role role)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    put(b, full, out, in, role);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) put(b, full, out, 0, PARAM_BIAS);
}

static void put_part(struct builder *b, const struct model_config *c,
                     const struct adapter_part *part)
{
    struct adapter_place place;
    char name[64];
    (void)adapter_find(c, part->target, &place);
    b->layer = part->layer;
    adapter_param_name(part, 'A', name);
    put(b, name, part->rank, place.in, PARAM_LORA_A);
    adapter_param_name(part, 'B', name);
    put(b, name, place.out, part->rank, PARAM_LORA_B);
}

static void put_task(struct builder *b, const struct model_config *c, const struct task *task,
                     int64_t number)
{
    const int64_t width = task_width(task, c);
    char name[40];
    snprintf(name, sizeof name, TASK_PREFIX "%lld.dense", (long long)number);
    if (task->dense) put_linear(b, name, width, width, true, PARAM_MATRIX);
    snprintf(name, sizeof name, TASK_PREFIX "%lld", (long long)number);
    put_linear(b, name, task->outputs, width, true, PARAM_MATRIX);
}

enum err param_table_build_adapted(struct errctx *e, const struct model_config *c,
                                   const struct adapter *a, const struct task_heads *heads,
                                   struct param_table *t)
{
    struct builder b = {.e = e, .t = t, .layer = -1};
    const int64_t C = c->width, qkv = (c->heads + 2 * c->kv_heads) * c->head_size;
    *t = (struct param_table){0};

    put(&b, "embed.tokens.weight", c->vocab, C, PARAM_EMBEDDING);
    if (c->position == POSITION_LEARNED)
        put(&b, "embed.positions.weight", c->context + c->position_offset, C, PARAM_EMBEDDING);
    if (c->types) put(&b, "embed.types.weight", c->types, C, PARAM_EMBEDDING);
    if (c->embed_norm) put_norm(&b, c, "embed.norm");
    for (b.layer = 0; b.layer < c->layers && e->code == ERR_OK; b.layer++) {
        put_norm(&b, c, "norm1");
        put_linear(&b, "attention.qkv", qkv, C, c->qkv_bias, PARAM_MATRIX);
        if (c->qk_norm) {
            put(&b, "attention.q_norm.weight", c->head_size, 0, PARAM_NORM);
            put(&b, "attention.k_norm.weight", c->head_size, 0, PARAM_NORM);
        }
        put_linear(&b, "attention.out", C, c->heads * c->head_size, c->out_bias,
                   PARAM_RESIDUAL_MATRIX);
        if (c->norm_branch) put_norm(&b, c, "attention.norm");
        put_norm(&b, c, "norm2");
        put_linear(&b, "mlp.up", c->gated ? 2 * c->mlp : c->mlp, C, c->mlp_bias, PARAM_MATRIX);
        put_linear(&b, "mlp.down", C, c->mlp, c->mlp_bias, PARAM_RESIDUAL_MATRIX);
        if (c->norm_branch) put_norm(&b, c, "mlp.norm");
    }
    b.layer = -1;
    if (c->final_norm) put_norm(&b, c, "norm");
    if (c->mlm_head) {
        put_linear(&b, "head.dense", C, C, true, PARAM_MATRIX);
        put_norm(&b, c, "head.norm");
    }
    if (!c->tied) put(&b, "head.weight", c->vocab, C, PARAM_EMBEDDING);
    if (c->mlm_head) put(&b, "head.bias", c->vocab, 0, PARAM_BIAS);
    t->own = t->count;
    for (int64_t i = 0; a && i < a->count; i++) put_part(&b, c, &a->parts[i]);
    b.layer = -1;
    for (int64_t i = 0; heads && i < heads->count; i++) put_task(&b, c, &heads->items[i], i);
    param_table_train(t, NULL, NULL);
    if (e->code != ERR_OK) param_table_fini(t);
    return e->code;
}

enum err param_table_build(struct errctx *e, const struct model_config *c, struct param_table *t)
{
    return param_table_build_adapted(e, c, NULL, NULL, t);
}

enum err param_table_keep(struct errctx *e, struct param_table *t, const enum dtype *types)
{
    size_t bytes, total = 0;
    t->elements = 0;
    for (int64_t i = 0; i < t->count; i++) {
        struct param *p = &t->items[i];
        if (i >= t->own || types[i] == DTYPE_F32) {
            p->offset = t->elements;
            t->elements += padded_elements(p);
            continue;
        }
        if (!dtype_shape_bytes(types[i], p->dims, p->shape, &bytes) ||
            !size_add(bytes, PARAM_ALIGN_BYTES - 1, &bytes) ||
            !size_add(total, bytes / PARAM_ALIGN_BYTES * PARAM_ALIGN_BYTES, &bytes))
            return err_set(e, ERR_INPUT, "parameter '%s' cannot be of type %s", p->name,
                           dtype_name(types[i]));
        p->dtype = types[i];
        p->offset = (int64_t)total;
        total = bytes;
    }
    t->kept = (int64_t)total;
    param_table_train(t, NULL, NULL);
    return ERR_OK;
}

void param_table_train(struct param_table *t, param_choice *trains, const void *ctx)
{
    t->trained = 0;
    for (int64_t i = 0; i < t->count; i++) {
        struct param *p = &t->items[i];
        p->gradient = -1;
        if (p->dtype != DTYPE_F32 || (trains && !trains(ctx, p))) continue;
        p->gradient = t->trained;
        t->trained += padded_elements(p);
    }
}

bool param_is_adapters(const struct param *p)
{
    return p->role == PARAM_LORA_A || p->role == PARAM_LORA_B;
}

void param_table_fini(struct param_table *t)
{
    mem_free(t->items);
    *t = (struct param_table){0};
}

const struct param *param_table_find(const struct param_table *t, const char *name)
{
    for (int64_t i = 0; i < t->count; i++)
        if (strcmp(t->items[i].name, name) == 0) return &t->items[i];
    return NULL;
}

void param_init(const struct model_config *c, const struct param *p, uint64_t seed, float *out)
{
    double std = c->init_std;
    const struct rng_key key = rng_key_make(seed, RNG_INIT);
    const uint64_t name = XXH3_64bits(p->name, strlen(p->name));
    if (p->role == PARAM_BIAS || p->role == PARAM_NORM) {
        const float start = p->role == PARAM_NORM && !c->norm_plus_one ? 1.0f : 0.0f;
        for (int64_t i = 0; i < p->elements; i++) out[i] = start;
        return;
    }
    if (p->role == PARAM_LORA_B) {
        memset(out, 0, (size_t)p->elements * sizeof *out);
        return;
    }
    if (p->role == PARAM_LORA_A) {
        const double reach = 1 / sqrt((double)p->shape[1]);
        for (int64_t i = 0; i < p->elements; i++)
            out[i] = (float)(reach * (2 * rng_uniform(key, (uint32_t)name, (uint32_t)(name >> 32),
                                                      (uint32_t)i, (uint32_t)(i >> 32)) -
                                      1));
        return;
    }
    /* The residual stream sums 2 L outputs: each starts smaller, so that the sum's variance does
     * not grow with L (Radford et al. 2019, section 2.3). */
    if (p->role == PARAM_RESIDUAL_MATRIX) std /= sqrt(2.0 * (double)c->layers);
    for (int64_t i = 0; i < p->elements; i += 4) {
        const uint64_t quad = (uint64_t)i / 4;
        const uint32_t counter[4] = {(uint32_t)name, (uint32_t)(name >> 32), (uint32_t)quad,
                                     (uint32_t)(quad >> 32)};
        float z[4];
        rng_normal4(key, counter, z);
        for (int64_t j = 0; j < 4 && i + j < p->elements; j++)
            out[i + j] = (float)(std * (double)z[j]);
    }
}
