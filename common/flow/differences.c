/* SPDX-License-Identifier: Apache-2.0 */
/* differences.c: see differences.h. */
#include "common/flow/differences.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/quantise.h"
#include "formats/element.h"
#include "formats/scales.h"
#include "formats/stream_begin.h"
#include "kernels/values.h"

/* One of the two streams. */
struct side {
    struct stream_reader *reader;
    const struct stream_begin *begin;
    const char *name;
    struct stream_rows rows; /* handed out last */
    int64_t at;              /* next of them */
    bool ended;
};

static bool same_shape(const struct stream_field *a, const struct stream_field *b)
{
    return a->dims == b->dims && !memcmp(a->shape, b->shape, (size_t)a->dims * sizeof *a->shape);
}

static bool same_type(const struct stream_field *a, const struct stream_field *b)
{
    return a->dtype == b->dtype && same_shape(a, b);
}

/* What weights are stored in. */
static bool has_values(enum dtype t)
{
    return dtype_is_float(t) || dtype_is_blocks(t);
}

/* ------------------------------------------------------------------ elements */

static bool close_enough(enum dtype t, const uint8_t *a, const uint8_t *b, double tolerance)
{
    if (!memcmp(a, b, dtype_size(t))) return true;
    if (tolerance <= 0 || !dtype_is_float(t)) return false;
    double x = element_value(t, a), y = element_value(t, b);
    return x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance;
}

/* ------------------------------------------------------------------ rows */

struct cell {
    const uint8_t *data;
    int64_t elements;
};

static struct cell cell_of(const struct side *s, int64_t c)
{
    const struct stream_field *f = &s->begin->columns[c];
    size_t size = stream_field_cell(f);
    const int64_t *start = s->rows.start[c];
    if (start)
        return (struct cell){s->rows.data[c] + (size_t)start[s->at] * size,
                             start[s->at + 1] - start[s->at]};
    return (struct cell){s->rows.data[c] + (size_t)s->at * size,
                         (int64_t)(size / dtype_size(f->dtype))};
}

/* The first element that differs: -1 when none does; the shorter length when only that does. */
static int64_t first_difference(enum dtype t, struct cell a, struct cell b, double tolerance)
{
    size_t size = dtype_size(t);
    int64_t n = a.elements < b.elements ? a.elements : b.elements;
    if (a.elements == b.elements && !memcmp(a.data, b.data, (size_t)n * size)) return -1;
    for (int64_t i = 0; i < n; i++)
        if (!close_enough(t, a.data + (size_t)i * size, b.data + (size_t)i * size, tolerance))
            return i;
    return a.elements == b.elements ? -1 : n;
}

static void value_at(enum dtype t, struct cell c, int64_t i, char out[VALUE_TEXT])
{
    if (i < c.elements)
        element_format(t, c.data + (size_t)i * dtype_size(t), out);
    else
        snprintf(out, VALUE_TEXT, "nothing");
}

static void compare_row(struct diff *d, const struct side *a, const struct side *b,
                        double tolerance)
{
    for (int64_t c = 0; c < a->begin->columns_count; c++) {
        enum dtype t = a->begin->columns[c].dtype;
        struct cell x = cell_of(a, c), y = cell_of(b, c);
        int64_t i = first_difference(t, x, y, tolerance);
        if (i < 0) continue;
        if (d->row < 0) {
            d->row = a->rows.first + a->at;
            snprintf(d->column, sizeof d->column, "%s", a->begin->columns[c].name);
            d->element = i;
            value_at(t, x, i, d->value[0]);
            value_at(t, y, i, d->value[1]);
        }
        d->rows_different++;
        d->differs = true;
        return;
    }
}

/* Sees to it that there is a row at s->at, or that s has ended. */
static enum err refill(struct errctx *e, struct side *s)
{
    enum stream_event event;
    if (s->ended || s->at < s->rows.n) return ERR_OK;
    TRY(stream_reader_next(e, s->reader, &event, &s->rows, NULL));
    s->ended = event == STREAM_EVENT_END;
    s->at = 0;
    if (s->ended) s->rows.n = 0;
    return ERR_OK;
}

