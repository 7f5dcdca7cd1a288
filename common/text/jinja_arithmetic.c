/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_arithmetic.c: see jinja_arithmetic.h. */
#include "common/text/jinja_arithmetic.h"
#include <math.h>

static enum err repeat(struct jinja_run *r, const struct jinja_value *v,
                       const struct jinja_value *n, struct jinja_value *out)
{
    struct jinja_builder b = {0};

    for (int64_t i = 0; i < n->as.i; i++) {
        TRY(jinja_spend(r, 0));
        TRY(jinja_print(r, v, &b));
    }
    return jinja_built(r, &b, out);
}

static enum err add_lists(struct jinja_run *r, const struct jinja_value *a,
                          const struct jinja_value *b, struct jinja_value *out)
{
    TRY(jinja_list_new(r, a->type, out));
    for (size_t i = 0; i < a->as.list->count; i++)
        TRY(jinja_list_add(r, out->as.list, a->as.list->items[i]));
    for (size_t i = 0; i < b->as.list->count; i++)
        TRY(jinja_list_add(r, out->as.list, b->as.list->items[i]));
    return ERR_OK;
}

enum err jinja_concatenate(struct jinja_run *r, const struct jinja_value *a,
                           const struct jinja_value *b, struct jinja_value *out)
{
    struct jinja_builder made = {0};

    TRY(jinja_print(r, a, &made));
    TRY(jinja_print(r, b, &made));
    return jinja_built(r, &made, out);
}

static enum err real_arithmetic(struct jinja_run *r, enum jinja_node_type op, double a, double b,
                                struct jinja_value *out)
{
    double x = 0;

    if ((op == JINJA_N_DIV || op == JINJA_N_FLOOR || op == JINJA_N_MOD) && b == 0)
        return jinja_fail(r, "division by zero");
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
    if (!isfinite(x)) return jinja_fail(r, "a number that is too large");
    *out = (struct jinja_value){.type = JINJA_FLOAT, .as.d = x};
    return ERR_OK;
}

static enum err whole_arithmetic(struct jinja_run *r, enum jinja_node_type op, int64_t a, int64_t b,
                                 struct jinja_value *out)
{
    bool over = false;
    int64_t x = 0;

    if (op == JINJA_N_DIV || (op == JINJA_N_POW && b < 0))
        return real_arithmetic(r, op, (double)a, (double)b, out);
    if ((op == JINJA_N_FLOOR || op == JINJA_N_MOD) && b == 0)
        return jinja_fail(r, "division by zero");
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
    return over ? jinja_fail(r, "a number that is too large") : ERR_OK;
}

enum err jinja_arithmetic(struct jinja_run *r, enum jinja_node_type op, const struct jinja_value *a,
                          const struct jinja_value *b, struct jinja_value *out)
{
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};

    if (jinja_is_number(a) && jinja_is_number(b)) {
        if (a->type == JINJA_FLOAT || b->type == JINJA_FLOAT)
            return real_arithmetic(r, op, jinja_real(a), jinja_real(b), out);
        return whole_arithmetic(r, op, a->type == JINJA_BOOL ? a->as.b : a->as.i,
                                b->type == JINJA_BOOL ? b->as.b : b->as.i, out);
    }
    if (op == JINJA_N_ADD && a->type == b->type) {
        if (a->type == JINJA_STRING) return jinja_concatenate(r, a, b, out);
        if (a->type == JINJA_LIST || a->type == JINJA_TUPLE) return add_lists(r, a, b, out);
    }
    if (op == JINJA_N_MUL && a->type == JINJA_STRING && b->type == JINJA_INT)
        return repeat(r, a, b, out);
    return jinja_fail(r, "%s %s %s is not supported", jinja_type_name(a), names[op - JINJA_N_ADD],
                      jinja_type_name(b));
}

enum err jinja_negate(struct jinja_run *r, const struct jinja_value *v, bool plus,
                      struct jinja_value *out)
{
    if (!jinja_is_number(v)) return jinja_fail(r, "- of %s", jinja_type_name(v));
    if (v->type == JINJA_FLOAT) {
        *out = *v;
        out->as.d = plus ? v->as.d : -v->as.d;
        return ERR_OK;
    }
    return whole_arithmetic(r, plus ? JINJA_N_ADD : JINJA_N_SUB, 0,
                            v->type == JINJA_BOOL ? v->as.b : v->as.i, out);
}
