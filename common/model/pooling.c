/* SPDX-License-Identifier: Apache-2.0 */
/* pooling.c: see pooling.h. */
#include "common/model/pooling.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static double state(const struct pooling_states *s, int64_t token, int64_t c)
{
    const int64_t at = token * s->ld + c;
    if (s->dtype == DTYPE_F32) return ((const float *)s->data)[at];
    return bf16_to_f32(((const uint16_t *)s->data)[at]);
}

enum err pooling_parse(struct errctx *e, const char *text, unsigned *out)
{
    *out = 0;
    for (;;) {
        char name[32] = "";
        const size_t n = strcspn(text, ",");
        if (n < sizeof name) memcpy(name, text, n);
        const unsigned bit = pooling_from_name(name);
        if (!bit || (*out & bit))
            return err_set(e, ERR_USAGE,
                           bit ? "--pooling: '%.*s' twice"
                               : "--pooling: '%.*s' is none of cls, max, mean, mean_sqrt_len, "
                                 "weighted_mean, last",
                           (int)n, text);
        *out |= bit;
        if (text[n] == 0) return ERR_OK;
        text += n + 1;
    }
}

int64_t pooling_size(unsigned poolings, int64_t width)
{
    int64_t size = 0;
    for (unsigned bit = 1; bit <= POOLING_LAST; bit <<= 1) size += poolings & bit ? width : 0;
    return size;
}

/* Of the tokens first .. first + n - 1 those that one pooling reads, `skip` left out. */
static void range_of(unsigned how, int64_t first, int64_t n, int64_t skip, int64_t *from,
                     int64_t *last)
{
    *from = how == POOLING_LAST ? first + n - 1 : how == POOLING_CLS ? first : first + skip;
    *last = how == POOLING_CLS ? first : first + n - 1;
}

static double weight_of(unsigned how, int64_t place)
{
    return how == POOLING_WEIGHTED_MEAN ? (double)(place + 1) : 1;
}

/* What a sum of weighted states, the first one at `place`, is divided by. */
static double divisor_of(unsigned how, int64_t place, int64_t n)
{
    double count = 0;
    for (int64_t i = 0; i < n; i++) count += weight_of(how, place + i);
    return how == POOLING_MEAN_SQRT ? sqrt(count) : count;
}

/* Whether v takes the place of the greatest so far: the first of equals stays, NaN is seen. */
static bool is_greater(double v, double so_far)
{
    return v > so_far || (isnan(v) && !isnan(so_far));
}

static void pool(unsigned how, const struct pooling_states *s, int64_t first, int64_t n,
                 int64_t skip, double *x)
{
    int64_t from, last;
    range_of(how, first, n, skip, &from, &last);
    for (int64_t t = from; t <= last; t++) {
        const double weight = weight_of(how, t - first);
        for (int64_t c = 0; c < s->width; c++) {
            const double v = state(s, t, c);
            if (t == from)
                x[c] = weight * v;
            else if (how != POOLING_MAX)
                x[c] += weight * v;
            else if (is_greater(v, x[c]))
                x[c] = v;
        }
    }
    if (how == POOLING_MAX) return;
    const double divisor = divisor_of(how, from - first, last - from + 1);
    for (int64_t c = 0; c < s->width; c++) x[c] /= divisor;
}

void pooling_forward(unsigned poolings, const struct pooling_states *s, int64_t first, int64_t n,
                     double *x)
{
    pooling_forward_behind(poolings, s, first, n, 0, x);
}

void pooling_forward_behind(unsigned poolings, const struct pooling_states *s, int64_t first,
                            int64_t n, int64_t skip, double *x)
{
    for (unsigned bit = 1; bit <= POOLING_LAST; bit <<= 1) {
        if (!(poolings & bit)) continue;
        pool(bit, s, first, n, skip, x);
        x += s->width;
    }
}

static void pool_max_backward(const struct pooling_states *s, int64_t first, int64_t n,
                              const float *dx, float *d)
{
    for (int64_t c = 0; c < s->width; c++) {
        int64_t best = first;
        double most = state(s, first, c);
        for (int64_t t = first + 1; t < first + n; t++) {
            const double v = state(s, t, c);
            if (!is_greater(v, most)) continue;
            most = v;
            best = t;
        }
        d[best * s->width + c] += dx[c];
    }
}

static void pool_backward(unsigned how, const struct pooling_states *s, int64_t first, int64_t n,
                          const float *dx, float *d)
{
    int64_t from, last;
    range_of(how, first, n, 0, &from, &last);
    const double divisor = divisor_of(how, 0, last - from + 1);
    for (int64_t t = from; t <= last; t++) {
        const double weight = weight_of(how, t - from) / divisor;
        for (int64_t c = 0; c < s->width; c++)
            d[t * s->width + c] += (float)(weight * (double)dx[c]);
    }
}

void pooling_backward(unsigned poolings, const struct pooling_states *s, int64_t first, int64_t n,
                      const float *dx, float *d)
{
    for (unsigned bit = 1; bit <= POOLING_LAST; bit <<= 1) {
        if (!(poolings & bit)) continue;
        if (bit == POOLING_MAX)
            pool_max_backward(s, first, n, dx, d);
        else
            pool_backward(bit, s, first, n, dx, d);
        dx += s->width;
    }
}
