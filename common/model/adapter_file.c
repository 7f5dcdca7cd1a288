/* SPDX-License-Identifier: Apache-2.0 */
/* adapter_file.c: see adapter_file.h. An adapter is small, so it is read whole before the model it
 * belongs to is opened; everything in it must be understood. */
#include "common/model/adapter_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/parts.h"

enum { PARTS_MOST = 1 << 20 };

/* ------------------------------------------------------------------ reading */

#define FIELD(f) offsetof(struct adapters_cfg, f)

const struct opt adapters_table[] = {
    {"adapter", 'a', OPT_LIST, FIELD(paths), "FILE",
     "an adapter beside the model; several are added together", OPT_PATH},
    {"adapter-weight", 0, OPT_LIST, FIELD(weights), "X",
     "how much the adapter counts, for each -a in turn (default 1)"},
    {"force", 0, OPT_FLAG, FIELD(force), NULL, "take adapters of another model, too"},
    OPT_END};

enum err adapters_check(struct errctx *e, const struct adapters_cfg *cfg)
{
    double x;
    for (size_t i = 0; i < cfg->weights.count; i++)
        if (!opts_parse_real(cfg->weights.items[i], &x))
            return err_set(e, ERR_USAGE, "--adapter-weight '%s' is no number",
                           cfg->weights.items[i]);
    if (cfg->weights.count > 0 && cfg->weights.count != cfg->paths.count)
        return err_set(e, ERR_USAGE, "%zu of --adapter-weight for %zu adapters (-a)",
                       cfg->weights.count, cfg->paths.count);
    if (cfg->force && cfg->paths.count == 0)
        return err_set(e, ERR_USAGE, "--force has no use without an adapter (-a)");
    return ERR_OK;
}

enum err adapters_open(struct errctx *e, struct run *run, const struct adapters_cfg *cfg,
                       struct adapters *out)
{
    const size_t count = cfg->paths.count;
    *out = (struct adapters){.cfg = cfg};
    TRY(mem_new(e, &out->files, count, sizeof *out->files, "adapters"));
    for (; out->count < count; out->count++)
        TRY(stream_tensors_load(e, run, "adapter", cfg->paths.items[out->count], STREAM_ADAPTER,
                                &out->files[out->count]));
    return ERR_OK;
}

static double weight_of(const struct adapters *a, size_t source)
{
    double x = 1;
    if (a->cfg->weights.count > 0) (void)opts_parse_real(a->cfg->weights.items[source], &x);
    return x;
}

void adapters_fini(struct adapters *a)
{
    for (size_t i = 0; i < a->count; i++) stream_tensors_fini(&a->files[i]);
    mem_free(a->files);
    adapter_fini(&a->adapter);
    task_heads_fini(&a->heads);
    *a = (struct adapters){0};
}

static enum err known_keys(struct errctx *e, const struct mp_value *map, const char *const *known,
                           size_t count)
{
    for (size_t i = 0; i < map->as.list.count; i += 2) {
        const char *key = map->as.list.items[i].as.bytes.data;
        bool found = false;
        for (size_t k = 0; k < count; k++) found = found || strcmp(key, known[k]) == 0;
        if (!found)
            return err_set(e, ERR_INPUT, "key '%s' is not known: it needs a newer graft", key);
    }
    return ERR_OK;
}

static enum err read_target(struct errctx *e, const struct mp_value *map,
                            enum adapter_target *target)
{
    const char *name;
    TRY(mp_get_string(e, map, "target", &name));
    for (int t = 0; t < TARGET_COUNT; t++)
        if (strcmp(name, adapter_target_name((enum adapter_target)t)) == 0) {
            *target = (enum adapter_target)t;
            return ERR_OK;
        }
    return err_set(e, ERR_INPUT, "target '%s' is not known", name);
}

