/* SPDX-License-Identifier: Apache-2.0 */
/* export_gguf.c: a file of llama.cpp: the keys of the family's table behind its name, the
 * tokenizer's, what is said about the model, and under "graft." what GGUF has no key for. */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/convert/model_export.h"
#include "common/convert/model_source.h"
#include "common/text/export_gguf_tokenizer.h"
#include "formats/gguf.h"
#include "formats/mp_json.h"

enum { QUANTISATION_VERSION = 2 };

struct gguf_head {
    struct mp_value meta, types;
};

/* ------------------------------------------------------------------ keys */

/* general.file_type: the type that most of the weights have. */
static int64_t file_type(const struct model_export *x)
{
    static const struct {
        enum dtype type;
        int number;
    } names[] = {{DTYPE_F32, 0},   {DTYPE_F16, 1},   {DTYPE_Q4_0, 2}, {DTYPE_Q4_1, 3},
                 {DTYPE_Q8_0, 7},  {DTYPE_Q5_0, 8},  {DTYPE_Q5_1, 9}, {DTYPE_Q4_K, 15},
                 {DTYPE_Q5_K, 17}, {DTYPE_Q6_K, 18}, {DTYPE_BF16, 32}};
    int64_t counts[DTYPE_COUNT] = {0}, best = 0;
    int number = 0;
    for (size_t i = 0; i < x->count; i++)
        if (x->entries[i].dims == 2)
            counts[x->entries[i].dtype] += x->entries[i].shape[0] * x->entries[i].shape[1];
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (counts[names[i].type] > best) {
            best = counts[names[i].type];
            number = names[i].number;
        }
    return number;
}

static enum err put_general(struct errctx *e, const struct model_export *x, struct gguf_head *h)
{
    static const char *const kept[][2] = {{"general.name", "name"},
                                          {"general.author", "author"},
                                          {"general.organization", "organization"},
                                          {"general.license", "license"}};
    TRY(mp_set_string(e, &h->meta, "general.architecture", x->family->name));
    TRY(mp_set_string(e, &h->meta, "general.type", "model"));
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const char *text = model_export_about(x, kept[i][1]);
        if (text) TRY(mp_set_string(e, &h->meta, kept[i][0], text));
    }
    TRY(mp_set_int(e, &h->meta, "general.file_type", file_type(x)));
    return mp_set_int(e, &h->meta, "general.quantization_version", QUANTISATION_VERSION);
}

/* The family's keys; those of the shape are in the tensors already. */
static enum err put_config(struct errctx *e, const struct model_export *x, struct gguf_head *h)
{
    const char *key;
    json_t *v;
    json_object_foreach(x->config, key, v)
    {
        struct mp_value value;
        char full[128];
        if (json_is_null(v) || family_is_shape(key)) continue;
        snprintf(full, sizeof full, "%s.%s", x->family->name, key);
        TRY(mp_from_json(e, v, &value));
        TRY(mp_set_take(e, &h->meta, full, &value));
    }
    return ERR_OK;
}

/* How encoders make vectors; llama.cpp knows these three. */
static enum err put_pooling(struct errctx *e, const struct model_export *x, struct gguf_head *h)
{
    static const struct {
        unsigned pooling;
        int number;
    } kinds[] = {{POOLING_MEAN, 1}, {POOLING_CLS, 2}, {POOLING_LAST, 3}};
    char key[64];
    int number = 0;
    if (x->c.causal) return ERR_OK;
    for (size_t i = 0; x->has_embedding && i < ARRAY_LEN(kinds); i++)
        if (x->embedding.pooling == kinds[i].pooling) number = kinds[i].number;
    if (x->has_embedding && number == 0)
        prog_warn("llama.cpp has no pooling like the model's: what uses it must do it itself");
    snprintf(key, sizeof key, "%s.pooling_type", x->family->name);
    TRY(mp_set_int(e, &h->meta, key, number));
    return mp_set_int(e, &h->meta, "tokenizer.ggml.token_type_count", x->c.types ? x->c.types : 1);
}

static enum err put_embedding(struct errctx *e, const struct model_export *x, struct gguf_head *h)
{
    struct mp_value map;
    if (!x->has_embedding) return ERR_OK;
    mp_map_init(&map);
    if (embedding_to_meta(e, &x->embedding, &map) == ERR_OK) {
        json_t *root = mp_to_json(&map, true);
        char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        if (text)
            (void)!mp_set_string(e, &h->meta, GGUF_NOTES "embedding", text);
        else
            (void)err_memory(e, "keys", 0);
        free(text);
        json_decref(root);
    }
    mp_fini(&map);
    return e->code;
}

static enum err put_notes(struct errctx *e, const struct model_export *x, struct gguf_head *h)
{
    const char *family = model_export_about(x, "family");
    if (family && strcmp(family, x->family->name) != 0)
        TRY(mp_set_string(e, &h->meta, GGUF_NOTES "family", family));
    if (x->c.init_std != x->family->base->c.init_std) {
        TRY(mp_set_real(e, &h->meta, GGUF_NOTES "init_std", x->c.init_std));
        TRY(mp_set_string(e, &h->types, GGUF_NOTES "init_std", "f64"));
    }
    return put_embedding(e, x, h);
}

static enum err put_tokenizer(struct errctx *e, const struct model_export *x, struct gguf_head *h)
{
    char lost[256];
    if (!x->has_tokenizer) return export_gguf_no_tokenizer(e, &h->meta);
    TRY(export_gguf_tokenizer(e, &x->tokenizer, x->c.vocab, &h->meta, &h->types, lost,
                              sizeof lost));
    if (lost[0])
        prog_warn("llama.cpp's tokenizer is not quite the model's: GGUF cannot say all of its %s",
                  lost);
    return ERR_OK;
}

static enum err make_head(struct errctx *e, const struct model_export *x, struct gguf_head *h)
{
    TRY(put_general(e, x, h));
    TRY(put_config(e, x, h));
    TRY(put_pooling(e, x, h));
    TRY(put_tokenizer(e, x, h));
    return put_notes(e, x, h);
}

/* ------------------------------------------------------------------ the file */

/* What is other than it was. llama.cpp reads a window only of Gemma 2. */
static void warn(const struct model_export *x)
{
    if (x->headless) prog_warn("GGUF has no masked heads: the model's is left out");
    if (x->c.window == 0 || strcmp(x->family->name, "gemma2") == 0) return;
    prog_warn("llama.cpp computes models of '%s' without their window: rows of more than %lld "
              "tokens become something else there",
              x->family->name, (long long)x->c.window);
}

static enum err put_bytes(struct errctx *e, void *ctx, size_t entry, const void *data, size_t n)
{
    (void)entry;
    return tensor_out_write(e, ctx, data, n);
}

enum err model_export_gguf(struct errctx *e, struct model_export *x, const char *path)
{
    struct gguf_head h;
    struct tensor_out out = {0};
    TRY(model_export_prepare(e, x));
    TRY(model_export_tokenizer(e, x));
    mp_map_init(&h.meta);
    mp_map_init(&h.types);
    if (make_head(e, x, &h) == ERR_OK)
        (void)!gguf_create(e, path, x->entries, x->count, &h.meta, &h.types, &out);
    mp_fini(&h.meta);
    mp_fini(&h.types);
    TRY(e->code);
    warn(x);
    if (model_export_write(e, x, put_bytes, &out) == ERR_OK) return tensor_out_commit(e, &out);
    tensor_out_abort(&out);
    return e->code;
}
