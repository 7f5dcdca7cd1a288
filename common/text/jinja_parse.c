/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_parse.c: see jinja_parse.h. A function for each level of precedence, as in Jinja 3.1:
 *
 *   b if a else c > or > and > not > comparisons > + - > ~ > * / // % > ** > - + (unary)
 *   > .name [item] (call) > |filter is-test */
#include "common/text/jinja_parse.h"
#include <stdio.h>
#include <string.h>
#include "common/text/jinja_filters.h"
#include "common/text/jinja_tests.h"
#include "common/text/jinja_lex.h"

enum { PARSE_DEPTH = 200 };

struct parser {
    struct jinja_run *r;
    const struct jinja_token *t; /* the next one */
    int depth, loops;
};

static enum err expression(struct parser *p, struct jinja_node **out);
static enum err statements(struct parser *p, const char *const *ends, struct jinja_node **out);

static bool token_is(const struct jinja_token *t, enum jinja_token_type type, const char *text)
{
    return t->type == type && strlen(text) == t->n && memcmp(t->s, text, t->n) == 0;
}

static bool at_operator(const struct parser *p, const char *text)
{
    return token_is(p->t, JINJA_T_OPERATOR, text);
}

static bool at_word(const struct parser *p, const char *text)
{
    return token_is(p->t, JINJA_T_NAME, text);
}

static void advance(struct parser *p)
{
    p->t++;
    p->r->line = p->t->line;
}

static bool take_operator(struct parser *p, const char *text)
{
    if (!at_operator(p, text)) return false;
    advance(p);
    return true;
}

static bool take_word(struct parser *p, const char *text)
{
    if (!at_word(p, text)) return false;
    advance(p);
    return true;
}

static enum err unexpected(struct parser *p, const char *wanted)
{
    static const char *const names[] = {
        "text",     "{{",       "the end of {{ }}", "{%", "the end of {% %}",       "name",
        "a string", "a number", "a number",         "",   "the end of the template"};
    const struct jinja_token *t = p->t;

    p->r->line = t->line;
    if (t->type == JINJA_T_NAME || t->type == JINJA_T_OPERATOR)
        return jinja_fail(p->r, "'%.*s' where %s should be", (int)(t->n < 40 ? t->n : 40), t->s,
                          wanted);
    return jinja_fail(p->r, "%s where %s should be", names[t->type], wanted);
}

static enum err expect_operator(struct parser *p, const char *text)
{
    char wanted[8];

    if (take_operator(p, text)) return ERR_OK;
    snprintf(wanted, sizeof wanted, "'%s'", text);
    return unexpected(p, wanted);
}

static enum err node_new(struct parser *p, enum jinja_node_type type, struct jinja_node **out)
{
    TRY(jinja_new(p->r->e, &p->r->memory, out, 1, sizeof **out));
    (*out)->type = type;
    (*out)->line = p->t->line;
    return ERR_OK;
}

/* A node over what is in *out. */
static enum err node_over(struct parser *p, enum jinja_node_type type, struct jinja_node **out)
{
    struct jinja_node *under = *out;

    TRY(node_new(p, type, out));
    (*out)->a = under;
    return ERR_OK;
}

static enum err copy_name(struct parser *p, const char **out)
{
    char *name;

    if (p->t->type != JINJA_T_NAME) return unexpected(p, "a name");
    TRY(jinja_new(p->r->e, &p->r->memory, &name, p->t->n + 1, 1));
    memcpy(name, p->t->s, p->t->n);
    *out = name;
    advance(p);
    return ERR_OK;
}

static enum err constant(struct parser *p, struct jinja_value v, struct jinja_node **out)
{
    TRY(node_new(p, JINJA_N_CONST, out));
    (*out)->value = v;
    return ERR_OK;
}

/* ------------------------------------------------------------------ expressions */

/* Expressions between commas, up to the closing bracket, which is taken. */
static enum err list_until(struct parser *p, const char *close, struct jinja_node **out)
{
    for (struct jinja_node **last = out; !take_operator(p, close); last = &(*last)->next) {
        if (last != out) {
            TRY(expect_operator(p, ","));
            if (take_operator(p, close)) break;
        }
        TRY(expression(p, last));
    }
    return ERR_OK;
}

