/* SPDX-License-Identifier: Apache-2.0 */
/* model_export.c: see model_export.h. */
#include "common/convert/model_export.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/convert/match.h"
#include "kernels/values.h"

/* ------------------------------------------------------------------ opening */

static enum err read_notes(struct errctx *e, const char *path, struct model_export *x)
{
    const struct mp_value *meta = &x->stream.begin.meta;
    const struct mp_value *config = mp_get(meta, "config"), *embedding = mp_get(meta, "embedding");
    if (!config) return err_set(e, ERR_INPUT, "'%s': meta key 'config' is missing", path);
    if (model_config_from_meta(e, config, &x->c) != ERR_OK) return err_prefix(e, "'%s'", path);
    TRY(param_table_build(e, &x->c, &x->params));
    if (embedding) {
        TRY(embedding_from_meta(e, embedding, &x->embedding));
        x->has_embedding = true;
    }
    if (!mp_get(meta, "tokenizer")) return ERR_OK;
    TRY(tokenizer_spec_read(e, &x->stream, "tokenizer.", path, &x->tokenizer));
    x->has_tokenizer = true;
    return ERR_OK;
}

enum err model_export_open(struct errctx *e, struct run *run, const char *path, enum dtype type,
                           struct model_export *x)
{
    *x = (struct model_export){.type = type};
    embedding_init(&x->embedding);
    tokenizer_spec_init(&x->tokenizer);
    TRY(stream_tensors_load(e, run, "model", path, STREAM_MODEL, &x->stream));
    return read_notes(e, path ? path : "standard input", x);
}

void model_export_close(struct model_export *x)
{
    for (size_t i = 0; i < x->count; i++) mem_free((char *)(uintptr_t)x->entries[i].name);
    mem_free(x->entries);
    mem_free(x->parts);
    json_decref(x->config);
    param_table_fini(&x->params);
    embedding_fini(&x->embedding);
    tokenizer_spec_fini(&x->tokenizer);
    stream_tensors_fini(&x->stream);
    *x = (struct model_export){0};
}

/* ------------------------------------------------------------------ the family */

/* Whether two configurations compute the same. */
static enum err same_config(struct errctx *e, const struct model_config *a,
                            const struct model_config *b, bool *same)
{
    struct model_config other = *b;
    struct mp_value left, right;
    memcpy(other.arch, a->arch, sizeof other.arch);
    mp_map_init(&left);
    mp_map_init(&right);
    if (model_config_to_meta(e, a, &left) == ERR_OK) (void)!model_config_to_meta(e, &other, &right);
    *same = e->code == ERR_OK && mp_equal(&left, &right);
    mp_fini(&left);
    mp_fini(&right);
    return e->code;
}

static enum err try_family(struct errctx *e, struct model_export *x, const struct family *family,
                           bool *fits)
{
    struct findings f = {0};
    struct family_config back;
    json_t *root = json_object();
    *fits = false;
    if (!root) return err_memory(e, "configuration", 0);
    if (family_write_config(e, family, &x->c, root) == ERR_OK &&
        family_read_config(e, family, root, !x->c.mlm_head, &back, &f) == ERR_OK && f.count == 0)
        (void)!same_config(e, &x->c, &back.c, fits);
    findings_fini(&f);
    if (*fits) {
        x->family = family;
        x->config = root;
    } else {
        json_decref(root);
    }
    return e->code;
}

/* The one it came from is tried first: several may have the same configuration. */
static enum err find_family(struct errctx *e, struct model_export *x)
{
    const struct mp_value *about = mp_get(&x->stream.begin.meta, "about");
    const struct mp_value *name = about && about->type == MP_MAP ? mp_get(about, "family") : NULL;
    const struct family *own =
        name && name->type == MP_STRING ? family_find(name->as.bytes.data) : NULL;
    bool fits = false;
    if (!own) own = family_find(x->c.arch);
    if (own) TRY(try_family(e, x, own, &fits));
    for (size_t i = 0; !fits && family_at(i); i++) TRY(try_family(e, x, family_at(i), &fits));
    if (fits) return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "no family of transformers that is known has a model of this configuration");
}

/* ------------------------------------------------------------------ tensors */

static int64_t rows_of(const struct model_config *c, const struct param *p, enum tensor_part part,
                       int64_t *first)
{
    const int64_t q = c->heads * c->head_size, k = c->kv_heads * c->head_size;
    *first = part == PART_K ? q : part == PART_V ? q + k : part == PART_UP ? c->mlp : 0;
    if (part == PART_ALL) return p->shape[0];
    if (part == PART_GATE || part == PART_UP) return c->mlp;
    return part == PART_Q ? q : k;
}

static enum dtype type_of(const struct model_export *x, const struct param *p)
{
    const int64_t i = stream_begin_find_tensor(&x->stream.begin, p->name);
    const enum dtype stored = x->stream.begin.tensors[i].dtype;
    if (x->type != DTYPE_NONE) return x->type;
    return dtype_is_blocks(stored) ? DTYPE_F32 : stored;
}

static enum err add_entry(struct errctx *e, struct model_export *x, const struct param *p,
                          const struct tensor_rule *rule, const char *name)
{
    const bool bare = (rule->flags & TENSOR_BARE) || (x->family->body && !x->c.mlm_head);
    struct export_part part = {.param = p, .rule = rule};
    struct tensor_entry t = {.dtype = type_of(x, p), .dims = p->dims};
    char *full;
    part.rows = rows_of(&x->c, p, rule->part, &part.first);
    const bool turned = (rule->flags & TENSOR_TRANSPOSED) && p->dims == 2;
    t.shape[turned ? 1 : 0] = part.rows;
    if (p->dims == 2) t.shape[turned ? 0 : 1] = p->shape[1];
    TRY(mem_grow(e, &x->entries, &x->entries_capacity, x->count + 1, sizeof t, "tensors"));
    TRY(mem_grow(e, &x->parts, &x->parts_capacity, x->count + 1, sizeof part, "tensors"));
    TRY(mem_printf(e, &full, "%s%s", bare ? "" : x->family->prefix, name));
    t.name = full;
    x->entries[x->count] = t;
    x->parts[x->count++] = part;
    return ERR_OK;
}

