/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c: weights, moments and state to a stream and back, piece by piece: neither way holds
 * a second copy of the model. */
#include "common/train/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

/* ---- the lock ---- */

/* The holder of a lock removes the file: a lock on a name that is gone is worth nothing. */
static enum err lock_once(struct errctx *e, struct checkpoint *c, const char *name, bool *again)
{
    struct stat held, named;
    *again = false;
    c->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (c->lock < 0) return err_errno(e, "cannot create '%s'", name);
    if (flock(c->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return err_errno(e, "cannot lock '%s'", name);
        return err_set(e, ERR_IO, "another run is using the checkpoint '%s'", c->path);
    }
    *again = fstat(c->lock, &held) != 0 || stat(name, &named) != 0 || held.st_ino != named.st_ino;
    return ERR_OK;
}

enum err checkpoint_lock(struct errctx *e, struct checkpoint *c)
{
    struct stat st;
    char *name;
    bool again = true;
    c->lock = -1;
    if (strcmp(c->path, "-") == 0 || (stat(c->path, &st) == 0 && !S_ISREG(st.st_mode)))
        return err_set(e, ERR_USAGE, "--checkpoint '%s' is not a regular file", c->path);
    TRY(mem_printf(e, &name, "%s.lock", c->path));
    while (again && lock_once(e, c, name, &again) == ERR_OK)
        if (again) close(c->lock);
    if (e->code != ERR_OK && c->lock >= 0) {
        close(c->lock);
        c->lock = -1;
    }
    mem_free(name);
    return e->code;
}

void checkpoint_unlock(struct checkpoint *c)
{
    struct errctx ignored = ERRCTX_INIT;
    char *name;
    if (c->lock < 0) return;
    if (mem_printf(&ignored, &name, "%s.lock", c->path) == ERR_OK) {
        unlink(name);
        mem_free(name);
    }
    close(c->lock);
    c->lock = -1;
}

/* ---- the state as a map ---- */

enum field_type { FIELD_INT, FIELD_REAL, FIELD_BOOL };
#define FIELD(type, name)                                                                          \
    {                                                                                              \
#name, FIELD_##type, offsetof(struct train_state, name)                                    \
    }
static const struct {
    const char *name;
    enum field_type type;
    size_t offset;
} fields[] = {FIELD(INT, step),          FIELD(INT, rows),          FIELD(INT, tokens),
              FIELD(INT, log_bytes),     FIELD(REAL, seconds),      FIELD(REAL, joules),
              FIELD(REAL, loss_first),   FIELD(REAL, loss_last),    FIELD(REAL, loss_mean),
              FIELD(REAL, val_first),    FIELD(REAL, val_last),     FIELD(REAL, val_best),
              FIELD(INT, val_best_step), FIELD(INT, val_last_step), FIELD(INT, val_worse),
              FIELD(BOOL, stopped_early)};

static enum err state_put(struct errctx *e, const void *from, struct mp_value *map)
{
    const struct train_state *s = from;
    TRY(mp_set_binary(e, map, "digest", s->digest, sizeof s->digest));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const void *at = (const char *)s + fields[i].offset;
        if (fields[i].type == FIELD_INT)
            TRY(mp_set_int(e, map, fields[i].name, *(const int64_t *)at));
        else if (fields[i].type == FIELD_REAL)
            TRY(mp_set_real(e, map, fields[i].name, *(const double *)at));
        else
            TRY(mp_set_bool(e, map, fields[i].name, *(const bool *)at));
    }
    return ERR_OK;
}

static enum err get_id(struct errctx *e, const struct mp_value *map, const char *key,
                       uint8_t id[16])
{
    const struct mp_value *v = mp_get(map, key);
    if (!v || v->type != MP_BINARY || v->as.bytes.len != 16)
        return err_set(e, ERR_INPUT, "key '%s' is missing or not an id", key);
    memcpy(id, v->as.bytes.data, 16);
    return ERR_OK;
}

static enum err state_get(struct errctx *e, const struct mp_value *map, struct train_state *s)
{
    TRY(get_id(e, map, "digest", s->digest));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        void *at = (char *)s + fields[i].offset;
        if (fields[i].type == FIELD_INT)
            TRY(mp_get_int(e, map, fields[i].name, -1, INT64_MAX, at));
        else if (fields[i].type == FIELD_REAL)
            TRY(mp_get_real(e, map, fields[i].name, at));
        else
            TRY(mp_get_bool(e, map, fields[i].name, at));
    }
    return ERR_OK;
}

static enum err options_put(struct errctx *e, const void *from, struct mp_value *map)
{
    const struct run *run = from;
    for (size_t i = 0; i < run->step.options_count; i++)
        TRY(mp_set_string(e, map, run->step.options[i].name, run->step.options[i].value));
    return ERR_OK;
}

