/* SPDX-License-Identifier: Apache-2.0 */
/* export_folder.c: a folder as transformers and sentence-transformers read it. All files are made
 * durable before the first gets its name. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/convert/model_export.h"
#include "formats/safetensors.h"

enum { FILES = 8 };

struct folder_writer {
    const char *path;
    struct outfile files[FILES];
    size_t count;
};

static enum err make_folder(struct errctx *e, const char *folder, const char *below)
{
    char *path;
    TRY(mem_printf(e, &path, "%s%s%s", folder, below ? "/" : "", below ? below : ""));
    if (mkdir(path, 0777) != 0 && errno != EEXIST) err_errno(e, "cannot make '%s'", path);
    mem_free(path);
    return e->code;
}

/* Takes the reference. */
static enum err put_json(struct errctx *e, struct folder_writer *w, const char *name, json_t *root)
{
    char *path = NULL, *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) return err_memory(e, "JSON", 0);
    if (mem_printf(e, &path, "%s/%s", w->path, name) == ERR_OK &&
        outfile_open(e, path, &w->files[w->count]) == ERR_OK) {
        struct outfile *f = &w->files[w->count++];
        if (outfile_write(e, f, text, strlen(text)) == ERR_OK &&
            outfile_write(e, f, "\n", 1) == ERR_OK)
            (void)!outfile_sync(e, f);
    }
    mem_free(path);
    free(text);
    return e->code;
}

/* ------------------------------------------------------------------ texts */

static json_t *id_or_null(const struct model_export *x, const char *role)
{
    const int64_t id = x->has_tokenizer ? tokenizer_spec_special(&x->tokenizer, role) : -1;
    return id < 0 ? json_null() : json_integer(id);
}

static enum err put_config(struct errctx *e, struct folder_writer *w, const struct model_export *x)
{
    const bool body = x->family->body && !x->c.mlm_head;
    static const char *const names[] = {
        [DTYPE_F32] = "float32", [DTYPE_F16] = "float16", [DTYPE_BF16] = "bfloat16"};
    json_t *root = json_deep_copy(x->config);
    if (!root) return err_memory(e, "JSON", 0);
    json_object_set_new(root, "model_type", json_string(x->family->name));
    json_object_set_new(root, "architectures",
                        json_pack("[s]", body ? x->family->body : x->family->architecture));
    json_object_set_new(root, "dtype", json_string(names[x->entries[0].dtype]));
    json_object_set_new(root, "bos_token_id", id_or_null(x, "bos"));
    json_object_set_new(root, "eos_token_id", id_or_null(x, "eos"));
    return put_json(e, w, "config.json", root);
}

static enum err put_generation(struct errctx *e, struct folder_writer *w,
                               const struct model_export *x)
{
    if (!x->c.causal || !x->has_tokenizer) return ERR_OK;
    json_t *root = json_object();
    static const char *const roles[][2] = {
        {"bos", "bos_token_id"}, {"eos", "eos_token_id"}, {"pad", "pad_token_id"}};
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (tokenizer_spec_special(&x->tokenizer, roles[i][0]) >= 0)
            json_object_set_new(root, roles[i][1], id_or_null(x, roles[i][0]));
    return put_json(e, w, "generation_config.json", root);
}

static json_t *module_json(int64_t place, const char *path, const char *type)
{
    char full[64];
    snprintf(full, sizeof full, "sentence_transformers.models.%s", type);
    return json_pack("{s:I, s:o, s:s, s:s}", "idx", (json_int_t)place, "name",
                     json_sprintf("%lld", (long long)place), "path", path, "type", full);
}

static json_t *pooling_json(const struct model_export *x)
{
    static const char *const keys[] = {
        "pooling_mode_cls_token",           "pooling_mode_max_tokens",
        "pooling_mode_mean_tokens",         "pooling_mode_mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"};
    json_t *root = json_object();
    json_object_set_new(root, "word_embedding_dimension", json_integer(x->c.width));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        json_object_set_new(root, keys[i], json_boolean(x->embedding.pooling & 1u << i));
    json_object_set_new(root, "include_prompt", json_boolean(x->embedding.include_prompt));
    return root;
}

static json_t *settings_json(const struct embedding *x)
{
    json_t *prompts = json_object();
    for (size_t i = 0; i < x->prompts_count; i++)
        json_object_set_new(prompts, x->prompts[i].name, json_string(x->prompts[i].text));
    return json_pack("{s:o, s:o, s:s}", "prompts", prompts, "default_prompt_name",
                     x->default_prompt ? json_string(x->default_prompt) : json_null(),
                     "similarity_fn_name", x->similarity);
}

static enum err put_modules(struct errctx *e, struct folder_writer *w, const struct model_export *x)
{
    json_t *list;
    const int64_t most = x->embedding.max_length;
    if (!x->has_embedding) return ERR_OK;
    list = json_pack("[o, o]", module_json(0, "", "Transformer"),
                     module_json(1, "1_Pooling", "Pooling"));
    if (x->embedding.normalize)
        json_array_append_new(list, module_json(2, "2_Normalize", "Normalize"));
    TRY(put_json(e, w, "modules.json", list));
    TRY(make_folder(e, w->path, "1_Pooling"));
    TRY(put_json(e, w, "1_Pooling/config.json", pooling_json(x)));
    TRY(put_json(e, w, "sentence_bert_config.json",
                 json_pack("{s:o, s:b}", "max_seq_length", most ? json_integer(most) : json_null(),
                           "do_lower_case", 0)));
    return put_json(e, w, "config_sentence_transformers.json", settings_json(&x->embedding));
}

/* ------------------------------------------------------------------ weights */

static enum err write_weights(struct errctx *e, const struct model_export *x, const char *folder,
                              struct tensor_out *w)
{
    struct mp_value meta;
    char *path;
    TRY(mem_printf(e, &path, "%s/model.safetensors", folder));
    mp_map_init(&meta);
    if (mp_set_string(e, &meta, "format", "pt") == ERR_OK)
        (void)!safetensors_create(e, path, x->entries, x->count, &meta, w);
    mp_fini(&meta);
    mem_free(path);
    for (size_t i = 0; i < x->count; i++) {
        TRY(e->code);
        TRY(model_export_tensor(e, x, i, w));
        prog_progress_count("tensors", (int64_t)i + 1, (int64_t)x->count);
    }
    prog_progress_done();
    return tensor_out_sync(e, w);
}

enum err model_export_folder(struct errctx *e, struct model_export *x, const char *folder)
{
    struct folder_writer w = {.path = folder};
    struct tensor_out weights = {0};
    TRY(model_export_prepare(e, x));
    TRY(make_folder(e, folder, NULL));
    if (write_weights(e, x, folder, &weights) == ERR_OK && put_config(e, &w, x) == ERR_OK &&
        put_generation(e, &w, x) == ERR_OK)
        (void)!put_modules(e, &w, x);
    if (e->code == ERR_OK) (void)!tensor_out_commit(e, &weights);
    for (size_t i = 0; i < w.count; i++)
        if (e->code == ERR_OK)
            (void)!outfile_commit(e, &w.files[i]);
        else
            outfile_abort(&w.files[i]);
    if (e->code != ERR_OK) tensor_out_abort(&weights);
    if (e->code == ERR_OK && x->has_tokenizer)
        prog_warn("'%s': the tokenizer is not written", folder);
    return e->code;
}
