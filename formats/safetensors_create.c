/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_create.c: writing safetensors: see safetensors.h. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"

enum { HEADER_LIMIT = 100 * 1000 * 1000, ALIGNMENT = 8 };

/* Text as JSON writes it, quotes included. */
static enum err put_text(struct errctx *e, struct bytes *out, const char *text)
{
    json_t *s = json_string(text);
    char *quoted = s ? json_dumps(s, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    enum err code = quoted ? bytes_append(e, out, quoted, strlen(quoted))
                           : err_set(e, ERR_USAGE, "'%s' is not UTF-8", text);
    free(quoted);
    json_decref(s);
    return code;
}

static enum err put_meta(struct errctx *e, struct bytes *out, const struct mp_value *meta)
{
    TRY(bytes_printf(e, out, "\"__metadata__\":{"));
    for (size_t i = 0; i + 1 < meta->as.list.count; i += 2) {
        const struct mp_value *v = &meta->as.list.items[i + 1];
        const char *key = meta->as.list.items[i].as.bytes.data;
        if (v->type != MP_STRING || strlen(v->as.bytes.data) != v->as.bytes.len)
            return err_set(e, ERR_USAGE, "safetensors' metadata: '%s' is not a text", key);
        if (i > 0) TRY(bytes_append(e, out, ",", 1));
        TRY(put_text(e, out, key));
        TRY(bytes_append(e, out, ":", 1));
        TRY(put_text(e, out, v->as.bytes.data));
    }
    return bytes_append(e, out, "}", 1);
}

static enum err put_tensor(struct errctx *e, struct bytes *out, const struct tensor_entry *t,
                           uint64_t *offset)
{
    size_t bytes = 0;
    TRY(tensor_out_check(e, t, &bytes));
    if (dtype_is_blocks(t->dtype) || t->dtype == DTYPE_NONE)
        return err_set(e, ERR_USAGE, "tensor '%s': safetensors has no type %s", t->name,
                       dtype_name(t->dtype));
    TRY(put_text(e, out, t->name));
    TRY(bytes_printf(e, out, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(t->dtype)));
    for (int d = 0; d < t->dims; d++)
        TRY(bytes_printf(e, out, "%s%" PRId64, d ? "," : "", t->shape[d]));
    TRY(bytes_printf(e, out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", *offset,
                     *offset + bytes));
    *offset += bytes;
    return ERR_OK;
}

static enum err put_header(struct errctx *e, struct bytes *out, const struct tensor_entry *entries,
                           size_t count, const struct mp_value *meta)
{
    const uint64_t unknown = 0;
    const bool has_meta = meta && meta->as.list.count > 0;
    uint64_t offset = 0;
    TRY(bytes_append(e, out, &unknown, sizeof unknown));
    TRY(bytes_append(e, out, "{", 1));
    if (has_meta) TRY(put_meta(e, out, meta));
    for (size_t i = 0; i < count; i++) {
        if (i > 0 || has_meta) TRY(bytes_append(e, out, ",", 1));
        TRY(put_tensor(e, out, &entries[i], &offset));
    }
    TRY(bytes_append(e, out, "}", 1));
    while (out->len % ALIGNMENT) TRY(bytes_append(e, out, " ", 1));
    const uint64_t n = out->len - sizeof n;
    if (n > HEADER_LIMIT)
        return err_set(e, ERR_USAGE,
                       "safetensors' header would have %" PRIu64 " bytes (at most %d)", n,
                       HEADER_LIMIT);
    memcpy(out->data, &n, sizeof n);
    return ERR_OK;
}

enum err safetensors_create(struct errctx *e, const char *path, const struct tensor_entry *entries,
                            size_t count, const struct mp_value *meta, struct tensor_out *w)
{
    struct bytes head = {0};
    *w = (struct tensor_out){0};
    enum err code = put_header(e, &head, entries, count, meta);
    if (code == ERR_OK) code = tensor_out_open(e, path, entries, count, 1, &head, w);
    bytes_fini(&head);
    return code;
}

/* ------------------------------------------------------------------ the index of shards */

static enum err put_index(struct errctx *e, struct bytes *out, const struct tensor_entry *entries,
                          size_t count, const char *const *files)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        TRY(tensor_out_check(e, &entries[i], &bytes));
        total += bytes;
    }
    TRY(bytes_printf(
        e, out, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {",
        total));
    for (size_t i = 0; i < count; i++) {
        TRY(bytes_printf(e, out, "%s\n    ", i ? "," : ""));
        TRY(put_text(e, out, entries[i].name));
        TRY(bytes_append(e, out, ": ", 2));
        TRY(put_text(e, out, files[i]));
    }
    return bytes_printf(e, out, "\n  }\n}\n");
}

enum err safetensors_write_index(struct errctx *e, const char *path,
                                 const struct tensor_entry *entries, size_t count,
                                 const char *const *files)
{
    struct bytes text = {0};
    struct outfile file;
    enum err code = put_index(e, &text, entries, count, files);
    if (code == ERR_OK) code = outfile_open(e, path, &file);
    if (code == ERR_OK) {
        code = outfile_write(e, &file, text.data, text.len);
        if (code == ERR_OK)
            code = outfile_commit(e, &file);
        else
            outfile_abort(&file);
    }
    bytes_fini(&text);
    return code;
}
