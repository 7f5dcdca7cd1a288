/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_lex.c: see jinja_lex.h. Reference: the lexer of Jinja 3.1. */
#include "common/text/jinja_lex.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/text/utf8.h"

enum { NESTING_LIMIT = 200 };

struct lexer {
    struct jinja_run *r;
    const char *s;
    size_t n, at;
    struct jinja_token *tokens;
    size_t count, capacity;
    bool line_starting; /* what came last ended its line */
    char open[NESTING_LIMIT];
    int depth;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return c == '_' || is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char peek(const struct lexer *x, size_t ahead)
{
    return x->at + ahead < x->n ? x->s[x->at + ahead] : 0;
}

static enum err add(struct lexer *x, enum jinja_token_type type, const char *s, size_t n)
{
    if (x->count == x->capacity) {
        size_t capacity = x->capacity * 2 + 64;
        struct jinja_token *grown;
        TRY(jinja_new(x->r->e, &x->r->memory, &grown, capacity, sizeof *grown));
        if (x->count > 0) memcpy(grown, x->tokens, x->count * sizeof *grown);
        x->tokens = grown;
        x->capacity = capacity;
    }
    x->tokens[x->count++] = (struct jinja_token){type, x->r->line, s, n, 0, 0};
    return ERR_OK;
}

static void pass(struct lexer *x, size_t n)
{
    for (; n > 0 && x->at < x->n; n--) x->r->line += x->s[x->at++] == '\n';
}

static void pass_spaces(struct lexer *x)
{
    while (x->at < x->n && is_space(x->s[x->at])) pass(x, 1);
}

/* ------------------------------------------------------------------ text */

/* The data before a tag: what of it is left, given the tag's sign. */
static size_t left_of(const struct lexer *x, size_t from, size_t to, char sign, bool variable)
{
    size_t start = to;

    if (sign == '-') {
        while (to > from && is_space(x->s[to - 1])) to--;
        return to;
    }
    if (sign == '+' || variable) return to;
    while (start > from && x->s[start - 1] != '\n') start--;
    if (start == from && !x->line_starting) return to;
    for (size_t i = start; i < to; i++)
        if (!is_space(x->s[i])) return to;
    return start;
}

/* Behind a tag that ends at `at`: "%}" and the newline that goes with it. */
static void pass_end(struct lexer *x, bool block)
{
    char sign = peek(x, 0);

    if (sign == '-' || (sign == '+' && block)) pass(x, 1);
    pass(x, 2);
    if (sign == '-')
        pass_spaces(x);
    else if (block && sign != '+' && peek(x, 0) == '\n')
        pass(x, 1);
    x->line_starting = x->at > 0 && x->s[x->at - 1] == '\n';
}

static enum err lex_comment(struct lexer *x)
{
    int line = x->r->line;
    const char *end = memmem(x->s + x->at, x->n - x->at, "#}", 2);

    if (end == NULL) {
        x->r->line = line;
        return jinja_fail(x->r, "a comment that does not end");
    }
    size_t n = (size_t)(end - x->s) - x->at;
    if (n > 0 && (end[-1] == '-' || end[-1] == '+')) n--;
    pass(x, n);
    pass_end(x, true);
    return ERR_OK;
}

/* Data up to the next tag, and the tag's beginning. */
static enum err lex_data(struct lexer *x, char *kind)
{
    size_t from = x->at, to = from;
    char sign;

    while (to < x->n && !(x->s[to] == '{' && to + 1 < x->n &&
                          (x->s[to + 1] == '{' || x->s[to + 1] == '%' || x->s[to + 1] == '#')))
        to++;
    *kind = to < x->n ? x->s[to + 1] : 0;
    sign = to + 2 < x->n ? x->s[to + 2] : 0;
    if (sign != '-' && sign != '+') sign = 0;
    size_t end = *kind == 0 ? to : left_of(x, from, to, sign, *kind == '{');
    if (end > from) TRY(add(x, JINJA_T_DATA, x->s + from, end - from));
    pass(x, to - from);
    if (*kind == 0) return ERR_OK;
    pass(x, sign != 0 ? 3 : 2);
    if (*kind == '#') return lex_comment(x);
    return add(x, *kind == '{' ? JINJA_T_PRINT : JINJA_T_BLOCK, NULL, 0);
}

/* ------------------------------------------------------------------ strings */

static int hex(const char *s, size_t n, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        *out = *out << 4 | (uint32_t)digit;
    }
    return 0;
}

