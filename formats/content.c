/* SPDX-License-Identifier: Apache-2.0 */
/* content.c: running hashes of columns and tensors, and the id made from them. */
#include "formats/content.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "formats/frame.h"
#include "formats/stream_begin.h"

enum { LENGTHS_AT_ONCE = 512 };

struct content {
    const struct stream_begin *begin;
    const struct bytes *body;
    XXH3_state_t **data, **lengths; /* per column; lengths NULL for fixed ones */
    XXH3_state_t *tensor;           /* of the one being given */
    XXH3_state_t *scratch, *whole;  /* for content_id */
    uint8_t (*digests)[16];         /* per closed tensor */
    int64_t *by_name;               /* tensors in order of name */
    int64_t rows;
    uint64_t bytes;
};

static void digest_of(const XXH3_state_t *s, uint8_t out[16])
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(s));
    memcpy(out, c.digest, 16);
}

static enum err new_state(struct errctx *e, XXH3_state_t **s)
{
    *s = XXH3_createState();
    return *s ? ERR_OK : err_memory(e, "a hash", 1024);
}

static enum err make_states(struct errctx *e, struct content *c)
{
    size_t columns = (size_t)c->begin->columns_count, tensors = (size_t)c->begin->tensors_count;
    TRY(mem_new(e, &c->data, columns, sizeof *c->data, "hashes"));
    TRY(mem_new(e, &c->lengths, columns, sizeof *c->lengths, "hashes"));
    for (size_t i = 0; i < columns; i++) {
        TRY(new_state(e, &c->data[i]));
        if (stream_field_ragged(&c->begin->columns[i])) TRY(new_state(e, &c->lengths[i]));
    }
    TRY(new_state(e, &c->tensor));
    TRY(new_state(e, &c->scratch));
    TRY(new_state(e, &c->whole));
    TRY(mem_new(e, &c->digests, tensors, 16, "hashes"));
    return stream_begin_by_name(e, c->begin, &c->by_name);
}

enum err content_new(struct errctx *e, const struct stream_begin *begin, const struct bytes *body,
                     struct content **out)
{
    struct content *c;
    *out = NULL;
    TRY(mem_new(e, &c, 1, sizeof *c, "hashes"));
    c->begin = begin;
    c->body = body;
    enum err code = make_states(e, c);
    if (code != ERR_OK) {
        content_free(c);
        return code;
    }
    content_reset(c);
    *out = c;
    return ERR_OK;
}

void content_free(struct content *c)
{
    if (!c) return;
    for (int64_t i = 0; i < c->begin->columns_count; i++) {
        if (c->data) XXH3_freeState(c->data[i]);
        if (c->lengths) XXH3_freeState(c->lengths[i]);
    }
    mem_free(c->data);
    mem_free(c->lengths);
    XXH3_freeState(c->tensor);
    XXH3_freeState(c->scratch);
    XXH3_freeState(c->whole);
    mem_free(c->digests);
    mem_free(c->by_name);
    mem_free(c);
}

void content_reset(struct content *c)
{
    for (int64_t i = 0; i < c->begin->columns_count; i++) {
        XXH3_128bits_reset(c->data[i]);
        if (c->lengths[i]) XXH3_128bits_reset(c->lengths[i]);
    }
    XXH3_128bits_reset(c->tensor);
    for (int64_t i = 0; i < c->begin->tensors_count; i++)
        digest_of(c->tensor, c->digests[i]); /* of nothing: what tensors without elements have */
    c->rows = 0;
    c->bytes = 0;
}

void content_assign(struct content *to, const struct content *from)
{
    for (int64_t i = 0; i < to->begin->columns_count; i++) {
        XXH3_copyState(to->data[i], from->data[i]);
        if (to->lengths[i]) XXH3_copyState(to->lengths[i], from->lengths[i]);
    }
    XXH3_copyState(to->tensor, from->tensor);
    if (to->begin->tensors_count)
        memcpy(to->digests, from->digests, (size_t)to->begin->tensors_count * 16);
    to->rows = from->rows;
    to->bytes = from->bytes;
}

