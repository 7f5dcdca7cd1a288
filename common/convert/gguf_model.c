/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_model.c: a model out of a GGUF file. Its keys and tensors become those that a table of
 * family_gguf.c reads: keys of the architecture as they are, the size of the vocabulary and whether
 * there is a head of its own from the tensors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/convert/model_source.h"
#include "common/convert/tokenizer_source.h"
#include "formats/gguf.h"
#include "formats/mp_json.h"

static bool begins(const char *key, const char *with)
{
    return strncmp(key, with, strlen(with)) == 0;
}

/* What it says about itself, as far as it is text. */
static enum err take_general(struct errctx *e, struct model_source *s, const char *key,
                             const struct mp_value *v)
{
    static const char *const kept[][2] = {{"general.name", "name"},
                                          {"general.license", "license"},
                                          {"general.author", "author"},
                                          {"general.organization", "organization"}};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (strcmp(key, kept[i][0]) == 0 && v->type == MP_STRING)
            return mp_set_string(e, &s->about, kept[i][1], v->as.bytes.data);
    return ERR_OK;
}

/* The decimal number that is meant by an F32: the shortest that is rounded to it. */
static double meant(double v)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtof(text, NULL) == (float)v) break;
    }
    return strtod(text, NULL);
}

static enum err put_key(struct errctx *e, struct model_source *s, const char *key, json_t *v)
{
    if (!v || json_object_set_new(s->config, key, v) != 0) return err_memory(e, "keys", 0);
    return ERR_OK;
}

static enum err take_key(struct errctx *e, struct model_source *s, const char *key,
                         const struct mp_value *v)
{
    const struct mp_value *type = mp_get(&s->tensors.types, key);
    const bool f32 = type && type->type == MP_STRING && strcmp(type->as.bytes.data, "f32") == 0 &&
                     v->type == MP_REAL && isfinite(v->as.real);
    return put_key(e, s, key, f32 ? json_real(meant(v->as.real)) : mp_to_json(v, false));
}

