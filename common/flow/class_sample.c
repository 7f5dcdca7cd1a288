/* SPDX-License-Identifier: Apache-2.0 */
/* class_sample.c: see class_sample.h. */
#include "common/flow/class_sample.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/flow/spill.h"
#include "common/flow/tally.h"

#define TALLY_BYTES ((uint64_t)256 << 20) /* for knowing what was there already: millions */

struct choice { /* a document that is among the smallest of its class */
    uint64_t key, doc;
};

struct class_choices { /* a heap, the largest on top; sorted when settled */
    struct choice *items;
    size_t count, capacity;
};

struct kept { /* a row; its classes follow */
    struct choice choice;
    uint32_t bytes, tokens, part, classes;
};

struct class_sample {
    struct labels labels;
    const struct label *label;
    struct rng_key key;
    size_t most;            /* documents per class */
    int64_t doc, part, ids; /* columns, -1 */
    struct class_choices *classes;
    struct rowpack pack;
    struct rowpack_batch batch;
    struct spill *spill;
    struct spill_chain heads, bodies;
    uint8_t *scratch;
    size_t scratch_capacity;
    int32_t *list; /* classes of a row that is read again */
    size_t list_capacity;
    struct tally
        offered; /* documents of a class; what was put out again is larger than all of it */
    struct tally written; /* cuts */
};

static int64_t column_of(const struct stream_begin *b, const char *name, enum dtype t)
{
    const int64_t c = stream_begin_find_column(b, name);
    return c >= 0 && b->columns[c].dtype == t && b->columns[c].dims == 0 ? c : -1;
}

static enum err start(struct errctx *e, struct class_sample *s, const struct stream_begin *begin,
                      const char *name, const char *task, int64_t memory)
{
    size_t block = 4096;

    TRY(labels_from_begin(e, begin, &s->labels));
    TRY(labels_find(e, &s->labels, task, name, &s->label));
    if (s->label->kind != LABEL_CLASS && s->label->kind != LABEL_CLASSES)
        return err_set(e, ERR_USAGE, "--per-class: label '%s' is of kind %s, which is no class",
                       s->label->name, label_kind_name(s->label->kind));
    s->doc = column_of(begin, "doc", DTYPE_U64);
    s->part = column_of(begin, "part", DTYPE_U32);
    s->ids = rowpack_tokens_column(begin);
    TRY(mem_new(e, &s->classes, (size_t)s->label->classes_count, sizeof *s->classes, "classes"));
    TRY(rowpack_init(e, begin, name, &s->pack));
    TRY(rowpack_batch_init(e, &s->pack, &s->batch));
    TRY(tally_init(e, &s->offered, TALLY_BYTES));
    while (block < 1 << 20 && block * 2 <= (size_t)memory / 64) block *= 2;
    return spill_new(e, block, (uint64_t)memory - 4 * block, 0, &s->spill);
}

enum err class_sample_new(struct errctx *e, const struct stream_begin *begin, const char *name,
                          const char *task, struct rng_key key, int64_t per_class, int64_t memory,
                          struct class_sample **out)
{
    struct class_sample *s;

    *out = NULL;
    TRY(mem_new(e, &s, 1, sizeof *s, "sample"));
    s->key = key;
    s->most = (size_t)per_class;
    const enum err r = start(e, s, begin, name, task, memory);
    if (r == ERR_OK)
        *out = s;
    else
        class_sample_free(s);
    return r;
}

void class_sample_free(struct class_sample *s)
{
    if (s == NULL) return;
    if (s->spill != NULL) {
        spill_clear(s->spill, &s->heads);
        spill_clear(s->spill, &s->bodies);
    }
    spill_free(s->spill);
    if (s->pack.columns > 0) rowpack_batch_fini(&s->pack, &s->batch);
    rowpack_fini(&s->pack);
    for (int64_t c = 0; s->classes != NULL && c < s->label->classes_count; c++)
        mem_free(s->classes[c].items);
    mem_free(s->classes);
    labels_fini(&s->labels);
    mem_free(s->scratch);
    mem_free(s->list);
    tally_fini(&s->offered);
    tally_fini(&s->written);
    mem_free(s);
}

/* ---- the smallest of each class ---- */

static int compare_choices(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->doc > y->doc) - (x->doc < y->doc);
}

static void swap(struct choice *a, struct choice *b)
{
    const struct choice c = *a;
    *a = *b;
    *b = c;
}

static void sift_up(struct choice *heap, size_t i)
{
    for (; i > 0 && compare_choices(&heap[i], &heap[(i - 1) / 2]) > 0; i = (i - 1) / 2)
        swap(&heap[i], &heap[(i - 1) / 2]);
}

