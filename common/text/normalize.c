/* SPDX-License-Identifier: Apache-2.0 */
/* normalize.c: see normalize.h. Every operation maps a cluster (one character, or for the normal
 * forms one grapheme cluster, across whose ends no normal form composes) to some text; the result
 * inherits the cluster's end.
 *
 * References: Unicode Standard Annex 15; Hugging Face tokenizers, normalizers/bert.rs. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/text/normalize.h"
#include <pcre2.h>
#include <string.h>
#include <utf8proc.h>
#include "common/text/charsmap.h"
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
    if (!unicode_is_ideograph(c)) return emit_char(e, out, c, end);
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

/* ------------------------------------------------------------------ pieces of text */

struct normalizer_op {
    const struct op_type *type;
    char *from, *to; /* prepend has `to` only */
    pcre2_code *code;
    struct charsmap charsmap;
    bool first, left, right, graphemes;
};

/* What an operation reads. */
struct source {
    const uint8_t *s;
    size_t n;
    const uint64_t *ends;
    struct normalizer_place place;
};

static enum err emit_range(struct errctx *e, struct normalized *out, const struct source *in,
                           size_t from, size_t to)
{
    TRY(mem_grow(e, &out->end, &out->end_capacity, out->text.len + (to - from), sizeof *out->end,
                 "normaliser"));
    if (to > from)
        memcpy(out->end + out->text.len, in->ends + from, (to - from) * sizeof *out->end);
    return bytes_append(e, &out->text, in->s + from, to - from);
}

static bool prepends(const struct normalizer_op *op, struct normalizer_place place, size_t n)
{
    return n > 0 && (op->first ? place.first : place.left);
}

static enum err prepend(struct errctx *e, struct normalized *out, const struct normalizer_op *op,
                        const struct source *in)
{
    if (prepends(op, in->place, in->n))
        TRY(emit(e, out, (const uint8_t *)op->to, strlen(op->to), 0));
    return emit_range(e, out, in, 0, in->n);
}

static enum err replace(struct errctx *e, struct normalized *out, const struct normalizer_op *op,
                        const struct source *in)
{
    size_t length = strlen(op->from), at = 0;
    const uint8_t *found;

    while ((found = memmem(in->s + at, in->n - at, op->from, length)) != NULL) {
        size_t p = (size_t)(found - in->s);
        TRY(emit_range(e, out, in, at, p));
        at = p + length;
        TRY(emit(e, out, (const uint8_t *)op->to, strlen(op->to), in->ends[at - 1]));
    }
    return emit_range(e, out, in, at, in->n);
}

static enum err replace_regex(struct errctx *e, struct normalized *out,
                              const struct normalizer_op *op, const struct source *in)
{
    size_t at = 0;

    if (out->match == NULL) out->match = pcre2_match_data_create(1, NULL);
    if (out->match == NULL) return err_memory(e, "regular expressions", 1 << 10);
    while (at < in->n) {
        PCRE2_UCHAR message[128];
        int rc = pcre2_match(op->code, in->s, in->n, at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY,
                             out->match, NULL);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc < 0) {
            pcre2_get_error_message(rc, message, sizeof message);
            return err_set(e, ERR_INPUT, "normalizer: the expression fails on the text: %s",
                           (const char *)message);
        }
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(out->match);
        if (v[0] < at || v[1] <= v[0])
            return err_set(e, ERR_INPUT, "normalizer: the expression matches behind its start");
        TRY(emit_range(e, out, in, at, v[0]));
        at = v[1];
        TRY(emit(e, out, (const uint8_t *)op->to, strlen(op->to), in->ends[at - 1]));
    }
    return emit_range(e, out, in, at, in->n);
}

static size_t back(const uint8_t *s, size_t p)
{
    do p--;
    while (p > 0 && (s[p] & 0xc0) == 0x80);
    return p;
}

static bool space_at(const uint8_t *s, size_t p, size_t *len)
{
    return unicode_class_of(utf8_decode(s + p, len)) & UNICODE_SPACE;
}

