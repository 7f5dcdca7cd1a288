/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_tests.c: see jinja_tests.h. */
#include "common/text/jinja_tests.h"
#include "common/text/jinja_parts.h"
#include "common/text/jinja_text.h"

enum test {
    T_DEFINED,
    T_UNDEFINED,
    T_NONE,
    T_STRING,
    T_NUMBER,
    T_INTEGER,
    T_FLOAT,
    T_BOOLEAN,
    T_TRUE,
    T_FALSE,
    T_MAPPING,
    T_ITERABLE,
    T_SEQUENCE,
    T_CALLABLE,
    T_EVEN,
    T_ODD,
    T_DIVISIBLE,
    T_EQ,
    T_NE,
    T_LT,
    T_LE,
    T_GT,
    T_GE,
    T_IN,
    T_LOWER,
    T_UPPER,
};

static const struct jinja_entry tests[] = {
    {"defined", T_DEFINED, 0, {0}},
    {"undefined", T_UNDEFINED, 0, {0}},
    {"none", T_NONE, 0, {0}},
    {"string", T_STRING, 0, {0}},
    {"number", T_NUMBER, 0, {0}},
    {"integer", T_INTEGER, 0, {0}},
    {"float", T_FLOAT, 0, {0}},
    {"boolean", T_BOOLEAN, 0, {0}},
    {"true", T_TRUE, 0, {0}},
    {"false", T_FALSE, 0, {0}},
    {"mapping", T_MAPPING, 0, {0}},
    {"iterable", T_ITERABLE, 0, {0}},
    {"sequence", T_SEQUENCE, 0, {0}},
    {"callable", T_CALLABLE, 0, {0}},
    {"even", T_EVEN, 0, {0}},
    {"odd", T_ODD, 0, {0}},
    {"lower", T_LOWER, 0, {0}},
    {"upper", T_UPPER, 0, {0}},
    {"eq", T_EQ, 1, {"other"}},
    {"equalto", T_EQ, 1, {"other"}},
    {"ne", T_NE, 1, {"other"}},
    {"lt", T_LT, 1, {"other"}},
    {"lessthan", T_LT, 1, {"other"}},
    {"le", T_LE, 1, {"other"}},
    {"gt", T_GT, 1, {"other"}},
    {"greaterthan", T_GT, 1, {"other"}},
    {"ge", T_GE, 1, {"other"}},
    {"in", T_IN, 1, {"seq"}},
    {"==", T_EQ, 1, {"other"}},
    {"!=", T_NE, 1, {"other"}},
    {"<", T_LT, 1, {"other"}},
    {"<=", T_LE, 1, {"other"}},
    {">", T_GT, 1, {"other"}},
    {">=", T_GE, 1, {"other"}},
    {"divisibleby", T_DIVISIBLE, 1, {"num"}},
};

int jinja_test_find(const char *name)
{
    return jinja_entry_place(tests, ARRAY_LEN(tests), name);
}

static enum err compare_test(struct jinja_run *r, enum test which, const struct jinja_value *v,
                             const struct jinja_value *other, bool *out)
{
    int order;

    if (which == T_EQ || which == T_NE) {
        TRY(jinja_equal(r, v, other, out));
        *out ^= which == T_NE;
        return ERR_OK;
    }
    if (which == T_IN) return jinja_contains(r, other, v, out);
    TRY(jinja_compare(r, v, other, &order));
    *out = which == T_LT   ? order < 0
           : which == T_LE ? order <= 0
           : which == T_GT ? order > 0
                           : order >= 0;
    return ERR_OK;
}

static enum err number_test(struct jinja_run *r, enum test which, const struct jinja_value *v,
                            const struct jinja_value *other, bool *out)
{
    int64_t x, by;

    TRY(jinja_want_int(r, v, "a test of numbers", 0, &x));
    TRY(jinja_want_int(r, other, "divisibleby", 2, &by));
    if (by == 0) return jinja_fail(r, "division by zero");
    *out = by == -1 || (x % by == 0) == (which != T_ODD);
    return ERR_OK;
}

enum err jinja_test(struct jinja_run *r, int test, const struct jinja_value *v,
                    const struct jinja_args *args, bool *out)
{
    const struct jinja_value *arg[JINJA_ARGS];
    const struct jinja_string *s;
    enum jinja_type type = v->type;

    TRY(jinja_bind(r, &tests[test], args, arg));
    switch ((enum test)tests[test].what) {
    case T_DEFINED:
    case T_UNDEFINED:
        *out = (type == JINJA_UNDEFINED) == (tests[test].what == T_UNDEFINED);
        return ERR_OK;
    case T_NONE:
        *out = type == JINJA_NONE;
        return ERR_OK;
    case T_STRING:
        *out = type == JINJA_STRING;
        return ERR_OK;
    case T_NUMBER:
        *out = jinja_is_number(v);
        return ERR_OK;
    case T_INTEGER:
        *out = type == JINJA_INT;
        return ERR_OK;
    case T_FLOAT:
        *out = type == JINJA_FLOAT;
        return ERR_OK;
    case T_BOOLEAN:
        *out = type == JINJA_BOOL;
        return ERR_OK;
    case T_TRUE:
    case T_FALSE:
        *out = type == JINJA_BOOL && v->as.b == (tests[test].what == T_TRUE);
        return ERR_OK;
    case T_MAPPING:
        *out = type == JINJA_DICT;
        return ERR_OK;
    case T_ITERABLE:
    case T_SEQUENCE:
        *out = jinja_is_list(v) || type == JINJA_DICT || type == JINJA_STRING ||
               type == JINJA_UNDEFINED;
        return ERR_OK;
    case T_CALLABLE:
        *out = type == JINJA_MACRO || type == JINJA_FUNCTION;
        return ERR_OK;
    case T_EVEN:
    case T_ODD:
    case T_DIVISIBLE:
        return number_test(r, (enum test)tests[test].what, v, arg[0], out);
    case T_LOWER:
    case T_UPPER:
        TRY(jinja_as_text(r, v, &s));
        return jinja_is_all(r, s, tests[test].what == T_LOWER ? JINJA_ALL_LOWER : JINJA_ALL_UPPER,
                            out);
    default:
        return compare_test(r, (enum test)tests[test].what, v, arg[0], out);
    }
}
