/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_lex.h: a chat template as tokens: text that is put out as it stands, and what is between
 * {{ }} and {% %}. White space is dropped as Jinja does with trim_blocks and lstrip_blocks set,
 * which is how chat templates are read: the newline behind a block, and the blanks before one that
 * begins its line; `-` drops all white space on its side, `+` none. */
#ifndef GRAFT_TEXT_JINJA_LEX_H
#define GRAFT_TEXT_JINJA_LEX_H

#include "common/text/jinja_value.h"

enum jinja_token_type {
    JINJA_T_DATA,
    JINJA_T_PRINT, /* {{ */
    JINJA_T_PRINT_END,
    JINJA_T_BLOCK, /* {% */
    JINJA_T_BLOCK_END,
    JINJA_T_NAME,
    JINJA_T_STRING, /* unescaped */
    JINJA_T_INT,
    JINJA_T_FLOAT,
    JINJA_T_OPERATOR, /* text says which */
    JINJA_T_EOF,
};

struct jinja_token {
    enum jinja_token_type type;
    int line;
    const char *s; /* of data, names, operators, strings */
    size_t n;
    int64_t i;
    double d;
};

/* The tokens of source[0..n), in memory of r; r->line is set where it fails. The source must live
 * as long as they do. */
enum err jinja_lex(struct jinja_run *r, const char *source, size_t n,
                   struct jinja_token **out) MUST_USE;

#endif
