/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_filters.h: what a chat template can do to a value: filters, tests, and the methods of
 * strings and dicts, each as Jinja 3.1 and Python have it. */
#ifndef GRAFT_TEXT_JINJA_FILTERS_H
#define GRAFT_TEXT_JINJA_FILTERS_H

#include "common/text/jinja_value.h"

struct jinja_args { /* those by name behind those by place */
    struct jinja_value *values;
    const char **names; /* NULL for those by place */
    size_t count;
};

/* The number of a filter or a test, -1 when there is none of that name. */
int jinja_filter_find(const char *name);
int jinja_test_find(const char *name);
enum err jinja_filter(struct jinja_run *r, int filter, const struct jinja_value *v,
                      const struct jinja_args *args, struct jinja_value *out) MUST_USE;
enum err jinja_test(struct jinja_run *r, int test, const struct jinja_value *v,
                    const struct jinja_args *args, bool *out) MUST_USE;

bool jinja_has_method(const struct jinja_value *v, const char *name);
enum err jinja_method(struct jinja_run *r, const struct jinja_value *v, const char *name,
                      const struct jinja_args *args, struct jinja_value *out) MUST_USE;

/* v[key]; undefined when there is none. */
enum err jinja_item(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *key,
                    struct jinja_value *out) MUST_USE;
/* The items of a value that can be walked: of a dict its keys, of a string its characters. */
enum err jinja_items(struct jinja_run *r, const struct jinja_value *v,
                     struct jinja_value *out) MUST_USE;
/* v[from:to:step]; each NULL or none where nothing stands. */
enum err jinja_slice(struct jinja_run *r, const struct jinja_value *v,
                     const struct jinja_value parts[3], struct jinja_value *out) MUST_USE;

#endif
