/* SPDX-License-Identifier: Apache-2.0 */
/* bpe_merges.c: see bpe_merges.h. */
#include "common/text/bpe_merges.h"
#include <string.h>
#include "common/base/prog.h"

#define NO_KEY  UINT64_MAX
#define NO_WORD UINT32_MAX

struct pair {
    uint64_t key; /* left << 32 | right */
    int64_t count;
    uint64_t first; /* its words: places[first .. first + words) */
    uint32_t words;
};

struct candidate {
    int64_t count;
    uint64_t key;
};

struct word { /* symbols[first .. first + len) */
    uint64_t first, count;
    uint32_t len;
};

/* What is gathered about the pair of the new token with one other. */
struct partner {
    int64_t count;
    uint64_t words, next; /* words found; where the next one goes */
    uint32_t last;        /* word seen last */
};

struct place {
    uint32_t partner, word;
};

struct state {
    int64_t min_count;
    uint32_t *symbols;
    size_t symbols_count;
    struct word *words;
    size_t words_count;
    struct pair *table; /* open addressing */
    size_t table_slots, table_used;
    uint32_t *places;
    size_t places_count, places_capacity;
    struct candidate *heap;
    size_t heap_count, heap_capacity;
    struct bytes text;    /* of all tokens */
    uint64_t *text_start; /* tokens + 1 */
    size_t tokens;
    struct partner *partners; /* [2 * tokens]: before the new token by id, then behind it */
    uint32_t *touched;
    size_t touched_count;
    struct place *found;
    size_t found_count, found_capacity;
};

void merge_list_fini(struct merge_list *m)
{
    mem_free(m->pairs);
    memset(m, 0, sizeof *m);
}

/* ------------------------------------------------------------------ pairs */

static inline size_t slot_of(uint64_t key, size_t slots)
{
    key *= 0x9e3779b97f4a7c15u;
    return (size_t)(key ^ key >> 32) & (slots - 1);
}

static struct pair *find(const struct state *s, uint64_t key)
{
    size_t i = slot_of(key, s->table_slots);

    while (s->table[i].key != key && s->table[i].key != NO_KEY) i = (i + 1) & (s->table_slots - 1);
    return s->table[i].key == key ? &s->table[i] : NULL;
}

static void insert(struct pair *table, size_t slots, const struct pair *p)
{
    size_t i = slot_of(p->key, slots);

    while (table[i].key != NO_KEY) i = (i + 1) & (slots - 1);
    table[i] = *p;
}

/* A larger table, without the pairs that have become too rare. */
static enum err rehash(struct errctx *e, struct state *s)
{
    size_t live = 0, slots = 1 << 16;
    struct pair *table;

    for (size_t i = 0; i < s->table_slots; i++)
        live += s->table[i].key != NO_KEY && s->table[i].count >= s->min_count;
    while (3 * slots < 8 * live) slots *= 2; /* three quarters full at most, after twice as many */
    TRY(mem_new_aligned(e, &table, slots, sizeof *table, "pairs"));
    for (size_t i = 0; i < slots; i++) table[i].key = NO_KEY;
    for (size_t i = 0; i < s->table_slots; i++)
        if (s->table[i].key != NO_KEY && s->table[i].count >= s->min_count)
            insert(table, slots, &s->table[i]);
    mem_free(s->table);
    s->table = table;
    s->table_slots = slots;
    s->table_used = live;
    return ERR_OK;
}

/* ------------------------------------------------------------------ the heap */

static int compare_text(const struct state *s, uint32_t a, uint32_t b)
{
    size_t n = (size_t)(s->text_start[a + 1] - s->text_start[a]);
    size_t m = (size_t)(s->text_start[b + 1] - s->text_start[b]);
    int order =
        memcmp(s->text.data + s->text_start[a], s->text.data + s->text_start[b], n < m ? n : m);

    return order != 0 ? order : (n > m) - (n < m);
}

