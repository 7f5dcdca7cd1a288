/* SPDX-License-Identifier: Apache-2.0 */
/* pretokenize.c: see pretokenize.h. Where a piece ends, scan_pieces.c finds out, or PCRE2.
 *
 * Expressions: GPT-2's from its release; cl100k's and o200k's from tiktoken; llama3 is cl100k's
 * first form, without the alternative that takes whitespace at the end of the text whole. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/text/pretokenize.h"
#include <pcre2.h>
#include <string.h>
#include "common/base/mem.h"
#include "common/text/scan_pieces.h"

#define WS  "\\p{Z}\\t-\\r\\x{85}"
#define L_N "\\p{L}\\p{N}"
#define WORDS(digits)                                                                              \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n" L_N "]?+\\p{L}++|\\p{N}" digits "| ?[^" WS L_N "]++[\\r\\n]*" \
    "+|"
#define CL100K_WORDS WORDS("{1,3}+")
#define LLAMA3_SPACE "[" WS "]*[\\r\\n]+|[" WS "]+(?![^" WS "])|[" WS "]+"
#define O200K_TAIL   "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"

enum border_rule {
    BORDER_NONE,       /* nothing is known */
    BORDER_SPACE,      /* whitespace after anything else begins a piece */
    BORDER_WORD_SPACE, /* only after a letter or a number (punctuation may take newlines along) */
    BORDER_BLANK,      /* U+0020 after anything else begins a piece */
};

/* Every operation there is. */
static const struct op_type {
    const char *name;
    const char *pattern; /* NULL: a parameter (regex), or no expression (bert) */
    scan_pieces_fn *cut; /* the scanner; NULL: the expression is run */
    enum border_rule border;
    bool drops_space;
} op_types[] = {
    {"gpt2",
     "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^" WS L_N "]++|[" WS "]++\\z|[" WS "]+(?![^" WS
     "])|[" WS "]",
     scan_pieces_gpt2, BORDER_SPACE, false},
    {"cl100k", CL100K_WORDS "[" WS "]++\\z|[" WS "]*[\\r\\n]|[" WS "]+(?![^" WS "])|[" WS "]",
     scan_pieces_cl100k, BORDER_WORD_SPACE, false},
    {"llama3", CL100K_WORDS LLAMA3_SPACE, scan_pieces_llama3, BORDER_WORD_SPACE, false},
    {"qwen2", WORDS("") LLAMA3_SPACE, scan_pieces_qwen2, BORDER_WORD_SPACE, false},
    {"o200k",
     "[^\\r\\n" L_N
     "]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" O200K_TAIL
     "[^\\r\\n" L_N
     "]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" O200K_TAIL
     "\\p{N}{1,3}| ?[^" WS L_N "]+[\\r\\n/]*|[" WS "]*[\\r\\n]+|[" WS "]+(?![^" WS "])|[" WS "]+",
     NULL, BORDER_WORD_SPACE, false},
    {"regex", NULL, NULL, BORDER_NONE, false},
    {"digits", "\\p{N}|\\P{N}++", scan_pieces_digits, BORDER_SPACE, false},
    {"bert", NULL, NULL, BORDER_SPACE, true},
};
/* Stands in no list: see pretokenizer_cut_words. */
static const struct op_type words = {"words", NULL, scan_pieces_words, BORDER_BLANK, false};

/* What becomes of a match: a piece of its own, nothing, or part of a piece with what is before or
 * behind it. */
static const char *const behaviors[] = {"isolated", "removed", "previous", "next"};
enum behavior { ISOLATED, REMOVED, PREVIOUS, NEXT };

struct op {
    const struct op_type *type;
    pcre2_code *code; /* of expressions that are run */
    enum behavior behavior;
    bool invert; /* what lies between matches counts as matches */
};

struct pretokenizer {
    struct op ops[PRETOKENIZER_MAX_OPS];
    int count;
    enum border_rule border;
    bool prefix_space, metaspace;
    struct metaspace_cfg mark;
    struct scan_table classes;
};

/* The range that an operation is cutting, and how far it is; offsets into the text. */
struct level {
    size_t from, to, at;
};

struct pretokenizer_cursor {
    const struct pretokenizer *p;
    const uint8_t *text;
    struct level levels[PRETOKENIZER_MAX_OPS];
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

const char *pretokenizer_pattern(const char *op)
{
    for (size_t i = 0; i < ARRAY_LEN(op_types); i++)
        if (strcmp(op_types[i].name, op) == 0) return op_types[i].pattern;
    return NULL;
}

/* ------------------------------------------------------------------ operations */

static enum err op_compile(struct errctx *e, const char *pattern, size_t n, pcre2_code **out)
{
    int code;
    PCRE2_SIZE offset;
    PCRE2_UCHAR message[128];

