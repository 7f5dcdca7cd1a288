/* SPDX-License-Identifier: Apache-2.0 */
/* export_check.h: whether what was read back from a file is the tokenizer that was written to it.
 * Knows what a file may lose without a change of ids: the text of tokens that are not used, and
 * scores that have become merges. */
#ifndef GRAFT_TEXT_EXPORT_CHECK_H
#define GRAFT_TEXT_EXPORT_CHECK_H

#include "formats/tokenizer.h"

/* ERR_INPUT names the first part that `form`, the name of a file, has not kept. */
enum err export_check(struct errctx *e, const struct tokenizer_spec *written,
                      const struct tokenizer_spec *read, const char *form) MUST_USE;

#endif
