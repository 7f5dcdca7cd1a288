/* SPDX-License-Identifier: Apache-2.0 */
/* labelling.h: the fields of records as labels: which of them, what their classes are, and what is
 * wrong with them.
 *
 *   --label NAME[=FIELD][:KIND],...     FIELD is NAME unless it is said, KIND is class
 *
 *   class     the field's text, or number as it is written, is the name of the row's class
 *   classes   a list of names: of JSON, or in one text with --label-separator between
 *   number    a number
 *   tokens    a class for each word of documents that are words
 *
 * Class names stand before the rows. They come from --classes, or the files are read twice: first
 * for the names, which a pipe cannot be.
 *
 * A document whose text is empty is left out; one without a label, or of a class that is not known,
 * goes on as a row without that label. Both are counted and said, the first with its line; or
 * (--labels-strict) they are errors. A number that is none is an error. */
#ifndef GRAFT_TEXT_LABELLING_H
#define GRAFT_TEXT_LABELLING_H

#include "common/base/mem.h"
#include "common/base/opts.h"
#include "common/text/documents.h"
#include "formats/labels.h"
#include "formats/lineage.h"

struct labelling_cfg {
    const char *label;       /* NULL: none */
    struct opt_list classes; /* [NAME=]FILE */
    const char *separator;
    const char *group; /* field of what must stay on one side of a split; NULL: none */
    bool strict;
};
extern const struct opt labelling_opts[];

struct labelling;
/* Reads the files of classes, as inputs of the run, and sets what `documents` has to deliver:
 * fields, words. ERR_USAGE: labels, files and kinds that do not belong together. `cfg` and `paths`
 * stay the caller's. */
enum err labelling_new(struct errctx *e, struct run *run, const struct labelling_cfg *cfg,
                       struct documents_cfg *documents, const struct opt_list *paths,
                       struct labelling **out) MUST_USE;
/* Finds the classes that are not known yet, by reading all files. ERR_USAGE: one is a pipe. Warns
 * of labels that tell nothing apart, or look like numbers. */
enum err labelling_collect(struct errctx *e, struct labelling *l,
                           const struct documents_cfg *documents) MUST_USE;
void labelling_free(struct labelling *l);

/* To be declared; there are none before labelling_collect. */
struct labels *labelling_labels(struct labelling *l);
bool labelling_has_group(const struct labelling *l);
/* Documents that are not left out, when labelling_collect has seen them, else -1. */
int64_t labelling_documents(const struct labelling *l);

/* What a document's row has of labels: for each its u32 count of values, then those, 4 bytes each
 * (of tokens: one per word). Appended to `out`. *keep is false when the document is left out. */
enum err labelling_take(struct errctx *e, struct labelling *l, const struct document *d,
                        struct bytes *out, uint64_t *group, bool *keep) MUST_USE;
/* After the last: says what was wrong. ERR_INPUT: a label that no document has. */
enum err labelling_finish(struct errctx *e, struct labelling *l) MUST_USE;

#endif