/* The tensors that make up a parameter: those rules that would read it. */
static enum err add_param(struct errctx *e, struct model_export *x, const struct param *p)
{
    static const char *const suffixes[] = {"weight", "bias"};
    char target[64], name[256];
    const size_t before = x->count;
    for (const struct tensor_rule *r = x->family->tensors; r->name; r++)
        for (size_t i = 0; r->param && !(r->flags & TENSOR_READ) && i < ARRAY_LEN(suffixes); i++) {
            if (!family_fill(r->param, p->layer, suffixes[i], target, sizeof target) ||
                strcmp(target, p->name) != 0 || (i > 0 && !strchr(r->param, '*')) ||
                !family_fill(r->name, p->layer, suffixes[i], name, sizeof name))
                continue;
            TRY(add_entry(e, x, p, r, name));
        }
    if (x->count > before) return ERR_OK;
    return err_set(e, ERR_INPUT, "tensor '%s' has no name in models of type '%s'", p->name,
                   x->family->name);
}

static enum err find_tensors(struct errctx *e, struct model_export *x)
{
    for (int64_t i = 0; i < x->params.count; i++) {
        const struct param *p = &x->params.items[i];
        const int64_t at = stream_begin_find_tensor(&x->stream.begin, p->name);
        if (at < 0) return err_set(e, ERR_INPUT, "tensor '%s' is missing", p->name);
        const struct stream_field *f = &x->stream.begin.tensors[at];
        if (f->dims != p->dims || f->shape[0] != p->shape[0] ||
            (p->dims == 2 && f->shape[1] != p->shape[1]))
            return err_set(e, ERR_INPUT, "tensor '%s' has another shape than its configuration",
                           p->name);
        TRY(add_param(e, x, p));
    }
    return ERR_OK;
}

enum err model_export_prepare(struct errctx *e, struct model_export *x)
{
    TRY(find_family(e, x));
    return find_tensors(e, x);
}

/* ------------------------------------------------------------------ numbers */

static void narrow(const float *from, enum dtype t, int64_t n, uint8_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        const uint16_t h = t == DTYPE_BF16 ? f32_to_bf16(from[i]) : f32_to_f16(from[i]);
        memcpy(to + 2 * i, &h, sizeof h);
    }
}

/* A row in the type that is written. */
static void convert_row(enum dtype from, const uint8_t *row, int64_t columns, enum dtype to,
                        float *wide, uint8_t *out)
{
    const size_t bytes = (size_t)columns * dtype_size(to);
    if (from == to) {
        memcpy(out, row, bytes);
        return;
    }
    values_to_f32(from, row, columns, wide);
    if (to == DTYPE_F32)
        memcpy(out, wide, bytes);
    else
        narrow(wide, to, columns, out);
}

struct part_buffers {
    float *wide;  /* a row */
    uint8_t *row; /* the same, converted */
    uint8_t *all; /* the tensor as it is written */
};

static enum err fill_part(struct errctx *e, const struct model_export *x, size_t i,
                          const struct part_buffers *b)
{
    const struct export_part *part = &x->parts[i];
    const struct param *p = part->param;
    const struct stream_field *f;
    const uint8_t *data = stream_tensors_get(&x->stream, p->name, &f);
    const enum dtype to = x->entries[i].dtype;
    const size_t size = dtype_size(to);
    const int64_t columns = p->dims == 2 ? p->shape[1] : 1;
    size_t stored;
    const bool turned = (part->rule->flags & TENSOR_TRANSPOSED) && p->dims == 2;
    if (!dtype_bytes(f->dtype, columns, &stored))
        return err_set(e, ERR_INPUT, "tensor '%s': a row is no whole blocks", p->name);
    for (int64_t r = 0; r < part->rows; r++) {
        const uint8_t *row = data + (size_t)(part->first + r) * stored;
        const int64_t to_row = match_row_in_file(&x->c, part->rule, r);
        uint8_t *out = turned ? b->row : b->all + (size_t)(to_row * columns) * size;
        convert_row(f->dtype, row, columns, to, b->wide, out);
        for (int64_t k = 0; turned && k < columns; k++)
            memcpy(b->all + (size_t)(k * part->rows + r) * size, out + (size_t)k * size, size);
    }
    return ERR_OK;
}

enum err model_export_tensor(struct errctx *e, const struct model_export *x, size_t i,
                             struct tensor_out *w)
{
    const struct export_part *part = &x->parts[i];
    const int64_t columns = part->param->dims == 2 ? part->param->shape[1] : 1;
    const size_t size = dtype_size(x->entries[i].dtype);
    struct part_buffers b = {0};
    if (mem_new(e, &b.wide, (size_t)columns, sizeof(float), "row") == ERR_OK &&
        mem_new(e, &b.row, (size_t)columns, size, "row") == ERR_OK &&
        mem_new(e, &b.all, (size_t)(part->rows * columns), size, "tensor") == ERR_OK &&
        fill_part(e, x, i, &b) == ERR_OK)
        (void)!tensor_out_write(e, w, b.all, (size_t)(part->rows * columns) * size);
    mem_free(b.wide);
    mem_free(b.row);
    mem_free(b.all);
    return e->code;
}
