/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c: see rows.h. */
#include "common/text/rows.h"
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "common/text/utf8.h"

enum { C_IDS, C_DOC, C_PART, C_SKIP, C_BYTES, C_CHARS, C_OPTIONAL };
static const char *const sides[] = {"before", "after"};
static const char *const roles[] = {"bos", "eos", "unk", "pad", "cls", "sep", "mask"};

/* Ids of the roles that the template puts on one side. */
static enum err template_side(struct errctx *e, const struct tokenizer_spec *s, int side,
                              uint32_t *ids, int64_t *count)
{
    const struct mp_value *list = mp_get(&s->ops, "postprocessor");
    const struct mp_value *names = mp_get(&list->as.list.items[0], sides[side]);

    if (names->as.list.count > ROWS_MAX_AROUND)
        return err_set(e, ERR_INPUT, "the tokenizer's template has more than %d special tokens",
                       ROWS_MAX_AROUND);
    for (size_t i = 0; i < names->as.list.count; i++)
        ids[(*count)++] =
            (uint32_t)tokenizer_spec_special(s, names->as.list.items[i].as.bytes.data);
    return ERR_OK;
}

enum err rows_cfg_init(struct errctx *e, const struct tokenizer_spec *s, int64_t length, bool keep,
                       struct rows_cfg *out)
{
    int64_t end = tokenizer_spec_special(s, "eos"), start = tokenizer_spec_special(s, "bos"), least;

    *out = (struct rows_cfg){
        .encoder = tokenizer_spec_is_encoder(s), .length = length, .keep = keep, .spec = s};
    out->dtype = s->vocab <= 65536 ? DTYPE_U16 : DTYPE_U32;
    if (out->encoder) {
        TRY(template_side(e, s, 0, out->before, &out->before_count));
        TRY(template_side(e, s, 1, out->after, &out->after_count));
    } else {
        if (start < 0) start = end;
        if (start >= 0) out->before[out->before_count++] = (uint32_t)start;
        if (end >= 0) out->after[out->after_count++] = (uint32_t)end;
    }
    least = out->encoder ? out->before_count + out->after_count + 1 : 2;
    if (length != 0 && length < least)
        return err_set(e, ERR_USAGE, "--length %lld: this tokenizer's rows need %lld or more",
                       (long long)length, (long long)least);
    return ERR_OK;
}

enum err rows_cfg_pairs(struct errctx *e, struct rows_cfg *cfg, bool truncate)
{
    int64_t least = cfg->before_count + 2 * cfg->after_count + 2;

    if (!cfg->encoder)
        return err_set(e, ERR_USAGE,
                       "--pair: this tokenizer has no special tokens to put around two texts");
    if (cfg->length != 0 && cfg->length < least)
        return err_set(e, ERR_USAGE, "--length %lld: rows of pairs need %lld or more",
                       (long long)cfg->length, (long long)least);
    cfg->pair = true;
    cfg->truncate = truncate;
    return ERR_OK;
}

enum err rows_cfg_chat(struct errctx *e, struct rows_cfg *cfg)
{
    if (cfg->encoder)
        return err_set(e, ERR_USAGE,
                       "--chat: this is the tokenizer of an encoder, not of a chat "
                       "model");
    cfg->chat = true;
    cfg->before_count = cfg->after_count = 0;
    return ERR_OK;
}

enum err rows_cfg_completion(struct errctx *e, struct rows_cfg *cfg)
{
    if (cfg->encoder)
        return err_set(e, ERR_USAGE,
                       "--completion: this is the tokenizer of an encoder, not of a model that "
                       "completes texts");
    cfg->completion = true;
    return ERR_OK;
}

/* ------------------------------------------------------------------ begin */

static enum err add_columns(struct errctx *e, const struct rows_cfg *cfg, struct stream_begin *b)
{
    static const int64_t ragged[] = {-1};
    static const char *const names[] = {"part", "skip", "bytes", "chars"};

    TRY(stream_begin_column(e, b, "ids", cfg->dtype, 1, ragged));
    TRY(stream_begin_column(e, b, "doc", DTYPE_U64, 0, NULL));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        TRY(stream_begin_column(e, b, names[i], DTYPE_U32, 0, NULL));
    if (cfg->pair) TRY(stream_begin_column(e, b, "types", DTYPE_U8, 1, ragged));
    if (cfg->chat || cfg->completion) TRY(stream_begin_column(e, b, "loss", DTYPE_U8, 1, ragged));
    if (cfg->group) TRY(stream_begin_column(e, b, "group", DTYPE_U64, 0, NULL));
    return cfg->keep ? stream_begin_column(e, b, "keep", DTYPE_U8, 1, ragged) : ERR_OK;
}

