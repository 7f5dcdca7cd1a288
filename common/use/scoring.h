/* SPDX-License-Identifier: Apache-2.0 */
/* scoring.h: the log-likelihood of continuations of contexts, and of whole texts in rolling
 * windows, by the conventions of lm-evaluation-harness, so that its tasks can be judged from JSON
 * lines.
 *
 *   pair      the context's white space at its end goes to the continuation; the tokens of
 *             context + continuation behind as many as the context alone has are scored; before an
 *             empty context stands the prefix token, unless the continuation begins with it
 *   rolling   windows of `length` tokens: the first begins with the prefix token, later ones with
 *             the last token before those they score, the last one, which scores fewer, with as
 *             many tokens of the text before as make a full window
 *   input     the last length + 1 tokens but the last: what is too long is cut on the left
 *
 * The prefix token is the tokenizer's bos, else its eos. Texts are encoded with special tokens
 * spelled out in them, and with those that the tokenizer's template puts around a text, unless the
 * text begins with the prefix token. Source: lm_eval api/model.py, models/huggingface.py, utils.py
 * (0.4.13).
 *
 * Requests are computed several at a time, without padding; when input has to be waited for, what
 * has come is. What a request begins with is not computed again when the one before it begins so:
 * the choices of one question cost its context once. A request's numbers do not depend on the
 * others. */
#ifndef GRAFT_USE_SCORING_H
#define GRAFT_USE_SCORING_H

#include "common/base/io.h"
#include "common/base/opts.h"
#include "common/model/model.h"
#include "common/text/documents.h"
#include "formats/lineage.h"

struct scoring_cfg {
    bool rolling;
    int64_t length; /* most tokens of an input; 0: the model's context */
    int64_t micro_tokens;
    struct documents_cfg documents;
};
extern const struct opt scoring_table[];
#define SCORING_CFG                                                                                \
    ((struct scoring_cfg){.micro_tokens = 4 << 10,                                                 \
                          .documents = {.otherwise = DOCUMENT_JSONL, .header = true}})

struct scoring_stats {
    int64_t requests, tokens, computed; /* tokens scored; put through the model */
};

/* For model_use.fit, with the scoring_cfg as fit_ctx. */
void scoring_fit(struct model_use *use, const struct model_config *c);

/* A line of JSON for each record of the files (none: stdin), in their order. ERR_USAGE: a length
 * over the context; options that have no use. ERR_INPUT names the record (from 1) whose
 * continuation is empty or longer than the context. */
enum err scoring_run(struct errctx *e, struct model *m, const struct scoring_cfg *cfg,
                     struct run *run, const struct opt_list *files, struct outfile *out,
                     struct scoring_stats *stats) MUST_USE;

#endif
