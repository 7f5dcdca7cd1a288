/* SPDX-License-Identifier: Apache-2.0 */
/* vocab_map.h: from the bytes of a token to its id. Special and unused tokens and those of byte
 * fallback are not in it: a model never makes them from text as such. Of two tokens with the same
 * bytes the lower id is found. */
#ifndef GRAFT_TEXT_VOCAB_MAP_H
#define GRAFT_TEXT_VOCAB_MAP_H

#include <stddef.h>
#include <stdint.h>
#include "formats/tokenizer.h"

struct vocab_map {
    const struct tokenizer_spec *spec; /* borrowed */
    uint32_t *slots;                   /* id + 1, 0: empty */
    size_t mask;
    size_t longest; /* bytes of the longest token */
};
enum err vocab_map_init(struct errctx *e, const struct tokenizer_spec *spec,
                        struct vocab_map *m) MUST_USE;
void vocab_map_fini(struct vocab_map *m);
/* -1 when there is none. */
int64_t vocab_map_find(const struct vocab_map *m, const uint8_t *bytes, size_t n);

#endif
