/* SPDX-License-Identifier: Apache-2.0 */
/* split_audit.c: see split_audit.h. */
#include "common/flow/split_audit.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "common/base/mem.h"
#include "common/base/prog.h"

struct seen { /* a document; times == 0: an empty slot */
    uint64_t doc;
    uint32_t times, labels; /* labels: a hash of those it had first */
    uint16_t part;
    bool across, differs;
};

struct split_audit {
    const char *const *names;
    size_t parts, train;
    struct labels labels;
    uint64_t **examples;       /* by label and class: of all parts, */
    uint64_t **train_examples; /* of the one to train on */
    int64_t doc, part;         /* columns, -1 */
    struct seen *seen;
    size_t slots, used, most; /* slots: a power of two, twice `most` at last */
    int halved;               /* so often */
};

static enum err make_counts(struct errctx *e, struct split_audit *a)
{
    const size_t n = (size_t)a->labels.count;

    TRY(mem_new(e, &a->examples, n, sizeof *a->examples, "classes"));
    TRY(mem_new(e, &a->train_examples, n, sizeof *a->train_examples, "classes"));
    for (size_t i = 0; i < n; i++) {
        const size_t classes = (size_t)a->labels.items[i].classes_count;
        TRY(mem_new(e, &a->examples[i], classes, sizeof **a->examples, "classes"));
        TRY(mem_new(e, &a->train_examples[i], classes, sizeof **a->examples, "classes"));
    }
    return ERR_OK;
}

static int64_t column_of(const struct stream_begin *b, const char *name, enum dtype t)
{
    const int64_t c = stream_begin_find_column(b, name);
    return c >= 0 && b->columns[c].dtype == t && b->columns[c].dims == 0 ? c : -1;
}

enum err split_audit_new(struct errctx *e, const struct stream_begin *begin,
                         const char *const *names, size_t parts, size_t train, size_t documents,
                         struct split_audit **out)
{
    struct split_audit *a;

    *out = NULL;
    TRY(mem_new(e, &a, 1, sizeof *a, "split"));
    a->names = names;
    a->parts = parts;
    a->train = train;
    a->most = documents;
    a->slots = documents < 1024 ? 2 * documents : 1024;
    a->doc = column_of(begin, "doc", DTYPE_U64);
    a->part = column_of(begin, "part", DTYPE_U32);
    enum err r = mem_new(e, &a->seen, a->slots, sizeof *a->seen, "documents");
    if (r == ERR_OK) r = labels_from_begin(e, begin, &a->labels);
    if (r == ERR_OK) r = make_counts(e, a);
    if (r == ERR_OK)
        *out = a;
    else
        split_audit_free(a);
    return r;
}

void split_audit_free(struct split_audit *a)
{
    if (a == NULL) return;
    for (int64_t i = 0; i < a->labels.count; i++) {
        if (a->examples != NULL) mem_free(a->examples[i]);
        if (a->train_examples != NULL) mem_free(a->train_examples[i]);
    }
    mem_free(a->examples);
    mem_free(a->train_examples);
    mem_free(a->seen);
    labels_fini(&a->labels);
    mem_free(a);
}

/* ---- classes ---- */

static void count_class(struct split_audit *a, int64_t label, size_t part, int32_t class)
{
    if (class < 0) return;
    a->examples[label][class]++;
    a->train_examples[label][class] += part == a->train;
}

static enum err count_labels(struct errctx *e, struct split_audit *a, size_t part,
                             const struct stream_rows *rows, int64_t row)
{
    const int32_t *list;
    int32_t class;
    int64_t n;

    for (int64_t i = 0; i < a->labels.count; i++) {
        const struct label *l = &a->labels.items[i];
        if (l->kind == LABEL_NUMBER) continue;
        if (l->kind == LABEL_CLASS) {
            TRY(label_row_class(e, l, rows, row, &class));
            count_class(a, i, part, class);
            continue;
        }
        TRY(label_row_list(e, l, rows, row, &list, &n));
        for (int64_t k = 0; k < n; k++) count_class(a, i, part, list[k]);
    }
    return ERR_OK;
}

enum err split_audit_check(struct errctx *e, const struct split_audit *a)
{
    for (int64_t i = 0; i < a->labels.count; i++) {
        const struct label *l = &a->labels.items[i];
        int64_t without = 0, first = -1;
        for (int64_t c = 0; c < l->classes_count; c++) {
            if (a->examples[i][c] == 0 || a->train_examples[i][c] > 0) continue;
            if (first < 0) first = c;
            without++;
        }
        if (without == 0) continue;
        char more[64] = "";
        if (without > 1)
            (void)snprintf(more, sizeof more, ", nor have %" PRId64 " other classes", without - 1);
        return err_set(e, ERR_INPUT,
                       "label '%s': the class '%s' has no example in '%s', and %" PRIu64
                       " elsewhere%s (--stratify %s divides each class, --allow-untrained lets it "
                       "be)",
                       l->name, l->classes[first], a->names[a->train], a->examples[i][first], more,
                       l->name);
    }
    return ERR_OK;
}

