/* SPDX-License-Identifier: Apache-2.0 */
/* text_out.c: from a stream to text. See text_twin.h. */
#include "common/flow/text_twin.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "formats/element.h"
#include "formats/mp_json.h"
#include "formats/stream_begin.h"

enum { ELEMENTS_PER_LINE = 1024 }; /* whole blocks of every type */

static enum err wrote(struct errctx *e, FILE *out)
{
    return ferror(out) ? err_errno(e, "cannot write the text") : ERR_OK;
}

static enum err print_json(struct errctx *e, json_t *j, FILE *out)
{
    if (!j) return err_memory(e, "JSON", 0);
    int failed = json_dumpf(j, out, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(j);
    if (failed) return err_errno(e, "cannot write the text");
    return ERR_OK;
}

/* Without what a reader only hints at: a file knows it of itself, a pipe does not, and the text of
 * both is the same. */
enum err dump_begin(struct errctx *e, const struct stream_begin *b, FILE *out)
{
    struct stream_begin plain = *b;
    struct bytes body = {0}, record = {0};
    struct mp_value v = {.type = MP_NIL};
    plain.expect = (struct stream_expect){-1, -1};
    enum err code = stream_begin_encode_body(e, &plain, &body);
    if (code == ERR_OK) code = stream_begin_encode(e, &plain, &body, &record);
    if (code == ERR_OK) code = mp_decode(e, record.data, record.len, &v);
    if (code == ERR_OK) code = print_json(e, mp_to_json(&v, true), out);
    if (code == ERR_OK) fputc('\n', out);
    mp_fini(&v);
    bytes_fini(&body);
    bytes_fini(&record);
    return code == ERR_OK ? wrote(e, out) : code;
}

static void print_element(enum dtype t, const uint8_t *p, FILE *out)
{
    char text[ELEMENT_TEXT];
    const char *quote = element_is_quoted(t) ? "\"" : "";
    fprintf(out, "%s%s%s", quote, element_format(t, p, text), quote);
}

static void print_list(enum dtype t, const uint8_t *p, int64_t n, FILE *out)
{
    fputc('[', out);
    for (int64_t i = 0; i < n; i++) {
        if (i > 0) fputc(',', out);
        print_element(t, p + (size_t)i * dtype_unit_bytes(t), out);
    }
    fputc(']', out);
}

static bool is_text(const uint8_t *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] == 0x7f) return false;
    return n > 0 && mp_utf8(p, (size_t)n);
}

static enum err dump_cell(struct errctx *e, const struct stream_field *f,
                          const struct stream_rows *rows, int64_t column, int64_t row, FILE *out)
{
    size_t cell = stream_field_cell(f);
    const int64_t *start = rows->start[column];
    const uint8_t *p = rows->data[column] + (size_t)(start ? start[row] : row) * cell;
    if (!start) {
        if (f->dims == 0)
            print_element(f->dtype, p, out);
        else
            print_list(f->dtype, p, (int64_t)(cell / dtype_size(f->dtype)), out);
        return ERR_OK;
    }
    int64_t n = start[row + 1] - start[row];
    if (f->dtype == DTYPE_U8 && is_text(p, n))
        return print_json(e, json_stringn((const char *)p, (size_t)n), out);
    print_list(f->dtype, p, n, out);
    return ERR_OK;
}

enum err dump_rows(struct errctx *e, const struct stream_begin *b, const struct stream_rows *rows,
                   FILE *out)
{
    for (int64_t i = 0; i < rows->n; i++) {
        fputs("{\"row\":{", out);
        for (int64_t c = 0; c < b->columns_count; c++) {
            if (c > 0) fputc(',', out);
            TRY(print_json(e, json_string(b->columns[c].name), out));
            fputc(':', out);
            TRY(dump_cell(e, &b->columns[c], rows, c, i, out));
        }
        fputs("}}\n", out);
    }
    return wrote(e, out);
}

enum err dump_tensor(struct errctx *e, const struct stream_begin *b,
                     const struct stream_tensor_piece *piece, FILE *out)
{
    const struct stream_field *f = &b->tensors[piece->tensor];
    for (int64_t at = 0; at < piece->elements; at += ELEMENTS_PER_LINE) {
        int64_t n =
            piece->elements - at < ELEMENTS_PER_LINE ? piece->elements - at : ELEMENTS_PER_LINE;
        fputs("{\"tensor\":", out);
        TRY(print_json(e, json_string(f->name), out));
        fprintf(out, ",\"dtype\":\"%s\",\"shape\":[", dtype_name(f->dtype));
        for (int d = 0; d < f->dims; d++) fprintf(out, "%s%" PRId64, d ? "," : "", f->shape[d]);
        fprintf(out, "],\"first\":%" PRId64 ",\"data\":", piece->first + at);
        print_list(f->dtype, piece->data + dtype_offset(f->dtype, at), n / dtype_unit(f->dtype),
                   out);
        fputs("}\n", out);
    }
    return wrote(e, out);
}

enum err dump_end(struct errctx *e, const struct stream_summary *s, const struct lineage *l,
                  FILE *out)
{
    struct bytes packed = {0};
    char id[33], *hex = NULL;
    enum err code = lineage_pack(e, l, &packed);
    if (code == ERR_OK) code = mem_new(e, &hex, packed.len * 2 + 1, 1, "the lineage");
    if (code == ERR_OK) {
        hex_format(packed.data, packed.len, hex);
        fprintf(out,
                "{\"end\":{\"rows\":%" PRId64 ",\"tensors\":%" PRId64 ",\"bytes\":%" PRIu64
                ",\"id\":\"%s\",\"lineage\":\"%s\"}}\n",
                s->rows, s->tensors, s->bytes, id_format(s->id, id), hex);
    }
    mem_free(hex);
    bytes_fini(&packed);
    return code == ERR_OK ? wrote(e, out) : code;
}
