/* SPDX-License-Identifier: Apache-2.0 */
/* embed.c: the stream's beginning: x = drop(norm(scale tokens[id] + positions[place] +
 * types[type])), each part where the configuration has it, and its backward pass: rows of gradient
 * added to rows of the tables in token order. */
#include "common/model/parts.h"

static float scale_of(const struct model *m)
{
    return m->c.embed_scale > 0 ? (float)m->c.embed_scale : 1;
}

void embed_tokens(const struct model *m, const struct pass *p, const struct buf *slots,
                  struct mat y)
{
    struct kernels *k = p->k;
    const int64_t C = m->c.width;
    const struct mat sum = m->c.embed_norm ? mat_rows(slots[MODEL_EMBEDDED], DTYPE_F32, C) : y;
    k->embed_forward(k, p->N, C, slots[MODEL_IDS], m->tokens, scale_of(m), sum, false);
    if (buf_present(m->positions.buf))
        k->embed_forward(k, p->N, C, slots[MODEL_PLACE], m->positions, 1, sum, true);
    if (buf_present(m->types.buf))
        k->embed_forward(k, p->N, C, slots[MODEL_TYPE], m->types, 1, sum, true);
    if (m->c.embed_norm)
        norm_apply(p, &m->embed_norm, p->N, sum, y, slots[MODEL_EMBED_MEAN],
                   slots[MODEL_EMBED_RSTD]);
    if (p->dropout > 0) dropout_apply(p, 0, y, y);
}

void embed_tokens_backward(const struct model *m, const struct pass *p, const struct buf *slots,
                           struct mat dx)
{
    struct kernels *k = p->k;
    const int64_t C = m->c.width;
    struct mat d = dx;
    if (p->dropout > 0) dropout_apply(p, 0, dx, dx);
    if (m->c.embed_norm) {
        d = mat_rows(slots[MODEL_DEMBEDDED], DTYPE_F32, C);
        norm_apply_backward(p, &m->embed_norm, p->N, dx,
                            mat_rows(slots[MODEL_EMBEDDED], DTYPE_F32, C), slots[MODEL_EMBED_MEAN],
                            slots[MODEL_EMBED_RSTD], d, false);
    }
    if (buf_present(m->dtokens))
        k->embed_backward(k, p->N, C, slots[MODEL_IDS], d, scale_of(m), m->dtokens);
    if (buf_present(m->dpositions))
        k->embed_backward(k, p->N, C, slots[MODEL_PLACE], d, 1, m->dpositions);
    if (buf_present(m->dtypes)) k->embed_backward(k, p->N, C, slots[MODEL_TYPE], d, 1, m->dtypes);
}
