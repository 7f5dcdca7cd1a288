/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_run.c: see tokenizer_run.h.
 *
 * Speed comes from the word cache: natural text repeats its words, so a piece is hashed and
 * compared once (one cache line holds the piece and its ids) and the model only sees what is new.
 * The cache has sets of two, and a table of its own for pieces of more ids, and is never wrong: a
 * collision is a miss. Each thread has its own.
 *
 * Words of BERT's are remembered as they stand in the text, before they are normalised
 * (bert_words.h), with the places where their tokens end; the key of such a word has a bit of its
 * own.
 *
 * The decoder of bytes joins the tokens' bytes; that of WordPiece puts spaces between words. */
#include "common/text/tokenizer_run.h"
#include <string.h>
#include "common/text/added_tokens.h"
#include "common/text/bert_words.h"
#include "common/text/bpe.h"
#include "common/text/normalize.h"
#include "common/text/pretokenize.h"
#include "common/text/unigram.h"
#include "common/text/utf8.h"
#include "common/text/wordpiece.h"

enum {
    WORD_LIMIT = 31, /* bytes of a piece that is remembered */
    WORD_IDS = 7,
    WIDE_IDS = 23,
    RAW_IDS = 5, /* of a raw word; the rest of the ids' room has the ends of its tokens */
    RAW_WIDE_IDS = 18,
    RAW_BIT = 0x80,        /* in the last byte of its key */
    CACHE_SETS = 1 << 16,  /* of two words; half as many wide words */
    CACHE_FIRST = 1 << 10, /* sets for a short text */
    PIECES = 256,          /* taken from the pre-tokeniser at once */
};

struct word {        /* one cache line */
    uint64_t key[4]; /* the piece, padded with zeros; the last byte is its length */
    uint32_t ids[WORD_IDS];
    uint32_t count; /* 0: empty */
};

struct wide_word { /* a piece of more ids: two lines */
    uint64_t key[4];
    uint32_t ids[WIDE_IDS];
    uint32_t count;
};

struct tokenizer {
    const struct tokenizer_spec *spec;
    struct normalizer normalizer;
    struct pretokenizer *pretokenizer;
    struct vocab_map vocab;
    struct bpe *bpe;                 /* one of the three models */
    struct unigram *unigram;         /* when bpe is NULL */
    struct wordpiece wordpiece;      /* when both are */
    struct added_tokens added[2][2]; /* [special recognised][matched in normalised text] */
    struct bert_words raw;
    bool lossless;
    bool words;        /* no token spans words: what has a space behind another character */
    bool exact_ends;   /* a token's bytes are those of the text it stands for, but for 'unk' */
    bool fuse_unknown; /* neighbours that are unknown are one token */
    int64_t unknown;
    bool decode_words; /* the decoder of WordPiece, not of bytes */
    bool cleanup;
    char prefix[16];
    size_t prefix_len;
    const char *unknown_text; /* what 'unk' is decoded to; NULL: its bytes */
    int64_t strip_left;       /* spaces that decoded text loses at its beginning */
    bool strip_first;         /* the first token loses all its spaces */
};

struct tokenizer_scratch {
    const struct tokenizer *t;
    struct pretokenizer_cursor *cursor;
    struct bpe_scratch bpe;
    struct unigram_scratch unigram;
    struct bytes buffer;
    struct normalized normalized;
    struct bytes prefixed; /* a segment behind a space */
    struct bytes marked;   /* pieces as metaspace has them, */
    uint64_t *marked_end;  /* and per byte where its origin ends */
    size_t marked_capacity;
    struct word *cache;     /* sets of two: the one that was used last, and the one before */
    struct wide_word *wide; /* sets / 2 of them */
    size_t sets, new_words;
    bool held; /* somebody has places in the cache */
    struct offset_list raw_ends;
};

const struct tokenizer_spec *tokenizer_spec_of(const struct tokenizer *t)
{
    return t->spec;
}

/* ------------------------------------------------------------------ compiling */

static enum err copy_prefix(struct errctx *e, const struct mp_value *op, char *out, size_t *len)
{
    const char *prefix = "##";

    if (mp_get(op, "prefix") != NULL) TRY(mp_get_string(e, op, "prefix", &prefix));
    *len = strlen(prefix);
    if (*len >= 16) return err_set(e, ERR_INPUT, "prefix '%s' is too long", prefix);
    memcpy(out, prefix, *len + 1);
    return ERR_OK;
}

static enum err compile_model(struct errctx *e, struct tokenizer *t)
{
    const struct mp_value *model = mp_get(&t->spec->ops, "model");
    const char *name;
    int64_t max_chars = 100;

