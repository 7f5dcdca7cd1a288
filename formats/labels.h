/* SPDX-License-Identifier: Apache-2.0 */
/* labels.h: what the rows of a stream are to be told apart by: label columns and the names of
 * their classes.
 *
 * A stream of rows may have columns `label.NAME`, and then says of them in its meta, in order:
 *
 *   "labels"  [{"name": NAME, "kind": KIND, "classes": [s, ..]}, ..]
 *
 *   KIND      column        a row's label
 *   class     I32           index into classes; -1: none
 *   classes   I32 ragged    several indices, ascending; none: an empty list
 *   number    F32           a number; NaN: none. There is no "classes"
 *   tokens    I32 ragged    an index per id; -1: the id has none (special tokens, later pieces of a
 *                           word), it is not scored
 *
 * Class names are not empty, hold no line breaks, differ, and stand in the order of their bytes, as
 * scikit-learn's LabelEncoder has strings: the same names have the same numbers everywhere. Streams
 * join only where they agree. What is made of a stream and keeps its rows (features, logits) keeps
 * the columns and their names; heads and adapters hold the same list of what they tell apart.
 *
 * Ownership: labels_init/_fini; a struct label found in it is a view. Nothing here is changed by
 * reading rows. */
#ifndef GRAFT_FORMATS_LABELS_H
#define GRAFT_FORMATS_LABELS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"
#include "formats/stream.h"

#define LABELS_PREFIX "label." /* of the columns */
enum {
    LABELS_MAX_NAME = STREAM_MAX_NAME - 6,
    LABELS_LIMIT = STREAM_BEGIN_LIMIT - (64 << 10), /* bytes of them all in a begin record */
};

enum label_kind { LABEL_CLASS, LABEL_CLASSES, LABEL_NUMBER, LABEL_TOKENS };
/* "class", "classes", "number", "tokens". */
const char *label_kind_name(enum label_kind kind);
/* False when there is no such kind. */
bool label_kind_find(const char *name, size_t n, enum label_kind *out);

struct label {
    char *name;
    enum label_kind kind;
    char **classes; /* sorted; of LABEL_NUMBER none */
    int64_t classes_count;
    int64_t column; /* of the stream it was found in or declared for; -1 */
};

struct labels { /* zero-initialised: none */
    struct label *items;
    int64_t count;
};
void labels_fini(struct labels *l);

/* ---- building ---- */

/* One more, without classes; *out is a view until the next. ERR_USAGE: a name that is empty, too
 * long, or there already. */
enum err labels_add(struct errctx *e, struct labels *l, const char *name, enum label_kind kind,
                    struct label **out) MUST_USE;
/* Its classes: copied and sorted. ERR_INPUT: one that is empty, has a line break, or stands twice.
 */
enum err label_set_classes(struct errctx *e, struct label *l, const char *const *names,
                           int64_t count) MUST_USE;
/* Adds the columns (behind those that are there) and the meta to b. ERR_INPUT: more classes than a
 * begin record has room for. */
enum err labels_declare(struct errctx *e, struct labels *l, struct stream_begin *b) MUST_USE;
/* The meta "labels" alone, for what has no rows (heads, adapters) and for rows whose columns are
 * there already. */
enum err labels_to_meta(struct errctx *e, const struct labels *l, struct mp_value *meta) MUST_USE;

/* ---- finding ---- */

/* Those of a stream of rows, every one with its column; none: count 0. ERR_INPUT: names, columns
 * and kinds that do not belong together. */
enum err labels_from_begin(struct errctx *e, const struct stream_begin *b,
                           struct labels *out) MUST_USE;
/* Those of a meta alone; columns are -1. */
enum err labels_from_meta(struct errctx *e, const struct mp_value *meta,
                          struct labels *out) MUST_USE;
/* The one that is named, or with task NULL the only one. ERR_USAGE names those that exist; `name`:
 * of the stream. */
enum err labels_find(struct errctx *e, const struct labels *l, const char *task, const char *name,
                     const struct label **out) MUST_USE;
/* The number of a class, -1 when there is none of that name. */
int64_t label_class(const struct label *l, const char *name);
/* Numbers of the classes of `data` among those of `known` (of a head, say): data class i is
 * (*map)[i], new memory. ERR_INPUT names the first that `known` has not, or that the kinds differ.
 */
enum err label_map(struct errctx *e, const struct label *data, const char *data_name,
                   const struct label *known, const char *known_name, int32_t **map) MUST_USE;

/* Whether two metas have the same labels; ERR_INPUT names the label or the class that differs. */
enum err labels_match(struct errctx *e, const struct mp_value *a, const char *a_name,
                      const struct mp_value *b, const char *b_name) MUST_USE;

/* ---- rows ---- */

/* The label of row i, by the kind of l. ERR_INPUT names the row and a number that is no class. */
enum err label_row_class(struct errctx *e, const struct label *l, const struct stream_rows *rows,
                         int64_t i, int32_t *out) MUST_USE;
enum err label_row_number(struct errctx *e, const struct label *l, const struct stream_rows *rows,
                          int64_t i, float *out) MUST_USE;
/* Of LABEL_CLASSES (ascending) and LABEL_TOKENS; a view. */
enum err label_row_list(struct errctx *e, const struct label *l, const struct stream_rows *rows,
                        int64_t i, const int32_t **list, int64_t *n) MUST_USE;

#endif