static void hash_lengths(XXH3_state_t *s, const int64_t *start, int64_t from, int64_t to)
{
    uint8_t buffer[LENGTHS_AT_ONCE * 8];
    while (from < to) {
        int64_t n = to - from < LENGTHS_AT_ONCE ? to - from : LENGTHS_AT_ONCE;
        for (int64_t i = 0; i < n; i++)
            frame_put_u64(buffer + 8 * i, (uint64_t)(start[from + i + 1] - start[from + i]));
        XXH3_128bits_update(s, buffer, (size_t)n * 8);
        from += n;
    }
}

/* The bytes of rows [from, to) in column i. */
static size_t column_bytes(const struct content *c, const struct stream_rows *rows, int64_t i,
                           int64_t from, int64_t to, const uint8_t **data)
{
    const struct stream_field *f = &c->begin->columns[i];
    size_t cell = stream_field_cell(f);
    const int64_t *start = rows->start[i];
    *data = rows->data[i] + (size_t)(start ? start[from] : from) * cell;
    return (size_t)(start ? start[to] - start[from] : to - from) * cell;
}

void content_rows(struct content *c, const struct stream_rows *rows, int64_t from, int64_t to)
{
    for (int64_t i = 0; i < c->begin->columns_count; i++) {
        const uint8_t *data;
        size_t n = column_bytes(c, rows, i, from, to, &data);
        if (c->lengths[i]) hash_lengths(c->lengths[i], rows->start[i], from, to);
        XXH3_128bits_update(c->data[i], data, n);
        c->bytes += n;
    }
    c->rows += to - from;
}

void content_tensor(struct content *c, int64_t t, const void *data, size_t n, bool last)
{
    XXH3_128bits_update(c->tensor, data, n);
    c->bytes += n;
    if (!last) return;
    digest_of(c->tensor, c->digests[t]);
    XXH3_128bits_reset(c->tensor);
}

static void add_digest(struct content *c, const XXH3_state_t *s)
{
    uint8_t digest[16];
    digest_of(s, digest);
    XXH3_128bits_update(c->whole, digest, 16);
}

void content_id(struct content *c, const struct stream_rows *rows, int64_t from, int64_t to,
                uint8_t id[16])
{
    uint64_t bytes = c->bytes;
    XXH3_128bits_reset(c->whole);
    XXH3_128bits_update(c->whole, c->body->data, c->body->len);
    for (int64_t i = 0; i < c->begin->columns_count; i++) {
        if (c->lengths[i]) {
            XXH3_copyState(c->scratch, c->lengths[i]);
            if (rows) hash_lengths(c->scratch, rows->start[i], from, to);
            add_digest(c, c->scratch);
        }
        XXH3_copyState(c->scratch, c->data[i]);
        if (rows) {
            const uint8_t *data;
            size_t n = column_bytes(c, rows, i, from, to, &data);
            XXH3_128bits_update(c->scratch, data, n);
            bytes += n;
        }
        add_digest(c, c->scratch);
    }
    for (int64_t i = 0; i < c->begin->tensors_count; i++)
        XXH3_128bits_update(c->whole, c->digests[c->by_name[i]], 16);
    uint8_t counts[24];
    frame_put_u64(counts, (uint64_t)(c->rows + (rows ? to - from : 0)));
    frame_put_u64(counts + 8, (uint64_t)c->begin->tensors_count);
    frame_put_u64(counts + 16, bytes);
    XXH3_128bits_update(c->whole, counts, sizeof counts);
    digest_of(c->whole, id);
}

int64_t content_rows_count(const struct content *c)
{
    return c->rows;
}

uint64_t content_bytes(const struct content *c)
{
    return c->bytes;
}