static enum err add_meta(struct errctx *e, const struct tokenizer_spec *s,
                         const struct rows_cfg *cfg, struct mp_value *meta)
{
    struct mp_value special;
    uint8_t id[16];
    enum err code = ERR_OK;

    tokenizer_spec_id(s, id);
    TRY(mp_set_binary(e, meta, "tokenizer", id, sizeof id));
    TRY(mp_set_int(e, meta, "vocab", s->vocab));
    TRY(mp_set_string(e, meta, "family", cfg->encoder ? "encoder" : "causal"));
    mp_map_init(&special);
    for (size_t i = 0; i < ARRAY_LEN(roles) && code == ERR_OK; i++) {
        int64_t token = tokenizer_spec_special(s, roles[i]);
        if (token >= 0) code = mp_set_int(e, &special, roles[i], token);
    }
    if (code == ERR_OK) code = mp_set(e, meta, "special", &special);
    mp_fini(&special);
    TRY(code);
    return mp_set_int(e, meta, "length", cfg->length);
}

enum err rows_begin(struct errctx *e, const struct tokenizer_spec *s, const struct rows_cfg *cfg,
                    struct stream_begin *out)
{
    stream_begin_init(out, STREAM_TOKENS);
    if (add_columns(e, cfg, out) == ERR_OK && add_meta(e, s, cfg, &out->meta) == ERR_OK &&
        (cfg->labels == NULL || cfg->labels->count == 0 ||
         labels_declare(e, cfg->labels, out) == ERR_OK))
        return ERR_OK;
    stream_begin_fini(out);
    return e->code;
}

/* ------------------------------------------------------------------ writing */

/* What a row says of itself besides its ids. */
struct facts {
    uint64_t doc;
    uint32_t part, skip, bytes, chars;
    /* labels of words: where the ids of the text are in the row, and in the text; the first of them
     * may stand in the row before, too, and is labelled there */
    size_t lead, from, to;
    bool again;
};

static uint32_t count_chars(const char *text, size_t n)
{
    return (uint32_t)utf8_count((const uint8_t *)text, n);
}

/* Ids as the stream has them, to out; returns their end. */
static uint8_t *put_ids(const struct rows_cfg *cfg, uint8_t *out, const uint32_t *ids, size_t count)
{
    uint16_t *narrow = (uint16_t *)(void *)out;

    if (cfg->dtype == DTYPE_U16)
        for (size_t i = 0; i < count; i++) narrow[i] = (uint16_t)ids[i];
    else if (count > 0)
        memcpy(out, ids, count * sizeof *ids);
    return out + count * dtype_size(cfg->dtype);
}

/* What is behind the ids in the buffer, when all columns of a row are there. */
static size_t row_bytes(const struct rows_cfg *cfg, size_t n)
{
    size_t per_token = dtype_size(cfg->dtype) + 1;

    for (int64_t i = 0; cfg->labels != NULL && i < cfg->labels->count; i++)
        per_token += cfg->labels->items[i].kind == LABEL_TOKENS ? sizeof(int32_t) : 0;
    return n * per_token + sizeof(int32_t);
}

/* The labels of the row's n ids to out: those of the words whose first pieces they are. */
static void label_ids(const struct rows_document *d, const struct facts *f, const int32_t *words,
                      size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = -1;
    for (size_t i = f->from + f->again; i < f->to; i++)
        if (d->word_of[i] >= 0) out[f->lead + i - f->from] = words[d->word_of[i]];
}

/* Cells of the label columns, from column c on; those per id are made at `behind`. */
static void put_labels(const struct rows_cfg *cfg, const struct rows_document *d,
                       const struct facts *f, size_t n, uint8_t *behind, const void **cells,
                       int64_t *elements, int64_t c)
{
    const uint8_t *p = d->labels;
    uint32_t count;

    behind += -(uintptr_t)behind & (sizeof(int32_t) - 1);
    for (int64_t i = 0; cfg->labels != NULL && i < cfg->labels->count; i++, c++) {
        memcpy(&count, p, sizeof count);
        p += sizeof count;
        cells[c] = p;
        elements[c] = count;
        if (cfg->labels->items[i].kind == LABEL_TOKENS) {
            label_ids(d, f, (const int32_t *)(const void *)p, n, (int32_t *)(void *)behind);
            cells[c] = behind;
            elements[c] = (int64_t)n;
            behind += n * sizeof(int32_t);
        }
        p += count * sizeof(int32_t);
    }
}

