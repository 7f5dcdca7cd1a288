/* SPDX-License-Identifier: Apache-2.0 */
/* shuffling.c: dealing into buckets by key, finding copies, sorting buckets.
 *
 * Shares of --memory: 3/8 full blocks that need not be spilled, 1/8 the buckets' unfinished blocks,
 * 1/8 those of the next epoch (or of a bucket that is dealt again), 1/8 the table of copies, 1/4
 * the bucket that is sorted (together). */
#include "common/flow/shuffling.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/base/rng.h"
#include "common/flow/rowpack.h"
#include "common/flow/spill.h"
#include "common/flow/tally.h"

const struct opt shuffling_opts[] = {
    {"epochs", 0, OPT_INT, offsetof(struct shuffling_cfg, epochs), "N",
     "pass over the rows so many times, each in an order of its own", 0, 1, 1e9},
    {"memory", 0, OPT_INT, offsetof(struct shuffling_cfg, memory), "BYTES",
     "rows to hold in memory; what is over goes to TMPDIR", OPT_UNRECORDED, 1 << 20, 1e15},
    OPT_END};

/* So many rows, or bytes of them, are packed and hashed before the first is looked up: by then what
 * it asks for is in the cache. */
enum { AHEAD = 32, AHEAD_BYTES = 64 << 10 };

/* What is known of a row without its bytes. */
struct head {
    uint64_t low, high; /* XXH3-128 of the packed row */
    uint32_t bytes;
    uint32_t occurrence;
};
/* The occurrence of a copy that has gone to another bucket: its bytes are passed over. */
#define MOVED UINT32_MAX

/* The rows whose keys agree in all bits above `shift`. */
struct bucket {
    struct spill_chain heads, bodies; /* in the same order */
    int64_t rows;                     /* that have not moved away */
    uint64_t bytes;
};

struct deal { /* buckets by one group of bits of the key */
    struct bucket *buckets;
    int shift;
};

/* A row of the bucket that is being sorted. */
struct item {
    struct head head;
    uint64_t at; /* in the arena */
    uint64_t key;
};

/* In order, with all that putting out asks for: the items lie where they came in. */
struct order {
    uint64_t key, at;
    const struct item *item;
    uint32_t bytes;
};

struct shuffling {
    struct shuffling_cfg cfg;
    struct rng_key key;
    struct rowpack pack;
    struct rowpack_batch batch;
    struct spill *spill;
    int bits; /* a deal has 1 << bits buckets */
    struct deal current, next;
    struct tally tally; /* of the rows that came; then of those of one bucket */
    bool uncounted;     /* there are rows that found no place in it */
    int64_t ids;        /* column whose elements are counted as tokens, or -1 */
    int64_t rows, tokens;
    int64_t written;
    uint8_t *scratch; /* some rows */
    size_t scratch_capacity;
    /* the bucket that is being sorted */
    uint8_t *arena;
    struct item *items;
    struct order *order;
    uint32_t *places; /* of sort_items */
    size_t arena_capacity, items_capacity, order_capacity, places_capacity;
};

/* ---- keys ---- */

static uint64_t row_key(const struct shuffling *s, const struct head *h, int64_t epoch)
{
    const uint32_t counter[4] = {(uint32_t)h->low, (uint32_t)(h->low >> 32), (uint32_t)epoch,
                                 h->occurrence};
    uint32_t w[4];
    rng_philox(s->key, counter, w);
    return (uint64_t)w[0] << 32 | w[1];
}

static struct bucket *bucket_of(const struct shuffling *s, const struct deal *d, uint64_t key)
{
    return &d->buckets[(key >> d->shift) & (((uint64_t)1 << s->bits) - 1)];
}

/* ---- buckets ---- */

static enum err deal_new(struct errctx *e, const struct shuffling *s, int shift, struct deal *d)
{
    d->shift = shift;
    return mem_new(e, &d->buckets, (size_t)1 << s->bits, sizeof *d->buckets, "buckets");
}

static void bucket_clear(struct shuffling *s, struct bucket *b)
{
    spill_clear(s->spill, &b->heads);
    spill_clear(s->spill, &b->bodies);
    *b = (struct bucket){0};
}

