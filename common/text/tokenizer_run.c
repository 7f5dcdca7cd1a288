/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_run.c: see tokenizer_run.h.
 *
 * Speed comes from the word cache: natural text repeats its words, so a piece is hashed and
 * compared once (one cache line holds the piece and its ids) and the model only sees what is new.
 * The cache has sets of two, and a table of its own for pieces of more ids, and is never wrong: a
 * collision is a miss. Each thread has its own.
 *
 * The decoder of bytes joins the tokens' bytes; that of WordPiece puts spaces between words. */
#include "common/text/tokenizer_run.h"
#include <string.h>
#include "common/text/added_tokens.h"
#include "common/text/bpe.h"
#include "common/text/normalize.h"
#include "common/text/pretokenize.h"
#include "common/text/utf8.h"
#include "common/text/wordpiece.h"

enum {
    WORD_LIMIT = 31, /* bytes of a piece that is remembered */
    WORD_IDS = 7,
    WIDE_IDS = 23,
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
    struct bpe *bpe;                 /* one of the two models */
    struct wordpiece wordpiece;      /* when bpe is NULL */
    struct added_tokens added[2][2]; /* [special recognised][matched in normalised text] */
    bool lossless;
    bool decode_words; /* the decoder of WordPiece, not of bytes */
    bool cleanup;
    char prefix[16];
    size_t prefix_len;
};

struct tokenizer_scratch {
    const struct tokenizer *t;
    struct pretokenizer_cursor *cursor;
    struct bpe_scratch bpe;
    struct bytes buffer;
    struct normalized normalized;
    struct word *cache;     /* sets of two: the one that was used last, and the one before */
    struct wide_word *wide; /* sets / 2 of them */
    size_t sets, new_words;
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
    bool ignore_merges = false;

    TRY(mp_get_string(e, model, "op", &name));
    if (strcmp(name, "bpe") == 0) {
        if (mp_get(model, "ignore_merges") != NULL)
            TRY(mp_get_bool(e, model, "ignore_merges", &ignore_merges));
        return bpe_new(e, t->spec, &t->vocab, ignore_merges, &t->bpe);
    }
    if (strcmp(name, "wordpiece") != 0)
        return err_set(e, ERR_INPUT, "model '%s' cannot be run", name);
    if (mp_get(model, "max_chars") != NULL)
        TRY(mp_get_int(e, model, "max_chars", 1, INT32_MAX / 4, &max_chars));
    t->wordpiece.vocab = &t->vocab;
    t->wordpiece.unknown = (uint32_t)tokenizer_spec_special(t->spec, "unk");
    t->wordpiece.max_chars = (size_t)max_chars;
    return copy_prefix(e, model, t->wordpiece.prefix, &t->wordpiece.prefix_len);
}

static enum err compile_decoder(struct errctx *e, struct tokenizer *t)
{
    const struct mp_value *list = mp_get(&t->spec->ops, "decoder"), *op;
    const char *name;

    if (list->as.list.count != 1)
        return err_set(e, ERR_INPUT, "decoder: not a list of one operation");
    op = &list->as.list.items[0];
    TRY(mp_get_string(e, op, "op", &name));
    t->decode_words = strcmp(name, "wordpiece") == 0;
    if (!t->decode_words) return ERR_OK;
    t->cleanup = true;
    if (mp_get(op, "cleanup") != NULL) TRY(mp_get_bool(e, op, "cleanup", &t->cleanup));
    return copy_prefix(e, op, t->prefix, &t->prefix_len);
}

