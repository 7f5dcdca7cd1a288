/* SPDX-License-Identifier: Apache-2.0 */
/* model_export.c: see model_export.h: what will be written. The numbers are export_write.c's. */
#include "common/convert/model_export.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/convert/match.h"
#include "formats/gguf_types.h"

/* ------------------------------------------------------------------ opening */

static enum err read_notes(struct errctx *e, const char *name, struct model_export *x)
{
    const struct mp_value *meta = &stream_reader_begin(x->reader)->meta;
    const struct mp_value *config = mp_get(meta, "config"), *embedding = mp_get(meta, "embedding");
    if (!config) return err_set(e, ERR_INPUT, "'%s': meta key 'config' is missing", name);
    if (model_config_from_meta(e, config, &x->c) != ERR_OK) return err_prefix(e, "'%s'", name);
    x->headless = x->cfg.to == EXPORT_GGUF && x->c.mlm_head;
    if (x->headless) {
        x->c.mlm_head = false;
        x->c.tied = true;
    }
    TRY(param_table_build(e, &x->c, &x->params));
    x->about = mp_get(meta, "about");
    x->has_tokenizer = mp_get(meta, "tokenizer") != NULL;
    if (!embedding) return ERR_OK;
    TRY(embedding_from_meta(e, embedding, &x->embedding));
    x->has_embedding = true;
    return ERR_OK;
}

enum err model_export_open(struct errctx *e, struct run *run, const char *path,
                           const struct export_cfg *cfg, struct model_export *x)
{
    struct stream_reader_cfg reading = STREAM_READER_CFG;
    *x = (struct model_export){.cfg = *cfg};
    embedding_init(&x->embedding);
    tokenizer_spec_init(&x->tokenizer);
    stream_begin_init(&x->gather.begin, STREAM_TOKENIZER);
    reading.kind = STREAM_MODEL;
    reading.segments = 1;
    reading.spool = cfg->to == EXPORT_GGUF;
    TRY(stream_reader_open(e, run, "model", path, &reading, &x->reader));
    return read_notes(e, stream_reader_name(x->reader), x);
}

void model_export_close(struct model_export *x)
{
    for (size_t i = 0; i < x->count; i++) mem_free((char *)(uintptr_t)x->entries[i].name);
    mem_free(x->entries);
    mem_free(x->parts);
    mem_free(x->first);
    mem_free(x->divisors);
    json_decref(x->config);
    param_table_fini(&x->params);
    embedding_fini(&x->embedding);
    tokenizer_spec_fini(&x->tokenizer);
    stream_tensors_fini(&x->gather);
    stream_reader_close(x->reader);
    *x = (struct model_export){0};
}

const char *model_export_about(const struct model_export *x, const char *key)
{
    const struct mp_value *v = x->about && x->about->type == MP_MAP ? mp_get(x->about, key) : NULL;
    return v && v->type == MP_STRING ? v->as.bytes.data : NULL;
}

/* ------------------------------------------------------------------ the family */

/* Numbers that are the same in F32 are: GGUF keeps them so. */
static bool same_value(const struct mp_value *a, const struct mp_value *b, bool rounded)
{
    if (rounded && a->type == MP_REAL && b->type == MP_REAL)
        return (float)a->as.real == (float)b->as.real;
    if (!rounded || a->type != MP_ARRAY || b->type != MP_ARRAY) return mp_equal(a, b);
    bool same = a->as.list.count == b->as.list.count;
    for (size_t i = 0; same && i < a->as.list.count; i++)
        same = same_value(&a->as.list.items[i], &b->as.list.items[i], true);
    return same;
}

/* Fields that no number of a trained model depends on, and that GGUF has nothing for. */
static bool is_unsaid(const struct family *family, const char *key)
{
    return family->gguf && (strcmp(key, "init_std") == 0 || strcmp(key, "position_offset") == 0);
}