static enum err dict_display(struct parser *p, struct jinja_node **out)
{
    struct jinja_node **last;

    TRY(node_new(p, JINJA_N_DICT, out));
    last = &(*out)->args;
    while (!take_operator(p, "}")) {
        if (last != &(*out)->args) {
            TRY(expect_operator(p, ","));
            if (take_operator(p, "}")) break;
        }
        TRY(expression(p, last));
        TRY(expect_operator(p, ":"));
        last = &(*last)->next;
        TRY(expression(p, last));
        last = &(*last)->next;
    }
    return ERR_OK;
}

/* ( ) around an expression, or a tuple. */
static enum err parentheses(struct parser *p, struct jinja_node **out)
{
    struct jinja_node *first = NULL, *rest = NULL;

    if (take_operator(p, ")")) return node_new(p, JINJA_N_TUPLE, out);
    TRY(expression(p, &first));
    *out = first;
    if (take_operator(p, ")")) return ERR_OK;
    TRY(expect_operator(p, ","));
    TRY(list_until(p, ")", &rest));
    TRY(node_new(p, JINJA_N_TUPLE, out));
    first->next = rest;
    (*out)->args = first;
    return ERR_OK;
}

static enum err string_literal(struct parser *p, struct jinja_node **out)
{
    struct jinja_builder b = {0};
    struct jinja_value v;

    for (; p->t->type == JINJA_T_STRING; advance(p))
        TRY(jinja_put(p->r, &b, p->t->s, NULL, p->t->n));
    TRY(jinja_built(p->r, &b, &v));
    return constant(p, v, out);
}

static enum err name_or_constant(struct parser *p, struct jinja_node **out)
{
    if (take_word(p, "true") || take_word(p, "True")) return constant(p, JINJA_TRUTH(true), out);
    if (take_word(p, "false") || take_word(p, "False")) return constant(p, JINJA_TRUTH(false), out);
    if (take_word(p, "none") || take_word(p, "None"))
        return constant(p, JINJA_VALUE(JINJA_NONE), out);
    TRY(node_new(p, JINJA_N_NAME, out));
    return copy_name(p, &(*out)->text);
}

static enum err primary(struct parser *p, struct jinja_node **out)
{
    const struct jinja_token *t = p->t;

    if (t->type == JINJA_T_NAME) return name_or_constant(p, out);
    if (t->type == JINJA_T_STRING) return string_literal(p, out);
    if (t->type == JINJA_T_INT || t->type == JINJA_T_FLOAT) {
        advance(p);
        return constant(p,
                        t->type == JINJA_T_INT
                            ? JINJA_NUMBER(t->i)
                            : (struct jinja_value){.type = JINJA_FLOAT, .as.d = t->d},
                        out);
    }
    if (take_operator(p, "(")) return parentheses(p, out);
    if (take_operator(p, "{")) return dict_display(p, out);
    if (!take_operator(p, "[")) return unexpected(p, "an expression");
    TRY(node_new(p, JINJA_N_LIST, out));
    return list_until(p, "]", &(*out)->args);
}

/* Arguments up to ")", which is taken: expressions, then name=expression. */
static enum err arguments(struct parser *p, struct jinja_node **out)
{
    for (struct jinja_node **last = out; !take_operator(p, ")"); last = &(*last)->next) {
        const char *name = NULL;
        if (last != out) {
            TRY(expect_operator(p, ","));
            if (take_operator(p, ")")) break;
        }
        if (at_operator(p, "*") || at_operator(p, "**"))
            return jinja_fail(p->r, "arguments by * are not supported");
        if (p->t->type == JINJA_T_NAME && token_is(p->t + 1, JINJA_T_OPERATOR, "=")) {
            TRY(copy_name(p, &name));
            advance(p);
        }
        TRY(expression(p, last));
        if (name != NULL) { /* over it, as the node may be a name itself */
            TRY(node_over(p, JINJA_N_PLUS, last));
            (*last)->op = 1;
            (*last)->text = name;
        }
    }
    return ERR_OK;
}

