/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_args.h: what filters, tests and methods take: each has its line in a table, and a call that
 * gives something else is refused before anything is done. */
#ifndef GRAFT_TEXT_JINJA_ARGS_H
#define GRAFT_TEXT_JINJA_ARGS_H

#include "common/text/jinja_value.h"

struct jinja_args { /* those by name behind those by place */
    struct jinja_value *values;
    const char **names; /* NULL for those by place */
    size_t count;
};

enum { JINJA_ARGS = 4 };
struct jinja_entry {
    const char *name;
    int what, least; /* arguments that must be there */
    const char *args[JINJA_ARGS];
};
/* NULL, or -1, when there is none of that name. */
const struct jinja_entry *jinja_entry_find(const struct jinja_entry *table, size_t n,
                                           const char *name);
int jinja_entry_place(const struct jinja_entry *table, size_t n, const char *name);
/* The arguments in the order of the table, NULL where none is given. */
enum err jinja_bind(struct jinja_run *r, const struct jinja_entry *x, const struct jinja_args *args,
                    const struct jinja_value *out[JINJA_ARGS]) MUST_USE;

/* An argument as what it has to be; `what` is for messages. v: NULL or none where it is not given,
 * which gives NULL, is an error, or gives `otherwise`. */
enum err jinja_want_string(struct jinja_run *r, const struct jinja_value *v, const char *what,
                           const struct jinja_string **out) MUST_USE;
enum err jinja_must_string(struct jinja_run *r, const struct jinja_value *v, const char *what,
                           const struct jinja_string **out) MUST_USE;
enum err jinja_want_int(struct jinja_run *r, const struct jinja_value *v, const char *what,
                        int64_t otherwise, int64_t *out) MUST_USE;
/* Any value as text: what str() makes of it. */
enum err jinja_as_text(struct jinja_run *r, const struct jinja_value *v,
                       const struct jinja_string **out) MUST_USE;

#endif
