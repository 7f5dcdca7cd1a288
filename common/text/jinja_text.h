/* SPDX-License-Identifier: Apache-2.0 */
/* jinja_text.h: what Python's strings can do, over strings that know where they come from. A
 * letter's case beyond ASCII is refused where Python's answer is not one character. */
#ifndef GRAFT_TEXT_JINJA_TEXT_H
#define GRAFT_TEXT_JINJA_TEXT_H

#include "common/text/jinja_value.h"

enum { JINJA_LEFT = 1, JINJA_RIGHT = 2 };
/* Without what of `chars` (NULL: white space) stands at the sides. */
enum err jinja_strip(struct jinja_run *r, const struct jinja_string *s,
                     const struct jinja_string *chars, int sides, struct jinja_value *out) MUST_USE;
enum jinja_case { JINJA_UPPER, JINJA_LOWER, JINJA_TITLE, JINJA_TITLE_FILTER, JINJA_CAPITAL };
enum err jinja_recase(struct jinja_run *r, const struct jinja_string *s, enum jinja_case way,
                      struct jinja_value *out) MUST_USE;
/* At `separator` (NULL: white space), at most `most` times (< 0: everywhere), from the right or
 * not. */
enum err jinja_split(struct jinja_run *r, const struct jinja_string *s,
                     const struct jinja_string *separator, int64_t most, bool right,
                     struct jinja_value *out) MUST_USE;
enum err jinja_lines(struct jinja_run *r, const struct jinja_string *s, bool keep,
                     struct jinja_value *out) MUST_USE;
enum err jinja_replace(struct jinja_run *r, const struct jinja_string *s,
                       const struct jinja_string *from, const struct jinja_string *to, int64_t most,
                       struct jinja_value *out) MUST_USE;
enum err jinja_join(struct jinja_run *r, const struct jinja_list *items,
                    const struct jinja_string *between, struct jinja_value *out) MUST_USE;
/* Every line but the first behind `width` blanks, blank ones when `blank`. */
enum err jinja_indent(struct jinja_run *r, const struct jinja_string *s,
                      const struct jinja_string *by, bool first, bool blank,
                      struct jinja_value *out) MUST_USE;
/* In characters, -1 when it is not there; of the last one when `last`. */
enum err jinja_find(struct jinja_run *r, const struct jinja_string *s,
                    const struct jinja_string *what, bool last, int64_t *out) MUST_USE;
enum err jinja_count(struct jinja_run *r, const struct jinja_string *s,
                     const struct jinja_string *what, int64_t *out) MUST_USE;
enum jinja_class { JINJA_ALL_SPACE, JINJA_ALL_DIGITS, JINJA_ALL_LOWER, JINJA_ALL_UPPER };
enum err jinja_is_all(struct jinja_run *r, const struct jinja_string *s, enum jinja_class which,
                      bool *out) MUST_USE;

#endif
