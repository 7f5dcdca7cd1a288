/* SPDX-License-Identifier: Apache-2.0 */
/* zip.c: see zip.h. */
#include "formats/zip.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { END_BYTES = 22, END64_BYTES = 56, LOCATOR_BYTES = 20, ENTRY_BYTES = 46, LOCAL_BYTES = 30 };
enum { ENCRYPTED = 1, STORED = 0, DEFLATED = 8, COMMENT_LIMIT = 65535, ZIP64_FIELD = 1 };

static uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

static enum err bad(struct errctx *e, uint64_t at, const char *what)
{
    return err_set(e, ERR_INPUT, "byte %" PRIu64 ": %s", at, what);
}

/* n bytes at `at` that begin with these four. */
static bool is_record(const struct zip *z, uint64_t at, uint64_t n, const char *magic)
{
    return at <= z->bytes && n <= z->bytes - at && !memcmp(z->data + at, magic, 4);
}

/* ------------------------------------------------------------------ the directory */

static bool find_end(const struct zip *z, uint64_t *at)
{
    const uint64_t least =
        z->bytes > END_BYTES + COMMENT_LIMIT ? z->bytes - END_BYTES - COMMENT_LIMIT : 0;
    for (uint64_t i = z->bytes >= END_BYTES ? z->bytes - END_BYTES + 1 : 0; i-- > least;)
        if (is_record(z, i, END_BYTES, "PK\5\6") &&
            load(z->data + i + 20, 2) == z->bytes - i - END_BYTES) {
            *at = i;
            return true;
        }
    return false;
}

enum err zip_begin(struct errctx *e, const uint8_t *data, size_t bytes, struct zip *z)
{
    uint64_t end = 0;
    *z = (struct zip){.data = data, .bytes = bytes};
    if (!find_end(z, &end)) return bad(e, bytes, "no zip archive, or one that is cut off");
    const uint8_t *p = data + end;
    uint64_t size = load(p + 12, 4);
    z->members = load(p + 10, 2);
    z->at = load(p + 16, 4);
    if (end >= LOCATOR_BYTES && is_record(z, end - LOCATOR_BYTES, LOCATOR_BYTES, "PK\6\7")) {
        const uint64_t at = load(p - LOCATOR_BYTES + 8, 8);
        if (!is_record(z, at, END64_BYTES, "PK\6\6"))
            return bad(e, end - LOCATOR_BYTES, "zip64's record is not where it should be");
        z->members = load(data + at + 32, 8);
        size = load(data + at + 40, 8);
        z->at = load(data + at + 48, 8);
    }
    if (z->at > end || size > end - z->at)
        return bad(e, end, "the directory does not lie before the archive's end");
    z->end = z->at + size;
    return ERR_OK;
}

/* ------------------------------------------------------------------ members */

/* Sizes and place that do not fit into 32 bits stand in a field of zip64, in this order, those of
 * them that are all ones. */
static bool widen(const uint8_t *extra, size_t n, uint64_t value[3])
{
    while (n >= 4) {
        const size_t field = (size_t)load(extra + 2, 2);
        if (field > n - 4) return false;
        if (load(extra, 2) == ZIP64_FIELD) {
            size_t at = 4;
            for (int i = 0; i < 3; i++) {
                if (value[i] != UINT32_MAX) continue;
                if (at + 8 > 4 + field) return false;
                value[i] = load(extra + at, 8);
                at += 8;
            }
        }
        extra += 4 + field;
        n -= 4 + field;
    }
    return true;
}

static uint32_t crc32_of(const uint8_t *p, uint64_t n)
{
    uint32_t table[256], crc = UINT32_MAX;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320u : table[i] >> 1;
    }
    for (uint64_t i = 0; i < n; i++) crc = crc >> 8 ^ table[(crc ^ p[i]) & 255];
    return ~crc;
}

enum err zip_next(struct errctx *e, struct zip *z, struct zip_member *m)
{
    *m = (struct zip_member){0};
    if (z->members == 0) {
        if (z->at != z->end) return bad(e, z->at, "the directory goes on behind its last member");
        return ERR_OK;
    }
    if (z->end - z->at < ENTRY_BYTES || !is_record(z, z->at, ENTRY_BYTES, "PK\1\2"))
        return bad(e, z->at, "a member of the directory is wanted here");
    const uint8_t *p = z->data + z->at;
    const size_t name = (size_t)load(p + 28, 2), extra = (size_t)load(p + 30, 2);
    const size_t whole = ENTRY_BYTES + name + extra + (size_t)load(p + 32, 2);
    const uint64_t method = load(p + 10, 2);
    uint64_t value[3] = {load(p + 24, 4), load(p + 20, 4), load(p + 42, 4)};
    if (whole > z->end - z->at || !widen(p + ENTRY_BYTES + name, extra, value))
        return bad(e, z->at, "a member of the directory is cut off");
    if (load(p + 8, 2) & ENCRYPTED) return bad(e, z->at, "a member is encrypted");
    if (method == DEFLATED)
        return bad(e, z->at, "a member is deflated; save it with numpy.savez, which only stores");
    if (method != STORED || value[0] != value[1])
        return bad(e, z->at, "a member is neither stored nor deflated");
    if (!is_record(z, value[2], LOCAL_BYTES, "PK\3\4"))
        return bad(e, z->at, "a member is not where the directory says");
    const uint8_t *local = z->data + value[2];
    const uint64_t begin = value[2] + LOCAL_BYTES + load(local + 26, 2) + load(local + 28, 2);
    if (begin > z->bytes || value[0] > z->bytes - begin)
        return bad(e, value[2], "a member ends behind the archive");
    if (value[0] > z->bytes - z->seen) return bad(e, begin, "members lie over one another");
    z->seen += value[0];
    if (crc32_of(z->data + begin, value[0]) != load(p + 16, 4))
        return bad(e, begin, "the check sum of a member is wrong: it is damaged");
    *m = (struct zip_member){(const char *)p + ENTRY_BYTES, name, begin, value[0]};
    z->at += whole;
    z->members--;
    return ERR_OK;
}