static enum err read_part(struct errctx *e, const struct mp_value *map, struct adapter_part *part)
{
    static const char *const known[] = {"layer", "target", "rank", "scale"};
    int64_t layer;
    if (map->type != MP_MAP) return err_set(e, ERR_INPUT, "it is not a map");
    TRY(known_keys(e, map, known, ARRAY_LEN(known)));
    TRY(mp_get_int(e, map, "layer", 0, INT32_MAX, &layer));
    TRY(read_target(e, map, &part->target));
    TRY(mp_get_int(e, map, "rank", 1, INT32_MAX, &part->rank));
    TRY(mp_get_real(e, map, "scale", &part->scale));
    if (!isfinite(part->scale)) return err_set(e, ERR_INPUT, "key 'scale' is not finite");
    part->layer = (int)layer;
    return ERR_OK;
}

/* Both tensors of a part, of their shapes. */
static enum err check_tensors(struct errctx *e, const struct stream_tensors *file,
                              const struct model_config *c, const struct adapter_part *part)
{
    struct adapter_place place;
    char name[64], full[96];
    (void)adapter_find(c, part->target, &place);
    for (const char *which = "AB"; *which; which++) {
        const int64_t rows = *which == 'A' ? part->rank : place.out,
                      columns = *which == 'A' ? place.in : part->rank;
        const struct adapter_part own = {.layer = part->layer, .target = part->target};
        const struct stream_field *f;
        adapter_param_name(&own, *which, name);
        snprintf(full, sizeof full, "layers.%d.%s", part->layer, name);
        if (!stream_tensors_get(file, full, &f))
            return err_set(e, ERR_INPUT, "tensor '%s' is missing", full);
        if (f->dtype != DTYPE_F32 || f->dims != 2 || f->shape[0] != rows || f->shape[1] != columns)
            return err_set(e, ERR_INPUT,
                           "tensor '%s' is not F32 [%lld, %lld], as the base model wants it", full,
                           (long long)rows, (long long)columns);
    }
    return ERR_OK;
}

static enum err read_parts(struct errctx *e, struct adapters *a, size_t source,
                           const struct mp_value *map, const struct model_config *c)
{
    static const char *const known[] = {"dropout", "parts"};
    const struct stream_tensors *file = &a->files[source];
    const struct mp_value *list;
    if (!map || map->type != MP_MAP)
        return err_set(e, ERR_INPUT, "meta key 'adapter' is missing or not a map");
    TRY(known_keys(e, map, known, ARRAY_LEN(known)));
    TRY(mp_get_real(e, map, "dropout", &a->adapter.dropout));
    if (!(a->adapter.dropout >= 0 && a->adapter.dropout < 1))
        return err_set(e, ERR_INPUT, "key 'dropout' is not a probability below 1");
    TRY(mp_get_list(e, map, "parts", MP_ARRAY, &list));
    if (list->as.list.count > PARTS_MOST) return err_set(e, ERR_INPUT, "key 'parts' is too long");
    for (size_t i = 0; i < list->as.list.count; i++) {
        struct adapter_part part = {.source = (int)source};
        if (read_part(e, &list->as.list.items[i], &part) != ERR_OK)
            return err_prefix(e, "part %zu", i);
        part.scale *= weight_of(a, source);
        if (adapter_add(e, &a->adapter, c, &part) != ERR_OK) {
            e->code = ERR_INPUT;
            return e->code;
        }
        TRY(check_tensors(e, file, c, &part));
    }
    return ERR_OK;
}

/* The heads that came with it, of which there may be one set. */
static enum err read_heads(struct errctx *e, struct adapters *a, size_t source)
{
    struct task_heads heads;
    TRY(task_heads_from_meta(e, &a->files[source].begin.meta, &heads));
    if (heads.count == 0) return ERR_OK;
    if (a->heads.count > 0) {
        task_heads_fini(&heads);
        return err_set(e, ERR_INPUT, "has heads for labels, as '%s' has",
                       a->cfg->paths.items[a->heads_source]);
    }
    a->heads = heads;
    a->heads_source = (int)source;
    return ERR_OK;
}

