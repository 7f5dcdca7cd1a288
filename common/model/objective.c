/* SPDX-License-Identifier: Apache-2.0 */
/* objective.c: from a row of tokens to what the model sees and has to say about it.
 *
 * Causal is a shift by one. Masked is decided per row from Philox words, four for each place:
 *
 *     word 0 (and 1)  is the place chosen        word 2  mask, random or kept        word 3  which
 *
 * so a row is corrupted the same way wherever it falls in a batch. References: Hugging Face's
 * DataCollatorForLanguageModeling; create_pretraining_data.py of google-research/bert (mask_exact),
 * but for its limit max_predictions_per_seq, which was chosen so as not to bind. */
#include "common/model/objective.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct opt objective_table[] = {
    {"objective", 0, OPT_CHOICE, offsetof(struct objective_cfg, kind), "auto|causal|masked",
     "what to predict; auto: the next token, or masked ones for a bidirectional model"},
    {"mask-fraction", 0, OPT_REAL, offsetof(struct objective_cfg, mask_fraction), "P",
     "chance of a token to be chosen", 0, 1e-6, 1},
    {"mask-exact", 0, OPT_FLAG, offsetof(struct objective_cfg, mask_exact), NULL,
     "choose exactly this fraction of each row, as the original BERT"},
    {"mask-whole-words", 0, OPT_FLAG, offsetof(struct objective_cfg, mask_whole_words), NULL,
     "choose words, not tokens"},
    OPT_END};

/* A token or a word that is masked as one. */
struct group {
    uint64_t order; /* random: the exact objective takes groups in this order */
    int64_t first, size;
    bool chosen; /* by its own chance */
};

struct objective {
    struct objective_cfg cfg;
    bool masked;
    const struct tokenizer_spec *spec;
    const char *joint; /* prefix of pieces that go on a word, NULL when the tokenizer has none */
    int64_t mask_id, vocab;
    struct rng_key key;
    /* of the row at hand */
    uint32_t *ids;
    int32_t *target;
    float *weight;
    struct group *groups;
    size_t capacity;
};

/* ---- making ---- */

/* WordPiece marks the pieces that go on a word; other tokenizers show it by their letters only. */
static const char *joint_of(const struct tokenizer_spec *spec)
{
    const struct mp_value *model = mp_get(&spec->ops, "model"), *op, *prefix;
    if (!model || model->type != MP_MAP) return NULL;
    op = mp_get(model, "op");
    if (!op || op->type != MP_STRING || strcmp(op->as.bytes.data, "wordpiece") != 0) return NULL;
    prefix = mp_get(model, "prefix");
    return prefix && prefix->type == MP_STRING ? prefix->as.bytes.data : "##";
}

static enum err masked_setup(struct errctx *e, struct objective *o,
                             const struct tokenizer_spec *spec, uint64_t seed)
{
    o->spec = spec;
    o->mask_id = spec ? tokenizer_spec_special(spec, "mask") : -1;
    if (o->mask_id < 0)
        return err_set(e, ERR_USAGE,
                       "the masked objective needs a tokenizer with a mask token, and %s",
                       spec ? "the model's has none" : "the model has no tokenizer");
    o->vocab = spec->vocab;
    o->joint = joint_of(spec);
    o->key = rng_key_make(seed, RNG_MASK);
    return ERR_OK;
}

void objective_note_given(struct objective_cfg *cfg, const struct opt_set *sets)
{
    for (const struct opt *o = objective_table; o->name; o++)
        if (strncmp(o->name, "mask-", 5) == 0 && opts_given(sets, o->name)) cfg->given = o->name;
}

enum err objective_new(struct errctx *e, const struct objective_cfg *cfg, bool causal_model,
                       const struct tokenizer_spec *spec, uint64_t seed, struct objective **out)
{
    *out = NULL;
    bool masked = cfg->kind == OBJECTIVE_MASKED || (cfg->kind == OBJECTIVE_AUTO && !causal_model);
    if (masked && causal_model)
        return err_set(e, ERR_USAGE,
                       "--objective masked needs a bidirectional model: this one cannot see what "
                       "follows a mask");
    if (!masked && !causal_model)
        return err_set(e, ERR_USAGE,
                       "--objective causal needs a causal model: this one sees the token it is to "
                       "predict");
    if (!masked && cfg->given)
        return err_set(e, ERR_USAGE, "--%s is for masked models: this one is causal", cfg->given);
    struct objective *o;
    TRY(mem_new(e, &o, 1, sizeof *o, "an objective"));
    o->cfg = *cfg;
    o->masked = masked;
    if (masked && masked_setup(e, o, spec, seed) != ERR_OK) {
        mem_free(o);
        return e->code;
    }
    *out = o;
    return ERR_OK;
}

void objective_free(struct objective *o)
{
    if (!o) return;
    mem_free(o->ids);
    mem_free(o->target);
    mem_free(o->weight);
    mem_free(o->groups);
    mem_free(o);
}

static enum err grow(struct errctx *e, const struct objective *o, void *array, size_t n,
                     size_t size)
{
    size_t capacity = o->capacity;
    return mem_grow(e, array, &capacity, n, size, "a row");
}

static enum err reserve(struct errctx *e, struct objective *o, size_t n)
{
    if (n <= o->capacity) return ERR_OK;
    TRY(grow(e, o, &o->ids, n, sizeof *o->ids));
    TRY(grow(e, o, &o->target, n, sizeof *o->target));
    TRY(grow(e, o, &o->weight, n, sizeof *o->weight));
    TRY(grow(e, o, &o->groups, n, sizeof *o->groups));
    o->capacity = n;
    return ERR_OK;
}

