/* SPDX-License-Identifier: Apache-2.0 */
/* chat_template.h: a conversation as the text a chat model was trained on, by the template that
 * comes with the model: a program in a subset of Jinja, run as transformers' apply_chat_template
 * runs it.
 *
 *   messages, tools, variables --template--> text, and of each byte whose message it is from
 *
 * What the subset lacks is refused by name and line of the template, when it is read or, of
 * methods, when it is met. A template is a stranger's program: its depth, its steps and its memory
 * are bounded, and it sees no file and no clock. */
#ifndef GRAFT_TEXT_CHAT_TEMPLATE_H
#define GRAFT_TEXT_CHAT_TEMPLATE_H

#include "common/text/jinja_value.h"

enum { CHAT_MESSAGES_LIMIT = 65534 };
#define CHAT_TEMPLATE_LIMIT ((size_t)1 << 20)

struct chat_template;
/* `name` is for messages and copied. ERR_INPUT: line and what is wrong or not supported. */
enum err chat_template_new(struct errctx *e, const char *source, size_t n, const char *name,
                           struct chat_template **out) MUST_USE;
void chat_template_free(struct chat_template *t);

/* The source of a template that graft knows by name, NULL when it knows none; and all their names,
 * with commas. */
const char *chat_template_named(const char *name);
extern const char chat_template_names[];

struct chat_variable {
    const char *name, *text;
    size_t n;
};
struct chat_input {
    const json_t *messages;          /* a list of objects */
    const json_t *tools, *documents; /* NULL: none */
    const json_t *more;              /* an object of variables, or NULL */
    const struct chat_variable *variables;
    size_t variables_count;
    bool generation_prompt;
    const char *today; /* YYYY-MM-DD for strftime_now, NULL: it is not defined */
};

struct chat_span { /* bytes [from, to) */
    size_t from, to;
};
struct chat_rendering {
    const char *text;
    size_t n;
    const uint16_t *marks; /* per byte 1 + the number of the message it is from, 0: the template;
                              NULL: all 0 */
    const struct chat_span *generated; /* what {% generation %} blocks gave, in order */
    size_t generated_count;
    bool has_generation; /* the template has such blocks */
    struct jinja_memory memory;
};
/* `out` is the caller's, zeroed before the first use; what it held is given back. */
enum err chat_template_render(struct errctx *e, const struct chat_template *t,
                              const struct chat_input *in, struct chat_rendering *out) MUST_USE;
void chat_rendering_fini(struct chat_rendering *r);

#endif