/* Every tensor is one of those that are used. */
static enum err check_complete(struct errctx *e, const struct adapters *a, size_t source,
                               const struct model_config *c)
{
    const struct stream_begin *b = &a->files[source].begin;
    const bool heads = a->heads_source == (int)source;
    struct param_table t;
    int64_t own = 0, added = 0;
    TRY(param_table_build_adapted(e, c, NULL, heads ? &a->heads : NULL, &t));
    for (int64_t i = t.own; i < t.count && e->code == ERR_OK; i++, added++) {
        const struct param *p = &t.items[i];
        const int64_t at = stream_begin_find_tensor(b, p->name);
        const struct stream_field *f = at < 0 ? NULL : &b->tensors[at];
        if (!f || f->dtype != DTYPE_F32 || f->dims != p->dims || f->shape[0] != p->shape[0] ||
            (p->dims == 2 && f->shape[1] != p->shape[1]))
            err_set(e, ERR_INPUT, "tensor '%s' is missing, or not as the base model wants it",
                    p->name);
    }
    param_table_fini(&t);
    TRY(e->code);
    for (int64_t i = 0; i < a->adapter.count; i++)
        own += a->adapter.parts[i].source == (int)source ? 2 : 0;
    if (b->tensors_count != own + added)
        return err_set(e, ERR_INPUT, "%lld tensors for what are %lld", (long long)b->tensors_count,
                       (long long)(own + added));
    return ERR_OK;
}

enum err adapters_bind(struct errctx *e, void *adapters, const struct model_config *c,
                       struct model_use *use)
{
    static const char *const known[] = {"base", "adapter", "labels", "heads"};
    struct adapters *a = adapters;
    adapter_fini(&a->adapter);
    task_heads_fini(&a->heads);
    a->heads_source = -1;
    for (size_t i = 0; i < a->count; i++) {
        const struct mp_value *meta = &a->files[i].begin.meta;
        if (known_keys(e, meta, known, ARRAY_LEN(known)) != ERR_OK ||
            read_parts(e, a, i, mp_get(meta, "adapter"), c) != ERR_OK ||
            read_heads(e, a, i) != ERR_OK || check_complete(e, a, i, c) != ERR_OK)
            return err_prefix(e, "the adapter '%s'", a->cfg->paths.items[i]);
    }
    use->adapter = &a->adapter;
    if (a->heads.count > 0) use->heads = &a->heads;
    return ERR_OK;
}

/* ------------------------------------------------------------------ into the model */

static enum err check_base(struct errctx *e, const struct stream_tensors *file,
                           const struct model *m)
{
    const uint8_t *base;
    char a[33], b[33];
    TRY(mp_get_binary(e, &file->begin.meta, "base", 16, &base));
    if (memcmp(base, model_id(m), 16) == 0) return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "belongs to the model of id %.12s, this one has %.12s: see 'graft lineage'; "
                   "--force takes it nevertheless",
                   id_format(base, a), id_format(model_id(m), b));
}

static enum err take_tensor(struct errctx *e, const struct stream_tensors *file, struct model *m,
                            const char *full, const char *here)
{
    const struct stream_field *f;
    const struct param *p = param_table_find(&m->params, here);
    const float *from = stream_tensors_get(file, full, &f);
    for (int64_t i = 0; i < p->elements; i++)
        if (!isfinite(from[i]))
            return err_set(e, ERR_INPUT, "tensor '%s', element %lld is %s", full, (long long)i,
                           isnan(from[i]) ? "NaN" : "infinite");
    m->k->upload(
        m->k,
        buf_at(m->weights, (size_t)p->offset * sizeof *from, (size_t)p->elements * sizeof *from),
        from, (size_t)p->elements * sizeof *from);
    return ERR_OK;
}

static enum err take_part(struct errctx *e, const struct stream_tensors *file, struct model *m,
                          const struct adapter_part *part, char which)
{
    const struct adapter_part own = {.layer = part->layer, .target = part->target};
    char name[64], full[96], here[96];
    adapter_param_name(&own, which, name);
    snprintf(full, sizeof full, "layers.%d.%s", part->layer, name);
    adapter_param_name(part, which, name);
    snprintf(here, sizeof here, "layers.%d.%s", part->layer, name);
    return take_tensor(e, file, m, full, here);
}

static enum err load_source(struct errctx *e, const struct adapters *a, size_t source,
                            struct model *m)
{
    const struct stream_tensors *file = &a->files[source];
    if (!a->cfg->force) TRY(check_base(e, file, m));
    for (int64_t i = 0; i < a->adapter.count; i++) {
        const struct adapter_part *part = &a->adapter.parts[i];
        if (part->source != (int)source) continue;
        TRY(take_part(e, file, m, part, 'A'));
        TRY(take_part(e, file, m, part, 'B'));
    }
    for (int64_t i = m->params.own; i < m->params.count && a->heads_source == (int)source; i++) {
        const struct param *p = &m->params.items[i];
        if (!param_is_adapters(p)) TRY(take_tensor(e, file, m, p->name, p->name));
    }
    return ERR_OK;
}