static void deal_free(struct shuffling *s, struct deal *d)
{
    for (size_t i = 0; d->buckets && i < (size_t)1 << s->bits; i++) bucket_clear(s, &d->buckets[i]);
    mem_free(d->buckets);
    d->buckets = NULL;
}

static enum err bucket_append(struct errctx *e, struct shuffling *s, struct bucket *b,
                              const struct head *h, const uint8_t *body)
{
    TRY(spill_append(e, s->spill, &b->heads, h, sizeof *h));
    TRY(spill_append(e, s->spill, &b->bodies, body, h->bytes));
    b->rows++;
    b->bytes += h->bytes;
    return ERR_OK;
}

static enum err scratch_reserve(struct errctx *e, struct shuffling *s, size_t n)
{
    return mem_grow(e, &s->scratch, &s->scratch_capacity, n, 1, "a row");
}

/* ---- taking rows in ---- */

static enum err file_need(struct errctx *e, const char *path, uint64_t *need)
{
    struct stream_begin begin = {0};
    struct stream_summary summary = {0};
    struct lineage lineage = {0};
    enum err r = stream_glance(e, path, &begin, &summary, &lineage);
    uint64_t extra = sizeof(struct head) + sizeof(uint32_t) * (uint64_t)begin.columns_count;
    if (__builtin_mul_overflow((uint64_t)summary.rows, extra, need) ||
        __builtin_add_overflow(*need, summary.bytes, need))
        *need = 0;
    stream_begin_fini(&begin);
    lineage_fini(&lineage);
    return r;
}

enum err shuffling_need(struct errctx *e, const char *const *paths, size_t n, uint64_t *need)
{
    *need = 0;
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        uint64_t one = 0;
        if (strcmp(paths[i], "-") != 0 && stat(paths[i], &st) == 0 && S_ISREG(st.st_mode))
            TRY(file_need(e, paths[i], &one));
        if (one == 0 || __builtin_add_overflow(*need, one, need)) {
            *need = 0;
            break;
        }
    }
    return ERR_OK;
}

enum err shuffling_new(struct errctx *e, const struct shuffling_cfg *cfg,
                       const struct stream_begin *begin, const char *name, uint64_t need,
                       struct shuffling **out)
{
    TRY(mem_new(e, out, 1, sizeof **out, "shuffle"));
    struct shuffling *s = *out;
    s->cfg = *cfg;
    s->key = rng_key_make((uint64_t)cfg->seed, RNG_SHUFFLE);
    s->ids = rowpack_tokens_column(begin);
    /* Two unfinished blocks per bucket, of heads and bodies, in an eighth of the memory. */
    size_t block = 4096;
    while (block < 1 << 20 && block * 2 <= (size_t)cfg->memory / 2048) block *= 2;
    for (s->bits = 2; s->bits < 7 && (block * 4 << s->bits) <= (size_t)cfg->memory / 8;) s->bits++;
    enum err r = rowpack_init(e, begin, name, &s->pack);
    if (r == ERR_OK) r = rowpack_batch_init(e, &s->pack, &s->batch);
    if (r == ERR_OK) r = spill_new(e, block, (uint64_t)cfg->memory / 8 * 3, need, &s->spill);
    if (r == ERR_OK) r = tally_init(e, &s->tally, (uint64_t)cfg->memory / 8);
    if (r == ERR_OK) r = deal_new(e, s, 64 - s->bits, &s->current);
    if (r == ERR_OK) return ERR_OK;
    shuffling_free(s);
    *out = NULL;
    return r;
}

void shuffling_free(struct shuffling *s)
{
    if (!s) return;
    if (s->spill) {
        deal_free(s, &s->current);
        deal_free(s, &s->next);
    }
    spill_free(s->spill);
    rowpack_batch_fini(&s->pack, &s->batch);
    rowpack_fini(&s->pack);
    tally_fini(&s->tally);
    mem_free(s->scratch);
    mem_free(s->arena);
    mem_free(s->items);
    mem_free(s->order);
    mem_free(s->places);
    mem_free(s);
}

uint64_t shuffling_spilled(const struct shuffling *s)
{
    return spill_written(s->spill);
}