/* [ ] behind an expression. */
static enum err subscript(struct parser *p, struct jinja_node **out)
{
    struct jinja_node *parts[3] = {NULL, NULL, NULL};
    int n = 0;

    for (; n < 3; n++) {
        if (!at_operator(p, ":") && !at_operator(p, "]")) TRY(expression(p, &parts[n]));
        if (!take_operator(p, ":")) break;
    }
    TRY(expect_operator(p, "]"));
    if (n == 0) {
        if (parts[0] == NULL) return jinja_fail(p->r, "[] with nothing in it");
        TRY(node_over(p, JINJA_N_ITEM, out));
        (*out)->b = parts[0];
        return ERR_OK;
    }
    TRY(node_over(p, JINJA_N_SLICE, out));
    (*out)->b = parts[0];
    (*out)->c = parts[1];
    (*out)->other = parts[2];
    return ERR_OK;
}

static enum err postfix(struct parser *p, struct jinja_node **out)
{
    for (;;) {
        if (take_operator(p, ".")) {
            TRY(node_over(p, JINJA_N_MEMBER, out));
            if (p->t->type == JINJA_T_INT) {
                struct jinja_node *index;
                TRY(constant(p, JINJA_NUMBER(p->t->i), &index));
                (*out)->type = JINJA_N_ITEM;
                (*out)->b = index;
                advance(p);
            } else {
                TRY(copy_name(p, &(*out)->text));
            }
        } else if (take_operator(p, "[")) {
            TRY(subscript(p, out));
        } else if (take_operator(p, "(")) {
            TRY(node_over(p, JINJA_N_CALL, out));
            TRY(arguments(p, &(*out)->args));
        } else {
            return ERR_OK;
        }
    }
}

static bool begins_argument(const struct parser *p)
{
    if (p->t->type == JINJA_T_NAME)
        return !at_word(p, "else") && !at_word(p, "or") && !at_word(p, "and") && !at_word(p, "is");
    return p->t->type == JINJA_T_STRING || p->t->type == JINJA_T_INT ||
           p->t->type == JINJA_T_FLOAT || at_operator(p, "[") || at_operator(p, "{");
}

static enum err test(struct parser *p, struct jinja_node **out)
{
    bool negated = take_word(p, "not");
    const char *name;

    TRY(node_over(p, JINJA_N_TEST, out));
    TRY(copy_name(p, &name));
    (*out)->op = jinja_test_find(name);
    if (strcmp(name, "in") != 0 && (*out)->op < 0)
        return jinja_fail(p->r, "test '%s' is not supported", name);
    if (take_operator(p, "(")) {
        TRY(arguments(p, &(*out)->args));
    } else if (begins_argument(p)) {
        TRY(primary(p, &(*out)->args));
        TRY(postfix(p, &(*out)->args));
    }
    if (at_word(p, "is")) return jinja_fail(p->r, "'is' twice");
    return negated ? node_over(p, JINJA_N_NOT, out) : ERR_OK;
}

static enum err filters(struct parser *p, struct jinja_node **out)
{
    for (;;) {
        if (take_operator(p, "|")) {
            const char *name;
            TRY(node_over(p, JINJA_N_FILTER, out));
            TRY(copy_name(p, &name));
            (*out)->op = jinja_filter_find(name);
            if ((*out)->op < 0) return jinja_fail(p->r, "filter '%s' is not supported", name);
            if (take_operator(p, "(")) TRY(arguments(p, &(*out)->args));
        } else if (take_word(p, "is")) {
            TRY(test(p, out));
        } else if (take_operator(p, "(")) {
            TRY(node_over(p, JINJA_N_CALL, out));
            TRY(arguments(p, &(*out)->args));
        } else {
            return ERR_OK;
        }
    }
}

