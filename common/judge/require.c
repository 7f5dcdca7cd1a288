/* SPDX-License-Identifier: Apache-2.0 */
/* require.c: parses and tests demands on a result. */
#include "common/judge/require.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static const char *skip_space(const char *s)
{
    while (isspace((unsigned char)*s)) s++;
    return s;
}

static bool parse_metric(const char *name, size_t n, enum evaluate_metric *out)
{
    if (n == 8 && memcmp(name, "accuracy", n) == 0) {
        *out = METRIC_TOP1;
        return true;
    }
    for (int m = 0; m < METRIC_COUNT; m++) {
        const char *known = evaluate_metric_name((enum evaluate_metric)m);
        if (strlen(known) != n || memcmp(known, name, n) != 0) continue;
        *out = (enum evaluate_metric)m;
        return true;
    }
    return false;
}

enum err requirement_parse(struct errctx *e, const char *text, struct requirement *out)
{
    static const char *const ops[] = {"<", "<=", ">", ">=", "==", "!="};
    const char *s = skip_space(text);
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789");
    if (!parse_metric(s, n, &out->metric))
        return err_set(
            e, ERR_USAGE,
            "--require '%s': '%.*s' is no metric; there are loss, perplexity, bits_per_byte, "
            "bits_per_char, top1 (accuracy), top5",
            text, (int)n, s);
    s = skip_space(s + n);
    n = strspn(s, "<>=!");
    int op = -1;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (strlen(ops[i]) == n && memcmp(ops[i], s, n) == 0) op = (int)i;
    if (op < 0)
        return err_set(e, ERR_USAGE,
                       "--require '%s': one of < <= > >= == != must follow the metric", text);
    out->op = op;
    s = skip_space(s + n);
    char number[64];
    n = strlen(s);
    while (n > 0 && isspace((unsigned char)s[n - 1])) n--;
    memcpy(number, s, n < sizeof number ? n : 0);
    number[n < sizeof number ? n : 0] = '\0';
    if (!opts_parse_real(number, &out->bound))
        return err_set(e, ERR_USAGE, "--require '%s': '%s' is no number", text, s);
    return ERR_OK;
}

bool requirement_met(const struct requirement *r, const struct evaluate_result *result)
{
    double x = result->metric[r->metric].value;
    if (isnan(x)) return false;
    switch (r->op) {
    case REQUIRE_LT:
        return x < r->bound;
    case REQUIRE_LE:
        return x <= r->bound;
    case REQUIRE_GT:
        return x > r->bound;
    case REQUIRE_GE:
        return x >= r->bound;
    case REQUIRE_EQ:
        return x == r->bound;
    case REQUIRE_NE:
        return x != r->bound;
    }
    return false;
}

enum err requirements_parse(struct errctx *e, const struct opt_list *texts)
{
    struct requirement r;
    for (size_t i = 0; i < texts->count; i++) TRY(requirement_parse(e, texts->items[i], &r));
    return ERR_OK;
}

enum err requirements_check(struct errctx *e, const struct opt_list *texts,
                            const struct evaluate_result *result)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct requirement r;
        TRY(requirement_parse(e, texts->items[i], &r));
        if (requirement_met(&r, result)) continue;
        const char *name = evaluate_metric_name(r.metric);
        double x = result->metric[r.metric].value;
        if (isnan(x))
            return err_set(e, ERR_NO, "required: %s; %s has no value here", texts->items[i], name);
        return err_set(e, ERR_NO, "required: %s; %s is %.9g", texts->items[i], name, x);
    }
    return ERR_OK;
}