/* The number of this row among its like, when the tally knows. It goes on as 0 otherwise. */
static enum err count_row(struct errctx *e, struct tally *t, struct head *h, bool *known)
{
    struct tally_entry *entry;
    TRY(tally_find(e, t, h->low, h->high, &entry));
    *known = entry != NULL;
    if (!entry) return ERR_OK;
    h->occurrence = entry->count++;
    if (h->occurrence < MOVED) return ERR_OK;
    return err_set(e, ERR_INPUT, "a row stands there more than %" PRIu32 " times", MOVED - 1);
}

/* Packs and hashes some rows from `from` on, and begins to fetch what will be asked about them. */
static enum err pack_some(struct errctx *e, struct shuffling *s, const struct stream_rows *rows,
                          int64_t from, struct head heads[AHEAD], int *count)
{
    size_t used = 0;
    for (*count = 0; *count < AHEAD && from + *count < rows->n && used < AHEAD_BYTES; ++*count) {
        struct head *h = &heads[*count];
        *h = (struct head){0};
        TRY(rowpack_size(e, &s->pack, rows, from + *count, &h->bytes));
        if (used + h->bytes > s->scratch_capacity) TRY(scratch_reserve(e, s, used + h->bytes));
        rowpack_put(&s->pack, rows, from + *count, s->scratch + used);
        XXH128_hash_t hash = XXH3_128bits(s->scratch + used, h->bytes);
        h->low = hash.low64;
        h->high = hash.high64;
        tally_prefetch(&s->tally, h->low);
        used += h->bytes;
    }
    return ERR_OK;
}

enum err shuffling_add(struct errctx *e, struct shuffling *s, const struct stream_rows *rows)
{
    struct head heads[AHEAD];
    struct bucket *buckets[AHEAD];
    for (int64_t i = 0; i < rows->n;) {
        int count;
        const uint8_t *body;
        TRY(pack_some(e, s, rows, i, heads, &count));
        for (int k = 0; k < count; k++) {
            bool known;
            TRY(count_row(e, &s->tally, &heads[k], &known));
            if (!known) s->uncounted = true;
            buckets[k] = bucket_of(s, &s->current, row_key(s, &heads[k], 0));
            spill_prefetch(s->spill, &buckets[k]->heads, sizeof heads[k]);
            spill_prefetch(s->spill, &buckets[k]->bodies, heads[k].bytes);
        }
        body = s->scratch;
        for (int k = 0; k < count; k++) {
            TRY(bucket_append(e, s, buckets[k], &heads[k], body));
            body += heads[k].bytes;
        }
        i += count;
    }
    s->rows += rows->n;
    if (s->ids >= 0) s->tokens += rows->start[s->ids][rows->n] - rows->start[s->ids][0];
    return ERR_OK;
}

struct stream_expect shuffling_expect(const struct shuffling *s)
{
    struct stream_expect x = {.rows = -1, .tokens = -1};
    if (__builtin_mul_overflow(s->rows, s->cfg.epochs, &x.rows)) x.rows = -1;
    if (s->ids < 0 || __builtin_mul_overflow(s->tokens, s->cfg.epochs, &x.tokens)) x.tokens = -1;
    return x;
}

/* ---- copies ----
 *
 * As long as the tally has room, copies are counted as they come. All copies of a row that came
 * later are in one bucket, that of occurrence 0. So the hashes of each bucket are counted by
 * themselves: of those in a range of hashes, which is halved until its distinct rows fit into the
 * tally. A copy moves to the bucket of its own key, and is marked as moved where it was. Nothing
 * but heads is read where there are no copies. */

enum counted { COUNTED_DISTINCT, COUNTED_COPIES, COUNTED_TOO_MANY };

static uint64_t heads_count(const struct bucket *b)
{
    return b->heads.bytes / sizeof(struct head);
}