/* The first field in which two maps of a configuration differ; NULL: none. */
static const char *first_difference(const struct family *family, const struct mp_value *a,
                                    const struct mp_value *b)
{
    for (size_t i = 0; i < a->as.list.count; i += 2) {
        const char *key = a->as.list.items[i].as.bytes.data;
        const struct mp_value *other = mp_get(b, key);
        if (is_unsaid(family, key)) continue;
        if (!other || !same_value(&a->as.list.items[i + 1], other, family->gguf)) return key;
    }
    return NULL;
}

/* Whether two configurations compute the same: *differs is a field in which not, or "". */
static enum err compare_configs(struct errctx *e, const struct family *family,
                                const struct model_config *a, const struct model_config *b,
                                char *differs, size_t n)
{
    struct model_config other = *b;
    struct mp_value left, right;
    const char *key = NULL;
    memcpy(other.arch, a->arch, sizeof other.arch);
    mp_map_init(&left);
    mp_map_init(&right);
    if (model_config_to_meta(e, a, &left) == ERR_OK &&
        model_config_to_meta(e, &other, &right) == ERR_OK) {
        key = first_difference(family, &left, &right);
        if (!key) key = first_difference(family, &right, &left);
    }
    snprintf(differs, n, "%s", key ? key : "");
    mp_fini(&left);
    mp_fini(&right);
    return e->code;
}

/* *why says why not, and is "" when it fits. */
static enum err try_family(struct errctx *e, struct model_export *x, const struct family *family,
                           char *why, size_t n)
{
    struct findings f = {0};
    struct family_config back;
    json_t *root = json_object();
    char differs[64] = "";
    why[0] = '\0';
    if (!root) return err_memory(e, "configuration", 0);
    if (family_write_config(e, family, &x->c, root) == ERR_OK &&
        family_read_config(e, family, root, !x->c.mlm_head, &back, &f) == ERR_OK) {
        if (f.count)
            snprintf(why, n, "%s", f.lines[0]);
        else if (compare_configs(e, family, &x->c, &back.c, differs, sizeof differs) == ERR_OK &&
                 differs[0])
            snprintf(why, n, "field '%s' of its configuration cannot be said there", differs);
    }
    findings_fini(&f);
    if (e->code == ERR_OK && !why[0]) {
        x->family = family;
        x->config = root;
    } else {
        json_decref(root);
    }
    return e->code;
}

/* The family of this name, or the one that it is part of in GGUF. */
static const struct family *family_by_name(enum export_to to, const char *name)
{
    static const char *const parts[][2] = {{"mistral", "llama"},
                                           {"gpt_neox", "gptneox"},
                                           {"roberta", "bert"},
                                           {"xlm-roberta", "bert"},
                                           {"distilbert", "bert"}};
    if (to == EXPORT_HF) return family_find(name);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (strcmp(parts[i][0], name) == 0) name = parts[i][1];
    return family_find_gguf(name);
}

/* The one it came from is tried first: several may have the same configuration. */
static enum err find_family(struct errctx *e, struct model_export *x)
{
    const enum export_to to = x->cfg.to;
    const char *name = model_export_about(x, "family");
    const struct family *own = name ? family_by_name(to, name) : NULL;
    char own_why[256] = "", why[256];
    if (!own) own = family_by_name(to, x->c.arch);
    if (own) TRY(try_family(e, x, own, own_why, sizeof own_why));
    for (size_t i = 0; !x->family && family_at(to == EXPORT_GGUF, i); i++)
        TRY(try_family(e, x, family_at(to == EXPORT_GGUF, i), why, sizeof why));
    if (x->family) return ERR_OK;
    const char *kind = to == EXPORT_GGUF ? "GGUF" : "transformers";
    if (!own)
        return err_set(e, ERR_INPUT,
                       "no family of %s that is known has a model of this configuration", kind);
    return err_set(e, ERR_INPUT,
                   "no family of %s that is known has a model of this configuration (not '%s': %s)",
                   kind, own->name, own_why);
}

