/* SPDX-License-Identifier: Apache-2.0 */
/* hf_folder.c: a folder as transformers and sentence-transformers keep a model:
 *
 *     config.json  model.safetensors | model.safetensors.index.json  tokenizer.json ..
 *     modules.json  sentence_bert_config.json  config_sentence_transformers.json  1_Pooling/
 *
 * The second line is there of models that make vectors of texts; every module must be one that is
 * known, and every key of them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/convert/model_source.h"
#include "common/convert/tokenizer_source.h"
#include "formats/safetensors.h"

/* ------------------------------------------------------------------ modules */

static const struct {
    const char *key;
    unsigned bit;
} poolings[] = {
    {"pooling_mode_cls_token", POOLING_CLS},
    {"pooling_mode_max_tokens", POOLING_MAX},
    {"pooling_mode_mean_tokens", POOLING_MEAN},
    {"pooling_mode_mean_sqrt_len_tokens", POOLING_MEAN_SQRT},
    {"pooling_mode_weightedmean_tokens", POOLING_WEIGHTED_MEAN},
    {"pooling_mode_lasttoken", POOLING_LAST},
    {"cls", POOLING_CLS},
    {"max", POOLING_MAX},
    {"mean", POOLING_MEAN},
    {"mean_sqrt_len_tokens", POOLING_MEAN_SQRT},
    {"weightedmean", POOLING_WEIGHTED_MEAN},
    {"lasttoken", POOLING_LAST},
};

static unsigned pooling_bit(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(poolings); i++)
        if (strcmp(poolings[i].key, key) == 0) return poolings[i].bit;
    return 0;
}

static enum err unknown(struct errctx *e, struct model_source *s, const char *file, const char *key)
{
    return findings_add(e, &s->findings, "%s: key '%s' is not known, or not with this value", file,
                        key);
}

/* "pooling_mode": "mean", or a list of such names. */
static bool pooling_mode(const json_t *v, struct embedding *x)
{
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *name = json_is_array(v) ? json_array_get(v, i) : v;
        const unsigned bit = json_is_string(name) ? pooling_bit(json_string_value(name)) : 0;
        if (!bit) return false;
        x->pooling |= bit;
    }
    return n > 0;
}

static enum err take_pooling(struct errctx *e, struct model_source *s, const char *file,
                             const json_t *root)
{
    const char *key;
    json_t *v;
    struct embedding *x = &s->embedding;
    json_object_foreach((json_t *)(uintptr_t)root, key, v)
    {
        const unsigned bit = pooling_bit(key);
        if (bit && json_is_boolean(v))
            x->pooling |= json_is_true(v) ? bit : 0;
        else if (strcmp(key, "include_prompt") == 0 && json_is_boolean(v))
            x->include_prompt = json_is_true(v);
        else if (strcmp(key, "pooling_mode") == 0 && pooling_mode(v, x))
            continue;
        else if (strcmp(key, "word_embedding_dimension") != 0 &&
                 strcmp(key, "embedding_dimension") != 0)
            TRY(unknown(e, s, file, key));
    }
    if (!x->pooling) return findings_add(e, &s->findings, "%s: no pooling is chosen", file);
    return ERR_OK;
}

/* A module's place: a folder right below, or the folder itself. */
static bool is_plain_name(const char *path)
{
    return !strchr(path, '/') && strcmp(path, "..") != 0 && strcmp(path, ".") != 0;
}

struct module {
    const char *type, *path; /* type without its package */
};

static bool module_of(const json_t *v, struct module *m)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    const char *dot = type ? strrchr(type, '.') : NULL;
    m->path = json_string_value(json_object_get(v, "path"));
    m->type = dot ? dot + 1 : type;
    return m->type && m->path && is_plain_name(m->path);
}

