/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate_print.h: a result as a table for people, or as one JSON line; a document's sums as one
 * JSON line. A number that does not exist is "-" there, null here. */
#ifndef GRAFT_JUDGE_EVALUATE_PRINT_H
#define GRAFT_JUDGE_EVALUATE_PRINT_H

#include <stdio.h>
#include "common/judge/evaluate.h"
#include "formats/lineage.h"

void evaluate_print_text(const struct evaluate_result *r, const struct evaluate_cfg *cfg,
                         FILE *out);
/* Numeric mode, CPU type and inputs with their ids come from the run. */
enum err evaluate_print_json(struct errctx *e, const struct evaluate_result *r,
                             const struct evaluate_cfg *cfg, const struct run *run,
                             FILE *out) MUST_USE;
/* Writes for each document of a finished evaluation a line {"doc": hex, "rows", "tokens", "loss"
 * (mean), "perplexity", "bits_per_byte", "top1", "top5", "bytes", "chars"} to the file `path`,
 * complete or not at all. */
enum err evaluate_documents_write(struct errctx *e, const struct evaluation *v,
                                  const struct evaluate_result *r, const char *path) MUST_USE;

#endif
