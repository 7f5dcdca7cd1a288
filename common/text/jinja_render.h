/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_render.h: runs a parsed template: statements write text, expressions give values. */
#ifndef GRAFT_TEXT_JINJA_RENDER_H
#define GRAFT_TEXT_JINJA_RENDER_H

#include "common/text/chat_template.h"
#include "common/text/jinja_parse.h"

/* `variables` is a dict. The text is left in *out, what {% generation %} blocks gave in *spans. */
enum err jinja_render(struct jinja_run *r, const struct jinja_node *root,
                      const struct jinja_list *variables, struct jinja_builder *out,
                      struct chat_span **spans, size_t *spans_count) MUST_USE;

#endif