/* An escape of a character by its number, at s[0] = '\\'; its length, 0 when it is malformed. */
static size_t escaped_number(const char *s, size_t n, uint32_t *c)
{
    size_t digits = s[1] == 'x' ? 2 : s[1] == 'u' ? 4 : 8;

    if (s[1] >= '0' && s[1] <= '7') {
        size_t i = 1;
        for (*c = 0; i < n && i < 4 && s[i] >= '0' && s[i] <= '7'; i++)
            *c = *c << 3 | (uint32_t)(s[i] - '0');
        return i;
    }
    if (n < 2 + digits || hex(s + 2, digits, c) != 0) return 0;
    return *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000) ? 0 : 2 + digits;
}

/* Python's escapes; an unknown one stands for itself. */
static enum err unescape(struct lexer *x, const char *s, size_t n, struct jinja_token *t)
{
    static const char letters[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
    char *out;
    size_t len = 0;

    TRY(jinja_new(x->r->e, &x->r->memory, &out, n + 1, 1));
    for (size_t i = 0; i < n;) {
        const char *at =
            s[i] == '\\' && i + 1 < n && s[i + 1] != 0 ? strchr(letters, s[i + 1]) : NULL;
        if (at != NULL) {
            out[len++] = values[at - letters];
            i += 2;
        } else if (s[i] == '\\' && i + 1 < n && s[i + 1] == '\n') {
            i += 2;
        } else if (s[i] == '\\' && i + 1 < n && strchr("xuU01234567", s[i + 1]) != NULL) {
            uint32_t c;
            size_t used = escaped_number(s + i, n - i, &c);
            if (used == 0) return jinja_fail(x->r, "an escape that is no character");
            len += utf8_encode(c, (uint8_t *)out + len);
            i += used;
        } else if (s[i] == '\\' && i + 1 < n && s[i + 1] == 'N') {
            return jinja_fail(x->r, "escapes by name (\\N) are not supported");
        } else {
            out[len++] = s[i++];
        }
    }
    t->s = out;
    t->n = len;
    return ERR_OK;
}

static enum err lex_string(struct lexer *x)
{
    char quote = peek(x, 0);
    size_t end = x->at + 1;

    while (end < x->n && x->s[end] != quote) end += x->s[end] == '\\' ? 2 : 1;
    if (end >= x->n) return jinja_fail(x->r, "a string that does not end");
    TRY(add(x, JINJA_T_STRING, NULL, 0));
    TRY(unescape(x, x->s + x->at + 1, end - x->at - 1, &x->tokens[x->count - 1]));
    pass(x, end + 1 - x->at);
    return ERR_OK;
}

/* ------------------------------------------------------------------ numbers and operators */

static size_t digits(const struct lexer *x, size_t from)
{
    size_t n = 0;

    while (is_digit(peek(x, from + n))) n++;
    return n;
}

static enum err lex_number(struct lexer *x)
{
    size_t n = digits(x, 0), more;
    bool real = false, member = x->count > 0 && x->tokens[x->count - 1].type == JINJA_T_OPERATOR &&
                                x->tokens[x->count - 1].s[0] == '.';
    char text[64];

