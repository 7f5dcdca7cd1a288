/* SPDX-License-Identifier: Apache-2.0 */
/* charsmap.h: SentencePiece's table of rewritings ("precompiled_charsmap"): strings and what stands
 * for them, as a double-array trie.
 *
 *   u32 bytes of the trie, its units (u32 each), then the texts, each ended by a zero
 *
 * A unit holds the label of the byte that leads to it, the distance of its children (their place is
 * its own exclusive-or distance exclusive-or byte), and whether a value is among them. Reference:
 * S. Yata's Darts-clone; SentencePiece, src/normalizer.cc; Hugging Face's spm_precompiled, which
 * rewrites graphemes instead of what is longest. */
#ifndef GRAFT_TEXT_CHARSMAP_H
#define GRAFT_TEXT_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/err.h"

struct charsmap {
    uint32_t *units;
    size_t units_count;
    char *texts; /* ends with a zero */
    size_t texts_len;
};
/* From the blob. ERR_INPUT when it is none. */
enum err charsmap_init(struct errctx *e, const void *blob, size_t n, struct charsmap *c) MUST_USE;
void charsmap_fini(struct charsmap *c);

/* What the beginning of s[0..n), valid UTF-8, n >= 1, becomes: its length is returned, *to[0..*len)
 * stands for it; *to NULL: it stays. `graphemes`: as Hugging Face has it; *rest, 0 at first, is
 * what is left of a grapheme that goes by character. */
size_t charsmap_step(const struct charsmap *c, bool graphemes, const uint8_t *s, size_t n,
                     size_t *rest, const char **to, size_t *len);

#endif
