/* SPDX-License-Identifier: Apache-2.0 */
/* adapter.c: targets, and where they lie in the model's matrices. */
#include "common/model/adapter.h"

#include <stdio.h>

#include "common/base/mem.h"

static const char *const names[TARGET_COUNT] = {
    [TARGET_QKV] = "qkv",   [TARGET_Q] = "q",     [TARGET_K] = "k",
    [TARGET_V] = "v",       [TARGET_OUT] = "out", [TARGET_GATE_UP] = "gate_up",
    [TARGET_GATE] = "gate", [TARGET_UP] = "up",   [TARGET_DOWN] = "down"};

const char *adapter_target_name(enum adapter_target t)
{
    return names[t];
}

void adapter_fini(struct adapter *a)
{
    mem_free(a->parts);
    *a = (struct adapter){0};
}

bool adapter_find(const struct model_config *c, enum adapter_target t, struct adapter_place *out)
{
    const int64_t q = c->heads * c->head_size, kv = c->kv_heads * c->head_size, C = c->width,
                  F = c->mlp;
    switch (t) {
    case TARGET_QKV:
        *out = (struct adapter_place){MATRIX_QKV, C, 0, q + 2 * kv};
        return true;
    case TARGET_Q:
        *out = (struct adapter_place){MATRIX_QKV, C, 0, q};
        return true;
    case TARGET_K:
        *out = (struct adapter_place){MATRIX_QKV, C, q, kv};
        return true;
    case TARGET_V:
        *out = (struct adapter_place){MATRIX_QKV, C, q + kv, kv};
        return true;
    case TARGET_OUT:
        *out = (struct adapter_place){MATRIX_OUT, q, 0, C};
        return true;
    case TARGET_GATE_UP:
        *out = (struct adapter_place){MATRIX_UP, C, 0, 2 * F};
        return c->gated;
    case TARGET_GATE:
        *out = (struct adapter_place){MATRIX_UP, C, 0, F};
        return c->gated;
    case TARGET_UP:
        *out = (struct adapter_place){MATRIX_UP, C, c->gated ? F : 0, F};
        return true;
    case TARGET_DOWN:
        *out = (struct adapter_place){MATRIX_DOWN, F, 0, C};
        return true;
    case TARGET_COUNT:
        break;
    }
    return false;
}

static bool overlap(const struct adapter_place *a, const struct adapter_place *b)
{
    return a->matrix == b->matrix && a->from < b->from + b->out && b->from < a->from + a->out;
}

enum err adapter_add(struct errctx *e, struct adapter *a, const struct model_config *c,
                     const struct adapter_part *part)
{
    struct adapter_place place, other;
    if (!adapter_find(c, part->target, &place))
        return err_set(e, ERR_USAGE, "the model has no target '%s'", names[part->target]);
    if (part->layer < 0 || part->layer >= c->layers)
        return err_set(e, ERR_USAGE, "target '%s' of layer %d: the model has %lld layers",
                       names[part->target], part->layer, (long long)c->layers);
    if (part->rank < 1 || part->rank > place.in || part->rank > place.out)
        return err_set(e, ERR_USAGE, "rank %lld for '%s', which is a matrix of %lld x %lld",
                       (long long)part->rank, names[part->target], (long long)place.out,
                       (long long)place.in);
    for (int64_t i = 0; i < a->count; i++)
        if (a->parts[i].source == part->source && a->parts[i].layer == part->layer &&
            adapter_find(c, a->parts[i].target, &other) && overlap(&place, &other))
            return err_set(e, ERR_USAGE, "targets '%s' and '%s' are the same rows of one matrix",
                           names[a->parts[i].target], names[part->target]);
    TRY(mem_grow(e, &a->parts, &a->capacity, (size_t)a->count + 1, sizeof *a->parts, "adapter"));
    a->parts[a->count++] = *part;
    return ERR_OK;
}

int64_t adapter_rank(const struct adapter *a, const struct model_config *c, int64_t layer,
                     enum adapter_matrix matrix)
{
    struct adapter_place place;
    int64_t rank = 0;
    for (int64_t i = 0; a && i < a->count; i++)
        if (a->parts[i].layer == layer && adapter_find(c, a->parts[i].target, &place) &&
            place.matrix == matrix)
            rank += a->parts[i].rank;
    return rank;
}

void adapter_param_name(const struct adapter_part *part, char which, char name[64])
{
    const bool attention = part->target <= TARGET_OUT;
    char source[16] = "";
    if (part->source > 0) snprintf(source, sizeof source, "%d", part->source);
    snprintf(name, 64, "%s.%s.lora%s.%c", attention ? "attention" : "mlp", names[part->target],
             source, which);
}