    if (!member && peek(x, n) == '.' && (more = digits(x, n + 1)) > 0) {
        n += 1 + more;
        real = true;
    }
    if (!member && (peek(x, n) == 'e' || peek(x, n) == 'E')) {
        size_t sign = peek(x, n + 1) == '+' || peek(x, n + 1) == '-';
        more = digits(x, n + 1 + sign);
        if (more > 0) n += 1 + sign + more;
        real |= more > 0;
    }
    if (is_name(peek(x, n)) || n >= sizeof text)
        return jinja_fail(x->r, "a number that is not supported");
    memcpy(text, x->s + x->at, n);
    text[n] = 0;
    TRY(add(x, real ? JINJA_T_FLOAT : JINJA_T_INT, x->s + x->at, n));
    errno = 0;
    if (real)
        x->tokens[x->count - 1].d = strtod(text, NULL);
    else
        x->tokens[x->count - 1].i = strtoll(text, NULL, 10);
    if (errno != 0) return jinja_fail(x->r, "number %s is too large", text);
    pass(x, n);
    return ERR_OK;
}

/* Brackets must match, and "}}" within braces are two of them. */
static enum err balance(struct lexer *x, char c)
{
    static const char opening[] = "([{", closing[] = ")]}";

    if (strchr(opening, c) != NULL) {
        if (x->depth == NESTING_LIMIT) return jinja_fail(x->r, "brackets are nested too deep");
        x->open[x->depth++] = closing[strchr(opening, c) - opening];
    } else if (strchr(closing, c) != NULL && (x->depth == 0 || x->open[--x->depth] != c)) {
        return jinja_fail(x->r, "unexpected '%c'", c);
    }
    return ERR_OK;
}

static enum err lex_operator(struct lexer *x)
{
    static const char *const two[] = {"//", "**", "==", "!=", ">=", "<="};
    char c = peek(x, 0);
    size_t n = 1;

    for (size_t i = 0; i < ARRAY_LEN(two); i++)
        if (c == two[i][0] && peek(x, 1) == two[i][1]) n = 2;
    if (n == 1 && (c == 0 || strchr("+-*/%~[](){}<>=.:|,", c) == NULL))
        return jinja_fail(x->r, "unexpected character '%c'", c < ' ' ? '?' : c);
    TRY(balance(x, c));
    TRY(add(x, JINJA_T_OPERATOR, x->s + x->at, n));
    pass(x, n);
    return ERR_OK;
}

/* What stands between the marks of a tag, and its end. */
static enum err lex_tag(struct lexer *x, bool block)
{
    const char *end = block ? "%}" : "}}";
    int line = x->r->line;

    for (;;) {
        pass_spaces(x);
        if (x->at >= x->n) {
            x->r->line = line;
            return jinja_fail(x->r, "%s that does not end", block ? "{%" : "{{");
        }
        size_t sign = peek(x, 0) == '-' || (peek(x, 0) == '+' && block);
        if (x->depth == 0 && peek(x, sign) == end[0] && peek(x, sign + 1) == end[1]) {
            TRY(add(x, block ? JINJA_T_BLOCK_END : JINJA_T_PRINT_END, NULL, 0));
            pass_end(x, block);
            return ERR_OK;
        }
        char c = peek(x, 0);
        if (is_digit(c)) {
            TRY(lex_number(x));
        } else if (is_name(c)) {
            size_t n = 1;
            while (is_name(peek(x, n))) n++;
            TRY(add(x, JINJA_T_NAME, x->s + x->at, n));
            pass(x, n);
        } else {
            TRY(c == '\'' || c == '"' ? lex_string(x) : lex_operator(x));
        }
    }
}

enum err jinja_lex(struct jinja_run *r, const char *source, size_t n, struct jinja_token **out)
{
    struct lexer x = {.r = r, .line_starting = true};
    char *text, kind = 0;

    r->line = 1;
    TRY(jinja_new(r->e, &r->memory, &text, n + 1, 1));
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
        text[x.n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (x.n > 0 && text[x.n - 1] == '\n') x.n--;
    x.s = text;
    while (x.at < x.n) {
        TRY(lex_data(&x, &kind));
        if (kind == '{' || kind == '%') TRY(lex_tag(&x, kind == '%'));
    }
    TRY(add(&x, JINJA_T_EOF, NULL, 0));
    *out = x.tokens;
    return ERR_OK;
}