static enum err set_map(struct errctx *e, struct mp_value *meta, const char *key,
                        enum err (*put)(struct errctx *, const void *, struct mp_value *),
                        const void *from)
{
    struct mp_value map;
    mp_map_init(&map);
    enum err r = put(e, from, &map);
    if (r == ERR_OK) r = mp_set(e, meta, key, &map);
    mp_fini(&map);
    return r;
}

/* ---- tensors ---- */

static const char *const families[] = {"weights", "mean", "square", "best"};
enum { FAMILY_WEIGHTS, FAMILIES = sizeof families / sizeof families[0] };

static struct buf family_buf(const struct checkpoint *c, int family)
{
    const struct buf of[] = {model_weights(c->model), c->adamw->m, c->adamw->v, c->best};
    return of[family];
}

static struct buf param_buf(const struct checkpoint *c, int family, const struct param *p)
{
    const int64_t at = family == FAMILY_WEIGHTS ? p->offset : p->gradient;
    return buf_at(family_buf(c, family), (size_t)at * 4, (size_t)p->elements * 4);
}

static enum err begin_make(struct errctx *e, const struct checkpoint *c,
                           const struct train_state *s, struct stream_begin *b)
{
    const struct param_table *table = model_params(c->model);
    stream_begin_init(b, STREAM_CHECKPOINT);
    TRY(set_map(e, &b->meta, "state", state_put, s));
    TRY(set_map(e, &b->meta, "options", options_put, c->run));
    TRY(mp_set_string(e, &b->meta, "version", c->run->step.version));
    TRY(mp_set_string(e, &b->meta, "mode", c->run->step.mode));
    TRY(mp_set_string(e, &b->meta, "cpu", c->run->step.cpu));
    TRY(mp_set_binary(e, &b->meta, "model", model_id(c->model), 16));
    TRY(mp_set_binary(e, &b->meta, "val", c->val, 16));
    for (int f = 0; f < FAMILIES; f++)
        for (int64_t i = 0; buf_present(family_buf(c, f)) && i < table->count; i++) {
            const struct param *p = &table->items[i];
            char name[96];
            if (p->gradient < 0) continue;
            snprintf(name, sizeof name, "%s.%s", families[f], p->name);
            TRY(stream_begin_tensor(e, b, name, DTYPE_F32, p->dims, p->shape));
        }
    return ERR_OK;
}

static enum err tensors_write(struct errctx *e, const struct checkpoint *c, struct stream_writer *w)
{
    const struct param_table *table = model_params(c->model);
    struct kernels *k = model_kernels(c->model);
    int64_t tensor = 0;
    for (int f = 0; f < FAMILIES; f++)
        for (int64_t i = 0; buf_present(family_buf(c, f)) && i < table->count; i++) {
            const struct param *p = &table->items[i];
            if (p->gradient < 0) continue;
            TRY(stream_writer_tensor(e, w, tensor++, k->map(k, param_buf(c, f, p)), p->elements));
        }
    return ERR_OK;
}

enum err checkpoint_save(struct errctx *e, const struct checkpoint *c, struct run *lineage,
                         const struct train_state *s)
{
    struct stream_begin begin;
    struct stream_writer *w = NULL;
    struct stream_writer_cfg cfg = STREAM_WRITER_CFG;
    cfg.threads = pool_threads(model_kernels(c->model)->pool);
    enum err r = begin_make(e, c, s, &begin);
    if (r == ERR_OK) r = stream_writer_open(e, lineage, c->path, &begin, &cfg, &w);
    if (r == ERR_OK) r = tensors_write(e, c, w);
    if (r == ERR_OK)
        r = stream_writer_commit(e, w);
    else
        stream_writer_abort(w);
    stream_begin_fini(&begin);
    return r;
}

/* ---- reading ---- */

static enum err check_text(struct errctx *e, const struct mp_value *meta, const char *key,
                           const char *now, const char *what)
{
    const char *then;
    TRY(mp_get_string(e, meta, key, &then));
    if (strcmp(then, now) == 0) return ERR_OK;
    return err_set(e, ERR_USAGE,
                   "was made with %s '%s', not '%s': go on with that, or remove it to start anew",
                   what, then, now);
}

/* What the trainer settles from other options and the input, when it was not given. */
static bool is_settled(const char *option)
{
    return strcmp(option, "warmup") == 0 || strcmp(option, "horizon") == 0;
}

/* Those that follow from others come last: it is the others that a message should name. */
static enum err check_options(struct errctx *e, const struct mp_value *meta, const struct run *run)
{
    const struct mp_value *then = mp_get(meta, "options");
    size_t count = run->step.options_count;
    if (!then || then->type != MP_MAP)
        return err_set(e, ERR_INPUT, "key 'options' is missing or not a map");
    for (size_t i = 0; i < 2 * count; i++) {
        const struct lineage_option *now = &run->step.options[i % count];
        if (is_settled(now->name) != (i >= count)) continue;
        const struct mp_value *v = mp_get(then, now->name);
        if (!v || v->type != MP_STRING)
            return err_set(e, ERR_INPUT, "holds no option '%s': another version made it",
                           now->name);
        if (strcmp(v->as.bytes.data, now->value) != 0)
            return err_set(e, ERR_USAGE,
                           "was made with --%s %s, not %s: go on with that, or remove it to "
                           "start anew",
                           now->name, v->as.bytes.data, now->value);
    }
    return ERR_OK;
}

