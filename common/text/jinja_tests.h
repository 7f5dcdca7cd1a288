/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_tests.h: what a chat template can ask of a value with `is`, as Jinja 3.1 has it. */
#ifndef GRAFT_TEXT_JINJA_TESTS_H
#define GRAFT_TEXT_JINJA_TESTS_H

#include "common/text/jinja_args.h"

/* The number of a test, -1 when there is none of that name. */
int jinja_test_find(const char *name);
enum err jinja_test(struct jinja_run *r, int test, const struct jinja_value *v,
                    const struct jinja_args *args, bool *out) MUST_USE;

#endif
