/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_eval.c: see jinja_eval.h: names, calls, and operators. */
#include "common/text/jinja_eval.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "common/text/jinja_arithmetic.h"
#include "common/text/jinja_filters.h"
#include "common/text/jinja_methods.h"
#include "common/text/jinja_parts.h"
#include "common/text/jinja_tests.h"

enum { RANGE_LIMIT = 100000 };

enum function { FN_METHOD, FN_RANGE, FN_NAMESPACE, FN_RAISE, FN_STRFTIME, FN_DICT, FN_COUNT };
static const char *const functions[FN_COUNT] = {
    "", "range", "namespace", "raise_exception", "strftime_now", "dict"};

/* ------------------------------------------------------------------ names */

enum err jinja_scope_new(struct jinja_machine *m, struct jinja_scope *outer,
                         struct jinja_scope **out)
{
    TRY(jinja_new(m->r->e, &m->r->memory, out, 1, sizeof **out));
    (*out)->outer = outer;
    return ERR_OK;
}

static struct jinja_variable *find_in(const struct jinja_scope *s, const char *name)
{
    struct jinja_variable *v = s->variables;

    while (v != NULL && strcmp(v->name, name) != 0) v = v->next;
    return v;
}

enum err jinja_assign(struct jinja_machine *m, const char *name, struct jinja_value value)
{
    struct jinja_variable *v = find_in(m->scope, name);

    if (v == NULL) {
        TRY(jinja_new(m->r->e, &m->r->memory, &v, 1, sizeof *v));
        v->name = name;
        v->next = m->scope->variables;
        m->scope->variables = v;
    }
    v->value = value;
    return ERR_OK;
}

enum err jinja_look_up(struct jinja_machine *m, const char *name, struct jinja_value *out)
{
    struct jinja_string *undefined;
    const struct jinja_value *global;

    for (const struct jinja_scope *s = m->scope; s != NULL; s = s->outer) {
        const struct jinja_variable *v = find_in(s, name);
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

static enum err no_undefined(struct jinja_machine *m, const struct jinja_value *v)
{
    if (v->type != JINJA_UNDEFINED) return ERR_OK;
    return v->as.s == NULL ? jinja_fail(m->r, "a value is undefined")
                           : jinja_fail(m->r, "'%s' is undefined", v->as.s->s);
}

enum err jinja_unpack(struct jinja_machine *m, const struct jinja_node *targets,
                      struct jinja_value v)
{
    struct jinja_value items;
    size_t n = 0;

    if (targets->next == NULL) return jinja_assign(m, targets->text, v);
    TRY(jinja_items(m->r, &v, &items));
    for (const struct jinja_node *t = targets; t != NULL; t = t->next, n++)
        if (n < items.as.list->count) TRY(jinja_assign(m, t->text, items.as.list->items[n]));
    if (n != items.as.list->count)
        return jinja_fail(m->r, "%zu values for %zu names", items.as.list->count, n);
    return ERR_OK;
}

/* ------------------------------------------------------------------ calls */

static enum err arguments(struct jinja_machine *m, const struct jinja_node *list,
                          struct jinja_args *out)
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
        TRY(jinja_eval(m, has_name ? x->a : x, &out->values[n]));
    }
    return ERR_OK;
}

static enum err bind_parameters(struct jinja_machine *m, const struct jinja_macro *macro,
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
        if (!given && p->a != NULL) TRY(jinja_eval(m, p->a, &v));
        TRY(jinja_assign(m, p->text, v));
    }
    return used == args->count
               ? ERR_OK
               : jinja_fail(m->r, "macro '%s' does not take these arguments", macro->node->text);
}

static enum err call_macro(struct jinja_machine *m, const struct jinja_macro *macro,
                           const struct jinja_args *args, struct jinja_value *out)
{
    struct jinja_scope *outer = m->scope;
    enum err code;

    TRY(jinja_scope_new(m, macro->scope, &m->scope));
    code = bind_parameters(m, macro, args);
    if (code == ERR_OK) code = jinja_capture(m, macro->node->body, out);
    m->scope = outer;
    return code;
}

