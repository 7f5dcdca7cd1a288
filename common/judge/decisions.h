/* SPDX-License-Identifier: Apache-2.0 */
/* decisions.h: how often classes were told apart rightly.
 *
 *   of a class    precision = right / said, recall = right / true, F1 = 2 right / (said + true)
 *   accuracy      right / all
 *   macro F1      mean F1 of the classes that were said or true at all
 *   micro F1      2 right / (said + true), summed over classes
 *
 * As scikit-learn has them (f1_score; a class that was neither is in no mean, one that is never
 * right counts 0). With one class a unit, micro F1 is the accuracy. */
#ifndef GRAFT_JUDGE_DECISIONS_H
#define GRAFT_JUDGE_DECISIONS_H

#include <stdint.h>
#include "common/base/attr.h"
#include "common/base/err.h"

struct decisions {
    int64_t classes, units, right;
    struct decisions_class {
        int64_t right, said, truly;
    } * of;
};
enum err decisions_init(struct errctx *e, struct decisions *d, int64_t classes) MUST_USE;
void decisions_fini(struct decisions *d);
void decisions_clear(struct decisions *d);
/* One unit of one class. */
void decisions_add(struct decisions *d, int64_t truth, int64_t said);
/* One unit of any number of classes, both lists ascending; right when they are equal. */
void decisions_add_sets(struct decisions *d, const int32_t *truth, int64_t truth_count,
                        const int32_t *said, int64_t said_count);
/* NaN where there is nothing. */
double decisions_accuracy(const struct decisions *d);
double decisions_macro_f1(const struct decisions *d);
double decisions_micro_f1(const struct decisions *d);

#endif
