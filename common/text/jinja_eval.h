/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_eval.h: what runs a chat template: names and where text goes; for jinja_eval.c
 * (expressions) and jinja_render.c.
 *
 * Names live in scopes: the template's own, one of each turn of a loop, one of each call of a
 * macro; `set` writes to the innermost, a name is looked up outwards. */
#ifndef GRAFT_TEXT_JINJA_EVAL_H
#define GRAFT_TEXT_JINJA_EVAL_H

#include "common/text/chat_template.h"
#include "common/text/jinja_parse.h"

enum { JINJA_EVAL_DEPTH = 400 };

struct jinja_variable {
    const char *name;
    struct jinja_value value;
    struct jinja_variable *next;
};
struct jinja_scope {
    struct jinja_scope *outer;
    struct jinja_variable *variables;
};
struct jinja_macro {
    const struct jinja_node *node;
    struct jinja_scope *scope; /* where it was defined */
};

struct jinja_machine {
    struct jinja_run *r;
    struct jinja_scope *scope;
    const struct jinja_list *globals;
    struct jinja_builder *text, *main; /* what is written to */
    enum { JINJA_FLOW_ON, JINJA_FLOW_BREAK, JINJA_FLOW_CONTINUE } flow;
    struct chat_span *spans;
    size_t spans_count, spans_capacity;
};

enum err jinja_scope_new(struct jinja_machine *m, struct jinja_scope *outer,
                         struct jinja_scope **out) MUST_USE;
/* In the innermost scope. */
enum err jinja_assign(struct jinja_machine *m, const char *name, struct jinja_value value) MUST_USE;
/* Undefined when there is no such name. */
enum err jinja_look_up(struct jinja_machine *m, const char *name, struct jinja_value *out) MUST_USE;
/* One value to one name, or a list's items to as many. */
enum err jinja_unpack(struct jinja_machine *m, const struct jinja_node *targets,
                      struct jinja_value v) MUST_USE;

enum err jinja_eval(struct jinja_machine *m, const struct jinja_node *n,
                    struct jinja_value *out) MUST_USE;
/* Statements from n on, up to a break or continue. */
enum err jinja_statements(struct jinja_machine *m, const struct jinja_node *n) MUST_USE;
/* The same with a text of their own. */
enum err jinja_capture(struct jinja_machine *m, const struct jinja_node *body,
                       struct jinja_value *out) MUST_USE;

#endif
