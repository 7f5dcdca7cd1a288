/* SPDX-License-Identifier: Apache-2.0 */
/* export_check.c: see export_check.h. */
#include "common/text/export_check.h"
#include <string.h>

static bool is_unused(const struct tokenizer_spec *s, int64_t id)
{
    return id >= s->vocab || (s->flags[id] & TOKEN_UNUSED);
}

static uint64_t length(const struct tokenizer_spec *s, int64_t id)
{
    return s->start[id + 1] - s->start[id];
}

static bool same_bytes(const struct tokenizer_spec *a, const struct tokenizer_spec *b, int64_t id)
{
    return length(a, id) == length(b, id) &&
           memcmp(a->bytes + a->start[id], b->bytes + b->start[id], length(a, id)) == 0;
}

static bool same_scores(const struct tokenizer_spec *a, const struct tokenizer_spec *b)
{
    if (a->scores == NULL || b->scores == NULL) return a->scores == b->scores;
    for (int64_t id = 0; id < a->vocab; id++)
        if (!is_unused(a, id) && !(a->scores[id] == b->scores[id])) return false;
    return true;
}

static enum err lost(struct errctx *e, const char *form, const char *what)
{
    return err_set(e, ERR_INPUT, "%s cannot hold this tokenizer: it has no place for its %s", form,
                   what);
}

enum err export_check(struct errctx *e, const struct tokenizer_spec *written,
                      const struct tokenizer_spec *read, const char *form)
{
    static const char *const parts[][2] = {{"normalizer", "normaliser"},
                                           {"pretokenizer", "pre-tokeniser"},
                                           {"model", "model"},
                                           {"decoder", "decoder"},
                                           {"postprocessor", "template"}};
    static const char *const roles[] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};
    const struct tokenizer_spec *a = written, *b = read;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!tokenizer_spec_same_ops(a, b, parts[i][0])) return lost(e, form, parts[i][1]);
    for (int64_t id = 0; id < a->vocab; id++) {
        if (is_unused(a, id) && is_unused(b, id)) continue;
        if (is_unused(a, id) != is_unused(b, id) || !same_bytes(a, b, id) ||
            a->flags[id] != b->flags[id])
            return err_set(e, ERR_INPUT, "%s cannot hold this tokenizer: token %lld is not kept",
                           form, (long long)id);
    }
    if (b->vocab > a->vocab) return lost(e, form, "vocabulary");
    for (size_t r = 0; r < ARRAY_LEN(roles); r++)
        if (tokenizer_spec_special(a, roles[r]) != tokenizer_spec_special(b, roles[r]))
            return err_set(e, ERR_INPUT,
                           "%s cannot hold this tokenizer: it does not tell which token is '%s'",
                           form, roles[r]);
    if (a->scores != NULL && b->merges_count > 0) return ERR_OK; /* of the same order */
    if (a->merges_count != b->merges_count ||
        (a->merges_count > 0 &&
         memcmp(a->merges, b->merges, 2 * (size_t)a->merges_count * sizeof *a->merges) != 0))
        return lost(e, form, "merges");
    return same_scores(a, b) ? ERR_OK : lost(e, form, "scores");
}
