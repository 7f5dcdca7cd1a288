/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_eval.c: see jinja_eval.h. Names live in scopes: the template's own, one of each turn of a
 * loop, one of each call of a macro; `set` writes to the innermost, a name is looked up outwards.
 */
#include "common/text/jinja_eval.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "common/text/jinja_filters.h"

enum { EVAL_DEPTH = 400, RANGE_LIMIT = 100000 };

struct variable {
    const char *name;
    struct jinja_value value;
    struct variable *next;
};
struct scope {
    struct scope *outer;
    struct variable *variables;
};
struct jinja_macro {
    const struct jinja_node *node;
    struct scope *scope; /* where it was defined */
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct machine {
    struct jinja_run *r;
    struct scope *scope;
    const struct jinja_list *globals;
    struct jinja_builder *text, *main; /* what is written to */
    enum flow flow;
    struct chat_span *spans;
    size_t spans_count, spans_capacity;
};

enum function { FN_METHOD, FN_RANGE, FN_NAMESPACE, FN_RAISE, FN_STRFTIME, FN_DICT, FN_COUNT };
static const char *const functions[FN_COUNT] = {
    "", "range", "namespace", "raise_exception", "strftime_now", "dict"};

static enum err eval(struct machine *m, const struct jinja_node *n, struct jinja_value *out);
static enum err run(struct machine *m, const struct jinja_node *n);

/* ------------------------------------------------------------------ names */

static enum err scope_new(struct machine *m, struct scope *outer, struct scope **out)
{
    TRY(jinja_new(m->r->e, &m->r->memory, out, 1, sizeof **out));
    (*out)->outer = outer;
    return ERR_OK;
}

static struct variable *find_in(const struct scope *s, const char *name)
{
    struct variable *v = s->variables;

    while (v != NULL && strcmp(v->name, name) != 0) v = v->next;
    return v;
}

static enum err assign(struct machine *m, const char *name, struct jinja_value value)
{
    struct variable *v = find_in(m->scope, name);

    if (v == NULL) {
        TRY(jinja_new(m->r->e, &m->r->memory, &v, 1, sizeof *v));
        v->name = name;
        v->next = m->scope->variables;
        m->scope->variables = v;
    }
    v->value = value;
    return ERR_OK;
}

static enum err look_up(struct machine *m, const char *name, struct jinja_value *out)
{
    struct jinja_string *undefined;
    const struct jinja_value *global;

    for (const struct scope *s = m->scope; s != NULL; s = s->outer) {
        const struct variable *v = find_in(s, name);
        if (v == NULL) continue;
        *out = v->value;
        return ERR_OK;
    }
    global = jinja_dict_find(m->globals, name, strlen(name));
    if (global != NULL) {
        *out = *global;
        return ERR_OK;
    }
    for (int i = FN_METHOD + 1; i < FN_COUNT; i++)
        if (strcmp(functions[i], name) == 0 && (i != FN_STRFTIME || m->r->today != NULL)) {
            *out = (struct jinja_value){.type = JINJA_FUNCTION, .as.function = i};
            return ERR_OK;
        }
    TRY(jinja_new(m->r->e, &m->r->memory, &undefined, 1, sizeof *undefined));
    *undefined = (struct jinja_string){name, NULL, strlen(name)};
    *out = (struct jinja_value){.type = JINJA_UNDEFINED, .as.s = undefined};
    return ERR_OK;
}

static enum err no_undefined(struct machine *m, const struct jinja_value *v)
{
    if (v->type != JINJA_UNDEFINED) return ERR_OK;
    return v->as.s == NULL ? jinja_fail(m->r, "a value is undefined")
                           : jinja_fail(m->r, "'%s' is undefined", v->as.s->s);
}

/* One value to one name, or a list's items to as many. */
static enum err unpack(struct machine *m, const struct jinja_node *targets, struct jinja_value v)
{
    struct jinja_value items;
    size_t n = 0;