/* Writes the row whose n ids stand at the front of the buffer, its types (with pairs) or its loss
 * behind them; there is room for row_bytes. */
static enum err put_row(struct errctx *e, const struct rows_cfg *cfg, const struct rows_document *d,
                        const struct facts *f, size_t n, struct bytes *buffer,
                        struct stream_writer *w)
{
    uint8_t *ids = buffer->data, *behind = ids + n * dtype_size(cfg->dtype);
    const void *cells[STREAM_MAX_COLUMNS] = {ids,      &f->doc,   &f->part,
                                             &f->skip, &f->bytes, &f->chars};
    int64_t elements[STREAM_MAX_COLUMNS] = {(int64_t)n, 1, 1, 1, 1, 1}, c = C_OPTIONAL;

    if (cfg->pair || cfg->chat || cfg->completion) {
        cells[c] = behind;
        elements[c++] = (int64_t)n;
        behind += n;
    }
    if (cfg->group) {
        cells[c] = &d->group;
        elements[c++] = 1;
    }
    if (cfg->keep) {
        cells[c] = d->keep;
        elements[c++] = (int64_t)d->keep_n;
    }
    put_labels(cfg, d, f, n, behind, cells, elements, c);
    return stream_writer_row(e, w, cells, elements);
}

/* The document's tokens are its ids between what stands before and after; a cut is a range of ids
 * with what of that it takes along. */
struct cut {
    size_t from, to;    /* ids */
    bool before, after; /* with the special tokens on that side */
    uint32_t part, skip;
    size_t text_from, text_to;
};

/* A document on its way out. Cuts only go forward, so the place in the ids and the end of their
 * text are carried along. */
struct walk {
    const struct rows_cfg *cfg;
    const struct rows_document *d;
    const struct rows_text *t; /* of d */
    uint64_t doc;
    size_t count;        /* ids in all */
    size_t part, before; /* the part that is read, ids before it */
    size_t ids, end;     /* where the text of so many ids ends */
    struct bytes *buffer;
    struct stream_writer *w;
};

/* Where the text of the first `ids` ids ends; calls come with rising numbers. */
static size_t end_of(struct walk *k, size_t ids)
{
    const struct tokenizer_spec *s = k->cfg->spec;

    while (k->ids < ids) {
        const struct rows_part *p = &k->t->parts[k->part];
        size_t i = k->ids - k->before;
        if (i == p->count) {
            k->before += p->count;
            k->part++;
            continue;
        }
        k->end = p->ends != NULL ? p->from + (size_t)p->ends[i]
                                 : k->end + (size_t)(s->start[p->ids[i] + 1] - s->start[p->ids[i]]);
        k->ids++;
    }
    return k->end;
}

/* Ids [from, to) to out; returns their end. They end where the walk is, or a part or more before.
 */
static uint8_t *copy_ids(const struct walk *k, size_t from, size_t to, uint8_t *out)
{
    size_t part = k->part, before = k->before;

    while (before > from) before -= k->t->parts[--part].count;
    for (size_t at = from; at < to; part++) {
        const struct rows_part *p = &k->t->parts[part];
        size_t end = before + p->count < to ? before + p->count : to;
        if (end > at) {
            out = put_ids(k->cfg, out, p->ids + (at - before), end - at);
            at = end;
        }
        before += p->count;
    }
    return out;
}

static enum err write_cut(struct errctx *e, struct walk *k, const struct cut *c)
{
    const struct rows_cfg *cfg = k->cfg;
    size_t before = c->before ? (size_t)cfg->before_count : 0;
    size_t after = c->after ? (size_t)cfg->after_count : 0, n = before + (c->to - c->from) + after;
    const struct facts f = {.doc = k->doc,
                            .part = c->part,
                            .skip = c->skip,
                            .bytes = (uint32_t)(c->text_to - c->text_from),
                            .chars =
                                count_chars(k->t->text + c->text_from, c->text_to - c->text_from),
                            .lead = before,
                            .from = c->from,
                            .to = c->to,
                            .again = c->skip > 0 && !c->before && c->to > c->from};
    uint8_t *at;

    k->buffer->len = 0;
    TRY(bytes_reserve(e, k->buffer, row_bytes(cfg, n)));
    at = put_ids(cfg, k->buffer->data, cfg->before, before);
    at = copy_ids(k, c->from, c->to, at);
    (void)put_ids(cfg, at, cfg->after, after);
    return put_row(e, cfg, k->d, &f, n, k->buffer, k->w);
}

