/* SPDX-License-Identifier: Apache-2.0 */
/* learn_tokenizer.c: see learn_tokenizer.h. */
#include "common/text/learn_tokenizer.h"
#include <string.h>
#include "common/base/pool.h"
#include "common/base/prog.h"
#include "common/text/added_tokens.h"
#include "common/text/bpe_merges.h"
#include "common/text/ops_build.h"
#include "common/text/pretokenize.h"
#include "common/text/spec_build.h"
#include "common/text/unigram_learn.h"

enum {
    SEGMENT_BYTES = 256 << 10, /* a longer document is cut */
    SEGMENT_LIMIT = 16 << 20,  /* cut at any character when there is no better place */
    BATCH_BYTES_PER_THREAD = 4 << 20,
    PIECES = 256, /* taken from the pre-tokeniser at once */
};

struct counter { /* one per thread */
    struct word_table words;
    struct pretokenizer_cursor *cursor;
    struct errctx error;
};

struct learner {
    struct learn_cfg cfg;
    struct tokenizer_spec specials; /* the special tokens only, for splitting and for roles */
    struct added_tokens added;
    struct pretokenizer *pretokenizer;
    struct mp_value pretokenizer_ops;
    struct pool *pool;
    struct counter *counters;
    struct bytes batch;
    size_t *ends; /* of segments in the batch */
    size_t ends_count, ends_capacity;
    uint64_t bytes, words;
};

/* ------------------------------------------------------------------ setting up */

static enum err add_special(struct errctx *e, struct tokenizer_spec *s, struct mp_value *map,
                            const char *special)
{
    char role[SPECIAL_ROLE_MAX];
    const char *token = special_role(special, role);
    size_t n = strlen(token), used = (size_t)s->start[s->vocab];

    if (n == 0) return err_set(e, ERR_USAGE, "--special '%s' is empty", special);
    if (role[0] != 0 && mp_get(map, role) != NULL)
        return err_set(e, ERR_USAGE, "--special '%s': there is another token for '%s'", special,
                       role);
    for (int64_t i = 0; i < s->vocab; i++)
        if (s->start[i + 1] - s->start[i] == n && memcmp(s->bytes + s->start[i], token, n) == 0)
            return err_set(e, ERR_USAGE, "--special '%s' is given twice", token);
    memcpy(s->bytes + used, token, n);
    s->flags[s->vocab] = TOKEN_SPECIAL | TOKEN_ADDED;
    if (role[0] != 0) TRY(mp_set_int(e, map, role, s->vocab));
    s->vocab++;
    s->start[s->vocab] = used + n;
    return ERR_OK;
}

static enum err make_specials(struct errctx *e, struct learner *l)
{
    struct tokenizer_spec *s = &l->specials;
    struct mp_value map;
    size_t bytes = 0;
    enum err code = ERR_OK;

    for (size_t i = 0; i < l->cfg.special_count; i++) bytes += strlen(l->cfg.special[i]);
    TRY(mem_new(e, &s->bytes, bytes, 1, "special tokens"));
    TRY(mem_new(e, &s->start, l->cfg.special_count + 1, sizeof *s->start, "special tokens"));
    TRY(mem_new(e, &s->flags, l->cfg.special_count, 1, "special tokens"));
    mp_map_init(&map);
    for (size_t i = 0; i < l->cfg.special_count && code == ERR_OK; i++)
        code = add_special(e, s, &map, l->cfg.special[i]);
    if (code == ERR_OK) code = mp_set(e, &s->ops, "special", &map);
    mp_fini(&map);
    TRY(code);
    return added_tokens_init(e, s, false, true, &l->added);
}

static enum err make_counters(struct errctx *e, struct learner *l)
{
    TRY(pool_new(e, l->cfg.threads, &l->pool));
    TRY(mem_new(e, &l->counters, (size_t)l->cfg.threads, sizeof *l->counters, "counters"));
    for (int i = 0; i < l->cfg.threads; i++)
        TRY(pretokenizer_cursor_new(e, l->pretokenizer, &l->counters[i].cursor));
    return ERR_OK;
}

static enum err set_up(struct errctx *e, struct learner *l)
{
    int64_t least;