    if (targets->next == NULL) return assign(m, targets->text, v);
    TRY(jinja_items(m->r, &v, &items));
    for (const struct jinja_node *t = targets; t != NULL; t = t->next, n++)
        if (n < items.as.list->count) TRY(assign(m, t->text, items.as.list->items[n]));
    if (n != items.as.list->count)
        return jinja_fail(m->r, "%zu values for %zu names", items.as.list->count, n);
    return ERR_OK;
}

/* ------------------------------------------------------------------ arithmetic */

static enum err repeat(struct machine *m, const struct jinja_value *v, const struct jinja_value *n,
                       struct jinja_value *out)
{
    struct jinja_builder b = {0};

    for (int64_t i = 0; i < n->as.i; i++) {
        TRY(jinja_spend(m->r, 0));
        TRY(jinja_print(m->r, v, &b));
    }
    return jinja_built(m->r, &b, out);
}

static enum err add_lists(struct machine *m, const struct jinja_value *a,
                          const struct jinja_value *b, struct jinja_value *out)
{
    TRY(jinja_list_new(m->r, a->type, out));
    for (size_t i = 0; i < a->as.list->count; i++)
        TRY(jinja_list_add(m->r, out->as.list, a->as.list->items[i]));
    for (size_t i = 0; i < b->as.list->count; i++)
        TRY(jinja_list_add(m->r, out->as.list, b->as.list->items[i]));
    return ERR_OK;
}

static enum err concatenate(struct machine *m, const struct jinja_value *a,
                            const struct jinja_value *b, struct jinja_value *out)
{
    struct jinja_builder made = {0};

    TRY(jinja_print(m->r, a, &made));
    TRY(jinja_print(m->r, b, &made));
    return jinja_built(m->r, &made, out);
}

static enum err real_arithmetic(struct machine *m, enum jinja_node_type op, double a, double b,
                                struct jinja_value *out)
{
    double x = 0;

    if ((op == JINJA_N_DIV || op == JINJA_N_FLOOR || op == JINJA_N_MOD) && b == 0)
        return jinja_fail(m->r, "division by zero");
    switch (op) {
    case JINJA_N_ADD:
        x = a + b;
        break;
    case JINJA_N_SUB:
        x = a - b;
        break;
    case JINJA_N_MUL:
        x = a * b;
        break;
    case JINJA_N_DIV:
        x = a / b;
        break;
    case JINJA_N_FLOOR:
        x = floor(a / b);
        break;
    case JINJA_N_MOD:
        x = fmod(a, b);
        if (x != 0 && (x < 0) != (b < 0)) x += b;
        break;
    default:
        x = pow(a, b);
        break;
    }
    if (!isfinite(x)) return jinja_fail(m->r, "a number that is too large");
    *out = (struct jinja_value){.type = JINJA_FLOAT, .as.d = x};
    return ERR_OK;
}

static enum err whole_arithmetic(struct machine *m, enum jinja_node_type op, int64_t a, int64_t b,
                                 struct jinja_value *out)
{
    bool over = false;
    int64_t x = 0;

    if (op == JINJA_N_DIV || (op == JINJA_N_POW && b < 0))
        return real_arithmetic(m, op, (double)a, (double)b, out);
    if ((op == JINJA_N_FLOOR || op == JINJA_N_MOD) && b == 0)
        return jinja_fail(m->r, "division by zero");
    switch (op) {
    case JINJA_N_ADD:
        over = __builtin_add_overflow(a, b, &x);
        break;
    case JINJA_N_SUB:
        over = __builtin_sub_overflow(a, b, &x);
        break;
    case JINJA_N_MUL:
        over = __builtin_mul_overflow(a, b, &x);
        break;
    case JINJA_N_FLOOR:
        over = b == -1 && a == INT64_MIN;
        if (!over) x = a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    case JINJA_N_MOD:
        x = b == -1 ? 0 : a % b;
        if (x != 0 && (x < 0) != (b < 0)) x += b;
        break;
    default:
        x = 1;
        if (b > 64 && a != 0 && a != 1 && a != -1) over = true;
        for (int64_t i = 0; i < (b > 64 ? 64 + b % 2 : b) && !over; i++)
            over = __builtin_mul_overflow(x, a, &x);
        break;
    }
    *out = JINJA_NUMBER(x);
    return over ? jinja_fail(m->r, "a number that is too large") : ERR_OK;
}

static enum err arithmetic(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};
    struct jinja_value a, b;

