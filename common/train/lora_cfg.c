/* SPDX-License-Identifier: Apache-2.0 */
/* lora_cfg.c: see lora_cfg.h. */
#include "common/train/lora_cfg.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIELD(f) offsetof(struct lora_cfg, f)

const struct opt lora_table[] = {
    {"rank", 'r', OPT_INT, FIELD(rank), "N", "rows of A", 0, 1, 1e6},
    {"alpha", 0, OPT_REAL, FIELD(alpha), "X",
     "the parts count alpha / rank times (default the rank)", OPT_NO_DEFAULT, 0, 1e9},
    {"rslora", 0, OPT_FLAG, FIELD(rslora), NULL, "alpha / sqrt(rank) instead"},
    {"targets", 0, OPT_STRING, FIELD(targets), "NAME,...",
     "q k v qkv out gate up gate_up down, all, or patterns as 'layers.[0-5].mlp.*'"},
    {"rank-of", 0, OPT_LIST, FIELD(ranks), "TARGET=N", "another rank for these targets"},
    {"alpha-of", 0, OPT_LIST, FIELD(alphas), "TARGET=X", "another alpha for these"},
    {"lora-dropout", 0, OPT_REAL, FIELD(dropout), "P", "of what A reads", 0, 0, 0.999},
    OPT_END};

/* The separate targets first: where these match, fused ones are left out. */
static const enum adapter_target order[] = {TARGET_Q,   TARGET_K,       TARGET_V,
                                            TARGET_QKV, TARGET_OUT,     TARGET_GATE,
                                            TARGET_UP,  TARGET_GATE_UP, TARGET_DOWN};

static bool is_fused(enum adapter_target t)
{
    return t == TARGET_QKV || t == TARGET_GATE_UP;
}

/* Whether one word of n bytes names the target of this layer. */
static bool matches(const char *word, size_t n, int layer, enum adapter_target t)
{
    const struct adapter_part part = {.layer = layer, .target = t};
    char name[64], full[96], pattern[256];
    if (n >= sizeof pattern) return false;
    memcpy(pattern, word, n);
    pattern[n] = '\0';
    if (strcmp(pattern, "all") == 0) return !is_fused(t);
    if (!strchr(pattern, '.')) return strcmp(pattern, adapter_target_name(t)) == 0;
    adapter_param_name(&part, 'A', name);
    name[strlen(name) - strlen(".lora.A")] = '\0';
    snprintf(full, sizeof full, "layers.%d.%s", layer, name);
    return fnmatch(pattern, full, 0) == 0;
}

/* Whether the word, or a list of words with commas, names it exactly, as fused targets must be. */
static bool chosen(const char *words, int layer, enum adapter_target t)
{
    for (const char *at = words; *at;) {
        const size_t n = strcspn(at, ",");
        if (matches(at, n, layer, t)) return true;
        at += n + (at[n] == ',');
    }
    return false;
}

/* The number behind the last PATTERN=NUMBER that matches. */
static enum err number_of(struct errctx *e, const char *option, const struct opt_list *list,
                          int layer, enum adapter_target t, double *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strrchr(list->items[i], '=');
        double x;
        if (!equals || equals == list->items[i] || !opts_parse_real(equals + 1, &x) || !(x > 0))
            return err_set(e, ERR_USAGE, "--%s '%s': TARGET=NUMBER is wanted", option,
                           list->items[i]);
        if (matches(list->items[i], (size_t)(equals - list->items[i]), layer, t)) *out = x;
    }
    return ERR_OK;
}

static enum err add(struct errctx *e, const struct lora_cfg *cfg, const struct model_config *c,
                    int layer, enum adapter_target t, struct adapter *out)
{
    double rank = (double)cfg->rank, alpha = NAN;
    TRY(number_of(e, "rank-of", &cfg->ranks, layer, t, &rank));
    TRY(number_of(e, "alpha-of", &cfg->alphas, layer, t, &alpha));
    if (rank != floor(rank) || rank > 1e6)
        return err_set(e, ERR_USAGE, "--rank-of: a rank of %g is none", rank);
    if (isnan(alpha)) alpha = isnan(cfg->alpha) ? (double)cfg->rank : cfg->alpha;
    const struct adapter_part part = {.layer = layer,
                                      .target = t,
                                      .rank = (int64_t)rank,
                                      .scale = alpha / (cfg->rslora ? sqrt(rank) : rank)};
    return adapter_add(e, out, c, &part);
}

/* Every word must name something that the model has. */
static enum err check_words(struct errctx *e, const char *option, const char *words, size_t n,
                            const struct model_config *c)
{
    struct adapter_place place;
    for (const char *at = words; at < words + n;) {
        const size_t most = (size_t)(words + n - at), comma = strcspn(at, ","),
                     size = comma < most ? comma : most;
        bool found = false;
        for (int layer = 0; layer < c->layers && !found; layer++)
            for (int t = 0; t < TARGET_COUNT && !found; t++)
                found = adapter_find(c, (enum adapter_target)t, &place) &&
                        matches(at, size, layer, (enum adapter_target)t);
        if (!found)
            return err_set(
                e, ERR_USAGE,
                "--%s '%.*s' matches nothing: this model has q, k, v, qkv, out, %sup, down "
                "in layers 0 to %lld",
                option, (int)size, at, c->gated ? "gate, gate_up, " : "", (long long)c->layers - 1);
        at += size + (size < most);
    }
    return ERR_OK;
}

static enum err check_list(struct errctx *e, const char *option, const struct opt_list *list,
                           const struct model_config *c)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *equals = strrchr(list->items[i], '=');
        if (equals)
            TRY(check_words(e, option, list->items[i], (size_t)(equals - list->items[i]), c));
    }
    return ERR_OK;
}

enum err lora_parts(struct errctx *e, const struct lora_cfg *cfg, const struct model_config *c,
                    struct adapter *out)
{
    struct adapter_place place;
    *out = (struct adapter){.dropout = cfg->dropout};
    TRY(check_words(e, "targets", cfg->targets, strlen(cfg->targets), c));
    TRY(check_list(e, "rank-of", &cfg->ranks, c));
    TRY(check_list(e, "alpha-of", &cfg->alphas, c));
    for (int layer = 0; layer < c->layers; layer++) {
        bool separate[MATRIX_COUNT] = {false};
        for (size_t i = 0; i < ARRAY_LEN(order); i++) {
            const bool pattern = strchr(cfg->targets, '.') != NULL;
            if (!adapter_find(c, order[i], &place) || !chosen(cfg->targets, layer, order[i]))
                continue;
            if (is_fused(order[i]) && separate[place.matrix] && pattern) continue;
            if (!is_fused(order[i])) separate[place.matrix] = true;
            if (add(e, cfg, c, layer, order[i], out) != ERR_OK) {
                adapter_fini(out);
                return e->code;
            }
        }
    }
    if (out->count == 0) return err_set(e, ERR_USAGE, "--targets: nothing is named");
    return ERR_OK;
}