static enum err write_encoder(struct errctx *e, struct walk *k)
{
    const struct rows_cfg *cfg = k->cfg;
    size_t room =
        cfg->length == 0 ? SIZE_MAX : (size_t)(cfg->length - cfg->before_count - cfg->after_count);
    struct cut c = {.before = true, .after = true};

    do {
        c.to = k->count - c.from <= room ? k->count : c.from + room;
        c.text_to = c.to == k->count ? k->t->n : end_of(k, c.to);
        TRY(write_cut(e, k, &c));
        c.from = c.to;
        c.text_from = c.text_to;
        c.part++;
    } while (c.from < k->count);
    return ERR_OK;
}

/* Where the text of the tokens up to position p ends: the start token at 0 has none, nor has the
 * end. */
static size_t text_end(struct walk *k, size_t p)
{
    size_t before = (size_t)k->cfg->before_count;

    if (p < before) return 0;
    return p - before < k->count ? end_of(k, p - before + 1) : k->t->n;
}

static enum err write_causal(struct errctx *e, struct walk *k)
{
    size_t before = (size_t)k->cfg->before_count;
    size_t total = before + k->count + (size_t)k->cfg->after_count;
    size_t length = k->cfg->length == 0 ? total : (size_t)k->cfg->length, at = 0;
    struct cut c = {.skip = 1};

    while (!c.after && total > 0) { /* positions [at, end) */
        size_t end = total - at <= length ? total : at + length;
        c.before = at == 0;
        c.after = end == total;
        c.from = at > before ? at - before : 0;
        c.to = c.after ? k->count : end - before;
        c.text_from = text_end(k, at);
        c.text_to = c.after ? k->t->n : text_end(k, end - 1);
        TRY(write_cut(e, k, &c));
        at = end - 1;
        c.part++;
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ conversations */

/* Whether a token whose text is [from, to) is the assistant's, in part at least. Spans and tokens
 * come in order: *span is where to go on. */
static bool is_scored(const struct rows_document *d, size_t from, size_t to, size_t *span)
{
    while (*span < d->scored_count && d->scored[*span].to <= from && d->scored[*span].to < to)
        ++*span;
    if (*span == d->scored_count) return false;
    const struct chat_span *s = &d->scored[*span];
    return from < to ? s->from < to && from < s->to : s->from < to && to <= s->to;
}

/* Whether the token at position p is scored; *from and *to get its text. Positions come in order.
 */
static bool score_next(struct walk *k, size_t p, size_t *from, size_t *to, size_t *span)
{
    const size_t before = (size_t)k->cfg->before_count;

    *from = *to;
    if (p < before) return false;
    if (p - before == k->count) return true; /* the end of what was completed */
    *to = end_of(k, p - before + 1);
    return is_scored(k->d, *from, *to, span);
}

/* Positions [at, end) of the start, the ids and the end, to out. */
static void copy_positions(const struct walk *k, size_t at, size_t end, uint8_t *out)
{
    const struct rows_cfg *cfg = k->cfg;
    const size_t before = (size_t)cfg->before_count, behind = before + k->count;

    if (at < before) out = put_ids(cfg, out, cfg->before + at, before - at);
    out = copy_ids(k, at < before ? 0 : at - before, (end < behind ? end : behind) - before, out);
    if (end > behind) (void)put_ids(cfg, out, cfg->after, end - behind);
}

/* Conversations and completions. Cuts like those of causal documents; `bytes` and `chars` count the
 * scored tokens' text. */
static enum err write_scored(struct errctx *e, struct walk *k)
{
    const struct rows_cfg *cfg = k->cfg;
    const size_t total = (size_t)cfg->before_count + k->count + (size_t)cfg->after_count;
    size_t length = cfg->length == 0 ? total : (size_t)cfg->length, width = dtype_size(cfg->dtype),
           span = 0, from = 0, to = 0;
    struct facts f = {.doc = k->doc, .skip = 1};
    uint8_t last = 0;

    for (size_t at = 0, end = 0; end < total; at = end - 1, f.part++) {
        end = total - at <= length ? total : at + length;
        k->buffer->len = 0;
        TRY(bytes_reserve(e, k->buffer, row_bytes(cfg, end - at)));
        uint8_t *loss = k->buffer->data + (end - at) * width;
        f.bytes = f.chars = 0;
        for (size_t i = at; i < end; i++) {
            if (i > at || i == 0) {
                last = score_next(k, i, &from, &to, &span);
                if (last && i > at) {
                    f.bytes += (uint32_t)(to - from);
                    f.chars += count_chars(k->t->text + from, to - from);
                }
            }
            loss[i - at] = last;
        }
        copy_positions(k, at, end, k->buffer->data);
        TRY(put_row(e, cfg, k->d, &f, end - at, k->buffer, k->w));
    }
    return ERR_OK;
}

/* ------------------------------------------------------------------ pairs */

static size_t count_ids(const struct rows_text *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->parts_count; i++) n += t->parts[i].count;
    return n;
}

/* The longer one gives first, as in Hugging Face's strategy longest_first: afterwards both have the
 * room, or one has all its ids and less than half of it. */
static void shorten(size_t room, size_t *first, size_t *second)
{
    size_t *small = *first <= *second ? first : second, *large = small == first ? second : first;

    if (*small > room / 2) *small = room / 2;
    *large = room - *small;
}

/* Equal pairs are equal documents; texts hold no NUL as a rule, and this is a hash. */
static enum err hash_pair(struct errctx *e, const struct rows_document *d, struct bytes *buffer,
                          uint64_t *doc)
{
    buffer->len = 0;
    TRY(bytes_append(e, buffer, d->text.text, d->text.n));
    TRY(bytes_append(e, buffer, "", 1));
    TRY(bytes_append(e, buffer, d->pair.text, d->pair.n));
    *doc = XXH3_64bits(buffer->data, buffer->len);
    return ERR_OK;
}

static enum err write_pair(struct errctx *e, const struct rows_cfg *cfg,
                           const struct rows_document *d, struct bytes *buffer,
                           struct stream_writer *w, bool *shortened)
{
    struct walk a = {.cfg = cfg, .d = d, .t = &d->text}, b = {.cfg = cfg, .d = d, .t = &d->pair};
    size_t after = (size_t)cfg->after_count, around = (size_t)cfg->before_count + 2 * after, all,
           first;
    size_t n = count_ids(&d->text), m = count_ids(&d->pair), n_text = d->text.n, m_text = d->pair.n;
    struct facts f = {0};
    uint8_t *at;

