/* SPDX-License-Identifier: Apache-2.0 */
/* strata.c: see strata.h. */
#include "common/flow/strata.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/mem.h"
#include "common/flow/spill.h"

struct unit {
    uint64_t hash, stratum; /* the stratum's: a hash of the labels */
    double u;
    uint32_t documents, part;
};

struct kept { /* a row */
    uint32_t unit, bytes;
};

struct strata {
    const struct rowpack *pack;
    const struct label *label;
    struct rng_key key;
    struct unit *units;
    size_t count, capacity;
    uint32_t *slots; /* by hash: number of a unit + 1 */
    size_t slots_count;
    struct spill *spill;
    struct spill_chain heads, bodies;
    uint8_t *scratch;
    size_t scratch_capacity;
    struct rowpack_batch batch;
};

enum err strata_new(struct errctx *e, const struct rowpack *pack, const struct label *label,
                    struct rng_key key, int64_t memory, struct strata **out)
{
    struct strata *s;
    size_t block = 4096;

    *out = NULL;
    while (block < 1 << 20 && block * 2 <= (size_t)memory / 64) block *= 2;
    TRY(mem_new(e, &s, 1, sizeof *s, "strata"));
    s->pack = pack;
    s->label = label;
    s->key = key;
    enum err r = rowpack_batch_init(e, pack, &s->batch);
    if (r == ERR_OK) r = spill_new(e, block, (uint64_t)memory - 4 * block, 0, &s->spill);
    if (r == ERR_OK)
        *out = s;
    else
        strata_free(s);
    return r;
}

void strata_free(struct strata *s)
{
    if (s == NULL) return;
    if (s->spill != NULL) {
        spill_clear(s->spill, &s->heads);
        spill_clear(s->spill, &s->bodies);
    }
    spill_free(s->spill);
    rowpack_batch_fini(s->pack, &s->batch);
    mem_free(s->units);
    mem_free(s->slots);
    mem_free(s->scratch);
    mem_free(s);
}

/* ---- units ---- */

static enum err grow_slots(struct errctx *e, struct strata *s)
{
    const size_t n = s->slots_count == 0 ? 1024 : 2 * s->slots_count;
    uint32_t *slots;

    if (s->count >= UINT32_MAX)
        return err_set(e, ERR_INPUT, "more than %u documents cannot be split by class", UINT32_MAX);
    TRY(mem_new(e, &slots, n, sizeof *slots, "strata"));
    for (size_t k = 0; k < s->count; k++) {
        size_t at = (size_t)s->units[k].hash & (n - 1);
        while (slots[at] != 0) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)k + 1;
    }
    mem_free(s->slots);
    s->slots = slots;
    s->slots_count = n;
    return ERR_OK;
}

/* The unit of this hash; a new one has no documents. */
static enum err find_unit(struct errctx *e, struct strata *s, uint64_t hash, size_t *out)
{
    if (2 * (s->count + 1) > s->slots_count) TRY(grow_slots(e, s));
    size_t at = (size_t)hash & (s->slots_count - 1);
    for (; s->slots[at] != 0; at = (at + 1) & (s->slots_count - 1)) {
        *out = s->slots[at] - 1;
        if (s->units[*out].hash == hash) return ERR_OK;
    }
    TRY(mem_grow(e, &s->units, &s->capacity, s->count + 1, sizeof *s->units, "strata"));
    *out = s->count++;
    s->units[*out] = (struct unit){.hash = hash};
    s->units[*out].u = rng_uniform(s->key, (uint32_t)hash, (uint32_t)(hash >> 32), 0, 0);
    s->slots[at] = (uint32_t)*out + 1;
    return ERR_OK;
}

static enum err stratum_of(struct errctx *e, const struct label *l, const struct stream_rows *rows,
                           int64_t i, uint64_t *out)
{
    const int32_t *list;
    int32_t class;
    int64_t n;

    if (l->kind == LABEL_CLASS) {
        TRY(label_row_class(e, l, rows, i, &class));
        *out = XXH3_64bits(&class, sizeof class);
        return ERR_OK;
    }
    TRY(label_row_list(e, l, rows, i, &list, &n));
    *out = XXH3_64bits(list, (size_t)n * sizeof *list);
    return ERR_OK;
}