/* ---- causal ---- */

static void causal_targets(struct objective *o, const struct tokens_row *row)
{
    for (int64_t t = 0; t < row->n; t++) {
        int64_t next = t + 1;
        bool scored = next < row->n && next >= row->skip && (!row->loss || row->loss[next]);
        o->target[t] = scored ? (int32_t)o->ids[next] : -1;
        o->weight[t] = scored ? row->weight : 0;
    }
}

/* ---- masked ---- */

static bool may_be_masked(const struct objective *o, const struct tokens_row *row, int64_t t)
{
    uint32_t id = o->ids[t];
    bool special = id < o->vocab && (o->spec->flags[id] & TOKEN_SPECIAL);
    return !special && t >= row->skip && (!row->loss || row->loss[t]);
}

static bool is_letter(uint8_t c)
{
    return c >= 0x80 || isalnum(c);
}

/* Whether the token at t goes on the word that the one before it belongs to. */
static bool goes_on(const struct objective *o, int64_t t)
{
    const uint64_t *start = o->spec->start;
    uint32_t id = o->ids[t], before = o->ids[t - 1];
    const uint8_t *piece = o->spec->bytes + start[id];
    size_t n = start[id + 1] - start[id];
    if (o->joint) return n > strlen(o->joint) && memcmp(piece, o->joint, strlen(o->joint)) == 0;
    if (n == 0 || start[before + 1] == start[before]) return false;
    return is_letter(piece[0]) && is_letter(o->spec->bytes[start[before + 1] - 1]);
}

static void draw(const struct objective *o, int64_t ordinal, int64_t t, uint32_t words[4])
{
    uint32_t counter[] = {(uint32_t)ordinal, (uint32_t)((uint64_t)ordinal >> 32), (uint32_t)t, 0};
    rng_philox(o->key, counter, words);
}

static double chance(uint32_t word)
{
    return (double)word * 0x1p-32;
}

/* Tokens that may be masked, gathered into words when whole words are asked for. */
static int64_t find_groups(struct objective *o, const struct tokens_row *row, int64_t ordinal)
{
    int64_t count = 0;
    bool inside = false;
    for (int64_t t = 0; t < row->n; t++) {
        bool candidate = may_be_masked(o, row, t);
        if (candidate && inside && o->cfg.mask_whole_words && goes_on(o, t)) {
            o->groups[count - 1].size++;
        } else if (candidate) {
            uint32_t words[4];
            draw(o, ordinal, t, words);
            o->groups[count++] = (struct group){.order = ((uint64_t)words[0] << 32) | words[1],
                                                .first = t,
                                                .size = 1,
                                                .chosen = chance(words[0]) < o->cfg.mask_fraction};
        }
        inside = candidate;
    }
    return count;
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* round(fraction n) tokens of n, specials counted in; a word that would exceed it is passed over.
 */
static void choose_exactly(struct objective *o, int64_t n, int64_t count)
{
    int64_t wanted = (int64_t)rint((double)n * o->cfg.mask_fraction), have = 0;
    if (wanted < 1) wanted = 1;
    qsort(o->groups, (size_t)count, sizeof *o->groups, compare_groups);
    for (int64_t i = 0; i < count; i++) {
        struct group *g = &o->groups[i];
        g->chosen = have + g->size <= wanted;
        if (g->chosen) have += g->size;
    }
}

/* 80 % become the mask, 10 % any token of the vocabulary, 10 % stay as they are. */
static void corrupt(struct objective *o, const struct tokens_row *row, int64_t ordinal, int64_t t)
{
    uint32_t words[4];
    draw(o, ordinal, t, words);
    o->target[t] = (int32_t)o->ids[t];
    o->weight[t] = row->weight;
    if (chance(words[2]) < 0.8)
        o->ids[t] = (uint32_t)o->mask_id;
    else if (chance(words[2]) < 0.9)
        o->ids[t] = (uint32_t)(((uint64_t)words[3] * (uint64_t)o->vocab) >> 32);
}

static void masked_targets(struct objective *o, const struct tokens_row *row, int64_t ordinal)
{
    for (int64_t t = 0; t < row->n; t++) {
        o->target[t] = -1;
        o->weight[t] = 0;
    }
    int64_t count = find_groups(o, row, ordinal);
    if (o->cfg.mask_exact) choose_exactly(o, row->n, count);
    for (int64_t i = 0; i < count; i++)
        for (int64_t t = 0; o->groups[i].chosen && t < o->groups[i].size; t++)
            corrupt(o, row, ordinal, o->groups[i].first + t);
}

/* ---- rows ---- */

enum err objective_append(struct errctx *e, struct objective *o, const struct tokens_layout *l,
                          const struct tokens_row *row, int64_t ordinal, int64_t grain,
                          struct batch *b, double *scored)
{
    *scored = 0;
    if (!isfinite(row->weight) || row->weight < 0)
        return err_set(e, ERR_INPUT, "row %" PRId64 ": its weight is %g", ordinal, row->weight);
    TRY(reserve(e, o, (size_t)row->n));
    TRY(tokens_row_ids(e, l, row, ordinal, o->ids));
    if (o->masked)
        masked_targets(o, row, ordinal);
    else
        causal_targets(o, row);
    for (int64_t t = 0; t < row->n; t++) *scored += o->weight[t];
    return batch_append(e, b, grain, row->n, o->ids, row->types, o->target, o->weight, ordinal);
}