    TRY(eval(m, n->a, &a));
    TRY(eval(m, n->b, &b));
    m->r->line = n->line;
    TRY(no_undefined(m, &a));
    TRY(no_undefined(m, &b));
    if (jinja_is_number(&a) && jinja_is_number(&b)) {
        if (a.type == JINJA_FLOAT || b.type == JINJA_FLOAT)
            return real_arithmetic(m, n->type, jinja_real(&a), jinja_real(&b), out);
        return whole_arithmetic(m, n->type, a.type == JINJA_BOOL ? a.as.b : a.as.i,
                                b.type == JINJA_BOOL ? b.as.b : b.as.i, out);
    }
    if (n->type == JINJA_N_ADD && a.type == b.type) {
        if (a.type == JINJA_STRING) return concatenate(m, &a, &b, out);
        if (a.type == JINJA_LIST || a.type == JINJA_TUPLE) return add_lists(m, &a, &b, out);
    }
    if (n->type == JINJA_N_MUL && a.type == JINJA_STRING && b.type == JINJA_INT)
        return repeat(m, &a, &b, out);
    return jinja_fail(m->r, "%s %s %s is not supported", jinja_type_name(&a),
                      names[n->type - JINJA_N_ADD], jinja_type_name(&b));
}

static enum err negate(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value zero = JINJA_NUMBER(0), v;

    TRY(eval(m, n->a, &v));
    m->r->line = n->line;
    if (!jinja_is_number(&v)) return jinja_fail(m->r, "- of %s", jinja_type_name(&v));
    if (v.type == JINJA_FLOAT) {
        *out = v;
        out->as.d = n->type == JINJA_N_NEGATE ? -v.as.d : v.as.d;
        return ERR_OK;
    }
    return whole_arithmetic(m, n->type == JINJA_N_NEGATE ? JINJA_N_SUB : JINJA_N_ADD, zero.as.i,
                            v.type == JINJA_BOOL ? v.as.b : v.as.i, out);
}

static enum err compare(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value left, right;
    bool holds = true;

    TRY(eval(m, n->a, &left));
    for (const struct jinja_node *x = n->args; x != NULL && holds; x = x->next) {
        int order = 0;
        TRY(eval(m, x->a, &right));
        m->r->line = n->line;
        if (x->op == JINJA_IN || x->op == JINJA_NOT_IN) {
            TRY(jinja_contains(m->r, &right, &left, &holds));
            holds ^= x->op == JINJA_NOT_IN;
        } else if (x->op == JINJA_EQ || x->op == JINJA_NE) {
            TRY(jinja_equal(m->r, &left, &right, &holds));
            holds ^= x->op == JINJA_NE;
        } else {
            TRY(no_undefined(m, &left));
            TRY(no_undefined(m, &right));
            TRY(jinja_compare(m->r, &left, &right, &order));
            holds = x->op == JINJA_LT   ? order < 0
                    : x->op == JINJA_LE ? order <= 0
                    : x->op == JINJA_GT ? order > 0
                                        : order >= 0;
        }
        left = right;
    }
    *out = JINJA_TRUTH(holds);
    return ERR_OK;
}

/* ------------------------------------------------------------------ calls */

static enum err arguments(struct machine *m, const struct jinja_node *list, struct jinja_args *out)
{
    size_t n = 0;

    for (const struct jinja_node *x = list; x != NULL; x = x->next) n++;
    *out = (struct jinja_args){.count = n};
    TRY(jinja_new(m->r->e, &m->r->memory, &out->values, n, sizeof *out->values));
    TRY(jinja_new(m->r->e, &m->r->memory, &out->names, n, sizeof *out->names));
    n = 0;
    for (const struct jinja_node *x = list; x != NULL; x = x->next, n++) {
        bool has_name = x->type == JINJA_N_PLUS && x->op == 1;
        if (has_name) out->names[n] = x->text;
        TRY(eval(m, has_name ? x->a : x, &out->values[n]));
    }
    return ERR_OK;
}

