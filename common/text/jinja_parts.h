/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_parts.h: parts of values: members, items, slices. */
#ifndef GRAFT_TEXT_JINJA_PARTS_H
#define GRAFT_TEXT_JINJA_PARTS_H

#include "common/text/jinja_value.h"

/* v[key]; undefined when there is none. */
enum err jinja_item(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *key,
                    struct jinja_value *out) MUST_USE;
/* The same along a.b.c, for filters that name an attribute. */
enum err jinja_item_path(struct jinja_run *r, const struct jinja_value *v,
                         const struct jinja_value *path, struct jinja_value *out) MUST_USE;
/* The items of a value that can be walked: of a dict its keys, of a string its characters. */
enum err jinja_items(struct jinja_run *r, const struct jinja_value *v,
                     struct jinja_value *out) MUST_USE;
/* v[from:to:step]; each NULL or none where nothing stands. */
enum err jinja_slice(struct jinja_run *r, const struct jinja_value *v,
                     const struct jinja_value parts[3], struct jinja_value *out) MUST_USE;
/* A list of [key, value] tuples. */
enum err jinja_dict_items(struct jinja_run *r, const struct jinja_value *v,
                          struct jinja_value *out) MUST_USE;
bool jinja_is_list(const struct jinja_value *v); /* or a tuple */
/* Of a string its characters, of a list or dict its items. */
int64_t jinja_length(const struct jinja_value *v);

#endif
