/* SPDX-License-Identifier: Apache-2.0 */
/* import_regex.h: the expressions of tokenizer.json. */
#ifndef GRAFT_TEXT_IMPORT_REGEX_H
#define GRAFT_TEXT_IMPORT_REGEX_H

#include "common/base/mem.h"

/* An expression of Oniguruma's in PCRE2's notation, appended to *out; ERR_INPUT for what has no
 * equal. */
enum err import_regex(struct errctx *e, const char *pattern, struct bytes *out) MUST_USE;

#endif
