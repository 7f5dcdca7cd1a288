/* SPDX-License-Identifier: Apache-2.0 */
/* objective.h: what a row asks the model to predict: targets and weights for each place of a batch.
 *
 *   causal   place t predicts token t + 1; the last place and the places whose successor is `skip`
 *            (context only) or has loss 0 predict nothing. Every token that is not skipped is
 *            scored exactly once over all cuts of a document.
 *   masked   Hugging Face's collator: each token that is not special is chosen with probability
 *            0.15; of the chosen 80 % become [MASK], 10 % a random token, 10 % stay. exact:
 *            round(0.15 n) tokens, at least 1, as the original BERT. whole_words: choices are made
 *            for words (a piece that goes on a word goes with it).
 *
 * Randomness: Philox (seed, RNG_MASK), counter (epoch-free row ordinal, position): the same row
 * elsewhere in the stream is masked otherwise, the same ordinal always equally, whatever the
 * batch. */
#ifndef GRAFT_MODEL_OBJECTIVE_H
#define GRAFT_MODEL_OBJECTIVE_H

#include "common/base/opts.h"
#include "common/model/batch.h"
#include "formats/tokenizer.h"
#include "formats/tokens.h"

enum objective_kind {
    OBJECTIVE_AUTO /* by the model: causal or masked */,
    OBJECTIVE_CAUSAL,
    OBJECTIVE_MASKED
};

struct objective_cfg {
    int kind; /* enum objective_kind */
    double mask_fraction;
    bool mask_exact, mask_whole_words;
    const char *given; /* an option of masking on the command line, NULL: none */
};
extern const struct opt objective_table[];
#define OBJECTIVE_CFG ((struct objective_cfg){.mask_fraction = 0.15})

/* Notes which options of masking were given, if only with their default values: to refuse them
 * where they would do nothing. To be called after opts_parse. */
void objective_note_given(struct objective_cfg *cfg, const struct opt_set *sets);

struct objective;
enum err objective_new(struct errctx *e, const struct objective_cfg *cfg, bool causal_model,
                       const struct tokenizer_spec *spec, uint64_t seed,
                       struct objective **out) MUST_USE;
void objective_free(struct objective *o);
/* Appends the row to the batch with its targets (grain as in batch_append). *scored gets the sum of
 * its weights. */
enum err objective_append(struct errctx *e, struct objective *o, const struct tokens_layout *l,
                          const struct tokens_row *row, int64_t ordinal, int64_t grain,
                          struct batch *b, double *scored) MUST_USE;

#endif