static enum err compare_rows(struct errctx *e, struct side side[2], double tolerance,
                             struct diff *d)
{
    for (;;) {
        TRY(refill(e, &side[0]));
        TRY(refill(e, &side[1]));
        if (side[0].ended || side[1].ended) break;
        compare_row(d, &side[0], &side[1], tolerance);
        side[0].at++;
        side[1].at++;
    }
    for (int i = 0; i < 2; i++) {
        TRY(stream_reader_check(e, side[i].reader));
        d->rows[i] = stream_reader_summary(side[i].reader)->rows;
    }
    if (d->rows[0] != d->rows[1]) d->differs = true;
    return ERR_OK;
}

/* ------------------------------------------------------------------ tensors */

struct sums {
    double aa, bb, ab, dd; /* of squares, products, squared differences */
};

static enum err add_tensor(struct errctx *e, struct diff *d, const char *name, const char *status,
                           struct diff_tensor **out)
{
    TRY(mem_grow(e, &d->tensors, &d->tensors_capacity, d->tensors_count + 1, sizeof *d->tensors,
                 "tensors"));
    struct diff_tensor *t = &d->tensors[d->tensors_count];
    *t = (struct diff_tensor){.status = status, .cosine = 1};
    TRY(mem_strdup(e, &t->name, name));
    d->tensors_count++;
    if (strcmp(status, "equal") != 0) d->differs = true;
    if (out) *out = t;
    return ERR_OK;
}

static void add_pair(double x, double y, bool same, struct diff_tensor *out, struct sums *s)
{
    const double gap = fabs(x - y);
    if (!same && !isnan(out->max) && !(gap <= out->max)) out->max = gap;
    s->aa += x * x;
    s->bb += y * y;
    s->ab += x * y;
    s->dd += (x - y) * (x - y);
}

/* Blocks that are not the same bytes differ in their values, or are two ways to write one: then all
 * their values are the same and one is said to differ. */
static void compare_blocks(enum dtype t, const uint8_t *a, const uint8_t *b, int64_t n,
                           double tolerance, struct diff_tensor *out, struct sums *s)
{
    float x[DTYPE_UNIT_LIMIT], y[DTYPE_UNIT_LIMIT];
    const int unit = dtype_unit(t);
    const size_t size = dtype_unit_bytes(t);
    for (int64_t at = 0; at < n; at += unit, a += size, b += size) {
        const bool same = !memcmp(a, b, size);
        int64_t different = 0;
        values_to_f32(t, a, unit, x);
        values_to_f32(t, b, unit, y);
        for (int i = 0; i < unit; i++) {
            const bool equal = x[i] == y[i] || (isnan(x[i]) && isnan(y[i]));
            different += !equal && !(fabs((double)x[i] - y[i]) <= tolerance);
            add_pair(x[i], y[i], same || equal, out, s);
        }
        out->different += same ? 0 : different == 0 && tolerance <= 0 ? 1 : different;
    }
}

/* Elements first .. + n of two tensors of different types: `a` is whole, `b` begins at `first`.
 * Both are decoded from a multiple of the longest block on. */
static void compare_values(const enum dtype dtypes[2], const uint8_t *a, const uint8_t *b,
                           int64_t first, int64_t n, int64_t all, double tolerance,
                           struct diff_tensor *out, struct sums *s)
{
    enum { SOME = 256 };
    float x[SOME], y[SOME];
    int64_t begin, now;
    for (int64_t at = first; at < first + n; at += now) {
        begin = at / SOME * SOME;
        now = (begin + SOME < first + n ? begin + SOME : first + n) - at;
        values_to_f32(dtypes[0], a + dtype_offset(dtypes[0], begin),
                      all - begin < SOME ? all - begin : SOME, x);
        values_to_f32(dtypes[1], b + dtype_offset(dtypes[1], at - first), now, y);
        for (int64_t i = 0; i < now; i++) {
            const double u = x[at - begin + i], v = y[i];
            const bool equal = u == v || (isnan(u) && isnan(v));
            out->different += !equal && !(fabs(u - v) <= tolerance);
            add_pair(u, v, equal, out, s);
        }
    }
}

static void compare_elements(enum dtype t, const uint8_t *a, const uint8_t *b, int64_t n,
                             double tolerance, struct diff_tensor *out, struct sums *s)
{
    size_t size = dtype_size(t);
    for (int64_t i = 0; i < n; i++, a += size, b += size) {
        out->different += !close_enough(t, a, b, tolerance);
        add_pair(element_value(t, a), element_value(t, b), memcmp(a, b, size) == 0, out, s);
    }
}