/* Runs statements with a text of their own. */
static enum err capture(struct machine *m, const struct jinja_node *body, struct jinja_value *out)
{
    struct jinja_builder own = {0}, *outer = m->text;
    enum err code;

    m->text = &own;
    code = run(m, body);
    m->text = outer;
    return code == ERR_OK ? jinja_built(m->r, &own, out) : code;
}

static enum err bind_parameters(struct machine *m, const struct jinja_macro *macro,
                                const struct jinja_args *args)
{
    size_t place = 0, used = 0;

    for (const struct jinja_node *p = macro->node->args; p != NULL; p = p->next, place++) {
        struct jinja_value v = JINJA_VALUE(JINJA_UNDEFINED);
        bool given = false;
        for (size_t i = 0; i < args->count; i++) {
            if (args->names[i] == NULL ? i != place : strcmp(args->names[i], p->text) != 0)
                continue;
            v = args->values[i];
            given = true;
            used++;
        }
        if (!given && p->a != NULL) TRY(eval(m, p->a, &v));
        TRY(assign(m, p->text, v));
    }
    return used == args->count
               ? ERR_OK
               : jinja_fail(m->r, "macro '%s' does not take these arguments", macro->node->text);
}

static enum err call_macro(struct machine *m, const struct jinja_macro *macro,
                           const struct jinja_args *args, struct jinja_value *out)
{
    struct scope *outer = m->scope;
    enum err code;

    TRY(scope_new(m, macro->scope, &m->scope));
    code = bind_parameters(m, macro, args);
    if (code == ERR_OK) code = capture(m, macro->node->body, out);
    m->scope = outer;
    return code;
}

static enum err make_range(struct machine *m, const struct jinja_args *args,
                           struct jinja_value *out)
{
    int64_t n[3] = {0, 0, 1};

    for (size_t i = 0; i < args->count; i++)
        if (args->count > 3 || args->names[i] != NULL || args->values[i].type != JINJA_INT)
            return jinja_fail(m->r, "range takes one to three ints");
    if (args->count == 0) return jinja_fail(m->r, "range takes one to three ints");
    for (size_t i = 0; i < args->count; i++) n[args->count == 1 ? 1 : i] = args->values[i].as.i;
    if (n[2] == 0) return jinja_fail(m->r, "a range of step 0");
    TRY(jinja_list_new(m->r, JINJA_LIST, out));
    for (int64_t i = n[0]; n[2] > 0 ? i < n[1] : i > n[1];) {
        if (out->as.list->count == RANGE_LIMIT)
            return jinja_fail(m->r, "a range of more than %d numbers", RANGE_LIMIT);
        TRY(jinja_list_add(m->r, out->as.list, JINJA_NUMBER(i)));
        if (__builtin_add_overflow(i, n[2], &i)) break;
    }
    return ERR_OK;
}

/* namespace(a=1) and dict(a=1), or of a dict. */
static enum err make_dict(struct machine *m, const struct jinja_args *args, enum jinja_type type,
                          struct jinja_value *out)
{
    TRY(jinja_list_new(m->r, type, out));
    for (size_t i = 0; i < args->count; i++) {
        const struct jinja_value *v = &args->values[i];
        struct jinja_value key;
        if (args->names[i] != NULL) {
            TRY(jinja_text(m->r, args->names[i], &key));
            TRY(jinja_dict_set(m->r, out->as.list, key, *v));
            continue;
        }
        if (v->type != JINJA_DICT) return jinja_fail(m->r, "a dict of %s", jinja_type_name(v));
        for (size_t k = 0; k < v->as.list->count; k += 2)
            TRY(jinja_dict_set(m->r, out->as.list, v->as.list->items[k], v->as.list->items[k + 1]));
    }
    return ERR_OK;
}

/* One %x of strftime over a day; false for those that want a time of day. */
static bool put_day(char letter, const struct tm *day, char *out, size_t size)
{
    switch (letter) {
    case 'a':
        return strftime(out, size, "%a", day) > 0;
    case 'A':
        return strftime(out, size, "%A", day) > 0;
    case 'b':
        return strftime(out, size, "%b", day) > 0;
    case 'B':
        return strftime(out, size, "%B", day) > 0;
    case 'd':
        return strftime(out, size, "%d", day) > 0;
    case 'j':
        return strftime(out, size, "%j", day) > 0;
    case 'm':
        return strftime(out, size, "%m", day) > 0;
    case 'y':
        return snprintf(out, size, "%02d", day->tm_year % 100) > 0;
    case 'Y':
        return strftime(out, size, "%Y", day) > 0;
    default:
        return letter == '%' && strftime(out, size, "%%", day) > 0;
    }
}

