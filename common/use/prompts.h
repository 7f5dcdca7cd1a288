/* SPDX-License-Identifier: Apache-2.0 */
/* prompts.h: where prompts come from (texts of the command line, lines or JSON lines of files or
 * stdin) and where their continuations go (plain text as it is made, or JSON lines).
 *
 * In lines, a line is a prompt, an empty one too. In JSON lines the prompt is a field of each
 * object. */
#ifndef GRAFT_USE_PROMPTS_H
#define GRAFT_USE_PROMPTS_H

#include "common/base/io.h"
#include "common/base/opts.h"
#include "common/use/generate.h"

enum prompts_format { PROMPTS_AUTO /* by extension */, PROMPTS_LINES, PROMPTS_JSONL };

struct prompts_cfg {
    struct opt_list prompt; /* texts; when there is none, operands */
    int format;             /* enum prompts_format */
    const char *field;      /* of JSON lines */
    bool echo;              /* the text is printed behind its prompt */
    bool json;              /* results as JSON lines; always so for JSON lines */
};
extern const struct opt prompts_table[]; /* all but json */
#define PROMPTS_CFG ((struct prompts_cfg){.field = "text"})

struct prompts;

/* Files are opened when their turn comes; none: stdin. Results go to `output` (NULL: stdout),
 * complete or not at all when it is a regular file. ERR_USAGE when both texts and files are given.
 */
enum err prompts_open(struct errctx *e, const struct prompts_cfg *cfg, const struct opt_list *files,
                      const char *output, struct prompts **out) MUST_USE;
/* What generate_run reads from and writes to. */
struct generate_io prompts_io(struct prompts *p);
/* Commits the output when r is ERR_OK, drops it otherwise; frees. Returns the first error. */
enum err prompts_close(struct errctx *e, struct prompts *p, enum err r);

#endif
