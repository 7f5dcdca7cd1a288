/* SPDX-License-Identifier: Apache-2.0 */
/* text_in.c: from text to a stream. See text_twin.h. A line becomes a record when it has been read
 * whole.
 */
#include "common/flow/text_twin.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/prog.h"
#include "formats/element.h"
#include "formats/jsonl.h"
#include "formats/mp_json.h"
#include "formats/stream_begin.h"

enum { READ_BYTES = 1 << 16 };

struct undump {
    struct infile in;
    struct run *run;
    size_t slot;
    const char *output;
    const struct stream_writer_cfg *cfg;
    bool edited;
    XXH3_state_t *hash; /* of the text */
    uint64_t line;
    struct stream_begin begin;
    struct stream_writer *writer; /* once begin has been read */
    struct bytes *cells;          /* per column: the row's elements */
    const void **data;
    int64_t *elements;
    struct bytes piece;
    int64_t tensor, element; /* that come next */
    int64_t rows;
    json_t *end; /* the end line's object */
};

static enum err bad(struct errctx *e, const struct undump *u, const char *what, const char *name)
{
    return err_set(e, ERR_INPUT, "'%s': line %" PRIu64 ": %s%s%s%s", u->in.name, u->line, what,
                   name ? " '" : "", name ? name : "", name ? "'" : "");
}

static enum err located(struct errctx *e, const struct undump *u)
{
    return e->code == ERR_INPUT ? err_prefix(e, "'%s': line %" PRIu64, u->in.name, u->line)
                                : e->code;
}

/* ------------------------------------------------------------------ cells */

/* Appends one element given as a JSON number or string. */
static bool append_element(struct errctx *e, enum dtype t, const json_t *j, struct bytes *out)
{
    uint8_t element[DTYPE_UNIT_LIMIT];
    char text[ELEMENT_TEXT];
    bool fine;
    if (json_is_string(j)) {
        fine = element_parse(t, json_string_value(j), element);
    } else if (json_is_integer(j)) {
        snprintf(text, sizeof text, "%" PRId64, (int64_t)json_integer_value(j));
        fine = element_parse(t, text, element);
    } else if (json_is_real(j)) {
        snprintf(text, sizeof text, "%a", json_real_value(j));
        fine = dtype_is_float(t) && element_parse(t, text, element);
    } else {
        fine = false;
    }
    return fine && bytes_append(e, out, element, dtype_unit_bytes(t)) == ERR_OK;
}

static enum err append_list(struct errctx *e, const struct undump *u, const struct stream_field *f,
                            const json_t *list, struct bytes *out)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (append_element(e, f->dtype, item, out)) continue;
        return e->code != ERR_OK ? e->code
                                 : bad(e, u, "an element does not fit the type of", f->name);
    }
    return ERR_OK;
}

static enum err take_cell(struct errctx *e, struct undump *u, int64_t c, const json_t *row)
{
    const struct stream_field *f = &u->begin.columns[c];
    const json_t *j = json_object_get(row, f->name);
    struct bytes *out = &u->cells[c];
    size_t size = dtype_size(f->dtype);
    out->len = 0;
    if (!j) return bad(e, u, "no value for column", f->name);
    if (json_is_string(j) && stream_field_ragged(f) && f->dtype == DTYPE_U8) {
        TRY(bytes_append(e, out, json_string_value(j), json_string_length(j)));
    } else if (json_is_array(j) && f->dims > 0) {
        TRY(append_list(e, u, f, j, out));
    } else if (f->dims > 0 || !append_element(e, f->dtype, j, out)) {
        return e->code != ERR_OK ? e->code : bad(e, u, "a value does not fit the type of", f->name);
    }
    if (!stream_field_ragged(f) && out->len != stream_field_cell(f))
        return bad(e, u, "the number of elements is not that of column", f->name);
    u->data[c] = out->data;
    u->elements[c] = (int64_t)(out->len / size);
    return ERR_OK;
}

static enum err take_row(struct errctx *e, struct undump *u, const json_t *row)
{
    if (!json_is_object(row) || json_object_size(row) != (size_t)u->begin.columns_count)
        return bad(e, u, "the values of a row are not those of the columns", NULL);
    for (int64_t c = 0; c < u->begin.columns_count; c++) TRY(take_cell(e, u, c, row));
    u->rows++;
    return stream_writer_row(e, u->writer, u->data, u->elements);
}

/* ------------------------------------------------------------------ tensors */

static void pass_empty_tensors(struct undump *u)
{
    while (u->tensor < u->begin.tensors_count &&
           stream_field_elements(&u->begin.tensors[u->tensor]) == 0)
        u->tensor++;
}

/* A line about a tensor may say its dtype and shape, which must be those in begin, and nothing
 * else. */
