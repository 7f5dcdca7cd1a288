/* SPDX-License-Identifier: Apache-2.0 */
/* mixing.c: credits in integers, draws, and what happens at the end of a source. */
#include "common/flow/mixing.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/base/rng.h"
#include "common/flow/rowpack.h"

#define MIX_FIELD(f) offsetof(struct mixing_cfg, f)

const struct opt mixing_opts[] = {
    {"by", 0, OPT_CHOICE, MIX_FIELD(by), "tokens|rows", "what the weights are shares of", 0},
    {"stop", 0, OPT_CHOICE, MIX_FIELD(stop), "first|all",
     "end when the first source is used up, or go on with the others until all are", 0},
    {"rows", 0, OPT_INT, MIX_FIELD(rows), "N", "end after so many rows", 0, 1, 1e15},
    {"tokens", 0, OPT_INT, MIX_FIELD(tokens), "N", "end with the row that reaches so many tokens",
     0, 1, 1e15},
    OPT_END};

/* The smallest weight beside a sum of 1: its share, a whole number, is right to two thousandths. */
#define LEAST_WEIGHT 1e-6

enum {
    SHARES = 1 << 28, /* the sum of all shares, nearly */
    SLACK_TOKENS = 64 << 10,
    SLACK_ROWS = 64,
};

/* ---- sources ---- */

static enum err source_parse(struct errctx *e, const char *operand, struct mixing_source *s)
{
    const char *colon = strrchr(operand, ':');
    if (!colon || colon == operand || colon[1] == '\0')
        return err_set(e, ERR_USAGE, "'%s' has no weight: write FILE:WEIGHT, as in a.tokens:0.7",
                       operand);
    if (!opts_parse_real(colon + 1, &s->weight) || s->weight <= 0)
        return err_set(e, ERR_USAGE, "'%s': the weight '%s' is not a number above 0", operand,
                       colon + 1);
    return mem_strndup(e, &s->path, operand, (size_t)(colon - operand));
}

static enum err check_weights(struct errctx *e, const struct mixing_sources *m)
{
    double sum = 0;
    for (size_t i = 0; i < m->count; i++) sum += m->items[i].weight;
    for (size_t i = 0; i < m->count; i++)
        if (!(m->items[i].weight / sum >= LEAST_WEIGHT))
            return err_set(e, ERR_USAGE,
                           "'%s': the weight %g is less than a millionth of the sum %g: it would "
                           "not hold",
                           m->items[i].path, m->items[i].weight, sum);
    return ERR_OK;
}

enum err mixing_sources_parse(struct errctx *e, const struct opt_list *operands,
                              struct mixing_sources *m)
{
    *m = (struct mixing_sources){0};
    if (operands->count == 0)
        return err_set(e, ERR_USAGE, "nothing to mix: name streams as FILE:WEIGHT");
    TRY(mem_new(e, &m->items, operands->count, sizeof *m->items, "sources"));
    m->count = operands->count;
    for (size_t i = 0; i < m->count; i++) TRY(source_parse(e, operands->items[i], &m->items[i]));
    return check_weights(e, m);
}

static enum err record_weights(struct errctx *e, const struct mixing_sources *m, struct run *run)
{
    struct bytes text = {0};
    enum err r = ERR_OK;
    for (size_t i = 0; i < m->count && r == ERR_OK; i++)
        r = bytes_printf(e, &text, "%s%.17g", i ? "," : "", m->items[i].weight);
    if (r == ERR_OK) r = bytes_append(e, &text, "", 1);
    if (r == ERR_OK) r = run_option(e, run, "weights", (const char *)text.data);
    bytes_fini(&text);
    return r;
}

enum err mixing_sources_open(struct errctx *e, struct mixing_sources *m, struct run *run,
                             const struct stream_reader_cfg *cfg)
{
    for (size_t i = 0; i < m->count; i++) {
        struct mixing_source *s = &m->items[i];
        TRY(stream_reader_open(e, run, "input", s->path, cfg, &s->reader));
        TRY(stream_begin_match(e, stream_reader_begin(m->items[0].reader), m->items[0].path,
                               stream_reader_begin(s->reader), s->path));
    }
    return record_weights(e, m, run);
}

