/* SPDX-License-Identifier: Apache-2.0 */
/* model_file.c: a model from and to its stream: meta {"config", "tokenizer", "embedding", "about",
 * "labels", "heads"}, all but the first only where there are any; the parameters in the table's
 * order, heads included, the tokenizer's tensors behind the prefix "tokenizer.".
 *
 * Loading reads piece by piece into place, so that a model is in memory once; only the tokenizer's
 * tensors are gathered first. Everything in the stream must be understood: an unknown key, a
 * missing, foreign or wrongly shaped tensor, a value that is not finite is an error that names it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/parts.h"
#include "formats/scales.h"
#include "kernels/values.h"

#define TOKENIZER_PREFIX "tokenizer."

/* ------------------------------------------------------------------ loading */

/* Where each tensor of the stream goes. */
struct target {
    const struct param *param; /* or NULL: the tokenizer's, or scales */
    uint8_t *data;             /* tokenizer: its own memory (in `held`) */
};

struct loader {
    const char *name; /* of the stream, for messages */
    struct model *m;
    struct target *targets;     /* per tensor of begin */
    struct stream_tensors held; /* of the tokenizer */
    struct task_heads heads;    /* of the stream */
    bool other_heads;           /* the model gets others in their place */
    struct scales scales;
};

static bool is_tokenizers(const char *tensor)
{
    return strncmp(tensor, TOKENIZER_PREFIX, sizeof TOKENIZER_PREFIX - 1) == 0;
}

static bool is_heads(const char *tensor)
{
    return strncmp(tensor, TASK_PREFIX, sizeof TASK_PREFIX - 1) == 0;
}

static enum err hold(struct errctx *e, struct loader *l, const struct stream_field *f,
                     struct target *t)
{
    size_t bytes;
    if (!dtype_shape_bytes(f->dtype, f->dims, f->shape, &bytes))
        return err_set(e, ERR_INPUT, "'%s': tensor '%s' has an impossible shape", l->name, f->name);
    const int64_t i = l->held.begin.tensors_count;
    TRY(stream_begin_tensor(e, &l->held.begin, f->name, f->dtype, f->dims, f->shape));
    TRY(mem_new_aligned(e, &l->held.data[i], bytes, 1, "tokenizer"));
    t->data = l->held.data[i];
    return ERR_OK;
}

static enum err check_param(struct errctx *e, const char *name, const struct stream_field *f,
                            const struct param *p)
{
    char want[48];
    bool same = f->dims == p->dims;
    for (int d = 0; d < p->dims && same; d++) same = f->shape[d] == p->shape[d];
    if (p->dims == 2)
        snprintf(want, sizeof want, "[%lld, %lld]", (long long)p->shape[0], (long long)p->shape[1]);
    else
        snprintf(want, sizeof want, "[%lld]", (long long)p->shape[0]);
    if (!same)
        return err_set(e, ERR_INPUT,
                       "'%s': tensor '%s' has another shape than the configuration's %s", name,
                       f->name, want);
    if (!dtype_is_float(f->dtype) && !dtype_is_blocks(f->dtype))
        return err_set(e, ERR_INPUT, "'%s': tensor '%s' is of type %s, which are no weights", name,
                       f->name, dtype_name(f->dtype));
    return ERR_OK;
}

/* Every parameter once, and no other tensor but the tokenizer's. */
static enum err check_tensors(struct errctx *e, const char *name, const struct stream_begin *b,
                              const struct param_table *t)
{
    for (int64_t i = 0; i < b->tensors_count; i++) {
        const struct stream_field *f = &b->tensors[i];
        if (is_tokenizers(f->name) || stream_begin_is_scales(b, i)) continue;
        const struct param *p = param_table_find(t, f->name);
        if (!p)
            return err_set(e, ERR_INPUT, "'%s': tensor '%s' is no parameter of its configuration",
                           name, f->name);
        TRY(check_param(e, name, f, p));
    }
    for (int64_t i = 0; i < t->count; i++)
        if (stream_begin_find_tensor(b, t->items[i].name) < 0)
            return err_set(e, ERR_INPUT, "'%s': tensor '%s' is missing", name, t->items[i].name);
    return ERR_OK;
}