/* ------------------------------------------------------------------ tensors */

static int64_t rows_of(const struct model_config *c, const struct param *p,
                       const struct tensor_rule *rule, int64_t *first)
{
    const int64_t q = c->heads * c->head_size, k = c->kv_heads * c->head_size;
    const enum tensor_part part = rule->part;
    *first = part == PART_K ? q : part == PART_V ? q + k : part == PART_UP ? c->mlp : 0;
    if (rule->flags & TENSOR_PLACES) *first = c->position_offset;
    if (part == PART_ALL) return p->shape[0] - *first;
    if (part == PART_GATE || part == PART_UP) return c->mlp;
    return part == PART_Q ? q : k;
}

static bool is_table(const struct param *p)
{
    return strcmp(p->name, "embed.tokens.weight") == 0 || strcmp(p->name, "head.weight") == 0;
}

/* llama.cpp computes with vectors, and tables of places, in F32 only; what is read by every token
 * is hurt most by four bits. */
static enum dtype gguf_type(const struct model_export *x, const struct param *p,
                            const struct tensor_rule *rule, enum dtype stored)
{
    enum dtype t = x->cfg.type;
    uint32_t number;
    if (p->dims == 1 || (rule->flags & TENSOR_F32)) return DTYPE_F32;
    if (is_table(p) && (t == DTYPE_Q4_0 || t == DTYPE_Q4_1)) t = DTYPE_Q8_0;
    if (t == DTYPE_NONE || p->shape[1] % dtype_unit(t) != 0) t = stored;
    return gguf_number(t, &number) ? t : DTYPE_F32;
}

static enum dtype type_of(const struct model_export *x, const struct param *p,
                          const struct tensor_rule *rule, enum dtype stored)
{
    if (x->cfg.to == EXPORT_GGUF) return gguf_type(x, p, rule, stored);
    if (x->cfg.type != DTYPE_NONE) return x->cfg.type;
    return dtype_is_float(stored) ? stored : DTYPE_F32;
}

static enum err add_entry(struct errctx *e, struct model_export *x, const struct tensor_entry *t,
                          const struct export_part *part)
{
    TRY(mem_grow(e, &x->entries, &x->entries_capacity, x->count + 1, sizeof *t, "tensors"));
    TRY(mem_grow(e, &x->parts, &x->parts_capacity, x->count + 1, sizeof *part, "tensors"));
    x->entries[x->count] = *t;
    x->parts[x->count++] = *part;
    return ERR_OK;
}

static enum err add_part(struct errctx *e, struct model_export *x, const struct param *p,
                         const struct tensor_rule *rule, const char *name, enum dtype stored)
{
    const bool bare = (rule->flags & TENSOR_BARE) || (x->family->body && !x->c.mlm_head);
    struct export_part part = {.param = p, .rule = rule};
    struct tensor_entry t = {.dtype = type_of(x, p, rule, stored), .dims = p->dims};
    char *full;
    part.rows = rows_of(&x->c, p, rule, &part.first);
    const bool turned = (rule->flags & TENSOR_TRANSPOSED) && p->dims == 2;
    t.shape[turned ? 1 : 0] = part.rows;
    if (p->dims == 2) t.shape[turned ? 0 : 1] = p->shape[1];
    TRY(mem_printf(e, &full, "%s%s", bare ? "" : x->family->prefix, name));
    t.name = full;
    if (add_entry(e, x, &t, &part) != ERR_OK) mem_free(full);
    return e->code;
}