enum err strata_add(struct errctx *e, struct strata *s, const struct stream_rows *rows, int64_t i,
                    uint64_t unit, bool document)
{
    struct kept kept;
    size_t at;
    const size_t before = s->count;

    TRY(find_unit(e, s, unit, &at));
    if (s->count > before) TRY(stratum_of(e, s->label, rows, i, &s->units[at].stratum));
    s->units[at].documents += document;
    kept.unit = (uint32_t)at;
    TRY(rowpack_size(e, s->pack, rows, i, &kept.bytes));
    TRY(mem_grow(e, &s->scratch, &s->scratch_capacity, (size_t)kept.bytes + 1, 1, "a row"));
    rowpack_put(s->pack, rows, i, s->scratch);
    TRY(spill_append(e, s->spill, &s->heads, &kept, sizeof kept));
    return spill_append(e, s->spill, &s->bodies, s->scratch, kept.bytes);
}

/* ---- which part ---- */

/* By stratum, then in the order of u; u is the same only for units of one hash, which are one. */
static int compare_units(const void *a, const void *b)
{
    const struct unit *x = *(const struct unit *const *)a, *y = *(const struct unit *const *)b;

    if (x->stratum != y->stratum) return x->stratum < y->stratum ? -1 : 1;
    if (x->u != y->u) return x->u < y->u ? -1 : 1;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

/* A unit that began with a further cut is as one document. */
static uint32_t weight(const struct unit *u)
{
    return u->documents > 0 ? u->documents : 1;
}

/* The units order[0..n) of one stratum. */
static void assign_stratum(const struct strata *s, struct unit **order, size_t n,
                           const double *upto, size_t parts)
{
    const uint64_t hash = order[0]->stratum;
    const double shift =
        rng_uniform(s->key, (uint32_t)hash, (uint32_t)(hash >> 32), 1, 0) * weight(order[0]);
    double total = 0, at = shift;
    size_t part = 0;

    for (size_t i = 0; i < n; i++) total += weight(order[i]);
    for (size_t i = 0; i < n; i++) {
        while (part + 1 < parts && at >= upto[part] * total) part++;
        order[i]->part = (uint32_t)part;
        at += weight(order[i]);
    }
}

enum err strata_assign(struct errctx *e, struct strata *s, const double *upto, size_t parts)
{
    struct unit **order;

    TRY(mem_new(e, &order, s->count, sizeof *order, "strata"));
    for (size_t k = 0; k < s->count; k++) order[k] = &s->units[k];
    qsort(order, s->count, sizeof *order, compare_units);
    for (size_t from = 0, to; from < s->count; from = to) {
        for (to = from + 1; to < s->count && order[to]->stratum == order[from]->stratum;) to++;
        assign_stratum(s, order + from, to - from, upto, parts);
    }
    mem_free(order);
    return ERR_OK;
}

/* ---- the rows again ---- */

static enum err hand_out(struct errctx *e, struct strata *s, size_t part, strata_fn *fn, void *ctx)
{
    if (s->batch.rows.n == 0) return ERR_OK;
    TRY(fn(e, ctx, part, &s->batch.rows));
    s->batch.rows.n = 0;
    s->batch.bytes = 0;
    return ERR_OK;
}

static enum err write_rows(struct errctx *e, struct strata *s, struct spill_cursor *heads,
                           struct spill_cursor *bodies, strata_fn *fn, void *ctx)
{
    size_t part = 0;

    for (uint64_t k = s->heads.bytes / sizeof(struct kept); k > 0; k--) {
        struct kept kept;
        bool full;
        TRY(spill_cursor_read(e, s->spill, heads, &kept, sizeof kept));
        TRY(spill_cursor_read(e, s->spill, bodies, s->scratch, kept.bytes));
        if (s->units[kept.unit].part != part) TRY(hand_out(e, s, part, fn, ctx));
        part = s->units[kept.unit].part;
        TRY(rowpack_batch_add(e, s->pack, &s->batch, s->scratch, &full));
        if (full) TRY(hand_out(e, s, part, fn, ctx));
    }
    return hand_out(e, s, part, fn, ctx);
}

enum err strata_write(struct errctx *e, struct strata *s, strata_fn *fn, void *ctx)
{
    struct spill_cursor heads = {.chain = &s->heads}, bodies = {.chain = &s->bodies};
    const enum err r = write_rows(e, s, &heads, &bodies, fn, ctx);

    spill_cursor_fini(&heads);
    spill_cursor_fini(&bodies);
    return r;
}
