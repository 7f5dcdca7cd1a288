/* SPDX-License-Identifier: Apache-2.0 */
/* normalize.c: see normalize.h. Every operation maps a cluster (one character, or for the normal
 * forms one grapheme cluster, across whose ends no normal form composes) to some text; the result
 * inherits the cluster's end.
 *
 * References: Unicode Standard Annex 15; Hugging Face tokenizers, normalizers/bert.rs. */
#include "common/text/normalize.h"
#include <string.h>
#include <utf8proc.h>
#include "common/text/unicode_class.h"
#include "common/text/utf8.h"

enum {
    CLUSTER_ROOM = 16
}; /* code points that one code point becomes at most are 18 in NFKD; this is a first guess */

/* Appends text that comes from what ends at `end`. */
static enum err emit(struct errctx *e, struct normalized *out, const uint8_t *text, size_t n,
                     uint64_t end)
{
    TRY(mem_grow(e, &out->end, &out->end_capacity, out->text.len + n, sizeof *out->end,
                 "normaliser"));
    for (size_t i = 0; i < n; i++) out->end[out->text.len + i] = end;
    return bytes_append(e, &out->text, text, n);
}

static enum err emit_char(struct errctx *e, struct normalized *out, uint32_t c, uint64_t end)
{
    uint8_t text[4];

    return emit(e, out, text, utf8_encode(c, text), end);
}

/* ------------------------------------------------------------------ characters */

static enum err clean_text(struct errctx *e, struct normalized *out, uint32_t c, uint64_t before,
                           uint64_t end)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);

    (void)before;
    if (c == '\t' || c == '\n' || c == '\r') return emit_char(e, out, ' ', end);
    if (c == 0 || c == 0xfffd || category >= UTF8PROC_CATEGORY_CC) /* Cc Cf Cs Co, but not Cn */
        return ERR_OK;
    return emit_char(e, out, unicode_class_of(c) & UNICODE_SPACE ? ' ' : c, end);
}

static enum err chinese_chars(struct errctx *e, struct normalized *out, uint32_t c, uint64_t before,
                              uint64_t end)
{
    static const uint32_t ranges[][2] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df},
                                         {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf},
                                         {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
    bool chinese = false;

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        chinese |= c >= ranges[i][0] && c <= ranges[i][1];
    if (!chinese) return emit_char(e, out, c, end);
    TRY(emit_char(e, out, ' ', before));
    TRY(emit_char(e, out, c, end));
    return emit_char(e, out, ' ', end);
}

static enum err lowercase(struct errctx *e, struct normalized *out, uint32_t c, uint64_t before,
                          uint64_t end)
{
    (void)before;
    if (c == 0x130) { /* the one character whose full mapping has two (SpecialCasing.txt, without
                         conditions) */
        TRY(emit_char(e, out, 'i', end));
        return emit_char(e, out, 0x307, end);
    }
    return emit_char(e, out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c), end);
}

/* ------------------------------------------------------------------ normal forms */

static enum err cluster(struct errctx *e, struct normalized *out, const uint8_t *text, size_t n,
                        uint64_t end, utf8proc_option_t form, bool drop_marks)
{
    utf8proc_int32_t first[CLUSTER_ROOM], *points = first;
    utf8proc_ssize_t count =
        utf8proc_decompose(text, (utf8proc_ssize_t)n, points, CLUSTER_ROOM, form);
    enum err code = ERR_OK;

    if (count > CLUSTER_ROOM) {
        TRY(mem_new(e, &points, (size_t)count + 1, sizeof *points, "normaliser"));
        count = utf8proc_decompose(text, (utf8proc_ssize_t)n, points, count, form);
    }
    if (count >= 0) count = utf8proc_normalize_utf32(points, count, form);
    if (count < 0) code = err_set(e, ERR_INPUT, "normaliser: %s", utf8proc_errmsg(count));
    for (utf8proc_ssize_t i = 0; i < count && code == ERR_OK; i++)
        if (!drop_marks || utf8proc_category(points[i]) != UTF8PROC_CATEGORY_MN)
            code = emit_char(e, out, (uint32_t)points[i], end);
    if (points != first) mem_free(points);
    return code;
}