static bool describes(const json_t *line, const struct stream_field *f)
{
    const json_t *dtype = json_object_get(line, "dtype"), *shape = json_object_get(line, "shape");
    if (json_object_size(line) != 3 + (size_t)(dtype != NULL) + (size_t)(shape != NULL))
        return false;
    if (dtype && (!json_is_string(dtype) || strcmp(json_string_value(dtype), dtype_name(f->dtype))))
        return false;
    if (shape && (!json_is_array(shape) || json_array_size(shape) != (size_t)f->dims)) return false;
    for (int d = 0; shape && d < f->dims; d++)
        if (json_integer_value(json_array_get(shape, (size_t)d)) != f->shape[d]) return false;
    return true;
}

static enum err take_tensor(struct errctx *e, struct undump *u, const json_t *line)
{
    const json_t *first = json_object_get(line, "first"), *data = json_object_get(line, "data");
    const char *name = json_string_value(json_object_get(line, "tensor"));
    if (u->tensor >= u->begin.tensors_count)
        return bad(e, u, "a tensor beyond those in begin", NULL);
    const struct stream_field *f = &u->begin.tensors[u->tensor];
    if (!name || strcmp(name, f->name) || !json_is_array(data) || !json_is_integer(first) ||
        json_integer_value(first) != u->element)
        return bad(e, u, "here should come the next elements of tensor", f->name);
    if (!describes(line, f)) return bad(e, u, "this is not what begin says of tensor", f->name);
    int64_t n = (int64_t)json_array_size(data) * dtype_unit(f->dtype);
    int64_t total = stream_field_elements(f);
    if (n > total - u->element) return bad(e, u, "too many elements for tensor", f->name);
    u->piece.len = 0;
    TRY(append_list(e, u, f, data, &u->piece));
    TRY(stream_writer_tensor(e, u->writer, u->tensor, u->piece.data, n));
    u->element += n;
    if (u->element < total) return ERR_OK;
    u->element = 0;
    u->tensor++;
    pass_empty_tensors(u);
    return ERR_OK;
}

/* ------------------------------------------------------------------ begin and end */

static enum err decode_begin(struct errctx *e, struct undump *u, const json_t *line)
{
    struct mp_value v = {.type = MP_NIL};
    struct bytes record = {0}, body = {0};
    enum err code = mp_from_json(e, line, &v);
    if (code == ERR_OK) code = mp_encode(e, &v, &record);
    if (code == ERR_OK) code = stream_begin_decode(e, record.data, record.len, &u->begin, &body);
    mp_fini(&v);
    bytes_fini(&record);
    bytes_fini(&body);
    return code == ERR_OK ? ERR_OK : located(e, u);
}

static enum err take_begin(struct errctx *e, struct undump *u, const json_t *line)
{
    TRY(decode_begin(e, u, line));
    size_t n = (size_t)u->begin.columns_count;
    TRY(mem_new(e, &u->cells, n, sizeof *u->cells, "columns"));
    TRY(mem_new(e, &u->data, n, sizeof *u->data, "columns"));
    TRY(mem_new(e, &u->elements, n, sizeof *u->elements, "columns"));
    pass_empty_tensors(u);
    return stream_writer_open(e, u->run, u->output, &u->begin, u->cfg, &u->writer);
}

/* The lineage that came with the text; none when there is no such key. */
static enum err decode_lineage(struct errctx *e, struct undump *u, struct lineage *out)
{
    const char *hex = json_string_value(json_object_get(u->end, "lineage"));
    struct mp_value v = {.type = MP_NIL};
    uint8_t *data = NULL;
    *out = (struct lineage){0};
    if (!json_object_get(u->end, "lineage")) return ERR_OK;
    if (!hex) return bad(e, u, "the lineage is not hex", NULL);
    size_t n = strlen(hex) / 2;
    TRY(mem_new(e, &data, n, 1, "the lineage"));
    enum err code = hex_parse(hex, data, n) ? mp_decode(e, data, n, &v)
                                            : err_set(e, ERR_INPUT, "the lineage is not hex");
    if (code == ERR_OK) code = lineage_decode(e, &v, out);
    mp_fini(&v);
    mem_free(data);
    return code == ERR_OK ? ERR_OK : located(e, u);
}

static enum err register_text(struct errctx *e, struct undump *u)
{
    XXH128_canonical_t c;
    struct lineage from;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(u->hash));
    TRY(decode_lineage(e, u, &from));
    enum err code = run_input_done(e, u->run, u->slot, c.digest, &from,
                                   u->begin.columns_count ? u->rows : -1, false);
    lineage_fini(&from);
    return code;
}

static enum err check_end(struct errctx *e, struct undump *u)
{
    uint8_t id[16];
    const char *said = json_string_value(json_object_get(u->end, "id"));
    if (!u->writer) return err_set(e, ERR_INPUT, "'%s': no begin line: not a dump", u->in.name);
    if (!u->end)
        return err_set(e, ERR_INPUT, "'%s': truncated after line %" PRIu64 ": no end line",
                       u->in.name, u->line);
    if (u->tensor < u->begin.tensors_count)
        return bad(e, u, "the end comes before the end of tensor",
                   u->begin.tensors[u->tensor].name);
    TRY(register_text(e, u));
    if (u->edited) return stream_writer_finish(e, u->writer);
    if (!said || strlen(said) != 32 || !hex_parse(said, id, sizeof id))
        return bad(e, u, "the end has no id (--edited does without)", NULL);
    stream_writer_demand_id(u->writer, id);
    if (stream_writer_finish(e, u->writer) != ERR_INPUT) return e->code;
    err_clear(e);
    return bad(e, u, "the id does not match what came before it (--edited takes it as it is)",
               NULL);
}

