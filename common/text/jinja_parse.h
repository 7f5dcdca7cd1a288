/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_parse.h: a chat template as a tree. What is no construct of this subset of Jinja is refused
 * by its name, with the line it stands on. */
#ifndef GRAFT_TEXT_JINJA_PARSE_H
#define GRAFT_TEXT_JINJA_PARSE_H

#include "common/text/jinja_value.h"

enum jinja_node_type {
    /* statements; `next` leads to the one behind */
    JINJA_N_DATA,       /* value */
    JINJA_N_PRINT,      /* a */
    JINJA_N_IF,         /* a: condition, body, other */
    JINJA_N_FOR,        /* targets, a: of what, b: filter or NULL, body, other */
    JINJA_N_SET,        /* targets, a */
    JINJA_N_SET_MEMBER, /* text.value.text = a */
    JINJA_N_SET_BLOCK,  /* targets, body */
    JINJA_N_MACRO,      /* text: name, args: parameters (text, a: default or NULL), body */
    JINJA_N_GENERATION, /* body */
    JINJA_N_BREAK,
    JINJA_N_CONTINUE,
    /* expressions; `next` leads to the next of a list */
    JINJA_N_CONST,     /* value */
    JINJA_N_NAME,      /* text */
    JINJA_N_LIST,      /* args */
    JINJA_N_TUPLE,     /* args */
    JINJA_N_DICT,      /* args: keys and values in turn */
    JINJA_N_CONDITION, /* b if a else c (NULL: undefined) */
    JINJA_N_AND,       /* a, b */
    JINJA_N_OR,
    JINJA_N_NOT,
    JINJA_N_COMPARE, /* a, args: operands with their op */
    JINJA_N_ADD,
    JINJA_N_SUB,
    JINJA_N_MUL,
    JINJA_N_DIV,
    JINJA_N_FLOOR,
    JINJA_N_MOD,
    JINJA_N_POW,
    JINJA_N_CONCAT,
    JINJA_N_NEGATE,
    JINJA_N_PLUS,
    JINJA_N_MEMBER, /* a.text */
    JINJA_N_ITEM,   /* a[b] */
    JINJA_N_SLICE,  /* a[args: three, nodes of op 0 where nothing stands] */
    JINJA_N_CALL,   /* a(args); an argument with a text is a named one */
    JINJA_N_FILTER, /* a | op(args) */
    JINJA_N_TEST,   /* a is op(args) */
};

enum jinja_comparison {
    JINJA_EQ = 1,
    JINJA_NE,
    JINJA_LT,
    JINJA_LE,
    JINJA_GT,
    JINJA_GE,
    JINJA_IN,
    JINJA_NOT_IN
};

struct jinja_node {
    enum jinja_node_type type;
    int line, op;
    struct jinja_node *a, *b, *c, *args, *body, *other, *next;
    const char *text; /* a name, ends with 0 */
    struct jinja_value value;
};

/* In memory of r. *root is the first statement, NULL of an empty template. */
enum err jinja_parse(struct jinja_run *r, const char *source, size_t n,
                     struct jinja_node **root) MUST_USE;

#endif
