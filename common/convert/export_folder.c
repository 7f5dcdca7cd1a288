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
#include "common/convert/tokenizer_export.h"
#include "formats/safetensors.h"

#define WEIGHTS "model.safetensors"
#define INDEX   "model.safetensors.index.json"

enum { FILES = 16, SHARDS_LIMIT = 500 };

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

static enum err put_text(struct errctx *e, struct folder_writer *w, const char *name,
                         const char *text, size_t n)
{
    char *path;
    TRY(mem_printf(e, &path, "%s/%s", w->path, name));
    if (outfile_open(e, path, &w->files[w->count]) == ERR_OK) {
        struct outfile *f = &w->files[w->count++];
        if (outfile_write(e, f, text, n) == ERR_OK) (void)!outfile_sync(e, f);
    }
    mem_free(path);
    return e->code;
}

/* Takes the reference. */
static enum err put_json(struct errctx *e, struct folder_writer *w, const char *name, json_t *root)
{
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
    struct bytes line = {0};
    json_decref(root);
    if (!text) return err_memory(e, "JSON", 0);
    if (bytes_printf(e, &line, "%s\n", text) == ERR_OK)
        (void)!put_text(e, w, name, (const char *)line.data, line.len);
    bytes_fini(&line);
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

/* What is said about it: the head of its card. What would need escapes there is left out. */
static enum err put_card(struct errctx *e, struct folder_writer *w, const struct model_export *x)
{
    static const char *const notes[][2] = {{"license", "license"},
                                           {"model_name", "name"},
                                           {"author", "author"},
                                           {"organization", "organization"}};
    struct bytes card = {0};
    for (size_t i = 0; i < ARRAY_LEN(notes) && e->code == ERR_OK; i++) {
        const char *text = model_export_about(x, notes[i][1]);
        if (!text || strpbrk(text, "\"\\\r\n'")) continue;
        if (!card.len) (void)!bytes_printf(e, &card, "---\n");
        if (e->code == ERR_OK)
            (void)!bytes_printf(e, &card, i ? "%s: \"%s\"\n" : "%s: %s\n", notes[i][0], text);
    }
    if (e->code == ERR_OK && card.len && bytes_printf(e, &card, "---\n") == ERR_OK)
        (void)!put_text(e, w, "README.md", (const char *)card.data, card.len);
    bytes_fini(&card);
    return e->code;
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

struct shards {
    struct errctx *e;
    const struct model_export *x;
    const char *folder;
    struct tensor_out *outs;
    size_t *first; /* entry of each file; behind the last: the number of entries */
    size_t count, at;
    bool open; /* the one at `at` */
};

static enum err bytes_of(struct errctx *e, const struct tensor_entry *t, size_t *bytes)
{
    if (dtype_shape_bytes(t->dtype, t->dims, t->shape, bytes)) return ERR_OK;
    return err_set(e, ERR_INPUT, "tensor '%s' has an impossible shape", t->name);
}

/* A file is closed before the tensor that would make it too large. */
static enum err cut_shards(struct errctx *e, struct shards *s)
{
    const struct model_export *x = s->x;
    size_t bytes, size = 0;
    TRY(mem_new(e, &s->first, x->count + 1, sizeof *s->first, "files"));
    s->count = 1;
    for (size_t i = 0; i < x->count; i++) {
        TRY(bytes_of(e, &x->entries[i], &bytes));
        if (size > 0 && (bytes > x->cfg.shard_size || size > x->cfg.shard_size - bytes)) {
            s->first[s->count++] = i;
            size = 0;
        }
        size += bytes;
    }
    s->first[s->count] = x->count;
    if (s->count > SHARDS_LIMIT)
        return err_set(e, ERR_USAGE, "--shard-size makes %zu files: %d are the most", s->count,
                       SHARDS_LIMIT);
    return mem_new(e, &s->outs, s->count, sizeof *s->outs, "files");
}

static enum err shard_name(struct errctx *e, const struct shards *s, size_t i, char **name)
{
    if (s->count == 1) return mem_strdup(e, name, WEIGHTS);
    return mem_printf(e, name, "model-%05zu-of-%05zu.safetensors", i + 1, s->count);
}

static enum err open_shard(struct errctx *e, struct shards *s)
{
    const size_t from = s->first[s->at], n = s->first[s->at + 1] - from;
    struct mp_value meta;
    char *name, *path = NULL;
    TRY(shard_name(e, s, s->at, &name));
    mp_map_init(&meta);
    if (mem_printf(e, &path, "%s/%s", s->folder, name) == ERR_OK &&
        mp_set_string(e, &meta, "format", "pt") == ERR_OK)
        (void)!safetensors_create(e, path, s->x->entries + from, n, &meta, &s->outs[s->at]);
    mp_fini(&meta);
    mem_free(path);
    mem_free(name);
    s->open = e->code == ERR_OK;
    return e->code;
}

static enum err put_bytes(struct errctx *e, void *ctx, size_t entry, const void *data, size_t n)
{
    struct shards *s = ctx;
    while (entry >= s->first[s->at + 1]) {
        TRY(tensor_out_sync(e, &s->outs[s->at++]));
        s->open = false;
    }
    if (!s->open) TRY(open_shard(e, s));
    return tensor_out_write(e, &s->outs[s->at], data, n);
}

/* Which file a tensor is in. */
static enum err put_index(struct errctx *e, struct folder_writer *w, const struct shards *s)
{
    json_t *map = json_object();
    size_t bytes, size = 0;
    int64_t parameters = 0;
    if (s->count == 1) {
        json_decref(map);
        return ERR_OK;
    }
    for (size_t f = 0; f < s->count; f++) {
        char *name;
        TRY(shard_name(e, s, f, &name));
        for (size_t i = s->first[f]; i < s->first[f + 1]; i++) {
            const struct tensor_entry *t = &s->x->entries[i];
            TRY(bytes_of(e, t, &bytes));
            size += bytes;
            parameters += t->shape[0] * (t->dims == 2 ? t->shape[1] : 1);
            (void)json_object_set_new(map, t->name, json_string(name));
        }
        mem_free(name);
    }
    return put_json(e, w, INDEX,
                    json_pack("{s:{s:I, s:I}, s:o}", "metadata", "total_parameters",
                              (json_int_t)parameters, "total_size", (json_int_t)size, "weight_map",
                              map));
}

/* Weights that stay there from before, and that would be read instead of these. */
static enum err check_stale(struct errctx *e, const struct shards *s)
{
    const char *other = s->count == 1 ? INDEX : WEIGHTS;
    struct stat st;
    char *path;
    TRY(mem_printf(e, &path, "%s/%s", s->folder, other));
    if (stat(path, &st) == 0)
        err_set(e, ERR_USAGE, "'%s' is there already, and would not fit what is to be written",
                path);
    mem_free(path);
    return e->code;
}

static enum err write_weights(struct errctx *e, struct model_export *x, struct shards *s)
{
    TRY(cut_shards(e, s));
    TRY(check_stale(e, s));
    TRY(model_export_write(e, x, put_bytes, s));
    return tensor_out_sync(e, &s->outs[s->at]);
}

static enum err finish_weights(struct errctx *e, struct shards *s)
{
    for (size_t i = 0; s->outs && i < s->count; i++)
        if (e->code == ERR_OK)
            (void)!tensor_out_commit(e, &s->outs[i]);
        else
            tensor_out_abort(&s->outs[i]);
    mem_free(s->outs);
    mem_free(s->first);
    return e->code;
}

/* ------------------------------------------------------------------ all of it */

static enum err put_tokenizer(struct errctx *e, struct folder_writer *w,
                              const struct model_export *x)
{
    struct tokenizer_files files;
    if (!x->has_tokenizer) return ERR_OK;
    if (tokenizer_files_make(e, &x->tokenizer, FORM_HF, x->c.types > 1, &files) == ERR_OK)
        for (size_t i = 0; i < files.count && e->code == ERR_OK; i++) {
            const struct bytes *text = &files.items[i].text;
            (void)!put_text(e, w, files.items[i].name, (const char *)text->data, text->len);
        }
    tokenizer_files_fini(&files);
    return e->code;
}

static enum err put_all(struct errctx *e, struct folder_writer *w, const struct model_export *x,
                        const struct shards *s)
{
    TRY(put_index(e, w, s));
    TRY(put_config(e, w, x));
    TRY(put_generation(e, w, x));
    TRY(put_card(e, w, x));
    TRY(put_tokenizer(e, w, x));
    return put_modules(e, w, x);
}

enum err model_export_folder(struct errctx *e, struct model_export *x, const char *folder)
{
    struct folder_writer w = {.path = folder};
    struct shards s = {.e = e, .x = x, .folder = folder};
    TRY(model_export_prepare(e, x));
    TRY(make_folder(e, folder, NULL));
    if (write_weights(e, x, &s) == ERR_OK) (void)!put_all(e, &w, x, &s);
    (void)!finish_weights(e, &s);
    for (size_t i = 0; i < w.count; i++)
        if (e->code == ERR_OK)
            (void)!outfile_commit(e, &w.files[i]);
        else
            outfile_abort(&w.files[i]);
    return e->code;
}
