/* SPDX-License-Identifier: Apache-2.0 */
/* encode_documents.c: see encode_documents.h. */
#include "common/text/encode_documents.h"
#include <string.h>
#include "common/base/pool.h"
#include "common/base/prog.h"

enum { BATCH_BYTES_PER_THREAD = 2 << 20, TASK_BYTES = 128 << 10 };

struct held_text { /* offset into the batch's text */
    size_t from, n, first_task, tasks;
};

struct held { /* a document of the batch */
    struct held_text text, pair;
    size_t keep_from, keep_n, scored_from, scored_count, labels_from, words_from, words_count;
    uint64_t group;
    const char *file;
    uint64_t line;
};

struct task { /* text[from .. from + n), the ids of it */
    size_t from, n;
    bool begins, ends_text; /* it is the first of its text, the last */
    struct id_list ids;
    struct offset_list ends; /* from `from` on */
};

struct worker {
    struct tokenizer_scratch *scratch;
    struct errctx error;
};

struct encoder {
    struct encode_cfg cfg;
    struct pool *pool;
    struct worker *workers;
    struct bytes text, keeps, labels;
    struct chat_span *scored; /* of all documents of the batch */
    size_t scored_count, scored_capacity;
    struct document_word *words; /* the same */
    size_t words_count, words_capacity;
    int32_t *word_of; /* of the document that is written */
    size_t word_of_capacity;
    const char *large; /* the text of a batch of one large document, in place of `text` */
    struct held *documents;
    size_t documents_count, documents_capacity;
    struct task *tasks; /* their lists are kept from batch to batch */
    size_t tasks_count, tasks_capacity, tasks_made;
    struct rows_part *parts; /* of the document that is written */
    size_t parts_capacity;
    struct bytes row;
    struct encode_counts counts;
    struct errctx error; /* of a drain */
};

enum err encoder_new(struct errctx *e, const struct encode_cfg *cfg, struct encoder **out)
{
    struct encoder *x;
    enum err code;

    *out = NULL;
    TRY(mem_new(e, &x, 1, sizeof *x, "encoder"));
    x->cfg = *cfg;
    code = pool_new(e, cfg->threads, &x->pool);
    if (code == ERR_OK)
        code = mem_new(e, &x->workers, (size_t)cfg->threads, sizeof *x->workers, "encoder");
    for (int i = 0; i < cfg->threads && code == ERR_OK; i++)
        code = tokenizer_scratch_new(e, cfg->tokenizer, &x->workers[i].scratch);
    if (code != ERR_OK) {
        encoder_free(x);
        return code;
    }
    *out = x;
    return ERR_OK;
}

void encoder_free(struct encoder *x)
{
    if (x == NULL) return;
    for (int i = 0; x->workers != NULL && i < x->cfg.threads; i++)
        tokenizer_scratch_free(x->workers[i].scratch);
    mem_free(x->workers);
    pool_free(x->pool);
    for (size_t i = 0; i < x->tasks_made; i++) {
        mem_free(x->tasks[i].ids.data);
        mem_free(x->tasks[i].ends.data);
    }
    mem_free(x->tasks);
    mem_free(x->documents);
    mem_free(x->parts);
    mem_free(x->scored);
    mem_free(x->words);
    mem_free(x->word_of);
    bytes_fini(&x->labels);
    bytes_fini(&x->text);
    bytes_fini(&x->keeps);
    bytes_fini(&x->row);
    mem_free(x);
}

void encoder_counts(const struct encoder *x, struct encode_counts *out)
{
    *out = x->counts;
}

/* ------------------------------------------------------------------ a batch */

static enum err add_task(struct errctx *e, struct encoder *x, size_t from, size_t n, bool begins,
                         bool ends_text)
{
    TRY(mem_grow(e, &x->tasks, &x->tasks_capacity, x->tasks_count + 1, sizeof *x->tasks, "tasks"));
    if (x->tasks_count == x->tasks_made) memset(&x->tasks[x->tasks_made++], 0, sizeof *x->tasks);
    x->tasks[x->tasks_count].from = from;
    x->tasks[x->tasks_count].n = n;
    x->tasks[x->tasks_count].begins = begins;
    x->tasks[x->tasks_count].ends_text = ends_text;
    x->tasks_count++;
    return ERR_OK;
}

