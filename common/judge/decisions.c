/* SPDX-License-Identifier: Apache-2.0 */
/* decisions.c: counts, and the ratios of them. */
#include "common/judge/decisions.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"

enum err decisions_init(struct errctx *e, struct decisions *d, int64_t classes)
{
    *d = (struct decisions){.classes = classes};
    return mem_new(e, &d->of, (size_t)classes, sizeof *d->of, "classes");
}

void decisions_fini(struct decisions *d)
{
    mem_free(d->of);
    *d = (struct decisions){0};
}

void decisions_clear(struct decisions *d)
{
    memset(d->of, 0, (size_t)d->classes * sizeof *d->of);
    d->units = d->right = 0;
}

void decisions_add(struct decisions *d, int64_t truth, int64_t said)
{
    d->units++;
    d->right += truth == said;
    d->of[truth].truly++;
    d->of[said].said++;
    d->of[truth].right += truth == said;
}

void decisions_add_sets(struct decisions *d, const int32_t *truth, int64_t truth_count,
                        const int32_t *said, int64_t said_count)
{
    int64_t t = 0, both = 0;
    for (int64_t i = 0; i < truth_count; i++) d->of[truth[i]].truly++;
    for (int64_t i = 0; i < said_count; i++) {
        d->of[said[i]].said++;
        while (t < truth_count && truth[t] < said[i]) t++;
        if (t == truth_count || truth[t] != said[i]) continue;
        d->of[said[i]].right++;
        both++;
    }
    d->units++;
    d->right += both == truth_count && both == said_count;
}

double decisions_accuracy(const struct decisions *d)
{
    return d->units ? (double)d->right / (double)d->units : NAN;
}

double decisions_macro_f1(const struct decisions *d)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < d->classes; i++) {
        const struct decisions_class *c = &d->of[i];
        if (c->said + c->truly == 0) continue;
        sum += 2 * (double)c->right / (double)(c->said + c->truly);
        count++;
    }
    return count ? sum / (double)count : NAN;
}

double decisions_micro_f1(const struct decisions *d)
{
    int64_t right = 0, both = 0;
    for (int64_t i = 0; i < d->classes; i++) {
        right += d->of[i].right;
        both += d->of[i].said + d->of[i].truly;
    }
    return both ? 2 * (double)right / (double)both : NAN;
}
