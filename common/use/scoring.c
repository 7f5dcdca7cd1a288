/* SPDX-License-Identifier: Apache-2.0 */
/* scoring.c: a request is one window or several, a window is a row of a batch; results wait until
 * all windows of a request, and of those before it, have been computed. */
#include "common/use/scoring.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prog.h"
#include "common/model/tokens_check.h"
#include "common/text/tokenizer_run.h"
#include "common/text/utf8.h"
#include "formats/jsonl.h"

#define FIELD(f)     offsetof(struct scoring_cfg, f)
#define DOCUMENTS(f) offsetof(struct scoring_cfg, documents.f)

const struct opt scoring_table[] = {
    {"rolling", 0, OPT_FLAG, FIELD(rolling), NULL,
     "score whole texts in windows, not continuations of contexts"},
    {"length", 0, OPT_INT, FIELD(length), "N", "most tokens the model sees at once; 0: its context",
     0, 0, 1e9},
    {"form", 'f', OPT_CHOICE, DOCUMENTS(form), DOCUMENT_TEXT_FORMS,
     "what a record is; auto goes by the file's extension: .csv .tsv, else jsonl"},
    {"text", 0, OPT_STRING, DOCUMENTS(text), "FIELD",
     "field or column of the context (default: context); of the whole text with --rolling "
     "(default: text)"},
    {"pair", 0, OPT_STRING, DOCUMENTS(pair), "FIELD",
     "field or column of the continuation (default: continuation)"},
    {"header", 0, OPT_FLAG, DOCUMENTS(header), NULL,
     "the first record of csv and tsv names the columns; without, they are numbered from 1"},
    {"invalid", 0, OPT_CHOICE, DOCUMENTS(invalid), "error|replace",
     "texts that are not UTF-8: an error, or replaced by U+FFFD"},
    {"keep", 0, OPT_STRING, DOCUMENTS(keep), "FIELD,...|all",
     "fields of the record that go into its result"},
    {"micro-tokens", 0, OPT_INT, FIELD(micro_tokens), "N",
     "tokens computed at once: memory, not results", OPT_UNRECORDED, 32, 1 << 30},
    OPT_END};

enum { SHARED_LEAST = 16 }; /* tokens with which two rows must begin to be computed together */

struct request {
    int64_t number;
    double sum; /* log-likelihood */
    int64_t tokens, bytes, chars, words;
    bool greedy;
    bool whole; /* all its windows are in batches */
    char *keep;
    size_t keep_length;
};

struct scoring {
    struct model *model;
    const struct scoring_cfg *cfg;
    struct outfile *out;
    struct scoring_stats *stats;
    struct tokenizer *tokenizer;
    struct tokenizer_scratch *scratch;
    const struct tokenizer_spec *spec;
    int64_t length;
    uint32_t prefix;
    bool shares; /* rows that begin alike are computed together */

    struct batch batch;
    size_t *owner;       /* [rows] index of the request */
    struct id_list last; /* what the model sees of the row appended last */
    float *loss;
    int32_t *rank;
    size_t owner_capacity, loss_capacity, rank_capacity;
    struct request *requests; /* begun and not yet out */
    size_t count, capacity;
    int64_t number; /* of records */

    /* of one request */
    struct bytes text; /* context and continuation */
    struct id_list ids, part;
    int32_t *targets;
    float *weights;
    size_t targets_capacity, weights_capacity;
    struct bytes line;
    struct errctx idle;
};

void scoring_fit(struct model_use *use, const struct model_config *c)
{
    const struct scoring_cfg *cfg = use->fit_ctx;
    use->tokens = batch_padded(cfg->micro_tokens, cfg->micro_tokens, c->context);
    use->shares = c->causal;
}

/* ---- results ---- */

