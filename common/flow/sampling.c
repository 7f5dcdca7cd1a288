/* SPDX-License-Identifier: Apache-2.0 */
/* sampling.c: keys by row number; the N smallest of them with a histogram for a bound. */
#include "common/flow/sampling.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/base/rng.h"
#include "common/flow/class_sample.h"
#include "common/flow/rowpack.h"
#include "common/flow/spill.h"

const struct opt sampling_opts[] = {
    {"rows", 'n', OPT_INT, offsetof(struct sampling_cfg, rows), "N", "draw so many rows", 0, 0,
     1e15},
    {"fraction", 0, OPT_REAL, offsetof(struct sampling_cfg, fraction), "F",
     "draw each row with this probability", 0, 0, 1},
    {"per-class", 0, OPT_INT, offsetof(struct sampling_cfg, per_class), "N",
     "draw so many documents of each class", 0, 0, 1e9},
    {"task", 0, OPT_STRING, offsetof(struct sampling_cfg, task), "LABEL",
     "label of the classes, where a stream has several"},
    {"memory", 0, OPT_INT, offsetof(struct sampling_cfg, memory), "BYTES",
     "candidates to hold in memory; what is over goes to TMPDIR", OPT_UNRECORDED, 1 << 20, 1e15},
    OPT_END};

enum { BINS = 1 << 16 };

/* A row that is among the N smallest as far as is known. */
struct candidate {
    uint64_t key;
    uint32_t bytes, tokens;
};

struct sampling {
    struct sampling_cfg cfg;
    struct rng_key key;
    struct rowpack pack;
    struct rowpack_batch batch;
    int64_t ids; /* column whose elements are tokens, or -1 */
    int64_t seen;
    struct class_sample *by_class; /* NULL: not by class; else all else is unused */
    /* by rows */
    struct spill *spill;
    struct spill_chain heads, bodies;
    uint8_t *scratch;
    size_t scratch_capacity;
    int64_t *histogram; /* keys seen per bin; those above `bound` are no longer kept up */
    int64_t bound;      /* the Nth smallest key lies in this bin or below */
    int64_t within;     /* keys in the bins up to it */
    uint64_t cut;       /* settled: keys below it are chosen, */
    int64_t ties;       /* and the first so many that equal it */
};

static uint64_t row_key(const struct sampling *s, int64_t row)
{
    const uint32_t counter[4] = {(uint32_t)row, (uint32_t)((uint64_t)row >> 32), 0, 0};
    uint32_t w[4];
    rng_philox(s->key, counter, w);
    return (uint64_t)w[0] << 32 | w[1];
}

static int bin_of(uint64_t key)
{
    return (int)(key >> 48);
}

static enum err sampling_by_rows_new(struct errctx *e, struct sampling *s,
                                     const struct stream_begin *begin, const char *name)
{
    size_t block = 4096;
    while (block < 1 << 20 && block * 2 <= (size_t)s->cfg.memory / 64) block *= 2;
    s->bound = BINS - 1;
    TRY(rowpack_init(e, begin, name, &s->pack));
    TRY(rowpack_batch_init(e, &s->pack, &s->batch));
    TRY(mem_new(e, &s->histogram, BINS, sizeof *s->histogram, "histogram"));
    return spill_new(e, block, (uint64_t)s->cfg.memory - 4 * block, 0, &s->spill);
}

enum err sampling_cfg_check(struct errctx *e, const struct sampling_cfg *cfg)
{
    const int ways =
        (cfg->rows != OPT_UNSET) + !isnan(cfg->fraction) + (cfg->per_class != OPT_UNSET);
    if (ways != 1)
        return err_set(e, ERR_USAGE,
                       "say how much to draw: one of -n N, --fraction F and --per-class N");
    if (cfg->task != NULL && cfg->per_class == OPT_UNSET)
        return err_set(e, ERR_USAGE, "--task is for --per-class");
    return ERR_OK;
}