    *out = pcre2_compile((PCRE2_SPTR)pattern, n,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY, &code,
                         &offset, NULL);
    if (*out == NULL) {
        pcre2_get_error_message(code, message, sizeof message);
        return err_set(e, ERR_INPUT, "pretokenizer: expression '%s', byte %zu: %s", pattern,
                       (size_t)offset, (const char *)message);
    }
    (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
    return ERR_OK;
}

static enum err set_behavior(struct errctx *e, const struct mp_value *map, struct op *op)
{
    const char *name = behaviors[ISOLATED];
    size_t i = 0;

    if (mp_get(map, "invert") != NULL) TRY(mp_get_bool(e, map, "invert", &op->invert));
    if (mp_get(map, "behavior") != NULL) TRY(mp_get_string(e, map, "behavior", &name));
    while (i < ARRAY_LEN(behaviors) && strcmp(behaviors[i], name) != 0) i++;
    if (i == ARRAY_LEN(behaviors))
        return err_set(e, ERR_INPUT, "pretokenizer: behavior '%s' is not known", name);
    op->behavior = (enum behavior)i;
    return ERR_OK;
}

static enum err op_init(struct errctx *e, const struct mp_value *map, const char *name,
                        struct op *op)
{
    const char *pattern;

    for (size_t i = 0; i < ARRAY_LEN(op_types); i++)
        if (strcmp(op_types[i].name, name) == 0) op->type = &op_types[i];
    if (op->type == NULL)
        return err_set(e, ERR_INPUT, "pretokenizer: operation '%s' is not known", name);
    if (op->type->cut != NULL || op->type->drops_space) return ERR_OK;
    pattern = op->type->pattern;
    if (pattern == NULL) {
        TRY(mp_get_string(e, map, "pattern", &pattern));
        TRY(set_behavior(e, map, op));
    }
    return op_compile(e, pattern, strlen(pattern), &op->code);
}

static enum err set_metaspace(struct errctx *e, const struct mp_value *map, struct metaspace_cfg *m)
{
    static const char *const schemes[] = {"never", "first", "always"};
    const char *name = "always";
    size_t i = 0;

    m->split = true;
    if (mp_get(map, "split") != NULL) TRY(mp_get_bool(e, map, "split", &m->split));
    if (mp_get(map, "prepend") != NULL) TRY(mp_get_string(e, map, "prepend", &name));
    while (i < ARRAY_LEN(schemes) && strcmp(schemes[i], name) != 0) i++;
    if (i == ARRAY_LEN(schemes))
        return err_set(e, ERR_INPUT, "pretokenizer: metaspace: prepend is '%s'", name);
    m->prepend = (enum metaspace_prepend)i;
    return ERR_OK;
}

/* prefix_space and metaspace change text, which others do not: they are the first and the last. */
static enum err add_op(struct errctx *e, const struct mp_value *list, size_t i,
                       struct pretokenizer *p)
{
    const struct mp_value *map = &list->as.list.items[i];
    const char *name;

    if (map->type != MP_MAP)
        return err_set(e, ERR_INPUT, "pretokenizer: an operation is not a map");
    TRY(mp_get_string(e, map, "op", &name));
    if (strcmp(name, "prefix_space") == 0) {
        if (i > 0) return err_set(e, ERR_INPUT, "pretokenizer: prefix_space is not the first");
        p->prefix_space = true;
        return ERR_OK;
    }
    if (strcmp(name, "metaspace") == 0) {
        if (i + 1 < list->as.list.count)
            return err_set(e, ERR_INPUT, "pretokenizer: metaspace is not the last");
        if (p->prefix_space)
            return err_set(e, ERR_INPUT, "pretokenizer: prefix_space and metaspace together");
        p->metaspace = true;
        return set_metaspace(e, map, &p->mark);
    }
    p->count++;
    return op_init(e, map, name, &p->ops[p->count - 1]);
}

enum err pretokenizer_new(struct errctx *e, const struct mp_value *ops, struct pretokenizer **out)
{
    struct pretokenizer *p;