static enum err format_today(struct machine *m, const struct jinja_value *format,
                             struct jinja_value *out)
{
    struct jinja_builder b = {0};
    const struct jinja_string *s = format->as.s;
    struct tm day = {0};
    char text[64];

    if (format->type != JINJA_STRING) return jinja_fail(m->r, "strftime_now of no string");
    (void)sscanf(m->r->today, "%4d-%2d-%2d", &day.tm_year, &day.tm_mon, &day.tm_mday);
    day.tm_year -= 1900;
    day.tm_mon--;
    (void)timegm(&day); /* fills in the day of the week and of the year */
    for (size_t i = 0; i < s->n; i++) {
        if (s->s[i] != '%') {
            TRY(jinja_put(m->r, &b, s->s + i, NULL, 1));
            continue;
        }
        if (++i == s->n || !put_day(s->s[i], &day, text, sizeof text))
            return jinja_fail(m->r, "strftime_now with a %%%c: only the day is known",
                              i < s->n ? s->s[i] : ' ');
        TRY(jinja_put_text(m->r, &b, text));
    }
    return jinja_built(m->r, &b, out);
}

static enum err call_function(struct machine *m, enum function which, const struct jinja_args *args,
                              struct jinja_value *out)
{
    struct jinja_builder said = {0};

    switch (which) {
    case FN_RANGE:
        return make_range(m, args, out);
    case FN_NAMESPACE:
        return make_dict(m, args, JINJA_NAMESPACE, out);
    case FN_DICT:
        return make_dict(m, args, JINJA_DICT, out);
    case FN_RAISE:
        if (args->count == 1) TRY(jinja_print(m->r, &args->values[0], &said));
        return jinja_fail(m->r, "the template refuses the conversation: %.*s",
                          (int)(said.n < 400 ? said.n : 400), said.n > 0 ? said.s : "");
    case FN_STRFTIME:
        if (args->count == 1) return format_today(m, &args->values[0], out);
        return jinja_fail(m->r, "strftime_now takes one argument");
    default:
        return jinja_fail(m->r, "a method that is not called where it stands");
    }
}

static enum err member(struct machine *m, const struct jinja_value *v, const char *name,
                       struct jinja_value *out)
{
    struct jinja_value key;

    if (jinja_has_method(v, name)) {
        *out = (struct jinja_value){.type = JINJA_FUNCTION, .as.function = FN_METHOD};
        return ERR_OK;
    }
    TRY(jinja_text(m->r, name, &key));
    TRY(jinja_item(m->r, v, &key, out));
    if (out->type == JINJA_UNDEFINED && out->as.s == NULL) out->as.s = key.as.s;
    return ERR_OK;
}

static enum err call(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value callee, self;
    struct jinja_args args;
    const struct jinja_node *f = n->a;

    if (f->type == JINJA_N_MEMBER) {
        TRY(eval(m, f->a, &self));
        m->r->line = f->line;
        TRY(no_undefined(m, &self));
        TRY(member(m, &self, f->text, &callee));
        if (callee.type == JINJA_UNDEFINED || callee.type == JINJA_FUNCTION) {
            TRY(arguments(m, n->args, &args));
            m->r->line = f->line;
            return jinja_method(m->r, &self, f->text, &args, out);
        }
    } else {
        TRY(eval(m, f, &callee));
    }
    if (callee.type == JINJA_UNDEFINED && f->type == JINJA_N_NAME &&
        strcmp(f->text, "strftime_now") == 0)
        return jinja_fail(m->r, "the template wants to know today's date (--date YYYY-MM-DD)");
    TRY(no_undefined(m, &callee));
    TRY(arguments(m, n->args, &args));
    m->r->line = n->line;
    if (callee.type == JINJA_MACRO) return call_macro(m, callee.as.macro, &args, out);
    if (callee.type == JINJA_FUNCTION)
        return call_function(m, (enum function)callee.as.function, &args, out);
    return jinja_fail(m->r, "%s cannot be called", jinja_type_name(&callee));
}