static void sift_down(struct choice *heap, size_t n)
{
    for (size_t i = 0, next; (next = 2 * i + 1) < n; i = next) {
        if (next + 1 < n && compare_choices(&heap[next + 1], &heap[next]) > 0) next++;
        if (compare_choices(&heap[next], &heap[i]) <= 0) return;
        swap(&heap[i], &heap[next]);
    }
}

/* Whether this document comes with this number for the first time. */
static enum err is_first(struct errctx *e, struct tally *t, uint64_t doc, uint32_t number,
                         bool *out)
{
    struct tally_entry *entry;

    TRY(tally_find(e, t, XXH3_64bits_withSeed(&doc, sizeof doc, number), doc, &entry));
    if (entry == NULL)
        return err_set(e, ERR_INPUT, "--per-class: a sample of more than some million rows");
    *out = entry->count == 0;
    entry->count = 1;
    return ERR_OK;
}

/* *taken: whether it is among the smallest so far. */
static enum err offer(struct errctx *e, struct class_sample *s, int32_t class,
                      const struct choice *choice, bool *taken)
{
    struct class_choices *c = &s->classes[class];
    bool first = false;

    *taken = false;
    if (s->most == 0) return ERR_OK;
    if (c->count == s->most && compare_choices(choice, &c->items[0]) > 0) return ERR_OK;
    *taken = true;
    TRY(is_first(e, &s->offered, choice->doc, (uint32_t) class, &first));
    if (!first) return ERR_OK; /* a further cut */
    if (c->count == s->most) {
        c->items[0] = *choice;
        sift_down(c->items, c->count);
        return ERR_OK;
    }
    TRY(mem_grow(e, &c->items, &c->capacity, c->count + 1, sizeof *c->items, "sample"));
    c->items[c->count] = *choice;
    sift_up(c->items, c->count++);
    return ERR_OK;
}

static enum err classes_of(struct errctx *e, const struct class_sample *s,
                           const struct stream_rows *rows, int64_t i, int32_t *one,
                           const int32_t **list, int64_t *n)
{
    if (s->label->kind == LABEL_CLASSES) return label_row_list(e, s->label, rows, i, list, n);
    TRY(label_row_class(e, s->label, rows, i, one));
    *list = one;
    *n = *one >= 0;
    return ERR_OK;
}

static enum err keep_row(struct errctx *e, struct class_sample *s, const struct stream_rows *rows,
                         int64_t i, struct kept *k, const int32_t *list)
{
    if (s->part >= 0)
        memcpy(&k->part, rows->data[s->part] + (size_t)i * sizeof k->part, sizeof k->part);
    if (s->ids >= 0) k->tokens = (uint32_t)(rows->start[s->ids][i + 1] - rows->start[s->ids][i]);
    TRY(rowpack_size(e, &s->pack, rows, i, &k->bytes));
    TRY(mem_grow(e, &s->scratch, &s->scratch_capacity, (size_t)k->bytes + 1, 1, "a row"));
    rowpack_put(&s->pack, rows, i, s->scratch);
    TRY(spill_append(e, s->spill, &s->heads, k, sizeof *k));
    TRY(spill_append(e, s->spill, &s->heads, list, k->classes * sizeof *list));
    return spill_append(e, s->spill, &s->bodies, s->scratch, k->bytes);
}

static enum err add_row(struct errctx *e, struct class_sample *s, const struct stream_rows *rows,
                        int64_t i)
{
    struct kept k = {.choice.doc = (uint64_t)(rows->first + i)};
    const int32_t *list;
    int32_t one;
    int64_t n;
    bool wanted = false, taken;

    if (s->doc >= 0)
        memcpy(&k.choice.doc, rows->data[s->doc] + (size_t)i * sizeof k.choice.doc,
               sizeof k.choice.doc);
    TRY(classes_of(e, s, rows, i, &one, &list, &n));
    const uint32_t counter[4] = {(uint32_t)k.choice.doc, (uint32_t)(k.choice.doc >> 32), 0, 0};
    uint32_t w[4];
    rng_philox(s->key, counter, w);
    k.choice.key = (uint64_t)w[0] << 32 | w[1];
    for (int64_t c = 0; c < n; c++) {
        TRY(offer(e, s, list[c], &k.choice, &taken));
        wanted |= taken;
    }
    if (!wanted) return ERR_OK;
    k.classes = (uint32_t)n;
    return keep_row(e, s, rows, i, &k, list);
}