static enum err strip(struct errctx *e, struct normalized *out, const struct normalizer_op *op,
                      const struct source *in)
{
    size_t from = 0, to = in->n, len;

    while (op->left && in->place.left && from < to && space_at(in->s, from, &len)) from += len;
    while (op->right && in->place.right && from < to && space_at(in->s, back(in->s, to), &len))
        to = back(in->s, to);
    return emit_range(e, out, in, from, to);
}

/* A run of U+0020 as one, none at the ends (first: at the beginning of the whole text only). */
static enum err collapse_spaces(struct errctx *e, struct normalized *out,
                                const struct normalizer_op *op, const struct source *in)
{
    size_t at = 0, end;

    if (op->first ? in->place.first : in->place.left)
        while (at < in->n && in->s[at] == ' ') at++;
    for (; at < in->n; at = end) {
        for (end = at + 1; end < in->n && !(in->s[end] == ' ' && in->s[end - 1] == ' ');) end++;
        /* [at, end) has single spaces only; what follows are more of them */
        size_t next = end;
        while (next < in->n && in->s[next] == ' ') next++;
        if (next == in->n && in->s[end - 1] == ' ' && in->place.right) end--;
        TRY(emit_range(e, out, in, at, end));
        end = next;
    }
    return ERR_OK;
}

static enum err trim_end(struct errctx *e, struct normalized *out, const struct normalizer_op *op,
                         const struct source *in)
{
    size_t to = in->n;

    (void)op;
    while (in->place.right && to > 0 && in->s[to - 1] == ' ') to--;
    return emit_range(e, out, in, 0, to);
}

