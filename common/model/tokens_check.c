/* SPDX-License-Identifier: Apache-2.0 */
/* tokens_check.c: the messages of a stream that does not fit its model, once for all programs. */
#include "common/model/tokens_check.h"

#include <inttypes.h>
#include <string.h>

enum err tokens_check_stream(struct errctx *e, const struct model *m, const char *name,
                             const struct tokens_layout *l)
{
    const struct tokenizer_spec *spec = model_tokenizer(m);
    const int64_t vocab = model_config_of(m)->vocab;
    uint8_t id[16];
    if (spec) tokenizer_spec_id(spec, id);
    if (spec && memcmp(l->tokenizer, id, sizeof id) != 0)
        return err_set(
            e, ERR_INPUT,
            "'%s' was made with another tokenizer than the model's: tokenize the text again with "
            "'graft tokenize -t' and the model",
            name);
    if (l->vocab > vocab)
        return err_set(e, ERR_INPUT,
                       "'%s' has a vocabulary of %" PRId64 ", the model one of %" PRId64, name,
                       l->vocab, vocab);
    return ERR_OK;
}

enum err tokens_check_row(struct errctx *e, const struct model *m, const struct tokens_row *row,
                          int64_t ordinal)
{
    const int64_t context = model_config_of(m)->context;
    if (row->n > context)
        return err_set(e, ERR_INPUT,
                       "row %" PRId64 " has %" PRId64 " tokens, the model's context is %" PRId64
                       ": cut the documents with 'graft tokenize --length %" PRId64 "'",
                       ordinal, row->n, context, context);
    return ERR_OK;
}

enum err tokens_check_causal(struct errctx *e, const struct model *m, const char *program)
{
    if (model_config_of(m)->causal) return ERR_OK;
    return err_set(e, ERR_INPUT,
                   "an encoder model sees what follows a token, and has no chance for it after "
                   "those before: %s needs a causal model",
                   program);
}
