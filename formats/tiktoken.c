/* SPDX-License-Identifier: Apache-2.0 */
/* tiktoken.c: see tiktoken.h. */
#include "formats/tiktoken.h"
#include <string.h>

#define RANK_LIMIT (1u << 24)

void tiktoken_ranks_fini(struct tiktoken_ranks *r)
{
    bytes_fini(&r->bytes);
    mem_free(r->start);
    mem_free(r->rank);
    memset(r, 0, sizeof *r);
}

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Appends what text[0..n) stands for; *good is false when it is no base64 (RFC 4648, with padding).
 */
static enum err decode_base64(struct errctx *e, const char *text, size_t n, struct bytes *out,
                              bool *good)
{
    *good = n > 0 && n % 4 == 0;
    for (size_t i = 0; *good && i < n; i += 4) {
        int pad = i + 4 < n ? 0 : (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=');
        uint32_t bits = 0;
        for (int k = 0; k < 4; k++) {
            int v = k < 4 - pad ? sextet(text[i + (size_t)k]) : 0;
            *good &= v >= 0;
            bits = bits << 6 | (uint32_t)(v & 63);
        }
        uint8_t b[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        *good &= (bits & ((1u << 8 * pad) - 1)) == 0;
        if (*good) TRY(bytes_append(e, out, b, (size_t)(3 - pad)));
    }
    return ERR_OK;
}

static bool parse_rank(const char *s, size_t n, uint32_t *out)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        v = 10 * v + (uint64_t)(s[i] - '0');
        if (v >= RANK_LIMIT) return false;
    }
    *out = (uint32_t)v;
    return n > 0;
}

static enum err add_line(struct errctx *e, const char *line, size_t n, uint64_t number,
                         struct tiktoken_ranks *r)
{
    const char *space = memchr(line, ' ', n);
    size_t starts = r->capacity;
    uint32_t rank = 0;
    bool good = space != NULL;

    if (good) TRY(decode_base64(e, line, (size_t)(space - line), &r->bytes, &good));
    if (good) good = parse_rank(space + 1, n - (size_t)(space - line) - 1, &rank);
    if (!good)
        return err_set(e, ERR_INPUT,
                       "line %llu: not \"base64 rank\", as a line of a tiktoken file is",
                       (unsigned long long)number);
    TRY(mem_grow(e, &r->start, &starts, r->count + 2, sizeof *r->start, "ranks"));
    TRY(mem_grow(e, &r->rank, &r->capacity, r->count + 2, sizeof *r->rank, "ranks"));
    if (r->count == 0) r->start[0] = 0;
    r->rank[r->count++] = rank;
    r->start[r->count] = r->bytes.len;
    if (rank > r->highest) r->highest = rank;
    return ERR_OK;
}

static enum err check_unique(struct errctx *e, const struct tiktoken_ranks *r)
{
    uint8_t *seen;
    enum err code = ERR_OK;

    TRY(mem_new(e, &seen, (size_t)r->highest + 1, 1, "ranks"));
    for (size_t i = 0; i < r->count && code == ERR_OK; i++) {
        if (seen[r->rank[i]]++ != 0)
            code = err_set(e, ERR_INPUT, "line %zu: rank %u stands on an earlier line, too", i + 1,
                           r->rank[i]);
    }
    mem_free(seen);
    return code;
}

enum err tiktoken_parse(struct errctx *e, const char *data, size_t n, struct tiktoken_ranks *out)
{
    uint64_t number = 0;
    enum err code = ERR_OK;

    memset(out, 0, sizeof *out);
    for (size_t at = 0; at < n && code == ERR_OK;) {
        const char *end = memchr(data + at, '\n', n - at);
        size_t len = end == NULL ? n - at : (size_t)(end - data) - at;
        size_t line = len > 0 && data[at + len - 1] == '\r' ? len - 1 : len;
        code = add_line(e, data + at, line, ++number, out);
        at += len + (end != NULL);
    }
    if (code == ERR_OK && out->count == 0) code = err_set(e, ERR_INPUT, "the file has no lines");
    if (code == ERR_OK) code = check_unique(e, out);
    if (code != ERR_OK) tiktoken_ranks_fini(out);
    return code;
}