static enum err compile(struct errctx *e, struct tokenizer *t)
{
    TRY(normalizer_init(e, mp_get(&t->spec->ops, "normalizer"), &t->normalizer));
    TRY(pretokenizer_new(e, mp_get(&t->spec->ops, "pretokenizer"), &t->pretokenizer));
    TRY(vocab_map_init(e, t->spec, &t->vocab));
    TRY(compile_model(e, t));
    TRY(compile_decoder(e, t));
    for (int special = 0; special < 2; special++)
        for (int normalized = 0; normalized < 2; normalized++)
            TRY(added_tokens_init(e, t->spec, normalized, special, &t->added[special][normalized]));
    t->lossless =
        t->bpe != NULL && t->normalizer.count == 0 && !pretokenizer_drops(t->pretokenizer);
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
    bytes_fini(&s->buffer);
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
                           struct lookup *l)
{
    l->word = NULL;
    if (n > WORD_LIMIT) return;
    make_key(piece, n, room, l->key);
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

/* Where the tokens from `first` on end, in the text in which their piece is [from, to). */
static enum err push_ends(struct errctx *e, const struct tokenizer *t, const struct id_list *ids,
                          size_t first, size_t from, size_t to, const uint64_t *origin,
                          uint64_t base, struct offset_list *ends)
{
    const struct tokenizer_spec *s = t->spec;
    size_t end = from;

    TRY(mem_grow(e, &ends->data, &ends->capacity, ends->count + (ids->count - first),
                 sizeof *ends->data, "offsets"));
    for (size_t i = first; i < ids->count; i++) {
        uint32_t id = ids->data[i];
        size_t len = (size_t)(s->start[id + 1] - s->start[id]);
        if (t->bpe == NULL && i > first) len -= t->wordpiece.prefix_len;
        end = t->bpe == NULL && id == t->wordpiece.unknown ? to : end + len;
        ends->data[ends->count++] = base + (origin == NULL ? end : origin[end - 1]);
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ segments */

/* Text without added tokens. origin: per byte where its origin ends (NULL: text is the original),
 * offsets from base. */
static enum err encode_plain(struct errctx *e, const struct tokenizer *t,
                             struct tokenizer_scratch *s, const uint8_t *text, size_t n,
                             const uint64_t *origin, uint64_t base, struct id_list *ids,
                             struct offset_list *ends)
{
    struct piece pieces[PIECES];
    struct lookup lookups[PIECES];
    size_t count;

    pretokenizer_start(s->cursor, text, n);
    for (;;) {
        TRY(pretokenizer_next(e, s->cursor, pieces, PIECES, &count));
        if (count == 0) return ERR_OK;
        if (s->new_words > 2 * s->sets && s->sets < CACHE_SETS) TRY(make_cache(e, s, CACHE_SETS));
        size_t need = ids->count + (pieces[count - 1].to - pieces[0].from) + WIDE_IDS + 1;
        TRY(mem_grow(e, &ids->data, &ids->capacity, need, sizeof *ids->data, "token ids"));
        for (size_t i = 0; i < count; i++)
            look_up(s, text + pieces[i].from, pieces[i].to - pieces[i].from, n - pieces[i].from,
                    &lookups[i]);
        for (size_t i = 0; i < count; i++) {
            size_t from = pieces[i].from, to = pieces[i].to, first = ids->count;
            TRY(encode_piece(e, t, s, text + from, to - from, &lookups[i], ids));
            if (ends != NULL) TRY(push_ends(e, t, ids, first, from, to, origin, base, ends));
        }
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

/* Normalises a segment, then splits off the tokens that are matched in normalised text. */
static enum err encode_normalized(struct errctx *e, const struct tokenizer *t,
                                  struct tokenizer_scratch *s, const uint8_t *text, size_t n,
                                  uint64_t base, const struct added_tokens *added,
                                  struct id_list *ids, struct offset_list *ends)
{
    const uint64_t *origin = NULL;
    size_t at = 0, from, to;
    uint32_t id;

    if (t->normalizer.count > 0) {
        TRY(normalizer_apply(e, &t->normalizer, text, n, &s->normalized));
        text = s->normalized.text.data;
        n = s->normalized.text.len;
        origin = s->normalized.end;
    }
    while (added_tokens_next(added, text, n, at, &from, &to, &id)) {
        TRY(encode_plain(e, t, s, text + at, from - at, origin == NULL ? NULL : origin + at,
                         origin == NULL ? base + at : base, ids, ends));
        TRY(push_id(e, id, base + (origin == NULL ? to : origin[to - 1]), ids, ends));
        at = to;
    }
    return encode_plain(e, t, s, text + at, n - at, origin == NULL ? NULL : origin + at,
                        origin == NULL ? base + at : base, ids, ends);
}

enum err tokenizer_encode(struct errctx *e, const struct tokenizer *t, struct tokenizer_scratch *s,
                          const char *text, size_t n, bool special, struct id_list *ids,
                          struct offset_list *ends)
{
    const uint8_t *bytes = (const uint8_t *)text;
    const struct added_tokens *raw = &t->added[special][0], *normalized = &t->added[special][1];
    size_t at = 0, from, to;
    uint32_t id;

    while (added_tokens_next(raw, bytes, n, at, &from, &to, &id)) {
        TRY(encode_normalized(e, t, s, bytes + at, from - at, at, normalized, ids, ends));
        TRY(push_id(e, id, to, ids, ends));
        at = to;
    }
    return encode_normalized(e, t, s, bytes + at, n - at, at, normalized, ids, ends);
}

size_t tokenizer_border(const struct tokenizer *t, const char *text, size_t n, size_t from,
                        bool special)
{
    const uint8_t *s = (const uint8_t *)text;

    if (t->added[special][0].any_space || t->added[special][1].any_space) return n;
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
    if ((s->flags[id] & TOKEN_SPECIAL) && !special) return ERR_OK;
    bytes = s->bytes + s->start[id];
    n = (size_t)(s->start[id + 1] - s->start[id]);
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