    *out = NULL;
    if (ops->type != MP_ARRAY || ops->as.list.count > PRETOKENIZER_MAX_OPS)
        return err_set(e, ERR_INPUT, "pretokenizer: not a list of at most %d operations",
                       PRETOKENIZER_MAX_OPS);
    TRY(mem_new(e, &p, 1, sizeof *p, "pretokenizer"));
    unicode_table_fill(&p->classes.all);
    memcpy(p->classes.ascii, p->classes.all.plane, 128);
    for (size_t i = 0; i < ops->as.list.count; i++)
        if (add_op(e, ops, i, p) != ERR_OK) {
            pretokenizer_free(p);
            return e->code;
        }
    /* A cut at a border of the first operation is one for all: the others see its pieces only. */
    p->border = p->count > 0                    ? p->ops[0].type->border
                : p->metaspace && p->mark.split ? BORDER_BLANK
                                                : BORDER_NONE;
    *out = p;
    return ERR_OK;
}

void pretokenizer_cut_words(struct pretokenizer *p)
{
    if (p->count > 0 || p->metaspace) return;
    p->ops[p->count++].type = &words;
    p->border = BORDER_BLANK;
}

bool pretokenizer_prefixes_space(const struct pretokenizer *p)
{
    return p->prefix_space;
}

const struct metaspace_cfg *pretokenizer_metaspace(const struct pretokenizer *p)
{
    return p->metaspace ? &p->mark : NULL;
}

void pretokenizer_free(struct pretokenizer *p)
{
    if (p == NULL) return;
    for (int i = 0; i < p->count; i++) pcre2_code_free(p->ops[i].code);
    mem_free(p);
}

enum err pretokenizer_cursor_new(struct errctx *e, const struct pretokenizer *p,
                                 struct pretokenizer_cursor **out)
{
    struct pretokenizer_cursor *c;

    *out = NULL;
    TRY(mem_new(e, &c, 1, sizeof *c, "pretokenizer"));
    c->p = p;
    c->match = pcre2_match_data_create(1, NULL);
    c->context = pcre2_match_context_create(NULL);
    c->stack = pcre2_jit_stack_create(32 << 10, 64 << 20, NULL);
    if (c->match == NULL || c->context == NULL || c->stack == NULL) {
        pretokenizer_cursor_free(c);
        return err_memory(e, "regular expressions", 32 << 10);
    }
    pcre2_jit_stack_assign(c->context, NULL, c->stack);
    *out = c;
    return ERR_OK;
}

void pretokenizer_cursor_free(struct pretokenizer_cursor *c)
{
    if (c == NULL) return;
    pcre2_match_data_free(c->match);
    pcre2_match_context_free(c->context);
    pcre2_jit_stack_free(c->stack);
    mem_free(c);
}

/* What begins at s[at]: a match of the expression, or what lies before the next; its end. */
static enum err regex_unit(struct errctx *e, struct pretokenizer_cursor *c, const struct op *op,
                           const uint8_t *s, size_t n, size_t at, size_t *to, bool *match)
{
    int rc =
        pcre2_match(op->code, s, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, c->match, c->context);
    PCRE2_UCHAR message[128];

    *match = op->invert;
    *to = n;
    if (rc == PCRE2_ERROR_NOMATCH) return ERR_OK;
    if (rc < 0) {
        pcre2_get_error_message(rc, message, sizeof message);
        return err_set(e, ERR_INPUT, "pretokenizer: the expression fails on the text: %s",
                       (const char *)message);
    }
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(c->match);
    if (v[1] <= at || v[0] < at) /* \K or a look-behind may report a match behind us */
        return err_set(e, ERR_INPUT, "pretokenizer: the expression matches behind its start");
    *to = v[0] > at ? v[0] : v[1];
    if (v[0] == at) *match = !op->invert;
    return ERR_OK;
}

/* The next piece of s[0..n) from *from on; *to == *from: there is none. */
static enum err regex_step(struct errctx *e, struct pretokenizer_cursor *c, const struct op *op,
                           const uint8_t *s, size_t n, size_t *from, size_t *to)
{
    bool match, next;
    size_t end;

    TRY(regex_unit(e, c, op, s, n, *from, to, &match));
    while (op->behavior == REMOVED && match) {
        *from = *to;
        if (*from == n) return ERR_OK;
        TRY(regex_unit(e, c, op, s, n, *from, to, &match));
    }
    if ((op->behavior == PREVIOUS && !match) || (op->behavior == NEXT && match)) {
        if (*to == n) return ERR_OK;
        TRY(regex_unit(e, c, op, s, n, *to, &end, &next));
        if (next != match) *to = end;
    }
    return ERR_OK;
}

/* Words and single punctuation characters; whitespace is dropped. False when only whitespace is
 * left. */
static bool bert_step(const struct scan_table *t, const uint8_t *s, size_t n, size_t *from,
                      size_t *to)
{
    size_t p = scan_run(t, s, n, *from, UNICODE_SPACE), len;

    *from = p;
    if (p == n) return false;
    if (scan_class(t, s, p, &len) & UNICODE_PUNCTUATION) {
        *to = p + len;
        return true;
    }
    while (p < n && !(scan_class(t, s, p, &len) & (UNICODE_SPACE | UNICODE_PUNCTUATION))) p += len;
    *to = p;
    return true;
}

/* The next pieces of a level's range. */
static enum err level_cut(struct errctx *e, struct pretokenizer_cursor *c, const struct op *op,
                          struct level *l, struct piece *out, size_t room, size_t *count)
{
    const uint8_t *s = c->text + l->from;
    size_t n = l->to - l->from, at = l->at - l->from, k = 0;