static void close_tensor(struct diff *d, struct diff_tensor *t, const struct sums *s, int64_t n,
                         double tolerance)
{
    const bool types = t->dtypes[0] != t->dtypes[1];
    if (t->max == 0 && t->different == 0 && !types) return; /* equal: 0, 0, 0, 1 */
    if (types && tolerance <= 0) d->differs = true;
    t->rms = n > 0 ? sqrt(s->dd / (double)n) : 0;
    t->relative = s->aa > 0 ? sqrt(s->dd / s->aa) : INFINITY;
    t->cosine = s->aa > 0 && s->bb > 0 ? s->ab / sqrt(s->aa) / sqrt(s->bb) : 0;
    t->status = t->different ? "different" : "close";
    if (t->different) d->differs = true;
}

/* Compares the tensors of side b, as they come, with those of a, which are in memory. */
static enum err compare_pieces(struct errctx *e, const struct stream_tensors *a, struct side *b,
                               double tolerance, struct diff *d, const int64_t *partner,
                               struct scales *scales)
{
    struct diff_tensor *t = NULL;
    struct stream_tensor_piece p;
    enum stream_event event;
    struct sums sums = {0};
    enum dtype types[2];
    for (;;) {
        TRY(stream_reader_next(e, b->reader, &event, NULL, &p));
        if (event == STREAM_EVENT_END) return ERR_OK;
        const struct stream_field *f = &b->begin->tensors[p.tensor];
        TRY(scales_apply(e, scales, b->begin, &p, &types[1]));
        if (partner[p.tensor] < 0) continue;
        if (p.first == 0) {
            TRY(add_tensor(e, d, f->name, "equal", &t));
            t->dtypes[0] = a->begin.tensors[partner[p.tensor]].dtype;
            t->dtypes[1] = f->dtype;
            sums = (struct sums){0};
        }
        const int64_t all = stream_field_elements(f);
        const uint8_t *x = a->data[partner[p.tensor]];
        types[0] = t->dtypes[0] == DTYPE_NF4_DQ ? DTYPE_NF4 : t->dtypes[0];
        if (types[0] == types[1]) x += dtype_offset(types[0], p.first);
        if (types[0] != types[1])
            compare_values(types, x, p.data, p.first, p.elements, all, tolerance, t, &sums);
        else if (dtype_is_blocks(types[0]))
            compare_blocks(types[0], x, p.data, p.elements, tolerance, t, &sums);
        else
            compare_elements(types[0], x, p.data, p.elements, tolerance, t, &sums);
        if (p.first + p.elements == all) close_tensor(d, t, &sums, all, tolerance);
    }
}

/* partner[i]: the tensor of a with the name and shape of b's i-th, and a dtype that can be compared
 * with its own; -1: none. Those without are told of here; scales count with the tensors whose they
 * are. */
static enum err match_tensors(struct errctx *e, const struct stream_begin *a,
                              const struct stream_begin *b, struct diff *d, int64_t *partner)
{
    for (int64_t i = 0; i < b->tensors_count; i++) {
        const struct stream_field *f = &b->tensors[i];
        partner[i] = -1;
        if (stream_begin_is_scales(b, i)) continue;
        partner[i] = stream_begin_find_tensor(a, f->name);
        const struct stream_field *other = partner[i] >= 0 ? &a->tensors[partner[i]] : NULL;
        bool same =
            other && same_shape(f, other) &&
            (f->dtype == other->dtype || (has_values(f->dtype) && has_values(other->dtype)));
        if (!same) TRY(add_tensor(e, d, f->name, partner[i] < 0 ? "second only" : "shape", NULL));
        if (same && stream_field_elements(f) == 0) TRY(add_tensor(e, d, f->name, "equal", NULL));
        if (!same) partner[i] = -1;
    }
    for (int64_t i = 0; i < a->tensors_count; i++)
        if (!stream_begin_is_scales(a, i) && stream_begin_find_tensor(b, a->tensors[i].name) < 0)
            TRY(add_tensor(e, d, a->tensors[i].name, "first only", NULL));
    return ERR_OK;
}