static enum err take_module(struct errctx *e, struct model_source *s, const char *folder,
                            const struct module *m, size_t place)
{
    json_t *root;
    char *file;
    enum err r;
    if (place == 0 && strcmp(m->type, "Transformer") == 0) return ERR_OK;
    if (place == 2 && strcmp(m->type, "Normalize") == 0) {
        s->embedding.normalize = true;
        return ERR_OK;
    }
    if (place != 1 || strcmp(m->type, "Pooling") != 0)
        return findings_add(e, &s->findings,
                            "modules.json: module %zu is '%s': Transformer, "
                            "Pooling and Normalize, in this order, are known",
                            place, m->type);
    TRY(mem_printf(e, &file, "%s/config.json", m->path));
    r = model_source_json(e, s, folder, file, &root);
    if (r == ERR_OK && !json_is_object(root))
        r = findings_add(e, &s->findings, "%s: there is no such file, or it is no object", file);
    else if (r == ERR_OK)
        r = take_pooling(e, s, file, root);
    json_decref(root);
    mem_free(file);
    return r;
}

/* ------------------------------------------------------------------ settings of texts */

static enum err take_sentence_bert(struct errctx *e, struct model_source *s, const json_t *root)
{
    static const char file[] = "sentence_bert_config.json";
    static const char *const nothing[] = {"model_args",       "tokenizer_args", "config_args",
                                          "processor_args",   "model_kwargs",   "config_kwargs",
                                          "tokenizer_kwargs", "unpad_inputs",   "processing_kwargs",
                                          "processor_kwargs"};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)root, key, v)
    {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(nothing); i++)
            known = known ||
                    (strcmp(key, nothing[i]) == 0 && (json_is_null(v) || json_object_size(v) == 0));
        if (strcmp(key, "max_seq_length") == 0 && json_is_integer(v))
            s->embedding.max_length = json_integer_value(v);
        else if (!known && !(strcmp(key, "max_seq_length") == 0 && json_is_null(v)) &&
                 !(strcmp(key, "do_lower_case") == 0 && !json_is_true(v)) &&
                 !(strcmp(key, "transformer_task") == 0 && json_is_string(v) &&
                   strcmp(json_string_value(v), "feature-extraction") == 0) &&
                 strcmp(key, "modality_config") != 0 && strcmp(key, "module_output_name") != 0)
            TRY(unknown(e, s, file, key));
    }
    return ERR_OK;
}

static enum err take_prompts(struct errctx *e, struct model_source *s, const json_t *prompts)
{
    const char *name;
    json_t *text;
    json_object_foreach((json_t *)(uintptr_t)prompts, name, text)
    {
        if (json_is_string(text))
            TRY(embedding_add_prompt(e, &s->embedding, name, json_string_value(text)));
    }
    return ERR_OK;
}

static enum err take_sentence_settings(struct errctx *e, struct model_source *s, const json_t *root)
{
    static const char file[] = "config_sentence_transformers.json";
    static const char *const similarities[] = {"cosine", "dot", "euclidean", "manhattan"};
    struct embedding *x = &s->embedding;
    const char *key;
    json_t *v;
    TRY(take_prompts(e, s, json_object_get(root, "prompts")));
    json_object_foreach((json_t *)(uintptr_t)root, key, v)
    {
        const char *text = json_string_value(v);
        bool known = strcmp(key, "__version__") == 0 || strcmp(key, "prompts") == 0 ||
                     strcmp(key, "model_type") == 0 || json_is_null(v);
        if (strcmp(key, "default_prompt_name") == 0 && text && embedding_find_prompt(x, text)) {
            TRY(mem_strdup(e, &x->default_prompt, text));
            known = true;
        }
        for (size_t i = 0; i < ARRAY_LEN(similarities) && text; i++)
            if (strcmp(key, "similarity_fn_name") == 0 && strcmp(text, similarities[i]) == 0) {
                snprintf(x->similarity, sizeof x->similarity, "%s", text);
                known = true;
            }
        if (!known) TRY(unknown(e, s, file, key));
    }
    return ERR_OK;
}