void mixing_sources_close(struct mixing_sources *m)
{
    for (size_t i = 0; i < m->count; i++) {
        stream_reader_close(m->items[i].reader);
        mem_free(m->items[i].path);
    }
    mem_free(m->items);
    *m = (struct mixing_sources){0};
}

struct stream_expect mixing_expect(const struct mixing_cfg *cfg, const struct mixing_sources *m)
{
    struct stream_expect sum = {0};
    if (cfg->stop != MIXING_STOP_ALL || cfg->rows != OPT_UNSET || cfg->tokens != OPT_UNSET)
        return (struct stream_expect){-1, -1};
    for (size_t i = 0; i < m->count; i++) {
        const struct stream_expect *x = &stream_reader_begin(m->items[i].reader)->expect;
        if (x->rows < 0 || sum.rows < 0 || __builtin_add_overflow(sum.rows, x->rows, &sum.rows))
            sum.rows = -1;
        if (x->tokens < 0 || sum.tokens < 0 ||
            __builtin_add_overflow(sum.tokens, x->tokens, &sum.tokens))
            sum.tokens = -1;
    }
    return sum;
}

/* ---- credits ---- */

static void credits_set(const struct mixing_cfg *cfg, struct mixing_source *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s[i].credit =
            s[i].ended ? 0 : s[i].share * (cfg->by == MIXING_BY_TOKENS ? SLACK_TOKENS : SLACK_ROWS);
}

static void shares_set(struct mixing_source *s, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += s[i].weight;
    for (size_t i = 0; i < n; i++) s[i].share = llround(s[i].weight / sum * SHARES);
}

static void credits_spend(struct mixing_source *s, size_t n, size_t by, int64_t amount)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i].ended) continue;
        s[i].credit += s[i].share * amount;
        s[by].credit -= s[i].share * amount;
    }
}

/* A source that has rows left, as far as is known, with probability in proportion to its credit. */
static size_t draw(const struct mixing_source *s, size_t n, struct rng_key key, uint64_t number)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        if (!s[i].ended && s[i].credit > 0) sum += s[i].credit;
    double u = rng_uniform(key, (uint32_t)number, (uint32_t)(number >> 32), 0, 0);
    int64_t point = (int64_t)(u * (double)sum);
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].ended || s[i].credit <= 0) continue;
        last = i;
        if (point < s[i].credit) break;
        point -= s[i].credit;
    }
    return last;
}

/* ---- drawing ---- */

/* Makes sure that the source has a row to give, or has ended. */
static enum err source_fill(struct errctx *e, struct mixing_source *s)
{
    while (!s->ended && s->at == s->view.n) {
        enum stream_event event;
        struct stream_tensor_piece piece;
        TRY(stream_reader_next(e, s->reader, &event, &s->view, &piece));
        s->at = 0;
        if (event == STREAM_EVENT_END) {
            s->ended = true;
            s->view.n = 0;
        }
    }
    return ERR_OK;
}

struct mixing {
    const struct mixing_cfg *cfg;
    struct mixing_source *sources;
    size_t n, open;
    struct rng_key key;
    int64_t ids; /* column, or -1 */
    int64_t rows, tokens;
    uint64_t draws;
};

static bool complete(const struct mixing *m)
{
    return (m->cfg->rows != OPT_UNSET && m->rows >= m->cfg->rows) ||
           (m->cfg->tokens != OPT_UNSET && m->tokens >= m->cfg->tokens);
}

