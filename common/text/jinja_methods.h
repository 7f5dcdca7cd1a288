/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_methods.h: the methods of strings, dicts and lists that a chat template can call, as Python
 * has them. */
#ifndef GRAFT_TEXT_JINJA_METHODS_H
#define GRAFT_TEXT_JINJA_METHODS_H

#include "common/text/jinja_args.h"

bool jinja_has_method(const struct jinja_value *v, const char *name);
enum err jinja_method(struct jinja_run *r, const struct jinja_value *v, const char *name,
                      const struct jinja_args *args, struct jinja_value *out) MUST_USE;

#endif