/* Are there copies among the rows whose hashes lie in [from, to]? */
static enum err count_copies(struct errctx *e, struct shuffling *s, const struct bucket *b,
                             uint64_t from, uint64_t to, enum counted *answer)
{
    struct spill_cursor heads = {.chain = &b->heads};
    enum err r = tally_clear(e, &s->tally, heads_count(b));
    *answer = COUNTED_DISTINCT;
    for (uint64_t n = heads_count(b); n > 0 && r == ERR_OK && *answer != COUNTED_TOO_MANY; n--) {
        struct head h;
        bool known;
        r = spill_cursor_read(e, s->spill, &heads, &h, sizeof h);
        if (r == ERR_OK && (h.occurrence > 0 || h.high < from || h.high > to)) continue;
        if (r == ERR_OK) r = count_row(e, &s->tally, &h, &known);
        if (r != ERR_OK) break;
        if (!known)
            *answer = COUNTED_TOO_MANY;
        else if (h.occurrence > 0)
            *answer = COUNTED_COPIES;
    }
    spill_cursor_fini(&heads);
    return r;
}

/* One copy: marked as moved in its bucket, appended to the bucket of its own key. */
static enum err move_copy(struct errctx *e, struct shuffling *s, struct bucket *b, struct head *h,
                          uint64_t head_at, uint64_t body_at)
{
    const uint32_t moved = MOVED;
    TRY(scratch_reserve(e, s, h->bytes));
    TRY(spill_read(e, s->spill, &b->bodies, body_at, s->scratch, h->bytes));
    TRY(spill_patch(e, s->spill, &b->heads, head_at + offsetof(struct head, occurrence), &moved,
                    sizeof moved));
    b->rows--;
    b->bytes -= h->bytes;
    return bucket_append(e, s, bucket_of(s, &s->current, row_key(s, h, 0)), h, s->scratch);
}

static enum err move_copies(struct errctx *e, struct shuffling *s, struct bucket *b, uint64_t from,
                            uint64_t to)
{
    struct spill_cursor heads = {.chain = &b->heads};
    uint64_t body_at = 0;
    enum err r = tally_clear(e, &s->tally, heads_count(b));
    for (uint64_t n = heads_count(b); n > 0 && r == ERR_OK; n--) {
        struct head h;
        bool known;
        uint64_t head_at = heads.offset, at = body_at;
        r = spill_cursor_read(e, s->spill, &heads, &h, sizeof h);
        if (r != ERR_OK) break;
        body_at += h.bytes;
        if (h.occurrence > 0 || h.high < from || h.high > to) continue;
        r = count_row(e, &s->tally, &h, &known);
        if (r == ERR_OK && h.occurrence > 0) r = move_copy(e, s, b, &h, head_at, at);
    }
    spill_cursor_fini(&heads);
    return r;
}

static enum err resolve_bucket(struct errctx *e, struct shuffling *s, struct bucket *b)
{
    uint64_t from = 0, width = UINT64_MAX; /* hashes from .. from + width */
    for (;;) {
        enum counted answer;
        uint64_t to = from + width;
        TRY(count_copies(e, s, b, from, to, &answer));
        if (answer == COUNTED_TOO_MANY && width > 0) {
            width /= 2;
            continue;
        }
        if (answer == COUNTED_COPIES) TRY(move_copies(e, s, b, from, to));
        if (to == UINT64_MAX) return ERR_OK;
        from = to + 1;
        if (width > UINT64_MAX - from) width = UINT64_MAX - from;
    }
}

static enum err resolve_copies(struct errctx *e, struct shuffling *s)
{
    for (size_t i = 0; s->uncounted && i < (size_t)1 << s->bits; i++) {
        TRY(resolve_bucket(e, s, &s->current.buckets[i]));
        prog_progress_count("looking for copies", (int64_t)i, (int64_t)1 << s->bits);
    }
    tally_fini(&s->tally);
    return ERR_OK;
}

/* ---- putting out ---- */

/* Memory that is only ever replaced by more: buckets are about equal, so that little is wasted and
 * the pages stay. */
static enum err workspace(struct errctx *e, void *array, size_t *capacity, size_t need, size_t size)
{
    void **memory = array;
    if (need <= *capacity) return ERR_OK;
    mem_free(*memory);
    *memory = NULL;
    *capacity = 0;
    TRY(mem_new_table(e, array, need + need / 16, size, "the rows of a bucket"));
    *capacity = need + need / 16;
    return ERR_OK;
}

/* Bodies [from, to) of the bucket to the end of the arena. */
static enum err load_bodies(struct errctx *e, struct shuffling *s, const struct bucket *b,
                            uint64_t from, uint64_t to, uint64_t *used)
{
    TRY(spill_read(e, s->spill, &b->bodies, from, s->arena + *used, (size_t)(to - from)));
    *used += to - from;
    return ERR_OK;
}

