/* SPDX-License-Identifier: Apache-2.0 */
/* angles.c: which angles the tokens of a pass are rotated by: mostly those of their positions, in
 * tables that the model has; by rope.h's scalings that look at lengths, those of another table or
 * of the pass alone. */
#include "common/model/parts.h"
#include "common/model/rope.h"

/* A table row for each token of the pass. */
static void own_tables(const struct model *m, struct pass *p, const struct buf *slots,
                       int32_t *index)
{
    const struct model_config *c = &m->c;
    const int64_t half = c->rope_dims / 2;
    p->cosine = slots[MODEL_COSINE];
    p->sine = slots[MODEL_SINE];
    float *cosine = p->k->map(p->k, p->cosine), *sine = p->k->map(p->k, p->sine);
    for (int64_t i = 0; i < p->N; i++) index[i] = (int32_t)i;
    for (int64_t b = 0; b < p->rows; b++) {
        const int64_t at = p->q_start[b] * half;
        rope_fill(c, p->q_offset[b], p->q_len[b], p->kv_len[b], cosine + at, sine + at);
    }
}

static void two_tables(const struct model *m, const struct pass *p, int32_t *index)
{
    for (int64_t i = 0; i < p->N; i++) index[i] = 0;
    for (int64_t b = 0; b < p->rows; b++) {
        const int64_t first = rope_table_of(&m->c, p->kv_len[b]) + p->q_offset[b];
        for (int64_t i = 0; i < p->q_len[b]; i++) index[p->q_start[b] + i] = (int32_t)(first + i);
    }
}

void model_set_angles(const struct model *m, struct pass *p, const struct buf *slots)
{
    p->angle = p->position;
    p->cosine = m->cosine;
    p->sine = m->sine;
    if (!rope_by_length(&m->c)) return;
    p->angle = slots[MODEL_ANGLE];
    int32_t *index = p->k->map(p->k, p->angle);
    if (rope_by_pass(&m->c))
        own_tables(m, p, slots, index);
    else
        two_tables(m, p, index);
}
