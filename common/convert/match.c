/* SPDX-License-Identifier: Apache-2.0 */
/* match.c: see match.h.
 *
 * Every tensor of the file asks the table of tensors which part of which parameter it is; then
 * every parameter must have all its parts. Reading is a loop over rows of the parameter, of which
 * each is a row (or, transposed, a column) of its part; where rows stand in the file as they are
 * wanted, they are handed out from the mapping without a copy. */
#include "common/convert/match.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "kernels/values.h"

enum { PIECE_BYTES = 1 << 20 };

/* ------------------------------------------------------------------ which is which */

bool match_has(const struct family *family, const struct tensor_file *file, const char *param)
{
    for (size_t i = 0; i < file->count; i++) {
        int64_t layer;
        const char *suffix;
        const struct tensor_rule *r =
            family_find_tensor(family, file->entries[i].name, &layer, &suffix);
        if (r && r->param && strncmp(r->param, param, strlen(param)) == 0) return true;
    }
    return false;
}

struct matcher {
    struct errctx *e;
    const struct family *family;
    struct findings *f;
    struct matching *m;
};

/* Which of a parameter's parts comes at which place. */
static int part_place(enum tensor_part part)
{
    static const int places[] = {
        [PART_ALL] = 0, [PART_Q] = 0, [PART_K] = 1, [PART_V] = 2, [PART_GATE] = 0, [PART_UP] = 1};
    return places[part];
}

static int parts_wanted(enum tensor_part part)
{
    return part == PART_ALL ? 1 : part == PART_GATE || part == PART_UP ? 2 : 3;
}

static int64_t part_rows(const struct model_config *c, const struct param *p, enum tensor_part part)
{
    switch (part) {
    case PART_ALL:
        return p->shape[0];
    case PART_Q:
        return c->heads * c->head_size;
    case PART_K:
    case PART_V:
        return c->kv_heads * c->head_size;
    case PART_GATE:
    case PART_UP:
        return c->mlp;
    }
    return 0;
}

static void format_shape(const int64_t *shape, int dims, char *buf, size_t n)
{
    size_t used = (size_t)snprintf(buf, n, "[");
    for (int d = 0; d < dims && used < n; d++)
        used +=
            (size_t)snprintf(buf + used, n - used, "%s%lld", d ? ", " : "", (long long)shape[d]);
    if (used < n) snprintf(buf + used, n - used, "]");
}

static bool type_fits(enum dtype t)
{
    return t == DTYPE_F32 || t == DTYPE_F16 || t == DTYPE_BF16 || dtype_is_blocks(t);
}

static enum err check_entry(const struct matcher *k, const struct param *p,
                            const struct tensor_entry *t, const struct tensor_rule *rule,
                            int64_t rows)
{
    const bool turned = (rule->flags & TENSOR_TRANSPOSED) && p->dims == 2;
    const int64_t columns = p->dims == 2 ? p->shape[1] : 0;
    const int64_t want[2] = {turned ? columns : rows, turned ? rows : columns};
    char is[64], should[64];
    bool same = t->dims == p->dims;
    for (int d = 0; d < p->dims && same; d++) same = t->shape[d] == want[d];
    if (!same) {
        format_shape(t->shape, t->dims, is, sizeof is);
        format_shape(want, p->dims, should, sizeof should);
        return findings_add(k->e, k->f,
                            "tensor '%s' is of shape %s, not %s as its configuration "
                            "says",
                            t->name, is, should);
    }
    if (!type_fits(t->dtype))
        return findings_add(k->e, k->f, "tensor '%s' is of type %s, which weights are not", t->name,
                            dtype_name(t->dtype));
    if (dtype_is_blocks(t->dtype) && (turned || p->dims != 2))
        return findings_add(k->e, k->f,
                            "tensor '%s' is of type %s, which only matrices that are "
                            "stored by rows can be",
                            t->name, dtype_name(t->dtype));
    return ERR_OK;
}