    TRY(make_specials(e, l));
    least = 256 + l->specials.vocab;
    if (l->cfg.vocab < least)
        return err_set(e, ERR_USAGE,
                       "--vocab %lld: the 256 bytes and %lld special token%s need %lld ids",
                       (long long)l->cfg.vocab, (long long)l->specials.vocab,
                       l->specials.vocab == 1 ? "" : "s", (long long)least);
    if (l->cfg.unigram && tokenizer_spec_special(&l->specials, "unk") < 0)
        return err_set(e, ERR_USAGE,
                       "a Unigram model has a token for what is unknown: --special "
                       "'unk=<unk>' and those that are given");
    TRY(ops_pretokenizer(e, &l->pretokenizer_ops, l->cfg.pattern, l->cfg.regex));
    if (pretokenizer_new(e, &l->pretokenizer_ops, &l->pretokenizer) != ERR_OK) {
        e->code = e->code == ERR_INPUT ? ERR_USAGE
                                       : e->code; /* here it is the command line that is wrong */
        return e->code;
    }
    return make_counters(e, l);
}

enum err learner_new(struct errctx *e, const struct learn_cfg *cfg, struct learner **out)
{
    struct learner *l;

    *out = NULL;
    TRY(mem_new(e, &l, 1, sizeof *l, "learner"));
    l->cfg = *cfg;
    tokenizer_spec_init(&l->specials);
    mp_array_init(&l->pretokenizer_ops);
    if (set_up(e, l) != ERR_OK) {
        learner_free(l);
        return e->code;
    }
    *out = l;
    return ERR_OK;
}

void learner_free(struct learner *l)
{
    if (l == NULL) return;
    for (int i = 0; l->counters != NULL && i < l->cfg.threads; i++) {
        word_table_fini(&l->counters[i].words);
        pretokenizer_cursor_free(l->counters[i].cursor);
    }
    mem_free(l->counters);
    pool_free(l->pool);
    added_tokens_fini(&l->added);
    tokenizer_spec_fini(&l->specials);
    pretokenizer_free(l->pretokenizer);
    mp_fini(&l->pretokenizer_ops);
    bytes_fini(&l->batch);
    mem_free(l->ends);
    mem_free(l);
}

/* ------------------------------------------------------------------ counting */

/* The pieces of a Unigram model are learned from all words, those of one byte as well. */
static enum err count_all(struct counter *c, const uint8_t *text, const struct piece *pieces,
                          size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(word_table_add(&c->error, &c->words, text + pieces[i].from,
                           pieces[i].to - pieces[i].from, 1));
    return ERR_OK;
}

static enum err count_plain(struct counter *c, const uint8_t *text, size_t n, bool all)
{
    struct piece pieces[PIECES];
    size_t count;

    pretokenizer_start(c->cursor, text, n);
    for (;;) {
        TRY(pretokenizer_next(&c->error, c->cursor, pieces, PIECES, &count));
        if (count == 0) return ERR_OK;
        TRY(all ? count_all(c, text, pieces, count)
                : word_table_add_pieces(&c->error, &c->words, text, pieces, count));
    }
}

static enum err count_segment(const struct learner *l, struct counter *c, const uint8_t *text,
                              size_t n)
{
    size_t at = 0, from, to;
    uint32_t id;

    while (added_tokens_next(&l->added, text, n, at, &from, &to, &id)) {
        TRY(count_plain(c, text + at, from - at, l->cfg.unigram));
        at = to;
    }
    return count_plain(c, text + at, n - at, l->cfg.unigram);
}

/* Task k counts the segments that begin in the kth stretch of SEGMENT_BYTES. */
static void count_task(void *ctx, int64_t task, int thread)
{
    struct learner *l = ctx;
    struct counter *c = &l->counters[thread];
    size_t low = (size_t)task * SEGMENT_BYTES, high = low + SEGMENT_BYTES, a = 0, b = l->ends_count;

    while (a < b) { /* the first segment whose start, the end before it, is at least `low` */
        size_t mid = a + (b - a) / 2;
        if ((mid == 0 ? 0 : l->ends[mid - 1]) < low)
            a = mid + 1;
        else
            b = mid;
    }
    for (; a < l->ends_count && c->error.code == ERR_OK; a++) {
        size_t from = a == 0 ? 0 : l->ends[a - 1];
        if (from >= high) break;
        (void)!count_segment(l, c, l->batch.data + from, l->ends[a] - from);
    }
}

static enum err count_batch(struct errctx *e, struct learner *l)
{
    size_t done = l->ends_count == 0 ? 0 : l->ends[l->ends_count - 1];