/* Tensor i of type NF4_DQ: its data become those of NF4. */
static enum err restore(struct errctx *e, struct stream_tensors *t, int64_t i)
{
    const int64_t n = stream_field_elements(&t->begin.tensors[i]);
    uint8_t *data = NULL;
    TRY(mem_new_aligned(e, &data, dtype_offset(DTYPE_NF4, n), 1, "tensors"));
    quantise_restore(t->data[i], 0, n / dtype_unit(DTYPE_NF4),
                     (const float *)(const void *)t->data[i - 1], data);
    mem_free(t->data[i]);
    t->data[i] = data;
    return ERR_OK;
}

static enum err compare_tensors(struct errctx *e, struct side *a, struct side *b, double tolerance,
                                struct diff *d)
{
    struct stream_tensors first;
    struct scales scales = {0};
    int64_t *partner = NULL;
    TRY(stream_tensors_read(e, a->reader, &first));
    enum err code =
        mem_new(e, &partner, (size_t)b->begin->tensors_count, sizeof *partner, "tensors");
    for (int64_t i = 0; i < first.begin.tensors_count && code == ERR_OK; i++)
        if (first.begin.tensors[i].dtype == DTYPE_NF4_DQ) code = restore(e, &first, i);
    if (code == ERR_OK) code = match_tensors(e, &first.begin, b->begin, d, partner);
    if (code == ERR_OK) code = compare_pieces(e, &first, b, tolerance, d, partner, &scales);
    scales_fini(&scales);
    mem_free(partner);
    stream_tensors_fini(&first);
    return code;
}

/* ------------------------------------------------------------------ both */

static bool same_columns(const struct stream_begin *a, const struct stream_begin *b)
{
    bool same = a->columns_count == b->columns_count;
    for (int64_t i = 0; same && i < a->columns_count; i++)
        same = !strcmp(a->columns[i].name, b->columns[i].name) &&
               same_type(&a->columns[i], &b->columns[i]);
    return same;
}

/* What the begins say beside the list of tensors, which are compared one by one. */
static enum err compare_begins(struct errctx *e, const struct side side[2], struct diff *d)
{
    struct errctx found = ERRCTX_INIT;
    const struct stream_begin *a = side[0].begin, *b = side[1].begin;
    struct stream_begin x = *a, y = *b;
    x.tensors_count = y.tensors_count = 0;
    enum err code = stream_begin_match(&found, &x, side[0].name, &y, side[1].name);
    if (code != ERR_OK && code != ERR_INPUT) return err_set(e, code, "%s", found.message);
    if (code == ERR_INPUT) {
        d->differs = true;
        memcpy(d->begin, found.message, sizeof d->begin);
    }
    return ERR_OK;
}

static enum err compare(struct errctx *e, struct side side[2], double tolerance, struct diff *d)
{
    TRY(compare_begins(e, side, d));
    if (side[0].begin->columns_count && same_columns(side[0].begin, side[1].begin))
        return compare_rows(e, side, tolerance, d);
    if (!side[0].begin->columns_count && !side[1].begin->columns_count)
        return compare_tensors(e, &side[0], &side[1], tolerance, d);
    return ERR_OK; /* nothing that could be compared: the begins have said so */
}

enum err diff_streams(struct errctx *e, const char *a, const char *b,
                      const struct stream_reader_cfg *cfg, double tolerance, struct diff *out)
{
    struct side side[2] = {{.name = a}, {.name = b}};
    struct stream_reader_cfg reader = *cfg;
    enum err code = ERR_OK;
    *out = (struct diff){.row = -1, .element = -1};
    for (int i = 0; i < 2 && code == ERR_OK; i++) {
        if (i == 1) reader.progress = false; /* they go together */
        code = stream_reader_open(e, NULL, "input", side[i].name, &reader, &side[i].reader);
        if (code == ERR_OK) side[i].begin = stream_reader_begin(side[i].reader);
    }
    if (code == ERR_OK) code = compare(e, side, tolerance, out);
    stream_reader_close(side[0].reader);
    stream_reader_close(side[1].reader);
    if (code != ERR_OK) diff_fini(out);
    return code;
}

void diff_fini(struct diff *d)
{
    for (size_t i = 0; i < d->tensors_count; i++) mem_free(d->tensors[i].name);
    mem_free(d->tensors);
    *d = (struct diff){0};
}