static enum err place_tensors(struct errctx *e, struct loader *l, const struct stream_begin *b)
{
    TRY(mem_new(e, &l->targets, (size_t)b->tensors_count, sizeof *l->targets, "model"));
    TRY(mem_new(e, &l->held.data, (size_t)b->tensors_count, sizeof *l->held.data, "model"));
    for (int64_t i = 0; i < b->tensors_count; i++) {
        const struct stream_field *f = &b->tensors[i];
        if (is_tokenizers(f->name))
            TRY(hold(e, l, f, &l->targets[i]));
        else if (!stream_begin_is_scales(b, i) && (!l->other_heads || !is_heads(f->name)))
            l->targets[i].param = param_table_find(&l->m->params, f->name);
    }
    return ERR_OK;
}

static enum err name_bad(struct errctx *e, const struct loader *l,
                         const struct stream_tensor_piece *piece, enum dtype t, int64_t i)
{
    const int unit = dtype_unit(t);
    float some[DTYPE_UNIT_LIMIT];
    values_to_f32(t, piece->data + dtype_offset(t, i), unit, some);
    return err_set(e, ERR_INPUT, "'%s': tensor '%s', element %lld is %s", l->name,
                   l->targets[piece->tensor].param->name, (long long)(piece->first + i),
                   isnan(some[i % unit]) ? "NaN" : "infinite");
}

/* Values of a piece to their places: a task takes some, and looks whether they are finite. */
enum { TAKE_TASKS = 64, TAKE_LEAST = 1 << 15 };
struct taking {
    const uint8_t *from;
    uint8_t *to;
    enum dtype stored, kept;
    int64_t elements, each;
    int64_t bad[TAKE_TASKS]; /* first of a task that is not finite, or -1 */
};

static void take_task(void *ctx, int64_t task, int thread)
{
    struct taking *t = ctx;
    const int64_t at = task * t->each, left = t->elements - at, n = left < t->each ? left : t->each;
    const uint8_t *from = t->from + dtype_offset(t->stored, at);
    (void)thread;
    const int64_t bad = values_first_not_finite(t->stored, from, n);
    t->bad[task] = bad < 0 ? -1 : at + bad;
    values_as(t->stored, from, n, t->kept, t->to + dtype_offset(t->kept, at));
}

static uint8_t *place_of(const struct loader *l, const struct param *p)
{
    struct kernels *k = l->m->k;
    if (p->dtype != DTYPE_F32) return (uint8_t *)k->map(k, l->m->kept) + p->offset;
    return (uint8_t *)k->map(k, l->m->weights) + (size_t)p->offset * sizeof(float);
}

static enum err take_numbers(struct errctx *e, const struct loader *l,
                             const struct stream_tensor_piece *piece, enum dtype dtype)
{
    const struct param *p = l->targets[piece->tensor].param;
    struct taking t = {.from = piece->data,
                       .to = place_of(l, p) + dtype_offset(p->dtype, piece->first),
                       .stored = dtype,
                       .kept = p->dtype,
                       .elements = piece->elements};
    const int64_t each = (t.elements + TAKE_TASKS - 1) / TAKE_TASKS;
    t.each = (each + TAKE_LEAST - 1) / TAKE_LEAST * TAKE_LEAST; /* whole units of any type */
    const int64_t tasks = (t.elements + t.each - 1) / t.each;
    pool_run(l->m->k->pool, take_task, &t, tasks);
    for (int64_t i = 0; i < tasks; i++)
        if (t.bad[i] >= 0) return name_bad(e, l, piece, dtype, t.bad[i]);
    return ERR_OK;
}

static enum err read_tensors(struct errctx *e, struct loader *l, struct stream_reader *r,
                             const struct stream_begin *b)
{
    enum stream_event event = STREAM_EVENT_TENSOR;
    struct stream_rows rows;
    struct stream_tensor_piece piece;
    while (event != STREAM_EVENT_END) {
        TRY(stream_reader_next(e, r, &event, &rows, &piece));
        if (event != STREAM_EVENT_TENSOR) continue;
        enum dtype dtype;
        TRY(scales_apply(e, &l->scales, b, &piece, &dtype));
        if (l->targets[piece.tensor].param)
            TRY(take_numbers(e, l, &piece, dtype));
        else if (l->targets[piece.tensor].data)
            memcpy(l->targets[piece.tensor].data + dtype_offset(dtype, piece.first), piece.data,
                   piece.bytes);
    }
    return ERR_OK;
}