static enum err optional(struct errctx *e, struct model_source *s, const char *folder,
                         const char *name,
                         enum err (*take)(struct errctx *, struct model_source *, const json_t *))
{
    json_t *root;
    enum err r = model_source_json(e, s, folder, name, &root);
    if (r == ERR_OK && root && !json_is_object(root))
        r = findings_add(e, &s->findings, "%s: it is no JSON object", name);
    else if (r == ERR_OK && root)
        r = take(e, s, root);
    json_decref(root);
    return r;
}

/* modules.json, where there is one; *body becomes the folder of the transformer. */
static enum err take_modules(struct errctx *e, struct model_source *s, const char *folder,
                             const json_t *modules, char **body)
{
    if (!json_is_array(modules))
        return findings_add(e, &s->findings, "modules.json: it is no list");
    for (size_t i = 0; i < json_array_size(modules); i++) {
        struct module m;
        if (!module_of(json_array_get(modules, i), &m))
            return findings_add(e, &s->findings,
                                "modules.json: module %zu has no type and path "
                                "that can be followed",
                                i);
        if (i == 0 && m.path[0]) TRY(mem_printf(e, body, "%s/%s", folder, m.path));
        TRY(take_module(e, s, folder, &m, i));
    }
    s->has_embedding = true;
    TRY(optional(e, s, *body ? *body : folder, "sentence_bert_config.json", take_sentence_bert));
    TRY(optional(e, s, folder, "config_sentence_transformers.json", take_sentence_settings));
    if (!s->embedding.pooling && s->findings.count == 0)
        return findings_add(e, &s->findings, "modules.json: no module does the pooling");
    return ERR_OK;
}

/* ------------------------------------------------------------------ what is said about it */

/* The value behind "\nKEY:" in the head of a card, without quotes. */
static enum err take_note(struct errctx *e, struct model_source *s, const char *head,
                          const char *key, const char *as)
{
    char value[128];
    const char *at = strstr(head, key);
    if (!at) return ERR_OK;
    at += strlen(key) + strspn(at + strlen(key), " \"'");
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\"'\r\n"), at);
    for (size_t n = strlen(value); n > 0 && value[n - 1] == ' '; n--) value[n - 1] = '\0';
    if (!value[0] || !mp_utf8(value, strlen(value))) return ERR_OK;
    return mp_set_string(e, &s->about, as, value);
}

/* Between the lines of three dashes that README.md begins with. */
static enum err take_card(struct errctx *e, struct model_source *s, const char *folder)
{
    static const char *const notes[][2] = {{"\nlicense:", "license"},
                                           {"\nmodel_name:", "name"},
                                           {"\nauthor:", "author"},
                                           {"\norganization:", "organization"}};
    char path[4096];
    struct bytes text = {0};
    if (snprintf(path, sizeof path, "%s/README.md", folder) >= (int)sizeof path) return ERR_OK;
    if (access(path, R_OK) != 0) return ERR_OK;
    TRY(io_slurp(e, path, 16 << 20, &text));
    TRY(bytes_append(e, &text, "", 1));
    char *card = (char *)text.data;
    char *end = strncmp(card, "---", 3) == 0 ? strstr(card + 3, "\n---") : NULL;
    if (end) *end = '\0';
    for (size_t i = 0; end && i < ARRAY_LEN(notes) && e->code == ERR_OK; i++)
        (void)!take_note(e, s, card, notes[i][0], notes[i][1]);
    bytes_fini(&text);
    return e->code;
}

/* ------------------------------------------------------------------ the model */

static enum err find_family(struct errctx *e, struct model_source *s)
{
    char list[256];
    const char *type = json_string_value(json_object_get(s->config, "model_type"));
    if (!type) return findings_add(e, &s->findings, "config.json: key 'model_type' is missing");
    s->family = family_find(type);
    if (!s->family)
        return findings_add(e, &s->findings,
                            "config.json: models of type '%s' are not known; "
                            "those that are: %s",
                            type, family_list(false, list, sizeof list));
    return mp_set_string(e, &s->about, "family", type);
}