    TRY(mp_get_string(e, model, "op", &name));
    t->unknown = tokenizer_spec_special(t->spec, "unk");
    t->exact_ends = t->fuse_unknown = true;
    if (strcmp(name, "bpe") == 0) {
        if (mp_get(model, "fuse_unk") != NULL)
            TRY(mp_get_bool(e, model, "fuse_unk", &t->fuse_unknown));
        return bpe_new(e, t->spec, &t->vocab, &t->bpe);
    }
    if (strcmp(name, "unigram") == 0) return unigram_new(e, t->spec, &t->unigram);
    t->exact_ends = false;
    if (strcmp(name, "wordpiece") != 0)
        return err_set(e, ERR_INPUT, "model '%s' cannot be run", name);
    if (mp_get(model, "max_chars") != NULL)
        TRY(mp_get_int(e, model, "max_chars", 1, INT32_MAX / 4, &max_chars));
    t->wordpiece.vocab = &t->vocab;
    t->wordpiece.unknown = (uint32_t)tokenizer_spec_special(t->spec, "unk");
    t->wordpiece.max_chars = (size_t)max_chars;
    return copy_prefix(e, model, t->wordpiece.prefix, &t->wordpiece.prefix_len);
}

/* How tokens are joined, then what the text loses at its beginning. */
static enum err compile_decoder(struct errctx *e, struct tokenizer *t)
{
    const struct mp_value *list = mp_get(&t->spec->ops, "decoder");
    const char *name;

    for (size_t i = 0; i < list->as.list.count; i++) {
        const struct mp_value *op = &list->as.list.items[i];
        TRY(mp_get_string(e, op, "op", &name));
        bool joins = strcmp(name, "bytes") == 0 || strcmp(name, "wordpiece") == 0;
        if (joins != (i == 0) || i > 1)
            return err_set(e, ERR_INPUT, "decoder: not bytes or wordpiece, and one strip or none");
        if (strcmp(name, "strip") == 0) TRY(mp_get_int(e, op, "left", 0, 1, &t->strip_left));
        t->strip_first |= strcmp(name, "strip_first") == 0;
        if (mp_get(op, "unknown") != NULL) TRY(mp_get_string(e, op, "unknown", &t->unknown_text));
        if (strcmp(name, "wordpiece") != 0) continue;
        t->decode_words = t->cleanup = true;
        if (mp_get(op, "cleanup") != NULL) TRY(mp_get_bool(e, op, "cleanup", &t->cleanup));
        TRY(copy_prefix(e, op, t->prefix, &t->prefix_len));
    }
    if (list->as.list.count == 0) return err_set(e, ERR_INPUT, "decoder: no operation");
    if (t->unknown_text != NULL && t->unknown_text[0] == 0) t->unknown_text = NULL;
    return ERR_OK;
}

/* Whether some token has a space behind another character: such a one spans words. */
static bool spans_words(const struct tokenizer_spec *s)
{
    for (int64_t id = 0; id < s->vocab; id++) {
        if (s->flags[id] & (TOKEN_SPECIAL | TOKEN_BYTE | TOKEN_UNUSED)) continue;
        for (uint64_t i = s->start[id] + 1; i < s->start[id + 1]; i++)
            if (s->bytes[i] == ' ' && s->bytes[i - 1] != ' ') return true;
    }
    return false;
}

static enum err compile(struct errctx *e, struct tokenizer *t)
{
    TRY(normalizer_init(e, mp_get(&t->spec->ops, "normalizer"), &t->normalizer));
    TRY(pretokenizer_new(e, mp_get(&t->spec->ops, "pretokenizer"), &t->pretokenizer));
    TRY(vocab_map_init(e, t->spec, &t->vocab));
    TRY(compile_model(e, t));
    TRY(compile_decoder(e, t));
    t->words = t->exact_ends && !spans_words(t->spec);
    if (t->words) pretokenizer_cut_words(t->pretokenizer);
    bert_words_init(mp_get(&t->spec->ops, "normalizer"), mp_get(&t->spec->ops, "pretokenizer"),
                    &t->raw);
    for (int special = 0; special < 2; special++)
        for (int normalized = 0; normalized < 2; normalized++)
            TRY(added_tokens_init(e, t->spec, normalized ? &t->normalizer : NULL, special,
                                  &t->added[special][normalized]));
    t->lossless = t->bpe != NULL && bpe_takes_bytes(t->bpe) && t->normalizer.count == 0 &&
                  !pretokenizer_drops(t->pretokenizer) &&
                  !pretokenizer_prefixes_space(t->pretokenizer) &&
                  pretokenizer_metaspace(t->pretokenizer) == NULL;
    for (int64_t id = 0; id < t->spec->vocab; id++)
        t->lossless &= !(t->spec->flags[id] & (TOKEN_LSTRIP | TOKEN_RSTRIP));
    return ERR_OK;
}

enum err tokenizer_new(struct errctx *e, const struct tokenizer_spec *spec, struct tokenizer **out)
{
    struct tokenizer *t;

    *out = NULL;
    TRY(mem_new(e, &t, 1, sizeof *t, "tokenizer"));
    t->spec = spec;
    if (compile(e, t) != ERR_OK) {
        tokenizer_free(t);
        return err_prefix(e, "tokenizer");
    }
    *out = t;
    return ERR_OK;
}

void tokenizer_free(struct tokenizer *t)
{
    if (t == NULL) return;
    for (int i = 0; i < 4; i++) added_tokens_fini(&t->added[i / 2][i % 2]);
    bpe_free(t->bpe);
    unigram_free(t->unigram);
    normalizer_fini(&t->normalizer);
    vocab_map_fini(&t->vocab);
    pretokenizer_free(t->pretokenizer);
    mem_free(t);
}