    if (done == 0) return ERR_OK;
    pool_run(l->pool, count_task, l, (int64_t)((done + SEGMENT_BYTES - 1) / SEGMENT_BYTES));
    for (int i = 0; i < l->cfg.threads; i++)
        if (l->counters[i].error.code != ERR_OK) {
            *e = l->counters[i].error;
            return e->code;
        }
    memmove(l->batch.data, l->batch.data + done, l->batch.len - done);
    l->batch.len -= done;
    l->ends_count = 0;
    return ERR_OK;
}

static enum err end_segment(struct errctx *e, struct learner *l, size_t at)
{
    TRY(mem_grow(e, &l->ends, &l->ends_capacity, l->ends_count + 1, sizeof *l->ends, "segments"));
    l->ends[l->ends_count++] = at;
    return ERR_OK;
}

/* Cuts what there is of an unfinished document from `from` on; nothing when it has no good place
 * yet. */
static enum err cut_long(struct errctx *e, struct learner *l, size_t from)
{
    const uint8_t *text = l->batch.data + from;
    size_t n = l->batch.len - from, at;

    while (n > SEGMENT_BYTES) {
        at = pretokenizer_border(l->pretokenizer, text, n, SEGMENT_BYTES);
        if (at == n) break;
        TRY(end_segment(e, l, from + at));
        text += at;
        from += at;
        n -= at;
    }
    if (n < SEGMENT_LIMIT) return ERR_OK;
    for (at = n; at > n / 2 && text[at - 1] != '\n'; at--) continue;
    for (at = at == n / 2 ? n : at; at > 1 && (text[at - 1] & 0xc0) == 0x80; at--) continue;
    if (at > 1 && text[at - 1] >= 0x80)
        at--; /* before the character that has not come whole, or the last one */
    return end_segment(e, l, from + at);
}

enum err learner_text(struct errctx *e, struct learner *l, const char *text, size_t n, bool end)
{
    size_t from = l->ends_count == 0 ? 0 : l->ends[l->ends_count - 1];

    TRY(bytes_append(e, &l->batch, text, n));
    l->bytes += n;
    if (l->batch.len - from > SEGMENT_BYTES) TRY(cut_long(e, l, from));
    from = l->ends_count == 0 ? 0 : l->ends[l->ends_count - 1];
    if (end && l->batch.len > from) TRY(end_segment(e, l, l->batch.len));
    if (l->batch.len < (size_t)l->cfg.threads * BATCH_BYTES_PER_THREAD) return ERR_OK;
    return count_batch(e, l);
}

/* ------------------------------------------------------------------ the specification */