enum err adapters_load(struct errctx *e, const struct adapters *a, struct model *m)
{
    for (size_t i = 0; i < a->count; i++)
        if (load_source(e, a, i, m) != ERR_OK)
            return err_prefix(e, "the adapter '%s'", a->cfg->paths.items[i]);
    model_refresh(m);
    return ERR_OK;
}

bool adapter_trains(const void *ctx, const struct param *p)
{
    (void)ctx;
    return param_is_adapters(p) || strncmp(p->name, TASK_PREFIX, sizeof TASK_PREFIX - 1) == 0;
}

/* ------------------------------------------------------------------ writing */

static enum err describe_part(struct errctx *e, const struct adapter_part *part,
                              struct mp_value *list)
{
    struct mp_value map;
    mp_map_init(&map);
    if (mp_set_int(e, &map, "layer", part->layer) == ERR_OK &&
        mp_set_string(e, &map, "target", adapter_target_name(part->target)) == ERR_OK &&
        mp_set_int(e, &map, "rank", part->rank) == ERR_OK &&
        mp_set_real(e, &map, "scale", part->scale) == ERR_OK)
        return mp_append_take(e, list, &map);
    mp_fini(&map);
    return e->code;
}

/* Heads that the model came with stay its own. */
static bool is_saved(const struct model *m, const struct param *p)
{
    return param_is_adapters(p) || m->use.heads != &m->heads;
}

static enum err describe(struct errctx *e, const struct model *m, struct stream_begin *b)
{
    const struct adapter *a = m->use.adapter;
    struct mp_value map, list;
    mp_map_init(&map);
    mp_array_init(&list);
    enum err r = mp_set_binary(e, &b->meta, "base", m->id, sizeof m->id);
    for (int64_t i = 0; i < a->count && r == ERR_OK; i++) r = describe_part(e, &a->parts[i], &list);
    if (r == ERR_OK) r = mp_set_real(e, &map, "dropout", a->dropout);
    if (r == ERR_OK) r = mp_set(e, &map, "parts", &list);
    if (r == ERR_OK) r = mp_set(e, &b->meta, "adapter", &map);
    mp_fini(&list);
    mp_fini(&map);
    if (r == ERR_OK && m->use.heads && m->use.heads != &m->heads)
        r = task_heads_to_meta(e, m->use.heads, &b->meta);
    for (int64_t i = m->params.own; i < m->params.count && r == ERR_OK; i++) {
        const struct param *p = &m->params.items[i];
        if (is_saved(m, p)) r = stream_begin_tensor(e, b, p->name, DTYPE_F32, p->dims, p->shape);
    }
    return r;
}

enum err adapter_save(struct errctx *e, const struct model *m, struct run *run, const char *path,
                      int level, int threads, uint64_t *bytes)
{
    const struct stream_writer_cfg cfg = {.level = level, .threads = threads};
    const float *weights = m->k->map(m->k, m->weights);
    struct stream_begin b;
    struct stream_writer *w = NULL;
    int64_t tensor = 0;
    stream_begin_init(&b, STREAM_ADAPTER);
    enum err r = describe(e, m, &b);
    if (r == ERR_OK) r = stream_writer_open(e, run, path, &b, &cfg, &w);
    for (int64_t i = m->params.own; i < m->params.count && r == ERR_OK; i++) {
        const struct param *p = &m->params.items[i];
        if (is_saved(m, p))
            r = stream_writer_tensor(e, w, tensor++, weights + p->offset, p->elements);
    }
    if (r == ERR_OK) r = stream_writer_finish(e, w);
    if (r == ERR_OK) {
        if (bytes) *bytes = stream_writer_summary(w)->compressed;
        r = stream_writer_commit(e, w);
    } else {
        stream_writer_abort(w);
    }
    stream_begin_fini(&b);
    return r;
}