/* a comes before b. */
static bool precedes(const struct state *s, const struct candidate *a, const struct candidate *b)
{
    int order;

    if (a->count != b->count) return a->count > b->count;
    order = compare_text(s, (uint32_t)(a->key >> 32), (uint32_t)(b->key >> 32));
    if (order == 0) order = compare_text(s, (uint32_t)a->key, (uint32_t)b->key);
    return order > 0;
}

static enum err push(struct errctx *e, struct state *s, struct candidate c)
{
    size_t i = s->heap_count;

    TRY(mem_grow(e, &s->heap, &s->heap_capacity, i + 1, sizeof *s->heap, "pairs"));
    s->heap_count++;
    for (; i > 0 && precedes(s, &c, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = c;
    return ERR_OK;
}

/* Puts c in place of the top. */
static void replace_top(struct state *s, struct candidate c)
{
    size_t i = 0, n = s->heap_count;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && precedes(s, &s->heap[child + 1], &s->heap[child])) child++;
        if (!precedes(s, &s->heap[child], &c)) break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = c;
}

static void pop(struct state *s)
{
    s->heap_count--;
    if (s->heap_count > 0) replace_top(s, s->heap[s->heap_count]);
}

/* The pair to merge next, or NULL: entries whose count has fallen are put back lower. */
static struct pair *next_pair(struct state *s)
{
    while (s->heap_count > 0) {
        struct candidate top = s->heap[0];
        struct pair *p = find(s, top.key);
        if (p == NULL || p->count < s->min_count) {
            pop(s);
        } else if (p->count < top.count) {
            top.count = p->count;
            replace_top(s, top);
        } else {
            pop(s);
            return p;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ gathering */

/* `delta` more of the pair with a partner, in a word (words come in ascending order). True when the
 * word is new to it. */
static inline bool note(struct state *s, uint32_t partner, uint32_t word, int64_t delta)
{
    struct partner *p = &s->partners[partner];

    if (p->last == NO_WORD) s->touched[s->touched_count++] = partner;
    p->count += delta;
    if (p->last == word) return false;
    p->last = word;
    p->words++;
    return true;
}

static inline enum err gather(struct errctx *e, struct state *s, uint32_t partner, uint32_t word,
                              int64_t delta)
{
    if (!note(s, partner, word, delta)) return ERR_OK;
    if (s->found_count == s->found_capacity)
        TRY(mem_grow(e, &s->found, &s->found_capacity, s->found_count + 1, sizeof *s->found,
                     "pairs"));
    s->found[s->found_count++] = (struct place){partner, word};
    return ERR_OK;
}

/* Makes pairs of what was gathered, with room for their words; partner->next says where, or NO_KEY
 * where the pair is too rare. */
static enum err make_pairs(struct errctx *e, struct state *s, uint32_t token, bool initial)
{
    for (size_t i = 0; i < s->touched_count; i++) {
        struct partner *p = &s->partners[s->touched[i]];
        uint32_t id = s->touched[i];
        struct pair pair = {
            .count = p->count, .first = s->places_count, .words = (uint32_t)p->words};
        p->next = NO_KEY;
        if (p->count < s->min_count) continue;
        if (initial)
            pair.key = (uint64_t)(id >> 8) << 32 | (id & 255);
        else if (id < s->tokens)
            pair.key = (uint64_t)id << 32 | token;
        else
            pair.key = (uint64_t)token << 32 | (id - s->tokens);
        p->next = s->places_count;
        s->places_count += p->words;
        if (4 * (s->table_used + 1) > 3 * s->table_slots) TRY(rehash(e, s));
        insert(s->table, s->table_slots, &pair);
        s->table_used++;
        TRY(push(e, s, (struct candidate){pair.count, pair.key}));
    }
    return mem_grow(e, &s->places, &s->places_capacity, s->places_count, sizeof *s->places,
                    "pairs");
}

static void forget_partners(struct state *s)
{
    for (size_t i = 0; i < s->touched_count; i++)
        s->partners[s->touched[i]] = (struct partner){.last = NO_WORD};
    s->touched_count = 0;
    s->found_count = 0;
}

/* Turns what was gathered around a new token into pairs with their words. */
static enum err settle(struct errctx *e, struct state *s, uint32_t token)
{
    TRY(make_pairs(e, s, token, false));
    for (size_t i = 0; i < s->found_count; i++) {
        struct partner *p = &s->partners[s->found[i].partner];
        if (p->next != NO_KEY) s->places[p->next++] = s->found[i].word;
    }
    forget_partners(s);
    return ERR_OK;
}

static void lower(struct state *s, uint32_t left, uint32_t right, int64_t by)
{
    struct pair *p = find(s, (uint64_t)left << 32 | right);

    if (p != NULL) p->count -= by;
}

/* Replaces left, right by token in one word and gathers the pairs around it. */
static enum err merge_word(struct errctx *e, struct state *s, uint32_t index, uint32_t left,
                           uint32_t right, uint32_t token)
{
    struct word *w = &s->words[index];
    uint32_t *y = s->symbols + w->first, n = w->len, to = 0;
    int64_t count = (int64_t)w->count;

    for (uint32_t i = 0; i < n; to++) {
        if (i + 1 >= n || y[i] != left || y[i + 1] != right) {
            y[to] = y[i++];
            continue;
        }
        if (to > 0) {
            uint32_t before = y[to - 1];
            if (before == token) /* its pair with `left` was gathered a moment ago, and is none */
                s->partners[s->tokens + left].count -= count;
            else
                lower(s, before, left, count);
            TRY(gather(e, s, before, index,
                       count)); /* the pair (token, token) counts as its first half's */
        }
        y[to] = token;
        i += 2;
        if (i < n) {
            lower(s, right, y[i], count);
            TRY(gather(e, s, (uint32_t)s->tokens + y[i], index, count));
        }
    }
    w->len = to;
    return ERR_OK;
}

/* ------------------------------------------------------------------ the loop */

static enum err add_token(struct errctx *e, struct state *s, size_t id, uint32_t left,
                          uint32_t right)
{
    const uint32_t parts[2] = {left, right};

    for (int i = 0; i < 2; i++) {
        size_t n = (size_t)(s->text_start[parts[i] + 1] - s->text_start[parts[i]]);
        TRY(bytes_reserve(e, &s->text, n));
        TRY(bytes_append(e, &s->text, s->text.data + s->text_start[parts[i]], n));
    }
    s->text_start[id + 1] = s->text.len;
    return ERR_OK;
}

/* Words as symbols; the table's memory goes. */
static enum err take_words(struct errctx *e, struct state *s, struct word_table *t)
{
    size_t symbols = 0, n = 0;

    for (size_t i = 0; i < t->slots_count; i++) {
        if (t->slots[i].count == 0 || t->slots[i].len < 2) continue;
        symbols += t->slots[i].len;
        n++;
    }
    if (n >= NO_WORD) return err_set(e, ERR_INPUT, "%zu distinct words are too many", n);
    TRY(mem_new_aligned(e, &s->symbols, symbols, sizeof *s->symbols, "words"));
    TRY(mem_new_aligned(e, &s->words, n, sizeof *s->words, "words"));
    for (size_t i = 0; i < t->slots_count; i++) {
        const struct word_entry *w = &t->slots[i];
        if (w->count == 0 || w->len < 2) continue;
        s->words[s->words_count++] = (struct word){s->symbols_count, w->count, w->len};
        for (uint32_t k = 0; k < w->len; k++)
            s->symbols[s->symbols_count++] = t->arena.data[w->offset + k];
    }
    word_table_fini(t);
    return ERR_OK;
}

/* All words are gone through twice, which takes less memory than what was found would. */
static enum err initial_pairs(struct errctx *e, struct state *s)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t w = 0; w < s->words_count; w++) {
            const uint32_t *y = s->symbols + s->words[w].first;
            for (uint32_t i = 0; i + 1 < s->words[w].len; i++) {
                struct partner *p = &s->partners[y[i] << 8 | y[i + 1]];
                if (pass == 0) {
                    (void)note(s, y[i] << 8 | y[i + 1], (uint32_t)w, (int64_t)s->words[w].count);
                } else if (p->next != NO_KEY && p->last != (uint32_t)w) {
                    s->places[p->next++] = (uint32_t)w;
                    p->last = (uint32_t)w;
                }
            }
        }
        if (pass == 0) TRY(make_pairs(e, s, 0, true));
        for (size_t i = 0; pass == 0 && i < s->touched_count; i++)
            s->partners[s->touched[i]].last = NO_WORD;
    }
    forget_partners(s);
    return ERR_OK;
}

static enum err prepare(struct errctx *e, struct state *s, struct word_table *words, size_t want)
{
    size_t partners;