static enum err draw_row(struct errctx *e, struct mixing *m, struct stream_writer *w)
{
    size_t i = draw(m->sources, m->n, m->key, m->draws++);
    struct mixing_source *s = &m->sources[i];
    TRY(source_fill(e, s));
    if (s->ended) {
        m->open = m->cfg->stop == MIXING_STOP_FIRST ? 0 : m->open - 1;
        credits_set(m->cfg, m->sources, m->n);
        return ERR_OK;
    }
    int64_t tokens =
        m->ids < 0 ? 0 : s->view.start[m->ids][s->at + 1] - s->view.start[m->ids][s->at];
    TRY(stream_writer_rows(e, w, &s->view, s->at, s->at + 1));
    s->at++;
    s->rows++;
    s->tokens += tokens;
    m->rows++;
    m->tokens += tokens;
    credits_spend(m->sources, m->n, i, m->cfg->by == MIXING_BY_TOKENS ? tokens : 1);
    return ERR_OK;
}

/* The end of the first source is foreseen from how far each has come. */
static void show_progress(const struct mixing *m)
{
    const struct mixing_cfg *cfg = m->cfg;
    int64_t total = mixing_expect(cfg, &(struct mixing_sources){m->sources, m->n}).rows;
    double most = 0;
    for (size_t i = 0; i < m->n; i++) {
        int64_t rows = stream_reader_begin(m->sources[i].reader)->expect.rows;
        double part = rows > 0 ? (double)m->sources[i].rows / (double)rows : 0;
        if (part > most) most = part;
    }
    if (cfg->tokens != OPT_UNSET) {
        prog_progress_count("tokens mixed", m->tokens, cfg->tokens);
        return;
    }
    if (cfg->rows != OPT_UNSET)
        total = cfg->rows;
    else if (cfg->stop == MIXING_STOP_FIRST && most > 0)
        total = (int64_t)((double)m->rows / most);
    prog_progress_count("rows mixed", m->rows, total);
}

static void report(const struct mixing *m)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct mixing_source *s = &m->sources[i];
        prog_note("%s: %" PRId64 " rows, %" PRId64 " tokens (%.4f of the output)", s->path, s->rows,
                  s->tokens,
                  m->cfg->by == MIXING_BY_TOKENS
                      ? (double)s->tokens / (double)(m->tokens ? m->tokens : 1)
                      : (double)s->rows / (double)(m->rows ? m->rows : 1));
    }
    if ((m->cfg->rows != OPT_UNSET || m->cfg->tokens != OPT_UNSET) && !complete(m))
        prog_warn("the sources are used up after %" PRId64 " rows, %" PRId64
                  " tokens: fewer than were asked for",
                  m->rows, m->tokens);
}

enum err mixing_run(struct errctx *e, const struct mixing_cfg *cfg, struct mixing_sources *sources,
                    struct stream_writer *w, uint64_t *bytes)
{
    const struct stream_begin *begin = stream_reader_begin(sources->items[0].reader);
    const char *path = sources->items[0].path, *kind = stream_kind_name(begin->kind);
    struct mixing m = {.cfg = cfg,
                       .sources = sources->items,
                       .n = sources->count,
                       .open = sources->count,
                       .key = rng_key_make((uint64_t)cfg->seed, RNG_MIX),
                       .ids = rowpack_tokens_column(begin)};
    if (begin->columns_count == 0)
        return err_set(e, ERR_INPUT, "'%s': a stream of kind %s has no rows", path, kind);
    if (m.ids < 0 && (cfg->by == MIXING_BY_TOKENS || cfg->tokens != OPT_UNSET))
        return err_set(e, ERR_USAGE,
                       "'%s': a stream of kind %s has no tokens to count: use --by rows, --rows N",
                       path, kind);
    shares_set(m.sources, m.n);
    credits_set(cfg, m.sources, m.n);
    while (m.open > 0 && !complete(&m)) {
        TRY(draw_row(e, &m, w));
        if (m.rows % 4096 == 0) show_progress(&m);
    }
    report(&m);
    for (size_t i = 0; i < m.n; i++) {
        if (!m.sources[i].ended) TRY(stream_reader_drain(e, m.sources[i].reader));
        *bytes += stream_reader_summary(m.sources[i].reader)->compressed;
    }
    return ERR_OK;
}