/* ------------------------------------------------------------------ expressions */

static enum err display(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v, key;

    TRY(jinja_list_new(m->r,
                       n->type == JINJA_N_LIST    ? JINJA_LIST
                       : n->type == JINJA_N_TUPLE ? JINJA_TUPLE
                                                  : JINJA_DICT,
                       out));
    for (const struct jinja_node *x = n->args; x != NULL; x = x->next) {
        TRY(eval(m, x, &v));
        if (n->type != JINJA_N_DICT) {
            TRY(jinja_list_add(m->r, out->as.list, v));
            continue;
        }
        key = v;
        x = x->next;
        TRY(eval(m, x, &v));
        TRY(jinja_dict_set(m->r, out->as.list, key, v));
    }
    return ERR_OK;
}

static enum err item(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v, key;

    TRY(eval(m, n->a, &v));
    TRY(eval(m, n->b, &key));
    m->r->line = n->line;
    TRY(jinja_item(m->r, &v, &key, out));
    if (out->type == JINJA_UNDEFINED && out->as.s == NULL && key.type == JINJA_STRING) {
        if (jinja_has_method(&v, key.as.s->s)) return member(m, &v, key.as.s->s, out);
        out->as.s = key.as.s;
    }
    return ERR_OK;
}

static enum err slice(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v,
        parts[3] = {JINJA_VALUE(JINJA_NONE), JINJA_VALUE(JINJA_NONE), JINJA_VALUE(JINJA_NONE)};

    TRY(eval(m, n->a, &v));
    if (n->b != NULL) TRY(eval(m, n->b, &parts[0]));
    if (n->c != NULL) TRY(eval(m, n->c, &parts[1]));
    if (n->other != NULL) TRY(eval(m, n->other, &parts[2]));
    m->r->line = n->line;
    return jinja_slice(m->r, &v, parts, out);
}

static enum err filter_or_test(struct machine *m, const struct jinja_node *n,
                               struct jinja_value *out)
{
    struct jinja_value v;
    struct jinja_args args;
    bool holds;

    TRY(eval(m, n->a, &v));
    TRY(arguments(m, n->args, &args));
    m->r->line = n->line;
    if (n->type == JINJA_N_FILTER) return jinja_filter(m->r, n->op, &v, &args, out);
    TRY(jinja_test(m->r, n->op, &v, &args, &holds));
    *out = JINJA_TRUTH(holds);
    return ERR_OK;
}

static enum err either(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    TRY(eval(m, n->a, out));
    switch (n->type) {
    case JINJA_N_NOT:
        *out = JINJA_TRUTH(!jinja_truth(out));
        return ERR_OK;
    case JINJA_N_AND:
        return jinja_truth(out) ? eval(m, n->b, out) : ERR_OK;
    case JINJA_N_OR:
        return jinja_truth(out) ? ERR_OK : eval(m, n->b, out);
    default:
        if (jinja_truth(out)) return eval(m, n->b, out);
        *out = JINJA_VALUE(JINJA_UNDEFINED);
        return n->c != NULL ? eval(m, n->c, out) : ERR_OK;
    }
}

static enum err eval_node(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v, w;

    switch (n->type) {
    case JINJA_N_CONST:
        *out = n->value;
        return ERR_OK;
    case JINJA_N_NAME:
        return look_up(m, n->text, out);
    case JINJA_N_LIST:
    case JINJA_N_TUPLE:
    case JINJA_N_DICT:
        return display(m, n, out);
    case JINJA_N_CONDITION:
    case JINJA_N_AND:
    case JINJA_N_OR:
    case JINJA_N_NOT:
        return either(m, n, out);
    case JINJA_N_COMPARE:
        return compare(m, n, out);
    case JINJA_N_CONCAT:
        TRY(eval(m, n->a, &v));
        TRY(eval(m, n->b, &w));
        return concatenate(m, &v, &w, out);
    case JINJA_N_NEGATE:
    case JINJA_N_PLUS:
        return negate(m, n, out);
    case JINJA_N_MEMBER:
        TRY(eval(m, n->a, &v));
        m->r->line = n->line;
        return member(m, &v, n->text, out);
    case JINJA_N_ITEM:
        return item(m, n, out);
    case JINJA_N_SLICE:
        return slice(m, n, out);
    case JINJA_N_CALL:
        return call(m, n, out);
    case JINJA_N_FILTER:
    case JINJA_N_TEST:
        return filter_or_test(m, n, out);
    default:
        return arithmetic(m, n, out);
    }
}

