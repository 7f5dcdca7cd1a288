/* SPDX-License-Identifier: Apache-2.0 */
/* require.h: demands on a result, written METRIC OP NUMBER, as in "loss<=3.2" or "top1 >= 0.3".
 * METRIC: a name of evaluate_metric_name, or "accuracy" for top1. OP: < <= > >= == != */
#ifndef GRAFT_JUDGE_REQUIRE_H
#define GRAFT_JUDGE_REQUIRE_H

#include "common/judge/evaluate.h"

struct requirement {
    enum evaluate_metric metric;
    enum { REQUIRE_LT, REQUIRE_LE, REQUIRE_GT, REQUIRE_GE, REQUIRE_EQ, REQUIRE_NE } op;
    double bound;
};
/* ERR_USAGE says what is wrong with the text. */
enum err requirement_parse(struct errctx *e, const char *text, struct requirement *out) MUST_USE;
/* A metric without a value (NaN) meets nothing. */
bool requirement_met(const struct requirement *r, const struct evaluate_result *result);

/* ERR_NO names the first of the texts that is not met and the value; parse them all before the
 * work. */
enum err requirements_check(struct errctx *e, const struct opt_list *texts,
                            const struct evaluate_result *result) MUST_USE;
enum err requirements_parse(struct errctx *e, const struct opt_list *texts) MUST_USE;

#endif