    all = n + m + around;
    if (cfg->length != 0 && all > (size_t)cfg->length) {
        if (!cfg->truncate)
            return err_set(e, ERR_INPUT,
                           "the pair makes %zu ids, more than --length %lld (--truncate shortens "
                           "the longer text)",
                           all, (long long)cfg->length);
        size_t n_all = n, m_all = m;
        shorten((size_t)cfg->length - around, &n, &m);
        if (n < n_all) n_text = end_of(&a, n);
        if (m < m_all) m_text = end_of(&b, m);
        all = n + m + around;
        *shortened = true;
    }
    TRY(hash_pair(e, d, buffer, &f.doc));
    f.bytes = (uint32_t)(n_text + m_text);
    f.chars = count_chars(d->text.text, n_text) + count_chars(d->pair.text, m_text);
    buffer->len = 0;
    TRY(bytes_reserve(e, buffer, row_bytes(cfg, all)));
    first = (size_t)cfg->before_count + n + after;
    at = put_ids(cfg, buffer->data, cfg->before, (size_t)cfg->before_count);
    at = copy_ids(&a, 0, n, at);
    at = put_ids(cfg, at, cfg->after, after);
    at = copy_ids(&b, 0, m, at);
    at = put_ids(cfg, at, cfg->after, after);
    memset(at, 0, first);
    memset(at + first, 1, all - first);
    return put_row(e, cfg, d, &f, all, buffer, w);
}

/* Which word an id is the first piece of: the first word that its text touches and that has no id
 * yet. */
static void find_words(const struct walk *of)
{
    struct walk k = *of;
    const struct rows_document *d = k.d;
    size_t from = 0, word = 0;

    for (size_t i = 0; i < k.count; i++) {
        const size_t to = end_of(&k, i + 1);
        while (word < d->words_count && d->words[word].to <= from) word++;
        d->word_of[i] = -1;
        if (word < d->words_count && d->words[word].from < to) d->word_of[i] = (int32_t)word++;
        from = to;
    }
}

enum err rows_write(struct errctx *e, const struct rows_cfg *cfg, const struct rows_document *d,
                    struct bytes *buffer, struct stream_writer *w, bool *shortened)
{
    struct walk k = {.cfg = cfg, .d = d, .t = &d->text, .buffer = buffer, .w = w};

    if (cfg->pair) return write_pair(e, cfg, d, buffer, w, shortened);
    k.doc = XXH3_64bits(d->text.text, d->text.n);
    k.count = count_ids(&d->text);
    if (d->words_count > 0) find_words(&k);
    if (cfg->chat || cfg->completion) return write_scored(e, &k);
    return cfg->encoder ? write_encoder(e, &k) : write_causal(e, &k);
}