static enum err unary(struct parser *p, bool with_filters, struct jinja_node **out)
{
    if (++p->depth > PARSE_DEPTH) return jinja_fail(p->r, "expressions are nested too deep");
    if (take_operator(p, "-")) {
        TRY(unary(p, false, out));
        TRY(node_over(p, JINJA_N_NEGATE, out));
    } else if (take_operator(p, "+")) {
        TRY(unary(p, false, out));
        TRY(node_over(p, JINJA_N_PLUS, out));
    } else {
        TRY(primary(p, out));
    }
    TRY(postfix(p, out));
    if (with_filters) TRY(filters(p, out));
    p->depth--;
    return ERR_OK;
}

/* Levels of operators that join two sides from left to right. */
static const struct level {
    const char *operators[4];
    enum jinja_node_type types[4];
} levels[] = {
    {{"+", "-"}, {JINJA_N_ADD, JINJA_N_SUB}},
    {{"~"}, {JINJA_N_CONCAT}},
    {{"*", "/", "//", "%"}, {JINJA_N_MUL, JINJA_N_DIV, JINJA_N_FLOOR, JINJA_N_MOD}},
    {{"**"}, {JINJA_N_POW}},
};

static enum err arithmetic(struct parser *p, size_t level, struct jinja_node **out)
{
    if (level == ARRAY_LEN(levels)) return unary(p, true, out);
    TRY(arithmetic(p, level + 1, out));
    for (size_t i = 0; i < 4;) {
        const char *operator= levels[level].operators[i];
        if (operator== NULL) break;
        if (!take_operator(p, operator)) {
            i++;
            continue;
        }
        TRY(node_over(p, levels[level].types[i], out));
        TRY(arithmetic(p, level + 1, &(*out)->b));
        i = 0;
    }
    return ERR_OK;
}

static int take_comparison(struct parser *p)
{
    static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};

    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (take_operator(p, operators[i])) return JINJA_EQ + (int)i;
    if (take_word(p, "in")) return JINJA_IN;
    if (at_word(p, "not") && token_is(p->t + 1, JINJA_T_NAME, "in")) {
        advance(p);
        advance(p);
        return JINJA_NOT_IN;
    }
    return 0;
}

static enum err comparison(struct parser *p, struct jinja_node **out)
{
    struct jinja_node **last;
    int op;

    TRY(arithmetic(p, 0, out));
    op = take_comparison(p);
    if (op == 0) return ERR_OK;
    TRY(node_over(p, JINJA_N_COMPARE, out));
    for (last = &(*out)->args; op != 0; op = take_comparison(p)) {
        TRY(arithmetic(p, 0, last));
        TRY(node_over(p, JINJA_N_PLUS, last)); /* carries the operator */
        (*last)->op = op;
        last = &(*last)->next;
    }
    return ERR_OK;
}

static enum err negation(struct parser *p, struct jinja_node **out)
{
    if (!take_word(p, "not")) return comparison(p, out);
    if (++p->depth > PARSE_DEPTH) return jinja_fail(p->r, "expressions are nested too deep");
    TRY(negation(p, out));
    p->depth--;
    return node_over(p, JINJA_N_NOT, out);
}

static enum err conjunction(struct parser *p, struct jinja_node **out)
{
    TRY(negation(p, out));
    while (take_word(p, "and")) {
        TRY(node_over(p, JINJA_N_AND, out));
        TRY(negation(p, &(*out)->b));
    }
    return ERR_OK;
}

static enum err disjunction(struct parser *p, struct jinja_node **out)
{
    TRY(conjunction(p, out));
    while (take_word(p, "or")) {
        TRY(node_over(p, JINJA_N_OR, out));
        TRY(conjunction(p, &(*out)->b));
    }
    return ERR_OK;
}

static enum err expression(struct parser *p, struct jinja_node **out)
{
    if (++p->depth > PARSE_DEPTH) return jinja_fail(p->r, "expressions are nested too deep");
    TRY(disjunction(p, out));
    while (take_word(p, "if")) {
        struct jinja_node *condition = NULL, *other = NULL, *value = *out;
        TRY(disjunction(p, &condition));
        if (take_word(p, "else")) TRY(expression(p, &other));
        TRY(node_new(p, JINJA_N_CONDITION, out));
        (*out)->a = condition;
        (*out)->b = value;
        (*out)->c = other;
    }
    p->depth--;
    return ERR_OK;
}