static enum err check_id(struct errctx *e, const struct mp_value *meta, const char *key,
                         const uint8_t now[16], const char *what)
{
    uint8_t then[16];
    char a[33], b[33];
    TRY(get_id(e, meta, key, then));
    if (memcmp(then, now, 16) == 0) return ERR_OK;
    return err_set(e, ERR_INPUT, "was made with another %s: id %s, not %s", what,
                   id_format(then, a), id_format(now, b));
}

static enum err check_begin(struct errctx *e, const struct checkpoint *c,
                            const struct stream_begin *b, struct train_state *s)
{
    const struct mp_value *state = mp_get(&b->meta, "state");
    struct stream_begin wanted;
    TRY(check_text(e, &b->meta, "version", c->run->step.version, "version"));
    TRY(check_options(e, &b->meta, c->run));
    TRY(check_text(e, &b->meta, "mode", c->run->step.mode, "the arithmetic"));
    TRY(check_text(e, &b->meta, "cpu", c->run->step.cpu, "the processor"));
    TRY(check_id(e, &b->meta, "model", model_id(c->model), "model"));
    TRY(check_id(e, &b->meta, "val", c->val, "validation stream"));
    if (!state || state->type != MP_MAP)
        return err_set(e, ERR_INPUT, "key 'state' is missing or not a map");
    TRY(state_get(e, state, s));
    enum err r = begin_make(e, c, s, &wanted);
    if (r == ERR_OK) r = stream_begin_match(e, &wanted, "this run", b, "the checkpoint");
    stream_begin_fini(&wanted);
    return r;
}

/* Tensor `tensor` of the stream, as begin_make lists them. */
static struct buf tensor_buf(const struct checkpoint *c, int64_t tensor)
{
    const struct param_table *table = model_params(c->model);
    int64_t trained = 0, i = 0;
    for (int64_t j = 0; j < table->count; j++) trained += table->items[j].gradient >= 0;
    for (int64_t nth = tensor % trained; table->items[i].gradient < 0 || nth-- > 0; i++)
        ;
    return param_buf(c, (int)(tensor / trained), &table->items[i]);
}

/* A sum with a number that is none would come to the weights unseen. */
static enum err check_finite(struct errctx *e, const struct checkpoint *c,
                             const struct stream_field *f, const float *x,
                             const struct stream_tensor_piece *piece)
{
    for (int64_t i = 0; i < piece->elements; i++)
        if (!isfinite(x[i]))
            return err_set(e, ERR_INPUT,
                           "the checkpoint '%s': tensor '%s', element %" PRId64 " is %s", c->path,
                           f->name, piece->first + i, isnan(x[i]) ? "NaN" : "infinite");
    return ERR_OK;
}

static enum err tensors_read(struct errctx *e, struct checkpoint *c, struct stream_reader *r)
{
    struct kernels *k = model_kernels(c->model);
    for (;;) {
        enum stream_event event;
        struct stream_rows rows;
        struct stream_tensor_piece piece;
        TRY(stream_reader_next(e, r, &event, &rows, &piece));
        if (event == STREAM_EVENT_END) return ERR_OK;
        struct buf to = tensor_buf(c, piece.tensor);
        to = buf_at(to, (size_t)piece.first * 4, piece.bytes);
        k->upload(k, to, piece.data, piece.bytes);
        TRY(check_finite(e, c, &stream_reader_begin(r)->tensors[piece.tensor], k->map(k, to),
                         &piece));
    }
}

enum err checkpoint_load(struct errctx *e, struct checkpoint *c, struct train_state *s, bool *found)
{
    struct stream_reader_cfg cfg = STREAM_READER_CFG;
    struct stream_reader *reader;
    cfg.kind = STREAM_CHECKPOINT;
    cfg.threads = pool_threads(model_kernels(c->model)->pool);
    *found = access(c->path, F_OK) == 0;
    if (!*found) return ERR_OK;
    TRY(stream_reader_open(e, NULL, "checkpoint", c->path, &cfg, &reader));
    enum err r = check_begin(e, c, stream_reader_begin(reader), s);
    if (r != ERR_OK)
        r = err_prefix(e, "the checkpoint '%s'", c->path);
    else
        r = tensors_read(e, c, reader);
    stream_reader_close(reader);
    if (r == ERR_OK) model_refresh(c->model);
    return r;
}
