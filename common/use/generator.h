/* SPDX-License-Identifier: Apache-2.0 */
/* generator.h: prompts in, continuations out, several at a time and in the order of the prompts.
 *
 *   prompts -> slots of the decoder (a free one takes the next prompt) -> one step for all
 *           -> one draw for each -> text
 *                                    |
 *   results wait until those of the prompts before them are out
 *
 * A continuation depends on the model, the options, its own prompt and the number of its sample, on
 * nothing else: numbers of one sequence do not depend on the company (kernels' skinny products),
 * and u of token t is Philox of key (seed, RNG_GENERATE), counter (XXH3-64 of the prompt's text lo,
 * hi, sample, t). Two equal prompts have equal texts.
 *
 * What a prompt begins with is taken from a prompt that has been computed and lies in a slot still,
 * as far as the two are alike: to the bit what it would be.
 *
 * A prompt begins as a document does in training: with the tokenizer's BOS, or its end-of-text
 * token. A sequence ends at the end-of-text token, at a stop string (matched on the text, cut
 * before it), after cfg.tokens tokens, or when the model's context is full.
 *
 * Text comes in whole UTF-8 characters, and only when it can no longer become part of a stop
 * string. */
#ifndef GRAFT_USE_GENERATOR_H
#define GRAFT_USE_GENERATOR_H

#include "common/base/opts.h"
#include "common/model/model.h"
#include "common/use/sampler.h"

struct generator_cfg {
    int64_t tokens;  /* at most, of one continuation */
    int64_t samples; /* of each prompt */
    int64_t batch;   /* sequences decoded together */
    int64_t context; /* most tokens of a sequence; 0: the model's context */
    int64_t seed;
    bool chat; /* prompts begin by themselves, and special tokens spelled out in them are tokens */
    struct opt_list stop;
};
extern const struct opt generator_table[]; /* all but seed */
#define GENERATOR_CFG ((struct generator_cfg){.tokens = 100, .samples = 1, .batch = 8})

enum generator_finish { GENERATOR_END, GENERATOR_STOP, GENERATOR_LENGTH, GENERATOR_CONTEXT };
const char *generator_finish_name(enum generator_finish f); /* "end", "stop", "length", "context" */

struct generator_result { /* views, valid during the call */
    const char *prompt, *keep;
    size_t prompt_length, keep_length;
    int64_t number, sample; /* of the prompt, of its sample; from 0 */
    const char *text;
    size_t text_length;
    const uint32_t *ids; /* what was drawn, the end-of-text token included */
    size_t ids_count, prompt_tokens;
    enum generator_finish finish;
    double logprob; /* sum over the ids, as the model has them before the chain; nats */
};

struct generator_prompt { /* views, valid until the next one is asked for */
    const char *text;
    size_t length;
    const char *keep; /* goes with the prompt to its results, unseen; may be NULL */
    size_t keep_length;
};

struct generator_io {
    /* Called once, first: `work` may be called whenever `next` has to wait for input; it finishes
     * what has been begun. */
    void (*waits)(void *ctx, void (*work)(void *work_ctx), void *work_ctx);
    /* The next prompt; *more is false after the last. */
    enum err (*next)(struct errctx *e, void *ctx, struct generator_prompt *prompt, bool *more);
    /* A piece of the text of the result that comes out next, as soon as it is certain; r is what is
     * known of it so far. */
    enum err (*piece)(struct errctx *e, void *ctx, const struct generator_result *r,
                      const char *text, size_t length);
    /* The result is complete; all its text has been given to `piece`. */
    enum err (*done)(struct errctx *e, void *ctx, const struct generator_result *r);
    int64_t prompts; /* how many there are, 0: not known */
    void *ctx;
};

struct generator_stats {
    int64_t prompts;
    int64_t prompt_tokens; /* a prompt counts once for all its samples */
    int64_t shared;        /* of these, taken from other prompts */
    int64_t tokens;        /* drawn */
    double seconds;
};

/* Most tokens of a sequence of such a model. ERR_USAGE: an encoder model, more than it has. */
enum err generator_context(struct errctx *e, const struct generator_cfg *cfg,
                           const struct model_config *c, int64_t *context) MUST_USE;

/* The model needs no memory for batches (model_use.tokens 0). ERR_USAGE: an encoder model, a stop
 * string that is empty or not UTF-8. ERR_INPUT names the prompt (from 1) that is not UTF-8 or
 * longer than the context; results before it are out. */
enum err generator_run(struct errctx *e, struct model *m, const struct generator_cfg *cfg,
                       const struct sampler_cfg *sampler, const struct generator_io *io,
                       struct generator_stats *stats) MUST_USE;

#endif