static enum err charsmap(struct errctx *e, struct normalized *out, const struct normalizer_op *op,
                         const struct source *in)
{
    for (size_t at = 0, rest = 0; at < in->n;) {
        const char *to;
        size_t length;
        size_t taken = charsmap_step(&op->charsmap, op->graphemes, in->s + at, in->n - at, &rest,
                                     &to, &length);
        if (to == NULL) {
            TRY(emit_range(e, out, in, at, at + taken));
        } else {
            TRY(emit(e, out, (const uint8_t *)to, length, in->ends[at + taken - 1]));
        }
        at += taken;
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ lists */

typedef enum err char_fn(struct errctx *e, struct normalized *out, uint32_t c, uint64_t before,
                         uint64_t end);
typedef enum err text_fn(struct errctx *e, struct normalized *out, const struct normalizer_op *op,
                         const struct source *in);

#define FORM_D (UTF8PROC_STABLE | UTF8PROC_DECOMPOSE)
#define FORM_C (UTF8PROC_STABLE | UTF8PROC_COMPOSE)
static const struct op_type {
    const char *name;
    char_fn *by_char; /* one of the two, or: */
    text_fn *by_text;
    int form; /* a normal form */
    bool drop_marks;
} op_types[] = {
    {"nfc", NULL, NULL, FORM_C, false},
    {"nfd", NULL, NULL, FORM_D, false},
    {"nfkc", NULL, NULL, FORM_C | UTF8PROC_COMPAT, false},
    {"nfkd", NULL, NULL, FORM_D | UTF8PROC_COMPAT, false},
    {"clean_text", clean_text, NULL, 0, false},
    {"chinese_chars", chinese_chars, NULL, 0, false},
    {"strip_accents", NULL, NULL, FORM_D, true},
    {"lowercase", lowercase, NULL, 0, false},
    {"prepend", NULL, prepend, 0, false},
    {"replace", NULL, replace, 0, false},
    {"replace_regex", NULL, replace_regex, 0, false},
    {"strip", NULL, strip, 0, false},
    {"collapse_spaces", NULL, collapse_spaces, 0, false},
    {"trim_end", NULL, trim_end, 0, false},
    {"charsmap", NULL, charsmap, 0, false},
};

static enum err take_text(struct errctx *e, const struct mp_value *map, const char *key, char **out)
{
    const char *text;

    if (mp_get(map, key) == NULL) return ERR_OK;
    TRY(mp_get_string(e, map, key, &text));
    return mem_strdup(e, out, text);
}

static enum err take_flag(struct errctx *e, const struct mp_value *map, const char *key, bool *out)
{
    return mp_get(map, key) == NULL ? ERR_OK : mp_get_bool(e, map, key, out);
}

static enum err compile(struct errctx *e, const struct mp_value *map, struct normalizer_op *op)
{
    const struct mp_value *blob = mp_get(map, "map");
    const char *pattern;
    int code;
    PCRE2_SIZE offset;

    op->left = op->right = true;
    TRY(take_flag(e, map, "first", &op->first));
    TRY(take_flag(e, map, "left", &op->left));
    TRY(take_flag(e, map, "right", &op->right));
    TRY(take_flag(e, map, "graphemes", &op->graphemes));
    TRY(take_text(e, map, "from", &op->from));
    TRY(take_text(e, map, op->type->by_text == prepend ? "text" : "to", &op->to));
    if (op->type->by_text == replace && op->from[0] == 0)
        return err_set(e, ERR_INPUT, "normalizer: replace: nothing to replace");
    if (op->type->by_text == charsmap)
        return charsmap_init(e, blob->as.bytes.data, blob->as.bytes.len, &op->charsmap);
    if (op->type->by_text != replace_regex) return ERR_OK;
    TRY(mp_get_string(e, map, "pattern", &pattern));
    op->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                             PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &code, &offset, NULL);
    if (op->code == NULL) {
        PCRE2_UCHAR message[128];
        pcre2_get_error_message(code, message, sizeof message);
        return err_set(e, ERR_INPUT, "normalizer: expression '%s', byte %zu: %s", pattern,
                       (size_t)offset, (const char *)message);
    }
    return ERR_OK;
}

static enum err add_op(struct errctx *e, const struct mp_value *map, struct normalizer *n)
{
    struct normalizer_op *op;
    const char *name;

    TRY(mp_get_string(e, map, "op", &name));
    TRY(mem_new(e, &op, 1, sizeof *op, "normaliser"));
    n->ops[n->count++] = op;
    for (size_t k = 0; k < ARRAY_LEN(op_types); k++)
        if (strcmp(op_types[k].name, name) == 0) op->type = &op_types[k];
    if (op->type == NULL)
        return err_set(e, ERR_INPUT, "normalizer: operation '%s' is not known", name);
    return compile(e, map, op);
}

enum err normalizer_init(struct errctx *e, const struct mp_value *ops, struct normalizer *n)
{
    memset(n, 0, sizeof *n);
    if (ops->type != MP_ARRAY || ops->as.list.count > NORMALIZER_MAX_OPS)
        return err_set(e, ERR_INPUT, "normalizer: not a list of at most %d operations",
                       NORMALIZER_MAX_OPS);
    for (size_t i = 0; i < ops->as.list.count; i++)
        if (add_op(e, &ops->as.list.items[i], n) != ERR_OK) {
            normalizer_fini(n);
            return e->code;
        }
    return ERR_OK;
}

void normalizer_fini(struct normalizer *n)
{
    for (int i = 0; i < n->count; i++) {
        mem_free(n->ops[i]->from);
        mem_free(n->ops[i]->to);
        pcre2_code_free(n->ops[i]->code);
        charsmap_fini(&n->ops[i]->charsmap);
        mem_free(n->ops[i]);
    }
    n->count = 0;
}

bool normalizer_has_borders(const struct normalizer *n)
{
    for (int i = 0; i < n->count; i++)
        if (n->ops[i]->type->by_text == replace_regex) return false;
    return true;
}

void normalized_fini(struct normalized *n)
{
    bytes_fini(&n->text);
    bytes_fini(&n->spare);
    mem_free(n->end);
    mem_free(n->spare_end);
    pcre2_match_data_free(n->match);
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

static enum err by_char(struct errctx *e, struct normalized *out, const struct source *in,
                        char_fn *fn)
{
    size_t len;

    for (size_t i = 0; i < in->n; i += len) {
        uint32_t c = utf8_decode(in->s + i, &len);
        TRY(fn(e, out, c, i > 0 ? in->ends[i - 1] : 0, in->ends[i]));
    }
    return ERR_OK;
}

static bool all_ascii(const uint8_t *s, size_t n)
{
    uint8_t all = 0;

    for (size_t i = 0; i < n; i++) all |= s[i];
    return all < 0x80;
}

/* What an operation plainly does to s[0..n): nothing, or it puts its text in front, or more. */
enum effect { EFFECT_NONE, EFFECT_PREPEND, EFFECT_ANY };
static enum effect effect_of(const struct normalizer_op *op, const uint8_t *s, size_t n,
                             struct normalizer_place place)
{
    if (op->type->form != 0) return all_ascii(s, n) ? EFFECT_NONE : EFFECT_ANY;
    if (op->type->by_text == prepend) return prepends(op, place, n) ? EFFECT_PREPEND : EFFECT_NONE;
    if (op->type->by_text == trim_end) return n > 0 && s[n - 1] == ' ' ? EFFECT_ANY : EFFECT_NONE;
    if (op->type->by_text == replace)
        return memmem(s, n, op->from, strlen(op->from)) == NULL ? EFFECT_NONE : EFFECT_ANY;
    return EFFECT_ANY;
}

/* The result as bytes of its own with the way back: what operations that change it begin with. */
static enum err materialise(struct errctx *e, struct normalized *out)
{
    const uint8_t *s = out->data;
    size_t n = out->n, shift = out->shift;

    if (out->ends != NULL) return ERR_OK;
    if (s != out->text.data) {
        out->text.len = 0;
        TRY(bytes_append(e, &out->text, s, n));
    }
    TRY(mem_grow(e, &out->end, &out->end_capacity, n, sizeof *out->end, "normaliser"));
    for (size_t i = 0; i < shift && i < n; i++) out->end[i] = 0;
    for (size_t i = shift, len; i < n; i += len) {
        (void)utf8_decode(out->text.data + i, &len);
        for (size_t k = 0; k < len; k++) out->end[i + k] = i + len - shift;
    }
    out->data = out->text.data;
    out->ends = out->end;
    return ERR_OK;
}

static enum err put_in_front(struct errctx *e, struct normalized *out, const char *text)
{
    size_t n = strlen(text);

    out->text.len = 0;
    TRY(bytes_reserve(e, &out->text, out->n + n));
    TRY(bytes_append(e, &out->text, text, n));
    TRY(bytes_append(e, &out->text, out->data, out->n));
    out->shift = n;
    out->data = out->text.data;
    out->n = out->text.len;
    return ERR_OK;
}

enum err normalizer_apply(struct errctx *e, const struct normalizer *z, const uint8_t *text,
                          size_t n, struct normalizer_place place, struct normalized *out)
{
    out->data = text;
    out->n = n;
    out->ends = NULL;
    out->shift = 0;
    for (int k = 0; k < z->count; k++) {
        const struct normalizer_op *op = z->ops[k];
        enum effect effect = effect_of(op, out->data, out->n, place);
        if (effect == EFFECT_NONE) continue;
        if (effect == EFFECT_PREPEND && out->data == text && out->ends == NULL) {
            TRY(put_in_front(e, out, op->to));
            continue;
        }
        TRY(materialise(e, out));
        swap(out);
        struct source in = {out->spare.data, out->n, out->spare_end, place};
        out->text.len = 0;
        if (op->type->by_char != NULL) {
            TRY(by_char(e, out, &in, op->type->by_char));
        } else if (op->type->by_text != NULL) {
            TRY(op->type->by_text(e, out, op, &in));
        } else {
            TRY(normal_form(e, out, in.s, in.n, in.ends, (utf8proc_option_t)op->type->form,
                            op->type->drop_marks));
        }
        TRY(mem_grow(e, &out->end, &out->end_capacity, 1, sizeof *out->end, "normaliser"));
        out->data = out->text.data;
        out->n = out->text.len;
        out->ends = out->end;
    }
    return ERR_OK;
}
