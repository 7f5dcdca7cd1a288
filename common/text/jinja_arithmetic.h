/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_arithmetic.h: + - * / // % ** and ~ over the values of a chat template, as Python has them,
 * but for integers beyond 64 bits and numbers that are not finite, which are refused. */
#ifndef GRAFT_TEXT_JINJA_ARITHMETIC_H
#define GRAFT_TEXT_JINJA_ARITHMETIC_H

#include "common/text/jinja_parse.h"

/* op: JINJA_N_ADD to JINJA_N_POW. */
enum err jinja_arithmetic(struct jinja_run *r, enum jinja_node_type op, const struct jinja_value *a,
                          const struct jinja_value *b, struct jinja_value *out) MUST_USE;
/* -v, or +v. */
enum err jinja_negate(struct jinja_run *r, const struct jinja_value *v, bool plus,
                      struct jinja_value *out) MUST_USE;
/* Both as text, one behind the other. */
enum err jinja_concatenate(struct jinja_run *r, const struct jinja_value *a,
                           const struct jinja_value *b, struct jinja_value *out) MUST_USE;

#endif