static enum err add_text(struct errctx *e, struct encoder *x, const char *text, size_t n,
                         struct held_text *h)
{
    size_t at = 0;

    *h = (struct held_text){.from = x->text.len, .n = n, .first_task = x->tasks_count};
    if (x->large == NULL) TRY(bytes_append(e, &x->text, text, n));
    do {
        size_t end = n - at <= TASK_BYTES ? n
                                          : tokenizer_border(x->cfg.tokenizer, text, n,
                                                             at + TASK_BYTES, x->cfg.special);
        TRY(add_task(e, x, h->from + at, end - at, at == 0, end == n));
        at = end;
    } while (at < n);
    h->tasks = x->tasks_count - h->first_task;
    return ERR_OK;
}

static enum err add_words(struct errctx *e, struct encoder *x, const struct document *d,
                          struct held *h)
{
    h->words_from = x->words_count;
    h->words_count = d->words_count;
    if (d->words_count == 0) return ERR_OK;
    TRY(mem_grow(e, &x->words, &x->words_capacity, x->words_count + d->words_count,
                 sizeof *x->words, "documents"));
    memcpy(x->words + x->words_count, d->words, d->words_count * sizeof *x->words);
    x->words_count += d->words_count;
    return ERR_OK;
}

/* *keep: whether it is to be a row at all. */
static enum err add_document(struct errctx *e, struct encoder *x, const struct document *d,
                             bool *keep)
{
    struct held *h;

    TRY(mem_grow(e, &x->documents, &x->documents_capacity, x->documents_count + 1,
                 sizeof *x->documents, "documents"));
    h = &x->documents[x->documents_count];
    *h = (struct held){
        .keep_from = x->keeps.len, .keep_n = d->keep_n, .file = d->file, .line = d->line};
    x->counts.taken++;
    *keep = true;
    h->labels_from = x->labels.len;
    if (x->cfg.labelling != NULL)
        TRY(labelling_take(e, x->cfg.labelling, d, &x->labels, &h->group, keep));
    if (!*keep) return ERR_OK;
    TRY(add_words(e, x, d, h));
    h->scored_from = x->scored_count;
    h->scored_count = d->scored_count;
    TRY(bytes_append(e, &x->keeps, d->keep, d->keep_n));
    TRY(mem_grow(e, &x->scored, &x->scored_capacity, x->scored_count + d->scored_count,
                 sizeof *x->scored, "documents"));
    if (d->scored_count > 0)
        memcpy(x->scored + x->scored_count, d->scored, d->scored_count * sizeof *x->scored);
    x->scored_count += d->scored_count;
    TRY(add_text(e, x, d->text, d->n, &h->text));
    if (d->pair != NULL) TRY(add_text(e, x, d->pair, d->pair_n, &h->pair));
    x->documents_count++;
    return ERR_OK;
}

static const char *batch_text(const struct encoder *x)
{
    return x->large != NULL ? x->large : (const char *)x->text.data;
}

static void encode_task(void *ctx, int64_t index, int thread)
{
    struct encoder *x = ctx;
    struct worker *w = &x->workers[thread];
    struct task *t = &x->tasks[index];

    t->ids.count = t->ends.count = 0;
    if (w->error.code != ERR_OK) return;
    (void)!tokenizer_encode_part(&w->error, x->cfg.tokenizer, w->scratch, batch_text(x) + t->from,
                                 t->n, x->cfg.special, t->begins, t->ends_text, &t->ids,
                                 tokenizer_is_lossless(x->cfg.tokenizer) ? NULL : &t->ends);
}

/* The parts of a text, whose ids its tasks hold. */
static void view_text(struct encoder *x, const struct held_text *h, struct rows_part *parts,
                      struct rows_text *out)
{
    *out = (struct rows_text){batch_text(x) + h->from, h->n, parts, h->tasks};
    for (size_t i = 0; i < h->tasks; i++) {
        const struct task *t = &x->tasks[h->first_task + i];
        parts[i] = (struct rows_part){t->ids.data, t->ends.count > 0 ? t->ends.data : NULL,
                                      t->ids.count, t->from - h->from};
        x->counts.ids += t->ids.count;
    }
}