/* One file, or the shards of an index. What pickles hold is not data but a program. */
static enum err find_weights(struct errctx *e, const char *folder, char **path)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        TRY(mem_printf(e, path, "%s/%s", folder, names[i]));
        if (access(*path, F_OK) == 0 && i < 2) return ERR_OK;
        if (access(*path, F_OK) == 0)
            err_set(e, ERR_INPUT,
                    "'%s': pickles are not read; convert it: python3 -c 'from transformers import "
                    "AutoModel as M; M.from_pretrained(\"%s\").save_pretrained(\"%s\")'",
                    *path, folder, folder);
        mem_free(*path);
        *path = NULL;
        TRY(e->code);
    }
    return err_set(e, ERR_INPUT, "'%s' holds no %s", folder, names[0]);
}

static enum err open_weights(struct errctx *e, struct model_source *s, const char *folder)
{
    char *path;
    TRY(find_weights(e, folder, &path));
    (void)!safetensors_open(e, path, &s->tensors);
    mem_free(path);
    TRY(e->code);
    for (size_t i = 0; i < s->tensors.files_count; i++)
        TRY(model_source_record_large(e, s, s->tensors.files[i].path));
    return ERR_OK;
}

/* tokenizer.json, where there is one. Other forms of it are pointed out, not guessed at. */
static enum err take_tokenizer(struct errctx *e, struct model_source *s, const char *folder)
{
    static const char *const others[] = {"tokenizer.model", "vocab.txt", "vocab.json",
                                         "sentencepiece.bpe.model", "spiece.model"};
    const struct import_tiktoken_cfg none = {0};
    char *path;
    uint64_t bytes = 0;
    if (s->has_tokenizer) return ERR_OK;
    TRY(mem_printf(e, &path, "%s/tokenizer.json", folder));
    s->has_tokenizer = access(path, F_OK) == 0;
    if (s->has_tokenizer && tokenizer_source_load(e, s->run, path, SOURCE_TOKENIZER_JSON, &none,
                                                  &s->tokenizer, &bytes) != ERR_OK)
        s->has_tokenizer = false;
    mem_free(path);
    if (e->code != ERR_OK) return model_source_no_tokenizer(e, s);
    for (size_t i = 0; i < ARRAY_LEN(others) && !s->has_tokenizer; i++) {
        TRY(mem_printf(e, &path, "%s/%s", folder, others[i]));
        if (access(path, F_OK) == 0)
            prog_warn("'%s' is not read: the model is left without a tokenizer (-t gives it one)",
                      path);
        mem_free(path);
    }
    return ERR_OK;
}

static enum err open_body(struct errctx *e, struct model_source *s, const char *folder)
{
    TRY(model_source_json(e, s, folder, "config.json", &s->config));
    if (!s->config)
        return err_set(e, ERR_INPUT, "'%s' holds no config.json: it is no folder of a model",
                       folder);
    if (!json_is_object(s->config))
        return err_set(e, ERR_INPUT, "'%s/config.json': it is no JSON object", folder);
    TRY(find_family(e, s));
    TRY(open_weights(e, s, folder));
    TRY(take_tokenizer(e, s, folder));
    return model_source_match(e, s);
}

enum err hf_folder_open(struct errctx *e, struct model_source *s, const char *path)
{
    json_t *modules;
    char *body = NULL;
    s->format = "folder of transformers";
    enum err r = model_source_json(e, s, path, "modules.json", &modules);
    if (r == ERR_OK && modules) {
        s->format = "folder of sentence-transformers";
        r = take_modules(e, s, path, modules, &body);
    }
    if (r == ERR_OK) r = take_card(e, s, path);
    if (r == ERR_OK) r = open_body(e, s, body ? body : path);
    mem_free(body);
    json_decref(modules);
    return r;
}