    s->tokens = 256 + want;
    partners = 2 * s->tokens > 65536 ? 2 * s->tokens : 65536;
    TRY(mem_new_aligned(e, &s->partners, partners, sizeof *s->partners, "pairs"));
    for (size_t i = 0; i < partners; i++) s->partners[i] = (struct partner){.last = NO_WORD};
    TRY(mem_new_aligned(e, &s->touched, partners, sizeof *s->touched, "pairs"));
    TRY(mem_new(e, &s->text_start, s->tokens + 1, sizeof *s->text_start, "tokens"));
    for (int b = 0; b < 256; b++) {
        uint8_t byte = (uint8_t)b;
        TRY(bytes_append(e, &s->text, &byte, 1));
        s->text_start[b + 1] = s->text.len;
    }
    TRY(rehash(e, s));
    TRY(take_words(e, s, words));
    return initial_pairs(e, s);
}

static enum err learn(struct errctx *e, struct state *s, size_t want, struct merge_list *out)
{
    for (size_t k = 0; k < want; k++) {
        struct pair *p = next_pair(s), pair;
        uint32_t left, right, token = (uint32_t)(256 + k);
        if (p == NULL) break;
        pair = *p;
        p->count = 0;
        left = (uint32_t)(pair.key >> 32);
        right = (uint32_t)pair.key;
        TRY(add_token(e, s, token, left, right));
        out->pairs[2 * k] = left;
        out->pairs[2 * k + 1] = right;
        out->count = k + 1;
        for (uint32_t i = 0; i < pair.words; i++)
            TRY(merge_word(e, s, s->places[pair.first + i], left, right, token));
        TRY(settle(e, s, token));
        if (k % 64 == 0) prog_progress_count("merges", (int64_t)k, (int64_t)want);
    }
    prog_progress_done();
    return ERR_OK;
}

static void state_fini(struct state *s)
{
    mem_free(s->symbols);
    mem_free(s->words);
    mem_free(s->table);
    mem_free(s->places);
    mem_free(s->heap);
    bytes_fini(&s->text);
    mem_free(s->text_start);
    mem_free(s->partners);
    mem_free(s->touched);
    mem_free(s->found);
}

enum err bpe_merges_learn(struct errctx *e, struct word_table *words, size_t want,
                          uint64_t min_count, struct merge_list *out)
{
    struct state s = {.min_count = min_count > INT64_MAX ? INT64_MAX : (int64_t)min_count};
    enum err code;

    memset(out, 0, sizeof *out);
    code = mem_new(e, &out->pairs, 2 * want, sizeof *out->pairs, "merges");
    if (code == ERR_OK) code = prepare(e, &s, words, want);
    if (code == ERR_OK) code = learn(e, &s, want, out);
    state_fini(&s);
    if (code != ERR_OK) merge_list_fini(out);
    return code;
}
