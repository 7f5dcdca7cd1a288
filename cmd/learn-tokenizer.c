/* SPDX-License-Identifier: Apache-2.0 */
/* learn-tokenizer.c: text in, a vocabulary learned from it out, as a tokenizer stream. */
#include <inttypes.h>

#include "common/flow/stage.h"
#include "common/text/documents.h"
#include "common/text/learn_tokenizer.h"

#define PATTERNS "gpt2|cl100k|llama3|o200k"
static const char *const patterns[] = {"gpt2", "cl100k", "llama3", "o200k"};

struct opts {
    struct common common;
    struct documents_cfg documents;
    int type, pattern;
    int64_t vocab, min_count;
    const char *regex;
    struct opt_list special;
};
static struct opts opts = {.common = COMMON, .documents = DOCUMENTS_CFG, .min_count = 2};

static const struct opt table[] = {
    {"type", 0, OPT_CHOICE, offsetof(struct opts, type), "bpe|unigram", "kind of model to learn"},
    {"vocab", 0, OPT_INT, offsetof(struct opts, vocab), "N",
     "size of the vocabulary, the 256 bytes and special tokens included", OPT_REQUIRED, 1, 1 << 24},
    {"special", 0, OPT_LIST, offsetof(struct opts, special), "[ROLE=]TOKEN",
     "a special token; ROLE is bos, eos, unk, pad, cls, sep or mask (default: "
     "eos=<|endoftext|>, of unigram also unk=<unk>)"},
    {"pattern", 0, OPT_CHOICE, offsetof(struct opts, pattern), PATTERNS,
     "how text is cut into words"},
    {"regex", 0, OPT_STRING, offsetof(struct opts, regex), "EXPR",
     "cut text into the matches of this expression (PCRE2) instead"},
    {"min-count", 0, OPT_INT, offsetof(struct opts, min_count), "N",
     "a pair that occurs less often is not merged, a string is no piece", 0, 1, 1e15},
    OPT_END};

static struct opt_set sets[] = {{"Learning", table, &opts},
                                {"Text", documents_opts, &opts.documents},
                                {"Common", common_output, &opts.common},
                                {"Common", common_threads, &opts.common},
                                {"Common", common_chatter, &opts.common},
                                OPT_SET_END};

static enum err read_text(struct errctx *e, struct stage *stage, const struct opt_list *operands,
                          struct learner *l)
{
    struct documents *d;
    struct document document;
    bool more = true;
    enum err r;

    opts.documents.pieces = opts.documents.progress = true;
    TRY(documents_open(e, &stage->run, &opts.documents, operands, &d));
    do {
        r = documents_next(e, d, &document, &more);
        if (r == ERR_OK && more) r = learner_text(e, l, document.text, document.n, document.end);
    } while (r == ERR_OK && more);
    stage->bytes_read = documents_bytes(d);
    documents_close(d);
    return r;
}

static enum err write_tokenizer(struct errctx *e, struct stage *stage,
                                const struct tokenizer_spec *s)
{
    struct stream_begin begin;
    enum err r;

    TRY(tokenizer_spec_begin(e, s, &begin));
    r = stage_output(e, stage, &begin);
    if (r == ERR_OK) r = tokenizer_spec_write(e, s, stage->output, 0);
    stream_begin_fini(&begin);
    return r;
}

static enum err learn(struct errctx *e, struct stage *stage, const struct opt_list *operands)
{
    static const char *const usual[] = {"<|endoftext|>", "unk=<unk>"};
    struct learn_cfg cfg = {.unigram = opts.type == 1,
                            .vocab = opts.vocab,
                            .min_count = opts.min_count,
                            .pattern = patterns[opts.pattern],
                            .regex = opts.regex,
                            .special = opts.special.count ? opts.special.items : usual,
                            .special_count = opts.special.count ? opts.special.count
                                             : opts.type == 1   ? 2
                                                                : 1,
                            .threads = common_thread_count(&opts.common)};
    struct tokenizer_spec spec;
    struct learner *l;
    uint64_t bytes, words;
    enum err r;

    TRY(learner_new(e, &cfg, &l));
    r = read_text(e, stage, operands, l);
    if (r == ERR_OK) r = learner_finish(e, l, &spec);
    if (r == ERR_OK) {
        learner_counts(l, &bytes, &words);
        prog_note("%" PRIu64 " bytes of text, %" PRIu64 " distinct words, %" PRId64 " tokens",
                  bytes, words, spec.vocab);
        if (spec.vocab < opts.vocab)
            prog_warn("only %" PRId64 " of %" PRId64 " ids: nothing is left that occurs %" PRId64
                      " times (--min-count)",
                      spec.vocab, opts.vocab, opts.min_count);
        r = write_tokenizer(e, stage, &spec);
        tokenizer_spec_fini(&spec);
    }
    learner_free(l);
    return r;
}

static enum err run(struct errctx *e, const struct prog *p, const struct opt_list *operands)
{
    struct stage stage;
    enum err r = stage_open_run(e, &stage, p, &opts.common);

    if (r == ERR_OK && opts.regex && opts_given(sets, "pattern"))
        r = err_set(e, ERR_USAGE, "give one of --pattern and --regex");
    if (r == ERR_OK) r = stage_output_check(e, &stage); /* not after hours */
    if (r == ERR_OK) r = learn(e, &stage, operands);
    return stage_close(e, &stage, r);
}

int main(int argc, char **argv)
{
    static const struct prog p = {.name = "learn-tokenizer",
                                  .summary = "learn a vocabulary from text",
                                  .synopsis = "--vocab N [OPTION ...] [FILE ...]",
                                  .needs_input = true,
                                  .sets = sets,
                                  .run = run};
    return prog_main(&p, argc, argv);
}
