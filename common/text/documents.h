/* SPDX-License-Identifier: Apache-2.0 */
/* documents.h: documents out of text files, one after another, in constant memory (but for the
 * longest document).
 *
 *   lines       a document per line, without its newline
 *   paragraphs  runs of lines between blank ones
 *   files       a document per file (an empty file has none)
 *   jsonl       a document per JSON object: the string of one field, or the conversation of one
 *   csv, tsv    a document per record: one column, by its name in the header or by number
 *   conll       a document per sentence: a word per line, its columns between tabs or spaces, with
 *               a blank line behind the last; the text is the words with a space between
 *
 * With a record come the other fields that are asked for: what its labels are.
 *
 * Every byte is checked to be UTF-8 before anything looks at it: a fault is an error with file,
 * line and byte, or becomes U+FFFD. Each file is an input of the run, by the XXH3-128 of its bytes.
 */
#ifndef GRAFT_TEXT_DOCUMENTS_H
#define GRAFT_TEXT_DOCUMENTS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/opts.h"
#include "common/text/document.h"
#include "formats/lineage.h"

/* Options -f --text --no-header --invalid; --pair; and --keep. */
extern const struct opt documents_opts[];
extern const struct opt documents_pair_opts[];
extern const struct opt documents_keep_opts[];

struct documents;
/* Files are opened when their turn comes; none: stdin. `run` may be NULL. */
enum err documents_open(struct errctx *e, struct run *run, const struct documents_cfg *cfg,
                        const struct opt_list *paths, struct documents **out) MUST_USE;
/* *more is false after the last document of the last file. */
enum err documents_next(struct errctx *e, struct documents *d, struct document *out,
                        bool *more) MUST_USE;
/* Bytes of text files read so far. */
uint64_t documents_bytes(const struct documents *d);
/* What a document is in the file `path` (NULL: stdin). */
int documents_form(const struct documents_cfg *cfg, const char *path);
void documents_close(struct documents *d);

#endif
