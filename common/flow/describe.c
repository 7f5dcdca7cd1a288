/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c: see describe.h. */
#include "common/flow/describe.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "common/base/prog.h"
#include "common/flow/describe_model.h"
#include "formats/mp_json.h"
#include "formats/stream_begin.h"

enum { MANY = 12, TEXT_LIMIT = 100 };

static const uint8_t no_id[16];

static int64_t elements(const struct stream_begin *b)
{
    int64_t n = 0;
    for (int64_t i = 0; i < b->tensors_count; i++) n += stream_field_elements(&b->tensors[i]);
    return n;
}

/* ------------------------------------------------------------------ for people */

/* The lines of one value of meta, indented; lists and binaries in one line. */
static void print_value(const struct mp_value *v, int indent, bool all, FILE *out);

static void print_list(const struct mp_value *v, bool all, FILE *out)
{
    size_t n = v->as.list.count, shown = all || n <= MANY ? n : MANY;
    fputc('[', out);
    for (size_t i = 0; i < shown; i++) {
        if (i > 0) fputs(", ", out);
        print_value(&v->as.list.items[i], -1, all, out);
    }
    if (shown < n) fprintf(out, ", ... %zu in all", n);
    fputc(']', out);
}

/* indent < 0: in one line. */
static void print_map(const struct mp_value *v, int indent, bool all, FILE *out)
{
    if (indent < 0) fputc('{', out);
    for (size_t i = 0; i < v->as.list.count; i += 2) {
        const char *key = v->as.list.items[i].as.bytes.data;
        const struct mp_value *item = &v->as.list.items[i + 1];
        if (indent < 0) {
            fprintf(out, "%s%s: ", i ? ", " : "", key);
            print_value(item, -1, all, out);
            continue;
        }
        fprintf(out, "%*s%s", indent, "", key);
        if (item->type == MP_MAP) {
            fputc('\n', out);
            print_map(item, indent + 2, all, out);
        } else {
            fputs("  ", out);
            print_value(item, -1, all, out);
            fputc('\n', out);
        }
    }
    if (indent < 0) fputc('}', out);
}