static enum err take_keys(struct errctx *e, struct model_source *s)
{
    const struct mp_value *meta = &s->tensors.meta;
    for (size_t i = 0; i < meta->as.list.count; i += 2) {
        const char *key = meta->as.list.items[i].as.bytes.data;
        const struct mp_value *v = &meta->as.list.items[i + 1];
        if (begins(key, "general."))
            TRY(take_general(e, s, key, v));
        else if (!begins(key, "tokenizer.") && !begins(key, "quantize.") &&
                 !begins(key, "split.") && !begins(key, "GGUF.") && !begins(key, GGUF_NOTES))
            TRY(take_key(e, s, key, v));
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ what tensors say */

static bool has(const struct model_source *s, const char *name)
{
    return tensor_file_find(&s->tensors, name) != NULL;
}

/* A vector of F32 as a list; nothing where there is no such tensor. */
static enum err take_vector(struct errctx *e, struct model_source *s, const char *name,
                            const char *key)
{
    const struct tensor_entry *t = tensor_file_find(&s->tensors, name);
    if (!t) return ERR_OK;
    if (t->dtype != DTYPE_F32 || t->dims != 1 || t->shape[0] > CONFIG_NUMBERS)
        return findings_add(e, &s->findings, "tensor '%s' is no vector of at most %d F32", name,
                            CONFIG_NUMBERS);
    json_t *list = json_array();
    for (int64_t i = 0; list && i < t->shape[0]; i++) {
        float v;
        memcpy(&v, t->data + 4 * i, sizeof v);
        if (!isfinite(v) || v <= 0) {
            json_decref(list);
            return findings_add(e, &s->findings, "tensor '%s', element %lld is %g", name,
                                (long long)i, (double)v);
        }
        (void)json_array_append_new(list, json_real(meant((double)v)));
    }
    return put_key(e, s, key, list);
}

static enum err take_shape(struct errctx *e, struct model_source *s)
{
    const struct tensor_entry *tokens = tensor_file_find(&s->tensors, "token_embd.weight");
    const struct tensor_entry *types = tensor_file_find(&s->tensors, "token_types.weight");
    const bool qkv = has(s, "blk.0.attn_q.bias") || has(s, "blk.0.attn_qkv.bias");
    if (tokens && tokens->dims == 2)
        TRY(put_key(e, s, "vocab_size", json_integer(tokens->shape[0])));
    if (types && types->dims == 2) TRY(put_key(e, s, "types", json_integer(types->shape[0])));
    TRY(put_key(e, s, "tied", json_boolean(!has(s, "output.weight"))));
    TRY(put_key(e, s, "qkv_bias", json_boolean(qkv)));
    TRY(put_key(e, s, "out_bias", json_boolean(has(s, "blk.0.attn_output.bias"))));
    TRY(put_key(e, s, "mlp_bias", json_boolean(has(s, "blk.0.ffn_down.bias"))));
    TRY(take_vector(e, s, "rope_freqs.weight", "rope_freqs"));
    TRY(take_vector(e, s, "rope_factors_short.weight", "rope_factors_short"));
    return take_vector(e, s, "rope_factors_long.weight", "rope_factors_long");
}

/* ------------------------------------------------------------------ what graft noted */

static enum err take_embedding(struct errctx *e, struct model_source *s, const char *text)
{
    struct mp_value map;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    embedding_fini(&s->embedding);
    if (!root) return err_set(e, ERR_INPUT, "key '%sembedding' is no JSON", GGUF_NOTES);
    if (mp_from_json(e, root, &map) == ERR_OK) {
        (void)!embedding_from_meta(e, &map, &s->embedding);
        mp_fini(&map);
    }
    json_decref(root);
    s->has_embedding = e->code == ERR_OK;
    return e->code;
}

/* What GGUF has no key for, where graft has written the file. No number depends on it. */
static enum err take_notes(struct errctx *e, struct model_source *s)
{
    const struct mp_value *meta = &s->tensors.meta;
    const char *text;
    if (mp_get(meta, GGUF_NOTES "family")) {
        TRY(mp_get_string(e, meta, GGUF_NOTES "family", &text));
        const struct family *family = family_find(text);
        TRY(mp_set_string(e, &s->about, "family", text));
        if (family) memcpy(s->matching.c.arch, family->base->c.arch, sizeof s->matching.c.arch);
    }
    if (mp_get(meta, GGUF_NOTES "init_std"))
        TRY(mp_get_real(e, meta, GGUF_NOTES "init_std", &s->matching.c.init_std));
    if (!mp_get(meta, GGUF_NOTES "embedding")) return ERR_OK;
    TRY(mp_get_string(e, meta, GGUF_NOTES "embedding", &text));
    return take_embedding(e, s, text);
}

static enum err find_family(struct errctx *e, struct model_source *s)
{
    const char *name;
    char list[256];
    TRY(mp_get_string(e, &s->tensors.meta, "general.architecture", &name));
    s->family = family_find_gguf(name);
    if (!s->family)
        return findings_add(e, &s->findings,
                            "models of the architecture '%s' are not known; "
                            "those that are: %s",
                            name, family_list(true, list, sizeof list));
    return mp_set_string(e, &s->about, "family", strcmp(name, "gptneox") == 0 ? "gpt_neox" : name);
}

/* How encoders make vectors: 1 mean, 2 cls, 3 last. */
static void take_pooling(struct model_source *s)
{
    static const unsigned poolings[] = {0, POOLING_MEAN, POOLING_CLS, POOLING_LAST};
    const json_int_t type = json_integer_value(json_object_get(s->config, "bert.pooling_type"));
    if (type < 1 || type >= (json_int_t)ARRAY_LEN(poolings)) return;
    s->embedding.pooling = poolings[type];
    s->has_embedding = true;
}

static bool has_vocabulary(const struct mp_value *meta)
{
    const struct mp_value *model = mp_get(meta, "tokenizer.ggml.model");
    return model && !(model->type == MP_STRING && (strcmp(model->as.bytes.data, "no_vocab") == 0 ||
                                                   strcmp(model->as.bytes.data, "none") == 0));
}

/* A tokenizer that graft cannot be is a reason not to take the model, unless -t gave another. */
static enum err take_tokenizer(struct errctx *e, struct model_source *s)
{
    struct tokenizer_spec spec;
    if (s->has_tokenizer || !has_vocabulary(&s->tensors.meta)) return ERR_OK;
    if (tokenizer_source_keys(e, &s->tensors.meta, &spec) == ERR_OK) {
        model_source_take_tokenizer(s, &spec);
        return ERR_OK;
    }
    return model_source_no_tokenizer(e, s);
}

enum err gguf_model_open(struct errctx *e, struct model_source *s, const char *path)
{
    s->format = "GGUF";
    TRY(gguf_open(e, path, &s->tensors));
    TRY(model_source_record_large(e, s, path));
    s->config = json_object();
    if (!s->config) return err_memory(e, "keys", 0);
    TRY(find_family(e, s));
    TRY(take_keys(e, s));
    TRY(take_shape(e, s));
    take_pooling(s);
    TRY(take_tokenizer(e, s));
    TRY(model_source_match(e, s));
    return s->matched ? take_notes(e, s) : ERR_OK;
}