static enum err read_config(struct errctx *e, const char *name, const struct stream_begin *b,
                            struct model_config *c)
{
    static const char *const known[] = {"config", "tokenizer", "embedding",
                                        "about",  "labels",    "heads"};
    for (size_t i = 0; i < b->meta.as.list.count; i += 2) {
        const char *key = b->meta.as.list.items[i].as.bytes.data;
        bool found = false;
        for (size_t j = 0; j < ARRAY_LEN(known); j++) found = found || strcmp(key, known[j]) == 0;
        if (!found)
            return err_set(e, ERR_INPUT,
                           "'%s': meta key '%s' is not known: the model needs a newer graft", name,
                           key);
    }
    const struct mp_value *config = mp_get(&b->meta, "config");
    if (!config) return err_set(e, ERR_INPUT, "'%s': meta key 'config' is missing", name);
    if (model_config_from_meta(e, config, c) != ERR_OK) return err_prefix(e, "'%s'", name);
    return ERR_OK;
}

static enum err read_tokenizer(struct errctx *e, struct loader *l)
{
    struct model *m = l->m;
    if (!mp_get(&l->held.begin.meta, "tokenizer")) {
        if (l->held.begin.tensors_count == 0) return ERR_OK;
        return err_set(e, ERR_INPUT,
                       "'%s': tensors of a tokenizer, but meta key 'tokenizer' is missing",
                       l->name);
    }
    TRY(mem_new(e, &m->tokenizer, 1, sizeof *m->tokenizer, "tokenizer"));
    tokenizer_spec_init(m->tokenizer);
    TRY(tokenizer_spec_read(e, &l->held, TOKENIZER_PREFIX, l->name, m->tokenizer));
    if (m->tokenizer->vocab > m->c.vocab)
        return err_set(e, ERR_INPUT, "'%s': its tokenizer has %lld tokens, its configuration %lld",
                       l->name, (long long)m->tokenizer->vocab, (long long)m->c.vocab);
    return ERR_OK;
}

/* What it is for, and what is said about it: kept as it is for whoever writes the model again. */
static enum err read_notes(struct errctx *e, struct loader *l)
{
    struct model *m = l->m;
    const struct mp_value *about = mp_get(&l->held.begin.meta, "about");
    const struct mp_value *embedding = mp_get(&l->held.begin.meta, "embedding");
    if (about && about->type != MP_MAP)
        return err_set(e, ERR_INPUT, "'%s': meta key 'about' is not a map", l->name);
    if (about) TRY(mp_copy(e, about, &m->about));
    if (!embedding) return ERR_OK;
    TRY(mem_new(e, &m->embedding, 1, sizeof *m->embedding, "model"));
    if (embedding_from_meta(e, embedding, m->embedding) != ERR_OK)
        return err_prefix(e, "'%s'", l->name);
    return ERR_OK;
}

/* The type in which a parameter that is not trained is kept: blocks as they are (but their scales
 * as F32), and BF16, which products of both types take; of other types what the products want. */
static enum dtype kept_type(const struct param *p, enum dtype stored, const struct model_use *use)
{
    const bool trains = use->training && (!use->trains || use->trains(use->trains_ctx, p));
    if (trains || p->dims != 2 || p->shape[1] % dtype_unit(stored) != 0) return DTYPE_F32;
    if (dtype_is_blocks(stored)) return stored == DTYPE_NF4_DQ ? DTYPE_NF4 : stored;
    return stored == DTYPE_BF16 ? stored : use->dtype;
}

static enum err kept_types(struct errctx *e, const struct stream_begin *b,
                           const struct param_table *t, const struct model_use *use,
                           enum dtype **out)
{
    TRY(mem_new(e, out, (size_t)t->count, sizeof **out, "model"));
    for (int64_t i = 0; i < t->count; i++) {
        const int64_t at = stream_begin_find_tensor(b, t->items[i].name);
        (*out)[i] = at < 0 ? DTYPE_F32 : kept_type(&t->items[i], b->tensors[at].dtype, use);
    }
    return ERR_OK;
}