enum err sampling_new(struct errctx *e, const struct sampling_cfg *cfg,
                      const struct stream_begin *begin, const char *name, struct sampling **out)
{
    *out = NULL;
    if (begin->columns_count == 0)
        return err_set(e, ERR_INPUT, "'%s': a stream of kind %s has no rows", name,
                       stream_kind_name(begin->kind));
    TRY(mem_new(e, out, 1, sizeof **out, "sample"));
    struct sampling *s = *out;
    s->cfg = *cfg;
    s->key = rng_key_make((uint64_t)cfg->seed, RNG_SAMPLE);
    s->ids = rowpack_tokens_column(begin);
    enum err r = ERR_OK;
    if (cfg->rows != OPT_UNSET) r = sampling_by_rows_new(e, s, begin, name);
    if (cfg->per_class != OPT_UNSET)
        r = class_sample_new(e, begin, name, cfg->task, s->key, cfg->per_class, cfg->memory,
                             &s->by_class);
    if (r == ERR_OK) return ERR_OK;
    sampling_free(s);
    *out = NULL;
    return r;
}

void sampling_free(struct sampling *s)
{
    if (!s) return;
    class_sample_free(s->by_class);
    if (s->spill) {
        spill_clear(s->spill, &s->heads);
        spill_clear(s->spill, &s->bodies);
    }
    spill_free(s->spill);
    rowpack_batch_fini(&s->pack, &s->batch);
    rowpack_fini(&s->pack);
    mem_free(s->scratch);
    mem_free(s->histogram);
    mem_free(s);
}

static enum err keep_candidate(struct errctx *e, struct sampling *s, const struct stream_rows *rows,
                               int64_t i, uint64_t key)
{
    struct candidate c = {.key = key};
    if (s->ids >= 0) c.tokens = (uint32_t)(rows->start[s->ids][i + 1] - rows->start[s->ids][i]);
    TRY(rowpack_size(e, &s->pack, rows, i, &c.bytes));
    TRY(mem_grow(e, &s->scratch, &s->scratch_capacity, c.bytes, 1, "a row"));
    rowpack_put(&s->pack, rows, i, s->scratch);
    TRY(spill_append(e, s->spill, &s->heads, &c, sizeof c));
    return spill_append(e, s->spill, &s->bodies, s->scratch, c.bytes);
}

static enum err add_by_rows(struct errctx *e, struct sampling *s, const struct stream_rows *rows,
                            int64_t i, uint64_t key)
{
    int bin = bin_of(key);
    if (s->cfg.rows == 0 || bin > s->bound) return ERR_OK;
    TRY(keep_candidate(e, s, rows, i, key));
    s->histogram[bin]++;
    s->within++;
    while (s->within - s->histogram[s->bound] >= s->cfg.rows) s->within -= s->histogram[s->bound--];
    return ERR_OK;
}

/* Passes on the chosen rows, those that stand together together. */
static enum err pass_fraction(struct errctx *e, struct sampling *s, const struct stream_rows *rows,
                              struct stream_writer *w)
{
    int64_t from = 0; /* rows [from, i) are chosen and not yet passed on */
    for (int64_t i = 0; i < rows->n; i++) {
        uint64_t key = row_key(s, s->seen++);
        double u = rng_words_to_double((uint32_t)(key >> 32), (uint32_t)key);
        if (u < s->cfg.fraction) continue;
        TRY(stream_writer_rows(e, w, rows, from, i));
        from = i + 1;
    }
    return stream_writer_rows(e, w, rows, from, rows->n);
}

enum err sampling_add(struct errctx *e, struct sampling *s, const struct stream_rows *rows,
                      struct stream_writer *w)
{
    if (s->by_class) return class_sample_add(e, s->by_class, rows);
    if (s->cfg.rows == OPT_UNSET) return pass_fraction(e, s, rows, w);
    for (int64_t i = 0; i < rows->n; i++) TRY(add_by_rows(e, s, rows, i, row_key(s, s->seen++)));
    return ERR_OK;
}

