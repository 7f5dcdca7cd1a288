/* SPDX-License-Identifier: Apache-2.0 */
/* prediction.h: what a model's heads say of each row, as JSON lines:
 *
 *   {kept fields, "label": "card_arrival", "probability": 0.97}                    class
 *   {.., "labels": ["a", "b"], "probabilities": {"a": 0.9, "b": 0.6}}              classes
 *   {.., "value": 3.7}                                                             number
 *   {.., "labels": ["O", "PER", null, ..]}                                         tokens
 *
 * With several heads each has an object under its label's name. Of a document in several cuts each
 * has a line, with "part". A class that is not sure enough (--least) is null. */
#ifndef GRAFT_USE_PREDICTION_H
#define GRAFT_USE_PREDICTION_H

#include "common/base/io.h"
#include "common/base/opts.h"
#include "common/use/row_pass.h"

struct prediction_cfg {
    const char *tasks; /* names of labels with commas; NULL: all that the model has heads for */
    int64_t top;       /* so many classes with their probabilities, 0: the best alone */
    double least;      /* probability below which a class is not said; of "classes": 0.5 if unset */
    bool least_given;
};
extern const struct opt prediction_table[];
#define PREDICTION_CFG ((struct prediction_cfg){0})

struct prediction;
/* For rows that begin with `tokens`. ERR_INPUT: the model has no heads; ERR_USAGE: none of a name.
 */
enum err prediction_new(struct errctx *e, struct model *m, const struct prediction_cfg *cfg,
                        const struct stream_begin *tokens, struct outfile *out,
                        struct prediction **p) MUST_USE;
void prediction_free(struct prediction *p);
/* For row_pass_run, with the prediction as ctx. */
enum err prediction_batch(struct errctx *e, void *prediction, const struct batch *b,
                          const struct stream_rows *rows) MUST_USE;

#endif