static enum err eval(struct machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    m->r->line = n->line;
    TRY(jinja_spend(m->r, 0));
    if (++m->r->depth > EVAL_DEPTH) return jinja_fail(m->r, "it is nested too deep");
    TRY(eval_node(m, n, out));
    m->r->depth--;
    return ERR_OK;
}

/* ------------------------------------------------------------------ statements */

/* What `loop` is: a namespace whose values change from turn to turn. */
static enum err make_loop(struct machine *m, const struct jinja_list *items, size_t i,
                          struct jinja_value *loop)
{
    const struct {
        const char *name;
        struct jinja_value value;
    } members[] = {
        {"index", JINJA_NUMBER((int64_t)i + 1)},
        {"index0", JINJA_NUMBER((int64_t)i)},
        {"first", JINJA_TRUTH(i == 0)},
        {"last", JINJA_TRUTH(i + 1 == items->count)},
        {"length", JINJA_NUMBER((int64_t)items->count)},
        {"revindex", JINJA_NUMBER((int64_t)(items->count - i))},
        {"revindex0", JINJA_NUMBER((int64_t)(items->count - i) - 1)},
        {"previtem", i > 0 ? items->items[i - 1] : JINJA_VALUE(JINJA_UNDEFINED)},
        {"nextitem", i + 1 < items->count ? items->items[i + 1] : JINJA_VALUE(JINJA_UNDEFINED)},
    };

    if (loop->type != JINJA_NAMESPACE) TRY(jinja_list_new(m->r, JINJA_NAMESPACE, loop));
    for (size_t k = 0; k < ARRAY_LEN(members); k++) {
        struct jinja_value key;
        if (loop->as.list->count > 2 * k) {
            loop->as.list->items[2 * k + 1] = members[k].value;
            continue;
        }
        TRY(jinja_text(m->r, members[k].name, &key));
        TRY(jinja_list_add(m->r, loop->as.list, key));
        TRY(jinja_list_add(m->r, loop->as.list, members[k].value));
    }
    return ERR_OK;
}

/* The items for which the loop's condition holds. */
static enum err filter_items(struct machine *m, const struct jinja_node *n,
                             struct jinja_value *items)
{
    const struct jinja_list *all = items->as.list;
    struct scope *outer = m->scope;
    struct jinja_value holds;

    TRY(jinja_list_new(m->r, JINJA_LIST, items));
    for (size_t i = 0; i < all->count; i++) {
        TRY(scope_new(m, outer, &m->scope));
        TRY(unpack(m, n->args, all->items[i]));
        TRY(eval(m, n->b, &holds));
        if (jinja_truth(&holds)) TRY(jinja_list_add(m->r, items->as.list, all->items[i]));
    }
    m->scope = outer;
    return ERR_OK;
}

static enum err run_for(struct machine *m, const struct jinja_node *n)
{
    struct jinja_value v, items, loop = JINJA_VALUE(JINJA_NONE);
    struct scope *outer = m->scope;

    TRY(eval(m, n->a, &v));
    m->r->line = n->line;
    TRY(jinja_items(m->r, &v, &items));
    if (n->b != NULL) TRY(filter_items(m, n, &items));
    for (size_t i = 0; i < items.as.list->count && m->flow != FLOW_BREAK; i++) {
        TRY(scope_new(m, outer, &m->scope));
        TRY(make_loop(m, items.as.list, i, &loop));
        TRY(assign(m, "loop", loop));
        TRY(unpack(m, n->args, items.as.list->items[i]));
        m->flow = FLOW_ON;
        TRY(run(m, n->body));
    }
    m->flow = FLOW_ON;
    m->scope = outer;
    return items.as.list->count == 0 ? run(m, n->other) : ERR_OK;
}