/* ------------------------------------------------------------------ lines */

static const char *const end_keys[] = {"rows", "tensors", "bytes", "id", "lineage"};

static enum err take_object(struct errctx *e, struct undump *u, json_t *line)
{
    json_t *row = json_object_get(line, "row"), *end = json_object_get(line, "end");
    bool begin = json_object_get(line, "begin") != NULL;
    if (u->end) return bad(e, u, "a line after the end", NULL);
    if (begin && u->writer) return bad(e, u, "a second begin", NULL);
    if (begin) return take_begin(e, u, line);
    if (!u->writer) return bad(e, u, "no begin before this: not a dump", NULL);
    if ((row || end) && json_object_size(line) != 1)
        return bad(e, u, "there is more than row or end", NULL);
    if (row) return take_row(e, u, row);
    if (json_object_get(line, "tensor")) return take_tensor(e, u, line);
    if (!end) return bad(e, u, "neither row, tensor nor end", NULL);
    size_t known = 0;
    for (size_t i = 0; i < ARRAY_LEN(end_keys); i++)
        known += json_object_get(end, end_keys[i]) != NULL;
    if (!json_is_object(end) || json_object_size(end) != known)
        return bad(e, u, "the end holds something else than rows, tensors, bytes, id and lineage",
                   NULL);
    u->end = json_incref(end);
    return ERR_OK;
}

static enum err take_line(struct errctx *e, struct undump *u, const char *text, size_t n)
{
    json_t *line;
    u->line++;
    if (n == 0) return ERR_OK;
    if (jsonl_parse(e, text, n, u->line, &line) != ERR_OK)
        return e->code == ERR_INPUT ? err_prefix(e, "'%s'", u->in.name) : e->code;
    enum err code = take_object(e, u, line);
    json_decref(line);
    return code;
}

/* Hands over every whole line of the buffer; the rest moves to its front. */
static enum err take_lines(struct errctx *e, struct undump *u, struct bytes *b, size_t searched)
{
    size_t from = 0;
    for (uint8_t *nl; (nl = memchr(b->data + searched, '\n', b->len - searched)) != NULL;) {
        size_t at = (size_t)(nl - b->data);
        TRY(take_line(e, u, (const char *)b->data + from, at - from));
        from = searched = at + 1;
    }
    memmove(b->data, b->data + from, b->len - from);
    b->len -= from;
    return ERR_OK;
}

static enum err read_lines(struct errctx *e, struct undump *u, struct bytes *b)
{
    for (;;) {
        size_t got, before = b->len;
        TRY(bytes_reserve(e, b, READ_BYTES));
        TRY(infile_read(e, &u->in, b->data + b->len, READ_BYTES, &got));
        if (got == 0) break;
        XXH3_128bits_update(u->hash, b->data + b->len, got);
        prog_progress_bytes("reading text", u->in.offset, u->in.regular ? u->in.size : 0);
        b->len += got;
        TRY(take_lines(e, u, b, before));
    }
    if (b->len) TRY(take_line(e, u, (const char *)b->data, b->len));
    return check_end(e, u);
}

static enum err run_undump(struct errctx *e, struct undump *u, const char *path,
                           struct stream_summary *summary)
{
    struct bytes buffer = {0};
    TRY(run_input_open(e, u->run, "input", path, &u->slot));
    TRY(infile_open(e, path, &u->in));
    u->hash = XXH3_createState();
    if (!u->hash) return err_memory(e, "a hash", 1024);
    XXH3_128bits_reset(u->hash);
    enum err code = read_lines(e, u, &buffer);
    bytes_fini(&buffer);
    TRY(code);
    struct stream_writer *w = u->writer;
    *summary = *stream_writer_summary(w);
    u->writer = NULL;
    return stream_writer_commit(e, w);
}

enum err undump(struct errctx *e, struct run *run, const char *path, const char *output,
                const struct stream_writer_cfg *cfg, bool edited, struct stream_summary *summary)
{
    struct undump u = {.run = run, .output = output, .cfg = cfg, .edited = edited};
    u.in.fd = -1;
    stream_begin_init(&u.begin, STREAM_TOKENS);
    enum err code = run_undump(e, &u, path, summary);
    stream_writer_abort(u.writer);
    for (int64_t c = 0; u.cells && c < u.begin.columns_count; c++) bytes_fini(&u.cells[c]);
    mem_free(u.cells);
    mem_free(u.data);
    mem_free(u.elements);
    bytes_fini(&u.piece);
    json_decref(u.end);
    stream_begin_fini(&u.begin);
    XXH3_freeState(u.hash);
    infile_close(&u.in);
    return code;
}