static bool is_own(const struct jsonl_member *m)
{
    static const char *const own[] = {"loglikelihood", "greedy", "tokens",
                                      "bytes",         "chars",  "words"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (jsonl_key_is(m, own[i])) return true;
    return false;
}

static enum err print_request(struct errctx *e, struct scoring *s, const struct request *r)
{
    struct jsonl_member m;
    s->line.len = 0;
    TRY(bytes_append(e, &s->line, "{", 1));
    for (const char *at = NULL; r->keep && jsonl_next(r->keep, r->keep_length, &at, &m);) {
        if (is_own(&m)) continue;
        TRY(jsonl_append(e, &m, &s->line));
        TRY(bytes_append(e, &s->line, ",", 1));
    }
    TRY(bytes_printf(e, &s->line, "\"loglikelihood\":%.17g", r->sum));
    if (!s->cfg->rolling)
        TRY(bytes_printf(e, &s->line, ",\"greedy\":%s", r->greedy ? "true" : "false"));
    TRY(bytes_printf(e, &s->line,
                     ",\"tokens\":%" PRId64 ",\"bytes\":%" PRId64 ",\"chars\":%" PRId64, r->tokens,
                     r->bytes, r->chars));
    if (s->cfg->rolling) TRY(bytes_printf(e, &s->line, ",\"words\":%" PRId64, r->words));
    TRY(bytes_append(e, &s->line, "}\n", 2));
    s->stats->requests++;
    s->stats->tokens += r->tokens;
    return outfile_write(e, s->out, s->line.data, s->line.len);
}

static enum err emit(struct errctx *e, struct scoring *s)
{
    size_t done = 0;
    for (; done < s->count && s->requests[done].whole; done++) {
        TRY(print_request(e, s, &s->requests[done]));
        mem_free(s->requests[done].keep);
        s->requests[done].keep = NULL;
    }
    s->count -= done;
    if (s->count > 0) memmove(s->requests, s->requests + done, s->count * sizeof *s->requests);
    return ERR_OK;
}

/* ---- computing ---- */

static enum err add_row(struct errctx *e, struct scoring *s, int64_t row)
{
    const struct batch *b = &s->batch;
    struct request *r = &s->requests[s->owner[row]];
    for (int64_t i = b->row_start[row]; i < (int64_t)b->row_start[row] + b->row_length[row]; i++) {
        if (b->target[i] < 0) continue;
        if (!isfinite(s->loss[i]))
            return err_set(e, ERR_INPUT,
                           "record %" PRId64 ": the model's log-likelihood is not a finite number",
                           r->number);
        r->sum -= (double)s->loss[i];
        r->greedy &= s->rank[i] < 1;
        r->tokens++;
    }
    return ERR_OK;
}

static enum err compute(struct errctx *e, struct scoring *s)
{
    double sum = 0;
    if (s->batch.rows == 0) return emit(e, s);
    TRY(batch_close(e, &s->batch));
    const size_t n = (size_t)s->batch.tokens;
    TRY(mem_grow(e, &s->loss, &s->loss_capacity, n, sizeof *s->loss, "losses"));
    TRY(mem_grow(e, &s->rank, &s->rank_capacity, n, sizeof *s->rank, "losses"));
    TRY(model_forward(e, s->model, &s->batch, 0));
    TRY(model_loss(e, s->model, &s->batch, false, s->loss, s->rank, &sum));
    for (int64_t r = 0; r < s->batch.rows; r++) TRY(add_row(e, s, r));
    s->stats->computed += s->batch.real;
    batch_clear(&s->batch);
    for (size_t i = 0; i + 1 < s->count; i++) s->requests[i].whole = true;
    return emit(e, s);
}

static void work_while_waiting(void *ctx)
{
    struct scoring *s = ctx;
    if (s->count > 0) s->requests[s->count - 1].whole = true;
    if (s->idle.code == ERR_OK) (void)!compute(&s->idle, s);
}

/* Of a row's places before the first one that is scored: how many begin the row before it as well.
 * Few are not worth a turn, and two are left: a single query is another sum than one among others
 * (decoder_shared). */
static int64_t shared_with_last(const struct scoring *s, const uint32_t *ids, int64_t places,
                                int64_t scored)
{
    const int64_t last = (int64_t)s->last.count;
    int64_t n = 0, most = places - (scored > 2 ? scored : 2);
    if (most > last) most = last;
    if (s->batch.rows == 0 || !s->shares) return 0;
    while (n < most && ids[n] == s->last.data[n]) n++;
    return n < SHARED_LEAST ? 0 : n;
}

static enum err append(struct errctx *e, struct scoring *s, const uint32_t *ids, int64_t places,
                       int64_t before)
{
    TRY(mem_grow(e, &s->last.data, &s->last.capacity, (size_t)places, sizeof *ids, "window"));
    memcpy(s->last.data, ids, (size_t)places * sizeof *ids);
    s->last.count = (size_t)places;
    if (before > 0)
        return batch_append_after(e, &s->batch, before, places - before, ids + before,
                                  s->targets + before, s->weights + before, s->number);
    return batch_append(e, &s->batch, INT32_MAX, places, ids, NULL, s->targets, s->weights,
                        s->number);
}

/* A row: the last length + 1 of these tokens, of which the last `scored` are. */
static enum err put_window(struct errctx *e, struct scoring *s, const uint32_t *ids, int64_t n,
                           int64_t scored)
{
    if (n > s->length + 1) {
        ids += n - (s->length + 1);
        n = s->length + 1;
    }
    const int64_t places = n - 1;
    const size_t room = (size_t)places;
    int64_t before = shared_with_last(s, ids, places, scored);
    if (s->batch.tokens + places - before > s->cfg->micro_tokens) {
        TRY(compute(e, s));
        before = 0;
    }
    TRY(mem_grow(e, &s->targets, &s->targets_capacity, room, sizeof *s->targets, "window"));
    TRY(mem_grow(e, &s->weights, &s->weights_capacity, room, sizeof *s->weights, "window"));
    TRY(mem_grow(e, &s->owner, &s->owner_capacity, (size_t)s->batch.rows + 1, sizeof *s->owner,
                 "windows"));
    for (int64_t t = 0; t < places; t++) {
        s->targets[t] = t + 1 >= n - scored ? (int32_t)ids[t + 1] : -1;
        s->weights[t] = s->targets[t] < 0 ? 0 : 1;
    }
    s->owner[s->batch.rows] = s->count - 1;
    return append(e, s, ids, places, before);
}

/* ---- encoding ---- */

static enum err push(struct errctx *e, struct id_list *ids, uint32_t id)
{
    TRY(mem_grow(e, &ids->data, &ids->capacity, ids->count + 1, sizeof *ids->data, "tokens"));
    ids->data[ids->count++] = id;
    return ERR_OK;
}

static bool begins_with_prefix(const struct scoring *s, const char *text, size_t n)
{
    const uint64_t *start = s->spec->start;
    const size_t length = (size_t)(start[s->prefix + 1] - start[s->prefix]);
    return length > 0 && n >= length &&
           memcmp(text, s->spec->bytes + start[s->prefix], length) == 0;
}

/* Special tokens of the tokenizer's template, on one side. */
static enum err put_template(struct errctx *e, const struct scoring *s, const char *side,
                             struct id_list *ids)
{
    const struct mp_value *list = mp_get(&s->spec->ops, "postprocessor"), *names;
    if (!list || list->type != MP_ARRAY || list->as.list.count == 0) return ERR_OK;
    names = mp_get(&list->as.list.items[0], side);
    for (size_t i = 0; names && i < names->as.list.count; i++) {
        const int64_t id = tokenizer_spec_special(s->spec, names->as.list.items[i].as.bytes.data);
        if (id >= 0) TRY(push(e, ids, (uint32_t)id));
    }
    return ERR_OK;
}

static enum err encode(struct errctx *e, struct scoring *s, const char *text, size_t n,
                       bool template, struct id_list *ids)
{
    template = template && !begins_with_prefix(s, text, n);
    ids->count = 0;
    if (template) TRY(put_template(e, s, "before", ids));
    TRY(tokenizer_encode(e, s->tokenizer, s->scratch, text, n, true, ids, NULL));
    return template ? put_template(e, s, "after", ids) : ERR_OK;
}

/* Characters; words as the pieces between runs of white space; where the last run begins that ends
 * the text. */
static void measure(const char *text, size_t n, struct request *r, size_t *stripped)
{
    size_t length;
    bool inside = false;
    *stripped = 0;
    r->bytes = (int64_t)n;
    r->chars = 0;
    r->words = 1;
    for (size_t at = 0; at < n; at += length) {
        const bool space = utf8_is_space(utf8_decode((const uint8_t *)text + at, &length));
        r->chars++;
        r->words += space && !inside;
        inside = space;
        if (!space) *stripped = at + length;
    }
}

/* ---- requests ---- */

static enum err check_continuation(struct errctx *e, const struct scoring *s, int64_t n)
{
    if (n < 1)
        return err_set(e, ERR_INPUT, "record %" PRId64 ": the continuation has no tokens",
                       s->number);
    if (n > s->length)
        return err_set(e, ERR_INPUT,
                       "record %" PRId64 ": the continuation has %" PRId64
                       " tokens, the model sees %" PRId64 " at once",
                       s->number, n, s->length);
    return ERR_OK;
}

static enum err put_without_context(struct errctx *e, struct scoring *s, const struct document *d)
{
    TRY(push(e, &s->ids, s->prefix));
    TRY(encode(e, s, d->pair, d->pair_n, false, &s->part));
    const bool begins = s->part.count > 0 && s->part.data[0] == s->prefix;
    for (size_t i = begins; i < s->part.count; i++) TRY(push(e, &s->ids, s->part.data[i]));
    const int64_t n = (int64_t)s->ids.count;
    TRY(check_continuation(e, s, n - 1));
    return put_window(e, s, s->ids.data, n, n - 1);
}

static enum err put_pair(struct errctx *e, struct scoring *s, const struct document *d,
                         size_t stripped)
{
    s->ids.count = s->text.len = 0;
    if (d->n == 0) return put_without_context(e, s, d);
    TRY(bytes_append(e, &s->text, d->text, d->n));
    TRY(bytes_append(e, &s->text, d->pair, d->pair_n));
    TRY(encode(e, s, d->text, stripped, true, &s->part));
    TRY(encode(e, s, (const char *)s->text.data, s->text.len, true, &s->ids));
    const int64_t context = (int64_t)s->part.count, n = (int64_t)s->ids.count;
    if (context == 0)
        return err_set(e, ERR_INPUT, "record %" PRId64 ": the context has no tokens", s->number);
    TRY(check_continuation(e, s, n - context));
    return put_window(e, s, s->ids.data, n, n - context);
}

static enum err put_rolling(struct errctx *e, struct scoring *s, const struct document *d)
{
    const int64_t most = s->length;
    s->ids.count = 0;
    TRY(encode(e, s, d->text, d->n, true, &s->part));
    TRY(push(e, &s->ids, s->prefix));
    for (size_t i = 0; i < s->part.count; i++) TRY(push(e, &s->ids, s->part.data[i]));
    /* ids[0] is the prefix, token i of the text is ids[i + 1]. */
    const int64_t n = (int64_t)s->part.count;
    for (int64_t done = 0, next; done < n; done = next) {
        next = n - done < most ? n : done + most;
        const int64_t start = done == 0 ? 0 : next - most;
        TRY(put_window(e, s, s->ids.data + start, next + 1 - start, next - done));
    }
    return ERR_OK;
}

static enum err take(struct errctx *e, struct scoring *s, const struct document *d)
{
    struct request r = {.number = ++s->number, .greedy = true};
    size_t stripped, unused;
    if (s->count > 0) s->requests[s->count - 1].whole = true;
    TRY(mem_grow(e, &s->requests, &s->capacity, s->count + 1, sizeof *s->requests, "requests"));
    if (s->cfg->rolling) {
        measure(d->text, d->n, &r, &unused);
    } else {
        measure(d->text, d->n, &r, &stripped);
        measure(d->pair, d->pair_n, &r, &unused);
    }
    if (d->keep) TRY(mem_strndup(e, &r.keep, d->keep, d->keep_n));
    r.keep_length = d->keep_n;
    s->requests[s->count++] = r;
    if (s->cfg->rolling) return put_rolling(e, s, d);
    return put_pair(e, s, d, stripped);
}

static enum err read_all(struct errctx *e, struct scoring *s, struct documents *documents)
{
    for (;;) {
        struct document d;
        bool more;
        const enum err r = documents_next(e, documents, &d, &more);
        if (s->idle.code != ERR_OK) return err_set(e, s->idle.code, "%s", s->idle.message);
        if (r != ERR_OK) return r;
        if (!more) break;
        TRY(take(e, s, &d));
        prog_progress_count("scoring: records", s->number, 0);
    }
    prog_progress_done();
    if (s->count > 0) s->requests[s->count - 1].whole = true;
    return compute(e, s);
}

/* ---- opening and closing ---- */

static enum err check_use(struct errctx *e, struct scoring *s, struct documents_cfg *documents,
                          const struct opt_list *files)
{
    const int64_t context = model_config_of(s->model)->context;
    TRY(tokens_check_causal(e, s->model, "score"));
    s->spec = model_tokenizer(s->model);
    if (!s->spec) return err_set(e, ERR_INPUT, "the model has no tokenizer");
    int64_t prefix = tokenizer_spec_special(s->spec, "bos");
    if (prefix < 0) prefix = tokenizer_spec_special(s->spec, "eos");
    if (prefix < 0)
        return err_set(e, ERR_INPUT, "the model's tokenizer has no token that begins a text");
    s->prefix = (uint32_t)prefix;
    s->shares = model_can_share(s->model);
    if (s->cfg->length > context)
        return err_set(e, ERR_USAGE,
                       "--length %" PRId64 " is more than the model's context of %" PRId64,
                       s->cfg->length, context);
    s->length = s->cfg->length ? s->cfg->length : context;
    if (s->cfg->rolling && documents->pair)
        return err_set(e, ERR_USAGE,
                       "--pair has no use: with --rolling texts are scored as a whole");
    for (size_t i = 0; !s->cfg->rolling && i < (files->count ? files->count : 1); i++)
        if (documents_form(documents, files->count ? files->items[i] : NULL) < DOCUMENT_JSONL)
            return err_set(e, ERR_USAGE,
                           "contexts and continuations are fields of records (-f jsonl|csv|tsv); "
                           "texts alone are for --rolling");
    if (s->cfg->rolling) return ERR_OK;
    if (!documents->text) documents->text = documents->header ? "context" : "1";
    if (!documents->pair) documents->pair = documents->header ? "continuation" : "2";
    return ERR_OK;
}

static enum err open_all(struct errctx *e, struct scoring *s)
{
    TRY(tokenizer_new(e, s->spec, &s->tokenizer));
    TRY(tokenizer_scratch_new(e, s->tokenizer, &s->scratch));
    return batch_init(e, &s->batch, s->cfg->micro_tokens, 64);
}

static void close_all(struct scoring *s)
{
    for (size_t i = 0; i < s->count; i++) mem_free(s->requests[i].keep);
    tokenizer_scratch_free(s->scratch);
    tokenizer_free(s->tokenizer);
    batch_fini(&s->batch);
    bytes_fini(&s->text);
    bytes_fini(&s->line);
    void *const arrays[] = {s->owner,    s->loss,      s->rank,    s->requests, s->last.data,
                            s->ids.data, s->part.data, s->targets, s->weights};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) mem_free(arrays[i]);
}

enum err scoring_run(struct errctx *e, struct model *m, const struct scoring_cfg *cfg,
                     struct run *run, const struct opt_list *files, struct outfile *out,
                     struct scoring_stats *stats)
{
    struct scoring s = {.model = m, .cfg = cfg, .out = out, .stats = stats};
    struct documents_cfg documents_cfg = cfg->documents;
    struct documents *documents = NULL;
    *stats = (struct scoring_stats){0};
    documents_cfg.before_block = work_while_waiting;
    documents_cfg.before_block_ctx = &s;
    enum err r = check_use(e, &s, &documents_cfg, files);
    if (r == ERR_OK) r = open_all(e, &s);
    if (r == ERR_OK) r = documents_open(e, run, &documents_cfg, files, &documents);
    if (r == ERR_OK) r = read_all(e, &s, documents);
    if (documents) documents_close(documents);
    close_all(&s);
    return r;
}