static enum err set_member(struct machine *m, const struct jinja_node *n)
{
    struct jinja_value v, where, key;

    TRY(eval(m, n->a, &v));
    TRY(look_up(m, n->args->text, &where));
    m->r->line = n->line;
    if (where.type != JINJA_NAMESPACE)
        return jinja_fail(m->r, "'%s' is no namespace: its members cannot be set", n->args->text);
    TRY(jinja_text(m->r, n->text, &key));
    return jinja_dict_set(m->r, where.as.list, key, v);
}

static enum err define_macro(struct machine *m, const struct jinja_node *n)
{
    struct jinja_macro *macro;

    TRY(jinja_new(m->r->e, &m->r->memory, &macro, 1, sizeof *macro));
    *macro = (struct jinja_macro){n, m->scope};
    return assign(m, n->text, (struct jinja_value){.type = JINJA_MACRO, .as.macro = macro});
}

static enum err run_generation(struct machine *m, const struct jinja_node *n)
{
    struct scope *outer = m->scope;
    size_t from = m->text->n;

    if (m->text != m->main)
        return jinja_fail(m->r,
                          "a generation block within a macro or a set block is not supported");
    TRY(scope_new(m, outer, &m->scope));
    TRY(run(m, n->body));
    m->scope = outer;
    if (m->spans_count == m->spans_capacity) {
        struct chat_span *grown;
        m->spans_capacity = m->spans_capacity * 2 + 16;
        TRY(jinja_new(m->r->e, &m->r->memory, &grown, m->spans_capacity, sizeof *grown));
        if (m->spans_count > 0) memcpy(grown, m->spans, m->spans_count * sizeof *grown);
        m->spans = grown;
    }
    m->spans[m->spans_count++] = (struct chat_span){from, m->text->n};
    return ERR_OK;
}

static enum err run_one(struct machine *m, const struct jinja_node *n)
{
    struct jinja_value v;

    switch (n->type) {
    case JINJA_N_DATA:
        return jinja_print(m->r, &n->value, m->text);
    case JINJA_N_PRINT:
        TRY(eval(m, n->a, &v));
        m->r->line = n->line;
        return jinja_print(m->r, &v, m->text);
    case JINJA_N_IF:
        TRY(eval(m, n->a, &v));
        return run(m, jinja_truth(&v) ? n->body : n->other);
    case JINJA_N_FOR:
        return run_for(m, n);
    case JINJA_N_SET:
        TRY(eval(m, n->a, &v));
        m->r->line = n->line;
        return unpack(m, n->args, v);
    case JINJA_N_SET_MEMBER:
        return set_member(m, n);
    case JINJA_N_SET_BLOCK:
        TRY(capture(m, n->body, &v));
        return assign(m, n->args->text, v);
    case JINJA_N_MACRO:
        return define_macro(m, n);
    case JINJA_N_GENERATION:
        return run_generation(m, n);
    default:
        m->flow = n->type == JINJA_N_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
        return ERR_OK;
    }
}

static enum err run(struct machine *m, const struct jinja_node *n)
{
    if (++m->r->depth > EVAL_DEPTH) return jinja_fail(m->r, "it is nested too deep");
    for (; n != NULL && m->flow == FLOW_ON; n = n->next) {
        m->r->line = n->line;
        TRY(jinja_spend(m->r, 0));
        TRY(run_one(m, n));
    }
    m->r->depth--;
    return ERR_OK;
}

enum err jinja_render(struct jinja_run *r, const struct jinja_node *root,
                      const struct jinja_list *variables, struct jinja_builder *out,
                      struct chat_span **spans, size_t *spans_count)
{
    struct machine m = {.r = r, .globals = variables, .text = out, .main = out};

    TRY(scope_new(&m, NULL, &m.scope));
    TRY(run(&m, root));
    *spans = m.spans;
    *spans_count = m.spans_count;
    return ERR_OK;
}
