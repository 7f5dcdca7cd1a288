/* SPDX-License-Identifier: Apache-2.0 */
/* learn_tokenizer.h: text in, a byte-level BPE tokenizer or a Unigram one with byte fallback out.
 *
 *   text -> [special tokens split off] -> pretokenizer -> counted words -> merges -> specification
 *                                                                     \-> pieces -/
 *
 * Text is streamed: only the counts of distinct words are held. Counting runs in threads, each with
 * a table of its own; a long document is counted in pieces cut where the pre-tokeniser may be cut,
 * so the result depends on neither. Ids: the special tokens in the order given, the 256 bytes in
 * GPT-2's order, the merges; or the 256 bytes by value, the pieces with the best first. */
#ifndef GRAFT_TEXT_LEARN_TOKENIZER_H
#define GRAFT_TEXT_LEARN_TOKENIZER_H

#include <stdbool.h>
#include "formats/tokenizer.h"

struct learn_cfg {
    bool unigram;               /* else BPE */
    int64_t vocab;              /* ids in all */
    int64_t min_count;          /* of a pair that is merged, of a piece */
    const char *pattern;        /* name of a pre-tokeniser, or NULL: */
    const char *regex;          /* an expression */
    const char *const *special; /* "TOKEN" or "ROLE=TOKEN" */
    size_t special_count;
    int threads;
};

struct learner;
/* ERR_USAGE: a vocabulary that cannot hold bytes and specials, a special twice or empty, an unknown
 * pattern. */
enum err learner_new(struct errctx *e, const struct learn_cfg *cfg, struct learner **out) MUST_USE;
/* More of the current document (valid UTF-8); `end`: it ends here. The text is copied. */
enum err learner_text(struct errctx *e, struct learner *l, const char *text, size_t n,
                      bool end) MUST_USE;
/* Learns. The vocabulary is smaller than asked when pairs run out. */
enum err learner_finish(struct errctx *e, struct learner *l, struct tokenizer_spec *out) MUST_USE;
/* Words and distinct words counted (after _finish). */
void learner_counts(const struct learner *l, uint64_t *bytes, uint64_t *words);
void learner_free(struct learner *l);

#endif