/* An empty cache. */
static enum err make_cache(struct errctx *e, struct tokenizer_scratch *s, size_t sets)
{
    mem_free(s->cache);
    mem_free(s->wide);
    s->cache = NULL;
    s->wide = NULL;
    s->sets = 0;
    TRY(mem_new_table(e, &s->cache, 2 * sets, sizeof *s->cache, "word cache"));
    TRY(mem_new_table(e, &s->wide, sets / 2, sizeof *s->wide, "word cache"));
    s->sets = sets;
    return ERR_OK;
}

enum err tokenizer_scratch_new(struct errctx *e, const struct tokenizer *t,
                               struct tokenizer_scratch **out)
{
    struct tokenizer_scratch *s;

    *out = NULL;
    TRY(mem_new(e, &s, 1, sizeof *s, "tokenizer"));
    s->t = t;
    if (pretokenizer_cursor_new(e, t->pretokenizer, &s->cursor) != ERR_OK ||
        make_cache(e, s, CACHE_FIRST) != ERR_OK) {
        tokenizer_scratch_free(s);
        return e->code;
    }
    *out = s;
    return ERR_OK;
}

void tokenizer_scratch_free(struct tokenizer_scratch *s)
{
    if (s == NULL) return;
    pretokenizer_cursor_free(s->cursor);
    bpe_scratch_fini(&s->bpe);
    unigram_scratch_fini(&s->unigram);
    bytes_fini(&s->buffer);
    bytes_fini(&s->prefixed);
    bytes_fini(&s->marked);
    mem_free(s->marked_end);
    mem_free(s->raw_ends.data);
    normalized_fini(&s->normalized);
    mem_free(s->cache);
    mem_free(s->wide);
    mem_free(s);
}

/* ------------------------------------------------------------------ pieces */

/* The piece as a key; `room`: bytes that may be read from it. */
static inline void make_key(const uint8_t *piece, size_t n, size_t room, uint64_t key[4])
{
    if (n <= 8 && room >= 8) {
        memcpy(key, piece, 8);
        key[0] &= UINT64_MAX >> (64 - 8 * n);
        key[1] = key[2] = key[3] = 0;
    } else {
        key[0] = key[1] = key[2] = key[3] = 0;
        memcpy(key, piece, n);
    }
    key[3] |= (uint64_t)n << 56;
}

static inline size_t hash_key(const uint64_t key[4])
{
    uint64_t h = key[0] * 0x9e3779b97f4a7c15u;

    h = (h ^ h >> 29 ^ key[1]) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 32 ^ key[2]) * 0x94d049bb133111ebu;
    h = (h ^ h >> 31 ^ key[3]) * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 40);
}

static enum err model_encode(struct errctx *e, const struct tokenizer *t,
                             struct tokenizer_scratch *s, const uint8_t *piece, size_t n,
                             uint32_t *ids, size_t *count)
{
    if (t->bpe != NULL) return bpe_encode(e, t->bpe, &s->bpe, piece, n, ids, count);
    if (t->unigram != NULL) return unigram_encode(e, t->unigram, &s->unigram, piece, n, ids, count);
    return wordpiece_encode(e, &t->wordpiece, &s->buffer, piece, n, ids, count);
}

/* A piece on its way through the cache. */
struct lookup {
    uint64_t key[4];
    size_t hash;
    struct word *word; /* its set; NULL: too long for the cache */
};

/* Where the piece would be, fetched ahead: most of the time of encoding is waiting for these lines.
 */
static inline void look_up(struct tokenizer_scratch *s, const uint8_t *piece, size_t n, size_t room,
                           bool raw, struct lookup *l)
{
    l->word = NULL;
    if (n > WORD_LIMIT) return;
    make_key(piece, n, room, l->key);
    if (raw) l->key[3] |= (uint64_t)RAW_BIT << 56;
    l->hash = hash_key(l->key);
    l->word = &s->cache[2 * (l->hash & (s->sets - 1))];
    __builtin_prefetch(l->word);
    __builtin_prefetch(l->word + 1);
}

/* A piece that is not among the words: it goes to the place of its size. */
static enum err encode_new(struct errctx *e, const struct tokenizer *t, struct tokenizer_scratch *s,
                           const uint8_t *piece, size_t n, const struct lookup *l,
                           struct id_list *ids)
{
    uint32_t *out = ids->data + ids->count;
    struct wide_word *wide = &s->wide[l->hash & (s->sets / 2 - 1)];
    size_t count;
    if (n > WORD_IDS && memcmp(wide->key, l->key, sizeof l->key) == 0) {
        memcpy(out, wide->ids, sizeof wide->ids);
        ids->count += wide->count;
        return ERR_OK;
    }
    TRY(model_encode(e, t, s, piece, n, out, &count));
    ids->count += count;
    s->new_words++;
    if (count <= WORD_IDS) {
        l->word[1] = l->word[0];
        memcpy(l->word->key, l->key, sizeof l->key);
        memcpy(l->word->ids, out, count * sizeof *out);
        l->word->count = (uint32_t)count;
    } else if (count <= WIDE_IDS) {
        memcpy(wide->key, l->key, sizeof l->key);
        memcpy(wide->ids, out, count * sizeof *out);
        wide->count = (uint32_t)count;
    }
    return ERR_OK;
}

