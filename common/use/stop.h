/* SPDX-License-Identifier: Apache-2.0 */
/* stop.h: stop strings in a text that grows: where the first one begins, and how much of the end
 * may still become one. */
#ifndef GRAFT_USE_STOP_H
#define GRAFT_USE_STOP_H

#include <stddef.h>
#include "common/base/opts.h"

/* Least place at which one of the strings stands in text[0..n), SIZE_MAX when none does.
 * text[0..old) is known to hold none as a whole. */
size_t stop_find(const struct opt_list *stops, const char *text, size_t old, size_t n);

/* Bytes at the end of text[0..n) that are the beginning of a string, but not all of it. With
 * strings in UTF-8 they start at a character of the text. */
size_t stop_held(const struct opt_list *stops, const char *text, size_t n);

#endif