enum err class_sample_add(struct errctx *e, struct class_sample *s, const struct stream_rows *rows)
{
    for (int64_t i = 0; i < rows->n; i++) TRY(add_row(e, s, rows, i));
    return ERR_OK;
}

/* ---- which they are ---- */

/* Whether the row is chosen, and no row has been that is the same cut of the same document. */
static enum err is_chosen(struct errctx *e, struct class_sample *s, const struct kept *k,
                          const int32_t *list, bool *out)
{
    bool wanted = false;

    *out = false;
    for (uint32_t i = 0; i < k->classes && !wanted; i++) {
        const struct class_choices *c = &s->classes[list[i]];
        wanted = bsearch(&k->choice, c->items, c->count, sizeof *c->items, compare_choices) != NULL;
    }
    if (!wanted) return ERR_OK;
    return is_first(e, &s->written, k->choice.doc, k->part, out);
}

typedef enum err kept_fn(struct errctx *e, struct class_sample *s, const struct kept *k,
                         bool chosen, void *ctx);

static enum err each_kept(struct errctx *e, struct class_sample *s, struct spill_cursor *heads,
                          kept_fn *fn, void *ctx)
{
    struct kept k;
    bool chosen;

    TRY(tally_init(e, &s->written, TALLY_BYTES));
    while (heads->offset < s->heads.bytes) {
        TRY(spill_cursor_read(e, s->spill, heads, &k, sizeof k));
        TRY(mem_grow(e, &s->list, &s->list_capacity, (size_t)k.classes + 1, sizeof *s->list,
                     "classes"));
        TRY(spill_cursor_read(e, s->spill, heads, s->list, k.classes * sizeof *s->list));
        TRY(is_chosen(e, s, &k, s->list, &chosen));
        TRY(fn(e, s, &k, chosen, ctx));
    }
    return ERR_OK;
}

static enum err for_kept(struct errctx *e, struct class_sample *s, kept_fn *fn, void *ctx)
{
    struct spill_cursor heads = {.chain = &s->heads};
    const enum err r = each_kept(e, s, &heads, fn, ctx);

    spill_cursor_fini(&heads);
    tally_fini(&s->written);
    s->written = (struct tally){0};
    return r;
}

static enum err count_kept(struct errctx *e, struct class_sample *s, const struct kept *k,
                           bool chosen, void *ctx)
{
    struct stream_expect *expect = ctx;

    (void)e;
    if (!chosen) return ERR_OK;
    expect->rows++;
    if (s->ids >= 0) expect->tokens += k->tokens;
    return ERR_OK;
}

static void warn_of_few(const struct class_sample *s)
{
    int64_t few = 0, first = -1;

    for (int64_t c = 0; c < s->label->classes_count; c++) {
        if (s->classes[c].count >= s->most) continue;
        if (first < 0) first = c;
        few++;
    }
    if (few > 0)
        prog_warn("label '%s': %" PRId64 " of %" PRId64
                  " classes have fewer than %zu documents (the first: '%s' has %zu)",
                  s->label->name, few, s->label->classes_count, s->most, s->label->classes[first],
                  s->classes[first].count);
}

enum err class_sample_settle(struct errctx *e, struct class_sample *s, struct stream_expect *expect)
{
    *expect = (struct stream_expect){.rows = 0, .tokens = s->ids >= 0 ? 0 : -1};
    for (int64_t c = 0; c < s->label->classes_count; c++)
        if (s->classes[c].count > 0)
            qsort(s->classes[c].items, s->classes[c].count, sizeof *s->classes[c].items,
                  compare_choices);
    warn_of_few(s);
    return for_kept(e, s, count_kept, expect);
}

struct writing {
    struct spill_cursor bodies;
    struct stream_writer *writer;
};

static enum err write_kept(struct errctx *e, struct class_sample *s, const struct kept *k,
                           bool chosen, void *ctx)
{
    struct writing *w = ctx;
    bool full;

    if (!chosen) {
        w->bodies.offset += k->bytes;
        return ERR_OK;
    }
    TRY(spill_cursor_read(e, s->spill, &w->bodies, s->scratch, k->bytes));
    TRY(rowpack_batch_add(e, &s->pack, &s->batch, s->scratch, &full));
    return full ? rowpack_batch_put(e, &s->batch, w->writer) : ERR_OK;
}

enum err class_sample_write(struct errctx *e, struct class_sample *s, struct stream_writer *w)
{
    struct writing writing = {.bodies.chain = &s->bodies, .writer = w};
    enum err r = for_kept(e, s, write_kept, &writing);

    if (r == ERR_OK) r = rowpack_batch_put(e, &s->batch, w);
    spill_cursor_fini(&writing.bodies);
    return r;
}
