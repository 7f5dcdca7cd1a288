/* SPDX-License-Identifier: Apache-2.0 */
/* family_gguf_rope.h: rotary positions with their scalings as GGUF has them: keys, and tensors of
 * divisors of the frequencies; for common/convert only. */
#ifndef GRAFT_CONVERT_FAMILY_GGUF_ROPE_H
#define GRAFT_CONVERT_FAMILY_GGUF_ROPE_H

#include "common/convert/family.h"

/* Which tensors of divisors llama.cpp looks at in models of an architecture. */
enum gguf_divisors { DIVISORS_NONE = 0, DIVISORS_FREQS = 1, DIVISORS_LONGROPE = 2 };

/* What follows from the keys; problems go to `f`. */
enum err gguf_rope_finish(struct errctx *e, struct family_config *x, struct findings *f,
                          unsigned divisors) MUST_USE;
/* The other way, before keys are written. */
void gguf_rope_unfinish(struct family_config *x);

#endif