static bool same_numbers(const struct tensor_entry *a, const struct tensor_entry *b)
{
    return a->dtype == b->dtype && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

static enum err take_entry(const struct matcher *k, const struct tensor_entry *t)
{
    int64_t layer;
    const char *suffix;
    char name[64];
    const struct tensor_rule *rule = family_find_tensor(k->family, t->name, &layer, &suffix);
    if (!rule)
        return findings_add(k->e, k->f, "tensor '%s' is not known of models of type '%s'", t->name,
                            k->family->name);
    if (!rule->param) {
        k->m->ignored += !(rule->flags & TENSOR_SAID);
        return ERR_OK;
    }
    /* A name may have any number in it: what is beyond the layers is not looked for. */
    const struct param *p =
        family_fill(rule->param, layer, suffix, name, sizeof name) && layer < k->m->c.layers
            ? param_table_find(&k->m->params, name)
            : NULL;
    if (!p && strcmp(rule->param, "head.weight") == 0) return ERR_OK; /* looked at by `tie` */
    if (!p)
        return findings_add(k->e, k->f,
                            "tensor '%s' would be '%s', which a model of its "
                            "configuration does not have",
                            t->name, name);
    const int64_t rows = part_rows(&k->m->c, p, rule->part);
    struct match *match = &k->m->items[p - k->m->params.items];
    struct match_part *part = &match->parts[part_place(rule->part)];
    TRY(check_entry(k, p, t, rule, rows));
    if (part->entry && !same_numbers(part->entry, t))
        return findings_add(k->e, k->f, "tensors '%s' and '%s' are the same parameter, but differ",
                            part->entry->name, t->name);
    match->param = p;
    match->count = parts_wanted(rule->part);
    *part = (struct match_part){t, rule, rows};
    return ERR_OK;
}

/* The first name that would have been this parameter's, for messages. */
static const char *wanted_name(const struct matcher *k, const struct param *p, int place, char *buf,
                               size_t n)
{
    const struct tensor_rule *r;
    for (size_t i = 0; (r = family_tensor(k->family, i)) != NULL; i++) {
        char name[64];
        static const char *const suffixes[] = {"weight", "bias"};
        for (size_t s = 0; s < ARRAY_LEN(suffixes) && r->param; s++)
            if (part_place(r->part) == place &&
                family_fill(r->param, p->layer, suffixes[s], name, sizeof name) &&
                strcmp(name, p->name) == 0 && family_fill(r->name, p->layer, suffixes[s], buf, n))
                return buf;
    }
    return p->name;
}

static enum err settle(const struct matcher *k, int64_t i)
{
    struct match *match = &k->m->items[i];
    const struct param *p = &k->m->params.items[i];
    char buf[128];
    if (!match->param)
        return findings_add(k->e, k->f, "tensor '%s' (%s) is missing",
                            wanted_name(k, p, 0, buf, sizeof buf), p->name);
    for (int j = 0; j < match->count; j++)
        if (!match->parts[j].entry)
            return findings_add(k->e, k->f, "tensor '%s' (%s) is missing",
                                wanted_name(k, p, j, buf, sizeof buf), p->name);
    match->dtype = match->parts[0].entry->dtype;
    for (int j = 0; j < match->count; j++)
        if (match->parts[j].entry->dtype != match->dtype ||
            (match->parts[j].rule->flags & TENSOR_PLUS_ONE))
            match->dtype = DTYPE_F32;
    return ERR_OK;
}

static const struct tensor_entry *find_param(const struct family *family,
                                             const struct tensor_file *file, const char *param)
{
    for (size_t i = 0; i < file->count; i++) {
        int64_t layer;
        const char *suffix;
        const struct tensor_rule *r =
            family_find_tensor(family, file->entries[i].name, &layer, &suffix);
        if (r && r->param && strcmp(r->param, param) == 0) return &file->entries[i];
    }
    return NULL;
}

/* Where head and embedding are said to be one but are stored twice, what is stored counts. */
static void tie(const struct family *family, const struct tensor_file *file, struct model_config *c)
{
    const struct tensor_entry *head = find_param(family, file, "head.weight");
    const struct tensor_entry *tokens = find_param(family, file, "embed.tokens.weight");
    if (c->tied && head && tokens && !same_numbers(head, tokens)) c->tied = false;
}

enum err matching_make(struct errctx *e, const struct family *family,
                       const struct tensor_file *file, struct model_config *c, struct findings *f,
                       struct matching *m)
{
    const struct matcher k = {e, family, f, m};
    tie(family, file, c);
    *m = (struct matching){.file = file, .c = *c};
    TRY(param_table_build(e, c, &m->params));
    TRY(mem_new(e, &m->items, (size_t)m->params.count, sizeof *m->items, "parameters"));
    for (size_t i = 0; i < file->count; i++) TRY(take_entry(&k, &file->entries[i]));
    for (int64_t i = 0; i < m->params.count; i++) TRY(settle(&k, i));
    return ERR_OK;
}

void matching_fini(struct matching *m)
{
    param_table_fini(&m->params);
    mem_free(m->items);
    *m = (struct matching){0};
}

/* ------------------------------------------------------------------ numbers */

struct rows_reader {
    struct errctx *e;
    const struct matching *m;
    const struct match *match;
    match_put *put;
    void *ctx;
    int64_t *bad;
    uint8_t *buffer;
    size_t filled, row_bytes; /* of the parameter as it is written */
    size_t given;             /* bytes of it */
    int64_t columns;
};

static enum err hand_out(struct rows_reader *r, const uint8_t *data, int64_t elements)
{
    *r->bad += values_not_finite(r->match->dtype, data, elements);
    r->given += dtype_offset(r->match->dtype, elements);
    return r->put(r->e, r->ctx, data, elements);
}

static enum err flush(struct rows_reader *r)
{
    const int64_t rows = (int64_t)(r->filled / r->row_bytes);
    r->filled = 0;
    return rows ? hand_out(r, r->buffer, rows * r->columns) : ERR_OK;
}

int64_t match_row_in_file(const struct model_config *c, const struct tensor_rule *rule, int64_t i)
{
    const int64_t D = c->head_size;
    if (rule->flags & TENSOR_PAIRED) {
        const int64_t in_head = i % D, half = in_head / (D / 2);
        return i - in_head + 2 * (in_head % (D / 2)) + half;
    }
    if (rule->flags & TENSOR_PER_HEAD) {
        const int64_t which = i / (c->heads * D), head = i / D % c->heads;
        return (3 * head + which) * D + i % D;
    }
    return i;
}

/* A row of numbers as F32: the parts of a parameter are of different types, or it is stored with 1
 * added. `out` need not be aligned. */
static void widen_row(const struct match_part *part, const uint8_t *row, int64_t columns,
                      uint8_t *out)
{
    const enum dtype t = part->entry->dtype;
    const bool less = part->rule->flags & TENSOR_PLUS_ONE;
    float some[DTYPE_UNIT_LIMIT];
    for (int64_t at = 0; at < columns; at += DTYPE_UNIT_LIMIT) {
        const int64_t left = columns - at, n = left < DTYPE_UNIT_LIMIT ? left : DTYPE_UNIT_LIMIT;
        values_to_f32(t, row + dtype_offset(t, at), n, some);
        for (int64_t i = 0; less && i < n; i++) some[i] -= 1;
        memcpy(out + 4 * at, some, (size_t)n * sizeof *some);
    }
}

/* Columns of the stored matrix become rows, as many at a time as fit into the buffer: lines of the
 * file are read whole. */
static enum err read_columns(struct rows_reader *r, const struct match_part *part)
{
    const struct tensor_entry *t = part->entry;
    const size_t size = dtype_size(t->dtype), line = (size_t)part->rows * size;
    int64_t room = (int64_t)(PIECE_BYTES / r->row_bytes);
    if (room < 1) room = 1;
    for (int64_t first = 0; first < part->rows; first += room) {
        const int64_t n = part->rows - first < room ? part->rows - first : room;
        for (int64_t i = 0; i < r->columns; i++) {
            const uint8_t *from = t->data + (size_t)i * line + (size_t)first * size;
            for (int64_t j = 0; j < n; j++)
                memcpy(r->buffer + (size_t)j * r->row_bytes + (size_t)i * size,
                       from + (size_t)j * size, size);
        }
        TRY(hand_out(r, r->buffer, n * r->columns));
    }
    tensor_file_release(t, 0, t->bytes);
    return ERR_OK;
}

/* As it stands there, from the mapping, in the pieces that the stream's writer makes, which takes
 * them without a copy of its own. */
static enum err read_straight(struct rows_reader *r, const struct match_part *part)
{
    const struct tensor_entry *t = part->entry;
    const size_t unit = dtype_unit_bytes(t->dtype), room = PIECE_BYTES / unit * unit;
    size_t n;
    for (size_t at = 0; at < t->bytes; at += n) {
        n = room - r->given % room;
        if (n > t->bytes - at) n = t->bytes - at;
        TRY(hand_out(r, t->data + at, (int64_t)(n / unit) * dtype_unit(t->dtype)));
        tensor_file_release(t, at, n);
    }
    return ERR_OK;
}

static enum err read_rows(struct rows_reader *r, const struct match_part *part)
{
    const struct tensor_entry *t = part->entry;
    const size_t stored = t->bytes / (size_t)part->rows;
    for (int64_t i = 0; i < part->rows; i++) {
        const uint8_t *row = t->data + (size_t)match_row_in_file(&r->m->c, part->rule, i) * stored;
        uint8_t *out = r->buffer + r->filled;
        if (t->dtype == r->match->dtype && !(part->rule->flags & TENSOR_PLUS_ONE))
            memcpy(out, row, stored);
        else
            widen_row(part, row, r->columns, out);
        r->filled += r->row_bytes;
        if (r->filled + r->row_bytes > PIECE_BYTES) TRY(flush(r));
    }
    TRY(flush(r));
    tensor_file_release(t, 0, t->bytes);
    return ERR_OK;
}

static enum err read_part(struct rows_reader *r, const struct match_part *part)
{
    const unsigned moved = part->rule->flags & (TENSOR_PAIRED | TENSOR_PER_HEAD | TENSOR_PLUS_ONE);
    if ((part->rule->flags & TENSOR_TRANSPOSED) && r->match->param->dims == 2)
        return read_columns(r, part);
    if (!moved && part->entry->dtype == r->match->dtype) return read_straight(r, part);
    return read_rows(r, part);
}

enum err matching_read(struct errctx *e, const struct matching *m, int64_t i, match_put *put,
                       void *ctx, int64_t *bad)
{
    const struct match *match = &m->items[i];
    struct rows_reader r = {.e = e, .m = m, .match = match, .put = put, .ctx = ctx, .bad = bad};
    r.columns = match->param->dims == 2 ? match->param->shape[1] : 1;
    if (!dtype_bytes(match->dtype, r.columns, &r.row_bytes))
        return err_set(e, ERR_INPUT, "tensor '%s': a row of %lld elements is no whole blocks",
                       match->parts[0].entry->name, (long long)r.columns);
    TRY(mem_new_aligned(e, &r.buffer, PIECE_BYTES + r.row_bytes, 1, "rows"));
    for (int j = 0; j < match->count && e->code == ERR_OK; j++)
        (void)!read_part(&r, &match->parts[j]);
    mem_free(r.buffer);
    return e->code;
}