static int key_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool chosen(const struct sampling *s, uint64_t key, int64_t *ties)
{
    return key < s->cut || (key == s->cut && (*ties)-- > 0);
}

/* The keys of the bin in which the Nth smallest lies, sorted. */
static enum err collect_bin(struct errctx *e, struct sampling *s, struct spill_cursor *heads,
                            uint64_t *keys)
{
    int64_t n = 0;
    for (uint64_t k = s->heads.bytes / sizeof(struct candidate); k > 0; k--) {
        struct candidate c;
        TRY(spill_cursor_read(e, s->spill, heads, &c, sizeof c));
        if (bin_of(c.key) == s->bound) keys[n++] = c.key;
    }
    qsort(keys, (size_t)n, sizeof *keys, key_compare);
    return ERR_OK;
}

static enum err find_cut(struct errctx *e, struct sampling *s)
{
    int64_t in_bin = s->histogram[s->bound], want = s->cfg.rows - (s->within - in_bin);
    struct spill_cursor heads = {.chain = &s->heads};
    uint64_t *keys;
    TRY(mem_new(e, &keys, (size_t)in_bin, sizeof *keys, "keys"));
    enum err r = collect_bin(e, s, &heads, keys);
    if (r == ERR_OK) {
        s->cut = keys[want - 1];
        for (s->ties = 0; s->ties < want && keys[want - 1 - s->ties] == s->cut;) s->ties++;
    }
    spill_cursor_fini(&heads);
    mem_free(keys);
    return r;
}

enum err sampling_settle(struct errctx *e, struct sampling *s, struct stream_expect *expect)
{
    struct spill_cursor heads = {.chain = &s->heads};
    enum err r = ERR_OK;
    if (s->by_class) return class_sample_settle(e, s->by_class, expect);
    *expect = (struct stream_expect){.rows = 0, .tokens = s->ids >= 0 ? 0 : -1};
    s->cut = UINT64_MAX;
    s->ties = INT64_MAX;
    if (s->seen < s->cfg.rows)
        prog_warn("%" PRId64 " rows were asked for, and there are %" PRId64 ": all are taken",
                  s->cfg.rows, s->seen);
    else if (s->cfg.rows > 0)
        TRY(find_cut(e, s));
    int64_t ties = s->ties;
    for (uint64_t k = s->heads.bytes / sizeof(struct candidate); k > 0 && r == ERR_OK; k--) {
        struct candidate c;
        r = spill_cursor_read(e, s->spill, &heads, &c, sizeof c);
        if (r != ERR_OK || !chosen(s, c.key, &ties)) continue;
        expect->rows++;
        if (s->ids >= 0) expect->tokens += c.tokens;
    }
    spill_cursor_fini(&heads);
    return r;
}

static enum err write_chosen(struct errctx *e, struct sampling *s, struct spill_cursor *heads,
                             struct spill_cursor *bodies, struct stream_writer *w)
{
    int64_t ties = s->ties;
    for (uint64_t k = s->heads.bytes / sizeof(struct candidate); k > 0; k--) {
        struct candidate c;
        TRY(spill_cursor_read(e, s->spill, heads, &c, sizeof c));
        if (!chosen(s, c.key, &ties)) {
            bodies->offset += c.bytes;
            continue;
        }
        TRY(spill_cursor_read(e, s->spill, bodies, s->scratch, c.bytes));
        bool full;
        TRY(rowpack_batch_add(e, &s->pack, &s->batch, s->scratch, &full));
        if (full) TRY(rowpack_batch_put(e, &s->batch, w));
    }
    return rowpack_batch_put(e, &s->batch, w);
}

enum err sampling_write(struct errctx *e, struct sampling *s, struct stream_writer *w)
{
    struct spill_cursor heads = {.chain = &s->heads}, bodies = {.chain = &s->bodies};
    if (s->by_class) return class_sample_write(e, s->by_class, w);
    enum err r = write_chosen(e, s, &heads, &bodies, w);
    spill_cursor_fini(&heads);
    spill_cursor_fini(&bodies);
    return r;
}