    if (op->type->cut != NULL) {
        k = op->type->cut(&c->p->classes, s, n, at, out, room);
        if (k > 0) at = out[k - 1].to;
    } else {
        for (; at < n && k < room; k++) {
            size_t end = n;
            if (!op->type->drops_space)
                TRY(regex_step(e, c, op, s, n, &at, &end));
            else if (!bert_step(&c->p->classes, s, n, &at, &end))
                break;
            if (at == n) break;
            out[k] = (struct piece){at, end};
            at = end;
        }
    }
    for (size_t i = 0; l->from > 0 && i < k; i++) {
        out[i].from += l->from;
        out[i].to += l->from;
    }
    l->at = l->from + at;
    *count = k;
    return ERR_OK;
}

void pretokenizer_start(struct pretokenizer_cursor *c, const uint8_t *text, size_t n)
{
    c->text = text;
    memset(c->levels, 0, sizeof c->levels);
    c->levels[0].to = n;
}

enum err pretokenizer_next(struct errctx *e, struct pretokenizer_cursor *c, struct piece *out,
                           size_t room, size_t *count)
{
    int last = c->p->count - 1, k = last;
    struct piece whole = {c->levels[0].at, c->levels[0].to};
    size_t got;

    if (last < 0) { /* no operation: the text is one piece */
        *count = whole.from < whole.to;
        *out = whole;
        c->levels[0].at = whole.to;
        return ERR_OK;
    }
    for (;;) {
        if (k == last) {
            TRY(level_cut(e, c, &c->p->ops[k], &c->levels[k], out, room, count));
            if (*count > 0 || k == 0) return ERR_OK;
            k--;
            continue;
        }
        TRY(level_cut(e, c, &c->p->ops[k], &c->levels[k], &whole, 1, &got));
        if (got == 0 && k == 0) {
            *count = 0;
            return ERR_OK;
        }
        k += got > 0 ? 1 : -1;
        if (got > 0) c->levels[k] = (struct level){whole.from, whole.to, whole.from};
    }
}

bool pretokenizer_drops(const struct pretokenizer *p)
{
    bool drops = false;

    for (int i = 0; i < p->count; i++)
        drops |= p->ops[i].type->drops_space || p->ops[i].behavior == REMOVED;
    return drops;
}

/* ------------------------------------------------------------------ borders */

static bool is_border(const struct pretokenizer *p, const uint8_t *s, size_t at)
{
    size_t before = at, len;
    uint8_t left, right;

    if ((s[at] & 0xc0) == 0x80) return false;
    right = scan_class(&p->classes, s, at, &len);
    if (!(right & UNICODE_SPACE)) return false;
    if (p->border == BORDER_BLANK) return s[at] == ' ' && s[at - 1] != ' ';
    do before--;
    while (before > 0 && (s[before] & 0xc0) == 0x80);
    left = scan_class(&p->classes, s, before, &len);
    if (p->border == BORDER_WORD_SPACE) return left & (UNICODE_LETTER | UNICODE_NUMBER);
    return p->border == BORDER_SPACE && !(left & UNICODE_SPACE);
}

size_t pretokenizer_border(const struct pretokenizer *p, const uint8_t *text, size_t n, size_t from)
{
    if (p->border == BORDER_NONE) return n;
    for (size_t at = from > 0 ? from : 1; at < n; at++)
        if (is_border(p, text, at)) return at;
    return n;
}