/* An expression, or some between commas: a tuple. */
static enum err expressions(struct parser *p, struct jinja_node **out)
{
    struct jinja_node *first, **last;

    TRY(expression(p, out));
    if (!at_operator(p, ",")) return ERR_OK;
    first = *out;
    last = &first->next;
    while (take_operator(p, ",")) {
        if (p->t->type == JINJA_T_BLOCK_END || p->t->type == JINJA_T_PRINT_END) break;
        TRY(expression(p, last));
        last = &(*last)->next;
    }
    TRY(node_new(p, JINJA_N_TUPLE, out));
    (*out)->args = first;
    return ERR_OK;
}

/* ------------------------------------------------------------------ statements */

static enum err block_end(struct parser *p)
{
    if (p->t->type != JINJA_T_BLOCK_END) return unexpected(p, "the end of the block");
    advance(p);
    return ERR_OK;
}

/* Names between commas, within parentheses or not. */
static enum err targets(struct parser *p, struct jinja_node **out)
{
    bool around = take_operator(p, "(");

    for (struct jinja_node **last = out;; last = &(*last)->next) {
        TRY(node_new(p, JINJA_N_NAME, last));
        TRY(copy_name(p, &(*last)->text));
        if (!take_operator(p, ",")) break;
    }
    return around ? expect_operator(p, ")") : ERR_OK;
}

static enum err parse_if(struct parser *p, struct jinja_node **out)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    struct jinja_node **at = out;

    for (;;) {
        TRY(node_new(p, JINJA_N_IF, at));
        TRY(expression(p, &(*at)->a));
        TRY(block_end(p));
        TRY(statements(p, ends, &(*at)->body));
        if (!take_word(p, "elif")) break;
        at = &(*at)->other;
    }
    if (take_word(p, "else")) {
        TRY(block_end(p));
        TRY(statements(p, last, &(*at)->other));
    }
    advance(p);
    return block_end(p);
}

static enum err parse_for(struct parser *p, struct jinja_node **out)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};

    TRY(node_new(p, JINJA_N_FOR, out));
    TRY(targets(p, &(*out)->args));
    if (!take_word(p, "in")) return unexpected(p, "'in'");
    TRY(disjunction(p, &(*out)->a));
    if (take_word(p, "if")) TRY(expression(p, &(*out)->b));
    if (at_word(p, "recursive")) return jinja_fail(p->r, "recursive loops are not supported");
    TRY(block_end(p));
    p->loops++;
    TRY(statements(p, ends, &(*out)->body));
    p->loops--;
    if (take_word(p, "else")) {
        TRY(block_end(p));
        TRY(statements(p, last, &(*out)->other));
    }
    advance(p);
    return block_end(p);
}

static enum err parse_set(struct parser *p, struct jinja_node **out)
{
    static const char *const ends[] = {"endset", NULL};

    TRY(node_new(p, JINJA_N_SET, out));
    if (p->t->type == JINJA_T_NAME && token_is(p->t + 1, JINJA_T_OPERATOR, ".")) {
        (*out)->type = JINJA_N_SET_MEMBER;
        TRY(node_new(p, JINJA_N_NAME, &(*out)->args));
        TRY(copy_name(p, &(*out)->args->text));
        advance(p);
        TRY(copy_name(p, &(*out)->text));
    } else {
        TRY(targets(p, &(*out)->args));
    }
    if (take_operator(p, "=")) {
        TRY(expressions(p, &(*out)->a));
        return block_end(p);
    }
    if ((*out)->type != JINJA_N_SET || (*out)->args->next != NULL) return unexpected(p, "'='");
    (*out)->type = JINJA_N_SET_BLOCK;
    if (at_operator(p, "|")) return jinja_fail(p->r, "a filter of a set block is not supported");
    TRY(block_end(p));
    TRY(statements(p, ends, &(*out)->body));
    advance(p);
    return block_end(p);
}

