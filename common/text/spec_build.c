/* SPDX-License-Identifier: Apache-2.0 */
/* spec_build.c: see spec_build.h. */
#include "common/text/spec_build.h"
#include <string.h>
#include "common/text/utf8.h"
#include "formats/mp_json.h"

#define ID_LIMIT ((int64_t)1 << 24)

void spec_build_fini(struct spec_build *b)
{
    bytes_fini(&b->text);
    mem_free(b->tokens);
    mem_free(b->merges);
    memset(b, 0, sizeof *b);
}

enum err spec_build_token(struct errctx *e, struct spec_build *b, int64_t id, const void *bytes,
                          size_t n, uint8_t flags, float score)
{
    if (id < 0 || id >= ID_LIMIT)
        return err_set(e, ERR_INPUT, "token id %lld is not in 0..%lld", (long long)id,
                       (long long)ID_LIMIT - 1);
    if ((size_t)id >= b->count) {
        size_t count = (size_t)id + 1;
        TRY(mem_grow(e, &b->tokens, &b->capacity, count, sizeof *b->tokens, "vocabulary"));
        memset(b->tokens + b->count, 0, (count - b->count) * sizeof *b->tokens);
        b->count = count;
    }
    if (b->tokens[id].there)
        return err_set(e, ERR_INPUT, "two tokens have the id %lld", (long long)id);
    b->tokens[id] = (struct spec_token){b->text.len, n, score, flags, true};
    return bytes_append(e, &b->text, bytes, n);
}

enum err spec_build_merge(struct errctx *e, struct spec_build *b, uint32_t left, uint32_t right)
{
    TRY(mem_grow(e, &b->merges, &b->merges_capacity, 2 * (b->merges_count + 1), sizeof *b->merges,
                 "merges"));
    b->merges[2 * b->merges_count] = left;
    b->merges[2 * b->merges_count + 1] = right;
    b->merges_count++;
    return ERR_OK;
}

enum err spec_build_finish(struct errctx *e, struct spec_build *b, bool scores,
                           struct tokenizer_spec *s)
{
    size_t at = 0;

    if (b->count == 0) return err_set(e, ERR_INPUT, "the vocabulary has no tokens");
    s->vocab = (int64_t)b->count;
    TRY(mem_new(e, &s->bytes, b->text.len + 1, 1, "vocabulary"));
    TRY(mem_new(e, &s->start, b->count + 1, sizeof *s->start, "vocabulary"));
    TRY(mem_new(e, &s->flags, b->count, 1, "vocabulary"));
    if (scores) TRY(mem_new(e, &s->scores, b->count, sizeof *s->scores, "vocabulary"));
    for (size_t i = 0; i < b->count; i++) {
        const struct spec_token *t = &b->tokens[i];
        if (t->n > 0) memcpy(s->bytes + at, b->text.data + t->from, t->n);
        at += t->n;
        s->start[i + 1] = at;
        s->flags[i] = t->there ? t->flags : TOKEN_UNUSED;
        if (scores) s->scores[i] = t->score;
    }
    s->merges = b->merges;
    s->merges_count = (int64_t)b->merges_count;
    b->merges = NULL;
    return ERR_OK;
}

enum err spec_build_ops(struct errctx *e, struct tokenizer_spec *s, const char *key, json_t *json)
{
    struct mp_value v;
    enum err code;

    if (json == NULL) return err_memory(e, "tokenizer", 0);
    code = mp_from_json(e, json, &v);
    json_decref(json);
    TRY(code);
    code = mp_set(e, &s->ops, key, &v);
    mp_fini(&v);
    return code;
}

enum err spec_build_append(struct errctx *e, struct mp_value *list, json_t *op)
{
    struct mp_value v;
    enum err code;

    if (op == NULL) return err_memory(e, "tokenizer", 0);
    code = mp_from_json(e, op, &v);
    json_decref(op);
    TRY(code);
    code = mp_append(e, list, &v);
    mp_fini(&v);
    return code;
}

/* The byte of a character of the alphabet: what prints in Latin-1 is itself, the others follow from
 * U+0100 on in their order. */
static int alphabet_byte(uint32_t c)
{
    if ((c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff))
        return (int)c;
    if (c >= 0x100 && c < 0x100 + 33) return (int)c - 0x100;
    if (c >= 0x121 && c < 0x121 + 34) return (int)c - 0x121 + 0x7f;
    return c == 0x143 ? 0xad : -1;
}

bool spec_build_byte_level(struct errctx *e, const char *text, size_t n, struct bytes *out)
{
    size_t len;

    for (size_t i = 0; i < n; i += len) {
        int byte = alphabet_byte(utf8_decode((const uint8_t *)text + i, &len));
        uint8_t one = (uint8_t)byte;
        if (byte < 0 || bytes_append(e, out, &one, 1) != ERR_OK) return false;
    }
    return true;
}

enum err spec_build_spaces(struct errctx *e, const char *text, size_t n, struct bytes *out)
{
    for (size_t i = 0; i < n;) {
        bool mark = n - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
        TRY(bytes_append(e, out, mark ? " " : text + i, 1));
        i += mark ? 3 : 1;
    }
    return ERR_OK;
}

bool spec_build_lacks_bytes(const struct spec_build *b)
{
    bool there[256] = {false};
    bool lacks = false;

    for (size_t i = 0; i < b->count; i++)
        if (b->tokens[i].n == 1 && !(b->tokens[i].flags & (TOKEN_SPECIAL | TOKEN_UNUSED)))
            there[b->text.data[b->tokens[i].from]] = true;
    for (int c = 0; c < 256; c++) lacks |= !there[c] && (c < 0xc0 || (c > 0xc1 && c < 0xf5));
    return lacks;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int spec_build_byte(const char *text, size_t n)
{
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    return hex(text[3]) < 0 || hex(text[4]) < 0 ? -1 : 16 * hex(text[3]) + hex(text[4]);
}
