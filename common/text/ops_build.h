/* SPDX-License-Identifier: Apache-2.0 */
/* ops_build.h: the specification of a byte-level BPE tokenizer as data, for those who make one: the
 * learner, importers. */
#ifndef GRAFT_TEXT_OPS_BUILD_H
#define GRAFT_TEXT_OPS_BUILD_H

#include <stdbool.h>
#include "formats/msgpack.h"

enum { SPECIAL_ROLE_MAX = 8 };

/* "ROLE=TOKEN" or "TOKEN": the token; its role or "" in `role`. <|endoftext|> is eos without being
 * told. */
const char *special_role(const char *special, char role[SPECIAL_ROLE_MAX]);

/* The list of one pre-tokeniser: a named one, or "regex" when an expression is given. Fills *list.
 */
enum err ops_pretokenizer(struct errctx *e, struct mp_value *list, const char *name,
                          const char *regex) MUST_USE;

/* Fills the map *ops. `special` maps roles to ids; one with cls and sep makes an encoder's template
 * of them. */
enum err ops_byte_bpe(struct errctx *e, struct mp_value *ops, const struct mp_value *pretokenizer,
                      bool ignore_merges, const struct mp_value *special) MUST_USE;

#endif