/* Reads all heads, and the bodies of those that have not moved in as few reads as can be. */
static enum err load_rows(struct errctx *e, struct shuffling *s, const struct bucket *b,
                          int64_t epoch, struct spill_cursor *heads)
{
    struct item *item = s->items;
    uint64_t at = 0, from = 0, used = 0; /* bodies [from, at) are wanted and not yet read */
    for (uint64_t n = heads_count(b); n > 0; n--) {
        struct head h;
        TRY(spill_cursor_read(e, s->spill, heads, &h, sizeof h));
        if (h.occurrence == MOVED) {
            TRY(load_bodies(e, s, b, from, at, &used));
            from = at + h.bytes;
        } else {
            *item++ = (struct item){h, used + (at - from), row_key(s, &h, epoch)};
        }
        at += h.bytes;
    }
    return load_bodies(e, s, b, from, at, &used);
}

/* By key; what then is equal by content, so that nothing is left to the order of arrival. */
static int order_compare(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    const struct head *p = &x->item->head, *q = &y->item->head;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (p->low != q->low) return p->low < q->low ? -1 : 1;
    if (p->high != q->high) return p->high < q->high ? -1 : 1;
    return (p->occurrence > q->occurrence) - (p->occurrence < q->occurrence);
}

/* Keys are uniform below the bits that all rows of the bucket share: so the next bits put each row
 * almost at its place. n places of about one row each, then a sort of those that share a place. */
static void sort_items(struct shuffling *s, size_t n, int shift)
{
    int bits = 1;
    while (bits < shift && bits < 24 && (size_t)1 << bits < n) bits++;
    const size_t places = (size_t)1 << bits;
    const int down = shift > bits ? shift - bits : 0;
    uint32_t *end = s->places;
    memset(end, 0, places * sizeof *end);
    for (size_t i = 0; i < n; i++) end[(s->items[i].key >> down) & (places - 1)]++;
    for (size_t i = 1; i < places; i++) end[i] += end[i - 1];
    for (size_t i = n; i-- > 0;) {
        const struct item *item = &s->items[i];
        s->order[--end[(item->key >> down) & (places - 1)]] =
            (struct order){item->key, item->at, item, item->head.bytes};
    }
    for (size_t i = 0; i < places; i++) { /* end[i] has become the start of place i */
        size_t next = i + 1 < places ? end[i + 1] : n;
        if (next - end[i] > 1)
            qsort(s->order + end[i], next - end[i], sizeof *s->order, order_compare);
    }
}

static enum err sort_bucket(struct errctx *e, struct shuffling *s, const struct bucket *b,
                            int shift, int64_t epoch)
{
    struct spill_cursor heads = {.chain = &b->heads};
    size_t n = (size_t)b->rows;
    TRY(workspace(e, &s->arena, &s->arena_capacity, (size_t)b->bytes, 1));
    TRY(workspace(e, &s->items, &s->items_capacity, n, sizeof *s->items));
    TRY(workspace(e, &s->order, &s->order_capacity, n, sizeof *s->order));
    TRY(workspace(e, &s->places, &s->places_capacity, 2 * n, sizeof *s->places));
    enum err r = load_rows(e, s, b, epoch, &heads);
    spill_cursor_fini(&heads);
    if (r == ERR_OK && n > 0) sort_items(s, n, shift);
    return r;
}

/* Rows lie where they came in, so each is far from the last: what comes next is fetched meanwhile.
 */
static inline void prefetch_row(const struct shuffling *s, int64_t i, int64_t rows)
{
    enum { DISTANCE = 12, MOST = 1024 };
    if (i + DISTANCE >= rows) return;
    const struct order *o = &s->order[i + DISTANCE];
    for (uint32_t at = 0; at < o->bytes && at < MOST; at += 64)
        __builtin_prefetch(s->arena + o->at + at);
}

static enum err put_row(struct errctx *e, struct shuffling *s, const uint8_t *body,
                        struct stream_writer *w)
{
    bool full;
    TRY(rowpack_batch_add(e, &s->pack, &s->batch, body, &full));
    return full ? rowpack_batch_put(e, &s->batch, w) : ERR_OK;
}

