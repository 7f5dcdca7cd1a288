/* SPDX-License-Identifier: Apache-2.0 */
/* unigram_learn.c: see unigram_learn.h. All words lie end to end, sorted, each before a byte that
 * is in no text. A piece is looked up by its bytes; of every place in a word its character alone,
 * if nothing else, goes on as an unknown one. */
#include "common/text/unigram_learn.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "common/base/prog.h"
#include "common/text/utf8.h"

enum {
    PARTS = 8,            /* of the words; each has sums of its own */
    MOST_CHARACTERS = 16, /* of a piece */
    MOST_SEEDS = 1000000,
    BORDER = 0xff, /* between words */
    PASSES = 2,    /* of expectation and maximisation, between two prunings */
};
#define NONE       UINT32_MAX
#define COVERAGE   0.9995
#define UNKNOWN    10.0 /* below the least score */
#define LEAST      0.5  /* expected count of a piece that stays */
#define SHRINKS_TO 0.75

struct word {
    const uint8_t *bytes;
    uint32_t n;
    uint64_t count;
};

struct learner {
    struct bytes text;
    struct word *words;
    size_t words_count;
    struct pool *pool;
    struct unigram_piece *pieces;
    size_t count, capacity;
    uint32_t *slots; /* piece + 1 by its bytes, 0: empty */
    size_t mask;
    double unknown;      /* score of a character without a piece */
    double *sums[PARTS]; /* per piece */
    struct errctx errors[PARTS];
};

void unigram_pieces_fini(struct unigram_pieces *p)
{
    mem_free(p->items);
    bytes_fini(&p->text);
    memset(p, 0, sizeof *p);
}

/* ------------------------------------------------------------------ words */

static int by_bytes(const uint8_t *a, size_t n, const uint8_t *b, size_t m)
{
    int order = memcmp(a, b, n < m ? n : m);
    return order != 0 ? order : (n > m) - (n < m);
}

static int words_by_bytes(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    return by_bytes(x->bytes, x->n, y->bytes, y->n);
}

static enum err take_words(struct errctx *e, struct learner *l, const struct word_table *t)
{
    static const uint8_t border = BORDER;
    size_t bytes = 1;