/* Appends the ids of one piece; there is room for n + WIDE_IDS more. */
static inline enum err encode_piece(struct errctx *e, const struct tokenizer *t,
                                    struct tokenizer_scratch *s, const uint8_t *piece, size_t n,
                                    const struct lookup *l, struct id_list *ids)
{
    uint32_t *out = ids->data + ids->count;
    struct word *w = l->word;
    size_t count;

    if (w == NULL) {
        TRY(model_encode(e, t, s, piece, n, out, &count));
        ids->count += count;
        return ERR_OK;
    }
    if (memcmp(w->key, l->key, sizeof l->key) != 0) {
        if (memcmp(w[1].key, l->key, sizeof l->key) != 0)
            return encode_new(e, t, s, piece, n, l, ids);
        struct word last = w[0];
        w[0] = w[1];
        w[1] = last;
    }
    memcpy(out, w->ids, sizeof w->ids);
    ids->count += w->count;
    return ERR_OK;
}

/* From text that is encoded back to what it comes from: where the first `to` bytes end there. */
struct origin {
    const uint64_t *ends; /* per byte; NULL: it is the original behind `shift` bytes */
    size_t shift;
    uint64_t base; /* of the original */
};

static inline uint64_t origin_end(const struct origin *o, size_t to)
{
    if (o->ends != NULL) return o->base + (to == 0 ? 0 : o->ends[to - 1]);
    return o->base + (to > o->shift ? to - o->shift : 0);
}

/* Bytes of text[0..n) that one unknown token stands for: characters without a token. */
static size_t unknown_length(const struct tokenizer *t, const uint8_t *text, size_t n)
{
    size_t at = 0, len;

    while (at < n) {
        (void)utf8_decode(text + at, &len);
        if (at > 0 && (!t->fuse_unknown || vocab_map_find(&t->vocab, text + at, len) >= 0)) break;
        at += len;
    }
    return at;
}

