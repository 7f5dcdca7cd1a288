/* SPDX-License-Identifier: Apache-2.0 */
/* differences_print.c: differences for people and for jq. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "common/flow/differences.h"

static void print_rows(const struct diff *d, const char *a, const char *b, FILE *out)
{
    int64_t both = d->rows[0] < d->rows[1] ? d->rows[0] : d->rows[1];
    if (d->row >= 0)
        fprintf(out,
                "row %" PRId64 ", column '%s', element %" PRId64 ": %s in '%s', %s in '%s'\n"
                "%" PRId64 " of %" PRId64 " rows differ\n",
                d->row, d->column, d->element, d->value[0], a, d->value[1], b, d->rows_different,
                both);
    if (d->rows[0] != d->rows[1])
        fprintf(out, "'%s' has %" PRId64 " rows, '%s' has %" PRId64 "\n", a, d->rows[0], b,
                d->rows[1]);
}

static void print_numbers(const struct diff_tensor *t, FILE *out)
{
    fprintf(out, "tensor '%s': %s, ", t->name, t->status);
    if (t->dtypes[0] != t->dtypes[1])
        fprintf(out, "%s and %s, ", dtype_name(t->dtypes[0]), dtype_name(t->dtypes[1]));
    fprintf(out, "%" PRId64 " elements differ, max %.3g, rms %.3g, relative %.3g, cosine %.9f\n",
            t->different, t->max, t->rms, t->relative, t->cosine);
}

static void print_tensor(const struct diff_tensor *t, const char *a, const char *b, FILE *out)
{
    if (!strcmp(t->status, "first only") || !strcmp(t->status, "second only"))
        fprintf(out, "tensor '%s': only in '%s'\n", t->name, *t->status == 'f' ? a : b);
    else if (!strcmp(t->status, "shape"))
        fprintf(out, "tensor '%s': dtype or shape differ\n", t->name);
    else if (!strcmp(t->status, "equal"))
        fprintf(out, "tensor '%s': equal\n", t->name);
    else
        print_numbers(t, out);
}

enum err diff_print(struct errctx *e, const struct diff *d, const char *a, const char *b, bool all,
                    FILE *out)
{
    if (d->begin[0]) fprintf(out, "begin: %s\n", d->begin);
    print_rows(d, a, b, out);
    for (size_t i = 0; i < d->tensors_count; i++)
        if (all || strcmp(d->tensors[i].status, "equal") != 0)
            print_tensor(&d->tensors[i], a, b, out);
    return ferror(out) ? err_errno(e, "cannot write the differences") : ERR_OK;
}

/* JSON has neither NaN nor infinity: null. */
static json_t *json_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

/* null where it was not looked at: a tensor is missing, or the shapes differ. */
static json_t *json_dtype(enum dtype t)
{
    return t == DTYPE_NONE ? json_null() : json_string(dtype_name(t));
}

static json_t *json_tensors(const struct diff *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->tensors_count; i++) {
        const struct diff_tensor *t = &d->tensors[i];
        json_t *o = json_object();
        json_object_set_new(o, "name", json_string(t->name));
        json_object_set_new(o, "status", json_string(t->status));
        json_object_set_new(o, "dtype_a", json_dtype(t->dtypes[0]));
        json_object_set_new(o, "dtype_b", json_dtype(t->dtypes[1]));
        json_object_set_new(o, "different", json_integer(t->different));
        json_object_set_new(o, "max", json_number(t->max));
        json_object_set_new(o, "rms", json_number(t->rms));
        json_object_set_new(o, "relative", json_number(t->relative));
        json_object_set_new(o, "cosine", json_number(t->cosine));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_first(const struct diff *d)
{
    if (d->row < 0) return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "row", json_integer(d->row));
    json_object_set_new(o, "column", json_string(d->column));
    json_object_set_new(o, "element", json_integer(d->element));
    json_object_set_new(o, "a", json_string(d->value[0]));
    json_object_set_new(o, "b", json_string(d->value[1]));
    return o;
}

enum err diff_print_json(struct errctx *e, const struct diff *d, FILE *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "equal", json_boolean(!d->differs));
    json_object_set_new(o, "begin", d->begin[0] ? json_string(d->begin) : json_null());
    json_object_set_new(o, "rows_a", json_integer(d->rows[0]));
    json_object_set_new(o, "rows_b", json_integer(d->rows[1]));
    json_object_set_new(o, "rows_different", json_integer(d->rows_different));
    json_object_set_new(o, "first", json_first(d));
    json_object_set_new(o, "tensors", json_tensors(d));
    int failed = json_dumpf(o, out, JSON_COMPACT);
    json_decref(o);
    if (failed || fputc('\n', out) == EOF) return err_errno(e, "cannot write the differences");
    return ERR_OK;
}