/* GPT-2 numbers the bytes that print first, then the others. */
static void byte_order(uint8_t order[256])
{
    int n = 0;

    for (int b = 0; b < 256; b++)
        if ((b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae)
            order[n++] = (uint8_t)b;
    for (int b = 0; b < 256; b++)
        if (!((b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae))
            order[n++] = (uint8_t)b;
}

static enum err fill_vocab(struct errctx *e, const struct learner *l, const struct merge_list *m,
                           struct tokenizer_spec *out)
{
    int64_t specials = l->specials.vocab, first_merge = specials + 256;
    struct bytes text = {0};
    uint32_t *id_of; /* of the learner's tokens */
    uint8_t order[256];
    enum err code = ERR_OK;

    out->vocab = first_merge + (int64_t)m->count;
    out->merges_count = (int64_t)m->count;
    TRY(mem_new(e, &out->start, (size_t)out->vocab + 1, sizeof *out->start, "vocabulary"));
    TRY(mem_new(e, &out->flags, (size_t)out->vocab, 1, "vocabulary"));
    TRY(mem_new(e, &out->merges, 2 * m->count, sizeof *out->merges, "merges"));
    TRY(mem_new(e, &id_of, 256 + m->count, sizeof *id_of, "vocabulary"));
    code = bytes_append(e, &text, l->specials.bytes, (size_t)l->specials.start[specials]);
    memcpy(out->start, l->specials.start, ((size_t)specials + 1) * sizeof *out->start);
    memcpy(out->flags, l->specials.flags, (size_t)specials);
    byte_order(order);
    for (int64_t i = 0; i < 256 && code == ERR_OK; i++) {
        id_of[order[i]] = (uint32_t)(specials + i);
        code = bytes_append(e, &text, &order[i], 1);
        out->start[specials + i + 1] = text.len;
    }
    for (size_t k = 0; k < m->count && code == ERR_OK; k++) {
        int64_t id = first_merge + (int64_t)k;
        for (int side = 0; side < 2 && code == ERR_OK; side++) {
            uint32_t part = out->merges[2 * k + (size_t)side] =
                id_of[m->pairs[2 * k + (size_t)side]];
            size_t n = (size_t)(out->start[part + 1] - out->start[part]);
            code = bytes_reserve(e, &text, n);
            if (code == ERR_OK) code = bytes_append(e, &text, text.data + out->start[part], n);
        }
        id_of[256 + k] = (uint32_t)id;
        out->start[id + 1] = text.len;
    }
    mem_free(id_of);
    out->bytes = text.data;
    return code;
}

static enum err finish_bpe(struct errctx *e, struct learner *l, size_t want,
                           struct tokenizer_spec *out)
{
    struct merge_list merges;
    enum err code =
        bpe_merges_learn(e, &l->counters[0].words, want, (uint64_t)l->cfg.min_count, &merges);

    if (code == ERR_OK) code = fill_vocab(e, l, &merges, out);
    if (code == ERR_OK)
        code = ops_byte_bpe(e, &out->ops, &l->pretokenizer_ops, false,
                            mp_get(&l->specials.ops, "special"));
    merge_list_fini(&merges);
    return code;
}

static enum err fill_pieces(struct errctx *e, const struct learner *l,
                            const struct unigram_pieces *p, struct tokenizer_spec *out)
{
    const struct tokenizer_spec *s = &l->specials;
    struct spec_build b = {0};
    int64_t id = 0;
    enum err code = ERR_OK;

    for (; id < s->vocab && code == ERR_OK; id++)
        code = spec_build_token(e, &b, id, s->bytes + s->start[id],
                                (size_t)(s->start[id + 1] - s->start[id]), s->flags[id], 0);
    for (int value = 0; value < 256 && code == ERR_OK; value++) {
        const uint8_t byte = (uint8_t)value;
        code = spec_build_token(e, &b, id++, &byte, 1, TOKEN_BYTE, 0);
    }
    for (size_t i = 0; i < p->count && code == ERR_OK; i++)
        code = spec_build_token(e, &b, id++, p->items[i].bytes, p->items[i].n, 0,
                                (float)p->items[i].score);
    if (code == ERR_OK) code = spec_build_finish(e, &b, true, out);
    spec_build_fini(&b);
    return code;
}

/* The operations of BPE, with another model. */
static enum err finish_unigram(struct errctx *e, struct learner *l, size_t want,
                               struct tokenizer_spec *out)
{
    struct unigram_pieces pieces;
    enum err code =
        unigram_learn(e, &l->counters[0].words, want, (uint64_t)l->cfg.min_count, l->pool, &pieces);

    if (code == ERR_OK) code = fill_pieces(e, l, &pieces, out);
    if (code == ERR_OK)
        code = ops_byte_bpe(e, &out->ops, &l->pretokenizer_ops, false,
                            mp_get(&l->specials.ops, "special"));
    if (code == ERR_OK)
        code = spec_build_ops(e, out, "model",
                              json_pack("{s:s,s:b}", "op", "unigram", "byte_fallback", 1));
    unigram_pieces_fini(&pieces);
    return code;
}

enum err learner_finish(struct errctx *e, struct learner *l, struct tokenizer_spec *out)
{
    struct word_table *words = &l->counters[0].words;
    enum err code;
    const size_t want = (size_t)(l->cfg.vocab - 256 - l->specials.vocab);

    tokenizer_spec_init(out);
    TRY(count_batch(e, l));
    for (int i = 1; i < l->cfg.threads; i++) {
        TRY(word_table_merge(e, words, &l->counters[i].words));
        word_table_fini(&l->counters[i].words);
    }
    l->words = words->used;
    code = (l->cfg.unigram ? finish_unigram : finish_bpe)(e, l, want, out);
    if (code == ERR_OK) code = tokenizer_spec_check(e, out, "learned");
    if (code != ERR_OK) tokenizer_spec_fini(out);
    return code;
}

void learner_counts(const struct learner *l, uint64_t *bytes, uint64_t *words)
{
    *bytes = l->bytes;
    *words = l->words;
}