static enum err parse_macro(struct parser *p, struct jinja_node **out)
{
    static const char *const ends[] = {"endmacro", NULL};
    int loops = p->loops;

    TRY(node_new(p, JINJA_N_MACRO, out));
    TRY(copy_name(p, &(*out)->text));
    TRY(expect_operator(p, "("));
    for (struct jinja_node **last = &(*out)->args; !take_operator(p, ")"); last = &(*last)->next) {
        if (last != &(*out)->args) TRY(expect_operator(p, ","));
        TRY(node_new(p, JINJA_N_NAME, last));
        TRY(copy_name(p, &(*last)->text));
        if (take_operator(p, "=")) TRY(expression(p, &(*last)->a));
    }
    TRY(block_end(p));
    p->loops = 0;
    TRY(statements(p, ends, &(*out)->body));
    p->loops = loops;
    advance(p);
    return block_end(p);
}

static enum err parse_generation(struct parser *p, struct jinja_node **out)
{
    static const char *const ends[] = {"endgeneration", NULL};

    TRY(node_new(p, JINJA_N_GENERATION, out));
    TRY(block_end(p));
    TRY(statements(p, ends, &(*out)->body));
    advance(p);
    return block_end(p);
}

static enum err parse_jump(struct parser *p, enum jinja_node_type type, struct jinja_node **out)
{
    if (p->loops == 0) return jinja_fail(p->r, "break or continue outside a loop");
    TRY(node_new(p, type, out));
    return block_end(p);
}

static enum err block(struct parser *p, struct jinja_node **out)
{
    if (take_word(p, "if")) return parse_if(p, out);
    if (take_word(p, "for")) return parse_for(p, out);
    if (take_word(p, "set")) return parse_set(p, out);
    if (take_word(p, "macro")) return parse_macro(p, out);
    if (take_word(p, "generation")) return parse_generation(p, out);
    if (take_word(p, "break")) return parse_jump(p, JINJA_N_BREAK, out);
    if (take_word(p, "continue")) return parse_jump(p, JINJA_N_CONTINUE, out);
    if (p->t->type != JINJA_T_NAME) return unexpected(p, "the name of a block");
    return jinja_fail(p->r, "block '%.*s' is not supported", (int)(p->t->n < 40 ? p->t->n : 40),
                      p->t->s);
}

static bool at_end(const struct parser *p, const char *const *ends)
{
    for (; ends != NULL && *ends != NULL; ends++)
        if (at_word(p, *ends)) return true;
    return false;
}

/* Statements up to a block of one of these names, which is next; of the whole template when there
 * are none. */
static enum err statements(struct parser *p, const char *const *ends, struct jinja_node **out)
{
    if (++p->depth > PARSE_DEPTH) return jinja_fail(p->r, "blocks are nested too deep");
    for (struct jinja_node **last = out; p->t->type != JINJA_T_EOF; last = &(*last)->next) {
        const struct jinja_token *t = p->t;
        p->r->line = t->line;
        advance(p);
        if (t->type == JINJA_T_DATA) {
            TRY(node_new(p, JINJA_N_DATA, last));
            TRY(jinja_string_view(p->r, t->s, NULL, t->n, &(*last)->value));
        } else if (t->type == JINJA_T_PRINT) {
            TRY(node_new(p, JINJA_N_PRINT, last));
            TRY(expressions(p, &(*last)->a));
            if (p->t->type != JINJA_T_PRINT_END) return unexpected(p, "'}}'");
            advance(p);
        } else if (at_end(p, ends)) {
            p->depth--;
            return ERR_OK;
        } else {
            TRY(block(p, last));
        }
    }
    p->depth--;
    return ends == NULL ? ERR_OK : jinja_fail(p->r, "the template ends before '%s'", ends[0]);
}

enum err jinja_parse(struct jinja_run *r, const char *source, size_t n, struct jinja_node **root)
{
    struct jinja_token *tokens;
    struct parser p = {.r = r};

    *root = NULL;
    TRY(jinja_lex(r, source, n, &tokens));
    p.t = tokens;
    return statements(&p, NULL, root);
}