static enum err make_word_of(struct errctx *e, struct encoder *x, struct rows_document *d)
{
    size_t ids = 0;

    for (size_t i = 0; i < d->text.parts_count; i++) ids += d->text.parts[i].count;
    TRY(mem_grow(e, &x->word_of, &x->word_of_capacity, ids + 1, sizeof *x->word_of, "words"));
    d->word_of = x->word_of;
    return ERR_OK;
}

static enum err write_document(struct errctx *e, struct encoder *x, const struct held *h)
{
    const char *keeps = (const char *)x->keeps.data;
    struct rows_document d = {.keep = h->keep_n > 0 ? keeps + h->keep_from : NULL,
                              .keep_n = h->keep_n,
                              .scored = h->scored_count > 0 ? x->scored + h->scored_from : NULL,
                              .scored_count = h->scored_count};
    bool shortened = false;

    d.group = h->group;
    d.labels = x->labels.data != NULL ? x->labels.data + h->labels_from : NULL;
    if (h->words_count > 0) d.words = x->words + h->words_from;
    d.words_count = h->words_count;
    TRY(mem_grow(e, &x->parts, &x->parts_capacity, h->text.tasks + h->pair.tasks, sizeof *x->parts,
                 "documents"));
    view_text(x, &h->text, x->parts, &d.text);
    view_text(x, &h->pair, x->parts + h->text.tasks, &d.pair);
    if (h->words_count > 0) TRY(make_word_of(e, x, &d));
    x->counts.documents++;
    x->counts.bytes += h->text.n + h->pair.n;
    enum err code = rows_write(e, x->cfg.rows, &d, &x->row, x->cfg.writer, &shortened);
    x->counts.shortened += shortened;
    return code == ERR_INPUT
               ? err_prefix(e, "'%s': line %llu", h->file, (unsigned long long)h->line)
               : code;
}

static enum err flush_batch(struct errctx *e, struct encoder *x)
{
    if (x->documents_count == 0) return ERR_OK;
    /* a batch of empty documents has an address, too */
    TRY(bytes_append(e, &x->text, "", 1));
    pool_run(x->pool, encode_task, x, (int64_t)x->tasks_count);
    for (int i = 0; i < x->cfg.threads; i++)
        if (x->workers[i].error.code != ERR_OK) {
            *e = x->workers[i].error;
            return e->code;
        }
    for (size_t i = 0; i < x->documents_count; i++) TRY(write_document(e, x, &x->documents[i]));
    x->documents_count = x->tasks_count = 0;
    x->text.len = x->keeps.len = x->labels.len = x->scored_count = x->words_count = 0;
    x->large = NULL;
    return ERR_OK;
}

void encoder_drain(void *encoder)
{
    struct encoder *x = encoder;

    if (x->error.code != ERR_OK || x->documents_count == 0) return;
    if (flush_batch(&x->error, x) == ERR_OK) (void)!stream_writer_flush(&x->error, x->cfg.writer);
}

/* Holds a document; a large one is not copied, but encoded at once. */
static enum err take_document(struct errctx *e, struct encoder *x, const struct document *d)
{
    size_t most = (size_t)x->cfg.threads * BATCH_BYTES_PER_THREAD;
    bool keep;

    if (d->n >= most && d->pair == NULL) {
        TRY(flush_batch(e, x));
        x->large = d->text;
        TRY(add_document(e, x, d, &keep));
        TRY(flush_batch(e, x));
        x->large = NULL; /* of a document that was left out, too */
        return ERR_OK;
    }
    TRY(add_document(e, x, d, &keep));
    return x->text.len >= most || x->documents_count >= 1 << 16 ? flush_batch(e, x) : ERR_OK;
}

enum err encoder_run(struct errctx *e, struct encoder *x, struct documents *d)
{
    struct document document;
    bool more = true;

    while (more) {
        TRY(documents_next(e, d, &document, &more));
        if (x->error.code != ERR_OK) {
            *e = x->error;
            return e->code;
        }
        TRY(more ? take_document(e, x, &document) : flush_batch(e, x));
    }
    prog_progress_done();
    return ERR_OK;
}