static void print_text(const struct mp_value *v, bool all, FILE *out)
{
    size_t n = v->as.bytes.len, shown = all || n <= TEXT_LIMIT ? n : TEXT_LIMIT;
    while (shown < n && shown > 0 && ((uint8_t)v->as.bytes.data[shown] & 0xc0) == 0x80) shown--;
    for (size_t i = 0; i < shown; i++) {
        uint8_t c = (uint8_t)v->as.bytes.data[i];
        if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    if (shown < n) fprintf(out, "... (%zu bytes)", n);
}

static void print_binary(const struct mp_value *v, bool all, FILE *out)
{
    size_t n = v->as.bytes.len, shown = all || n <= 32 ? n : 32;
    for (size_t i = 0; i < shown; i++) fprintf(out, "%02x", (uint8_t)v->as.bytes.data[i]);
    if (shown < n) fprintf(out, "... (%zu bytes)", n);
}

static void print_value(const struct mp_value *v, int indent, bool all, FILE *out)
{
    switch (v->type) {
    case MP_NIL:
        fputs("nil", out);
        break;
    case MP_BOOL:
        fputs(v->as.boolean ? "true" : "false", out);
        break;
    case MP_INT:
        fprintf(out, "%" PRId64, v->as.i);
        break;
    case MP_UINT:
        fprintf(out, "%" PRIu64, v->as.u);
        break;
    case MP_REAL:
        fprintf(out, "%.9g", v->as.real);
        break;
    case MP_STRING:
        print_text(v, all, out);
        break;
    case MP_BINARY:
        print_binary(v, all, out);
        break;
    case MP_ARRAY:
        print_list(v, all, out);
        break;
    case MP_MAP:
        print_map(v, indent, all, out);
        break;
    }
}

static void print_fields(const char *title, const struct stream_field *f, int64_t n, FILE *out)
{
    int width = 0;
    for (int64_t i = 0; i < n; i++)
        if ((int)strlen(f[i].name) > width) width = (int)strlen(f[i].name);
    if (n) fprintf(out, "  %s\n", title);
    for (int64_t i = 0; i < n; i++) {
        fprintf(out, "    %-*s  %-4s", width, f[i].name, dtype_name(f[i].dtype));
        if (stream_field_ragged(&f[i]))
            fputs(" any length", out);
        else
            for (int k = 0; k < f[i].dims; k++)
                fprintf(out, "%s%" PRId64, k ? " x " : " ", f[i].shape[k]);
        fputc('\n', out);
    }
}

static void print_counts(const struct describe *d, FILE *out)
{
    const struct stream_summary *s = d->summary;
    char data[32], packed[32], id[33];
    fprintf(out, "%s: %s", d->name, stream_kind_name(d->begin->kind));
    if (d->begin->columns_count)
        fprintf(out, ", %" PRId64 " rows", s->rows);
    else
        fprintf(out, ", %" PRId64 " tensors with %" PRId64 " elements", s->tensors,
                elements(d->begin));
    if (s->segments > 1) fprintf(out, ", %" PRId64 " segments", s->segments);
    fputc('\n', out);
    if (memcmp(s->id, no_id, 16)) fprintf(out, "  id    %s\n", id_format(s->id, id));
    fprintf(out, "  size  %s, data %s\n", prog_format_bytes((double)s->compressed, packed),
            prog_format_bytes((double)s->bytes, data));
    if (d->begin->expect.tokens >= 0)
        fprintf(out, "  hint  %" PRId64 " tokens\n", d->begin->expect.tokens);
}

enum err describe_print(struct errctx *e, const struct describe *d, bool all, FILE *out)
{
    const struct stream_begin *b = d->begin;
    print_counts(d, out);
    if (b->kind == STREAM_MODEL) describe_model(b, out);
    if (d->lineage->count) {
        const struct lineage_step *s = &d->lineage->steps[d->lineage->count - 1];
        size_t before = d->lineage->count - 1;
        fprintf(out, "  made by %s %s, %zu step%s before it\n", s->program, s->version, before,
                before == 1 ? "" : "s");
    }
    print_fields("columns", b->columns, b->columns_count, out);
    if (b->meta.as.list.count) fputs("  meta\n", out);
    print_map(&b->meta, 4, all, out);
    print_fields("tensors", b->tensors, b->tensors_count, out);
    return ferror(out) ? err_errno(e, "cannot write the description") : ERR_OK;
}

/* ------------------------------------------------------------------ JSON */

static json_t *json_fields(const struct stream_field *f, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) {
        json_t *shape = json_array(), *o = json_object();
        for (int k = 0; k < f[i].dims; k++)
            json_array_append_new(shape, json_integer(f[i].shape[k]));
        json_object_set_new(o, "name", json_string(f[i].name));
        json_object_set_new(o, "dtype", json_string(dtype_name(f[i].dtype)));
        json_object_set_new(o, "shape", shape);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_hint(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

static json_t *json_step(const struct lineage *l)
{
    char id[33];
    if (!l->count) return json_null();
    const struct lineage_step *s = &l->steps[l->count - 1];
    json_t *o = json_object();
    json_object_set_new(o, "id", json_string(id_format(s->id, id)));
    json_object_set_new(o, "program", json_string(s->program));
    json_object_set_new(o, "version", json_string(s->version));
    return o;
}

enum err describe_print_json(struct errctx *e, const struct describe *d, FILE *out)
{
    const struct stream_summary *s = d->summary;
    const struct stream_begin *b = d->begin;
    char id[33];
    json_t *o = json_object();
    json_object_set_new(o, "file", mp_json_text(d->name));
    json_object_set_new(o, "kind", json_string(stream_kind_name(b->kind)));
    json_object_set_new(o, "segments", json_integer(s->segments));
    json_object_set_new(o, "rows", json_integer(s->rows));
    json_object_set_new(o, "tensors", json_integer(s->tensors));
    json_object_set_new(o, "elements", json_integer(elements(b)));
    json_object_set_new(o, "bytes", json_integer((json_int_t)s->bytes));
    json_object_set_new(o, "compressed", json_integer((json_int_t)s->compressed));
    json_object_set_new(o, "id",
                        memcmp(s->id, no_id, 16) ? json_string(id_format(s->id, id)) : json_null());
    json_object_set_new(o, "expect_rows", json_hint(b->expect.rows));
    json_object_set_new(o, "expect_tokens", json_hint(b->expect.tokens));
    json_object_set_new(o, "columns", json_fields(b->columns, b->columns_count));
    json_object_set_new(o, "layout", json_fields(b->tensors, b->tensors_count));
    json_object_set_new(o, "meta", mp_to_json(&b->meta, false));
    json_object_set_new(o, "step", json_step(d->lineage));
    int failed = json_dumpf(o, out, JSON_COMPACT);
    json_decref(o);
    if (failed || fputc('\n', out) == EOF) return err_errno(e, "cannot write the description");
    return ERR_OK;
}