    TRY(mem_new(e, &l->words, t->used + 1, sizeof *l->words, "words"));
    for (size_t i = 0; i < t->slots_count; i++) {
        const struct word_entry *w = &t->slots[i];
        if (w->count == 0 || w->len == 0) continue;
        l->words[l->words_count++] = (struct word){t->arena.data + w->offset, w->len, w->count};
        bytes += w->len + 1;
    }
    if (bytes >= NONE) return err_set(e, ERR_INPUT, "%zu bytes of distinct words", bytes);
    qsort(l->words, l->words_count, sizeof *l->words, words_by_bytes);
    TRY(bytes_reserve(e, &l->text, bytes));
    for (size_t i = 0; i < l->words_count; i++) {
        const uint8_t *to = l->text.data + l->text.len;
        TRY(bytes_append(e, &l->text, l->words[i].bytes, l->words[i].n));
        TRY(bytes_append(e, &l->text, &border, 1));
        l->words[i].bytes = to;
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ the seed */

struct suffix {
    const uint8_t *bytes; /* up to BORDER */
    uint64_t count;       /* of its word; summed up: of it and all before it */
};

static int suffixes_by_bytes(const void *a, const void *b)
{
    const struct suffix *x = a, *y = b;
    const uint8_t *p = x->bytes, *q = y->bytes;

    while (*p == *q && *p != BORDER) {
        p++;
        q++;
    }
    if (*p != *q) return (*p == BORDER ? -1 : *p) - (*q == BORDER ? -1 : *q);
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Bytes of the characters that two suffixes begin with alike, at most as long as a piece. */
static uint32_t alike(const uint8_t *p, const uint8_t *q)
{
    uint32_t n = 0, whole = 0, characters = 0;

    while (p[n] == q[n] && p[n] != BORDER) {
        if ((p[n] & 0xc0) != 0x80 && characters++ == MOST_CHARACTERS) return n;
        n++;
        whole = (p[n] & 0xc0) != 0x80 && (q[n] & 0xc0) != 0x80 ? n : whole;
    }
    return whole;
}

static enum err add_piece(struct errctx *e, struct learner *l, const uint8_t *bytes, uint32_t n,
                          double score)
{
    TRY(mem_grow(e, &l->pieces, &l->capacity, l->count + 1, sizeof *l->pieces, "pieces"));
    l->pieces[l->count++] = (struct unigram_piece){bytes, n, (uint32_t)utf8_count(bytes, n), score};
    return ERR_OK;
}

struct open_interval { /* of suffixes that begin alike */
    uint32_t n;
    size_t from;
};

/* Every branching substring: an interval of the sorted suffixes that begin with it and with nothing
 * longer in common. */
static enum err add_substrings(struct errctx *e, struct learner *l, const struct suffix *s,
                               size_t n, uint64_t min_count)
{
    struct open_interval stack[4 * MOST_CHARACTERS + 2];
    size_t depth = 0;

    for (size_t i = 1; i <= n; i++) {
        const uint32_t same = i < n ? alike(s[i - 1].bytes, s[i].bytes) : 0;
        size_t from = i - 1;
        while (depth > 0 && stack[depth - 1].n > same) {
            const struct open_interval *top = &stack[--depth];
            const uint64_t count = s[i - 1].count - (top->from > 0 ? s[top->from - 1].count : 0);
            const uint8_t *bytes = s[top->from].bytes;
            from = top->from;
            if (count >= min_count && utf8_count(bytes, top->n) > 1)
                TRY(add_piece(e, l, bytes, top->n,
                              (double)count * (double)utf8_count(bytes, top->n)));
        }
        if (same > 0 && (depth == 0 || stack[depth - 1].n < same))
            stack[depth++] = (struct open_interval){same, from};
    }
    return ERR_OK;
}

/* Characters, the most frequent first, until they cover the text. */
static int by_score(const void *a, const void *b)
{
    const struct unigram_piece *x = a, *y = b;

    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return by_bytes(x->bytes, x->n, y->bytes, y->n);
}

static enum err add_characters(struct errctx *e, struct learner *l, const struct suffix *s,
                               size_t n, size_t most)
{
    double all = 0, covered = 0;
    size_t kept = 0;

    for (size_t from = 0, to; from < n; from = to) {
        size_t len;
        (void)utf8_decode(s[from].bytes, &len);
        for (to = from + 1; to < n && memcmp(s[to].bytes, s[from].bytes, len) == 0;) to++;
        const double count = (double)(s[to - 1].count - (from > 0 ? s[from - 1].count : 0));
        TRY(add_piece(e, l, s[from].bytes, (uint32_t)len, count));
        all += count;
    }
    if (l->count > 0) qsort(l->pieces, l->count, sizeof *l->pieces, by_score);
    while (kept < l->count && kept < most && covered < COVERAGE * all)
        covered += l->pieces[kept++].score;
    l->count = kept;
    return ERR_OK;
}

static enum err add_seed(struct errctx *e, struct learner *l, size_t want, uint64_t min_count)
{
    struct suffix *s;
    size_t n = 0, characters = 0;
    double sum = 0;
    enum err code;

    TRY(mem_new_aligned(e, &s, l->text.len + 1, sizeof *s, "suffixes"));
    for (size_t w = 0; w < l->words_count; w++)
        for (uint32_t i = 0; i < l->words[w].n; i++)
            if ((l->words[w].bytes[i] & 0xc0) != 0x80)
                s[n++] = (struct suffix){l->words[w].bytes + i, l->words[w].count};
    if (n > 0) qsort(s, n, sizeof *s, suffixes_by_bytes);
    for (size_t i = 1; i < n; i++) s[i].count += s[i - 1].count;
    code = add_characters(e, l, s, n, want);
    characters = l->count;
    if (code == ERR_OK) code = add_substrings(e, l, s, n, min_count > 2 ? min_count : 2);
    mem_free(s);
    TRY(code);
    if (l->count > characters)
        qsort(l->pieces + characters, l->count - characters, sizeof *l->pieces, by_score);
    if (l->count > characters + MOST_SEEDS) l->count = characters + MOST_SEEDS;
    for (size_t i = 0; i < l->count; i++) sum += l->pieces[i].score;
    for (size_t i = 0; i < l->count; i++) l->pieces[i].score = log(l->pieces[i].score) - log(sum);
    return ERR_OK;
}

/* ------------------------------------------------------------------ looking up */

static enum err index_pieces(struct errctx *e, struct learner *l)
{
    size_t slots = 256;
    double least = 0;

    while (slots < 2 * l->count) slots *= 2;
    mem_free(l->slots);
    TRY(mem_new(e, &l->slots, slots, sizeof *l->slots, "pieces"));
    l->mask = slots - 1;
    for (size_t k = 0; k < l->count; k++) {
        size_t i = (size_t)XXH3_64bits(l->pieces[k].bytes, l->pieces[k].n) & l->mask;
        while (l->slots[i] != 0) i = (i + 1) & l->mask;
        l->slots[i] = (uint32_t)k + 1;
        if (l->pieces[k].score < least) least = l->pieces[k].score;
    }
    l->unknown = least - UNKNOWN;
    return ERR_OK;
}

static uint32_t find_piece(const struct learner *l, const uint8_t *bytes, size_t n)
{
    for (size_t i = (size_t)XXH3_64bits(bytes, n) & l->mask; l->slots[i] != 0;
         i = (i + 1) & l->mask) {
        const struct unigram_piece *p = &l->pieces[l->slots[i] - 1];
        if (p->n == n && memcmp(p->bytes, bytes, n) == 0) return l->slots[i] - 1;
    }
    return NONE;
}

/* ------------------------------------------------------------------ ways through a word */

struct edge { /* a piece, or an unknown character (NONE) */
    uint32_t from, to, piece;
    double score;
};

struct lattice {        /* zero-initialised; one per part */
    struct edge *edges; /* by their ends */
    size_t count, capacity;
    double *before, *behind; /* per byte, logarithms of sums over all ways */
    uint32_t *best;          /* edge that ends there */
    size_t before_capacity, behind_capacity, best_capacity;
};

static void lattice_fini(struct lattice *a)
{
    mem_free(a->edges);
    mem_free(a->before);
    mem_free(a->behind);
    mem_free(a->best);
}

/* `whole`: the piece that is all of the text may be one of its edges. */
static enum err fill_lattice(struct errctx *e, const struct learner *l, const uint8_t *text,
                             uint32_t n, bool whole, struct lattice *a)
{
    uint32_t starts[MOST_CHARACTERS]; /* of the last characters, in a ring */
    size_t seen = 0;
    size_t len;

    TRY(mem_grow(e, &a->before, &a->before_capacity, n + 1, sizeof *a->before, "lattice"));
    TRY(mem_grow(e, &a->behind, &a->behind_capacity, n + 1, sizeof *a->behind, "lattice"));
    TRY(mem_grow(e, &a->best, &a->best_capacity, n + 1, sizeof *a->best, "lattice"));
    a->count = 0;
    for (uint32_t at = 0; at < n; at += (uint32_t)len) {
        (void)utf8_decode(text + at, &len);
        const uint32_t to = at + (uint32_t)len;
        starts[seen++ % MOST_CHARACTERS] = at;
        for (size_t k = 0; k < MOST_CHARACTERS && k < seen; k++) {
            const uint32_t from = starts[(seen - 1 - k) % MOST_CHARACTERS];
            uint32_t piece = find_piece(l, text + from, to - from);
            if (!whole && from == 0 && to == n) piece = NONE;
            if (piece == NONE && (k > 0 || (!whole && n == len))) continue;
            TRY(mem_grow(e, &a->edges, &a->capacity, a->count + 1, sizeof *a->edges, "lattice"));
            a->edges[a->count++] =
                (struct edge){from, to, piece, piece == NONE ? l->unknown : l->pieces[piece].score};
        }
    }
    return ERR_OK;
}

static double log_sum(double a, double b)
{
    const double high = a > b ? a : b, low = a > b ? b : a;
    return low < high - 50 ? high : high + log1p(exp(low - high));
}

/* Adds `weight` times the expected number of each piece to sums. */
static void add_expected(struct lattice *a, uint32_t n, double weight, double *sums)
{
    for (uint32_t i = 0; i <= n; i++) a->before[i] = a->behind[i] = -DBL_MAX;
    a->before[0] = a->behind[n] = 0;
    for (size_t k = 0; k < a->count; k++) {
        const struct edge *x = &a->edges[k];
        a->before[x->to] = log_sum(a->before[x->to], a->before[x->from] + x->score);
    }
    for (size_t k = a->count; k-- > 0;) {
        const struct edge *x = &a->edges[k];
        a->behind[x->from] = log_sum(a->behind[x->from], a->behind[x->to] + x->score);
    }
    for (size_t k = 0; k < a->count; k++) {
        const struct edge *x = &a->edges[k];
        if (x->piece != NONE)
            sums[x->piece] +=
                weight * exp(a->before[x->from] + x->score + a->behind[x->to] - a->before[n]);
    }
}

/* The best way; a->best leads back from n. Its score, -DBL_MAX without one. */
static double best_way(struct lattice *a, uint32_t n)
{
    for (uint32_t i = 1; i <= n; i++) a->before[i] = -DBL_MAX;
    a->before[0] = 0;
    for (size_t k = 0; k < a->count; k++) {
        const struct edge *x = &a->edges[k];
        const double score = a->before[x->from] + x->score;
        if (a->before[x->from] == -DBL_MAX || score <= a->before[x->to]) continue;
        a->before[x->to] = score;
        a->best[x->to] = (uint32_t)k;
    }
    return a->before[n];
}

/* ------------------------------------------------------------------ passes over the words */

struct pass {
    struct learner *l;
    bool best; /* counts the best way only */
};

static void count_part(void *ctx, int64_t part, int thread)
{
    const struct pass *p = ctx;
    struct learner *l = p->l;
    struct errctx *e = &l->errors[part];
    struct lattice a = {0};
    double *sums = l->sums[part];
    const size_t from = l->words_count * (size_t)part / PARTS;
    const size_t to = l->words_count * (size_t)(part + 1) / PARTS;

    (void)thread;
    memset(sums, 0, l->count * sizeof *sums);
    for (size_t w = from; w < to && e->code == ERR_OK; w++) {
        const struct word *word = &l->words[w];
        if (fill_lattice(e, l, word->bytes, word->n, true, &a) != ERR_OK) break;
        if (!p->best) {
            add_expected(&a, word->n, (double)word->count, sums);
            continue;
        }
        (void)best_way(&a, word->n);
        for (uint32_t at = word->n; at > 0; at = a.edges[a.best[at]].from)
            if (a.edges[a.best[at]].piece != NONE)
                sums[a.edges[a.best[at]].piece] += (double)word->count;
    }
    lattice_fini(&a);
}

/* Sums over all words, to l->sums[0]. */
static enum err count_pieces(struct errctx *e, struct learner *l, bool best)
{
    struct pass p = {l, best};

    TRY(index_pieces(e, l));
    pool_run(l->pool, count_part, &p, PARTS);
    for (size_t k = 0; k < PARTS; k++) {
        if (l->errors[k].code != ERR_OK) {
            *e = l->errors[k];
            return e->code;
        }
        for (size_t i = 0; k > 0 && i < l->count; i++) l->sums[0][i] += l->sums[k][i];
    }
    return ERR_OK;
}

static double digamma(double x)
{
    double result = 0;

    for (; x < 7; x++) result -= 1 / x;
    x -= 0.5;
    const double y = 1 / (x * x);
    return result + log(x) + y / 24 - 7 * y * y / 960 + 31 * y * y * y / 8064 -
           127 * y * y * y * y / 30720;
}

static enum err expect_and_maximise(struct errctx *e, struct learner *l)
{
    size_t kept = 0;
    double sum = 0;

    TRY(count_pieces(e, l, false));
    for (size_t i = 0; i < l->count; i++)
        if (l->sums[0][i] >= LEAST) sum += l->sums[0][i];
    for (size_t i = 0; i < l->count; i++) {
        const double count = l->sums[0][i];
        if (count < LEAST && l->pieces[i].characters > 1) continue;
        l->pieces[kept] = l->pieces[i];
        l->pieces[kept++].score = digamma(count < LEAST ? LEAST : count) - digamma(sum);
    }
    l->count = kept;
    return ERR_OK;
}

/* ------------------------------------------------------------------ pruning */

/* How much likelihood goes with piece i, whose text is then written with others: DBL_MAX where
 * there are none, -1 where they are better anyway. */
static enum err loss_of(struct errctx *e, const struct learner *l, const double *freq, double sum,
                        uint32_t i, struct lattice *a, double *loss)
{
    const struct unigram_piece *p = &l->pieces[i];
    double log_other = 0, parts = 0, best;

    *loss = DBL_MAX;
    if (p->characters == 1) return ERR_OK;
    *loss = -1;
    if (freq[i] == 0) return ERR_OK;
    TRY(fill_lattice(e, l, p->bytes, p->n, false, a));
    best = best_way(a, p->n);
    if (best > p->score) return ERR_OK;
    for (uint32_t at = p->n; at > 0; at = a->edges[a->best[at]].from) {
        const uint32_t other = a->edges[a->best[at]].piece;
        parts++;
        log_other += log((other == NONE ? 0 : freq[other]) + freq[i]);
    }
    const double sum_other = log(sum + freq[i] * (parts - 1));
    *loss = freq[i] / sum * (log(freq[i]) - log(sum) - (log_other - parts * sum_other));
    return ERR_OK;
}

struct ranked {
    double loss;
    uint32_t piece;
};

static int by_loss(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->loss != y->loss) return x->loss > y->loss ? -1 : 1;
    return x->piece < y->piece ? -1 : x->piece > y->piece;
}

static int by_piece(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->piece < y->piece ? -1 : x->piece > y->piece;
}

static enum err prune(struct errctx *e, struct learner *l, size_t most)
{
    struct lattice a = {0};
    struct ranked *ranks;
    double sum = 0;
    size_t kept = 0, n = (size_t)(SHRINKS_TO * (double)l->count);
    enum err code = ERR_OK;

    TRY(count_pieces(e, l, true));
    for (size_t i = 0; i < l->count; i++) sum += l->sums[0][i];
    TRY(mem_new(e, &ranks, l->count + 1, sizeof *ranks, "pieces"));
    for (uint32_t i = 0; i < l->count && code == ERR_OK; i++) {
        ranks[kept].piece = i;
        code = loss_of(e, l, l->sums[0], sum, i, &a, &ranks[kept].loss);
        kept += ranks[kept].loss >= 0;
    }
    qsort(ranks, kept, sizeof *ranks, by_loss);
    if (n < most) n = most;
    if (kept > n) kept = n;
    qsort(ranks, kept, sizeof *ranks, by_piece);
    for (size_t i = 0; i < kept && code == ERR_OK; i++) l->pieces[i] = l->pieces[ranks[i].piece];
    l->count = kept;
    mem_free(ranks);
    lattice_fini(&a);
    return code;
}

/* ------------------------------------------------------------------ the whole */

static enum err learn(struct errctx *e, struct learner *l, size_t want)
{
    const size_t most = want + want / 10;

    for (size_t k = 0; k < PARTS; k++)
        TRY(mem_new(e, &l->sums[k], l->count + 1, sizeof **l->sums, "counts"));
    for (;;) {
        const size_t before = l->count;
        for (int pass = 0; pass < PASSES; pass++) TRY(expect_and_maximise(e, l));
        prog_progress_count("pieces", (int64_t)l->count, (int64_t)most);
        if (l->count <= most) break;
        TRY(prune(e, l, most));
        if (l->count == before) break;
    }
    prog_progress_done();
    return ERR_OK;
}

/* All characters, then the best of the others. */
static enum err choose(struct errctx *e, struct learner *l, size_t want, struct unigram_pieces *out)
{
    size_t room = want, at = 0;

    if (l->count > 0) qsort(l->pieces, l->count, sizeof *l->pieces, by_score);
    for (size_t i = 0; i < l->count; i++) room -= l->pieces[i].characters == 1;
    TRY(mem_new(e, &out->items, want + 1, sizeof *out->items, "pieces"));
    for (size_t i = 0; i < l->count; i++) {
        if (l->pieces[i].characters > 1 && room == 0) continue;
        room -= l->pieces[i].characters > 1;
        out->items[at++] = l->pieces[i];
    }
    out->count = at;
    out->text = l->text; /* what the pieces point into */
    l->text = (struct bytes){0};
    return ERR_OK;
}

enum err unigram_learn(struct errctx *e, const struct word_table *words, size_t want,
                       uint64_t min_count, struct pool *pool, struct unigram_pieces *out)
{
    struct learner l = {.pool = pool};
    enum err code;

    memset(out, 0, sizeof *out);
    for (size_t k = 0; k < PARTS; k++) l.errors[k] = ERRCTX_INIT;
    code = take_words(e, &l, words);
    if (code == ERR_OK) code = add_seed(e, &l, want, min_count);
    if (code == ERR_OK) code = learn(e, &l, want);
    if (code == ERR_OK) code = choose(e, &l, want, out);
    bytes_fini(&l.text);
    mem_free(l.words);
    mem_free(l.pieces);
    mem_free(l.slots);
    for (size_t k = 0; k < PARTS; k++) mem_free(l.sums[k]);
    return code;
}