/* No memory is taken for what the stream does not have. */
static enum err make_model(struct errctx *e, struct loader *l, const struct stream_begin *b,
                           struct kernels *k, const struct model_config *c,
                           const struct model_use *use)
{
    struct param_table t;
    enum dtype *types = NULL;
    TRY(param_table_build_adapted(e, c, NULL, &l->heads, &t));
    if (check_tensors(e, l->name, b, &t) == ERR_OK && kept_types(e, b, &t, use, &types) == ERR_OK)
        (void)!model_new(e, k, c, use, types, &l->m);
    mem_free(types);
    param_table_fini(&t);
    return e->code;
}

static enum err read_heads(struct errctx *e, const char *name, const struct stream_begin *b,
                           struct task_heads *heads)
{
    return task_heads_from_meta(e, &b->meta, heads) == ERR_OK ? ERR_OK
                                                              : err_prefix(e, "'%s'", name);
}

/* The model comes with the heads of its stream, unless it is given others. */
static void choose_heads(struct loader *l, struct model_use *use)
{
    l->other_heads = use->heads && l->heads.count > 0;
    if (!use->heads && l->heads.count > 0) use->heads = &l->heads;
}

static void own_heads(struct loader *l)
{
    if (l->m->use.heads != &l->heads) return;
    l->m->heads = l->heads;
    l->m->use.heads = &l->m->heads;
    l->heads = (struct task_heads){0};
}

static enum err load(struct errctx *e, struct loader *l, struct stream_reader *r, struct kernels *k,
                     const struct model_use *use)
{
    const struct stream_begin *b = stream_reader_begin(r);
    struct model_config c;
    struct model_use fitted = *use;
    TRY(read_config(e, l->name, b, &c));
    if (use->fit) use->fit(&fitted, &c);
    if (use->adapt) TRY(use->adapt(e, use->adapt_ctx, &c, &fitted));
    TRY(read_heads(e, l->name, b, &l->heads));
    choose_heads(l, &fitted);
    TRY(make_model(e, l, b, k, &c, &fitted));
    own_heads(l);
    TRY(mp_copy(e, &b->meta, &l->held.begin.meta));
    TRY(read_notes(e, l));
    TRY(place_tensors(e, l, b));
    TRY(read_tensors(e, l, r, b));
    TRY(read_tokenizer(e, l));
    memcpy(l->m->id, stream_reader_summary(r)->id, sizeof l->m->id);
    model_refresh(l->m);
    return ERR_OK;
}

static const char *name_of(const char *path)
{
    return path && strcmp(path, "-") != 0 ? path : "standard input";
}

static enum err open_stream(struct errctx *e, struct run *run, const char *path, int threads,
                            struct stream_reader **r)
{
    struct stream_reader_cfg cfg = STREAM_READER_CFG;
    cfg.kind = STREAM_MODEL;
    cfg.segments = 1;
    cfg.threads = threads;
    return stream_reader_open(e, run, "model", path, &cfg, r);
}

enum err model_load(struct errctx *e, struct kernels *k, struct run *run, const char *path,
                    const struct model_use *use, struct model **out)
{
    struct loader l = {.name = name_of(path)};
    struct stream_reader *r = NULL;
    *out = NULL;
    TRY(open_stream(e, run, path, pool_threads(k->pool), &r));
    stream_begin_init(&l.held.begin, STREAM_MODEL);
    const enum err code = load(e, &l, r, k, use);
    stream_reader_close(r);
    stream_tensors_fini(&l.held);
    scales_fini(&l.scales);
    mem_free(l.targets);
    task_heads_fini(&l.heads);
    if (code != ERR_OK) {
        model_free(l.m);
        return code;
    }
    *out = l.m;
    return ERR_OK;
}

/* ------------------------------------------------------------------ planning */