static enum err make_range(struct jinja_machine *m, const struct jinja_args *args,
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
static enum err make_dict(struct jinja_machine *m, const struct jinja_args *args,
                          enum jinja_type type, struct jinja_value *out)
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

static enum err format_today(struct jinja_machine *m, const struct jinja_value *format,
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

static enum err call_function(struct jinja_machine *m, enum function which,
                              const struct jinja_args *args, struct jinja_value *out)
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

static enum err member(struct jinja_machine *m, const struct jinja_value *v, const char *name,
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

static enum err call(struct jinja_machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value callee, self;
    struct jinja_args args;
    const struct jinja_node *f = n->a;

    if (f->type == JINJA_N_MEMBER) {
        TRY(jinja_eval(m, f->a, &self));
        m->r->line = f->line;
        TRY(no_undefined(m, &self));
        TRY(member(m, &self, f->text, &callee));
        if (callee.type == JINJA_UNDEFINED || callee.type == JINJA_FUNCTION) {
            TRY(arguments(m, n->args, &args));
            m->r->line = f->line;
            return jinja_method(m->r, &self, f->text, &args, out);
        }
    } else {
        TRY(jinja_eval(m, f, &callee));
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

static enum err arithmetic(struct jinja_machine *m, const struct jinja_node *n,
                           struct jinja_value *out)
{
    struct jinja_value a, b;

    TRY(jinja_eval(m, n->a, &a));
    TRY(jinja_eval(m, n->b, &b));
    m->r->line = n->line;
    if (n->type == JINJA_N_CONCAT) return jinja_concatenate(m->r, &a, &b, out);
    TRY(no_undefined(m, &a));
    TRY(no_undefined(m, &b));
    return jinja_arithmetic(m->r, n->type, &a, &b, out);
}

static enum err negate(struct jinja_machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v;

    TRY(jinja_eval(m, n->a, &v));
    m->r->line = n->line;
    return jinja_negate(m->r, &v, n->type == JINJA_N_PLUS, out);
}

static enum err compare(struct jinja_machine *m, const struct jinja_node *n,
                        struct jinja_value *out)
{
    struct jinja_value left, right;
    bool holds = true;

    TRY(jinja_eval(m, n->a, &left));
    for (const struct jinja_node *x = n->args; x != NULL && holds; x = x->next) {
        int order = 0;
        TRY(jinja_eval(m, x->a, &right));
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

static enum err display(struct jinja_machine *m, const struct jinja_node *n,
                        struct jinja_value *out)
{
    struct jinja_value v, key;

    TRY(jinja_list_new(m->r,
                       n->type == JINJA_N_LIST    ? JINJA_LIST
                       : n->type == JINJA_N_TUPLE ? JINJA_TUPLE
                                                  : JINJA_DICT,
                       out));
    for (const struct jinja_node *x = n->args; x != NULL; x = x->next) {
        TRY(jinja_eval(m, x, &v));
        if (n->type != JINJA_N_DICT) {
            TRY(jinja_list_add(m->r, out->as.list, v));
            continue;
        }
        key = v;
        x = x->next;
        TRY(jinja_eval(m, x, &v));
        TRY(jinja_dict_set(m->r, out->as.list, key, v));
    }
    return ERR_OK;
}

static enum err item(struct jinja_machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v, key;

    TRY(jinja_eval(m, n->a, &v));
    TRY(jinja_eval(m, n->b, &key));
    m->r->line = n->line;
    TRY(jinja_item(m->r, &v, &key, out));
    if (out->type == JINJA_UNDEFINED && out->as.s == NULL && key.type == JINJA_STRING) {
        if (jinja_has_method(&v, key.as.s->s)) return member(m, &v, key.as.s->s, out);
        out->as.s = key.as.s;
    }
    return ERR_OK;
}

static enum err slice(struct jinja_machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v,
        parts[3] = {JINJA_VALUE(JINJA_NONE), JINJA_VALUE(JINJA_NONE), JINJA_VALUE(JINJA_NONE)};

    TRY(jinja_eval(m, n->a, &v));
    if (n->b != NULL) TRY(jinja_eval(m, n->b, &parts[0]));
    if (n->c != NULL) TRY(jinja_eval(m, n->c, &parts[1]));
    if (n->other != NULL) TRY(jinja_eval(m, n->other, &parts[2]));
    m->r->line = n->line;
    return jinja_slice(m->r, &v, parts, out);
}

static enum err filter_or_test(struct jinja_machine *m, const struct jinja_node *n,
                               struct jinja_value *out)
{
    struct jinja_value v;
    struct jinja_args args;
    bool holds;

    TRY(jinja_eval(m, n->a, &v));
    TRY(arguments(m, n->args, &args));
    m->r->line = n->line;
    if (n->type == JINJA_N_FILTER) return jinja_filter(m->r, n->op, &v, &args, out);
    TRY(jinja_test(m->r, n->op, &v, &args, &holds));
    *out = JINJA_TRUTH(holds);
    return ERR_OK;
}

static enum err either(struct jinja_machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    TRY(jinja_eval(m, n->a, out));
    switch (n->type) {
    case JINJA_N_NOT:
        *out = JINJA_TRUTH(!jinja_truth(out));
        return ERR_OK;
    case JINJA_N_AND:
        return jinja_truth(out) ? jinja_eval(m, n->b, out) : ERR_OK;
    case JINJA_N_OR:
        return jinja_truth(out) ? ERR_OK : jinja_eval(m, n->b, out);
    default:
        if (jinja_truth(out)) return jinja_eval(m, n->b, out);
        *out = JINJA_VALUE(JINJA_UNDEFINED);
        return n->c != NULL ? jinja_eval(m, n->c, out) : ERR_OK;
    }
}

static enum err eval_node(struct jinja_machine *m, const struct jinja_node *n,
                          struct jinja_value *out)
{
    struct jinja_value v;

    switch (n->type) {
    case JINJA_N_CONST:
        *out = n->value;
        return ERR_OK;
    case JINJA_N_NAME:
        return jinja_look_up(m, n->text, out);
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
    case JINJA_N_NEGATE:
    case JINJA_N_PLUS:
        return negate(m, n, out);
    case JINJA_N_MEMBER:
        TRY(jinja_eval(m, n->a, &v));
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

enum err jinja_eval(struct jinja_machine *m, const struct jinja_node *n, struct jinja_value *out)
{
    m->r->line = n->line;
    TRY(jinja_spend(m->r, 0));
    if (++m->r->depth > JINJA_EVAL_DEPTH) return jinja_fail(m->r, "it is nested too deep");
    TRY(eval_node(m, n, out));
    m->r->depth--;
    return ERR_OK;
}
