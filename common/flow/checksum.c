/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.c: see checksum.h. */
#include "common/flow/checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "formats/stream_begin.h"

static void add(struct sum *s, XXH128_hash_t h)
{
    uint64_t low = s->low + h.low64;
    s->high += h.high64 + (low < s->low);
    s->low = low;
}

static void begin_tensor(struct sum *s, int64_t tensor)
{
    const char *name = s->begin->tensors[tensor].name;
    XXH3_128bits_reset(s->tensor);
    XXH3_128bits_update(s->tensor, name, strlen(name) + 1);
}

static void end_tensor(struct sum *s, int64_t tensor)
{
    XXH128_hash_t h = XXH3_128bits_digest(s->tensor);
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, h);
    memcpy(s->digests[tensor], c.digest, 16);
    add(s, h);
    s->tensors++;
}

static enum err set_up(struct errctx *e, const char *name, struct sum *s)
{
    if (s->begin->columns_count) return rowpack_init(e, s->begin, name, &s->pack);
    TRY(mem_new(e, &s->digests, (size_t)s->begin->tensors_count, 16, "digests"));
    s->tensor = XXH3_createState();
    if (!s->tensor) return err_memory(e, "a hash", 1024);
    for (int64_t i = 0; i < s->begin->tensors_count; i++) {
        if (stream_field_elements(&s->begin->tensors[i]) > 0)
            continue; /* no piece of it will come */
        begin_tensor(s, i);
        end_tensor(s, i);
    }
    return ERR_OK;
}

enum err sum_init(struct errctx *e, const struct stream_begin *begin, const char *name,
                  struct sum *s)
{
    *s = (struct sum){.begin = begin};
    enum err code = set_up(e, name, s);
    if (code != ERR_OK) sum_fini(s);
    return code;
}

enum err sum_rows(struct errctx *e, struct sum *s, const struct stream_rows *rows)
{
    for (int64_t i = 0; i < rows->n; i++) {
        uint32_t size;
        TRY(rowpack_size(e, &s->pack, rows, i, &size));
        s->row.len = 0;
        TRY(bytes_reserve(e, &s->row, size));
        rowpack_put(&s->pack, rows, i, s->row.data);
        add(s, XXH3_128bits(s->row.data, size));
        s->bytes += rowpack_raw_bytes(&s->pack, rows, i);
    }
    s->rows += rows->n;
    return ERR_OK;
}

void sum_tensor(struct sum *s, const struct stream_tensor_piece *piece)
{
    if (piece->first == 0) begin_tensor(s, piece->tensor);
    XXH3_128bits_update(s->tensor, piece->data, piece->bytes);
    s->bytes += piece->bytes;
    if (piece->first + piece->elements == stream_field_elements(&s->begin->tensors[piece->tensor]))
        end_tensor(s, piece->tensor);
}

void sum_fini(struct sum *s)
{
    rowpack_fini(&s->pack);
    bytes_fini(&s->row);
    mem_free(s->digests);
    XXH3_freeState(s->tensor);
    *s = (struct sum){0};
}

char *sum_format(const struct sum *s, char *buf)
{
    snprintf(buf, 33, "%016" PRIx64 "%016" PRIx64, s->high, s->low);
    return buf;
}