/* A cluster of one ASCII character is its own normal form. */
static enum err normal_form(struct errctx *e, struct normalized *out, const uint8_t *s, size_t n,
                            const uint64_t *ends, utf8proc_option_t form, bool drop_marks)
{
    size_t from = 0;

    while (from < n) {
        size_t to = from, len;
        utf8proc_int32_t state = 0, c = (utf8proc_int32_t)utf8_decode(s + from, &len);
        for (to += len; to < n; to += len) {
            utf8proc_int32_t next = (utf8proc_int32_t)utf8_decode(s + to, &len);
            if (next < 0x80 || utf8proc_grapheme_break_stateful(c, next, &state)) break;
            c = next;
        }
        if (to == from + 1) {
            TRY(emit(e, out, s + from, 1, ends[from]));
        } else {
            TRY(cluster(e, out, s + from, to - from, ends[to - 1], form, drop_marks));
        }
        from = to;
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ lists */

typedef enum err char_fn(struct errctx *e, struct normalized *out, uint32_t c, uint64_t before,
                         uint64_t end);

#define FORM_D (UTF8PROC_STABLE | UTF8PROC_DECOMPOSE)
#define FORM_C (UTF8PROC_STABLE | UTF8PROC_COMPOSE)
static const struct op_type {
    const char *name;
    char_fn *fn; /* by character, or NULL: */
    int form;    /* a normal form */
    bool drop_marks;
} op_types[] = {
    {"nfc", NULL, FORM_C, false},
    {"nfd", NULL, FORM_D, false},
    {"nfkc", NULL, FORM_C | UTF8PROC_COMPAT, false},
    {"nfkd", NULL, FORM_D | UTF8PROC_COMPAT, false},
    {"clean_text", clean_text, 0, false},
    {"chinese_chars", chinese_chars, 0, false},
    {"strip_accents", NULL, FORM_D, true},
    {"lowercase", lowercase, 0, false},
};

enum err normalizer_init(struct errctx *e, const struct mp_value *ops, struct normalizer *n)
{
    n->count = 0;
    if (ops->type != MP_ARRAY || ops->as.list.count > NORMALIZER_MAX_OPS)
        return err_set(e, ERR_INPUT, "normalizer: not a list of at most %d operations",
                       NORMALIZER_MAX_OPS);
    for (size_t i = 0; i < ops->as.list.count; i++) {
        const char *name;
        int op = -1;
        TRY(mp_get_string(e, &ops->as.list.items[i], "op", &name));
        for (size_t k = 0; k < ARRAY_LEN(op_types); k++)
            if (strcmp(op_types[k].name, name) == 0) op = (int)k;
        if (op < 0) return err_set(e, ERR_INPUT, "normalizer: operation '%s' is not known", name);
        n->ops[n->count++] = op;
    }
    return ERR_OK;
}

void normalized_fini(struct normalized *n)
{
    bytes_fini(&n->text);
    bytes_fini(&n->spare);
    mem_free(n->end);
    mem_free(n->spare_end);
    memset(n, 0, sizeof *n);
}

static void swap(struct normalized *n)
{
    struct bytes text = n->text;
    uint64_t *end = n->end;
    size_t capacity = n->end_capacity;

    n->text = n->spare;
    n->end = n->spare_end;
    n->end_capacity = n->spare_capacity;
    n->spare = text;
    n->spare_end = end;
    n->spare_capacity = capacity;
}

static enum err by_char(struct errctx *e, struct normalized *out, const uint8_t *s, size_t n,
                        const uint64_t *ends, char_fn *fn)
{
    size_t len;

    for (size_t i = 0; i < n; i += len) {
        uint32_t c = utf8_decode(s + i, &len);
        TRY(fn(e, out, c, i > 0 ? ends[i - 1] : 0, ends[i]));
    }
    return ERR_OK;
}

enum err normalizer_apply(struct errctx *e, const struct normalizer *z, const uint8_t *text,
                          size_t n, struct normalized *out)
{
    size_t len;

    out->text.len = 0;
    for (size_t i = 0; i < n; i += len) {
        (void)utf8_decode(text + i, &len);
        TRY(emit(e, out, text + i, len, i + len));
    }
    for (int k = 0; k < z->count; k++) {
        const struct op_type *op = &op_types[z->ops[k]];
        swap(out);
        out->text.len = 0;
        if (op->fn != NULL) {
            TRY(by_char(e, out, out->spare.data, out->spare.len, out->spare_end, op->fn));
        } else {
            TRY(normal_form(e, out, out->spare.data, out->spare.len, out->spare_end,
                            (utf8proc_option_t)op->form, op->drop_marks));
        }
    }
    return ERR_OK;
}
