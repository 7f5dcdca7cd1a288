/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_filters.h: what a chat template can do to a value with `|`, as Jinja 3.1 has it. */
#ifndef GRAFT_TEXT_JINJA_FILTERS_H
#define GRAFT_TEXT_JINJA_FILTERS_H

#include "common/text/jinja_args.h"

/* The number of a filter, -1 when there is none of that name. */
int jinja_filter_find(const char *name);
enum err jinja_filter(struct jinja_run *r, int filter, const struct jinja_value *v,
                      const struct jinja_args *args, struct jinja_value *out) MUST_USE;

#endif