static enum err plan_begin(struct errctx *e, const char *name, const struct stream_begin *b,
                           struct model_use *use, int threads, struct model_config *c,
                           struct plan *out)
{
    struct param_table t = {0};
    struct task_heads heads;
    enum dtype *types = NULL;
    TRY(read_config(e, name, b, c));
    if (use->fit) use->fit(use, c);
    if (use->adapt) TRY(use->adapt(e, use->adapt_ctx, c, use));
    TRY(read_heads(e, name, b, &heads));
    const bool own = !use->heads && heads.count > 0;
    if (own) use->heads = &heads;
    if (param_table_build_adapted(e, c, NULL, &heads, &t) == ERR_OK &&
        check_tensors(e, name, b, &t) == ERR_OK && kept_types(e, b, &t, use, &types) == ERR_OK)
        (void)!model_plan_types(e, c, use, types, threads, out);
    if (own) use->heads = NULL;
    mem_free(types);
    param_table_fini(&t);
    task_heads_fini(&heads);
    return e->code;
}

enum err model_plan_file(struct errctx *e, const char *path, struct model_use *use, int threads,
                         struct model_config *c, struct plan *out)
{
    struct stream_reader *r = NULL;
    *out = (struct plan){0};
    TRY(open_stream(e, NULL, path, threads, &r));
    if (stream_reader_drain(e, r) == ERR_OK)
        (void)!plan_begin(e, name_of(path), stream_reader_begin(r), use, threads, c, out);
    stream_reader_close(r);
    return e->code;
}

/* ------------------------------------------------------------------ saving */

static enum err write_model(struct errctx *e, const struct model *m, struct stream_writer *w,
                            int64_t first_tokenizer)
{
    const float *weights = m->k->map(m->k, m->weights);
    int64_t tensor = 0;
    for (int64_t i = 0; i < m->params.count; i++) {
        const struct param *p = &m->params.items[i];
        const void *from = weights + p->offset;
        if (param_is_adapters(p)) continue;
        if (p->dtype != DTYPE_F32) from = (const uint8_t *)m->k->map(m->k, m->kept) + p->offset;
        TRY(stream_writer_tensor(e, w, tensor++, from, p->elements));
    }
    if (m->tokenizer) TRY(tokenizer_spec_write(e, m->tokenizer, w, first_tokenizer));
    return ERR_OK;
}

static enum err describe_notes(struct errctx *e, const struct model *m, struct stream_begin *b)
{
    struct mp_value map = {0};
    if (m->about.type == MP_MAP) TRY(mp_set(e, &b->meta, "about", &m->about));
    if (!m->embedding) return ERR_OK;
    mp_map_init(&map);
    if (embedding_to_meta(e, m->embedding, &map) == ERR_OK)
        (void)!mp_set(e, &b->meta, "embedding", &map);
    mp_fini(&map);
    return e->code;
}

static enum err describe(struct errctx *e, const struct model *m, struct stream_begin *b,
                         int64_t *first_tokenizer)
{
    struct mp_value config = {0};
    mp_map_init(&config);
    if (model_config_to_meta(e, &m->c, &config) == ERR_OK)
        (void)!mp_set(e, &b->meta, "config", &config);
    mp_fini(&config);
    TRY(e->code);
    TRY(describe_notes(e, m, b));
    if (m->use.heads) TRY(task_heads_to_meta(e, m->use.heads, &b->meta));
    for (int64_t i = 0; i < m->params.count; i++) {
        const struct param *p = &m->params.items[i];
        if (!param_is_adapters(p))
            TRY(stream_begin_tensor(e, b, p->name, p->dtype, p->dims, p->shape));
    }
    if (m->tokenizer)
        TRY(tokenizer_spec_declare(e, m->tokenizer, TOKENIZER_PREFIX, b, first_tokenizer));
    return ERR_OK;
}

enum err model_save(struct errctx *e, const struct model *m, struct run *run, const char *path,
                    int level, int threads, uint64_t *bytes)
{
    const struct stream_writer_cfg cfg = {.level = level, .threads = threads};
    struct stream_begin b;
    struct stream_writer *w = NULL;
    int64_t first = 0;
    stream_begin_init(&b, STREAM_MODEL);
    if (describe(e, m, &b, &first) == ERR_OK &&
        stream_writer_open(e, run, path, &b, &cfg, &w) == ERR_OK) {
        if (write_model(e, m, w, first) == ERR_OK && stream_writer_finish(e, w) == ERR_OK) {
            if (bytes) *bytes = stream_writer_summary(w)->compressed;
            (void)!stream_writer_commit(e, w);
        } else {
            stream_writer_abort(w);
        }
    }
    stream_begin_fini(&b);
    return e->code;
}