/* The tensors that make up a parameter: those rules that would read it. */
static enum err add_param(struct errctx *e, struct model_export *x, const struct param *p,
                          enum dtype stored)
{
    static const char *const suffixes[] = {"weight", "bias"};
    char target[64], name[256];
    const size_t before = x->count;
    const struct tensor_rule *r;
    for (size_t j = 0; (r = family_tensor(x->family, j)) != NULL; j++)
        for (size_t i = 0; r->param && !(r->flags & TENSOR_READ) && i < ARRAY_LEN(suffixes); i++) {
            if (!family_fill(r->param, p->layer, suffixes[i], target, sizeof target) ||
                strcmp(target, p->name) != 0 || (i > 0 && !strchr(r->param, '*')) ||
                !family_fill(r->name, p->layer, suffixes[i], name, sizeof name))
                continue;
            TRY(add_part(e, x, p, r, name, stored));
        }
    if (x->count > before) return ERR_OK;
    return err_set(e, ERR_INPUT, "tensor '%s' has no name in models of type '%s'", p->name,
                   x->family->name);
}

static enum err check_field(struct errctx *e, const struct stream_field *f, const struct param *p)
{
    if (!p)
        return err_set(e, ERR_INPUT, "tensor '%s' is no parameter of its configuration", f->name);
    if (f->dims != p->dims || f->shape[0] != p->shape[0] ||
        (p->dims == 2 && f->shape[1] != p->shape[1]))
        return err_set(e, ERR_INPUT, "tensor '%s' has another shape than its configuration",
                       f->name);
    if (dtype_is_float(f->dtype) || (dtype_is_blocks(f->dtype) && f->dims == 2)) return ERR_OK;
    return err_set(e, ERR_INPUT, "tensor '%s' is of type %s, which are no weights", f->name,
                   dtype_name(f->dtype));
}

/* In the order of the stream. */
static enum err find_tensors(struct errctx *e, struct model_export *x)
{
    const struct stream_begin *b = stream_reader_begin(x->reader);
    TRY(mem_new(e, &x->first, (size_t)b->tensors_count + 1, sizeof *x->first, "tensors"));
    for (int64_t i = 0; i < b->tensors_count; i++) {
        const struct stream_field *f = &b->tensors[i];
        const struct param *p = param_table_find(&x->params, f->name);
        x->first[i] = x->count;
        if (strncmp(f->name, "tokenizer.", 10) == 0 || stream_begin_is_scales(b, i) ||
            (x->headless && strncmp(f->name, "head.", 5) == 0))
            continue;
        TRY(check_field(e, f, p));
        TRY(add_param(e, x, p, f->dtype));
    }
    x->first[b->tensors_count] = x->count;
    for (int64_t i = 0; i < x->params.count; i++)
        if (stream_begin_find_tensor(b, x->params.items[i].name) < 0)
            return err_set(e, ERR_INPUT, "tensor '%s' is missing", x->params.items[i].name);
    return ERR_OK;
}

/* ------------------------------------------------------------------ divisors of frequencies */

/* GGUF keeps them as tensors: they are written first. */
static enum err add_divisors(struct errctx *e, struct model_export *x)
{
    struct family_divisors d;
    family_divisors_of(&x->c, &d);
    if (x->cfg.to != EXPORT_GGUF || d.count == 0) return ERR_OK;
    const int64_t half = x->c.rope_dims / 2;
    TRY(mem_new(e, &x->divisors, (size_t)(d.count * half), sizeof *x->divisors, "rope"));
    for (int i = 0; i < d.count; i++) {
        struct export_part part = {.rows = half, .values = x->divisors + i * half};
        struct tensor_entry t = {.dtype = DTYPE_F32, .dims = 1, .shape = {half}};
        char *name;
        for (int64_t k = 0; k < half; k++) x->divisors[i * half + k] = (float)d.numbers[i].items[k];
        TRY(mem_strdup(e, &name, d.names[i]));
        t.name = name;
        if (add_entry(e, x, &t, &part) != ERR_OK) mem_free(name);
        TRY(e->code);
    }
    return ERR_OK;
}

enum err model_export_prepare(struct errctx *e, struct model_export *x)
{
    TRY(find_family(e, x));
    TRY(add_divisors(e, x));
    return find_tensors(e, x);
}