/* Where the tokens from `first` on end, whose piece is text[from .. to). */
static enum err push_ends(struct errctx *e, const struct tokenizer *t, const struct id_list *ids,
                          size_t first, const uint8_t *text, size_t from, size_t to,
                          const struct origin *origin, struct offset_list *ends)
{
    const struct tokenizer_spec *s = t->spec;
    size_t end = from;

    TRY(mem_grow(e, &ends->data, &ends->capacity, ends->count + (ids->count - first),
                 sizeof *ends->data, "offsets"));
    for (size_t i = first; i < ids->count; i++) {
        uint32_t id = ids->data[i];
        size_t len = (size_t)(s->start[id + 1] - s->start[id]);
        if (id == t->unknown)
            len = t->exact_ends ? unknown_length(t, text + end, to - end) : to - end;
        else if (!t->exact_ends && i > first)
            len -= t->wordpiece.prefix_len;
        end = len < to - end ? end + len : to;
        ends->data[ends->count++] = origin_end(origin, end);
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ segments */

/* A stretch of text between added tokens. */
struct segment {
    const uint8_t *text;
    size_t n;
    struct origin origin;
    struct normalizer_place place;
};

/* More than a short text has: the cache gets its full size. */
static enum err widen_cache(struct errctx *e, struct tokenizer_scratch *s)
{
    if (s->held || s->new_words <= 2 * s->sets || s->sets == CACHE_SETS) return ERR_OK;
    return make_cache(e, s, CACHE_SETS);
}

static enum err encode_pieces(struct errctx *e, const struct tokenizer *t,
                              struct tokenizer_scratch *s, const uint8_t *text, size_t n,
                              const struct origin *origin, const struct piece *pieces, size_t count,
                              struct id_list *ids, struct offset_list *ends)
{
    struct lookup lookups[PIECES];
    size_t need;

    if (count == 0) return ERR_OK;
    TRY(widen_cache(e, s));
    need = ids->count + (pieces[count - 1].to - pieces[0].from) + WIDE_IDS + 1;
    TRY(mem_grow(e, &ids->data, &ids->capacity, need, sizeof *ids->data, "token ids"));
    for (size_t i = 0; i < count; i++)
        look_up(s, text + pieces[i].from, pieces[i].to - pieces[i].from, n - pieces[i].from, false,
                &lookups[i]);
    for (size_t i = 0; i < count; i++) {
        size_t from = pieces[i].from, to = pieces[i].to, first = ids->count;
        TRY(encode_piece(e, t, s, text + from, to - from, &lookups[i], ids));
        if (ends != NULL) TRY(push_ends(e, t, ids, first, text, from, to, origin, ends));
    }
    return ERR_OK;
}

/* Appends what metaspace makes of text[from..to) to s->marked. */
static enum err mark_piece(struct errctx *e, struct tokenizer_scratch *s, const struct segment *g,
                           struct piece piece, bool prepend)
{
    static const uint8_t mark[] = {0xe2, 0x96, 0x81}; /* U+2581 */
    size_t at = piece.from, room = s->marked.len + (piece.to - piece.from) + 1;
    const uint8_t *text = g->text;

    TRY(mem_grow(e, &s->marked_end, &s->marked_capacity, room, sizeof *s->marked_end, "offsets"));
    TRY(bytes_reserve(e, &s->marked, piece.to - piece.from + 1));
    if (prepend && text[at] != ' ' &&
        (piece.to - at < sizeof mark || memcmp(text + at, mark, sizeof mark) != 0)) {
        s->marked_end[s->marked.len] = origin_end(&g->origin, at) - g->origin.base;
        s->marked.data[s->marked.len++] = ' ';
    }
    while (at < piece.to) {
        bool marked = text[at] == mark[0] && piece.to - at >= sizeof mark &&
                      memcmp(text + at, mark, sizeof mark) == 0;
        uint8_t byte = marked ? ' ' : text[at];
        at += marked ? sizeof mark : 1;
        s->marked_end[s->marked.len] = origin_end(&g->origin, at) - g->origin.base;
        s->marked.data[s->marked.len++] = byte;
    }
    return ERR_OK;
}

/* Where the piece at `at` ends: before the next space, or the next word. */
static size_t marked_end(const struct tokenizer *t, const uint8_t *text, size_t at, size_t n,
                         bool split)
{
    const uint8_t *next;

    if (!split && !t->words) return n;
    while (!split && at < n && text[at] == ' ') at++;
    if (at >= n) return n;
    next = memchr(text + at + split, ' ', n - at - split);
    return next == NULL ? n : (size_t)(next - text);
}

/* Pieces as metaspace has them: each behind a space, cut before each space. */
static enum err encode_marked(struct errctx *e, const struct tokenizer *t,
                              struct tokenizer_scratch *s, const struct segment *g,
                              const struct metaspace_cfg *mark, const struct piece *pieces,
                              size_t count, struct id_list *ids, struct offset_list *ends)
{
    struct piece cut[PIECES];
    size_t cuts = 0, at;

    s->marked.len = 0;
    for (size_t i = 0; i < count; i++) {
        bool prepend =
            mark->prepend == METASPACE_ALWAYS
                ? g->place.left || pieces[i].from > 0
                : mark->prepend == METASPACE_FIRST && g->place.first && pieces[i].from == 0;
        at = s->marked.len;
        TRY(mark_piece(e, s, g, pieces[i], prepend));
        while (at < s->marked.len) {
            const uint8_t *text = s->marked.data;
            size_t end = marked_end(t, text, at, s->marked.len, mark->split);
            cut[cuts++] = (struct piece){at, end};
            at = end;
            if (cuts < PIECES) continue;
            struct origin origin = {s->marked_end, 0, g->origin.base};
            TRY(encode_pieces(e, t, s, text, s->marked.len, &origin, cut, cuts, ids, ends));
            cuts = 0;
        }
    }
    struct origin origin = {s->marked_end, 0, g->origin.base};
    return encode_pieces(e, t, s, s->marked.data, s->marked.len, &origin, cut, cuts, ids, ends);
}

/* The segment behind a space, unless it begins with one. */
static enum err prefix_space(struct errctx *e, struct tokenizer_scratch *s, struct segment *g)
{
    if (g->n == 0 || !g->place.left || g->text[0] == ' ') return ERR_OK;
    if (g->origin.ends != NULL) {
        TRY(mem_grow(e, &s->marked_end, &s->marked_capacity, g->n + 1, sizeof *s->marked_end,
                     "offsets"));
        s->marked_end[0] = 0;
        memcpy(s->marked_end + 1, g->origin.ends, g->n * sizeof *s->marked_end);
        g->origin.ends = s->marked_end;
    } else {
        g->origin.shift++;
    }
    s->prefixed.len = 0;
    TRY(bytes_append(e, &s->prefixed, " ", 1));
    TRY(bytes_append(e, &s->prefixed, g->text, g->n));
    g->text = s->prefixed.data;
    g->n = s->prefixed.len;
    return ERR_OK;
}

/* Text without added tokens. */
static enum err encode_plain(struct errctx *e, const struct tokenizer *t,
                             struct tokenizer_scratch *s, struct segment g, struct id_list *ids,
                             struct offset_list *ends)
{
    const struct metaspace_cfg *mark = pretokenizer_metaspace(t->pretokenizer);
    struct piece pieces[PIECES];
    size_t count;

    if (pretokenizer_prefixes_space(t->pretokenizer)) TRY(prefix_space(e, s, &g));
    pretokenizer_start(s->cursor, g.text, g.n);
    for (;;) {
        TRY(pretokenizer_next(e, s->cursor, pieces, PIECES, &count));
        if (count == 0) return ERR_OK;
        if (mark != NULL)
            TRY(encode_marked(e, t, s, &g, mark, pieces, count, ids, ends));
        else
            TRY(encode_pieces(e, t, s, g.text, g.n, &g.origin, pieces, count, ids, ends));
    }
}

static enum err push_id(struct errctx *e, uint32_t id, uint64_t end, struct id_list *ids,
                        struct offset_list *ends)
{
    TRY(mem_grow(e, &ids->data, &ids->capacity, ids->count + 1, sizeof *ids->data, "token ids"));
    ids->data[ids->count++] = id;
    if (ends == NULL) return ERR_OK;
    TRY(mem_grow(e, &ends->data, &ends->capacity, ends->count + 1, sizeof *ends->data, "offsets"));
    ends->data[ends->count++] = end;
    return ERR_OK;
}

/* Part [from, to) of a segment; what is cut off is an added token. */
static struct segment part(const struct segment *g, size_t from, size_t to)
{
    struct segment p = {g->text + from, to - from, g->origin, g->place};

    if (p.origin.ends != NULL) p.origin.ends += from;
    if (p.origin.ends == NULL && from > p.origin.shift) {
        p.origin.base += from - p.origin.shift;
        p.origin.shift = 0;
    } else if (p.origin.ends == NULL) {
        p.origin.shift -= from;
    }
    if (from > 0) {
        p.place.first = false;
        p.place.left = true;
    }
    if (to < g->n) p.place.right = true;
    return p;
}

/* Normalises a segment, then splits off the tokens that are matched in normalised text. */
static enum err normalize_and_encode(struct errctx *e, const struct tokenizer *t,
                                     struct tokenizer_scratch *s, struct segment g,
                                     const struct added_tokens *added, struct id_list *ids,
                                     struct offset_list *ends)
{
    size_t at = 0, from, to;
    uint32_t id;

    if (g.n == 0) return ERR_OK;
    if (t->normalizer.count > 0) {
        TRY(normalizer_apply(e, &t->normalizer, g.text, g.n, g.place, &s->normalized));
        g.text = s->normalized.data;
        g.n = s->normalized.n;
        g.origin.ends = s->normalized.ends;
        g.origin.shift = s->normalized.shift;
    }
    while (added_tokens_next(added, g.text, g.n, at, &from, &to, &id)) {
        TRY(encode_plain(e, t, s, part(&g, at, from), ids, ends));
        TRY(push_id(e, id, origin_end(&g.origin, to), ids, ends));
        at = to;
    }
    return encode_plain(e, t, s, part(&g, at, g.n), ids, ends);
}

/* Room for the tokens of `bytes` more bytes. */
static enum err reserve(struct errctx *e, size_t bytes, struct id_list *ids,
                        struct offset_list *ends)
{
    const size_t room = bytes + WIDE_IDS + 1;
    TRY(mem_grow(e, &ids->data, &ids->capacity, ids->count + room, sizeof *ids->data, "token ids"));
    if (ends == NULL) return ERR_OK;
    return mem_grow(e, &ends->data, &ends->capacity, ends->count + room, sizeof *ends->data,
                    "offsets");
}

/* Ids and ends of a raw word as they are remembered: `most` ids, then an end per byte. */
static inline void take_raw(const uint32_t *from, size_t most, size_t count, uint64_t base,
                            struct id_list *ids, struct offset_list *ends)
{
    const uint8_t *end = (const uint8_t *)(from + most);

    memcpy(ids->data + ids->count, from, most * sizeof *from);
    ids->count += count;
    for (size_t i = 0; ends != NULL && i < count; i++) ends->data[ends->count++] = base + end[i];
}

static void keep_raw(uint32_t *to, size_t most, const uint32_t *ids, const uint64_t *ends,
                     size_t count, uint64_t base)
{
    uint8_t *end = (uint8_t *)(to + most);

    memcpy(to, ids, count * sizeof *ids);
    for (size_t i = 0; i < count; i++) end[i] = (uint8_t)(ends[i] - base);
}

/* A word of ASCII that prints is in normal form but for its case. False: it is none. */
static inline bool is_plain(const struct tokenizer *t, const uint8_t *word, size_t n, uint8_t *out)
{
    bool plain = true;

    for (size_t i = 0; i < n; i++) {
        const bool upper = word[i] >= 'A' && word[i] <= 'Z';
        plain &= word[i] > ' ' && word[i] < 0x7f;
        out[i] = (uint8_t)(word[i] + (upper && t->raw.lowercase ? 'a' - 'A' : 0));
    }
    return plain;
}

/* The tokens of a raw word, their ends to s->raw_ends. */
static enum err encode_raw_word(struct errctx *e, const struct tokenizer *t,
                                struct tokenizer_scratch *s, struct segment word,
                                const struct added_tokens *added, struct id_list *ids)
{
    const struct origin origin = {NULL, 0, word.origin.base};
    const size_t first = ids->count;
    uint8_t plain[WORD_LIMIT];
    size_t count;

    s->raw_ends.count = 0;
    if (word.n > WORD_LIMIT || t->bpe != NULL || t->unigram != NULL ||
        !is_plain(t, word.text, word.n, plain))
        return normalize_and_encode(e, t, s, word, added, ids, &s->raw_ends);
    TRY(wordpiece_encode(e, &t->wordpiece, &s->buffer, plain, word.n, ids->data + first, &count));
    ids->count += count;
    return push_ends(e, t, ids, first, plain, 0, word.n, &origin, &s->raw_ends);
}

/* A raw word that is not remembered under its place: it is normalised and cut. `behind`: bytes of
 * the text that are to be encoded after it. */
static enum err encode_new_raw(struct errctx *e, const struct tokenizer *t,
                               struct tokenizer_scratch *s, struct segment word,
                               const struct added_tokens *added, const struct lookup *l,
                               size_t behind, struct id_list *ids, struct offset_list *ends)
{
    struct wide_word *wide = &s->wide[l->hash & (s->sets / 2 - 1)];
    const size_t first = ids->count;
    const uint64_t base = word.origin.base;
    size_t count;

    if (l->word != NULL && memcmp(wide->key, l->key, sizeof l->key) == 0) {
        take_raw(wide->ids, RAW_WIDE_IDS, wide->count, base, ids, ends);
        return ERR_OK;
    }
    TRY(encode_raw_word(e, t, s, word, added, ids));
    count = ids->count - first;
    TRY(reserve(e, count + behind, ids, ends));
    if (ends != NULL && count > 0)
        memcpy(ends->data + ends->count, s->raw_ends.data, count * sizeof *ends->data);
    if (ends != NULL) ends->count += count;
    if (l->word == NULL) return ERR_OK;
    s->new_words++;
    if (count <= RAW_IDS) {
        l->word[1] = l->word[0];
        memcpy(l->word->key, l->key, sizeof l->key);
        keep_raw(l->word->ids, RAW_IDS, ids->data + first, s->raw_ends.data, count, base);
        l->word->count = (uint32_t)count;
    } else if (count <= RAW_WIDE_IDS) {
        memcpy(wide->key, l->key, sizeof l->key);
        keep_raw(wide->ids, RAW_WIDE_IDS, ids->data + first, s->raw_ends.data, count, base);
        wide->count = (uint32_t)count;
    }
    return ERR_OK;
}

static inline bool find_raw(struct word *w, const struct lookup *l)
{
    if (w == NULL) return false;
    if (memcmp(w->key, l->key, sizeof l->key) == 0) return true;
    if (memcmp(w[1].key, l->key, sizeof l->key) != 0) return false;
    struct word last = w[0];
    w[0] = w[1];
    w[1] = last;
    return true;
}

/* A segment by BERT's words. */
static enum err encode_raw(struct errctx *e, const struct tokenizer *t, struct tokenizer_scratch *s,
                           const struct segment *g, const struct added_tokens *added,
                           struct id_list *ids, struct offset_list *ends)
{
    struct piece words[PIECES];
    struct lookup lookups[PIECES];
    size_t at = 0, count;
    enum err code = ERR_OK;

    while (code == ERR_OK &&
           (count = bert_words_next(&t->raw, g->text, g->n, &at, words, PIECES)) > 0) {
        TRY(widen_cache(e, s));
        TRY(reserve(e, at - words[0].from, ids, ends));
        s->held = true;
        for (size_t i = 0; i < count; i++)
            look_up(s, g->text + words[i].from, words[i].to - words[i].from, g->n - words[i].from,
                    true, &lookups[i]);
        for (size_t i = 0; i < count && code == ERR_OK; i++) {
            struct word *w = lookups[i].word;
            if (find_raw(w, &lookups[i]))
                take_raw(w->ids, RAW_IDS, w->count, g->origin.base + words[i].from, ids, ends);
            else
                code = encode_new_raw(e, t, s, part(g, words[i].from, words[i].to), added,
                                      &lookups[i], at - words[i].to, ids, ends);
        }
        s->held = false;
    }
    return code;
}

static enum err encode_normalized(struct errctx *e, const struct tokenizer *t,
                                  struct tokenizer_scratch *s, struct segment g,
                                  const struct added_tokens *added, struct id_list *ids,
                                  struct offset_list *ends)
{
    if (t->raw.usable && added->count == 0) return encode_raw(e, t, s, &g, added, ids, ends);
    return normalize_and_encode(e, t, s, g, added, ids, ends);
}

enum err tokenizer_encode_part(struct errctx *e, const struct tokenizer *t,
                               struct tokenizer_scratch *s, const char *text, size_t n,
                               bool special, bool begins, bool ends_text, struct id_list *ids,
                               struct offset_list *ends)
{
    const struct added_tokens *raw = &t->added[special][0], *normalized = &t->added[special][1];
    struct segment g = {(const uint8_t *)text, n, {NULL, 0, 0}, {begins, begins, ends_text}};
    size_t at = 0, from, to;
    uint32_t id;

    while (added_tokens_next(raw, g.text, n, at, &from, &to, &id)) {
        TRY(encode_normalized(e, t, s, part(&g, at, from), normalized, ids, ends));
        TRY(push_id(e, id, to, ids, ends));
        at = to;
    }
    return encode_normalized(e, t, s, part(&g, at, n), normalized, ids, ends);
}

enum err tokenizer_encode(struct errctx *e, const struct tokenizer *t, struct tokenizer_scratch *s,
                          const char *text, size_t n, bool special, struct id_list *ids,
                          struct offset_list *ends)
{
    return tokenizer_encode_part(e, t, s, text, n, special, true, true, ids, ends);
}

size_t tokenizer_border(const struct tokenizer *t, const char *text, size_t n, size_t from,
                        bool special)
{
    const uint8_t *s = (const uint8_t *)text;

    if (t->added[special][0].any_space || t->added[special][1].any_space) return n;
    if (!normalizer_has_borders(&t->normalizer)) return n;
    for (;;) {
        size_t at = pretokenizer_border(t->pretokenizer, s, n, from);
        if (at == n || t->normalizer.count == 0) return at;
        /* what a normaliser leaves alone whatever stands around it: a letter or digit of ASCII
         * before a space */
        uint8_t left = s[at - 1] | 0x20;
        if ((s[at] == ' ' || s[at] == '\n') && s[at - 1] < 0x80 &&
            ((left >= 'a' && left <= 'z') || (s[at - 1] >= '0' && s[at - 1] <= '9')))
            return at;
        from = at + 1;
    }
}

bool tokenizer_is_lossless(const struct tokenizer *t)
{
    return t->lossless;
}

/* ------------------------------------------------------------------ decoding */

static enum err append_token(struct errctx *e, const struct tokenizer *t, uint32_t id,
                             bool *started, bool special, struct bytes *out)
{
    const struct tokenizer_spec *s = t->spec;
    const uint8_t *bytes;
    size_t n;

    if (id >= s->vocab)
        return err_set(e, ERR_INPUT, "token id %u is not below the vocabulary's %lld", id,
                       (long long)s->vocab);
    if ((s->flags[id] & TOKEN_SPECIAL) && !special && (id != t->unknown || t->unknown_text == NULL))
        return ERR_OK;
    bytes = s->bytes + s->start[id];
    n = (size_t)(s->start[id + 1] - s->start[id]);
    if (id == t->unknown && t->unknown_text != NULL) {
        bytes = (const uint8_t *)t->unknown_text;
        n = strlen(t->unknown_text);
    } else if (!*started && t->strip_left > 0 && n > 0 && bytes[0] == ' ') {
        bytes++;
        n--;
    }
    for (; !*started && t->strip_first && n > 0 && bytes[0] == ' '; n--) bytes++;
    if (t->decode_words) {
        if (*started && n >= t->prefix_len && memcmp(bytes, t->prefix, t->prefix_len) == 0) {
            bytes += t->prefix_len;
            n -= t->prefix_len;
        } else if (*started) {
            /* the clean-up of BERT's decoder: no space before closing punctuation */
            if (!t->cleanup || n != 1 || strchr(".,!?", bytes[0]) == NULL)
                TRY(bytes_append(e, out, " ", 1));
        }
    }
    *started = true;
    return bytes_append(e, out, bytes, n);
}

enum err tokenizer_decode_more(struct errctx *e, const struct tokenizer *t, const uint32_t *ids,
                               size_t n, bool special, bool *started, struct bytes *out)
{
    for (size_t i = 0; i < n; i++) TRY(append_token(e, t, ids[i], started, special, out));
    return ERR_OK;
}

enum err tokenizer_decode(struct errctx *e, const struct tokenizer *t, const uint32_t *ids,
                          size_t n, bool special, struct bytes *out)
{
    bool started = false;

    return tokenizer_decode_more(e, t, ids, n, special, &started, out);
}

/* Moves what is certain from `held` to `out`; what more bytes may complete stays. */
static enum err release(struct errctx *e, struct bytes *held, struct bytes *out)
{
    size_t at = 0;

    while (at < held->len) {
        size_t good = utf8_valid_prefix(held->data + at, held->len - at);
        bool incomplete = false;
        TRY(bytes_append(e, out, held->data + at, good));
        at += good;
        if (at == held->len) break;
        size_t bad = utf8_fault_length(held->data + at, held->len - at, &incomplete);
        if (incomplete) break;
        TRY(bytes_append(e, out, "\xef\xbf\xbd", 3));
        at += bad;
    }
    memmove(held->data, held->data + at, held->len - at);
    held->len -= at;
    return ERR_OK;
}

enum err tokenizer_decode_next(struct errctx *e, const struct tokenizer *t,
                               struct tokenizer_stream_decoder *d, uint32_t id, struct bytes *out)
{
    struct bytes held = {0};
    enum err code = bytes_append(e, &held, d->held, (size_t)d->held_count);

    if (code == ERR_OK) code = append_token(e, t, id, &d->started, false, &held);
    if (code == ERR_OK) code = release(e, &held, out);
    if (code == ERR_OK) { /* an incomplete sequence has at most three bytes */
        d->held_count = (int)held.len;
        memcpy(d->held, held.data, held.len);
    }
    bytes_fini(&held);
    return code;
}

enum err tokenizer_decode_finish(struct errctx *e, struct tokenizer_stream_decoder *d,
                                 struct bytes *out)
{
    if (d->held_count == 0) return ERR_OK;
    d->held_count = 0;
    return bytes_append(e, out, "\xef\xbf\xbd", 3);
}