static enum err write_sorted(struct errctx *e, struct shuffling *s, int64_t rows, int64_t epoch,
                             struct stream_writer *w)
{
    for (int64_t i = 0; i < rows; i++) {
        const struct order *o = &s->order[i];
        const uint8_t *body = s->arena + o->at;
        prefetch_row(s, i, rows);
        TRY(put_row(e, s, body, w));
        if (s->next.buckets) {
            const struct head *h = &o->item->head;
            TRY(bucket_append(e, s, bucket_of(s, &s->next, row_key(s, h, epoch + 1)), h, body));
        }
    }
    TRY(rowpack_batch_put(e, &s->batch, w));
    s->written += rows;
    prog_progress_count("rows shuffled", s->written, shuffling_expect(s).rows);
    return ERR_OK;
}

static enum err deal_again(struct errctx *e, struct shuffling *s, struct bucket *b, int64_t epoch,
                           struct deal *d, struct spill_cursor *heads, struct spill_cursor *bodies)
{
    for (uint64_t n = heads_count(b); n > 0; n--) {
        struct head h;
        TRY(spill_cursor_read(e, s->spill, heads, &h, sizeof h));
        if (h.occurrence == MOVED) {
            bodies->offset += h.bytes;
            continue;
        }
        TRY(scratch_reserve(e, s, h.bytes));
        TRY(spill_cursor_read(e, s->spill, bodies, s->scratch, h.bytes));
        TRY(bucket_append(e, s, bucket_of(s, d, row_key(s, &h, epoch)), &h, s->scratch));
    }
    return ERR_OK;
}

static enum err write_bucket(struct errctx *e, struct shuffling *s, struct bucket *b, int shift,
                             int64_t epoch, struct stream_writer *w);

static enum err write_deal(struct errctx *e, struct shuffling *s, struct deal *d, int64_t epoch,
                           struct stream_writer *w)
{
    for (size_t i = 0; i < (size_t)1 << s->bits; i++)
        TRY(write_bucket(e, s, &d->buckets[i], d->shift, epoch, w));
    return ERR_OK;
}

/* A bucket of more than its share of memory goes by the next bits of the keys. */
static enum err write_in_parts(struct errctx *e, struct shuffling *s, struct bucket *b, int shift,
                               int64_t epoch, struct stream_writer *w)
{
    struct deal d = {0};
    struct spill_cursor heads = {.chain = &b->heads}, bodies = {.chain = &b->bodies};
    enum err r = deal_new(e, s, shift - s->bits, &d);
    if (r == ERR_OK) r = deal_again(e, s, b, epoch, &d, &heads, &bodies);
    spill_cursor_fini(&heads);
    spill_cursor_fini(&bodies);
    bucket_clear(s, b);
    if (r == ERR_OK) r = write_deal(e, s, &d, epoch, w);
    deal_free(s, &d);
    return r;
}

static enum err write_bucket(struct errctx *e, struct shuffling *s, struct bucket *b, int shift,
                             int64_t epoch, struct stream_writer *w)
{
    const uint64_t row = sizeof(struct item) + sizeof(struct order) + 2 * sizeof *s->places;
    uint64_t cost = b->bytes + (uint64_t)b->rows * row;
    if (b->rows > 1 && cost > (uint64_t)s->cfg.memory / 4 && shift >= s->bits)
        return write_in_parts(e, s, b, shift, epoch, w);
    int64_t rows = b->rows;
    TRY(sort_bucket(e, s, b, shift, epoch));
    bucket_clear(s, b);
    return write_sorted(e, s, rows, epoch, w);
}

enum err shuffling_write(struct errctx *e, struct shuffling *s, struct stream_writer *w)
{
    TRY(resolve_copies(e, s));
    for (int64_t epoch = 0; epoch < s->cfg.epochs; epoch++) {
        if (epoch + 1 < s->cfg.epochs) TRY(deal_new(e, s, 64 - s->bits, &s->next));
        TRY(write_deal(e, s, &s->current, epoch, w));
        deal_free(s, &s->current);
        s->current = s->next;
        s->next = (struct deal){0};
    }
    return ERR_OK;
}
