/* SPDX-License-Identifier: Apache-2.0 */
/* programs.h: the one table of programs: X(name, group, summary). `graft help`, completion and the
 * tests read it; the summary is the one of the program's `struct prog` and of its page (a test
 * compares them).
 *
 * Every cmd/NAME.c is a program, and a program is glue: top comment, `struct opts`, option table,
 * run(), main(), always in this order, about 120 lines, at most 250; arithmetic, formats and loops
 * live below. To add one, five things (tests/cli/programs.bats misses each of them by name):
 *   1. cmd/NAME.c        the glue; the Makefile finds it
 *   2. this table        its line: group and summary
 *   3. man/graft-NAME.1  the page: NAME, SYNOPSIS, DESCRIPTION, OPTIONS, EXIT STATUS, EXAMPLES;
 *                        `make man` fills the two generated regions, the suite runs the examples
 *   4. tests/            something that runs `graft NAME` in tests/cli or tests/laws
 *   5. options           every set it splices it honours (completion is made from them); what
 *                        changes the content is recorded, so that `graft lineage` shows it:
 *                        OPT_UNRECORDED only for what does not */
#ifndef GRAFT_CMD_PROGRAMS_H
#define GRAFT_CMD_PROGRAMS_H

/* X(group, title), in the order of `graft help`. */
#define PROGRAM_GROUPS(X)                                                                          \
    X(TEXT, "text and tokens")                                                                     \
    X(PLUMBING, "stream plumbing")                                                                 \
    X(MODELS, "models in and out")                                                                 \
    X(LEARNING, "learning")                                                                        \
    X(USING, "using")                                                                              \
    X(JUDGING, "judging")

/* Programs of the group PLUMBING link no pcre2 (a test looks). */
#define PROGRAM_TABLE(X)                                                                           \
    X("learn-tokenizer", TEXT, "learn a vocabulary from text")                                     \
    X("tokenize", TEXT, "turn text into a stream of tokens")                                       \
    X("detokenize", TEXT, "turn tokens back into text")                                            \
    X("cat", PLUMBING, "join streams")                                                             \
    X("head", PLUMBING, "pass on the first rows of a stream")                                      \
    X("shard", PLUMBING, "divide a stream by count, size or named split")                          \
    X("shuffle", PLUMBING, "put the rows of a stream in random order")                             \
    X("mix", PLUMBING, "draw rows from several streams by weight")                                 \
    X("sample", PLUMBING, "draw random rows of a stream")                                          \
    X("inspect", PLUMBING, "say what a stream is")                                                 \
    X("verify", PLUMBING, "check that streams are whole and sound")                                \
    X("sum", PLUMBING, "print checksums of what streams hold")                                     \
    X("diff", PLUMBING, "compare two streams")                                                     \
    X("dump", PLUMBING, "write a stream as text")                                                  \
    X("undump", PLUMBING, "make a stream from its text")                                           \
    X("lineage", PLUMBING, "show the steps that made a stream")                                    \
    X("init", MODELS, "make a model with random weights")                                          \
    X("import", MODELS, "bring in models and tokenizers of other programs")                        \
    X("export", MODELS, "put models and tokenizers into the files of other programs")              \
    X("quantize", MODELS, "store a model's matrices in fewer bits")                                \
    X("pretrain", LEARNING, "train a model on a stream of tokens")                                 \
    X("finetune", LEARNING, "adapt a model's weights to labels or to more text")                   \
    X("lora-train", LEARNING, "train a low-rank adapter beside a model")                           \
    X("extract-features", USING, "turn texts into vectors with a model")                           \
    X("predict", USING, "say the labels of texts with a model")                                    \
    X("generate", USING, "continue prompts with a model")                                          \
    X("logits", USING, "say what a model expects behind each token")                               \
    X("score", USING, "say how likely a model holds texts")                                        \
    X("eval", JUDGING, "judge a model on a stream of tokens")

#endif