/* ---- documents ---- */

/* Documents whose hash has a one among so many of its highest bits are not looked at. */
static bool is_looked_at(const struct split_audit *a, uint64_t doc)
{
    return a->halved == 0 || doc >> (64 - a->halved) == 0;
}

static struct seen *find(struct seen *seen, size_t slots, uint64_t doc)
{
    size_t at = (size_t)doc & (slots - 1);

    while (seen[at].times != 0 && seen[at].doc != doc) at = (at + 1) & (slots - 1);
    return &seen[at];
}

/* The table anew: twice as large, or without the half that is no longer looked at. */
static enum err make_room(struct errctx *e, struct split_audit *a)
{
    const bool grow = a->used < a->most;
    const size_t slots = grow ? 2 * a->slots : a->slots;
    struct seen *seen;

    TRY(mem_new(e, &seen, slots, sizeof *seen, "documents"));
    a->halved += !grow;
    a->used = 0;
    for (size_t i = 0; i < a->slots; i++) {
        if (a->seen[i].times == 0 || !is_looked_at(a, a->seen[i].doc)) continue;
        *find(seen, slots, a->seen[i].doc) = a->seen[i];
        a->used++;
    }
    mem_free(a->seen);
    a->seen = seen;
    a->slots = slots;
    return ERR_OK;
}

/* Of all labels of a row together. */
static uint32_t hash_labels(const struct split_audit *a, const struct stream_rows *rows,
                            int64_t row)
{
    uint64_t hash = 0;

    for (int64_t i = 0; i < a->labels.count; i++) {
        const int64_t c = a->labels.items[i].column, *start = rows->start[c];
        const int64_t first = start != NULL ? start[row] : row;
        const int64_t n = start != NULL ? start[row + 1] - first : 1;
        hash = XXH3_64bits_withSeed(rows->data[c] + 4 * (size_t)first, 4 * (size_t)n, hash);
    }
    return (uint32_t)hash;
}

static enum err see(struct errctx *e, struct split_audit *a, size_t part,
                    const struct stream_rows *rows, int64_t row)
{
    uint64_t doc;
    uint32_t cut = 0;

    memcpy(&doc, rows->data[a->doc] + (size_t)row * sizeof doc, sizeof doc);
    if (a->part >= 0) memcpy(&cut, rows->data[a->part] + (size_t)row * sizeof cut, sizeof cut);
    if (cut != 0 || !is_looked_at(a, doc)) return ERR_OK;
    while (2 * (a->used + 1) > a->slots || a->used == a->most) {
        TRY(make_room(e, a));
        if (!is_looked_at(a, doc)) return ERR_OK;
    }
    struct seen *s = find(a->seen, a->slots, doc);
    const uint32_t labels = hash_labels(a, rows, row);
    if (s->times == 0) {
        *s = (struct seen){.doc = doc, .labels = labels, .part = (uint16_t)part};
        a->used++;
    }
    s->times += s->times < UINT32_MAX;
    s->across |= s->part != part;
    s->differs |= s->labels != labels;
    return ERR_OK;
}

enum err split_audit_add(struct errctx *e, struct split_audit *a, size_t part,
                         const struct stream_rows *rows, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        TRY(count_labels(e, a, part, rows, i));
        if (a->doc >= 0) TRY(see(e, a, part, rows, i));
    }
    return ERR_OK;
}

void split_audit_counts(const struct split_audit *a, struct split_counts *out)
{
    *out = (struct split_counts){.exact = a->halved == 0};
    for (size_t i = 0; i < a->slots; i++) {
        const struct seen *s = &a->seen[i];
        out->all += s->times > 0;
        out->twice += s->times > 1;
        out->across += s->across;
        out->labelled += s->differs;
    }
    out->all <<= a->halved;
    out->twice <<= a->halved;
    out->across <<= a->halved;
    out->labelled <<= a->halved;
}

void split_audit_warn(const struct split_audit *a)
{
    struct split_counts n;

    split_audit_counts(a, &n);
    const char *about = n.exact ? "" : "about ";
    if (n.across > 0)
        prog_warn("%s%" PRIu64 " of %" PRIu64
                  " documents are in two parts: the same text is in two groups",
                  about, n.across, n.all);
    if (n.labelled > 0)
        prog_warn("%s%" PRIu64 " of %" PRIu64 " documents are there twice, with different labels",
                  about, n.labelled, n.all);
    /* of texts without labels this is as usual as it is harmless */
    if (n.twice == 0) return;
    if (a->labels.count > 0)
        prog_warn("%s%" PRIu64 " of %" PRIu64 " documents are there twice or more", about, n.twice,
                  n.all);
    else
        prog_note("%s%" PRIu64 " of %" PRIu64 " documents are there twice or more", about, n.twice,
                  n.all);
}
