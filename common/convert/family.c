/* SPDX-License-Identifier: Apache-2.0 */
/* family.c: the families by name, and names of tensors against their patterns. */
#include "common/convert/family.h"

#include <stdio.h>
#include <string.h>

#include "common/convert/family_tables.h"

static const struct family *const families[] = {
    &family_gpt2,    &family_llama,       &family_mistral,    &family_qwen2,    &family_qwen3,
    &family_phi3,    &family_gemma,       &family_gemma2,     &family_gpt_neox, &family_bert,
    &family_roberta, &family_xlm_roberta, &family_distilbert,
};

static const struct family *const gguf_families[] = {
    &gguf_llama,  &gguf_qwen2,   &gguf_qwen3, &gguf_phi3, &gguf_gemma,
    &gguf_gemma2, &gguf_gptneox, &gguf_gpt2,  &gguf_bert,
};

const struct family *family_at(bool gguf, size_t i)
{
    if (gguf) return i < ARRAY_LEN(gguf_families) ? gguf_families[i] : NULL;
    return i < ARRAY_LEN(families) ? families[i] : NULL;
}

static const struct family *find(const struct family *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i]->name, name) == 0) return list[i];
    return NULL;
}

const struct family *family_find(const char *model_type)
{
    return find(families, ARRAY_LEN(families), model_type);
}

const struct family *family_find_gguf(const char *architecture)
{
    return find(gguf_families, ARRAY_LEN(gguf_families), architecture);
}

const char *family_list(bool gguf, char *buf, size_t n)
{
    const struct family *const *list = gguf ? gguf_families : families;
    const size_t count = gguf ? ARRAY_LEN(gguf_families) : ARRAY_LEN(families);
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < count && used < n; i++)
        used += (size_t)snprintf(buf + used, n - used, "%s%s", i ? ", " : "", list[i]->name);
    return buf;
}

/* ------------------------------------------------------------------ rules */

const struct key_rule *family_key(const struct family *family, size_t i)
{
    for (int t = 0; t < FAMILY_TABLES && family->keys[t]; t++)
        for (const struct key_rule *r = family->keys[t]; r->key; r++)
            if (i-- == 0) return r;
    return NULL;
}

const struct tensor_rule *family_tensor(const struct family *family, size_t i)
{
    for (int t = 0; t < FAMILY_TABLES && family->tensors[t]; t++)
        for (const struct tensor_rule *r = family->tensors[t]; r->name; r++)
            if (i-- == 0) return r;
    return NULL;
}

bool family_has_key(const struct family *family, const char *key)
{
    const struct key_rule *r;
    for (size_t i = 0; (r = family_key(family, i)) != NULL; i++)
        if (strcmp(r->key, key) == 0) return true;
    return false;
}

/* ------------------------------------------------------------------ names of tensors */

/* A layer's number without leading zeros; NULL when there is none. */
static const char *layer_number(const char *text, int64_t *layer)
{
    int64_t n = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && p - text < 6; p++) n = 10 * n + (*p - '0');
    if (p == text || (text[0] == '0' && p - text > 1)) return NULL;
    *layer = n;
    return p;
}

/* Weights of norms were once called gamma and beta. */
static const char *suffix_of(const char *text)
{
    static const char *const names[][2] = {
        {"weight", "weight"}, {"bias", "bias"}, {"gamma", "weight"}, {"beta", "bias"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i][0]) == 0) return names[i][1];
    return NULL;
}

static bool matches(const char *pattern, const char *name, int64_t *layer, const char **suffix)
{
    *layer = -1;
    *suffix = "";
    for (; *pattern; pattern++) {
        if (*pattern == '*') return (*suffix = suffix_of(name)) != NULL;
        if (*pattern == '%') {
            name = layer_number(name, layer);
            if (!name) return false;
        } else if (*name++ != *pattern) {
            return false;
        }
    }
    return *name == '\0';
}

const struct tensor_rule *family_find_tensor(const struct family *family, const char *name,
                                             int64_t *layer, const char **suffix)
{
    const size_t prefix = strlen(family->prefix);
    const bool has = prefix && strncmp(name, family->prefix, prefix) == 0;
    const struct tensor_rule *r;
    for (size_t i = 0; (r = family_tensor(family, i)) != NULL; i++) {
        const bool bare = r->flags & TENSOR_BARE;
        if (matches(r->name, bare || !has ? name : name + prefix, layer, suffix)) return r;
    }
    return NULL;
}

bool family_fill(const char *pattern, int64_t layer, const char *suffix, char *out, size_t n)
{
    size_t used = 0;
    for (; *pattern && used < n; pattern++) {
        if (*pattern == '%')
            used += (size_t)snprintf(out + used, n - used, "%lld", (long long)layer);
        else if (*pattern == '*')
            used += (size_t)snprintf(out + used, n - used, "%s", suffix);
        else
            used += (size_t)snprintf(out + used, n - used, "%c", *pattern);
    }
    return used < n;
}
