/* SPDX-License-Identifier: Apache-2.0 */
/* prompts.h: where prompts come from (texts of the command line, or documents of files or stdin)
 * and where their continuations go (plain text as it is made, or JSON lines).
 *
 * A file whose name does not tell its form is lines: a line is a prompt, an empty one too. Results
 * are JSON lines when they are asked for, or when a file of prompts is records (jsonl, csv, tsv).
 */
#ifndef GRAFT_USE_PROMPTS_H
#define GRAFT_USE_PROMPTS_H

#include "common/base/io.h"
#include "common/base/opts.h"
#include "common/text/documents.h"
#include "common/use/generator.h"

struct prompts_cfg {
    struct opt_list prompt; /* texts; when there is none, operands */
    bool echo;              /* the text is printed behind its prompt */
    bool json;              /* results as JSON lines */
};
extern const struct opt prompts_table[]; /* all but json */
/* Of documents_cfg; as its own table, but for what a file without a known extension is. */
extern const struct opt prompts_documents_table[];
#define PROMPTS_CFG ((struct prompts_cfg){0})

struct prompts;

/* Files are opened when their turn comes; none: stdin. They become inputs of `run`. Results go to
 * `output` (NULL: stdout), complete or not at all when it is a regular file. ERR_USAGE when both
 * texts and files are given. */
enum err prompts_open(struct errctx *e, struct run *run, const struct prompts_cfg *cfg,
                      const struct documents_cfg *documents, const struct opt_list *files,
                      const char *output, struct prompts **out) MUST_USE;
/* What generator_run reads from and writes to. */
struct generator_io prompts_io(struct prompts *p);
/* Commits the output when r is ERR_OK, drops it otherwise; frees. Returns the first error. */
enum err prompts_close(struct errctx *e, struct prompts *p, enum err r);

#endif
