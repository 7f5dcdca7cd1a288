/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_model.c: a model out of a GGUF file. Its keys and tensors become those that a table of
 * family_gguf.c reads: keys of the architecture as they are, the size of the vocabulary and whether
 * there is a head of its own from the tensors. */
#include <stdio.h>
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

static enum err take_keys(struct errctx *e, struct model_source *s)
{
    const struct mp_value *meta = &s->tensors.meta;
    for (size_t i = 0; i < meta->as.list.count; i += 2) {
        const char *key = meta->as.list.items[i].as.bytes.data;
        const struct mp_value *v = &meta->as.list.items[i + 1];
        if (begins(key, "general.")) {
            TRY(take_general(e, s, key, v));
        } else if (!begins(key, "tokenizer.") && !begins(key, "quantize.") &&
                   !begins(key, "split.") && !begins(key, "GGUF.")) {
            json_t *j = mp_to_json(v, false);
            if (!j || json_object_set_new(s->config, key, j) != 0) return err_memory(e, "keys", 0);
        }
    }
    return ERR_OK;
}

static enum err take_shape(struct errctx *e, struct model_source *s)
{
    const struct tensor_entry *tokens = tensor_file_find(&s->tensors, "token_embd.weight");
    json_t *tied = json_boolean(!tensor_file_find(&s->tensors, "output.weight"));
    if (json_object_set_new(s->config, "tied", tied) != 0 ||
        (tokens && tokens->dims == 2 &&
         json_object_set_new(s->config, "vocab_size", json_integer(tokens->shape[0])) != 0))
        return err_memory(e, "keys", 0);
    return ERR_OK;
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
    return mp_set_string(e, &s->about, "family", name);
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

/* A tokenizer that graft cannot be is a reason not to take the model, unless -t gave another. */
static enum err take_tokenizer(struct errctx *e, struct model_source *s)
{
    struct tokenizer_spec spec;
    if (s->has_tokenizer || !mp_get(&s->tensors.meta, "tokenizer.ggml.model")) return ERR_OK;
    if (tokenizer_source_keys(e, &s->tensors.meta, &spec) == ERR_OK) {
        model_source_take_tokenizer(s, &spec);
        return ERR_OK;
    }
    if (e->code != ERR_INPUT) return e->code;
    char why[sizeof e->message];
    snprintf(why, sizeof why, "%s", e->message);
    err_clear(e);
    return findings_add(e, &s->findings, "its tokenizer (-t gives another): %s", why);
}

enum err gguf_model_open(struct errctx *e, struct model_source *s, const char *path)
{
    s->format = "GGUF";
    TRY(gguf_open(e, path, &s->tensors));
    TRY(model_source_record(e, s, path));
    s->config = json_object();
    if (!s->config) return err_memory(e, "keys", 0);
    TRY(find_family(e, s));
    TRY(take_keys(e, s));
    TRY(take_shape(e, s));
    take_pooling(s);
    TRY(take_tokenizer(e, s));
    return model_source_match(e, s);
}
